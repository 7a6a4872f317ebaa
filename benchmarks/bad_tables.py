"""Ten thousand damaged tables and params through the reader: `python benchmarks/bad_tables.py [COUNT]` prints how they ended.

It fails where an exception is not meant for people, a row is not counted, or the process takes a gigabyte.
"""

from __future__ import annotations

import collections
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main(count: int) -> int:
    from bad_tables import damaged_params
    from conftest import default_params
    from peak_memory import peak_memory
    from test_bad_tables import judge_table

    from quiebra.errors import ParamsError
    from quiebra.params import validate_params

    ends: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(int(0.7 * count)):
            ends[f"table {judge_table(seed, Path(folder))}"] += 1
    content = default_params()
    for seed in range(count - int(0.7 * count)):
        try:
            validate_params(damaged_params(content, random.Random(seed)))
            ends["params used"] += 1
        except ParamsError:
            ends["params refused"] += 1
    memory = peak_memory() / 1000
    print(f"{count} tables and params: {dict(ends)}; {memory:.0f} MB at most")
    return int(memory > 1000)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

"""A model against the champion: judged on the same rows, and only where the rows hold the same values."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from quiebra.errors import Figure, Said
from quiebra.files import read_table, write_table
from quiebra.items import ITEM_NAMES
from quiebra.validation.judging import Resampling, judge, paired

KEYS = ["company_id", "fiscal_year"]
HOW = Resampling(resamples=300, confidence=0.95, seed=1)
"""How models are compared, the same for all."""
VALUES = "values.parquet"
MOST_CHANGED = 0.01
"""Where more of the shared rows than this hold other values, the data are others, and nothing is compared."""


def write_row_values(folder: Path, statements: pl.DataFrame) -> None:
    """Keep beside a model a hash of the statement behind each of its out-of-time scores: company_id, fiscal_year, values."""
    scored = read_table(folder / "history.parquet").select(*KEYS, "available_at")
    rows = scored.join(statements, on=[*KEYS, "available_at"], how="left", maintain_order="left")
    write_table(folder / VALUES, rows.select(KEYS).with_columns(values=row_values(rows)))


def row_values(statements: pl.DataFrame) -> pl.Series:
    """Return a hash of each row's period_end, items in millions and currency; the same on any machine."""
    numbers = statements.select(pl.col("period_end").to_physical(), *ITEM_NAMES).cast(pl.Float64).fill_null(np.nan)
    table = np.ascontiguousarray(numbers.to_numpy()) + 0.0  # no minus zero
    table[np.isnan(table)] = np.nan
    said = statements["currency"].fill_null("").str.encode("hex")
    rows = zip(table, said, strict=True)
    return pl.Series([blake2b(row.tobytes() + text.encode(), digest_size=8).hexdigest() for row, text in rows], dtype=pl.String)


def compare(champion: Path, model: Path, outcomes: pl.DataFrame) -> dict[str, Any]:
    """Judge a kept model against the champion on the same rows, by their out-of-time scores; plain JSON values.

    outcomes: company_id, fiscal_year and failed. Rows whose statement holds other values than the champion's are left out and
    counted (``changed`` of ``shared``); beyond a share of `MOST_CHANGED` the data are others and nothing is compared. Then, and
    where the two share no failure, ``figures`` and ``difference`` are missing.
    """
    ours, theirs = (_scores(folder, name) for folder, name in ((model, "model"), (champion, "champion")))
    shared = outcomes.select(*KEYS, "failed").join(ours, on=KEYS).join(theirs, on=KEYS).sort(KEYS)
    rows = shared.filter(pl.col("values_model") == pl.col("values_champion"))
    changed = shared.height - rows.height
    found: dict[str, Any] = {
        "champion": champion.name, "figures": None, "difference": None, "shared": shared.height, "changed": changed,
    }  # fmt: skip
    if changed <= MOST_CHANGED * shared.height and 0 < rows["failed"].sum() < rows.height:
        found["figures"] = {name: judge(rows, f"pd_{name}", HOW) for name in ("model", "champion")}
        found["difference"] = paired(rows, "pd_model", "pd_champion", HOW)
    return found


def _scores(folder: Path, name: str) -> pl.DataFrame:
    table = read_table(folder / "history.parquet").select(*KEYS, pl.col("pd_12m").alias(f"pd_{name}"))
    return table.join(read_table(folder / VALUES).rename({"values": f"values_{name}"}), on=KEYS)


def ranks_worse(comparison: dict[str, Any] | None) -> bool:
    """Whether a model ranked worse than the champion on the same rows, with the whole interval of the difference in AUC."""
    if comparison is None or comparison["difference"] is None:
        return False
    high = comparison["difference"]["interval"]["auc"][1]
    return high is not None and high < 0


def against(comparison: dict[str, Any]) -> Said:
    """Return a comparison with the champion in words."""
    gap, other = comparison["difference"], {"champion": comparison["champion"]}
    if gap is None and comparison.get("changed", 0) > MOST_CHANGED * comparison.get("shared", 0):
        counts = {name: Figure(comparison[name]) for name in ("changed", "shared")}
        return Said(
            "against {champion}: not compared, since the data are others ({changed} of {shared} shared company-years hold other "
            "values)",
            {**other, **counts},
        )
    if gap is None:
        return Said("against {champion}: they share no failure, so nothing can be said", other)
    low, high = gap["interval"]["auc"]
    auc: Figure | Said = _gap(gap["auc"])
    if low is not None:
        auc = Said("{value} ({low} to {high})", {"value": auc, "low": _gap(low), "high": _gap(high)})
    figures = {"rows": Figure(gap["rows"]), "auc": auc, "precision": _gap(gap["average_precision"])}
    return Said(
        "against {champion} on the same {rows} rows: AUC {auc}, average precision {precision}", {**other, **figures}
    )


def _gap(value: float) -> Figure:
    return Figure(value, 3, signed=True)


def waiting(challenger: dict[str, Any]) -> Said:
    """Return a model that is not in charge in words: how it does against the champion, and what it failed.

    challenger: model_id, version, gates and comparison, as `quiebra.registry.entries` gives them.
    """
    failed = [Said(row["words"]) for row in challenger["gates"] if row["verdict"] == "fail"]
    found = challenger["comparison"]
    values = {
        "model": challenger["model_id"], "version": challenger["version"],
        "comparison": Said("not compared with another") if found is None else against(found),
        "tests": failed,
    }  # fmt: skip
    if failed:
        return Said("model {model} v{version}, trained last, is not in charge: it failed {tests}; {comparison}", values)
    return Said("model {model} v{version}, trained last, is not in charge; {comparison}", values)

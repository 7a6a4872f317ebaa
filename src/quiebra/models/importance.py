"""What the model looks at: the mean size of each feature's effect."""

from __future__ import annotations

import polars as pl

from quiebra.features import FEATURES_BY_NAME
from quiebra.models.pd_model import PdModel


def importance(model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    """Return feature, label, concept and mean_abs (log-odds) over the table's rows, strongest first."""
    parts, _ = model.explain(table)
    sizes = parts.select(pl.all().abs().mean()).row(0, named=True)
    rows = [
        {"feature": name, "label": FEATURES_BY_NAME[name].label if name in FEATURES_BY_NAME else "Altman score",
         "concept": FEATURES_BY_NAME[name].concept if name in FEATURES_BY_NAME else "altman", "mean_abs": round(size, 8)}
        for name, size in sizes.items()
    ]  # fmt: skip
    return pl.DataFrame(rows).sort("mean_abs", "feature", descending=[True, False])

"""Compare a model with the champion on the same rows, provided that these hold the same values."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from quiebra.errors import LocalisedFigure, LocalisedMessage
from quiebra.io.files import read_table, write_table
from quiebra.items import FIRM_YEAR_KEYS, ITEM_NAMES
from quiebra.validation.comparison import Bootstrap, ResampledScore

COMPARISON_BOOTSTRAP = Bootstrap(resamples=300, confidence=0.95, seed=1)
"""Bootstrap options of all comparisons."""
ROW_VALUES_FILE = "values.parquet"
MAX_CHANGED_SHARE = 0.01
"""Largest share of shared rows with other values; above it the data differ, and nothing is compared."""


def write_row_values(folder: Path, statements: pl.DataFrame) -> None:
    """Write next to a model a hash of the statement behind each of its out-of-time scores: company_id, fiscal_year, values."""
    scored = read_table(folder / "history.parquet").select(*FIRM_YEAR_KEYS, "available_at")
    rows = scored.join(statements, on=[*FIRM_YEAR_KEYS, "available_at"], how="left", maintain_order="left")
    write_table(folder / ROW_VALUES_FILE, rows.select(FIRM_YEAR_KEYS).with_columns(values=row_values(rows)))


def row_values(statements: pl.DataFrame) -> pl.Series:
    """Return a hash of each row's period_end, items in millions and currency; the same on any machine."""
    numbers = statements.select(pl.col("period_end").to_physical(), *ITEM_NAMES).cast(pl.Float64).fill_null(np.nan)
    table = np.ascontiguousarray(numbers.to_numpy()) + 0.0  # turns -0.0 into 0.0
    table[np.isnan(table)] = np.nan
    said = statements["currency"].fill_null("").str.encode("hex")
    rows = zip(table, said, strict=True)
    return pl.Series([blake2b(row.tobytes() + text.encode(), digest_size=8).hexdigest() for row, text in rows], dtype=pl.String)


def compare_with_champion(champion: Path, model: Path, outcomes: pl.DataFrame) -> dict[str, Any]:
    """Judge a registered model against the champion on the same rows, by their out-of-time scores; return plain JSON values.

    champion, model: their folders. outcomes: company_id, fiscal_year and failed.
    Rows whose statement has other values than the champion's are left out and counted (``changed`` of ``shared``). Where their
    share is above `MAX_CHANGED_SHARE`, or the shared rows have no failure, ``figures`` and ``difference`` are None.
    """
    ours, theirs = (_scores(folder, name) for folder, name in ((model, "model"), (champion, "champion")))
    shared = (
        outcomes.select(*FIRM_YEAR_KEYS, "failed")
        .join(ours, on=FIRM_YEAR_KEYS)
        .join(theirs, on=FIRM_YEAR_KEYS)
        .sort(FIRM_YEAR_KEYS)
    )
    rows = shared.filter(pl.col("values_model") == pl.col("values_champion"))
    changed = shared.height - rows.height
    found: dict[str, Any] = {
        "champion": champion.name,
        "figures": None,
        "difference": None,
        "shared": shared.height,
        "changed": changed,
    }
    if changed <= MAX_CHANGED_SHARE * shared.height and 0 < rows["failed"].sum() < rows.height:
        scores = {name: ResampledScore.resample(rows, f"pd_{name}", COMPARISON_BOOTSTRAP) for name in ("model", "champion")}
        found["figures"] = {name: score.judge() for name, score in scores.items()}
        found["difference"] = scores["model"].judge_against(scores["champion"])
    return found


def judged_companies(folder: Path) -> set[str]:
    """Return the ids of the companies that a registered model was judged on, out of time."""
    return {*read_table(folder / "history.parquet")["company_id"]}


def _scores(folder: Path, name: str) -> pl.DataFrame:
    table = read_table(folder / "history.parquet").select(*FIRM_YEAR_KEYS, pl.col("pd_12m").alias(f"pd_{name}"))
    return table.join(read_table(folder / ROW_VALUES_FILE).rename({"values": f"values_{name}"}), on=FIRM_YEAR_KEYS)


def ranks_worse(comparison: dict[str, Any] | None) -> bool:
    """Return whether a model ranks worse than the champion on the same rows: the interval of the AUC difference is below 0."""
    if comparison is None or comparison["difference"] is None:
        return False
    high = comparison["difference"]["interval"]["auc"][1]
    return high is not None and high < 0


def comparison_in_words(comparison: dict[str, Any]) -> LocalisedMessage:
    """Return a comparison with the champion as a message."""
    gap, other = comparison["difference"], {"champion": comparison["champion"]}
    if gap is None and comparison.get("changed", 0) > MAX_CHANGED_SHARE * comparison.get("shared", 0):
        counts = {name: LocalisedFigure(comparison[name]) for name in ("changed", "shared")}
        return LocalisedMessage(
            "against {champion}: not compared, since the data are others ({changed} of {shared} shared company-years hold other "
            "values)",
            {**other, **counts},
        )
    if gap is None:
        return LocalisedMessage("against {champion}: they share no failure, so nothing can be said", other)
    low, high = gap["interval"]["auc"]
    auc: LocalisedFigure | LocalisedMessage = _gap(gap["auc"])
    if low is not None:
        auc = LocalisedMessage("{value} ({low} to {high})", {"value": auc, "low": _gap(low), "high": _gap(high)})
    figures = {"rows": LocalisedFigure(gap["rows"]), "auc": auc, "precision": _gap(gap["average_precision"])}
    return LocalisedMessage(
        "against {champion} on the same {rows} rows: AUC {auc}, average precision {precision}", {**other, **figures}
    )


def _gap(value: float) -> LocalisedFigure:
    return LocalisedFigure(value, 3, signed=True)


def challenger_in_words(challenger: dict[str, Any]) -> LocalisedMessage:
    """Return a message on a model that is not champion: its comparison with the champion, and the gates it failed.

    challenger: model_id, version, gates and comparison, as from `quiebra.registry.list_models`.
    """
    failed = [LocalisedMessage(row["words"]) for row in challenger["gates"] if row["verdict"] == "fail"]
    found = challenger["comparison"]
    values = {
        "model": challenger["model_id"],
        "version": challenger["version"],
        "comparison": LocalisedMessage("not compared with another") if found is None else comparison_in_words(found),
        "tests": failed,
    }
    if failed:
        return LocalisedMessage(
            "model {model} v{version}, trained last, is not in charge: it failed {tests}; {comparison}", values
        )
    return LocalisedMessage("model {model} v{version}, trained last, is not in charge; {comparison}", values)

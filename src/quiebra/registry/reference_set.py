"""A small reference set next to each model: statements, their features, and the scores that the model gave them.

Where the code from statement to score has changed since, a model may score only if it still reproduces these figures.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.feature_engineering import FEATURES_BY_NAME, feature_table
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.feature_engineering.dictionary import data_dictionary
from quiebra.io.files import read_table, write_table
from quiebra.items import VERSION_KEYS
from quiebra.models import PdModel
from quiebra.provenance import code_hash, json_sha256

REFERENCE_FOLDER = "reference"
MAX_REFERENCE_COMPANIES = 40
"""Most companies whose statements are kept, evenly spread over the panel's ids."""
TOLERANCE = 1e-9
"""Largest difference allowed: relative, and absolute for numbers below one."""
SCORING_PACKAGES = ("feature_engineering", "models")
"""Packages that turn a statement into a score."""


def feature_code() -> dict[str, str]:
    """Return the hashes of the code that turns statements into scores, and of the data dictionary."""
    return {"code_sha256": code_hash(SCORING_PACKAGES), "dictionary_sha256": json_sha256(data_dictionary())}


def write_reference(folder: Path, model: PdModel, statements: pl.DataFrame, companies: pl.DataFrame) -> None:
    """Write the statements of some companies, and their features and scores by this code and model."""
    ids = statements["company_id"].unique().sort()
    some = ids.gather_every(max(1, len(ids) // MAX_REFERENCE_COMPANIES)).head(MAX_REFERENCE_COMPANIES).implode()
    ours = statements.filter(pl.col("company_id").is_in(some)).sort("company_id", "fiscal_year", "available_at")
    theirs = companies.filter(pl.col("company_id").is_in(some)).sort("company_id")
    write_table(folder / "statements.parquet", ours)
    write_table(folder / "companies.parquet", theirs)
    write_table(folder / "expected.parquet", _made(model, ours, theirs))


def _made(model: PdModel, statements: pl.DataFrame, companies: pl.DataFrame) -> pl.DataFrame:
    features = feature_table(statements, companies)
    taken = (name for name in FEATURES_BY_NAME if name in split_features(model))
    altman = (column for score in ALTMAN_SCORES for column in (score, f"{score}_zone"))
    return pl.concat([features.select(*VERSION_KEYS, *taken, *altman), model.predict(features)], how="horizontal")


def split_features(model: PdModel) -> set[str]:
    """Return the features that some tree of the model splits on."""
    return {
        name
        for scorer in model.scorers.values()
        for trees in (scorer.near, scorer.later)
        for name in trees.get_score(importance_type="weight")
    }


def refuse_other_features(model_id: str, folder: Path, model: PdModel, learnt_from: dict[str, str]) -> None:
    """Raise WorkspaceError where today's code gives other features or scores for the reference set than those stored.

    learnt_from: `feature_code` when the model was registered; where it is today's, nothing is computed. Columns that a reference
        set of an earlier version lacks are not compared.
    """
    if learnt_from == feature_code():
        return
    statements, companies, expected = (read_table(folder / f"{name}.parquet") for name in ("statements", "companies", "expected"))
    now = _made(model, statements, companies)
    other = [name for name in expected.columns if name not in VERSION_KEYS and _differ(expected[name], now[name])]
    if other:
        causes = [
            name for name in other if name in FEATURES_BY_NAME or name in ALTMAN_SCORES
        ]  # the other differences follow from these
        raise WorkspaceError(
            "model {model} is not used: of its reference set this code makes other figures than it was kept with. These differ: "
            "{figures}. Take the change of src/quiebra/feature_engineering or src/quiebra/models back, or put a model in charge "
            "that was trained after it (`quiebra models` lists them)",
            model=model_id,
            figures=", ".join(causes or other),
        )


def _differ(before: pl.Series, now: pl.Series) -> bool:
    """Return whether two columns differ (numbers: by more than `TOLERANCE`), or are not null in the same rows."""
    if not before.dtype.is_float():
        return not before.equals(now, null_equal=True)
    pair = pl.DataFrame({"before": before.fill_nan(None), "now": now.fill_nan(None)})
    if (pair["before"].is_null() != pair["now"].is_null()).any():
        return True
    gap = (pl.col("now") - pl.col("before")).abs() > TOLERANCE * pl.max_horizontal(pl.lit(1.0), pl.col("before").abs())
    infinite = pl.col("before").is_infinite() | pl.col("now").is_infinite()
    other = pl.when(infinite).then(pl.col("before") != pl.col("now")).otherwise(gap)
    return bool(pair.drop_nulls().select(other.any()).item())

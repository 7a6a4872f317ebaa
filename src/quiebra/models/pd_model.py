"""The PD model, with a scorer for each kind of company, saved as XGBoost files and JSON, never as a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.io.files import read_json, write_atomically, write_json
from quiebra.models.scorer import SCORER_KINDS, Scorer, feature_names
from quiebra.provenance import hash_files, json_sha256

if TYPE_CHECKING:
    import xgboost as xgb

MAX_MISSING_SHARE_RELIED_ON = 0.05
"""A feature missing in a smaller share of the training rows is one that the model relies on."""
CARD_FILE, TREES_FOLDER = "model.json", "trees"


@dataclass(frozen=True)
class PdModel:
    """A fitted model of the probability of default.

    scorers: by kind; ``accounting`` always exists, ``market`` where there were enough companies with market values to train on.
    typical: median of each feature in the training window, for phrases such as "0.93 (typical 0.52)".
    card: what it was made from (params, years, rows, failures, hashes), without the date of making.
    """

    scorers: dict[str, Scorer]
    confidence: float
    typical: dict[str, float | None]
    card: dict[str, Any] = field(default_factory=dict)

    def kinds(self, table: pl.DataFrame) -> pl.Series:
        """Return each row's scorer: ``market`` where the model has it and the row has a market value, else ``accounting``."""
        listed = pl.col("log_market_value").is_not_null() & pl.lit("market" in self.scorers)
        return table.select(scorer=pl.when(listed).then(pl.lit("market")).otherwise(pl.lit("accounting"))).to_series()

    def _rows(self, table: pl.DataFrame) -> list[tuple[Scorer, np.ndarray]]:
        kinds = self.kinds(table).to_numpy()
        return [(scorer, rows) for kind, scorer in self.scorers.items() if len(rows := np.flatnonzero(kinds == kind))]

    def predict(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return one row per input row: scorer, the parts' log-odds, log_odds, pd_12m … pd_60m, and low and high of each PD.

        The interval covers calibration and the spread between years, not what else could be learnt about a company.
        """
        pieces = []
        for scorer, rows in self._rows(table):
            parts = scorer.parts(table[rows])
            done = pl.concat([parts, scorer.finish(parts, self.confidence)], how="horizontal")
            pieces.append(done.with_columns(scorer=pl.lit(scorer.kind), row=pl.Series(rows)))
        if not pieces:
            return self.predict(_one_empty_row(table)).clear()
        return pl.concat(pieces).sort("row").select("scorer", pl.exclude("scorer", "row"))

    def explain(self, table: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Return contributions (rows × features and ``altman``) and the base, which add up exactly to ``log_odds``."""
        base = np.zeros(table.height)
        pieces = []
        for scorer, rows in self._rows(table):
            frame, base[rows] = scorer.explain(table[rows])
            pieces.append(frame.with_columns(row=pl.Series(rows)))
        return pl.concat(pieces).sort("row").drop("row"), base

    def blind_share(self, table: pl.DataFrame) -> pl.Series:
        """Return, for each row, the share missing of the features that were nearly always present in its scorer's training rows.

        Trees send a value that was never missing in training down an untrained branch: do not trust a score with a high share.
        """
        result = np.zeros(table.height)
        for scorer, rows in self._rows(table):
            shares = self.card["missing_share"][scorer.kind]
            usual = [name for name in scorer.names if shares[name] < MAX_MISSING_SHARE_RELIED_ON]
            result[rows] = table[rows].select(pl.mean_horizontal(pl.col(name).is_null() for name in usual)).to_series()
        return pl.Series("blind_share", result)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, in ``trees/``, two sets of trees per scorer; delete those of scorers that the model lacks."""
        for kind in set(SCORER_KINDS) - set(self.scorers):
            for path in (folder / TREES_FOLDER).glob(f"{kind}_*.ubj"):
                path.unlink()
        for kind, scorer in self.scorers.items():
            for part in ("near", "later"):
                raw = getattr(scorer, part).save_raw("ubj")
                write_atomically(folder / TREES_FOLDER / f"{kind}_{part}.ubj", partial(Path.write_bytes, data=raw))
        scorers = {kind: scorer.as_record() for kind, scorer in self.scorers.items()}
        content = {"scorers": scorers, "confidence": self.confidence, "typical": self.typical, "card": self.card}
        write_json(folder / CARD_FILE, content)

    @classmethod
    def load(cls, folder: Path) -> PdModel:
        """Read a saved model; raise WorkspaceError where it is missing, or uses features that this code does not compute."""
        content = read_json(folder / CARD_FILE)
        scorers = {}
        for kind, record in content["scorers"].items():
            if gone := sorted(set(record["features"]) - set(feature_names(kind))):
                raise WorkspaceError(
                    "{path} takes features that neither this code nor the panel has: {features}. Bring them back (those of "
                    "your own in ingest.table.features), or run `dvc repro` to train again",
                    path=folder / CARD_FILE,
                    features=", ".join(gone),
                )
            near, later = (_read_trees(folder / TREES_FOLDER / f"{kind}_{part}.ubj") for part in ("near", "later"))
            scorers[kind] = Scorer.from_record(kind, record, near, later)
        return cls(scorers, content["confidence"], content["typical"], content["card"])


def _one_empty_row(table: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({name: [None] for name in table.columns}, schema=table.schema)


def _read_trees(path: Path) -> xgb.Booster:
    import xgboost as xgb

    booster = xgb.Booster()
    booster.load_model(bytearray(path.read_bytes()))
    return booster


def model_hash(folder: Path) -> str:
    """Return one hash over the saved model's files."""
    trees = [folder / TREES_FOLDER / f"{kind}_{part}.ubj" for kind in SCORER_KINDS for part in ("near", "later")]
    return json_sha256(hash_files([folder / CARD_FILE, *(path for path in trees if path.exists())]))

"""The PD model, with a scorer for each kind of company, saved as XGBoost files and JSON, never as a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quiebra.errors import WorkspaceError
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.matrix import to_columns, to_matrix
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

    def kinds(self, table: pl.DataFrame) -> list[str]:
        """Return each row's scorer: ``market`` where the model has it and the row has a market value, else ``accounting``."""
        listed = table["log_market_value"].is_not_null().to_numpy() & ("market" in self.scorers)
        kinds: list[str] = np.where(listed, "market", "accounting").tolist()
        return kinds

    def _rows(self, table: pl.DataFrame) -> list[tuple[Scorer, np.ndarray, pl.DataFrame]]:
        """Return each scorer that some rows have, with the positions of these, and the rows."""
        kinds = np.array(self.kinds(table))
        places = {kind: np.flatnonzero(kinds == kind) for kind in self.scorers}
        return [
            (self.scorers[kind], rows, table if len(rows) == table.height else table[rows])
            for kind, rows in places.items()
            if len(rows)
        ]

    def predict(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return one row per input row: scorer, the parts' log-odds, log_odds, pd_12m … pd_60m, and low and high of each PD.

        The interval covers calibration and the spread between years, not what else could be learnt about a company.
        """
        if table.is_empty():
            return self.predict(_one_empty_row(table)).clear()
        pieces, places = [], []
        for scorer, rows, own in self._rows(table):
            parts = scorer.parts(own)
            pieces.append(parts.hstack(scorer.finish(parts, self.confidence)))
            places.append(rows)
        return pl.concat(pieces)[np.argsort(np.concatenate(places))].insert_column(0, pl.Series("scorer", self.kinds(table)))

    def explain(self, table: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Return contributions (rows × features and ``altman``) and the base, which add up exactly to ``log_odds``."""
        parts, base = self.contributions(table)
        return pl.DataFrame(to_columns(parts, (*FEATURES_BY_NAME, "altman"))), base

    def contributions(self, table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return what `explain` does, the contributions as one array."""
        parts, base = np.zeros((table.height, len(FEATURES_BY_NAME) + 1), order="F"), np.zeros(table.height)
        for scorer, rows, own in self._rows(table):
            parts[rows], base[rows] = scorer.contributions(own)
        return parts, base

    def blind_share(self, table: pl.DataFrame) -> pl.Series:
        """Return, for each row, the share missing of the features that were nearly always present in its scorer's training rows.

        Trees send a value that was never missing in training down an untrained branch: do not trust a score with a high share.
        """
        result = np.zeros(table.height)
        for scorer, rows, own in self._rows(table):
            shares = self.card["missing_share"][scorer.kind]
            usual = [name for name in scorer.names if shares[name] < MAX_MISSING_SHARE_RELIED_ON]
            result[rows] = np.isnan(to_matrix(own, usual)).mean(axis=1)
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

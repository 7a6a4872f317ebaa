"""The saved model: trees, Altman links, blend and calibration, as XGBoost's own format and JSON. Never a pickle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from scipy.special import expit

from quiebra.errors import WorkspaceError
from quiebra.files import read_json, write_atomically, write_json
from quiebra.models.altman_link import Line, altman_log_odds
from quiebra.models.blend import Blend
from quiebra.models.hazard import FEATURE_NAMES, contributions, design, margin
from quiebra.provenance import digest, hash_files

USUALLY_THERE = 0.05
"""A feature missing in fewer training rows than this is one that the model relies on."""

TREES, CARD = "hazard.ubj", "model.json"


@dataclass(frozen=True)
class PdModel:
    """A fitted probability-of-default model.

    typical: median of each feature in the training window, for words such as "0.93 (typical 0.52)".
    card: what it was made from (params, years, rows, failures, hashes); free of dates of making.
    """

    booster: xgb.Booster
    links: dict[str, Line]
    blend: Blend
    altman_base: float
    typical: dict[str, float | None]
    card: dict[str, Any] = field(default_factory=dict)

    def predict(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return log_odds_model, log_odds_altman (missing without an Altman score), log_odds and pd_12m, one row a row."""
        model, altman = margin(self.booster, design(table)), altman_log_odds(table, self.links)
        blended = self.blend.log_odds(model, altman)
        return pl.DataFrame(
            {"log_odds_model": model, "log_odds_altman": altman, "log_odds": blended, "pd_12m": expit(blended)}
        ).fill_nan(None)

    def explain(self, table: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Return contributions (rows × features and ``altman``) and the base: together they are exactly ``log_odds``."""
        values, base = contributions(self.booster, design(table))
        altman = altman_log_odds(table, self.links)
        weight = self.blend.weights(altman)[:, None]
        scaled = self.blend.slope * weight * values
        rest = self.blend.slope * (1 - weight[:, 0])
        frame = pl.DataFrame(scaled, schema=list(FEATURE_NAMES))
        frame = frame.with_columns(altman=pl.Series(rest * np.nan_to_num(altman - self.altman_base)))
        model_base = self.blend.slope * weight[:, 0] * base
        return frame, self.blend.intercept + model_base + rest * self.altman_base

    def blind_share(self, table: pl.DataFrame) -> pl.Series:
        """Return, for each row, the share missing of the features that were nearly always there in training.

        Trees send a value that they never saw missing down one side unlearnt: a score with a high share is not to be trusted.
        """
        usual = [name for name, share in self.card["missing_share"].items() if share < USUALLY_THERE]
        return table.select(pl.mean_horizontal(pl.col(name).is_null() for name in usual)).to_series()

    def save(self, folder: Path) -> None:
        """Write ``hazard.ubj`` and ``model.json``."""
        write_atomically(folder / TREES, lambda path: path.write_bytes(self.booster.save_raw("ubj")))
        write_json(
            folder / CARD,
            {
                "features": list(FEATURE_NAMES),
                "altman_links": {name: asdict(line) for name, line in self.links.items()},
                "altman_base": self.altman_base,
                "blend": asdict(self.blend),
                "typical": self.typical,
                "card": self.card,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> PdModel:
        """Read a saved model; WorkspaceError where it is missing or was made for other features."""
        content = read_json(folder / CARD)
        if content["features"] != list(FEATURE_NAMES):
            raise WorkspaceError(f"{folder / CARD} was made with other features: run `dvc repro` to train again")
        booster = xgb.Booster()
        booster.load_model(bytearray((folder / TREES).read_bytes()))
        booster.feature_names = content["features"]
        return cls(
            booster=booster,
            links={name: Line(**line) for name, line in content["altman_links"].items()},
            blend=Blend(**content["blend"]),
            altman_base=content["altman_base"],
            typical=content["typical"],
            card=content["card"],
        )


def model_hash(folder: Path) -> str:
    """Return one hash over the saved model's files."""
    return digest(hash_files([folder / TREES, folder / CARD]))


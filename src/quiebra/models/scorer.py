"""A scorer turns features into PDs for one of two kinds of company: with a market value, or without."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from quiebra.feature_engineering import FEATURES_BY_NAME, market_features
from quiebra.feature_engineering.matrix import to_columns, to_matrix
from quiebra.models.altman_link import AltmanLink, altman_log_odds
from quiebra.models.blend import Blend
from quiebra.models.interval import PdUncertainty, assumed_uncertainty, pd_interval
from quiebra.models.term import HORIZON_YEARS, PD_COLUMNS, TermStructure, cumulative_pds, near_share
from quiebra.models.tree_shap import LeafPaths, leaf_paths, tree_shap
from quiebra.models.trees import design_matrix, log_odds

if TYPE_CHECKING:
    import xgboost as xgb

SCORER_KINDS = ("market", "accounting")
PART_COLUMNS = ("log_odds_near", "log_odds_later", "log_odds_model", "log_odds_altman")
FOUND_COLUMNS = ("log_odds", *PD_COLUMNS, *(f"{name}_{end}" for name in PD_COLUMNS for end in ("low", "high")))


def feature_names(kind: str) -> tuple[str, ...]:
    """Return the features that a kind may use: all, or those that need no market value."""
    needs_market = market_features()
    return tuple(name for name in FEATURES_BY_NAME if kind == "market" or name not in needs_market)


@dataclass(frozen=True)
class Scorer:
    """Trees, Altman links, blend and calibration of one kind of company.

    near, later: trees for the hazard of the first year, and of years two to five.
    near_share, near_decay: weight of the first year's trees; see `quiebra.models.term.near_share`.
    links: see `quiebra.models.altman_link`. altman_base: mean Altman log-odds in training, the base of Altman's contribution.
    blend: model with Altman, calibrated. term: calibration of later years. spread: uncertainty of the first year's log-odds.
    """

    kind: str
    near: xgb.Booster
    later: xgb.Booster
    links: dict[str, AltmanLink]
    altman_base: float
    near_share: float
    near_decay: float
    blend: Blend
    term: TermStructure = TermStructure(0.0, 1.0, 0)  # noqa: RUF009
    spread: PdUncertainty = field(default_factory=lambda: assumed_uncertainty(0))

    @property
    def market(self) -> bool:
        return self.kind == "market"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features that both sets of trees use, in order."""
        return tuple(cast("list[str]", self.near.feature_names))

    @cached_property
    def _paths(self) -> tuple[LeafPaths, LeafPaths]:
        return leaf_paths(self.near), leaf_paths(self.later)

    def parts(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the log-odds before blending and calibration (`PART_COLUMNS`); Altman's is null where there is no score."""
        inputs = design_matrix(table, self.names)
        near, later = (log_odds(trees, inputs) for trees in (self.near, self.later))
        share = self.near_share
        values = (near, later, share * near + (1 - share) * later, altman_log_odds(table, self.links, market=self.market))
        return pl.DataFrame(to_columns(np.column_stack(values), PART_COLUMNS))

    def finish(self, parts: pl.DataFrame, confidence: float) -> pl.DataFrame:
        """Return log_odds, pd_12m … pd_60m, and low and high of each PD, from `parts`."""
        model, altman = to_matrix(parts, ("log_odds_model", "log_odds_altman")).T
        log_odds = self.blend.log_odds(model, altman)
        error = self.spread.standard_error(self.blend.mixed(model, altman))
        later = self.term.log_odds(later_log_odds(parts, self.near_share, self.near_decay))
        pds = cumulative_pds(log_odds, later)
        low, high = pd_interval(np.log(pds) - np.log1p(-pds), error[:, None], confidence)
        bounds = np.stack([low, high], axis=2).reshape(len(pds), -1)
        return pl.DataFrame(to_columns(np.column_stack([log_odds, pds, bounds]), FOUND_COLUMNS))

    def contributions(self, table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return contributions (rows × all features and ``altman``) and the base: together exactly ``log_odds``."""
        altman = altman_log_odds(table, self.links, market=self.market)
        weight = self.blend.weights(altman)
        rest = self.blend.slope * (1 - weight)
        total = np.zeros((len(table), len(FEATURES_BY_NAME) + 1))
        base = self.blend.intercept + rest * self.altman_base
        inputs, places = design_matrix(table, self.names), {name: at for at, name in enumerate(FEATURES_BY_NAME)}
        used = [places[name] for name in self.names]
        for paths, share in zip(self._paths, (self.near_share, 1 - self.near_share), strict=True):
            scale = self.blend.slope * weight * share
            base = base + scale * paths.base
            total[:, used] += scale[:, None] * tree_shap(paths, inputs)
        total[:, -1] = rest * np.nan_to_num(altman - self.altman_base)
        return total, base

    def as_record(self) -> dict[str, Any]:
        """Return all but the trees as JSON values."""
        return {
            "features": list(self.names),
            "altman_links": {name: asdict(line) for name, line in self.links.items()},
            "altman_base": self.altman_base,
            "near_share": self.near_share,
            "near_decay": self.near_decay,
            "blend": asdict(self.blend),
            "term": asdict(self.term),
            "spread": asdict(self.spread),
        }

    @classmethod
    def from_record(cls, kind: str, record: dict[str, Any], near: xgb.Booster, later: xgb.Booster) -> Scorer:
        """Restore a scorer from its record and trees."""
        for trees in (near, later):
            trees.feature_names = record["features"]
        links = {name: AltmanLink(**line) for name, line in record["altman_links"].items()}
        return cls(
            kind,
            near,
            later,
            links,
            record["altman_base"],
            record["near_share"],
            record["near_decay"],
            Blend(**record["blend"]),
            TermStructure(**record["term"]),
            PdUncertainty(**record["spread"]),
        )


def later_log_odds(parts: pl.DataFrame, share: float, decay: float) -> np.ndarray:
    """Return the log-odds of the hazards of years two to five before calibration, rows × 4."""
    near, later = parts["log_odds_near"].to_numpy(), parts["log_odds_later"].to_numpy()
    shares = [near_share(years, share, decay) for years in HORIZON_YEARS[1:]]
    return np.column_stack([part * near + (1 - part) * later for part in shares])

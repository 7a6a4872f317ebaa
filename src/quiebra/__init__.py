"""Quiebra: corporate bankruptcy risk, from raw statements to a published report.

The research interface, `import quiebra as qb`: tables of the workspace as pandas or Polars, verdicts on scikit-learn estimators
and features of your own against the champion, fits and explanations. Everything else is in the package's modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quiebra.research import (
        ALTMAN_FIVE_RATIOS,
        SIX_RATIOS,
        BoostedTrees,
        Company,
        Comparison,
        FittedEstimator,
        SurvivalClassifier,
        Verdict,
        Winsorizer,
        back_test,
        boosted_trees,
        company,
        compare,
        explain,
        features,
        fit,
        labels,
        macro,
        panel,
        ratio_logit,
        scores,
        statements,
        verdicts,
        walk_forward,
    )

__version__ = "0.1.0"
__all__ = [
    "ALTMAN_FIVE_RATIOS",
    "SIX_RATIOS",
    "BoostedTrees",
    "Company",
    "Comparison",
    "FittedEstimator",
    "SurvivalClassifier",
    "Verdict",
    "Winsorizer",
    "back_test",
    "boosted_trees",
    "company",
    "compare",
    "explain",
    "features",
    "fit",
    "labels",
    "macro",
    "panel",
    "ratio_logit",
    "scores",
    "statements",
    "verdicts",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    """Import the research interface when one of its names is asked for: commands and stages do without it."""
    if name not in __all__:
        raise AttributeError(f"module 'quiebra' has no attribute '{name}'")
    return getattr(import_module("quiebra.research"), name)


def __dir__() -> list[str]:
    return ["__version__", *__all__]

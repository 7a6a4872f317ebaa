"""Quiebra: corporate bankruptcy risk, from raw statements to a published report.

The research interface, `import quiebra as qb`: tables of the workspace as pandas or Polars, verdicts on scikit-learn estimators
and features of your own against the champion, fits and explanations. Everything else is in the package's modules.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
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


class _Module(ModuleType):
    """A module that pickles as an import, so that functions of a notebook that use it can be sent to other processes."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return import_module, (self.__name__,)


class _CallableModule(_Module):
    """A package that shares its name with a function of the research interface: called, it is that function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of that name; `quiebra.research` documents it."""
        return getattr(import_module("quiebra.research"), self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Interface(_Module):
    """This package: ``quiebra.panel`` and ``quiebra.features`` are packages of it, and functions of the research interface."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _CallableModule
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Import the research interface when one of its names is asked for: commands and stages do without it."""
        if name not in __all__:
            raise AttributeError(f"module 'quiebra' has no attribute '{name}'")
        research = import_module("quiebra.research")
        return vars(self).get(name, getattr(research, name))

    def __dir__(self) -> list[str]:
        return ["__version__", *__all__]


sys.modules[__name__].__class__ = _Interface

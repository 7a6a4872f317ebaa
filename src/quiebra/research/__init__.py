"""Research interface: `import quiebra as qb` gives its public names. Tables, verdicts on estimators, fits and explanations."""

from quiebra.research.company import Company, company
from quiebra.research.estimators import BoostedTrees, SurvivalClassifier, boosted_trees
from quiebra.research.fitting import FittedEstimator, explain, fit
from quiebra.research.tables import back_test, features, labels, macro, panel, scores, statements
from quiebra.research.trials import verdicts
from quiebra.research.verdict import Comparison, Verdict, compare
from quiebra.research.walk import walk_forward
from quiebra.validation.challengers import ALTMAN_FIVE_RATIOS, SIX_RATIOS
from quiebra.validation.estimators import Winsorizer, ratio_logit

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

"""The verdict: each validation test of a model against its thresholds in params, as pass, watch or fail."""

from __future__ import annotations

from typing import Any

from quiebra.params import Gates

GATE_TESTS = {
    "auc": ("AUC, out of time", "least"),
    "pd_over_observed": ("mean PD over observed rate", "factor"),
    "grades_inside": ("grades calibrated, of those with five failures or more", "least"),
    "interval_coverage": ("coverage of the intervals on PDs", "least"),
    "score_psi": ("PSI of scores, last year against those before", "most"),
}
"""Name in ``validate.gates`` → description, and whether its threshold is a lower bound, an upper bound, or a factor of 1."""


def judge_gates(
    values: dict[str, float | None], gates: Gates, intervals: dict[str, list[float | None]] | None = None
) -> list[dict[str, Any]]:
    """Return one row per test: test, words, value, interval, pass, watch and verdict, in the order of `GATE_TESTS`.

    A missing value, where there is too little data, gives ``watch``.
    """
    rows = []
    for name, (words, kind) in GATE_TESTS.items():
        gate, value = getattr(gates, name), values.get(name)
        rows.append(
            {
                "test": name,
                "words": words,
                "value": value,
                "interval": (intervals or {}).get(name),
                "pass": gate.pass_,
                "watch": gate.watch,
                "verdict": _judge(value, kind, gate.pass_, gate.watch),
            }
        )
    return rows


def failed_gates(rows: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each failed test: the value and the threshold."""
    asked = {"least": "at least", "most": "at most", "factor": "within a factor of"}
    return [
        f"{row['words']} is {row['value']:.3f}, and {asked[GATE_TESTS[row['test']][1]]} {row['watch']:g} is asked "
        f"(validate.gates.{row['test']})"
        for row in rows
        if row["verdict"] == "fail"
    ]


def meets_bound(value: float, kind: str, bound: float) -> bool:
    """Return whether a value is at ``least`` a bound, at ``most`` it, or within it as a ``factor`` of 1."""
    if kind == "factor":
        return value > 0 and max(value, 1 / value) <= bound
    return value >= bound if kind == "least" else value <= bound


def _judge(value: float | None, kind: str, good: float, bearable: float) -> str:
    if value is None:
        return "watch"
    return next((name for name, bound in (("pass", good), ("watch", bearable)) if meets_bound(value, kind, bound)), "fail")

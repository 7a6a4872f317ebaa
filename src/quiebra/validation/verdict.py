"""The verdict: every test of a model against its threshold in params, as pass, watch or fail."""

from __future__ import annotations

from typing import Any

from quiebra.params import Gates

TESTS = {
    "auc": ("AUC, out of time", "least"),
    "pd_over_observed": ("mean PD over observed rate", "factor"),
    "grades_inside": ("grades calibrated, of those with five failures or more", "least"),
    "interval_coverage": ("coverage of the intervals on PDs", "least"),
    "score_psi": ("PSI of scores, last year against those before", "most"),
}
"""Name in ``validate.gates`` → words, and whether the value must be at least or at most that, or within that factor of 1."""


def verdict(
    values: dict[str, float | None], gates: Gates, intervals: dict[str, list[float | None]] | None = None
) -> list[dict[str, Any]]:
    """Return one row a test: test, words, value, interval, pass, watch and verdict, in the order of `TESTS`.

    A value that is missing, since too little is known, is on ``watch``.
    """
    rows = []
    for name, (words, kind) in TESTS.items():
        gate, value = getattr(gates, name), values.get(name)
        rows.append(
            {
                "test": name, "words": words, "value": value, "interval": (intervals or {}).get(name), "pass": gate.pass_,
                "watch": gate.watch, "verdict": _judge(value, kind, gate.pass_, gate.watch),
            }
        )  # fmt: skip
    return rows


def failed_gates(rows: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each test that failed: what was measured and what was asked."""
    asked = {"least": "at least", "most": "at most", "factor": "within a factor of"}
    return [
        f"{row['words']} is {row['value']:.3f}, and {asked[TESTS[row['test']][1]]} {row['watch']:g} is asked "
        f"(validate.gates.{row['test']})"
        for row in rows
        if row["verdict"] == "fail"
    ]


def holds(value: float, kind: str, bound: float) -> bool:
    """Return whether a value is at ``least`` a bound, at ``most`` it, or within it as a ``factor`` of 1."""
    if kind == "factor":
        return value > 0 and max(value, 1 / value) <= bound
    return value >= bound if kind == "least" else value <= bound


def _judge(value: float | None, kind: str, good: float, bearable: float) -> str:
    if value is None:
        return "watch"
    return next((name for name, bound in (("pass", good), ("watch", bearable)) if holds(value, kind, bound)), "fail")

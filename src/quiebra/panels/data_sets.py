"""Tell whether two panels of one source are the same data set at two times, or two data sets."""

from __future__ import annotations

from collections.abc import Collection

SAME_COMPANIES = 0.1
"""Share of the companies of the smaller of two panels that the other has too, from which on they are one data set."""


def are_other_companies(before: Collection[str], now: Collection[str]) -> bool:
    """Return whether two panels are of different data sets, by their companies' ids; False where one of them has none.

    Alerts, champions and changes since the last run are carried from one run of a source to the next. They mean nothing where
    the user's table was replaced by one of other companies.

    >>> are_other_companies(["A", "B"], ["B", "C"]), are_other_companies(["A", "B"], ["1", "2"]), are_other_companies([], ["1"])
    (False, True, False)
    """
    smaller = min(len(set(before)), len(set(now)))
    return len({*before} & {*now}) < SAME_COMPANIES * smaller

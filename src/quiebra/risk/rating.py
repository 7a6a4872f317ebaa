"""The rating scale: grades by one-year PD, and migration between them."""

from __future__ import annotations

import polars as pl


def grade_of_pd(pd: pl.Expr, grades: dict[str, float]) -> pl.Expr:
    """Return the grade of a PD column: the best grade whose upper bound is not below the PD. A missing PD gives a missing grade.

    >>> import polars as pl
    >>> scale = {"A": 0.01, "B": 0.1, "C": 1.0}
    >>> pl.DataFrame({"pd": [0.01, 0.0101, 1.0]}).select(grade_of_pd(pl.col("pd"), scale)).to_series().to_list()
    ['A', 'B', 'C']
    """
    cases = pl.coalesce(pl.when(pd <= bound).then(pl.lit(name)) for name, bound in grades.items())
    return pl.when(pd.is_not_null()).then(cases)


def is_on_watch(rating: pl.Expr, grades: dict[str, float], watch_from: str) -> pl.Expr:
    """Return whether a grade is ``watch_from`` or worse."""
    names = list(grades)
    return rating.is_in(names[names.index(watch_from) :])


def migration(before: pl.DataFrame, after: pl.DataFrame, grades: dict[str, float]) -> pl.DataFrame:
    """Return counts of companies by grade before (rows) and after (columns), for companies with a grade before.

    before, after: company_id and rating. Columns: from, one per grade in scale order, and gone (no score after).
    """
    names = list(grades)
    moves = before.select("company_id", start="rating").join(
        after.select("company_id", end="rating"), on="company_id", how="left"
    )
    moves = moves.with_columns(pl.col("end").fill_null("gone"))
    counts = {(a, b): n for a, b, n in moves.group_by("start", "end").len().iter_rows()}
    columns = {"from": names} | {end: [counts.get((start, end), 0) for start in names] for end in (*names, "gone")}
    return pl.DataFrame(columns)


def yearly_migration(history: pl.DataFrame, years: list[int], grades: dict[str, float]) -> pl.DataFrame:
    """Return `migration` summed over each of ``years`` and the year after it; history: company_id, fiscal_year and rating.

    Years without scores in the year after are skipped.
    """
    scored = {year: history.filter(pl.col("fiscal_year") == year) for year in {*years, *(year + 1 for year in years)}}
    pairs = [(scored[year], scored[year + 1]) for year in years if scored[year].height and scored[year + 1].height]
    empty = history.clear()
    moves = [migration(before, after, grades) for before, after in pairs] or [migration(empty, empty, grades)]
    counts = pl.concat(moves).group_by("from", maintain_order=True).agg(pl.all().sum())
    return counts.select(moves[0].columns)

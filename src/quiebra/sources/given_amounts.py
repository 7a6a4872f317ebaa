"""Amounts of accounts as a service gives them, put together by company and end of a fiscal year."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import polars as pl

from quiebra.errors import LocalisedMessage


class GivenAmounts:
    """Amounts by company, end of the fiscal year and field.

    A field that comes twice with different amounts is left out: which one counts is not known. Accounts whose amounts are in
    several currencies have them all, and are set aside for it.
    """

    def __init__(self) -> None:
        self._amounts: dict[tuple[str, str], dict[str, float]] = {}
        self._currencies: dict[tuple[str, str], set[str]] = {}
        self._differing: set[tuple[str, str, str]] = set()

    def add(self, company: str, end: str, currency: str | None, amounts: dict[str, float]) -> None:
        """Add amounts by field. end: as the service writes the date. ValueError for one that is no number."""
        row = self._amounts.setdefault((company, end), {})
        if currency:
            self._currencies.setdefault((company, end), set()).add(currency)
        for field, amount in amounts.items():
            if not math.isnan(amount) and row.setdefault(field, amount) != amount:
                self._differing.add((company, end, field))

    def table(self, fields: Collection[str]) -> pl.DataFrame:
        """Return a row for each company and end: company_id, period_end (null where it is no date), currency and the fields."""
        schema: dict[str, Any] = {
            **dict.fromkeys(("company_id", "period_end", "currency"), pl.String),
            **dict.fromkeys(sorted(fields), pl.Float64),
        }
        rows = [
            {
                **{field: amount for field, amount in row.items() if (company, end, field) not in self._differing},
                "company_id": company,
                "period_end": end,
                "currency": ", ".join(sorted(self._currencies.get((company, end), ()))) or None,
            }
            for (company, end), row in self._amounts.items()
        ]
        table = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
        return table.with_columns(pl.col("period_end").str.to_date("%Y-%m-%d", strict=False))

    def notes(self) -> Iterator[LocalisedMessage]:
        """Yield how many amounts were left out since they came twice."""
        if self._differing:
            company, end, field = min(self._differing)
            yield LocalisedMessage(
                "amounts that the service gives twice for one day, and differently, left out: {n}, such as {field} of {company} "
                "on {date}",
                {"n": len(self._differing), "field": field, "company": company, "date": end},
            )

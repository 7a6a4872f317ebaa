"""From a source's own fields to the canonical items: for each item a ladder of rules, of which the first with a value counts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from quiebra.canonical import LINEAGE_SCHEMA, conform_to_schema
from quiebra.sources.derived_items import derive_items


@dataclass(frozen=True)
class ItemRule:
    """One way to an item. name: as the lineage table has it. fields: that it reads. value: null where it cannot be had."""

    name: str
    fields: tuple[str, ...]
    value: pl.Expr


@dataclass(frozen=True)
class ItemLadder:
    """The rules of an item, best first. expense: an amount that is given as negative, as some filings do, is taken as positive,
    and the rule's name says so."""

    item: str
    rules: tuple[ItemRule, ...]
    expense: bool = False

    @property
    def fields(self) -> set[str]:
        return {field for rule in self.rules for field in rule.fields}


def field_rules(*names: str) -> tuple[ItemRule, ...]:
    """Return a rule for each field: its value."""
    return tuple(ItemRule(name, (name,), pl.col(name)) for name in names)


def sum_rule(*names: str) -> ItemRule:
    """Return the rule that adds fields up; null where one is missing."""
    return ItemRule(" + ".join(names), names, reduce(operator.add, (pl.col(name) for name in names)))


def difference_rule(total: str, *parts: str, required: str | None = None) -> ItemRule:
    """Return the rule ``total`` less the parts that there are; null without ``required``, the first part if not said."""
    needed = required or parts[0]
    value = pl.col(total) - pl.sum_horizontal(pl.col(part) for part in parts) + 0 * pl.col(needed)
    return ItemRule(" - ".join((total, *parts)), (total, *parts), value)


def fields_of(ladders: Sequence[ItemLadder]) -> set[str]:
    """Return the fields that ladders read."""
    return {field for ladder in ladders for field in ladder.fields}


def item_values(wide: pl.DataFrame, ladders: Sequence[ItemLadder], others: Sequence[str] = ()) -> pl.DataFrame:
    """Return, for each row, the value of each item (column ITEM) and the rule that gave it (column ITEM_rule); others are null.

    wide: a column for each field, null where there is none; further columns are kept, fields are not. others: fields that no
    ladder reads.
    """
    fields = fields_of(ladders) | set(others)
    given = wide.with_columns(pl.lit(None, pl.Float64).alias(field) for field in sorted(fields - set(wide.columns)))
    columns = [name for name in wide.columns if name not in fields]
    return given.select(*columns, *(expr for ladder in ladders for expr in _of(ladder)))


def _of(ladder: ItemLadder) -> tuple[pl.Expr, pl.Expr]:
    value = pl.coalesce(rule.value for rule in ladder.rules)
    named = pl.coalesce(pl.when(rule.value.is_not_null()).then(pl.lit(rule.name)) for rule in ladder.rules)
    if ladder.expense:
        named = pl.when(value < 0).then(pl.format("{} (tagged as negative)", named)).otherwise(named)
        value = value.abs()
    return value.alias(ladder.item), named.alias(f"{ladder.item}_rule")


def with_derived(statements: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return statements with the items that follow from others, and the lineage of those that were worked out."""
    complete, filled = derive_items(statements)
    worked_out = [
        complete.filter(rows).with_columns(item=pl.lit(each.item), value=pl.col(each.item), rule=pl.lit(each.rule))
        for each, rows in filled.items()
    ]
    nothing = pl.DataFrame(schema=LINEAGE_SCHEMA)
    return complete, pl.concat([nothing, *(conform_to_schema(table, LINEAGE_SCHEMA) for table in worked_out)])

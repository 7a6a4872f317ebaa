"""The catalogue of statement items, shared by sources, data contract, features, store and documentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One amount of a firm-year, in millions of its currency. ``signed``: may be negative."""

    name: str
    label: str
    signed: bool = False


ITEMS: tuple[Item, ...] = (
    Item("current_assets", "Current assets"),
    Item("cash", "Cash and equivalents"),
    Item("receivables", "Receivables"),
    Item("inventory", "Inventory"),
    Item("total_assets", "Total assets"),
    Item("current_liabilities", "Current liabilities"),
    Item("long_term_debt", "Long-term debt"),
    Item("total_liabilities", "Total liabilities"),
    Item("retained_earnings", "Retained earnings", signed=True),
    Item("revenue", "Revenue"),
    Item("cost_of_goods_sold", "Cost of goods sold"),
    Item("gross_profit", "Gross profit", signed=True),
    Item("operating_expenses", "Operating expenses before depreciation"),
    Item("depreciation_amortization", "Depreciation and amortisation"),
    Item("ebitda", "EBITDA", signed=True),
    Item("ebit", "EBIT", signed=True),
    Item("interest_expense", "Interest expense"),
    Item("net_income", "Net income", signed=True),
    Item("operating_cash_flow", "Operating cash flow", signed=True),
    Item("market_value", "Market value of equity"),
)

ITEM_NAMES: tuple[str, ...] = tuple(item.name for item in ITEMS)

FIRM_YEAR_KEYS = ["company_id", "fiscal_year"]
VERSION_KEYS = [*FIRM_YEAR_KEYS, "available_at"]
"""Keys of a firm-year, and of one of its versions: restated accounts have several versions of a firm-year."""
STATEMENT_KEYS: tuple[str, ...] = ("company_id", "fiscal_year", "period_end", "available_at", "currency", "source")
"""Columns of the statements table before the items."""

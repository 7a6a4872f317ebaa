"""From us-gaap tags to the canonical items: for each item a ladder of rules, of which the first that gives a value counts.

Rules look at the values of one filing for one period end. Sources: coverage of tags in 10-Ks of 2010; the SEC's taxonomies.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce

import polars as pl

INSTANT, ANNUAL = "instant", "annual"
"""Kinds of facts: on a date, and over a year that ends on it."""


@dataclass(frozen=True)
class TagRule:
    """One way to an item. name: as the lineage table has it. tags: that it reads. value: null where it cannot be had."""

    name: str
    tags: tuple[str, ...]
    value: pl.Expr


@dataclass(frozen=True)
class TagLadder:
    """The rules of an item, best first. kind: of the facts that they read. expense: an amount that is tagged as negative, as
    early filings do, is taken as positive, and the rule's name says so."""

    item: str
    kind: str
    rules: tuple[TagRule, ...]
    expense: bool = False

    @property
    def tags(self) -> set[str]:
        return {tag for rule in self.rules for tag in rule.tags}


def _tags(*names: str) -> tuple[TagRule, ...]:
    return tuple(TagRule(name, (name,), pl.col(name)) for name in names)


def _sum(*names: str) -> TagRule:
    return TagRule(" + ".join(names), names, reduce(operator.add, (pl.col(name) for name in names)))


def _less(total: str, *parts: str, required: str | None = None) -> TagRule:
    """Return the rule ``total`` less the parts that there are; null without ``required``, the first part if not said."""
    needed = required or parts[0]
    value = pl.col(total) - pl.sum_horizontal(pl.col(part) for part in parts) + 0 * pl.col(needed)
    return TagRule(" - ".join((total, *parts)), (total, *parts), value)


def _largest(*names: str) -> tuple[TagRule, ...]:
    """Return a rule for each tag, which counts where it has the largest value: a total rather than one of its parts."""
    largest = pl.max_horizontal(pl.col(name) for name in names)
    return tuple(TagRule(name, names, pl.when(pl.col(name) == largest).then(pl.col(name))) for name in names)


TEMPORARY_EQUITY = (
    "TemporaryEquityCarryingAmountAttributableToParent",
    "TemporaryEquityCarryingAmount",
    "TemporaryEquityCarryingAmountIncludingPortionAttributableToNoncontrollingInterests",
    "RedeemableNoncontrollingInterestEquityCarryingAmount",
)
TOTAL = "LiabilitiesAndStockholdersEquity"
EQUITY_WITH_MINORITIES = "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"
PRE_TAX = (
    "IncomeLossFromContinuingOperationsBeforeIncomeTaxesExtraordinaryItemsNoncontrollingInterest",
    "IncomeLossFromContinuingOperationsBeforeIncomeTaxesMinorityInterestAndIncomeLossFromEquityMethodInvestments",
    "IncomeLossFromContinuingOperationsBeforeIncomeTaxes",
    "IncomeLossFromContinuingOperationsBeforeIncomeTaxesDomestic",
)
INTEREST = (
    "InterestExpense",
    "InterestAndDebtExpense",
    "InterestExpenseDebt",
    "InterestExpenseNonoperating",
    "InterestPaidNet",
    "InterestPaid",
)


def _pre_tax_with_interest() -> tuple[TagRule, ...]:
    interest = pl.coalesce(INTEREST).abs()
    return tuple(TagRule(f"{tag} + interest", (tag, *INTEREST), pl.col(tag) + interest) for tag in PRE_TAX)


LADDERS: tuple[TagLadder, ...] = (
    TagLadder("total_assets", INSTANT, _tags("Assets", "AssetsNet", TOTAL)),
    TagLadder("current_assets", INSTANT, _tags("AssetsCurrent")),
    TagLadder(
        "cash",
        INSTANT,
        _tags(
            "CashAndCashEquivalentsAtCarryingValue",
            "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents",
            "CashCashEquivalentsAndShortTermInvestments",
            "Cash",
            "CashAndDueFromBanks",
        ),
    ),
    TagLadder(
        "receivables",
        INSTANT,
        _tags(
            "AccountsReceivableNetCurrent",
            "ReceivablesNetCurrent",
            "AccountsNotesAndLoansReceivableNetCurrent",
            "AccountsAndOtherReceivablesNetCurrent",
            "AccountsReceivableNet",
            "NotesAndLoansReceivableNetCurrent",
            "AccountsAndNotesReceivableNet",
        ),
    ),
    TagLadder(
        "inventory",
        INSTANT,
        (
            *_tags("InventoryNet", "InventoryGross"),
            TagRule("none reported", ("AssetsCurrent",), pl.when(pl.col("AssetsCurrent").is_not_null()).then(0.0)),
        ),
    ),
    TagLadder("current_liabilities", INSTANT, _tags("LiabilitiesCurrent")),
    TagLadder(
        "long_term_debt",
        INSTANT,
        (
            *_tags("LongTermDebtNoncurrent", "LongTermDebtAndCapitalLeaseObligations"),
            _less("LongTermDebt", "LongTermDebtCurrent", required="LongTermDebt"),
            *_tags(
                "LongTermNotesPayable",
                "UnsecuredLongTermDebt",
                "SeniorLongTermNotes",
                "LongTermNotesAndLoans",
                "ConvertibleLongTermNotesPayable",
                "SecuredLongTermDebt",
                "LongTermLineOfCredit",
                "OtherLongTermDebtNoncurrent",
                "ConvertibleDebtNoncurrent",
            ),
        ),
    ),
    TagLadder(
        "total_liabilities",
        INSTANT,
        (
            *_tags("Liabilities"),
            _less(TOTAL, EQUITY_WITH_MINORITIES, *TEMPORARY_EQUITY),
            _less(TOTAL, "StockholdersEquity", "MinorityInterest", *TEMPORARY_EQUITY),
            _less(TOTAL, "PartnersCapitalIncludingPortionAttributableToNoncontrollingInterest"),
            _less(TOTAL, "PartnersCapital", "MinorityInterest"),
            _sum("LiabilitiesCurrent", "LiabilitiesNoncurrent"),
        ),
    ),
    TagLadder(
        "retained_earnings",
        INSTANT,
        _tags("RetainedEarningsAccumulatedDeficit", "DevelopmentStageEnterpriseDeficitAccumulatedDuringDevelopmentStage"),
    ),
    TagLadder(
        "revenue",
        ANNUAL,
        (
            *_largest(
                "Revenues",
                "RevenueFromContractWithCustomerExcludingAssessedTax",
                "RevenueFromContractWithCustomerIncludingAssessedTax",
                "SalesRevenueNet",
            ),
            _sum("SalesRevenueGoodsNet", "SalesRevenueServicesNet"),
            *_largest(
                "RegulatedAndUnregulatedOperatingRevenue",
                "OilAndGasRevenue",
                "RealEstateRevenueNet",
                "HealthCareOrganizationRevenue",
                "ElectricUtilityRevenue",
                "UtilityRevenue",
                "ContractsRevenue",
            ),
            *_tags("RevenuesNetOfInterestExpense", "SalesRevenueGoodsNet", "SalesRevenueServicesNet"),
        ),
    ),
    TagLadder(
        "cost_of_goods_sold",
        ANNUAL,
        _tags("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold", "CostOfServices"),
        expense=True,
    ),
    TagLadder("gross_profit", ANNUAL, _tags("GrossProfit")),
    TagLadder(
        "depreciation_amortization",
        ANNUAL,
        (
            *_tags(
                "DepreciationDepletionAndAmortization",
                "DepreciationAndAmortization",
                "DepreciationAmortizationAndAccretionNet",
            ),
            _sum("Depreciation", "AmortizationOfIntangibleAssets"),
            *_tags(
                "Depreciation",
                "OtherDepreciationAndAmortization",
                "DepreciationNonproduction",
                "CostDepreciationAmortizationAndDepletion",
            ),
        ),
        expense=True,
    ),
    TagLadder("ebit", ANNUAL, (*_tags("OperatingIncomeLoss"), *_pre_tax_with_interest())),
    TagLadder("interest_expense", ANNUAL, _tags(*INTEREST), expense=True),
    TagLadder(
        "net_income",
        ANNUAL,
        _tags(
            "NetIncomeLoss",
            "ProfitLoss",
            "NetIncomeLossAvailableToCommonStockholdersBasic",
            "IncomeLossIncludingPortionAttributableToNoncontrollingInterest",
        ),
    ),
    TagLadder(
        "operating_cash_flow",
        ANNUAL,
        _tags("NetCashProvidedByUsedInOperatingActivities", "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations"),
    ),
)
"""By item. What follows from other items (EBITDA, ...) is worked out after; see `quiebra.sources.edgar.versions`."""

CHECKED_TAGS = ("StockholdersEquity", EQUITY_WITH_MINORITIES, TOTAL)


def tags_of(kind: str) -> list[str]:
    """Return the tags that ladders read of a kind of facts, in order."""
    needed: set[str] = set()
    for ladder in LADDERS:
        if ladder.kind == kind:
            needed |= ladder.tags
    return sorted(needed | (set(CHECKED_TAGS) if kind == INSTANT else set()))


def item_values(wide: pl.DataFrame) -> pl.DataFrame:
    """Return, for each row, the value of each item (column ITEM) and the rule that gave it (column ITEM_rule); others are null.

    wide: a column for each tag, null where the filing has no such fact; further columns are kept, tags are not.
    """
    tags: set[str] = set().union(*(ladder.tags for ladder in LADDERS), CHECKED_TAGS)
    absent = [pl.lit(None, pl.Float64).alias(tag) for tag in sorted(tags - set(wide.columns))]
    given = wide.with_columns(absent)
    columns = [name for name in wide.columns if name not in tags]
    return given.select(*columns, *(expr for ladder in LADDERS for expr in _of(ladder)))


def _of(ladder: TagLadder) -> tuple[pl.Expr, pl.Expr]:
    value = pl.coalesce(rule.value for rule in ladder.rules)
    named = pl.coalesce(pl.when(rule.value.is_not_null()).then(pl.lit(rule.name)) for rule in ladder.rules)
    if ladder.expense:
        named = pl.when(value < 0).then(pl.format("{} (tagged as negative)", named)).otherwise(named)
        value = value.abs()
    return value.alias(ladder.item), named.alias(f"{ladder.item}_rule")

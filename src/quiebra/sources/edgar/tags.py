"""From us-gaap tags to the canonical items: for each item a ladder of rules, of which the first that gives a value counts.

Rules look at the values of one filing for one period end. Sources: coverage of tags in 10-Ks of 2010; the SEC's taxonomies.
"""

from __future__ import annotations

import polars as pl

from quiebra.sources.item_ladders import ItemLadder, ItemRule, difference_rule, field_rules, fields_of, sum_rule

INSTANT, ANNUAL = "instant", "annual"
"""Kinds of facts: on a date, and over a year that ends on it."""


def _largest(*names: str) -> tuple[ItemRule, ...]:
    """Return a rule for each tag, which counts where it has the largest value: a total rather than one of its parts."""
    largest = pl.max_horizontal(pl.col(name) for name in names)
    return tuple(ItemRule(name, names, pl.when(pl.col(name) == largest).then(pl.col(name))) for name in names)


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


def _pre_tax_with_interest() -> tuple[ItemRule, ...]:
    interest = pl.coalesce(INTEREST).abs()
    return tuple(ItemRule(f"{tag} + interest", (tag, *INTEREST), pl.col(tag) + interest) for tag in PRE_TAX)


INSTANT_LADDERS: tuple[ItemLadder, ...] = (
    ItemLadder("total_assets", field_rules("Assets", "AssetsNet", TOTAL)),
    ItemLadder("current_assets", field_rules("AssetsCurrent")),
    ItemLadder(
        "cash",
        field_rules(
            "CashAndCashEquivalentsAtCarryingValue",
            "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents",
            "CashCashEquivalentsAndShortTermInvestments",
            "Cash",
            "CashAndDueFromBanks",
        ),
    ),
    ItemLadder(
        "receivables",
        field_rules(
            "AccountsReceivableNetCurrent",
            "ReceivablesNetCurrent",
            "AccountsNotesAndLoansReceivableNetCurrent",
            "AccountsAndOtherReceivablesNetCurrent",
            "AccountsReceivableNet",
            "NotesAndLoansReceivableNetCurrent",
            "AccountsAndNotesReceivableNet",
        ),
    ),
    ItemLadder(
        "inventory",
        (
            *field_rules("InventoryNet", "InventoryGross"),
            ItemRule("none reported", ("AssetsCurrent",), pl.when(pl.col("AssetsCurrent").is_not_null()).then(0.0)),
        ),
    ),
    ItemLadder("current_liabilities", field_rules("LiabilitiesCurrent")),
    ItemLadder(
        "long_term_debt",
        (
            *field_rules("LongTermDebtNoncurrent", "LongTermDebtAndCapitalLeaseObligations"),
            difference_rule("LongTermDebt", "LongTermDebtCurrent", required="LongTermDebt"),
            *field_rules(
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
    ItemLadder(
        "total_liabilities",
        (
            *field_rules("Liabilities"),
            difference_rule(TOTAL, EQUITY_WITH_MINORITIES, *TEMPORARY_EQUITY),
            difference_rule(TOTAL, "StockholdersEquity", "MinorityInterest", *TEMPORARY_EQUITY),
            difference_rule(TOTAL, "PartnersCapitalIncludingPortionAttributableToNoncontrollingInterest"),
            difference_rule(TOTAL, "PartnersCapital", "MinorityInterest"),
            sum_rule("LiabilitiesCurrent", "LiabilitiesNoncurrent"),
        ),
    ),
    ItemLadder(
        "retained_earnings",
        field_rules("RetainedEarningsAccumulatedDeficit", "DevelopmentStageEnterpriseDeficitAccumulatedDuringDevelopmentStage"),
    ),
)
ANNUAL_LADDERS: tuple[ItemLadder, ...] = (
    ItemLadder(
        "revenue",
        (
            *_largest(
                "Revenues",
                "RevenueFromContractWithCustomerExcludingAssessedTax",
                "RevenueFromContractWithCustomerIncludingAssessedTax",
                "SalesRevenueNet",
            ),
            sum_rule("SalesRevenueGoodsNet", "SalesRevenueServicesNet"),
            *_largest(
                "RegulatedAndUnregulatedOperatingRevenue",
                "OilAndGasRevenue",
                "RealEstateRevenueNet",
                "HealthCareOrganizationRevenue",
                "ElectricUtilityRevenue",
                "UtilityRevenue",
                "ContractsRevenue",
            ),
            *field_rules("RevenuesNetOfInterestExpense", "SalesRevenueGoodsNet", "SalesRevenueServicesNet"),
        ),
    ),
    ItemLadder(
        "cost_of_goods_sold",
        field_rules("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold", "CostOfServices"),
        expense=True,
    ),
    ItemLadder("gross_profit", field_rules("GrossProfit")),
    ItemLadder(
        "depreciation_amortization",
        (
            *field_rules(
                "DepreciationDepletionAndAmortization",
                "DepreciationAndAmortization",
                "DepreciationAmortizationAndAccretionNet",
            ),
            sum_rule("Depreciation", "AmortizationOfIntangibleAssets"),
            *field_rules(
                "Depreciation",
                "OtherDepreciationAndAmortization",
                "DepreciationNonproduction",
                "CostDepreciationAmortizationAndDepletion",
            ),
        ),
        expense=True,
    ),
    ItemLadder("ebit", (*field_rules("OperatingIncomeLoss"), *_pre_tax_with_interest())),
    ItemLadder("interest_expense", field_rules(*INTEREST), expense=True),
    ItemLadder(
        "net_income",
        field_rules(
            "NetIncomeLoss",
            "ProfitLoss",
            "NetIncomeLossAvailableToCommonStockholdersBasic",
            "IncomeLossIncludingPortionAttributableToNoncontrollingInterest",
        ),
    ),
    ItemLadder(
        "operating_cash_flow",
        field_rules(
            "NetCashProvidedByUsedInOperatingActivities", "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations"
        ),
    ),
)
LADDERS = (*INSTANT_LADDERS, *ANNUAL_LADDERS)
"""By item. What follows from other items (EBITDA, ...) is worked out after; see `quiebra.sources.derived_items`."""

SHARES_TAG, SHARES_UNIT = "CommonStockSharesOutstanding", "shares"
"""Count of shares on the balance sheet; it is no item, but part of a market value."""
CHECKED_TAGS = ("StockholdersEquity", EQUITY_WITH_MINORITIES, TOTAL)


def tags_of(kind: str) -> list[str]:
    """Return the tags that ladders read of a kind of facts, in order."""
    return sorted({*fields_of(INSTANT_LADDERS), *CHECKED_TAGS} if kind == INSTANT else fields_of(ANNUAL_LADDERS))

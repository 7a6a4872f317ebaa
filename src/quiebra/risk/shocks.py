"""Apply shocks to companies' statements, so that these still add up, and score them again."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

import polars as pl

from quiebra.feature_engineering import add_history, add_ratios, finish_features
from quiebra.feature_engineering.peers import Peers
from quiebra.feature_engineering.ratios import LIABILITIES_ABOVE_ASSETS
from quiebra.items import VERSION_KEYS
from quiebra.models import PdModel
from quiebra.models.term import PD_COLUMNS
from quiebra.params import Score
from quiebra.risk.directions import UNSHOCKED_FEATURES, hold_direction
from quiebra.risk.scoring import add_grades

TAX_RATE = 0.25
VARIABLE_SHARE = 0.7
"""Share of operating expenses that moves with revenue, where a source gives no cost of goods sold."""
LEVER_PREFIX = "shock_"
SMALLEST_SHOCK = 1e-9
"""Smaller sizes of a shock count as none."""
ADVERSE_SIGNS = {"revenue": -1, "rates": 1, "margin": -1, "leverage": 1, "market_value": -1}
"""Lever of a `Shock` → the sign that makes a company riskier."""


LEVER_ITEMS = {"revenue": "revenue", "rates": "long_term_debt", "margin": "revenue", "market_value": "market_value"}
"""Lever of a `Shock` → the item without which it has no effect on a statement."""


@dataclass(frozen=True)
class Shock:
    """A change to a company within a year; all zero: no change.

    revenue: share of revenue, -0.2 for a fifth less. rates: added to the interest rate on long-term debt, 0.02 for 200 basis
        points.
    margin: added to EBITDA over revenue, -0.03 for three points less.
    leverage: debt raised and paid out to owners, as a share of assets; negative: equity raised to repay debt.
    market_value: share of the market value, -0.4 for two fifths less.
    """

    revenue: float = 0.0
    rates: float = 0.0
    margin: float = 0.0
    leverage: float = 0.0
    market_value: float = 0.0


def apply_shock(statements: pl.DataFrame, shock: Shock) -> pl.DataFrame:
    """Return statements after one shock to all of them; see `apply_row_shocks`."""
    return apply_row_shocks(_with_levers(statements, shock))


def _with_levers(statements: pl.DataFrame, shock: Shock) -> pl.DataFrame:
    return statements.with_columns(pl.lit(float(size)).alias(LEVER_PREFIX + name) for name, size in asdict(shock).items())


def _lever(name: str) -> pl.Expr:
    """Return the column of a lever, with sizes that are next to nothing as none: ratios to what they would add are no numbers."""
    size = pl.col(LEVER_PREFIX + name)
    return pl.when(size.abs() < SMALLEST_SHOCK).then(0.0).otherwise(size)


def apply_row_shocks(statements: pl.DataFrame) -> pl.DataFrame:
    """Return statements after each row's own shock, given by columns ``shock_LEVER`` (levers of `Shock`), which are dropped.

    Missing items stay missing, and count as zero in other items. Cost of goods sold moves with revenue, other costs do not; tax
    is a quarter of a gain, and refunds a quarter of a loss. Losses are paid from cash; inventory and receivables shrink with
    revenue and release cash; what cash cannot pay is borrowed short term. So assets less liabilities change by net income less
    the payout.
    """

    table = statements

    def item(name: str) -> pl.Expr:
        return pl.col(name).fill_null(0.0)

    def once(name: str, value: pl.Expr) -> pl.Expr:
        """Add a value as a column, so that the items that use it do not compute it again."""
        nonlocal table
        table = table.with_columns(value.alias(f"_{name}"))
        return pl.col(f"_{name}")

    shock = Shock(**{part.name: _lever(part.name) for part in fields(Shock)})  # type: ignore[arg-type]  # a column of shocks
    revenue = item("revenue") * shock.revenue
    costs = pl.coalesce(pl.col("cost_of_goods_sold"), VARIABLE_SHARE * item("operating_expenses")) * shock.revenue
    squeeze = -shock.margin * (item("revenue") + revenue)
    earnings = once("earnings", revenue - costs - squeeze)
    payout = once("payout", pl.max_horizontal(shock.leverage * item("total_assets"), -item("long_term_debt")))
    interest = shock.rates * (item("long_term_debt") + payout)
    income = once("income", (earnings - interest) * (1 - TAX_RATE))
    released = (item("receivables") + item("inventory")) * shock.revenue
    liquid = pl.coalesce(pl.col("cash"), item("current_assets") - item("receivables") - item("inventory"))
    short = (-(liquid + income - released)).clip(0) - (-liquid).clip(0)
    borrowed = once("borrowed", short.clip(0))
    moved = {
        "revenue": revenue,
        "cost_of_goods_sold": item("cost_of_goods_sold") * shock.revenue,
        "gross_profit": revenue - item("cost_of_goods_sold") * shock.revenue,
        "operating_expenses": costs + squeeze,
        "ebitda": earnings,
        "ebit": earnings,
        "interest_expense": interest,
        "net_income": income,
        "retained_earnings": income - payout.clip(0),
        "operating_cash_flow": income - released,
        "receivables": item("receivables") * shock.revenue,
        "inventory": item("inventory") * shock.revenue,
        "cash": income - released + borrowed,
        "current_assets": income + borrowed,
        "total_assets": income + borrowed,
        "current_liabilities": borrowed,
        "long_term_debt": payout,
        "total_liabilities": payout + borrowed,
        "market_value": item("market_value") * shock.market_value - payout,
    }
    after = table.with_columns((pl.col(name) + change).alias(name) for name, change in moved.items())
    floors = ("total_assets", "market_value")
    after = after.with_columns(pl.max_horizontal(pl.col(name), 0.01 * statements[name]).alias(name) for name in floors)
    return after.select(name for name in statements.columns if not name.startswith(LEVER_PREFIX))


def _without_step(rows: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return ratios ``after`` a shock with the step in Ohlson's score removed for companies that the shock takes across it.

    The step is negative, so that a company would look safer for losing the last of its equity.
    """
    above = after["liabilities_to_assets"] > 1
    crossed = above.cast(pl.Int8) - (rows["liabilities_to_assets"] > 1).cast(pl.Int8)
    return after.with_columns(pl.col("ohlson_o") - LIABILITIES_ABOVE_ASSETS * crossed)


def recent_peers(features: pl.DataFrame, as_of: dt.date, max_age_months: int) -> pl.DataFrame:
    """Return the features that current companies can be ranked among: same ranks from far fewer rows.

    A current statement is at most ``max_age_months`` old; its peers were published in the year up to the latest before it.
    """
    oldest = pl.lit(as_of).dt.offset_by(f"-{max_age_months + 24}mo")
    return features.filter(pl.col("available_at") > oldest)


def recent_statements(statements: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """Return the statements that features of current ones depend on: same features from far fewer rows.

    current: company_id, fiscal_year and available_at. Features look back five years at most, and to the first published year.
    """
    own = statements.join(current.select("company_id", at="fiscal_year", known="available_at"), on="company_id")
    own = own.filter(pl.col("available_at") <= pl.col("known"))
    first = pl.col("fiscal_year") == pl.col("fiscal_year").min().over("company_id")
    return own.filter(first | (pl.col("fiscal_year") >= pl.col("at") - 5)).select(statements.columns)


@dataclass(frozen=True)
class ShockEngine:
    """Data and model to score companies under shocks.

    statements: the panel's. companies: company_id and sector. peers: the panel's feature table, unshocked, to rank companies
        against.
    current: company_id, fiscal_year and available_at of the statement that each company is scored on.
    """

    model: PdModel
    statements: pl.DataFrame
    companies: pl.DataFrame
    peers: pl.DataFrame | Peers
    current: pl.DataFrame
    score: Score

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The current statements with their history, which shocks do not change."""
        return add_history(self.statements, self.companies, self.current.select(VERSION_KEYS)).sort("company_id")

    @cached_property
    def before(self) -> pl.DataFrame:
        """Their features without a shock."""
        return finish_features(self.rows, self.peers)

    def shocked_scores(self, shocks: dict[str, Shock]) -> pl.DataFrame:
        """Return shock, company_id, pd_12m … pd_60m, rating and watch of each current company under each shock."""
        wanted = ("company_id", *PD_COLUMNS, "rating", "watch")
        return pl.concat(
            self._scored(_with_levers(self.rows, shock), self.before).select(pl.lit(name).alias("shock"), *wanted)
            for name, shock in shocks.items()
        )

    def company_scores(self, company: str, shocks: dict[str, Shock]) -> pl.DataFrame:
        """Return features, PDs, rating and watch of one company under each shock (column ``shock``), computed in one pass."""
        sizes = pl.DataFrame([asdict(shock) for shock in shocks.values()])
        cases = sizes.select(pl.lit(pl.Series("shock", list(shocks))), pl.all().cast(pl.Float64).name.prefix(LEVER_PREFIX))
        rows = self.rows.filter(pl.col("company_id") == company).join(cases, how="cross", maintain_order="left_right")
        # Polars divides a repeated scalar by multiplying by its reciprocal; full columns give the same digits as one case alone
        rows = pl.DataFrame(rows.get_columns())
        before = self.before.filter(pl.col("company_id") == company)
        return self._scored(rows.drop("shock"), pl.concat([before] * rows.height)).with_columns(rows["shock"])

    def _scored(self, rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
        """Return features and scores of rows, each under its own shock. before: their features without it."""
        table = hold_direction(before, *self._shocked_features(rows, before))
        return add_grades(pl.concat([table, self.model.predict(table)], how="horizontal"), self.score)

    def _shocked_features(self, rows: pl.DataFrame, before: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the features under the adverse part of each shock, and under all of it."""

        def features(of: pl.DataFrame) -> pl.DataFrame:
            return finish_features(
                _without_step(of, add_ratios(apply_row_shocks(of))), self.peers, before.select(UNSHOCKED_FEATURES)
            )

        bad = {LEVER_PREFIX + lever: pl.col(LEVER_PREFIX + lever) * way > 0 for lever, way in ADVERSE_SIGNS.items()}
        good = pl.any_horizontal((pl.col(lever) != 0) & ~worse for lever, worse in bad.items())
        whole = features(rows)
        if not rows.select(good.any()).item():
            return whole, whole
        if not rows.select(pl.any_horizontal(*bad.values()).any()).item():
            return before, whole
        partly = rows.with_columns(pl.when(worse).then(lever).otherwise(0.0).alias(lever) for lever, worse in bad.items())
        return features(partly), whole


def missing_lever_items(engine: ShockEngine) -> dict[str, str]:
    """Return lever → the item that it needs and that no current statement has."""
    return {lever: item for lever, item in LEVER_ITEMS.items() if not engine.rows[item].is_not_null().any()}


def missing_shock_items(engine: ShockEngine, shock: Shock) -> list[str]:
    """Return the items that a shock needs where no current statement has any of them, so that it has no effect."""
    levers, missing = [lever for lever, size in asdict(shock).items() if size], missing_lever_items(engine)
    return sorted({missing[lever] for lever in levers}) if levers and missing.keys() >= set(levers) else []


def lever_tornado(engine: ShockEngine, company: str, sizes: dict[str, float]) -> pl.DataFrame:
    """Return lever, pd_down, pd_now, pd_up and swing, widest first: each lever of a `Shock` moved alone, down and up."""
    shocks = {"now": Shock()}
    for lever, size in sizes.items():
        shocks |= {f"{lever} down": replace(Shock(), **{lever: -size}), f"{lever} up": replace(Shock(), **{lever: size})}
    pd = dict(engine.company_scores(company, shocks).select("shock", "pd_12m").iter_rows())
    rows = [(lever, pd[f"{lever} down"], pd["now"], pd[f"{lever} up"]) for lever in sizes]
    table = pl.DataFrame(rows, schema=["lever", "pd_down", "pd_now", "pd_up"], orient="row")
    swing = pl.max_horizontal("pd_down", "pd_up") - pl.min_horizontal("pd_down", "pd_up")
    return table.with_columns(swing=swing).sort("swing", "lever", descending=[True, False])


def reverse_stress(
    engine: ShockEngine, company: str, worst: dict[str, float], grade: str, steps: int = 40
) -> dict[str, float | None]:
    """Return, by lever, the least change from 0 towards its ``worst`` that alone brings the grade to ``grade`` or worse.

    None where no change does. worst: lever → its extreme value. steps: changes tried per lever.
    """
    tables = _walked(engine, company, worst, steps)
    names = list(engine.score.grades)
    found: dict[str, float | None] = {}
    for lever, (sizes, table) in tables.items():
        fallen = [names.index(rating) >= names.index(grade) for rating in table["rating"]]
        found[lever] = sizes[fallen.index(True)] if any(fallen) else None
    return found


def _walked(
    engine: ShockEngine, company: str, furthest: dict[str, float], steps: int
) -> dict[str, tuple[list[float], pl.DataFrame]]:
    """Return, by lever, its sizes from 0 to the furthest, and the company's scores at each, computed in one pass."""
    sizes = {lever: [far * step / steps for step in range(steps + 1)] for lever, far in furthest.items()}
    table = engine.company_scores(
        company, {f"{n} {at}": Shock(**{n: size}) for n, all_ in sizes.items() for at, size in enumerate(all_)}
    )
    return {n: (all_, table.slice(place * (steps + 1), steps + 1)) for place, (n, all_) in enumerate(sizes.items())}


COUNTERFACTUAL_LEVERS = {
    "leverage": (("liabilities_to_assets",), -0.6),
    "margin": (("ebitda_to_assets", "ebit_to_assets", "net_income_to_assets"), 0.3),
}
"""Lever of a counterfactual → ratios that show the change (the first known one is used), and the furthest change tried."""


def smallest_changes(engine: ShockEngine, company: str, share: float = 0.5, steps: int = 24) -> pl.DataFrame:
    """Return lever, change, ratio, now, then and pd_12m: the least change of one lever that brings the PD to ``share`` of itself.

    Levers that cannot within the tried range, or whose ratios are all missing, have no row. The result describes the model, and
    is not causal.
    """
    found = []
    walked = _walked(engine, company, {lever: furthest for lever, (_, furthest) in COUNTERFACTUAL_LEVERS.items()}, steps)
    for lever, (sizes, table) in walked.items():
        reached = (table["pd_12m"] <= share * table["pd_12m"][0]).to_list()
        place = reached.index(True) if True in reached else 0
        ratio = next(
            (name for name in COUNTERFACTUAL_LEVERS[lever][0] if table[name][0] is not None and table[name][place] is not None),
            None,
        )
        if place and ratio is not None:
            found.append((lever, sizes[place], ratio, table[ratio][0], table[ratio][place], table["pd_12m"][place]))
    numbers = dict.fromkeys(("now", "then", "pd_12m"), pl.Float64)
    schema = {"lever": pl.String, "change": pl.Float64, "ratio": pl.String, **numbers}
    return pl.DataFrame(found, schema=schema, orient="row")


def levers_without_item(engine: ShockEngine, company: str) -> dict[str, str]:
    """Return lever → the item that it needs and that the company's statement lacks, so that the lever has no effect."""
    row = engine.rows.filter(pl.col("company_id") == company)
    return {lever: item for lever, item in LEVER_ITEMS.items() if row[item].is_null().all()}

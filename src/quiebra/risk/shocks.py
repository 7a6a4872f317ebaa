"""Shocks to companies: statements re-derived so that they still add up, and scored again."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

import polars as pl

from quiebra.features import features_of, with_past, with_ratios
from quiebra.features.peers import Peers
from quiebra.features.ratios import LIABILITIES_ABOVE_ASSETS
from quiebra.models import PdModel
from quiebra.models.term import COLUMNS
from quiebra.params import Score
from quiebra.risk.directions import VOLATILITY, held
from quiebra.risk.scoring import with_grades

TAX = 0.25
VARIABLE_SHARE = 0.7
"""Of operating expenses, where a source gives no cost of goods sold: what moves with revenue."""
KEYS = ["company_id", "fiscal_year", "available_at"]
LEVER = "shock_"
WORSE = {"revenue": -1, "rates": 1, "margin": -1, "leverage": 1, "market_value": -1}
"""Lever of a `Shock` → the way in which it makes a company riskier."""


NEEDS = {"revenue": "revenue", "rates": "long_term_debt", "margin": "revenue", "market_value": "market_value"}
"""Lever of a `Shock` → the item without which it does nothing to a statement."""


@dataclass(frozen=True)
class Shock:
    """A change that comes over a company within a year; all zero: none.

    revenue: share of revenue, -0.2 a fifth less. rates: added to the interest on long-term debt, 0.02 for 200 basis points.
    margin: added to EBITDA over revenue, -0.03 three points less. leverage: debt taken up and paid out to owners, as a share of
    assets; below zero, equity raised to pay down debt. market_value: share of the market value, -0.4 two fifths less.
    """

    revenue: float = 0.0
    rates: float = 0.0
    margin: float = 0.0
    leverage: float = 0.0
    market_value: float = 0.0


def shocked(statements: pl.DataFrame, shock: Shock) -> pl.DataFrame:
    """Return statements after a shock to all of them; see `each_shocked`."""
    return each_shocked(_with_levers(statements, shock))


def _with_levers(statements: pl.DataFrame, shock: Shock) -> pl.DataFrame:
    return statements.with_columns(pl.lit(float(size)).alias(LEVER + name) for name, size in asdict(shock).items())


def each_shocked(statements: pl.DataFrame) -> pl.DataFrame:
    """Return statements after each one's own shock, whose parts are in columns named as those of a `Shock` after ``shock_``, and
    are dropped; missing items stay missing and count for nothing in the others.

    Cost of goods sold moves with revenue and other costs do not; tax takes a quarter of a gain and gives back a quarter of a
    loss. What is lost comes out of cash, stock and claims on customers shrink with revenue into cash, and what cash cannot pay is
    borrowed short. So assets less liabilities change by what net income does, less what is paid out.
    """

    table = statements

    def item(name: str) -> pl.Expr:
        return pl.col(name).fill_null(0.0)

    def once(name: str, value: pl.Expr) -> pl.Expr:
        """Work out now what several items are moved by, or each would do so again."""
        nonlocal table
        table = table.with_columns(value.alias(f"_{name}"))
        return pl.col(f"_{name}")

    shock = Shock(**{part.name: pl.col(LEVER + part.name) for part in fields(Shock)})  # type: ignore[arg-type]
    revenue = item("revenue") * shock.revenue
    costs = pl.coalesce(pl.col("cost_of_goods_sold"), VARIABLE_SHARE * item("operating_expenses")) * shock.revenue
    squeeze = -shock.margin * (item("revenue") + revenue)
    earnings = once("earnings", revenue - costs - squeeze)
    payout = once("payout", pl.max_horizontal(shock.leverage * item("total_assets"), -item("long_term_debt")))
    interest = shock.rates * (item("long_term_debt") + payout)
    income = once("income", (earnings - interest) * (1 - TAX))
    released = (item("receivables") + item("inventory")) * shock.revenue
    liquid = pl.coalesce(pl.col("cash"), item("current_assets") - item("receivables") - item("inventory"))
    short = (-(liquid + income - released)).clip(0) - (-liquid).clip(0)
    borrowed = once("borrowed", short.clip(0))
    moved = {
        "revenue": revenue, "cost_of_goods_sold": item("cost_of_goods_sold") * shock.revenue,
        "gross_profit": revenue - item("cost_of_goods_sold") * shock.revenue, "operating_expenses": costs + squeeze,
        "ebitda": earnings, "ebit": earnings, "interest_expense": interest, "net_income": income,
        "retained_earnings": income - payout.clip(0),
        "operating_cash_flow": income - released, "receivables": item("receivables") * shock.revenue,
        "inventory": item("inventory") * shock.revenue, "cash": income - released + borrowed, "current_assets": income + borrowed,
        "total_assets": income + borrowed, "current_liabilities": borrowed, "long_term_debt": payout,
        "total_liabilities": payout + borrowed,
        "market_value": item("market_value") * shock.market_value - payout,
    }  # fmt: skip
    after = table.with_columns((pl.col(name) + change).alias(name) for name, change in moved.items())
    floors = ("total_assets", "market_value")
    after = after.with_columns(pl.max_horizontal(pl.col(name), 0.01 * statements[name]).alias(name) for name in floors)
    return after.select(name for name in statements.columns if not name.startswith(LEVER))


def _without_step(rows: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return ratios ``after`` a shock with Ohlson's score as if its step were where it was: a company that the shock takes beyond
    it would look safer for having lost the last of its equity."""
    above = after["liabilities_to_assets"] > 1
    crossed = above.cast(pl.Int8) - (rows["liabilities_to_assets"] > 1).cast(pl.Int8)
    return after.with_columns(pl.col("ohlson_o") - LIABILITIES_ABOVE_ASSETS * crossed)


def recent_peers(features: pl.DataFrame, as_of: dt.date, max_age_months: int) -> pl.DataFrame:
    """Return the peers that any current company is ranked among: the same ranks from far fewer rows.

    A current statement is at most ``max_age_months`` old, and its peers came out in the year up to the last before it.
    """
    oldest = pl.lit(as_of).dt.offset_by(f"-{max_age_months + 24}mo")
    return features.filter(pl.col("available_at") > oldest)


def recent_statements(statements: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """Return the statements that features of current ones (company_id, fiscal_year and available_at) rest on: the same features
    from far fewer rows. They look back over five years at most, and to the first year that was published."""
    own = statements.join(current.select("company_id", at="fiscal_year", known="available_at"), on="company_id")
    own = own.filter(pl.col("available_at") <= pl.col("known"))
    first = pl.col("fiscal_year") == pl.col("fiscal_year").min().over("company_id")
    return own.filter(first | (pl.col("fiscal_year") >= pl.col("at") - 5)).select(statements.columns)


@dataclass(frozen=True)
class Desk:
    """What it takes to score companies under shocks.

    statements: the panel's. companies: their sectors. peers: the panel's feature table, which companies go on being ranked among.
    current: company_id, fiscal_year and available_at of the statement that each is scored on.
    """

    model: PdModel
    statements: pl.DataFrame
    companies: pl.DataFrame
    peers: pl.DataFrame | Peers
    current: pl.DataFrame
    score: Score

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The current statements with their past, which no shock changes."""
        return with_past(self.statements, self.companies, self.current.select(KEYS)).sort("company_id")

    @cached_property
    def before(self) -> pl.DataFrame:
        """Their features as they are."""
        return features_of(self.rows, self.peers)

    def under(self, shocks: dict[str, Shock]) -> pl.DataFrame:
        """Return shock, company_id, pd_12m … pd_60m, rating and watch: each current company under each shock."""
        wanted = ("company_id", *COLUMNS, "rating", "watch")
        return pl.concat(
            self._scored(_with_levers(self.rows, shock), self.before).select(pl.lit(name).alias("shock"), *wanted)
            for name, shock in shocks.items()
        )

    def of(self, company: str, shocks: dict[str, Shock]) -> pl.DataFrame:
        """Return the features, PDs, rating and watch of one company under each shock, named in ``shock``: all in one pass."""
        sizes = pl.DataFrame([asdict(shock) for shock in shocks.values()])
        cases = sizes.select(pl.lit(pl.Series("shock", list(shocks))), pl.all().cast(pl.Float64).name.prefix(LEVER))
        rows = self.rows.filter(pl.col("company_id") == company).join(cases, how="cross", maintain_order="left_right")
        # polars keeps one value for what repeats it and multiplies by its reciprocal: each case is to be divided as it is alone
        rows = pl.DataFrame(rows.get_columns())
        before = self.before.filter(pl.col("company_id") == company)
        return self._scored(rows.drop("shock"), pl.concat([before] * rows.height)).with_columns(rows["shock"])

    def _scored(self, rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
        """Return features and scores of rows, each under its own shock. before: their features without it."""
        table = held(before, *self._shocked_features(rows, before))
        return with_grades(pl.concat([table, self.model.predict(table)], how="horizontal"), self.score)

    def _shocked_features(self, rows: pl.DataFrame, before: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the features under the part of each shock that is for the worse, and under all of it."""

        def features(of: pl.DataFrame) -> pl.DataFrame:
            return features_of(_without_step(of, with_ratios(each_shocked(of))), self.peers, before.select(VOLATILITY))

        bad = {LEVER + lever: pl.col(LEVER + lever) * way > 0 for lever, way in WORSE.items()}
        good = pl.any_horizontal((pl.col(lever) != 0) & ~worse for lever, worse in bad.items())
        whole = features(rows)
        if not rows.select(good.any()).item():
            return whole, whole
        if not rows.select(pl.any_horizontal(*bad.values()).any()).item():
            return before, whole
        partly = rows.with_columns(pl.when(worse).then(lever).otherwise(0.0).alias(lever) for lever, worse in bad.items())
        return features(partly), whole


def idle_levers(desk: Desk) -> dict[str, str]:
    """Return lever → the item that it needs and that no current statement has."""
    return {lever: item for lever, item in NEEDS.items() if not desk.rows[item].is_not_null().any()}


def idle(desk: Desk, shock: Shock) -> list[str]:
    """Return the items that a shock needs where no current statement has any of them, so that it would do nothing."""
    levers, missing = [lever for lever, size in asdict(shock).items() if size], idle_levers(desk)
    return sorted({missing[lever] for lever in levers}) if levers and missing.keys() >= set(levers) else []


def tornado(desk: Desk, company: str, sizes: dict[str, float]) -> pl.DataFrame:
    """Return lever, pd_down, pd_now, pd_up and swing, widest first: each lever of a `Shock` moved alone, either way."""
    shocks = {"now": Shock()}
    for lever, size in sizes.items():
        shocks |= {f"{lever} down": replace(Shock(), **{lever: -size}), f"{lever} up": replace(Shock(), **{lever: size})}
    pd = dict(desk.of(company, shocks).select("shock", "pd_12m").iter_rows())
    rows = [(lever, pd[f"{lever} down"], pd["now"], pd[f"{lever} up"]) for lever in sizes]
    table = pl.DataFrame(rows, schema=["lever", "pd_down", "pd_now", "pd_up"], orient="row")
    swing = pl.max_horizontal("pd_down", "pd_up") - pl.min_horizontal("pd_down", "pd_up")
    return table.with_columns(swing=swing).sort("swing", "lever", descending=[True, False])


def reverse_stress(desk: Desk, company: str, worst: dict[str, float], grade: str, steps: int = 40) -> dict[str, float | None]:
    """Return for each lever the least change of it alone, from 0 towards its ``worst``, that makes the grade ``grade`` or worse;
    None: none does."""
    tables = _walked(desk, company, worst, steps)
    names = list(desk.score.grades)
    found: dict[str, float | None] = {}
    for lever, (sizes, table) in tables.items():
        fallen = [names.index(rating) >= names.index(grade) for rating in table["rating"]]
        found[lever] = sizes[fallen.index(True)] if any(fallen) else None
    return found


def _walked(desk: Desk, company: str, furthest: dict[str, float], steps: int) -> dict[str, tuple[list[float], pl.DataFrame]]:
    """Return for each lever its sizes from 0 to the furthest, and the company's scores at each: all in one pass."""
    sizes = {lever: [far * step / steps for step in range(steps + 1)] for lever, far in furthest.items()}
    table = desk.of(company, {f"{n} {at}": Shock(**{n: size}) for n, all_ in sizes.items() for at, size in enumerate(all_)})
    return {n: (all_, table.slice(place * (steps + 1), steps + 1)) for place, (n, all_) in enumerate(sizes.items())}


HINTS = {
    "leverage": (("liabilities_to_assets",), -0.6),
    "margin": (("ebitda_to_assets", "ebit_to_assets", "net_income_to_assets"), 0.3),
}
"""Lever of a counterfactual → ratios that can show the change, of which the first that is known does, and how far it is tried."""


def hints(desk: Desk, company: str, share: float = 0.5, steps: int = 24) -> pl.DataFrame:
    """Return lever, change, ratio, now, then and pd_12m: the least change of one lever that brings the PD to ``share`` of itself.

    A lever that cannot do it within reason has no row, nor has one whose ratios are all missing. It says what the model would
    say, not what would cause it.
    """
    found = []
    walked = _walked(desk, company, {lever: furthest for lever, (_, furthest) in HINTS.items()}, steps)
    for lever, (sizes, table) in walked.items():
        reached = (table["pd_12m"] <= share * table["pd_12m"][0]).to_list()
        place = reached.index(True) if True in reached else 0
        ratio = next((name for name in HINTS[lever][0] if table[name][0] is not None and table[name][place] is not None), None)
        if place and ratio is not None:
            found.append((lever, sizes[place], ratio, table[ratio][0], table[ratio][place], table["pd_12m"][place]))
    numbers = dict.fromkeys(("now", "then", "pd_12m"), pl.Float64)
    schema = {"lever": pl.String, "change": pl.Float64, "ratio": pl.String, **numbers}
    return pl.DataFrame(found, schema=schema, orient="row")


def without_item(desk: Desk, company: str) -> dict[str, str]:
    """Return lever → the item that it needs and that the company's statement lacks, so that nothing can be worked out for it."""
    row = desk.rows.filter(pl.col("company_id") == company)
    return {lever: item for lever, item in NEEDS.items() if row[item].is_null().all()}

"""Words for each feature in English and Spanish: nouns, sentences, and what a missing denominator means.

The sentences of a ratio, of its change and of its rank are composed from two `Noun`; other features have their own `Phrase`.
`quiebra.feature_engineering.sentences` fills in values and ranks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """An amount's name in both languages, the Spanish one with its article, and whether each takes a plural verb."""

    en: str
    es: str
    en_plural: bool = False
    es_plural: bool = False


AMOUNT_NOUNS = {
    "current_assets": Noun("current assets", "el activo corriente", en_plural=True),
    "cash": Noun("cash", "la tesorería"),
    "receivables": Noun("receivables", "el saldo de clientes", en_plural=True),
    "inventory": Noun("inventory", "las existencias", es_plural=True),
    "total_assets": Noun("assets", "el activo", en_plural=True),
    "all_assets": Noun("all assets", "todo el activo", en_plural=True),
    "current_liabilities": Noun("current liabilities", "el pasivo corriente", en_plural=True),
    "long_term_debt": Noun("long-term debt", "la deuda a largo plazo"),
    "total_liabilities": Noun("liabilities", "el pasivo", en_plural=True),
    "all_liabilities": Noun("all liabilities", "todo el pasivo", en_plural=True),
    "retained_earnings": Noun("retained earnings", "los resultados acumulados", en_plural=True, es_plural=True),
    "revenue": Noun("revenue", "las ventas", es_plural=True),
    "cost_of_goods_sold": Noun("cost of goods sold", "el coste de las ventas"),
    "gross_profit": Noun("gross profit", "el margen bruto"),
    "operating_expenses": Noun("operating expenses", "los gastos de explotación", en_plural=True, es_plural=True),
    "depreciation_amortization": Noun("depreciation", "la amortización"),
    "ebitda": Noun("EBITDA", "el EBITDA"),
    "ebit": Noun("EBIT", "el EBIT"),
    "interest_expense": Noun("interest", "los intereses", es_plural=True),
    "net_income": Noun("net income", "el resultado neto"),
    "operating_cash_flow": Noun("operating cash flow", "el flujo de caja de explotación"),
    "market_value": Noun("the market value", "el valor de mercado"),
    "working_capital": Noun("working capital", "el fondo de maniobra"),
    "quick_assets": Noun("current assets without inventory", "el activo corriente sin existencias", en_plural=True),
    "liquid_assets": Noun("liquid assets", "los activos líquidos", en_plural=True, es_plural=True),
    "equity": Noun("book equity", "el patrimonio neto"),
    "market_assets": Noun("assets at market value", "el activo a valor de mercado", en_plural=True),
    "other_costs": Noun(
        "interest, tax and other costs", "los intereses, impuestos y otros costes", en_plural=True, es_plural=True
    ),
    "cash_earned": Noun("cash earned", "la caja generada"),
    "accruals": Noun("accruals", "los ajustes por devengo", en_plural=True, es_plural=True),
}
"""Nouns of statement items, and of amounts computed from them."""

RATIO_PARTS = {
    "working_capital_to_assets": ("working_capital", "total_assets"),
    "current_ratio": ("current_assets", "current_liabilities"),
    "quick_ratio": ("quick_assets", "current_liabilities"),
    "cash_to_assets": ("cash", "total_assets"),
    "current_assets_to_assets": ("current_assets", "all_assets"),
    "current_liabilities_to_assets": ("current_liabilities", "total_assets"),
    "liquid_to_assets": ("liquid_assets", "total_assets"),
    "liquid_to_current_liabilities": ("liquid_assets", "current_liabilities"),
    "liabilities_to_assets": ("total_liabilities", "total_assets"),
    "debt_to_assets": ("long_term_debt", "total_assets"),
    "current_share_of_liabilities": ("current_liabilities", "all_liabilities"),
    "debt_share_of_liabilities": ("long_term_debt", "all_liabilities"),
    "retained_earnings_to_assets": ("retained_earnings", "total_assets"),
    "net_income_to_assets": ("net_income", "total_assets"),
    "ebit_to_assets": ("ebit", "total_assets"),
    "ebitda_to_assets": ("ebitda", "total_assets"),
    "gross_margin": ("gross_profit", "revenue"),
    "ebit_margin": ("ebit", "revenue"),
    "net_margin": ("net_income", "revenue"),
    "asset_turnover": ("revenue", "total_assets"),
    "inventory_to_revenue": ("inventory", "revenue"),
    "receivables_to_revenue": ("receivables", "revenue"),
    "current_liabilities_to_revenue": ("current_liabilities", "revenue"),
    "operating_expenses_to_revenue": ("operating_expenses", "revenue"),
    "depreciation_to_assets": ("depreciation_amortization", "total_assets"),
    "ebitda_to_liabilities": ("ebitda", "total_liabilities"),
    "ebitda_to_current_liabilities": ("ebitda", "current_liabilities"),
    "ebitda_to_debt": ("ebitda", "long_term_debt"),
    "interest_coverage": ("ebit", "interest_expense"),
    "cash_flow_to_liabilities": ("operating_cash_flow", "total_liabilities"),
    "non_operating_cost_to_assets": ("other_costs", "total_assets"),
    "non_operating_cost_to_debt": ("other_costs", "long_term_debt"),
    "market_value_to_liabilities": ("market_value", "total_liabilities"),
    "market_leverage": ("total_liabilities", "market_assets"),
    "market_to_assets": ("market_value", "total_assets"),
    "market_value_to_revenue": ("market_value", "revenue"),
    "market_to_book": ("market_value", "equity"),
    "book_to_market": ("equity", "market_value"),
    "net_income_to_market_value": ("net_income", "market_value"),
    "net_income_to_market_assets": ("net_income", "market_assets"),
    "ebitda_to_market_assets": ("ebitda", "market_assets"),
    "revenue_to_market_assets": ("revenue", "market_assets"),
    "retained_earnings_to_market_assets": ("retained_earnings", "market_assets"),
    "liquid_to_market_assets": ("liquid_assets", "market_assets"),
    "debt_to_market_assets": ("long_term_debt", "market_assets"),
    "current_liabilities_to_market_assets": ("current_liabilities", "market_assets"),
    "working_capital_to_market_assets": ("working_capital", "market_assets"),
    "accruals": ("accruals", "total_assets"),
    "cash_earned_to_liabilities": ("cash_earned", "total_liabilities"),
}
"""Feature → numerator and denominator, as keys of `AMOUNT_NOUNS`."""

LOG_AMOUNTS = {"log_assets": "total_assets", "log_revenue": "revenue", "log_market_value": "market_value"}
"""Feature → the amount that it is the logarithm of."""


@dataclass(frozen=True)
class Phrase:
    """A feature's own sentence in both languages, with ``{value}`` in it.

    down, none: sentences for a negative value (shown without its sign) and for zero. score: the figure is high or low, instead of
        more or less.
    """

    en: str
    es: str
    down: tuple[str, str] | None = None
    none: tuple[str, str] | None = None
    score: bool = False


FEATURE_PHRASES = {
    "burn_to_liquid": Phrase(
        "A year like the last would use up {value} its liquid assets",
        "Un año como el último consumiría {value} sus activos líquidos",
        none=("It uses up none of its liquid assets", "No consume sus activos líquidos"),
    ),
    "ohlson_o": Phrase("Ohlson's O-score is {value}", "La puntuación O de Ohlson es {value}", score=True),
    "zmijewski": Phrase("Zmijewski's score is {value}", "La puntuación de Zmijewski es {value}", score=True),
    "equity_raised": Phrase(
        "Owners put in new money worth {value} assets within the year",
        "Los propietarios aportaron en el año dinero nuevo por {value} el activo",
        down=("Owners took out {value} assets within the year", "Los propietarios retiraron en el año {value} el activo"),
        none=("Owners neither put in money nor took any out", "Los propietarios no aportaron ni retiraron dinero"),
    ),
    "income_turn": Phrase(
        "Net income improved on the year before, by {value} on a scale from 0 to 1",
        "El resultado neto mejoró frente al año anterior, {value} en una escala de 0 a 1",
        down=(
            "Net income worsened against the year before, by {value} on a scale from 0 to 1",
            "El resultado neto empeoró frente al año anterior, {value} en una escala de 0 a 1",
        ),
        none=("Net income is that of the year before", "El resultado neto es el del año anterior"),
    ),
    "net_income_to_assets_acceleration": Phrase(
        "The change of net income over assets was {value} better than the year before's",
        "La variación del resultado neto sobre el activo fue {value} mejor que la del año anterior",
        down=(
            "The change of net income over assets was {value} worse than the year before's",
            "La variación del resultado neto sobre el activo fue {value} peor que la del año anterior",
        ),
        none=(
            "Net income over assets changed as in the year before",
            "El resultado neto sobre el activo varió como el año anterior",
        ),
    ),
    "loss_years": Phrase(
        "It lost money in {value} of the last three years",
        "Tuvo pérdidas en {value} de los tres últimos años",
        none=("It has shown no loss in the last three years", "No ha tenido pérdidas en los tres últimos años"),
    ),
    "net_income_to_assets_mean3": Phrase(
        "Net income of up to three years averages {value} assets",
        "El resultado neto medio de hasta tres años es {value} el activo",
    ),
    "net_income_to_assets_worst3": Phrase(
        "Net income in the worst of up to three years was {value} assets",
        "El resultado neto en el peor de hasta tres años fue {value} el activo",
    ),
    "ebitda_to_assets_mean3": Phrase(
        "EBITDA of up to three years averages {value} assets", "El EBITDA medio de hasta tres años es {value} el activo"
    ),
    "net_income_volatility": Phrase(
        "Net income over assets moves by {value} from year to year",
        "El resultado neto sobre el activo se mueve {value} de un año a otro",
    ),
    "market_value_volatility": Phrase(
        "The market value moves by about {value} from year to year",
        "El valor de mercado se mueve cerca de un {value} de un año a otro",
    ),
    "market_value_off_peak": Phrase(
        "The market value is {value} above its peak of the last four years",
        "El valor de mercado está un {value} por encima de su máximo de los cuatro últimos años",
        down=(
            "The market value is {value} below its peak of the last four years",
            "El valor de mercado está un {value} por debajo de su máximo de los cuatro últimos años",
        ),
        none=(
            "The market value is at its peak of the last four years",
            "El valor de mercado está en su máximo de los cuatro últimos años",
        ),
    ),
    "years_published": Phrase(
        "Its accounts go back {value}",
        "Sus cuentas se remontan a {value}",
        none=("These are its first accounts", "Estas son sus primeras cuentas"),
    ),
    "asset_volatility": Phrase(
        "The market value of its assets moves by about {value} in a year",
        "El valor de mercado de su activo se mueve cerca de un {value} en un año",
    ),
    "market_value_age": Phrase(
        "The market value was {value} old when the accounts came out",
        "El valor de mercado tenía {value} al publicarse las cuentas",
    ),
    "distance_to_default": Phrase("The distance to default is {value}", "La distancia al impago es de {value}"),
    "altman_z": Phrase("The Altman Z is {value}", "La Z de Altman es {value}", score=True),
    "altman_z1983": Phrase("The Altman Z′ is {value}", "La Z′ de Altman es {value}", score=True),
    "altman_z1995": Phrase("The Altman Z″ is {value}", "La Z″ de Altman es {value}", score=True),
}
"""Features and Altman scores that are not a ratio, an amount, a change or a rank."""

WITHOUT_DENOMINATOR = {
    "long_term_debt": ("It has no long-term debt", "No tiene deuda a largo plazo"),
    "revenue": ("It has no revenue", "No tiene ventas"),
    "interest_expense": ("It pays no interest", "No paga intereses"),
    "liquid_assets": ("It has no liquid assets", "No tiene activos líquidos"),
    "equity": ("Its liabilities are above its assets", "Su pasivo supera a su activo"),
    "current_liabilities": ("It has no current liabilities", "No tiene pasivo corriente"),
    "total_liabilities": ("It has no liabilities", "No tiene pasivo"),
    "all_liabilities": ("It has no liabilities", "No tiene pasivo"),
    "market_assets": ("It has neither liabilities nor a market value", "No tiene pasivo ni valor de mercado"),
    "market_value": ("Its market value is nil", "Su valor de mercado es nulo"),
}
"""Denominator → sentence for when it is not above zero, so that no ratio to it exists although all items are known."""

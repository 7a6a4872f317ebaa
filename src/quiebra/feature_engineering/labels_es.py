"""Spanish labels of features and concepts, for reasons shown in Spanish."""

from __future__ import annotations

from functools import cache

from quiebra.feature_engineering.own import OWN_FEATURES, own_label

CONCEPT_LABELS = {
    "liquidity": ("liquidity", "liquidez"),
    "leverage": ("leverage", "endeudamiento"),
    "profitability": ("profitability", "rentabilidad"),
    "activity": ("activity", "actividad"),
    "coverage": ("debt service", "servicio de la deuda"),
    "size": ("size and age", "tamaño y antigüedad"),
    "composite": ("older distress scores", "indicadores clásicos de insolvencia"),
    "market": ("market", "mercado"),
    "trend": ("trend", "tendencia"),
    "altman": ("Altman score", "puntuación de Altman"),
}
"""Concept → its English and Spanish label."""


def concept_label(concept: str, language: str) -> str:
    """Return a concept's label; an own feature is a concept with its own label."""
    return own_label(concept, language) if concept in OWN_FEATURES else CONCEPT_LABELS[concept][language == "es"]


SPANISH_LABELS = {
    "working_capital_to_assets": "Fondo de maniobra / activo",
    "current_ratio": "Ratio de circulante",
    "quick_ratio": "Prueba ácida",
    "cash_to_assets": "Tesorería / activo",
    "current_assets_to_assets": "Activo corriente / activo",
    "current_liabilities_to_assets": "Pasivo corriente / activo",
    "liquid_to_assets": "Activos líquidos / activo",
    "liquid_to_current_liabilities": "Activos líquidos / pasivo corriente",
    "burn_to_liquid": "Consumo de caja / activos líquidos",
    "liabilities_to_assets": "Pasivo / activo",
    "debt_to_assets": "Deuda a largo plazo / activo",
    "current_share_of_liabilities": "Parte corriente del pasivo",
    "debt_share_of_liabilities": "Parte a largo plazo del pasivo",
    "retained_earnings_to_assets": "Reservas por beneficios / activo",
    "net_income_to_assets": "Resultado neto / activo",
    "ebit_to_assets": "EBIT / activo",
    "ebitda_to_assets": "EBITDA / activo",
    "gross_margin": "Margen bruto",
    "ebit_margin": "Margen de EBIT",
    "net_margin": "Margen neto",
    "asset_turnover": "Ventas / activo",
    "inventory_to_revenue": "Existencias / ventas",
    "receivables_to_revenue": "Clientes / ventas",
    "current_liabilities_to_revenue": "Pasivo corriente / ventas",
    "operating_expenses_to_revenue": "Gastos de explotación / ventas",
    "depreciation_to_assets": "Amortización / activo",
    "ebitda_to_liabilities": "EBITDA / pasivo",
    "ebitda_to_current_liabilities": "EBITDA / pasivo corriente",
    "ebitda_to_debt": "EBITDA / deuda a largo plazo",
    "interest_coverage": "EBIT / intereses",
    "cash_flow_to_liabilities": "Flujo de caja de explotación / pasivo",
    "non_operating_cost_to_assets": "Intereses, impuestos y otros costes / activo",
    "non_operating_cost_to_debt": "Intereses, impuestos y otros costes / deuda",
    "log_assets": "Tamaño (activo)",
    "log_revenue": "Tamaño (ventas)",
    "ohlson_o": "Puntuación O de Ohlson",
    "zmijewski": "Puntuación de Zmijewski",
    "log_market_value": "Valor de mercado",
    "market_value_to_liabilities": "Valor de mercado / pasivo",
    "market_leverage": "Pasivo / valor de mercado del activo",
    "market_to_assets": "Valor de mercado / activo",
    "market_value_to_revenue": "Valor de mercado / ventas",
    "market_to_book": "Valor de mercado / patrimonio neto",
    "book_to_market": "Patrimonio neto / valor de mercado",
    "net_income_to_market_value": "Resultado neto / valor de mercado",
    "net_income_to_market_assets": "Resultado neto / valor de mercado del activo",
    "ebitda_to_market_assets": "EBITDA / valor de mercado del activo",
    "revenue_to_market_assets": "Ventas / valor de mercado del activo",
    "retained_earnings_to_market_assets": "Reservas por beneficios / valor de mercado del activo",
    "liquid_to_market_assets": "Activos líquidos / valor de mercado del activo",
    "debt_to_market_assets": "Deuda a largo plazo / valor de mercado del activo",
    "current_liabilities_to_market_assets": "Pasivo corriente / valor de mercado del activo",
    "working_capital_to_market_assets": "Fondo de maniobra / valor de mercado del activo",
    "asset_volatility": "Volatilidad del valor de mercado del activo",
    "market_value_age": "Antigüedad del valor de mercado",
    "distance_to_default": "Distancia al impago",
    "equity_raised": "Capital aportado / activo",
    "accruals": "Devengos / activo",
    "cash_earned_to_liabilities": "Caja generada / pasivo",
    "income_turn": "Giro del resultado neto",
    "net_income_to_assets_acceleration": "Resultado neto / activo, aceleración",
    "loss_years": "Años con pérdidas de los tres últimos",
    "net_income_to_assets_mean3": "Resultado neto / activo, media de tres años",
    "net_income_to_assets_worst3": "Resultado neto / activo, peor de tres años",
    "ebitda_to_assets_mean3": "EBITDA / activo, media de tres años",
    "net_income_volatility": "Volatilidad del resultado neto / activo",
    "market_value_volatility": "Volatilidad del valor de mercado",
    "market_value_off_peak": "Valor de mercado frente a su máximo",
    "years_published": "Años de cuentas publicadas",
    "current_assets_growth": "Crecimiento del activo corriente",
    "receivables_growth": "Crecimiento de clientes",
    "inventory_growth": "Crecimiento de existencias",
    "operating_expenses_growth": "Crecimiento de gastos de explotación",
    "total_liabilities_growth": "Crecimiento del pasivo",
    "current_liabilities_growth": "Crecimiento del pasivo corriente",
    "long_term_debt_growth": "Crecimiento de la deuda a largo plazo",
    "depreciation_amortization_growth": "Crecimiento de la amortización",
    "altman_z": "Z de Altman",
    "altman_z1983": "Z′ de Altman",
    "altman_z1995": "Z″ de Altman",
}
"""Feature or score → its Spanish label; those of changes and ranks are composed by `spanish_label`."""

CHANGE_LABELS = {
    "_change1": ", variación en un año",
    "_change2": ", variación en dos años",
    "_change3": ", variación en tres años",
}
RANK_LABELS = {"sector_rank_": ", posición en su sector", "rank_": ", posición entre todas"}


def spanish_label(name: str) -> str:
    """Return a feature's Spanish label; raise KeyError where there is none (a test checks every feature).

    >>> spanish_label("sector_rank_log_assets")
    'Tamaño (activo), posición en su sector'
    """
    return own_label(name, "es") if name in OWN_FEATURES else _composed(name)


@cache
def _composed(name: str) -> str:
    for start, words in RANK_LABELS.items():
        if name.startswith(start):
            return _composed(name.removeprefix(start)) + words
    for end, words in CHANGE_LABELS.items():
        if name.endswith(end):
            return _composed(name.removesuffix(end)) + words
    return SPANISH_LABELS[name]

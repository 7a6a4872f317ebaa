"""Tables and views.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

AMOUNTS = (
    "current_assets",
    "cash",
    "receivables",
    "inventory",
    "total_assets",
    "current_liabilities",
    "long_term_debt",
    "total_liabilities",
    "retained_earnings",
    "revenue",
    "cost_of_goods_sold",
    "gross_profit",
    "operating_expenses",
    "depreciation_amortization",
    "ebitda",
    "ebit",
    "interest_expense",
    "net_income",
    "operating_cash_flow",
    "market_value",
)
KPIS = """
       COUNT(*) AS companies, AVG(p.pd_12m) AS mean_pd_12m, MAX(p.pd_12m) AS highest_pd_12m,
       AVG(CASE WHEN p.watch THEN 1.0 ELSE 0.0 END) AS watch_share, e.run_id AS run_id, e.simulated AS simulated
FROM predicciones p JOIN ejecuciones e ON e.run_id = p.run_id AND e.is_current
"""
BY_COMPANY = "JOIN empresas c ON c.company_id = p.company_id WHERE p.kind = 'current'"
VIEWS = {
    "v_ultimas_predicciones": """
SELECT p.company_id, c.name, c.country, c.sector, c.region, p.fiscal_year, p.score_date, p.pd_12m, p.pd_model, p.pd_altman,
       p.rating, p.watch, p.altman_z, p.altman_z1983, p.altman_z1995, p.reasons, e.run_id, e.model_id, e.simulated
FROM predicciones p
JOIN ejecuciones e ON e.run_id = p.run_id AND e.is_current
JOIN empresas c ON c.company_id = p.company_id
WHERE p.kind = 'current'
""",
    "v_kpi_mes": f"SELECT p.score_month AS month, p.kind AS kind, {KPIS} GROUP BY p.score_month, p.kind, e.run_id, e.simulated",
    **{
        f"v_kpi_{name}": f"SELECT COALESCE(c.{column}, 'unknown') AS {column}, {KPIS} {BY_COMPANY} "
        f"GROUP BY COALESCE(c.{column}, 'unknown'), e.run_id, e.simulated"
        for name, column in (("sector", "sector"), ("region", "region"))
    },
}


def upgrade() -> None:
    op.create_table(
        "empresas",
        sa.Column("company_id", sa.String(64), primary_key=True),
        *(sa.Column(name, sa.Text) for name in ("name", "country", "region", "sector")),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
    )
    op.create_table(
        "datos_financieros",
        sa.Column("company_id", sa.String(64), sa.ForeignKey("empresas.company_id"), primary_key=True),
        sa.Column("fiscal_year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("available_at", sa.Date, primary_key=True),
        sa.Column("period_end", sa.Date, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Float) for name in AMOUNTS),
    )
    op.create_table(
        "datos_macroeconomicos",
        sa.Column("source", sa.String(32), primary_key=True),
        sa.Column("series", sa.String(64), primary_key=True),
        sa.Column("date", sa.Date, primary_key=True),
        sa.Column("available_at", sa.Date, primary_key=True),
        sa.Column("value", sa.Float),
    )
    op.create_table(
        "modelos",
        sa.Column("model_id", sa.String(12), primary_key=True),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("trained_on", sa.String(16), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("params", "metrics", "card")),
    )
    op.create_table(
        "ejecuciones",
        sa.Column("run_id", sa.String(12), primary_key=True),
        sa.Column("model_id", sa.String(12), sa.ForeignKey("modelos.model_id"), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("data_sha256", "code_sha256", "code_revision")),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "predicciones",
        sa.Column("run_id", sa.String(12), sa.ForeignKey("ejecuciones.run_id"), primary_key=True),
        sa.Column("company_id", sa.String(64), sa.ForeignKey("empresas.company_id"), primary_key=True),
        sa.Column("score_date", sa.Date, primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("fiscal_year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("score_month", sa.String(7), nullable=False),
        sa.Column("pd_12m", sa.Float, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("pd_model", "pd_altman")),
        sa.Column("rating", sa.String(8), nullable=False),
        sa.Column("watch", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Float) for name in ("altman_z", "altman_z1983", "altman_z1995")),
        sa.Column("reasons", sa.Text),
        postgresql_partition_by="RANGE (score_date)",
    )
    for name, select in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for name in ("predicciones", "ejecuciones", "modelos", "datos_macroeconomicos", "datos_financieros", "empresas"):
        op.drop_table(name)

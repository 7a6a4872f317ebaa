"""Alerts reported to each channel, the cause an alert was last seen on, and analysts' grades beside the model's in the view.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
LATEST = """
SELECT p.company_id, c.name, c.country, c.sector, c.region, p.fiscal_year, p.score_date, p.pd_12m, p.pd_12m_low, p.pd_12m_high,
       p.pd_24m, p.pd_36m, p.pd_48m, p.pd_60m, p.pd_model, p.pd_altman, p.scorer, p.rating, a.rating AS rating_analyst, p.watch,
       p.altman_z, p.altman_z1983, p.altman_z1995, p.reasons, e.run_id, e.model_id, e.simulated
FROM predicciones p
JOIN ejecuciones e ON e.run_id = p.run_id AND e.is_current
JOIN empresas c ON c.company_id = p.company_id
LEFT JOIN ajustes_calificacion a ON a.source = e.source AND a.company_id = p.company_id AND a.approver IS NOT NULL
     AND a.ended_on IS NULL AND a.expires_on >= CURRENT_DATE
WHERE p.kind = 'current'
"""


def upgrade() -> None:
    op.add_column("alertas", sa.Column("seen_cause", sa.String(64)))
    op.execute("UPDATE alertas SET seen_cause = cause")
    op.create_table(
        "alertas_comunicadas",
        sa.Column("alert_id", sa.String(12), primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("message_id", sa.String(32), nullable=False),
    )
    op.execute("DROP VIEW v_ultimas_predicciones")
    op.execute(f"CREATE VIEW v_ultimas_predicciones AS {LATEST}")

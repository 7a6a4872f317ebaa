"""PDs of one to five years with an interval, the scorer that made them, and a status for every model.

Revision ID: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

PREDICTION = [
    *(sa.Column(name, sa.Float) for name in ("pd_24m", "pd_36m", "pd_48m", "pd_60m", "pd_12m_low", "pd_12m_high")),
    sa.Column("scorer", sa.String(16)),
]
MODEL: list[sa.Column[Any]] = [
    sa.Column("version", sa.Integer),
    sa.Column("status", sa.String(16)),
    sa.Column("data_sha256", sa.String(64)),
    sa.Column("gates", sa.JSON),
    sa.Column("changed_at", sa.DateTime),
]
LATEST = """
SELECT p.company_id, c.name, c.country, c.sector, c.region, p.fiscal_year, p.score_date, p.pd_12m, p.pd_12m_low, p.pd_12m_high,
       p.pd_24m, p.pd_36m, p.pd_48m, p.pd_60m, p.pd_model, p.pd_altman, p.scorer, p.rating, p.watch, p.altman_z, p.altman_z1983,
       p.altman_z1995, p.reasons, e.run_id, e.model_id, e.simulated
FROM predicciones p
JOIN ejecuciones e ON e.run_id = p.run_id AND e.is_current
JOIN empresas c ON c.company_id = p.company_id
WHERE p.kind = 'current'
"""


def upgrade() -> None:
    for column in PREDICTION:
        op.add_column("predicciones", column)
    for column in MODEL:
        op.add_column("modelos", column)
    op.execute("UPDATE modelos SET status = 'challenger', version = 0")  # rows from before the model register
    op.execute("DROP VIEW v_ultimas_predicciones")
    op.execute(f"CREATE VIEW v_ultimas_predicciones AS {LATEST}")

"""Monitoring findings of each run, and each model's comparison with the champion on the same rows.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("modelos", sa.Column("comparison", sa.JSON))
    op.create_table(
        "monitoreo",
        sa.Column("run_id", sa.String(12), sa.ForeignKey("ejecuciones.run_id"), primary_key=True),
        sa.Column("measure", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("fiscal_year", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Float) for name in ("value", "low", "high")),
        sa.Column("watch", sa.Float, nullable=False),
        sa.Column("alarm", sa.Float, nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
    )

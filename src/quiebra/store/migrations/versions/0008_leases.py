"""Leases for cycles and for sending messages, and the lease token of each message being sent.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "turnos",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("beats", sa.Integer, nullable=False),
        sa.Column("renewed_at", sa.DateTime, nullable=False),
    )
    op.add_column("bandeja_salida", sa.Column("sender", sa.Integer))

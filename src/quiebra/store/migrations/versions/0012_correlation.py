"""Messages keep the correlation id of what queued them.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("bandeja_salida", sa.Column("correlation_id", sa.String(64)))

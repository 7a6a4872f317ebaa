"""A seal at the last audit entry before the chain's hashes cover the stored text of before and after.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        "INSERT INTO auditoria_sellos (name, entry_id, hash) "
        "SELECT 'exact', entry_id, hash FROM auditoria_sellos WHERE name = 'head'"
    )

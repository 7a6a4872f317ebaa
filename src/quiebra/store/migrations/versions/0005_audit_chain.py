"""The audit table as a verifiable hash chain; triggers make its rows append-only.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from quiebra.store.audit_chain import GENESIS_HASH, legacy_entry_hash

revision = "0005"
down_revision = "0004"

SQLITE = (
    "CREATE TRIGGER auditoria_no_update BEFORE UPDATE ON auditoria BEGIN SELECT RAISE(ABORT, 'auditoria is append-only'); END",
    "CREATE TRIGGER auditoria_no_delete BEFORE DELETE ON auditoria "
    "WHEN OLD.entry_id > (SELECT entry_id FROM auditoria_sellos WHERE name = 'start') "
    "BEGIN SELECT RAISE(ABORT, 'auditoria is append-only'); END",
)
POSTGRESQL = (
    """CREATE FUNCTION auditoria_append_only() RETURNS trigger AS $$ BEGIN
    IF TG_OP = 'DELETE' AND OLD.entry_id <= (SELECT entry_id FROM auditoria_sellos WHERE name = 'start') THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'auditoria is append-only'; END $$ LANGUAGE plpgsql""",
    "CREATE TRIGGER auditoria_append_only BEFORE UPDATE OR DELETE ON auditoria "
    "FOR EACH ROW EXECUTE FUNCTION auditoria_append_only()",
)


def upgrade() -> None:
    op.add_column("auditoria", sa.Column("hash", sa.String(64), nullable=False, server_default=""))
    seals = op.create_table(
        "auditoria_sellos",
        sa.Column("name", sa.String(8), primary_key=True),
        sa.Column("entry_id", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    connection = op.get_bind()
    table = sa.Table("auditoria", sa.MetaData(), autoload_with=connection)
    for name, kind in {"before": sa.JSON(), "after": sa.JSON()}.items():
        table.c[name].type = kind
    rows = connection.execute(sa.select(table).order_by(table.c.entry_id)).mappings().all()
    first = rows[0]["entry_id"] - 1 if rows else 0
    hash_, number = GENESIS_HASH, first
    for row in rows:
        number += 1
        hash_ = legacy_entry_hash(hash_, number, row)
        values = {"hash": hash_, "entry_id": number}
        connection.execute(sa.update(table).where(table.c.entry_id == row["entry_id"]).values(values))
    op.bulk_insert(
        seals, [{"name": "start", "entry_id": first, "hash": GENESIS_HASH}, {"name": "head", "entry_id": number, "hash": hash_}]
    )
    for statement in POSTGRESQL if connection.dialect.name == "postgresql" else SQLITE:
        op.execute(statement)

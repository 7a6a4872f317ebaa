"""Alerts, the analysts' watch list and overrides, messages to be sent, and scheduled cycles.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _text(name: str, length: int, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "alertas",
        sa.Column("alert_id", sa.String(12), primary_key=True),
        _text("source", 32),
        _text("rule", 64),
        _text("measure", 32),
        _text("kind", 16),
        _text("subject", 64),
        _text("cause", 64),
        _text("severity", 8),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("value", "threshold")),
        sa.Column("latest", sa.Float),
        _text("state", 16),
        sa.Column("raised_on", sa.Date, nullable=False),
        _text("raised_run", 12),
        sa.Column("seen_on", sa.Date, nullable=False),
        _text("seen_run", 12),
        _text("owner", 64, True),
        sa.Column("note", sa.Text),
        sa.Column("review_on", sa.Date),
        sa.Column("closed_on", sa.Date),
        _text("closed_by", 64, True),
        sa.Column("changed_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "vigilancia",
        sa.Column("source", sa.String(32), primary_key=True),
        sa.Column("company_id", sa.String(64), primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _text("who", 64),
        sa.Column("since", sa.Date, nullable=False),
        sa.Column("review_on", sa.Date, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "ajustes_calificacion",
        sa.Column("override_id", sa.Integer, primary_key=True, autoincrement=True),
        _text("source", 32),
        _text("company_id", 64),
        _text("rating", 8),
        _text("model_rating", 8),
        sa.Column("pd_12m", sa.Float, nullable=False),
        _text("run_id", 12),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _text("author", 64),
        sa.Column("made_on", sa.Date, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        _text("approver", 64, True),
        sa.Column("approved_on", sa.Date),
        sa.Column("ended_on", sa.Date),
        _text("ended_by", 64, True),
    )
    op.create_table(
        "bandeja_salida",
        sa.Column("message_id", sa.String(32), primary_key=True),
        _text("channel", 32),
        _text("recipient", 254),
        _text("about", 64),
        _text("run_id", 12, True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _text("state", 12),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.DateTime, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("queued_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "ciclos",
        sa.Column("cycle_id", sa.String(32), primary_key=True),
        _text("state", 8),
        sa.Column("steps", sa.JSON, nullable=False),
        _text("run_id", 12, True),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("error", sa.Text),
    )

"""Alembic's entry point: runs the migrations on the connection of `quiebra.store.upgrade_schema`."""

from alembic import context

from quiebra.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()

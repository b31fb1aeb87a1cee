"""Alembic's entry: run the migrations on the engine that `upgrade` hands over, in one transaction."""

from alembic import context

from nurture.store.engine import WRITES
from nurture.store.tables import metadata

engine = context.config.attributes["engine"]
with engine.connect().execution_options(**{WRITES: True}) as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with connection.begin(), context.begin_transaction():
        context.run_migrations()

"""Alembic's entry: run the migrations on the engine that `upgrade` hands over, in one transaction."""

from alembic import context
from sqlalchemy import event

from nurture.failpoints import reach
from nurture.store.engine import WRITES
from nurture.store.tables import metadata

engine = context.config.attributes["engine"]
with engine.connect().execution_options(**{WRITES: True}) as connection:
    event.listen(connection, "after_cursor_execute", lambda *_: reach("migrate.each_statement"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with connection.begin(), context.begin_transaction():
        context.run_migrations()

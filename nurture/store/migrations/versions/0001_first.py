"""The first schema."""

from alembic import op

from consent import guards
from nurture.store.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table and the guards of the ledger."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for statement in guards.statements(connection.dialect.name):
        op.execute(statement)

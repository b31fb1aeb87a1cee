"""The first schema."""

from alembic import op

from consent import guards as consent_guards
from nurture.store import guards
from nurture.store.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table and the guards of the ledger."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for statement in [*consent_guards.statements(connection.dialect.name), *guards.statements(connection.dialect.name)]:
        op.execute(statement)

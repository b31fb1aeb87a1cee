"""An outbox of its own for what happens to a consent after a handover: one row per handover and ledger entry.

It starts empty. A withdrawal that was told before is told once more, under its own id.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table and the index that carries what is due."""
    identifier = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "handover_notice",
        sa.Column("handover_id", identifier, nullable=False),
        sa.Column("seq", identifier, nullable=False, comment="the withdrawal or erasure to tell of"),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('open','taken','dead','moot')", name=op.f("ck_handover_notice_state")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_notice_handover_id_handover")),
        sa.ForeignKeyConstraint(["seq"], ["ledger_entry.seq"], name=op.f("fk_handover_notice_seq_ledger_entry")),
        sa.PrimaryKeyConstraint("handover_id", "seq", name=op.f("pk_handover_notice")),
        comment="outbox: what sales is to be told about a lead they got; moot where only tracking ended",
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_handover_notice_open",
        "handover_notice",
        ["next_attempt_at"],
        unique=False,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )

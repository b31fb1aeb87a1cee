"""The first schema, frozen: later changes to the models come as later migrations."""

import sqlalchemy as sa
from alembic import op

from consent import guards as consent_guards
from nurture.store import guards

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table, then the guards of ledger and delivery states."""
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="C2SP signed note"),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "circuit",
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("recent", sa.String(length=20), nullable=False, comment="last answers, oldest first: '.' clear, '?' unknown"),
        sa.Column(
            "probed_at", sa.DateTime(timezone=True), nullable=False, comment="when it opened, or a probe last began or failed"
        ),
        sa.CheckConstraint("state in ('closed','open','half_open')", name=op.f("ck_circuit_state")),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_circuit")),
        comment="does it make sense to ask this provider now?",
    )
    op.create_table(
        "consent_text",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("controller", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="the exact wording shown beside the box"),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the UTF-8 bytes of body"),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_text")),
        sa.UniqueConstraint(
            "controller",
            "channel",
            "purpose",
            "version",
            "language",
            name=op.f("uq_consent_text_controller_channel_purpose_version_language"),
        ),
    )
    op.create_table(
        "flow_summary",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("flow", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_summary")),
        comment="what each run did, in counts; Prefect forgets its runs, we do not",
    )
    op.create_table(
        "identity",
        sa.Column("subject", sa.String(length=26), nullable=False, comment="random; says nothing about the person"),
        sa.Column(
            "address_index",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="keyed HMAC of the identity form; empty once erased",
        ),
        sa.Column("index_key", sa.SmallInteger(), nullable=False, comment="version of the HMAC key"),
        sa.Column(
            "wrapped_key",
            sa.LargeBinary(),
            nullable=True,
            comment="this subject's key, wrapped by the master key; erasure removes it",
        ),
        sa.Column("sealed_address", sa.LargeBinary(), nullable=True, comment="the address as given"),
        sa.Column("sealed_person", sa.LargeBinary(), nullable=True, comment="names, phone, company as JSON"),
        sa.Column(
            "wrap_key",
            sa.SmallInteger(),
            server_default="1",
            nullable=False,
            comment="version of the master key that wraps",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "restricted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Art. 18 GDPR: kept, but used for nothing",
        ),
        sa.Column(
            "same_as",
            sa.String(length=26),
            nullable=True,
            comment="the subject that stayed when a rotation of the index key found one address twice",
        ),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["same_as"], ["identity.subject"], name=op.f("fk_identity_same_as_identity")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_identity")),
        sa.UniqueConstraint("address_index", name=op.f("uq_identity_address_index")),
    )
    op.create_index(
        "ix_identity_same_as",
        "identity",
        ["same_as"],
        unique=False,
        sqlite_where=sa.text("same_as IS NOT NULL"),
        postgresql_where=sa.text("same_as IS NOT NULL"),
    )
    op.create_table(
        "import_batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("preset", sa.String(length=32), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batch")),
        sa.UniqueConstraint("file_sha256", name=op.f("uq_import_batch_file_sha256")),
    )
    op.create_table(
        "kill_switch",
        sa.Column("scope", sa.String(length=80), nullable=False, comment="'all' or 'sequence:<name>'"),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_kill_switch")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="evidence only; the order is seq"),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False, comment="canonical JSON, at most 16 KiB, no personal data"),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False, comment="SHA-256(0x00 || leaf), RFC 6962"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_entry")),
    )
    op.create_index(op.f("ix_ledger_entry_subject"), "ledger_entry", ["subject"], unique=False)
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "root", sa.LargeBinary(length=32), nullable=False, comment="Merkle tree hash of all entries, RFC 6962"
        ),
        sa.Column(
            "frontier", sa.LargeBinary(), nullable=False, comment="hashes of the complete subtrees, largest first"
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "ledger_tile",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("idx", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column(
            "hashes",
            sa.LargeBinary(length=8192),
            nullable=False,
            comment="256 hashes: of entries, or of tiles one level below",
        ),
        sa.Column(
            "root", sa.LargeBinary(length=32), nullable=False, comment="of this tile: its hash in the tile above"
        ),
        sa.PrimaryKeyConstraint("level", "idx", name=op.f("pk_ledger_tile")),
        comment="full tiles only (C2SP tlog-tiles); the partial ones follow from entries and tiles",
    )
    op.create_table(
        "raw_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "source", sa.String(length=32), nullable=False, comment="sendgrid, click, open, form, beacon, dsn"
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=True, comment="as received, sealed; removed once applied"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.CheckConstraint("state in ('new','applied','quarantined')", name=op.f("ck_raw_event_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_event")),
        sa.UniqueConstraint("body_sha256", name=op.f("uq_raw_event_body_sha256")),
    )
    op.create_index(
        "ix_raw_event_new",
        "raw_event",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_table(
        "send_batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column(
            "environment",
            sa.String(length=26),
            nullable=False,
            comment="a restored copy elsewhere may not send what is ours",
        ),
        sa.Column("sequence", sa.String(length=64), nullable=True, comment="for the kill switch"),
        sa.Column("purpose", sa.String(length=64), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="fences a late worker"),
        sa.Column(
            "lapses", sa.SmallInteger(), server_default="0", nullable=False, comment="workers lost while claimed"
        ),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False, comment="later than this it expires unsent"),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=200), nullable=True, comment="ids and codes only"),
        sa.Column(
            "ramp_day",
            sa.String(length=10),
            nullable=True,
            comment="the day on which its mails were counted into the ramp",
        ),
        sa.CheckConstraint("kind in ('marketing','confirmation')", name=op.f("ck_send_batch_kind")),
        sa.CheckConstraint(
            "state in ('planned','claimed','submitting','accepted','rejected','in_doubt','unknown','suppressed','expired','failed_render')",
            name=op.f("ck_send_batch_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_send_batch")),
    )
    op.create_index(
        "ix_send_batch_doubtful",
        "send_batch",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state IN ('in_doubt', 'unknown')"),
        postgresql_where=sa.text("state IN ('in_doubt', 'unknown')"),
    )
    op.create_index(
        "ix_send_batch_open",
        "send_batch",
        ["not_before", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('planned', 'claimed', 'submitting')"),
        postgresql_where=sa.text("state IN ('planned', 'claimed', 'submitting')"),
    )
    op.create_table(
        "sequence_version",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sequence_version")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_sequence_version_name_version")),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
        comment="facts about this database, such as its environment id",
    )
    op.create_table(
        "suppression",
        sa.Column("address_index", sa.LargeBinary(length=32), nullable=False, comment="keyed HMAC; survives erasure"),
        sa.Column("controller", sa.String(length=64), nullable=False, comment="'*' for every controller"),
        sa.Column("index_key", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address_index", "controller", name=op.f("pk_suppression")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "brake",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False, comment="empty for all"),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False, comment="figures only"),
        sa.Column(
            "counted_from",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a person released it last: what was before counts no more",
        ),
        sa.Column("told", sa.Boolean(), nullable=False, comment="was an alarm raised?"),
        sa.CheckConstraint(
            "name in ('in_doubt','complaints','restored','copied','server')", name=op.f("ck_brake_name")
        ),
        sa.CheckConstraint("level in ('off','warn','stop')", name=op.f("ck_brake_level")),
        sa.PrimaryKeyConstraint("name", "provider", name=op.f("pk_brake")),
        comment="what nurture itself stopped, until a person releases it; who and why stands in switch_change",
    )
    op.create_table(
        "ramp_day",
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False, comment="in the legal zone, such as 2026-11-23"),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "day", name=op.f("pk_ramp_day")),
        comment="how many marketing mails of a day's volume are taken, while the account warms up",
    )
    op.create_table(
        "switch_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.String(length=80), nullable=False),
        sa.Column("change", sa.String(length=8), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.CheckConstraint("change in ('stop','resume')", name=op.f("ck_switch_change_change")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_switch_change")),
        comment="who stopped and resumed sending, and why; kill_switch holds what is stopped now",
    )
    op.create_table(
        "template_version",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False, comment="<sequence>/<step>/<temperature>/<language>"),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the compiled subject, text and HTML"),
        sa.Column(
            "links", sa.JSON(), nullable=False, comment="[{key, url}]: a tracked link is an index into this list"
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_version")),
        sa.UniqueConstraint("key", "sha256", name=op.f("uq_template_version_key_sha256")),
    )
    op.create_table(
        "checkpoint_delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "target", sa.String(length=200), nullable=False, comment="as configured, without secrets and addresses"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.CheckConstraint("outcome in ('delivered','failed')", name=op.f("ck_checkpoint_delivery_outcome")),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name=op.f("fk_checkpoint_delivery_size_checkpoint")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint_delivery")),
    )
    op.create_index("ix_checkpoint_delivery_target", "checkpoint_delivery", ["target", "size"], unique=False)
    op.create_table(
        "consent_state",
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("controller", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="given, withdrawn, stale, erased"),
        sa.Column(
            "basis",
            sa.String(length=20),
            server_default="consent",
            nullable=False,
            comment="consent, or existing_customer (s. 7(3) UWG)",
        ),
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="ledger entry that made it so",
        ),
        sa.Column(
            "text_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="wording agreed to; empty for imported consent",
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "used_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last authorised send; consent unused for too long turns stale",
        ),
        sa.CheckConstraint("basis in ('consent','existing_customer')", name=op.f("ck_consent_state_basis")),
        sa.CheckConstraint("state in ('given','withdrawn','stale','erased')", name=op.f("ck_consent_state_state")),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_consent_state_subject_identity")),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name=op.f("fk_consent_state_text_id_consent_text")),
        sa.PrimaryKeyConstraint("subject", "controller", "channel", "purpose", name=op.f("pk_consent_state")),
        comment="projection of the ledger: the last word per subject and purpose",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_consent_state_seq", "consent_state", ["seq"], unique=False)
    op.create_table(
        "delivery_attempt",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "outcome",
            sa.String(length=16),
            nullable=True,
            comment="accepted, refused, rejected, unknown; empty while open",
        ),
        sa.Column("provider_message_id", sa.String(length=128), nullable=True),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["send_batch.id"], name=op.f("fk_delivery_attempt_batch_id_send_batch")),
        sa.PrimaryKeyConstraint("batch_id", "n", name=op.f("pk_delivery_attempt")),
    )
    op.create_index("ix_delivery_attempt_answered", "delivery_attempt", ["answered_at"], unique=False)
    op.create_index(
        "uq_delivery_attempt_open",
        "delivery_attempt",
        ["batch_id"],
        unique=True,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "lead",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("zone", sa.String(length=40), nullable=False, comment="IANA zone for send windows"),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("industry", sa.String(length=64), nullable=True),
        sa.Column("company_size", sa.Integer(), nullable=True, comment="employees"),
        sa.Column(
            "role", sa.String(length=64), nullable=True, comment="job title class: decider, influencer, user, unknown"
        ),
        sa.Column("freemail", sa.Boolean(), nullable=False),
        sa.Column("role_address", sa.Boolean(), nullable=False, comment="info@, sales@ and the like"),
        sa.Column("source", sa.String(length=32), nullable=False, comment="form, import, fair, api, ..."),
        sa.Column("source_detail", sa.String(length=64), nullable=True),
        sa.Column("import_batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False, comment="marketing or sales"),
        sa.Column(
            "merged_into",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="the lead that stayed when two turned out to be one person",
        ),
        sa.CheckConstraint("owner in ('marketing','sales')", name=op.f("ck_lead_owner")),
        sa.CheckConstraint(
            "stage in ('anonymous','unconfirmed','confirmed','engaged','mql','handed_over','sal','sql','customer','recycled','disqualified')",
            name=op.f("ck_lead_stage"),
        ),
        sa.ForeignKeyConstraint(
            ["import_batch_id"], ["import_batch.id"], name=op.f("fk_lead_import_batch_id_import_batch")
        ),
        sa.ForeignKeyConstraint(["merged_into"], ["lead.id"], name=op.f("fk_lead_merged_into_lead")),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_lead_subject_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead")),
        sa.UniqueConstraint("subject", name=op.f("uq_lead_subject")),
    )
    op.create_index(
        "ix_lead_merged_into",
        "lead",
        ["merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    op.create_table(
        "mail_preference",
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True, comment="no marketing mail before"),
        sa.Column(
            "per_week",
            sa.SmallInteger(),
            nullable=True,
            comment="the most mails a week this person wants; only ever lowers the cap",
        ),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_mail_preference_subject_identity")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_mail_preference")),
        comment="what somebody chose on their preferences page; never widens a consent",
    )
    op.create_table(
        "opt_in_request",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="requested, confirmed, lapsed, declined, bounced, void",
        ),
        sa.Column("controller", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False, comment="form id, api, fair"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "requested_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="ledger entry of the request",
        ),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "sealed_token",
            sa.LargeBinary(),
            nullable=True,
            comment="so that the mail can be written later; empty once settled",
        ),
        sa.Column(
            "queued_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its confirmation mail was queued; empty while it waits for that",
        ),
        sa.Column(
            "abuse_index",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="keyed HMAC of the abuse form, for caps; emptied after 30 days",
        ),
        sa.Column(
            "network_index",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="keyed HMAC of the caller's /24 or /64; emptied after 30 days",
        ),
        sa.Column(
            "domain_index",
            sa.LargeBinary(length=32),
            nullable=True,
            comment="keyed HMAC of the address's domain; emptied after 30 days",
        ),
        sa.CheckConstraint(
            "state in ('requested','confirmed','lapsed','declined','bounced','void')",
            name=op.f("ck_opt_in_request_state"),
        ),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_opt_in_request_subject_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_in_request")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_opt_in_request_token_hash")),
    )
    op.create_index("ix_opt_in_request_abuse", "opt_in_request", ["abuse_index", "requested_at"], unique=False)
    op.create_index("ix_opt_in_request_domain", "opt_in_request", ["domain_index", "requested_at"], unique=False)
    op.create_index("ix_opt_in_request_network", "opt_in_request", ["network_index", "requested_at"], unique=False)
    op.create_index(
        "ix_opt_in_request_open",
        "opt_in_request",
        ["expires_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'requested'"),
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.create_index(op.f("ix_opt_in_request_subject"), "opt_in_request", ["subject"], unique=False)
    op.create_index("ix_opt_in_request_time", "opt_in_request", ["requested_at"], unique=False)
    op.create_table(
        "proof_vault",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "sealed_evidence", sa.LargeBinary(), nullable=False, comment="page, IP, user agent, form values; erasable"
        ),
        sa.ForeignKeyConstraint(["seq"], ["ledger_entry.seq"], name=op.f("fk_proof_vault_seq_ledger_entry")),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_proof_vault_subject_identity")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_proof_vault")),
    )
    op.create_index(op.f("ix_proof_vault_subject"), "proof_vault", ["subject"], unique=False)
    op.create_table(
        "rights_request",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=False, comment="one calendar month later, Art. 12(3) GDPR"
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("route", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column(
            "hold_until", sa.DateTime(timezone=True), nullable=True, comment="evidence is kept, restricted, until then"
        ),
        sa.Column(
            "step", sa.String(length=32), nullable=True, comment="how far an erasure came; a killed one goes on there"
        ),
        sa.CheckConstraint(
            "kind in ('access','erase','restrict','unrestrict','merge')", name=op.f("ck_rights_request_kind")
        ),
        sa.CheckConstraint("state in ('open','running','done','refused')", name=op.f("ck_rights_request_state")),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_rights_request_subject_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_request")),
    )
    op.create_index(
        "ix_rights_request_due",
        "rights_request",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_index(op.f("ix_rights_request_subject"), "rights_request", ["subject"], unique=False)
    op.create_table(
        "enrolment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sequence", sa.String(length=64), nullable=False),
        sa.Column("sequence_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("exit_reason", sa.String(length=64), nullable=True),
        sa.Column(
            "step", sa.String(length=64), nullable=False, comment="id of the step to do next; empty text once finished"
        ),
        sa.Column("occurrence", sa.Integer(), nullable=False, comment="1 for the first pass through a step"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('active','finished','exited','paused')", name=op.f("ck_enrolment_state")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_enrolment_lead_id_lead")),
        sa.ForeignKeyConstraint(
            ["sequence_version_id"],
            ["sequence_version.id"],
            name=op.f("fk_enrolment_sequence_version_id_sequence_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
    )
    op.create_index(
        "ix_enrolment_due",
        "enrolment",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_enrolment_finished",
        "enrolment",
        ["sequence", "left_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'finished'"),
        postgresql_where=sa.text("state = 'finished'"),
    )
    op.create_index("ix_enrolment_lead", "enrolment", ["lead_id", "sequence"], unique=False)
    op.create_index(
        "uq_enrolment_active",
        "enrolment",
        ["lead_id", "sequence"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "handover",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=26), nullable=False, comment="stable id for the receiver's dedupe"),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="1 for the first qualification, +1 after each return"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False, comment="signal:<kind> or threshold"),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(length=64), nullable=True, comment="reason of a return"),
        sa.Column("sealed_payload", sa.LargeBinary(), nullable=True, comment="as sent, under the subject's key"),
        sa.Column("payload_sha256", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('created','delivered','accepted','returned','expired','escalated','withdrawn','dead')",
            name=op.f("ck_handover_state"),
        ),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_handover_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
        sa.UniqueConstraint("lead_id", "epoch", name=op.f("uq_handover_lead_id_epoch")),
        sa.UniqueConstraint("public_id", name=op.f("uq_handover_public_id")),
    )
    op.create_index(
        "ix_handover_open",
        "handover",
        ["next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("state = 'created'"),
        postgresql_where=sa.text("state = 'created'"),
    )
    op.create_table(
        "lead_score",
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("engagement", sa.Float(), nullable=False),
        sa.Column("fit", sa.Float(), nullable=False),
        sa.Column("temperature", sa.String(length=8), nullable=False),
        sa.Column("temperature_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "cools_at", sa.DateTime(timezone=True), nullable=True, comment="when decay alone changes the temperature"
        ),
        sa.CheckConstraint("temperature in ('cold','warm','hot')", name=op.f("ck_lead_score_temperature")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_lead_score_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", name=op.f("pk_lead_score")),
        comment="projection: fold of the lead's events under rules_version at scored_at",
    )
    op.create_index(op.f("ix_lead_score_cools_at"), "lead_score", ["cools_at"], unique=False)
    op.create_table(
        "opt_in_purpose",
        sa.Column("request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("text_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["opt_in_request.id"], name=op.f("fk_opt_in_purpose_request_id_opt_in_request")
        ),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name=op.f("fk_opt_in_purpose_text_id_consent_text")),
        sa.PrimaryKeyConstraint("request_id", "purpose", name=op.f("pk_opt_in_purpose")),
    )
    op.create_table(
        "stage_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "cause",
            sa.String(length=64),
            nullable=False,
            comment="import, consent_confirmed, score, signal:<kind>, sales:<reason>",
        ),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_stage_change_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_change")),
    )
    op.create_index("ix_stage_change_lead", "stage_change", ["lead_id", "at"], unique=False)
    op.create_table(
        "temperature_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("temperature", sa.String(length=8), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_temperature_change_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_temperature_change")),
    )
    op.create_index("ix_temperature_change_lead", "temperature_change", ["lead_id", "at"], unique=False)
    op.create_table(
        "verdict",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of gates and versions"),
        sa.Column(
            "gates",
            sa.JSON(),
            nullable=False,
            comment="[{gate, passed, detail}] in the order asked; details may hold {holes}",
        ),
        sa.Column("versions", sa.JSON(), nullable=False, comment="of sequence, policies, template"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("sha256", name=op.f("uq_verdict_sha256")),
        comment="what the gates said, once for all decisions they said it to; nothing of any person",
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("enrolment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("sequence", sa.String(length=64), nullable=True),
        sa.Column("sequence_version", sa.Integer(), nullable=True),
        sa.Column("step", sa.String(length=64), nullable=True),
        sa.Column("occurrence", sa.Integer(), nullable=True),
        sa.Column("phase", sa.String(length=16), nullable=False, comment="plan or intent: when the gates were asked"),
        sa.Column(
            "outcome",
            sa.String(length=16),
            nullable=False,
            comment="planned, withheld, deferred, waited, branched, left",
        ),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column(
            "verdict_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="what the gates said",
        ),
        sa.Column("details", sa.JSON(), nullable=True, comment="what fills the holes of the verdict for this lead"),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True, comment="when a deferred step comes due again"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_decision_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index("ix_decision_lead", "decision", ["lead_id", "at"], unique=False)
    op.create_table(
        "handover_attempt",
        sa.Column("handover_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=48), nullable=False, comment="lead.handover.created, .withdrawn, ..."),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["handover_id"], ["handover.id"], name=op.f("fk_handover_attempt_handover_id_handover")
        ),
        sa.PrimaryKeyConstraint("handover_id", "n", "event", name=op.f("pk_handover_attempt")),
    )
    op.create_table(
        "handover_notice",
        sa.Column("handover_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="the withdrawal or erasure to tell of",
        ),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('open','taken','dead','moot')", name=op.f("ck_handover_notice_state")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_notice_handover_id_handover")),
        sa.ForeignKeyConstraint(["seq"], ["ledger_entry.seq"], name=op.f("fk_handover_notice_seq_ledger_entry")),
        sa.PrimaryKeyConstraint("handover_id", "seq", name=op.f("pk_handover_notice")),
        comment="outbox: what sales is to be told about a lead they got; moot where only tracking ended",
    )
    op.create_index(
        "ix_handover_notice_open",
        "handover_notice",
        ["next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "public_id", sa.String(length=26), nullable=False, comment="random; the provider and the links see this"
        ),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=26), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("enrolment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("sequence", sa.String(length=64), nullable=True),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=True),
        sa.Column(
            "class",
            sa.String(length=16),
            nullable=False,
            comment="educational, product, direct, follow_up, confirmation",
        ),
        sa.Column("temperature", sa.String(length=8), nullable=True),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("template_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tracked", sa.Boolean(), nullable=False, comment="was tracking consent given when it was planned?"),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('marketing','confirmation')", name=op.f("ck_message_kind")),
        sa.ForeignKeyConstraint(["batch_id"], ["send_batch.id"], name=op.f("fk_message_batch_id_send_batch")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_message_lead_id_lead")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["opt_in_request.id"], name=op.f("fk_message_request_id_opt_in_request")
        ),
        sa.ForeignKeyConstraint(["subject"], ["identity.subject"], name=op.f("fk_message_subject_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("enrolment_id", "step", "occurrence", name=op.f("uq_message_enrolment_id_step_occurrence")),
        sa.UniqueConstraint("public_id", name=op.f("uq_message_public_id")),
        sa.UniqueConstraint("request_id", "occurrence", name=op.f("uq_message_request_id_occurrence")),
        comment="immutable; its state is the batch's, unless message_exception says otherwise",
    )
    op.create_index("ix_message_batch", "message", ["batch_id", "id"], unique=False)
    op.create_index("ix_message_lead", "message", ["lead_id", "planned_at"], unique=False)
    op.create_index(op.f("ix_message_subject"), "message", ["subject"], unique=False)
    op.create_table(
        "authorisation",
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="the send.authorised entry",
        ),
        sa.Column(
            "consent_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="the consent it rests on",
        ),
        sa.Column("content_sha256", sa.String(length=64), nullable=False, comment="of content, address and values as JSON"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_authorisation_message_id_message")),
        sa.PrimaryKeyConstraint("message_id", "attempt", name=op.f("pk_authorisation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False, comment="<unix time>:<what makes it this event>"),
        sa.Column(
            "kind",
            sa.String(length=32),
            nullable=False,
            comment="opened, clicked, demo_requested, ... (tracking vocabulary)",
        ),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False, comment="revisable projection"),
        sa.Column("verdict_reason", sa.String(length=64), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False, comment="link key, bounce class; never personal data"),
        sa.Column("raw_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint("verdict in ('human','machine','unclear')", name=op.f("ck_event_verdict")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_event_lead_id_lead")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_event_message_id_message")),
        sa.ForeignKeyConstraint(["raw_id"], ["raw_event.id"], name=op.f("fk_event_raw_id_raw_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("key", name=op.f("uq_event_key")),
    )
    op.create_index("ix_event_lead", "event", ["lead_id", "at"], unique=False)
    op.create_index("ix_event_message", "event", ["message_id"], unique=False)
    op.create_table(
        "message_exception",
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state in ('suppressed','expired','failed_render','rejected','accepted','in_doubt','unknown')",
            name=op.f("ck_message_exception_state"),
        ),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_message_exception_message_id_message")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_exception")),
        comment="messages that left the fate of their batch",
    )
    op.create_index("ix_message_exception_at", "message_exception", ["at"], unique=False)
    op.create_index(
        "ix_message_exception_doubtful",
        "message_exception",
        ["message_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('in_doubt', 'unknown')"),
        postgresql_where=sa.text("state IN ('in_doubt', 'unknown')"),
    )
    op.create_table(
        "send_slot",
        sa.Column(
            "lead_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="that of the message, or the one it was merged into",
        ),
        sa.Column(
            "window", sa.String(length=16), nullable=False, comment="ISO week in the legal zone, such as 2026-W47"
        ),
        sa.Column("slot", sa.SmallInteger(), nullable=False, comment="1 to the cap: two workers collide here"),
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_send_slot_message_id_message")),
        sa.PrimaryKeyConstraint("lead_id", "window", "slot", name=op.f("pk_send_slot")),
        sa.UniqueConstraint("message_id", name=op.f("uq_send_slot_message_id")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery_fact",
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "fact",
            sa.String(length=16),
            nullable=False,
            comment="processed, delivered, bounced, soft_bounced, dropped, complained",
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_delivery_fact_event_id_event")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_delivery_fact_message_id_message")),
        sa.PrimaryKeyConstraint("message_id", "fact", name=op.f("pk_delivery_fact")),
    )
    op.create_index(
        "ix_delivery_fact_complained",
        "delivery_fact",
        ["at"],
        unique=False,
        sqlite_where=sa.text("fact = 'complained'"),
        postgresql_where=sa.text("fact = 'complained'"),
    )
    op.create_table(
        "points",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("axis", sa.String(length=12), nullable=False, comment="engagement or fit"),
        sa.Column("points", sa.Integer(), nullable=False, comment="after the cap; 0 shows that the cap was reached"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="cause; empty for facts about the company",
        ),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_points_event_id_event")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_points_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points")),
        sa.UniqueConstraint("event_id", "rule", "rules_version", name=op.f("uq_points_event_id_rule_rules_version")),
    )
    op.create_index("ix_points_lead", "points", ["lead_id", "at"], unique=False)
    op.create_table(
        "signal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("strength", sa.String(length=8), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.CheckConstraint("strength in ('strong','weak')", name=op.f("ck_signal_strength")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_signal_event_id_event")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_signal_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal")),
        sa.UniqueConstraint("event_id", name=op.f("uq_signal_event_id")),
    )
    op.create_index(op.f("ix_signal_lead_id"), "signal", ["lead_id"], unique=False)

    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        # Each mail notes its use in the row; with room in the page, the indexes are left alone.
        op.execute("alter table consent_state set (fillfactor = 70)")
    for statement in [*consent_guards.statements(dialect), *guards.statements(dialect)]:
        op.execute(statement)

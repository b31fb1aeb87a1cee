"""Which tables hold consent and its proof? Written by this package alone.

Times are UTC and aware. Personal data stands in `identity` and `proof_vault` only, sealed under a
key per subject; every other table refers to a subject by a random id.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

Id = BigInteger().with_variant(Integer, "sqlite")
"""Integer key; SQLite numbers rows itself only for INTEGER."""


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC. A naive one is a mistake of the caller and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite keeps the plain UTC reading."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a time without a zone reached the database"
            raise ValueError(message)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


identity = Table(
    "identity",
    metadata,
    Column("subject", String(26), primary_key=True, comment="random; says nothing about the person"),
    Column("address_index", LargeBinary(32), unique=True, comment="keyed HMAC of the identity form; empty once erased"),
    Column("index_key", SmallInteger, nullable=False, comment="version of the HMAC key"),
    Column("wrapped_key", LargeBinary, comment="this subject's key, wrapped by the master key; erasure removes it"),
    Column("sealed_address", LargeBinary, comment="the address as given"),
    Column("sealed_person", LargeBinary, comment="names, phone, company as JSON"),
    Column(
        "wrap_key", SmallInteger, nullable=False, server_default="1", comment="version of the master key that wraps"
    ),
    Column("created_at", UtcTime, nullable=False),
    Column("restricted_at", UtcTime, comment="Art. 18 GDPR: kept, but used for nothing"),
    Column(
        "same_as",
        ForeignKey("identity.subject"),
        comment="the subject that stayed when a rotation of the index key found one address twice",
    ),
    Column("erased_at", UtcTime),
)
TWICE = identity.c.same_as.is_not(None)
Index("ix_identity_same_as", identity.c.same_as, sqlite_where=TWICE, postgresql_where=TWICE)

consent_text = Table(
    "consent_text",
    metadata,
    Column("id", Id, primary_key=True),
    Column("controller", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("language", String(8), nullable=False),
    Column("body", Text, nullable=False, comment="the exact wording shown beside the box"),
    Column("sha256", String(64), nullable=False, comment="of the UTF-8 bytes of body"),
    Column("published_at", UtcTime, nullable=False),
    UniqueConstraint("controller", "channel", "purpose", "version", "language"),
)

opt_in_request = Table(
    "opt_in_request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subject", ForeignKey("identity.subject"), nullable=False, index=True),
    Column("state", String(16), nullable=False, comment="requested, confirmed, lapsed, declined, bounced, void"),
    Column("controller", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("language", String(8), nullable=False),
    Column("source", String(64), nullable=False, comment="form id, api, fair"),
    Column("requested_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),
    Column("requested_seq", Id, nullable=False, comment="ledger entry of the request"),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("sealed_token", LargeBinary, comment="so that the mail can be written later; empty once settled"),
    Column("queued_at", UtcTime, comment="when its confirmation mail was queued; empty while it waits for that"),
    Column("abuse_index", LargeBinary(32), comment="keyed HMAC of the abuse form, for caps; emptied after 30 days"),
    Column("network_index", LargeBinary(32), comment="keyed HMAC of the caller's /24 or /64; emptied after 30 days"),
    Column("domain_index", LargeBinary(32), comment="keyed HMAC of the address's domain; emptied after 30 days"),
    CheckConstraint("state in ('requested','confirmed','lapsed','declined','bounced','void')", name="state"),
)
Index(
    "ix_opt_in_request_open",
    opt_in_request.c.expires_at,
    opt_in_request.c.id,
    sqlite_where=opt_in_request.c.state == "requested",
    postgresql_where=opt_in_request.c.state == "requested",
)

# The caps count by these.
Index("ix_opt_in_request_abuse", opt_in_request.c.abuse_index, opt_in_request.c.requested_at)
Index("ix_opt_in_request_network", opt_in_request.c.network_index, opt_in_request.c.requested_at)
Index("ix_opt_in_request_domain", opt_in_request.c.domain_index, opt_in_request.c.requested_at)
Index("ix_opt_in_request_time", opt_in_request.c.requested_at)

opt_in_purpose = Table(
    "opt_in_purpose",
    metadata,
    Column("request_id", ForeignKey("opt_in_request.id"), primary_key=True),
    Column("purpose", String(64), primary_key=True),
    Column("text_id", ForeignKey("consent_text.id"), nullable=False),
)

consent_state = Table(
    "consent_state",
    metadata,
    Column("subject", ForeignKey("identity.subject"), primary_key=True),
    Column("controller", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("purpose", String(64), primary_key=True),
    Column("state", String(16), nullable=False, comment="given, withdrawn, stale, erased"),
    Column(
        "basis",
        String(20),
        nullable=False,
        server_default="consent",
        comment="consent, or existing_customer (s. 7(3) UWG)",
    ),
    Column("seq", Id, nullable=False, comment="ledger entry that made it so"),
    Column("text_id", ForeignKey("consent_text.id"), comment="wording agreed to; empty for imported consent"),
    Column("since", UtcTime, nullable=False),
    Column("used_at", UtcTime, comment="last authorised send; consent unused for too long turns stale"),
    CheckConstraint("state in ('given','withdrawn','stale','erased')", name="state"),
    CheckConstraint("basis in ('consent','existing_customer')", name="basis"),
    comment="projection of the ledger: the last word per subject and purpose",
    # Asked for every mail by its whole key: one tree to go down, not two.
    sqlite_with_rowid=False,
)
Index("ix_consent_state_seq", consent_state.c.seq)

suppression = Table(
    "suppression",
    metadata,
    Column("address_index", LargeBinary(32), primary_key=True, comment="keyed HMAC; survives erasure"),
    Column("controller", String(64), primary_key=True, comment="'*' for every controller"),
    Column("index_key", SmallInteger, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("since", UtcTime, nullable=False),
    sqlite_with_rowid=False,
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False, comment="evidence only; the order is seq"),
    Column("type", String(32), nullable=False),
    Column("subject", String(26), index=True),
    Column("leaf", LargeBinary, nullable=False, comment="canonical JSON, at most 16 KiB, no personal data"),
    Column("leaf_hash", LargeBinary(32), nullable=False, comment="SHA-256(0x00 || leaf), RFC 6962"),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", Id, nullable=False),
    Column("root", LargeBinary(32), nullable=False, comment="Merkle tree hash of all entries, RFC 6962"),
    Column("frontier", LargeBinary, nullable=False, comment="hashes of the complete subtrees, largest first"),
    CheckConstraint("id = 1", name="single"),
)

ledger_tile = Table(
    "ledger_tile",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("idx", Id, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary(8192), nullable=False, comment="256 hashes: of entries, or of tiles one level below"),
    Column("root", LargeBinary(32), nullable=False, comment="of this tile: its hash in the tile above"),
    comment="full tiles only (C2SP tlog-tiles); the partial ones follow from entries and tiles",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", Id, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False, comment="C2SP signed note"),
    Column("signed_at", UtcTime, nullable=False),
)

checkpoint_delivery = Table(
    "checkpoint_delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("size", ForeignKey("checkpoint.size"), nullable=False),
    Column("target", String(200), nullable=False, comment="as configured, without secrets and addresses"),
    Column("at", UtcTime, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", String(200)),
    CheckConstraint("outcome in ('delivered','failed')", name="outcome"),
    Index("ix_checkpoint_delivery_target", "target", "size"),
)

proof_vault = Table(
    "proof_vault",
    metadata,
    Column("seq", ForeignKey("ledger_entry.seq"), primary_key=True, autoincrement=False),
    Column("subject", ForeignKey("identity.subject"), nullable=False, index=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("sealed_evidence", LargeBinary, nullable=False, comment="page, IP, user agent, form values; erasable"),
)

rights_request = Table(
    "rights_request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subject", ForeignKey("identity.subject"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False, comment="one calendar month later, Art. 12(3) GDPR"),
    Column("settled_at", UtcTime),
    Column("route", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", String(64)),
    Column("hold_until", UtcTime, comment="evidence is kept, restricted, until then"),
    Column("step", String(32), comment="how far an erasure came; a killed one goes on there"),
    CheckConstraint("kind in ('access','erase','restrict','unrestrict','merge')", name="kind"),
    CheckConstraint("state in ('open','running','done','refused')", name="state"),
)
UNSETTLED = rights_request.c.settled_at.is_(None)
Index("ix_rights_request_due", rights_request.c.due_at, sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)

"""Which tables does the machine room keep? Ids and facts only; personal data stands in `identity`.

One MetaData with consent's tables, so that foreign keys and migrations see the whole. Times are
aware UTC. Texts in state columns are closed sets held by CHECK.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from consent.schema import Id, UtcTime, metadata

__all__ = ["metadata"]


def one_of(column: str, *values: str) -> CheckConstraint:
    """Hold a state column to its closed set."""
    listed = ",".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=column)


# --- leads -----------------------------------------------------------------------------------

import_batch = Table(
    "import_batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("file_sha256", String(64), nullable=False, unique=True),
    Column("preset", String(32), nullable=False),
    Column("imported_at", UtcTime, nullable=False),
    Column("counts", JSON, nullable=False),
)

lead = Table(
    "lead",
    metadata,
    Column("id", Id, primary_key=True),
    # The mark tells consent that a lapsed sign-up may not erase this person.
    Column("subject", ForeignKey("identity.subject"), nullable=False, unique=True, info={"keeps_subject": True}),
    Column("language", String(8), nullable=False),
    Column("zone", String(40), nullable=False, comment="IANA zone for send windows"),
    Column("country", String(2)),
    Column("industry", String(64)),
    Column("company_size", Integer, comment="employees"),
    Column("role", String(64), comment="job title class: decider, influencer, user, unknown"),
    Column("freemail", Boolean, nullable=False),
    Column("role_address", Boolean, nullable=False, comment="info@, sales@ and the like"),
    Column("source", String(32), nullable=False, comment="form, import, fair, api, ..."),
    Column("source_detail", String(64)),
    Column("import_batch_id", ForeignKey("import_batch.id")),
    Column("created_at", UtcTime, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("stage_since", UtcTime, nullable=False),
    Column("owner", String(16), nullable=False, comment="marketing or sales"),
    Column("merged_into", ForeignKey("lead.id"), comment="the lead that stayed when two turned out to be one person"),
    one_of(
        "stage",
        "anonymous", "unconfirmed", "confirmed", "engaged", "mql", "handed_over", "sal", "sql", "customer",
        "recycled", "disqualified",
    ),
    one_of("owner", "marketing", "sales"),
)  # fmt: skip

MERGED = lead.c.merged_into.is_not(None)
Index("ix_lead_merged_into", lead.c.merged_into, sqlite_where=MERGED, postgresql_where=MERGED)

mail_preference = Table(
    "mail_preference",
    metadata,
    Column("subject", ForeignKey("identity.subject"), primary_key=True),
    Column("paused_until", UtcTime, comment="no marketing mail before"),
    Column("per_week", SmallInteger, comment="the most mails a week this person wants; only ever lowers the cap"),
    Column("changed_at", UtcTime, nullable=False),
    comment="what somebody chose on their preferences page; never widens a consent",
)

stage_change = Table(
    "stage_change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column(
        "cause", String(64), nullable=False, comment="import, consent_confirmed, score, signal:<kind>, sales:<reason>"
    ),
    Index("ix_stage_change_lead", "lead_id", "at"),
)

# --- sequences -------------------------------------------------------------------------------

sequence_version = Table(
    "sequence_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("applied_at", UtcTime, nullable=False),
    UniqueConstraint("name", "version"),
)

enrolment = Table(
    "enrolment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    Column("sequence", String(64), nullable=False),
    Column("sequence_version_id", ForeignKey("sequence_version.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("exit_reason", String(64)),
    Column("step", String(64), nullable=False, comment="id of the step to do next; empty text once finished"),
    Column("occurrence", Integer, nullable=False, comment="1 for the first pass through a step"),
    Column("due_at", UtcTime, nullable=False),
    Column("entered_at", UtcTime, nullable=False),
    Column("left_at", UtcTime),
    one_of("state", "active", "finished", "exited", "paused"),
)
ACTIVE = enrolment.c.state == "active"
Index("ix_enrolment_due", enrolment.c.due_at, enrolment.c.id, sqlite_where=ACTIVE, postgresql_where=ACTIVE)
Index(
    "uq_enrolment_active",
    enrolment.c.lead_id,
    enrolment.c.sequence,
    unique=True,
    sqlite_where=ACTIVE,
    postgresql_where=ACTIVE,
)

Index("ix_enrolment_lead", enrolment.c.lead_id, enrolment.c.sequence)
FINISHED = enrolment.c.state == "finished"
Index(
    "ix_enrolment_finished",
    enrolment.c.sequence,
    enrolment.c.left_at,
    enrolment.c.id,
    sqlite_where=FINISHED,
    postgresql_where=FINISHED,
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True, comment="of gates and versions"),
    Column(
        "gates", JSON, nullable=False, comment="[{gate, passed, detail}] in the order asked; details may hold {holes}"
    ),
    Column("versions", JSON, nullable=False, comment="of sequence, policies, template"),
    comment="what the gates said, once for all decisions they said it to; nothing of any person",
)

decision = Table(
    "decision",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    # No foreign keys on the next one and on the verdict: PostgreSQL checks each row by itself, which costs more than
    # the row. Both are read or written in the transaction that writes the decision, and never deleted.
    Column("enrolment_id", Id),
    Column("sequence", String(64)),
    Column("sequence_version", Integer),
    Column("step", String(64)),
    Column("occurrence", Integer),
    Column("phase", String(16), nullable=False, comment="plan or intent: when the gates were asked"),
    Column("outcome", String(16), nullable=False, comment="planned, withheld, deferred, waited, branched, left"),
    Column("reason", String(64), nullable=False),
    Column("verdict_id", Id, nullable=False, comment="what the gates said"),
    Column("details", JSON(none_as_null=True), comment="what fills the holes of the verdict for this lead"),
    Column("next_at", UtcTime, comment="when a deferred step comes due again"),
    Index("ix_decision_lead", "lead_id", "at"),
)

# --- delivery --------------------------------------------------------------------------------

template_version = Table(
    "template_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", String(160), nullable=False, comment="<sequence>/<step>/<temperature>/<language>"),
    Column("sha256", String(64), nullable=False, comment="of the compiled subject, text and HTML"),
    Column("links", JSON, nullable=False, comment="[{key, url}]: a tracked link is an index into this list"),
    Column("seen_at", UtcTime, nullable=False),
    UniqueConstraint("key", "sha256"),
)

send_batch = Table(
    "send_batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("provider", String(16), nullable=False),
    Column("environment", String(26), nullable=False, comment="a restored copy elsewhere may not send what is ours"),
    Column("sequence", String(64), comment="for the kill switch"),
    Column("purpose", String(64)),
    Column("count", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, comment="fences a late worker"),
    Column("lapses", SmallInteger, nullable=False, default=0, server_default="0", comment="workers lost while claimed"),
    Column("lease_owner", String(64)),
    Column("lease_until", UtcTime),
    Column("planned_at", UtcTime, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("not_after", UtcTime, nullable=False, comment="later than this it expires unsent"),
    Column("settled_at", UtcTime),
    Column("error", String(200), comment="ids and codes only"),
    Column("ramp_day", String(10), comment="the day on which its mails were counted into the ramp"),
    one_of("kind", "marketing", "confirmation"),
    one_of(
        "state", "planned", "claimed", "submitting", "accepted", "rejected", "in_doubt", "unknown", "suppressed",
        "expired", "failed_render",
    ),
)  # fmt: skip
OPEN_BATCH = send_batch.c.state.in_(["planned", "claimed", "submitting"])
Index(
    "ix_send_batch_open",
    send_batch.c.not_before,
    send_batch.c.id,
    sqlite_where=OPEN_BATCH,
    postgresql_where=OPEN_BATCH,
)
DOUBTFUL_BATCH = send_batch.c.state.in_(["in_doubt", "unknown"])
Index("ix_send_batch_doubtful", send_batch.c.id, sqlite_where=DOUBTFUL_BATCH, postgresql_where=DOUBTFUL_BATCH)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("public_id", String(26), nullable=False, unique=True, comment="random; the provider and the links see this"),
    Column("batch_id", ForeignKey("send_batch.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", ForeignKey("identity.subject"), nullable=False, index=True),
    Column("lead_id", ForeignKey("lead.id")),
    # Enrolments and versions are never deleted, and PostgreSQL would look each one up again, row by row.
    Column("enrolment_id", Id),
    Column("request_id", ForeignKey("opt_in_request.id")),
    Column("sequence", String(64)),
    Column("step", String(64), nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("purpose", String(64)),
    Column("class", String(16), nullable=False, comment="educational, product, direct, follow_up, confirmation"),
    Column("temperature", String(8)),
    Column("language", String(8), nullable=False),
    Column("template_version_id", Id, nullable=False),
    Column("tracked", Boolean, nullable=False, comment="was tracking consent given when it was planned?"),
    Column("planned_at", UtcTime, nullable=False),
    UniqueConstraint("enrolment_id", "step", "occurrence"),
    UniqueConstraint("request_id", "occurrence"),
    one_of("kind", "marketing", "confirmation"),
    comment="immutable; its state is the batch's, unless message_exception says otherwise",
)
Index("ix_message_batch", message.c.batch_id, message.c.id)
Index("ix_message_lead", message.c.lead_id, message.c.planned_at)

message_exception = Table(
    "message_exception",
    metadata,
    Column("message_id", ForeignKey("message.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    one_of("state", "suppressed", "expired", "failed_render", "rejected", "accepted", "in_doubt", "unknown"),
    comment="messages that left the fate of their batch",
)
DOUBTFUL_MESSAGE = message_exception.c.state.in_(["in_doubt", "unknown"])
Index(
    "ix_message_exception_doubtful",
    message_exception.c.message_id,
    sqlite_where=DOUBTFUL_MESSAGE,
    postgresql_where=DOUBTFUL_MESSAGE,
)
Index("ix_message_exception_at", message_exception.c.at)

authorisation = Table(
    "authorisation",
    metadata,
    Column("message_id", ForeignKey("message.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    # Entries are never deleted (guards), and PostgreSQL would look each one up again, row by row.
    Column("seq", Id, nullable=False, comment="the send.authorised entry"),
    Column("consent_seq", Id, nullable=False, comment="the consent it rests on"),
    Column("content_sha256", String(64), nullable=False, comment="of content, address and values as JSON"),
    sqlite_with_rowid=False,
)

delivery_attempt = Table(
    "delivery_attempt",
    metadata,
    Column("batch_id", ForeignKey("send_batch.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("outcome", String(16), comment="accepted, refused, rejected, unknown; empty while open"),
    Column("provider_message_id", String(128)),
    Column("detail", String(200)),
    Column("answered_at", UtcTime),
)
OPEN_ATTEMPT = delivery_attempt.c.outcome.is_(None)
Index(
    "uq_delivery_attempt_open",
    delivery_attempt.c.batch_id,
    unique=True,
    sqlite_where=OPEN_ATTEMPT,
    postgresql_where=OPEN_ATTEMPT,
)
Index("ix_delivery_attempt_answered", delivery_attempt.c.answered_at)

delivery_fact = Table(
    "delivery_fact",
    metadata,
    Column("message_id", ForeignKey("message.id"), primary_key=True),
    Column(
        "fact", String(16), primary_key=True, comment="processed, delivered, bounced, soft_bounced, dropped, complained"
    ),
    Column("at", UtcTime, nullable=False),
    Column("event_id", ForeignKey("event.id")),
)
COMPLAINT = delivery_fact.c.fact == "complained"
Index("ix_delivery_fact_complained", delivery_fact.c.at, sqlite_where=COMPLAINT, postgresql_where=COMPLAINT)

send_slot = Table(
    "send_slot",
    metadata,
    Column(
        "lead_id",
        Id,
        primary_key=True,
        autoincrement=False,
        comment="that of the message, or the one it was merged into",
    ),
    Column("window", String(16), primary_key=True, comment="ISO week in the legal zone, such as 2026-W47"),
    Column("slot", SmallInteger, primary_key=True, comment="1 to the cap: two workers collide here"),
    Column("message_id", ForeignKey("message.id"), nullable=False, unique=True),
    sqlite_with_rowid=False,
)

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("scope", String(80), primary_key=True, comment="'all' or 'sequence:<name>'"),
    Column("stopped_at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", String(200), nullable=False),
)

switch_change = Table(
    "switch_change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scope", String(80), nullable=False),
    Column("change", String(8), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", String(200), nullable=False),
    one_of("change", "stop", "resume"),
    comment="who stopped and resumed sending, and why; kill_switch holds what is stopped now",
)

circuit = Table(
    "circuit",
    metadata,
    Column("provider", String(16), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reason", String(64), nullable=False),
    Column(
        "recent",
        String(20),
        nullable=False,
        comment="last answers, oldest first: '.' clear, '?' unknown",
    ),
    Column("probed_at", UtcTime, nullable=False, comment="when it opened, or a probe last began or failed"),
    one_of("state", "closed", "open", "half_open"),
    comment="does it make sense to ask this provider now?",
)

brake = Table(
    "brake",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("provider", String(16), primary_key=True, comment="empty for all"),
    Column("level", String(8), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reason", String(200), nullable=False, comment="figures only"),
    Column("counted_from", UtcTime, comment="when a person released it last: what was before counts no more"),
    Column("told", Boolean, nullable=False, comment="was an alarm raised?"),
    one_of("name", "in_doubt", "complaints", "restored", "copied", "server"),
    one_of("level", "off", "warn", "stop"),
    comment="what nurture itself stopped, until a person releases it; who and why stands in switch_change",
)

ramp_day = Table(
    "ramp_day",
    metadata,
    Column("provider", String(16), primary_key=True),
    Column("day", String(10), primary_key=True, comment="in the legal zone, such as 2026-11-23"),
    Column("taken", Integer, nullable=False),
    comment="how many marketing mails of a day's volume are taken, while the account warms up",
)

# --- tracking --------------------------------------------------------------------------------

raw_event = Table(
    "raw_event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", String(32), nullable=False, comment="sendgrid, click, open, form, beacon, dsn"),
    Column("received_at", UtcTime, nullable=False),
    Column("body_sha256", String(64), nullable=False, unique=True),
    Column("sealed_body", LargeBinary, comment="as received, sealed; removed once applied"),
    Column("state", String(16), nullable=False),
    Column("error", String(200)),
    one_of("state", "new", "applied", "quarantined"),
)
NEW_RAW = raw_event.c.state == "new"
Index("ix_raw_event_new", raw_event.c.id, sqlite_where=NEW_RAW, postgresql_where=NEW_RAW)

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", String(120), nullable=False, unique=True, comment="<unix time>:<what makes it this event>"),
    Column("kind", String(32), nullable=False, comment="opened, clicked, demo_requested, ... (tracking vocabulary)"),
    Column("lead_id", ForeignKey("lead.id")),
    Column("message_id", ForeignKey("message.id")),
    Column("at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("verdict", String(8), nullable=False, comment="revisable projection"),
    Column("verdict_reason", String(64), nullable=False),
    Column("attributes", JSON, nullable=False, comment="link key, bounce class; never personal data"),
    Column("raw_id", ForeignKey("raw_event.id")),
    one_of("verdict", "human", "machine", "unclear"),
)
Index("ix_event_lead", event.c.lead_id, event.c.at)
Index("ix_event_message", event.c.message_id)

signal = Table(
    "signal",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", ForeignKey("lead.id"), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("strength", String(8), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("event_id", ForeignKey("event.id"), nullable=False, unique=True),
    one_of("strength", "strong", "weak"),
)

# --- scoring ---------------------------------------------------------------------------------

points = Table(
    "points",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("axis", String(12), nullable=False, comment="engagement or fit"),
    Column("points", Integer, nullable=False, comment="after the cap; 0 shows that the cap was reached"),
    Column("at", UtcTime, nullable=False),
    Column("event_id", ForeignKey("event.id"), comment="cause; empty for facts about the company"),
    Column("rules_version", Integer, nullable=False),
    Column("reason", String(120), nullable=False),
    UniqueConstraint("event_id", "rule", "rules_version"),
    Index("ix_points_lead", "lead_id", "at"),
)

lead_score = Table(
    "lead_score",
    metadata,
    Column("lead_id", ForeignKey("lead.id"), primary_key=True),
    Column("score", Float, nullable=False),
    Column("engagement", Float, nullable=False),
    Column("fit", Float, nullable=False),
    Column("temperature", String(8), nullable=False),
    Column("temperature_since", UtcTime, nullable=False),
    Column("rules_version", Integer, nullable=False),
    Column("scored_at", UtcTime, nullable=False),
    Column("cools_at", UtcTime, index=True, comment="when decay alone changes the temperature"),
    one_of("temperature", "cold", "warm", "hot"),
    comment="projection: fold of the lead's events under rules_version at scored_at",
)

temperature_change = Table(
    "temperature_change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    Column("temperature", String(8), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("score", Float, nullable=False),
    Column("rules_version", Integer, nullable=False),
    Index("ix_temperature_change_lead", "lead_id", "at"),
)

# --- handover --------------------------------------------------------------------------------

HANDOVER_STATES = ("created", "delivered", "accepted", "returned", "expired", "escalated", "withdrawn", "dead")

handover = Table(
    "handover",
    metadata,
    Column("id", Id, primary_key=True),
    Column("public_id", String(26), nullable=False, unique=True, comment="stable id for the receiver's dedupe"),
    Column("lead_id", ForeignKey("lead.id"), nullable=False),
    Column("epoch", Integer, nullable=False, comment="1 for the first qualification, +1 after each return"),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False, comment="signal:<kind> or threshold"),
    Column("policy_version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("deadline_at", UtcTime, nullable=False),
    Column("delivered_at", UtcTime),
    Column("settled_at", UtcTime),
    Column("answer", String(64), comment="reason of a return"),
    Column("sealed_payload", LargeBinary, comment="as sent, under the subject's key"),
    Column("payload_sha256", String(64)),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcTime),
    UniqueConstraint("lead_id", "epoch"),
    one_of("state", *HANDOVER_STATES),
)
OPEN_HANDOVER = handover.c.state == "created"
Index("ix_handover_open", handover.c.next_attempt_at, sqlite_where=OPEN_HANDOVER, postgresql_where=OPEN_HANDOVER)

handover_attempt = Table(
    "handover_attempt",
    metadata,
    Column("handover_id", ForeignKey("handover.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("event", String(48), primary_key=True, comment="lead.handover.created, .withdrawn, ..."),
    Column("channel", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", String(200)),
)

handover_notice = Table(
    "handover_notice",
    metadata,
    Column("handover_id", ForeignKey("handover.id"), primary_key=True),
    Column("seq", ForeignKey("ledger_entry.seq"), primary_key=True, comment="the withdrawal or erasure to tell of"),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcTime),
    one_of("state", "open", "taken", "dead", "moot"),
    comment="outbox: what sales is to be told about a lead they got; moot where only tracking ended",
)
OPEN_NOTICE = handover_notice.c.state == "open"
Index(
    "ix_handover_notice_open",
    handover_notice.c.next_attempt_at,
    sqlite_where=OPEN_NOTICE,
    postgresql_where=OPEN_NOTICE,
)

# --- the rest --------------------------------------------------------------------------------

flow_summary = Table(
    "flow_summary",
    metadata,
    Column("id", Id, primary_key=True),
    Column("flow", String(64), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("counts", JSON, nullable=False),
    comment="what each run did, in counts; Prefect forgets its runs, we do not",
)

setting = Table(
    "setting",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="facts about this database, such as its environment id",
)

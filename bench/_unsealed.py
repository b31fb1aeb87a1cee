"""How do a million leads come into a database within seconds? By one statement per table, on both databases.

They have proven consent (every second one also to tracking), a score (every third), and stand before the
first mail of a sequence, due in the far future. Addresses are not sealed: planning reads none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from bench._people import AT

if TYPE_CHECKING:
    from sqlalchemy import Connection

FAR = AT + timedelta(days=400)
SINCE = AT - timedelta(days=30)
"""Long enough ago that no tick takes them for new."""
STATEMENTS = """
insert into identity (subject, address_index, index_key, wrap_key, created_at)
{numbers} select {subject}, {index}, 1, 1, :at from numbers;

insert into lead
(subject, language, zone, freemail, role_address, source, created_at, stage, stage_since, owner)
select subject, case when substr(subject, 2, 1) < 'd' then 'de' else 'en' end, 'Europe/Berlin', {no}, {no},
'import', :at, 'confirmed', :at, 'marketing' from identity order by subject;

insert into consent_state (subject, controller, channel, purpose, state, basis, seq, since)
select subject, 'default', 'email', 'newsletter.product', 'given', 'consent', id, :at from lead;

insert into consent_state (subject, controller, channel, purpose, state, basis, seq, since)
select subject, 'default', 'email', 'email.tracking', 'given', 'consent', id, :at from lead where id % 2 = 0;

insert into lead_score
(lead_id, score, engagement, fit, temperature, temperature_since, rules_version, scored_at)
select id, 40, 30, 10, case when id % 6 = 0 then 'hot' else 'warm' end, :at, 1, :at from lead where id % 3 = 0;

insert into enrolment (lead_id, sequence, sequence_version_id, state, step, occurrence, due_at, entered_at)
select id, :sequence, :version, 'active', :step, 1, :far, :at from lead order by id
"""
"""Leads stand in the order of their random subjects: neighbours in one table are neighbours in the other, as after
an import; the identities are not."""
DIALECTS = {
    "sqlite": {
        "numbers": "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :count) ",
        "subject": "lower(hex(randomblob(13)))",
        "index": "randomblob(32)",
        "no": "0",
    },
    "postgresql": {
        "numbers": "with numbers (n) as (select generate_series(1, :count)) ",
        "subject": "substr(md5(n::text || random()::text), 1, 26)",
        "index": "sha256((n::text || random()::text)::bytea)",
        "no": "false",
    },
}


def gather(conn: Connection, count: int, *, sequence: str, version: int, step: str) -> None:
    """Make so many leads, enrolled in a version of a sequence at one of its steps."""
    words = DIALECTS[conn.dialect.name]
    values = {
        "at": moment(conn, SINCE), "far": moment(conn, FAR), "sequence": sequence, "version": version, "step": step,
        "count": count,
    }  # fmt: skip
    for statement in STATEMENTS.format(**words).split(";"):
        conn.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


def moment(conn: Connection, at: datetime) -> object:
    """Give a time as raw SQL takes it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if conn.dialect.name == "sqlite" else at

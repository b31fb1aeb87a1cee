"""Which way do the statements of the send stage go? Never through all leads, enrolments, messages or events.

Every statement that a real send executes is explained on the very database. On PostgreSQL, small tables would be read
whole whatever indexes there are; with sequential scans priced out of reach, one that remains has no index to go by.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from bench import _world
from bench._people import AT, make_leads
from bench.fake_sendgrid import running
from consent import gate
from nurture.store.engine import by_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace

LEADS, DUE = 2_000, 400
LARGE = (
    "lead", "enrolment", "message", "event", "identity", "consent_state", "authorisation", "send_slot", "suppression",
    "ledger_entry", "decision", "message_exception", "delivery_attempt", "mail_preference", "lead_score",
)  # fmt: skip
INDEXES = {
    "the claim": (r"FROM send_batch .*ORDER BY send_batch.not_before", "ix_send_batch_open"),
    "the page of a batch": (r"FROM message .*WHERE message.batch_id = ", "ix_message_batch"),
    "identities": (r"^SELECT identity.subject, identity.wrapped_key", "identity_1|pk_identity"),
    "evidence of consent": (
        r"^SELECT identity.subject, consent_state.seq",
        "consent_state USING PRIMARY KEY|pk_consent_state",
    ),
    "use of consent": (r"^UPDATE consent_state SET used_at", "consent_state USING PRIMARY KEY|pk_consent_state"),
    "the batch is submitting": (r"^UPDATE send_batch SET state=", "PRIMARY KEY|pk_send_batch|ix_send_batch_open"),
    "the answer": (r"^UPDATE delivery_attempt SET outcome", "delivery_attempt|pk_delivery_attempt"),
}
"""By what each hot statement of the send stage goes: text of the statement, name of the index."""


@pytest.fixture
def statements(workspace: Workspace) -> Mapping[str, Any]:
    """Every reading or changing statement of a send of two batches, with the parameters of its last run."""
    made = _world.install(workspace, LEADS)
    seen: dict[str, Any] = {}

    def remember(_conn: Any, _cursor: Any, text: str, given: Any, _context: Any, many: bool) -> None:  # noqa: FBT001
        if text.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            seen[text] = given[0] if many else given

    for week in range(2):
        made.next_week(DUE if week else LEADS)
        made.plan()
        if week:
            event.listen(made.ws.store.engine, "before_cursor_execute", remember)
        with running("floor") as fake:
            made.send(fake.url, lanes=1)
    event.remove(made.ws.store.engine, "before_cursor_execute", remember)
    with made.ws.store.write() as conn:
        conn.exec_driver_sql("analyze")
    return seen


def explained(conn: Connection, text: str, given: Any) -> str:
    """Give the plan of a statement, on one line."""
    prefix = "explain query plan " if conn.dialect.name == "sqlite" else "explain "
    rows: Sequence[Any] = conn.exec_driver_sql(prefix + text, given).all()
    return " | ".join(str(row[-1]) for row in rows)


def whole(plan: str) -> set[str]:
    """Give the large tables that a plan reads from end to end, without any index."""
    found = re.findall(r"(?:Seq Scan on|SCAN) \"?(\w+)\"?(?! USING| VIRTUAL)", plan)
    return {name for name in found if name in LARGE}


def test_no_statement_of_a_send_reads_a_large_table_whole(workspace: Workspace, statements: Mapping[str, Any]) -> None:
    """Each goes by an index into whatever grows with leads, mails or time."""
    assert len(statements) > len(INDEXES)
    with workspace.store.read() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("set local enable_seqscan = off")
        # Of an insertion of given values SQLite plans a look at who refers to the table, and takes it only while
        # the transaction holds a violated foreign key: none of ours is deferred.
        read = {text: given for text, given in statements.items() if ") VALUES (" not in text}
        plans = {text: explained(conn, text, given) for text, given in read.items()}
    bad = {text: plan for text, plan in plans.items() if whole(plan)}
    assert not bad, "\n\n".join(f"{text}\n{plan}" for text, plan in bad.items())


def test_hot_statements_go_by_their_index(workspace: Workspace, statements: Mapping[str, Any]) -> None:
    """The plan of each names the index that carries it."""
    with workspace.store.read() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("set local enable_seqscan = off")
        for name, (wanted, index) in INDEXES.items():
            found = [text for text in statements if re.search(wanted, " ".join(text.split()))]
            assert found, f"{name}: no such statement ran"
            for text in found:
                plan = explained(conn, text, statements[text])
                assert re.search(index, plan), f"{name}: {text}\n{plan}"


def test_old_statistics_do_not_lead_the_gate_astray(workspace: Workspace) -> None:
    """Right after an import, PostgreSQL still takes tables for empty, and looks each person up all the same."""
    if workspace.store.dialect != "postgresql":
        pytest.skip("SQLite does not plan by numbers of rows here")
    with workspace.store.write() as conn:
        conn.exec_driver_sql("alter table identity set (autovacuum_enabled = false)")
        conn.exec_driver_sql("alter table consent_state set (autovacuum_enabled = false)")
        subjects = list(make_leads(conn, workspace.keyring, LEADS))
        by_index(conn)
        asked: list[tuple[str, Any]] = []
        event.listen(conn, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        gate.check(conn, subjects[:500], purpose="newsletter.product", controller="default", at=AT)
        plan = explained(conn, *asked[0])
    assert "Index Cond: (((subject)::text = (identity.subject)::text" in plan
    assert "Join Filter" not in plan


def test_the_intent_holds_postgresql_to_the_indexes(workspace: Workspace, statements: Mapping[str, Any]) -> None:
    """The switches are thrown in a send, on PostgreSQL alone."""
    thrown = any("set_config" in text for text in statements)
    assert thrown == (workspace.store.dialect == "postgresql")


def test_a_scan_would_be_seen(workspace: Workspace) -> None:
    """The check knows a whole table when it sees one, on either database."""
    with workspace.store.read() as conn:
        plan = explained(conn, "select * from message where language = 'xx'", ())
    assert whole(plan) == {"message"}

"""What does each flow do? Called in this process, against the real server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update

from consent import ledger, opt_in, withdrawal
from consent.addresses import Address
from consent.schema import ledger_entry
from nurture.handover import answers
from nurture.leads import wordings
from nurture.store.tables import flow_summary, handover, lead, message, points
from tests.flows import people
from tests.flows.house import Server, wait_for

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900), pytest.mark.usefixtures("prefect_here")]


@pytest.fixture
def flows() -> Any:
    """All flows; imported late, so that Prefect reads the installation's settings."""
    from types import SimpleNamespace  # noqa: PLC0415  with the rest

    from flows.handovers import hand_over  # noqa: PLC0415  see above
    from flows.housekeeping import keep_house  # noqa: PLC0415  see above
    from flows.opt_ins import send_confirmations  # noqa: PLC0415  see above
    from flows.sequences import run_sequences  # noqa: PLC0415  see above
    from flows.signals import ingest_events  # noqa: PLC0415  see above

    return SimpleNamespace(hand_over=hand_over, keep_house=keep_house, send_confirmations=send_confirmations,
                           run_sequences=run_sequences, ingest_events=ingest_events)  # fmt: skip


def sign_up(ws: Workspace, count: int, *, at: datetime) -> None:
    """Let people ask for the newsletter."""
    with ws.store.write() as conn:
        wordings.publish(conn, ws.settings, at=at)
        for mailbox in people.addresses("signup", count):
            opt_in.request(
                conn, ws.keyring, address=Address.of(mailbox), purposes=["newsletter.product"], controller="default",
                language="de", source="form", evidence={}, at=at,
            )  # fmt: skip


def count(ws: Workspace, table: Any, *where: Any) -> int:
    """Count rows."""
    with ws.store.read() as conn:
        return conn.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def mails(ws: Workspace) -> int:
    """Count the mails in the outbox."""
    return len(list((ws.home / "outbox").glob("*.eml")))


@pytest.mark.requirement(95)
def test_confirmations_go_out_once(flows: Any, workspace: Workspace, at: datetime) -> None:
    sign_up(workspace, 3, at=at)
    first = flows.send_confirmations(at=at)
    again = flows.send_confirmations(at=at + timedelta(minutes=1))
    assert (first["queued"], first["accepted"], mails(workspace)) == (3, 3, 3)
    assert again == {}


def test_unconfirmed_requests_lapse(flows: Any, workspace: Workspace, at: datetime) -> None:
    sign_up(workspace, 2, at=at)
    assert flows.send_confirmations(at=at + timedelta(days=30))["lapsed"] == 2


@pytest.mark.requirement(6)
def test_a_demo_request_becomes_a_handover(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("asks", 2)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    assert flows.ingest_events(at=at)["qualified"] == 2
    assert count(workspace, lead, lead.c.owner == "sales") == 2


def test_the_same_event_qualifies_once(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("once", 1)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    people.request_demo(workspace, mailboxes, at=at + timedelta(hours=1))
    assert "qualified" not in flows.ingest_events(at=at + timedelta(hours=1))


@pytest.mark.requirement(62)
def test_a_withdrawal_reaches_the_score_without_event(flows: Any, workspace: Workspace, at: datetime) -> None:
    [lead_id] = people.make_leads(workspace, people.addresses("leaves", 1), at=at).values()
    with workspace.store.write() as conn:
        subject = conn.execute(select(lead.c.subject).where(lead.c.id == lead_id)).scalar_one()
        withdrawal.withdraw(
            conn, subject=subject, controller="default", purposes=None, route="one_click", actor="person", at=at
        )
    assert flows.ingest_events(at=at)["reconsidered"] == 1
    assert count(workspace, points, points.c.lead_id == lead_id, points.c.rule == "withdrawn") == 1


def test_handovers_are_delivered_once(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("sales", 3)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    assert flows.hand_over(at=at) == {"delivered": 3}
    assert flows.hand_over(at=at) == {}


def test_unanswered_handovers_expire(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("late", 1)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    flows.hand_over(at=at)
    assert flows.hand_over(at=at + timedelta(days=9)) == {"expired": 1}
    assert count(workspace, handover, handover.c.state == "escalated") == 1


def test_undelivered_handovers_raise_an_alarm(
    flows: Any, workspace: Workspace, at: datetime, prefect_here: Server
) -> None:
    mailboxes = people.addresses("stuck", 1)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    (workspace.settings.home / "handovers").write_text("a file where the folder should be", "utf-8")
    flows.ingest_events(at=at)
    flows.hand_over(at=at)
    assert flows.hand_over(at=at + timedelta(days=9))["overdue"] == 1
    assert "overdue" not in flows.hand_over(at=at + timedelta(days=9, minutes=5))
    wait_for(lambda: prefect_here.events("nurture.alarm.handover_overdue"))


def test_a_withdrawal_is_told_after_a_handover(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("farewell", 1)
    [lead_id] = people.make_leads(workspace, mailboxes, at=at).values()
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    flows.hand_over(at=at)
    with workspace.store.write() as conn:
        subject = conn.execute(select(lead.c.subject).where(lead.c.id == lead_id)).scalar_one()
        withdrawal.withdraw(
            conn, subject=subject, controller="default", purposes=None, route="one_click", actor="person",
            at=at + timedelta(minutes=1),
        )  # fmt: skip
    assert flows.hand_over(at=at + timedelta(minutes=5)) == {"withdrawn": 1}
    assert flows.hand_over(at=at + timedelta(minutes=10)) == {}


def test_an_answer_of_sales_is_told_once(flows: Any, workspace: Workspace, at: datetime) -> None:
    mailboxes = people.addresses("answer", 1)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    flows.hand_over(at=at)
    with workspace.store.write() as conn:
        public_id = conn.execute(select(handover.c.public_id)).scalar_one()
        answers.accept(conn, public_id, actor="vera", at=at + timedelta(minutes=1))
    assert flows.hand_over(at=at + timedelta(minutes=5)) == {"accepted": 1}
    assert flows.hand_over(at=at + timedelta(minutes=10)) == {}


def test_each_handover_is_told_by_its_id(flows: Any, workspace: Workspace, at: datetime, prefect_here: Server) -> None:
    mailboxes = people.addresses("told", 1)
    people.make_leads(workspace, mailboxes, at=at)
    people.request_demo(workspace, mailboxes, at=at)
    flows.ingest_events(at=at)
    flows.hand_over(at=at)
    with workspace.store.read() as conn:
        public_id = conn.execute(select(handover.c.public_id)).scalar_one()
    wanted = {"handover": public_id}
    wait_for(lambda: [e for e in prefect_here.events("nurture.handover.created") if e["payload"] == wanted])


def test_mails_of_a_sequence_go_out(flows: Any, workspace: Workspace, at: datetime) -> None:
    people.make_leads(workspace, people.addresses("welcome", 4), at=at - timedelta(days=1))
    counts = flows.run_sequences("welcome", at=at)
    assert (counts["enrolled"], counts["planned"], counts["accepted"]) == (4, 4, 4)
    assert mails(workspace) == 4


def test_a_tick_repeated_sends_nothing(flows: Any, workspace: Workspace, at: datetime) -> None:
    people.make_leads(workspace, people.addresses("again", 2), at=at - timedelta(days=1))
    flows.run_sequences("welcome", at=at)
    flows.run_sequences("welcome", at=at)
    assert count(workspace, message) == mails(workspace) == 2


def test_an_unknown_sequence_fails_clearly(flows: Any, workspace: Workspace, at: datetime) -> None:
    from tasks.unit import UnitError  # noqa: PLC0415  with Prefect

    with pytest.raises(UnitError, match="'spam' has no folder"):
        flows.run_sequences("spam", at=at)


def test_housekeeping_verifies_the_ledger(flows: Any, workspace: Workspace, at: datetime) -> None:
    people.make_leads(workspace, people.addresses("ledger", 3), at=at)
    assert flows.keep_house(at=at) == {"ledger_entries": 3}


def test_idle_runs_still_leave_a_summary(flows: Any, workspace: Workspace, at: datetime) -> None:
    flows.hand_over(at=at)
    with workspace.store.read() as conn:
        [row] = conn.execute(select(flow_summary)).all()
    assert (row.flow, row.started_at, row.counts) == ("hand_over", at, {})


def test_a_failed_run_raises_an_alarm(flows: Any, workspace: Workspace, at: datetime, prefect_here: Server) -> None:
    from tasks.unit import UnitError  # noqa: PLC0415  with Prefect

    before = len(prefect_here.events("nurture.alarm.run_failed"))
    with pytest.raises(UnitError):
        flows.run_sequences("spam", at=at)
    wait_for(lambda: len(prefect_here.events("nurture.alarm.run_failed")) > before)


def test_a_send_without_consent_raises_an_alarm(
    flows: Any, workspace: Workspace, at: datetime, prefect_here: Server
) -> None:
    people.make_leads(workspace, people.addresses("unasked", 2), at=at)
    body = {
        "controller": "default",
        "channel": "email",
        "purpose": "newsletter.product",
        "lease_until": "2026-11-23T08:00:30.000000Z",
        "permits": [["m" * 26, "s" * 26, 0, None]],
    }
    with workspace.store.write() as conn:
        ledger.append(conn, [ledger.Entry(ledger.EntryType.AUTHORISED, body, at)])
    before = len(prefect_here.events("nurture.alarm.ledger_broken"))
    assert flows.keep_house(at=at) == {"ledger_entries": 3, "unconsented": 1}
    wait_for(lambda: len(prefect_here.events("nurture.alarm.ledger_broken")) > before)


def test_a_changed_ledger_raises_an_alarm(flows: Any, workspace: Workspace, at: datetime, prefect_here: Server) -> None:
    people.make_leads(workspace, people.addresses("tampered", 2), at=at)
    with workspace.store.write() as conn:
        if workspace.store.dialect == "sqlite":
            for (name,) in conn.exec_driver_sql("select name from sqlite_master where type = 'trigger'").all():
                conn.exec_driver_sql(f"drop trigger {name}")
        else:
            conn.exec_driver_sql("alter table ledger_entry disable trigger user")
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 0).values(leaf_hash=bytes(32)))
    assert flows.keep_house(at=at)["ledger_broken"] == 1
    wait_for(lambda: prefect_here.events("nurture.alarm.ledger_broken"))

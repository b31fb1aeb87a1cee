"""Bounces: what servers report of our mails becomes events, and nothing that anybody else writes does."""

from __future__ import annotations

import os
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from consent import suppression, tokens
from consent.keys import Keyring
from nurture.delivery.smtp import verp
from nurture.store.tables import delivery_fact, raw_event
from nurture.tracking import dsn, mailbox
from nurture.tracking.vocabulary import EventKind

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.nurture.tracking.conftest import Person, World

BOUNCES = "bounces@musterwerk.example"

POSTFIX = """\
Return-Path: <>
{to_header}: {to}
Date: {date}
From: MAILER-DAEMON@mx.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

This is a MIME-encapsulated message.

--B
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--B
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
X-Postfix-Queue-ID: 4F1A
Arrival-Date: {date}

Final-Recipient: rfc822; person1@musterfirma.example
Original-Recipient: rfc822;person1@musterfirma.example
Action: {action}
Status: {status}
Remote-MTA: dns; mail.musterfirma.example
Diagnostic-Code: smtp; 550 5.1.1 <person1@musterfirma.example>: Recipient address rejected

--B
Content-Description: Undelivered Message
Content-Type: message/rfc822

From: post@musterwerk.example
To: person1@musterfirma.example
Subject: Neues
Action: delivered
Status: 2.0.0

Guten Tag
--B--
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder for mails."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def put(box: Path, text: str, name: str = "a.eml") -> Path:
    """Let a mail arrive."""
    path = box / name
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8", "surrogateescape"))
    return path


def report(world: World, person: Person, *, at: datetime | None = None, **fields: str) -> str:
    """Write a bounce as Postfix does, to the envelope sender of a person's mail."""
    to = verp(BOUNCES, world.ws.keyring)(person.public_id)
    date = format_datetime(at or world.at - timedelta(minutes=5))
    told = {"to": to, "date": date, "action": "failed", "status": "5.1.1", "to_header": "Delivered-To", **fields}
    return POSTFIX.format(**told)


def kinds(world: World) -> list[str]:
    """Give the kinds of all events."""
    return [row.kind for row in world.events()]


@pytest.mark.parametrize(
    ("action", "status", "kind"),
    [
        ("failed", "5.1.1", "bounced"),
        ("failed", "5.1.10", "bounced"),
        ("failed", "5.0.0", "bounced"),
        ("failed", "5.2.1 (mailbox disabled)", "bounced"),
        ("failed", "5.4.4", "bounced"),
        ("Failed (rejected)", "5.2.2", "soft_bounced"),
        ("failed", "5.7.1", "soft_bounced"),
        ("failed", "5.1.8", "soft_bounced"),
        ("failed", "4.4.7", "soft_bounced"),
        ("delayed", "4.4.1", "deferred"),
        ("delivered", "2.1.5", "delivered"),
        ("relayed", "2.0.0", "delivered"),
    ],
)
def test_a_report_is_an_event(world: World, box: Path, action: str, status: str, kind: str) -> None:
    """By what its status says of the address (RFC 3463), at the time it tells, without a word of the rest."""
    person = world.person()
    path = put(box, report(world, person, action=action, status=status))

    assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.REPORT
    assert world.ingest().quarantined == 0
    [row] = world.events()
    assert (row.kind, row.message_id, row.lead_id) == (kind, person.message_id, person.lead_id)
    assert row.attributes == {"status": status.split(maxsplit=1)[0]}
    assert row.at == world.at - timedelta(minutes=5)
    assert (box / "done" / "a.eml").exists()


def test_a_dead_address_is_suppressed(world: World, box: Path) -> None:
    """As after a bounce that SendGrid tells of."""
    person = world.person(address="tot@musterfirma.example")
    mailbox.take(world.ws, put(box, report(world, person)), at=world.at)

    assert world.ingest().suppressed == 1
    with world.ws.store.read() as conn:
        index = world.ws.keyring.address_index("tot@musterfirma.example")
        assert suppression.suppressed(conn, [index], controller="default") == {index}


def test_three_full_mailboxes_are_a_dead_one(world: World, box: Path) -> None:
    """One is not."""
    person = world.person()
    done = []
    for day in range(3):
        moment = world.at - timedelta(days=day + 1)
        path = put(box, report(world, person, at=moment, status="5.2.2"), f"{day}.eml")
        mailbox.take(world.ws, path, at=world.at)
        done.append(world.ingest().suppressed)
    assert done == [0, 0, 1]


@pytest.mark.parametrize("header", ["Delivered-To", "X-Original-To", "Envelope-To", "X-Nothing"])
def test_the_message_is_named_by_the_address(world: World, box: Path, header: str) -> None:
    """Whatever the server calls it; in capitals, too, as some write it."""
    person = world.person()
    to = verp(BOUNCES, world.ws.keyring)(person.public_id).upper()
    path = put(box, report(world, person, to=to, to_header=header))
    assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.REPORT


def test_a_report_read_twice_is_one(world: World, box: Path) -> None:
    """Killed before it was set aside, or delivered twice."""
    person = world.person()
    text = report(world, person)
    done = [mailbox.take(world.ws, put(box, text, f"{n}.eml"), at=world.at + n * timedelta(hours=1)) for n in range(2)]
    world.ingest()

    assert done == [mailbox.Read.REPORT, mailbox.Read.REPEATED]
    assert kinds(world) == ["bounced"]


@pytest.mark.parametrize("date", ["", "gestern", "Mon, 01 Jan 1990 00:00:00 +0000", "Mon, 01 Jan 2300 00:00:00 +0000"])
def test_a_report_without_a_usable_date_is_dated_by_its_file(world: World, box: Path, date: str) -> None:
    """So that it stays one when it is read again."""
    person = world.person()
    done = []
    for name in ("a.eml", "b.eml"):
        path = put(box, report(world, person, date=date), name)
        os.utime(path, (world.at.timestamp() - 60,) * 2)
        done.append(mailbox.take(world.ws, path, at=world.at))
    world.ingest()

    assert done == [mailbox.Read.REPORT, mailbox.Read.REPEATED]
    assert [row.at for row in world.events()] == [world.at - timedelta(seconds=60)]


def forged(world: World, person: Person, case: str) -> str:
    """Give an address that is none of ours."""
    keyring = world.ws.keyring
    good = verp(BOUNCES, keyring)(person.public_id)
    return {
        "no token": BOUNCES,
        "other key": verp(BOUNCES, Keyring.load_or_create(world.ws.home / "other.json"))(person.public_id),
        "other purpose": f"bounces+{tokens.issue(keyring, 'confirm', person.public_id)}@musterwerk.example",
        "unsubscribe token": f"bounces+{tokens.issue(keyring, 'unsubscribe', person.public_id)}@musterwerk.example",
        "cut": good.replace("@", "", 1)[:-10] + BOUNCES[-10:],
        "other message": good.replace(person.public_id, "a" * 26),
    }[case]


@pytest.mark.parametrize("case", ["no token", "other key", "other purpose", "cut", "other message"])
def test_a_forged_address_is_set_aside(world: World, box: Path, case: str) -> None:
    """Nobody bounces for others: no event, nothing suppressed, a person may look."""
    person = world.person()
    path = put(box, report(world, person, to=forged(world, person, case)))

    assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.UNCLEAR
    assert world.rows(select(raw_event)) == []
    assert (box / "unclear" / "a.eml").exists()


def test_what_people_write_to_the_bounce_address_ends_nothing(world: World, box: Path) -> None:
    """Spam with the address of a lead in From comes to every mailbox; a person may look."""
    object.__setattr__(world.ws, "settings", world.ws.settings.model_copy(update={"smtp_bounce_address": BOUNCES}))
    world.person(address="kim@firma.example")
    for number, to in enumerate([BOUNCES, "Bounces+x@musterwerk.example"]):
        path = put(box, f"From: kim@firma.example\nTo: {to}\nSubject: Gewinn!\n\nText\n", f"{number}.eml")
        assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.UNCLEAR
    path = put(box, "From: kim@firma.example\nTo: mybounces@musterwerk.example\nSubject: weg\n\nText\n", "z.eml")
    assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.SENDER


def test_an_automatic_answer_is_put_away(world: World, box: Path) -> None:
    """On holiday: no bounce, and nobody has to read it."""
    to = verp(BOUNCES, world.ws.keyring)(world.person().public_id)
    text = f"From: kim@firma.example\nTo: {to}\nAuto-Submitted: auto-replied (vacation)\nSubject: Urlaub\n\nText\n"
    assert mailbox.take(world.ws, put(box, text), at=world.at) is mailbox.Read.AUTOMATIC
    assert world.rows(select(raw_event)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("multipart/report; report-type=delivery-status", "multipart/mixed"),
        ("Action: failed", "Action: exploded"),
        ("Status: 5.1.1", "Status: bad"),
        ("Status: 5.1.1\n", ""),
        ("message/delivery-status", "text/plain"),
        ("--B", "--C"),
        ("Auto-Submitted: auto-replied\n", "Auto-Submitted: no\n"),
    ],
)
def test_what_is_no_report_is_none(world: World, box: Path, old: str, new: str) -> None:
    """Set aside, with no event; only a report that is whole counts, whoever says that it is automatic."""
    text = report(world, world.person()).replace("auto-replied", "auto-generated", 1) if "Auto" not in old else ""
    text = (text or report(world, world.person())).replace(old, new)
    whole = old.startswith("Auto")
    expected = mailbox.Read.REPORT if whole else mailbox.Read.UNCLEAR
    assert mailbox.take(world.ws, put(box, text), at=world.at) is expected
    assert len(world.rows(select(raw_event))) == whole


def test_of_several_recipients_the_gravest_counts() -> None:
    """A mail that was forwarded may have several fates; it had one recipient."""
    group = "\nFinal-Recipient: rfc822; x@example\nAction: {}\nStatus: {}\n"
    groups = "".join(group.format(*told) for told in [("relayed", "2.0.0"), ("failed", "5.1.1"), ("delayed", "4.2.2")])
    raw = (
        "Content-Type: multipart/report; boundary=B\n\n--B\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.example\n{groups}\n--B--\n"
    )
    assert dsn.outcome(raw.encode()) == ("failed", "5.1.1")


PARTS = st.sampled_from(
    ["--B\n", "--B--\n", "\n", "Action: failed\n", "Status: 5.1.1\n", "Content-Type: message/delivery-status\n",
     "Content-Type: multipart/report; boundary=B\n", "Content-Type: message/rfc822\n",
     "Content-Transfer-Encoding: base64\n", "x", "\x00", "\udcff", ": ", " ", "=?utf-8?q?", "(" * 500]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PARTS, max_size=30))
def test_broken_reports_break_nothing(world: World, box: Path, parts: list[str]) -> None:
    """Whatever stands in it, a mail to the envelope sender is read or set aside."""
    to = verp(BOUNCES, world.ws.keyring)("a" * 26)
    done = mailbox.take(world.ws, put(box, f"To: {to}\n" + "".join(parts)), at=world.at)
    assert done in {mailbox.Read.REPORT, mailbox.Read.REPEATED, mailbox.Read.UNCLEAR, mailbox.Read.AUTOMATIC}
    assert world.ingest().quarantined == 0


def test_a_deeply_nested_report_is_set_aside(world: World, box: Path) -> None:
    """Deeper than the parser goes."""
    to = verp(BOUNCES, world.ws.keyring)("a" * 26)
    nested = "".join(f"Content-Type: multipart/report; boundary=B{n}\n\n--B{n}\n" for n in range(3000))
    assert mailbox.take(world.ws, put(box, f"To: {to}\n{nested}"), at=world.at) is mailbox.Read.UNCLEAR


def test_every_kind_that_proves_something_is_known() -> None:
    """The actions of RFC 3464, and no other."""
    assert {dsn.kind_of(action, "2.0.0") for action in ("delivered", "relayed", "expanded")} == {EventKind.DELIVERED}
    assert dsn.kind_of("opened", "2.0.0") is None


def test_facts_of_a_report_stand_beside_the_mail(world: World, box: Path) -> None:
    """As those of every provider do."""
    person = world.person()
    mailbox.take(world.ws, put(box, report(world, person, action="delivered", status="2.0.0")), at=world.at)
    world.ingest()
    query = select(delivery_fact.c.message_id, delivery_fact.c.fact)
    assert [tuple(row) for row in world.rows(query)] == [(person.message_id, "delivered")]

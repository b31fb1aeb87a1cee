"""Mails to the unsubscribe mailbox: each ends what it names, once (R23)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import insert
from typer.testing import CliRunner

from consent import tokens
from nurture.cli import consent
from nurture.store.tables import message, send_batch, template_version
from nurture.tracking import mailbox
from tests.consent.people import NEWSLETTER, OTHER, People

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.store.workspace import Workspace

HEAD = "From: Kim Weber <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\n{more}\r\nBitte keine Mails mehr.\r\n"


@pytest.fixture
def people(workspace: Workspace, at: object) -> People:
    made = People(workspace.store, workspace.keyring, at)  # type: ignore[arg-type]
    made.publish()
    return made


def post(folder: Path, name: str, *, sender: str = "kim@firma.example", to: str = "weg@musterwerk.example",
         subject: str = "weg", more: str = "") -> Path:  # fmt: skip
    """Put a raw mail into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(HEAD.format(sender=sender, to=to, subject=subject, more=more).encode())
    return path


def mailed(people: People, subject: str) -> str:
    """Give the unsubscribe token of a newsletter mail to somebody."""
    public_id = tokens.random_id()
    with people.store.write() as conn:
        version = insert(template_version).values(key="a/b/cold/de", sha256=public_id, links=[], seen_at=people.at)
        template = conn.execute(version.returning(template_version.c.id)).scalar_one()
        batch = {"kind": "marketing", "state": "accepted", "provider": "outbox", "environment": "t", "count": 1}
        batch |= {"attempt": 1, "planned_at": people.at, "not_before": people.at, "not_after": people.at}
        number = conn.execute(insert(send_batch).values(batch).returning(send_batch.c.id)).scalar_one()
        row = {"public_id": public_id, "batch_id": number, "kind": "marketing", "subject": subject, "step": "b"}
        row |= {"occurrence": 1, "purpose": NEWSLETTER, "class": "educational", "language": "de", "tracked": False}
        conn.execute(insert(message).values(row | {"template_version_id": template, "planned_at": people.at}))
    return tokens.issue(people.keyring, "unsubscribe", public_id)


@pytest.mark.parametrize("where", ["subject", "plus"])
def test_a_token_ends_its_purpose_whoever_sends_it(
    people: People, workspace: Workspace, tmp_path: Path, where: str
) -> None:
    """In the subject or behind the plus; another sender, or a robot of the mail program, makes no difference."""
    subject = people.confirmed(purposes=[NEWSLETTER, OTHER])
    token = mailed(people, subject)
    named = (
        {"subject": f"Unsubscribe {token.upper()}"} if where == "subject" else {"to": f"weg+{token}@musterwerk.example"}
    )
    path = post(
        tmp_path / "in", "a.eml", sender="other@firma.example", more="Auto-Submitted: auto-generated\r\n", **named
    )

    assert mailbox.take(workspace, path, at=people.at) is mailbox.Read.TOKEN
    assert (people.reason(subject, NEWSLETTER), people.reason(subject, OTHER)) == ("withdrawn", None)
    assert (tmp_path / "in" / "done" / "a.eml").exists()


def test_a_sender_without_token_ends_everything(people: People, workspace: Workspace, tmp_path: Path) -> None:
    """By From alone, in any case of letters; recorded with route and reason; the second mail changes nothing."""
    subject = people.confirmed(purposes=[NEWSLETTER, OTHER])
    first = post(tmp_path / "in", "a.eml", sender="Kim@FIRMA.example")
    again = post(tmp_path / "in", "b.eml")

    assert [mailbox.take(workspace, path, at=people.at) for path in (first, again)] == ["sender", "repeated"]
    assert (people.reason(subject, NEWSLETTER), people.reason(subject, OTHER)) == ("withdrawn", "withdrawn")
    with people.store.read() as conn:
        from consent import ledger  # noqa: PLC0415  only here

        [body] = [entry.body for entry in ledger.read(conn, types=["consent.withdrawn"])]
    assert (body["route"], body["actor"], body["purposes"]) == ("mailto", "mail:sender", ["*"])


@pytest.mark.parametrize(
    "mail",
    [
        {"more": "Auto-Submitted: auto-replied\r\n"},
        {"more": "Return-Path: <>\r\n"},
        {"sender": "kim@firma.example>, <other@firma.example"},
        {"sender": "nobody"},
        {"subject": "a" * 52, "sender": "nobody"},
    ],
)
def test_what_names_nobody_is_set_aside(
    people: People, workspace: Workspace, tmp_path: Path, mail: dict[str, str]
) -> None:
    """Automatic answers, two senders, none, a forged token: nothing ends, a person must look."""
    subject = people.confirmed()
    path = post(tmp_path / "in", "a.eml", **mail)

    assert mailbox.take(workspace, path, at=people.at) is mailbox.Read.UNCLEAR
    assert people.reason(subject) is None
    assert (tmp_path / "in" / "unclear" / "a.eml").exists()


def test_an_unknown_sender_is_barred_and_read_by_a_person(people: People, workspace: Workspace, tmp_path: Path) -> None:
    """Kept out of imports until its owner confirms; but somebody may mean another mailbox that we write to."""
    subject = people.confirmed("kim@firma.example")
    path = post(tmp_path / "in", "a.eml", sender="kim@home.example", subject="Abmelden kim@firma.example")
    again = post(tmp_path / "in", "b.eml", sender="kim@home.example")

    assert [mailbox.take(workspace, one, at=people.at) for one in (path, again)] == ["unclear", "unclear"]
    assert (tmp_path / "in" / "unclear" / "a.eml").exists()
    assert people.reason(subject) is None
    with people.store.read() as conn:
        from consent import suppression  # noqa: PLC0415  only here

        index = people.keyring.address_index("kim@home.example")
        assert suppression.suppressed(conn, [index], controller="default") == {index}


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\x00", b"Subject: =?x?q?", b"From: \xff\xff\r\n\r\n", b"From: <" * 9000]
)
def test_broken_mails_break_nothing(people: People, workspace: Workspace, tmp_path: Path, raw: bytes) -> None:
    """Whatever stands in a mail, it is read or set aside."""
    path = tmp_path / "in" / "a.eml"
    path.parent.mkdir()
    path.write_bytes(raw)

    assert mailbox.take(workspace, path, at=people.at) is mailbox.Read.UNCLEAR


@pytest.mark.parametrize("sign", ["(", "[", "<"])
def test_a_hostile_sender_is_set_aside(people: People, workspace: Workspace, tmp_path: Path, sign: str) -> None:
    """Nested deeper than the parser reads: for a person. A token beside it counts."""
    subject, sender = people.confirmed(), sign * 20_000
    hostile = tmp_path / "in" / "a.eml"
    hostile.parent.mkdir()
    hostile.write_bytes(f"From: {sender}\r\nSubject: weg\r\n\r\n".encode())
    named = tmp_path / "in" / "b.eml"
    named.write_bytes(f"From: {sender}\r\nSubject: {mailed(people, subject)}\r\n\r\n".encode())

    taken = [mailbox.take(workspace, path, at=people.at) for path in mailbox.waiting(tmp_path / "in")]

    assert taken == ["unclear", "token"]
    assert people.reason(subject) == "withdrawn"


def test_a_mail_that_cannot_be_taken_in_keeps_nobody_waiting(
    people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays where it is and intake fails in the end; those behind it were heard."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    subject = people.confirmed()
    box = workspace.home / "in"
    post(box, "a.eml", sender="new@firma.example")
    (box / "done" / "a.eml").mkdir(parents=True)
    (box / "unclear" / "a.eml").mkdir(parents=True)
    post(box, "b.eml")
    app = typer.Typer()
    consent.register(app)

    done = CliRunner().invoke(app, ["consent", "intake", str(box), "--json"])

    assert (done.exit_code, json.loads(done.stdout)["sender"]) == (1, 1)
    assert "mails not taken in: 1 (IsADirectoryError)" in done.stderr
    assert (box / "a.eml").exists()
    assert people.reason(subject) == "withdrawn"


def test_intake_reads_a_maildir(people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """New mails move to cur, seen or flagged; counts by what became of them."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    subject = people.confirmed()
    box = workspace.home / "Maildir"
    post(box / "new", "1.host", subject=mailed(people, subject))
    post(box / "new", "2.host", sender="nobody")
    app = typer.Typer()
    consent.register(app)

    done = CliRunner().invoke(app, ["consent", "intake", str(box), "--json"])

    assert json.loads(done.stdout) == {
        "token": 1, "sender": 0, "repeated": 0, "report": 0, "automatic": 0, "unclear": 1,
    }  # fmt: skip
    assert sorted(path.name for path in (box / "cur").iterdir()) == ["1.host:2,S", "2.host:2,F"]
    assert people.reason(subject) == "withdrawn"
    assert CliRunner().invoke(app, ["consent", "intake", str(box / "none")]).exit_code == 1

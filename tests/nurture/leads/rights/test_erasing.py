"""Is a person gone, to the last byte, while the ledger stands? Also when the power fails in the middle?"""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update

from consent import checkpoints, gate, identity, ledger, suppression, vault
from consent.addresses import Address
from consent.schema import consent_state, ledger_entry, opt_in_request, proof_vault, rights_request
from consent.schema import identity as identity_table
from nurture.handover import notices
from nurture.handover.targets import Folder
from nurture.leads import rights
from nurture.leads.importing.run import import_file
from nurture.leads.rights import erasing, exporting, places, requests
from nurture.leads.rights.requests import Kind
from nurture.scoring import policy as scoring_policy
from nurture.scoring import project
from nurture.scoring.replay import replay
from nurture.sequences.explain import explain
from nurture.store.tables import enrolment, event, handover, lead, lead_score, message, points, raw_event
from nurture.store.tables import signal as signal_table
from nurture.tracking.intake import store_raw
from tests.nurture.leads.rights import bytes as disk
from tests.nurture.leads.rights.life import ADDRESS, AGENT, DETAILS, IP, MESSAGE, Life

if TYPE_CHECKING:
    from pathlib import Path

PERSONAL = [ADDRESS, "zofia.koeroes", DETAILS["last_name"], DETAILS["phone"], DETAILS["company"], MESSAGE, IP, AGENT]
POINTS = [
    "files:before", "files:one", "files:noted", "database:half", "database:before_commit", "database:committed",
    "remains:removed", "remains:noted", "pages:clean", "pages:noted",
]  # fmt: skip


def ask(life: Life, lead_id: int, **more: Any) -> rights.Pending:
    """Ask for erasure on the page."""
    with life.ws.store.write() as conn:
        return rights.request_erasure(
            conn, life.ws, life.subject(lead_id), route="page", actor="subject", at=life.later, **more
        )


def erase(life: Life, lead_id: int, **more: Any) -> rights.Erased:
    """Ask, and have it carried out."""
    ask(life, lead_id, **more)
    return rights.erase_open(life.ws, at=life.later)


def litter(life: Life, lead_id: int) -> None:
    """Leave a person's data wherever it may come to lie."""
    home = life.ws.home
    with life.ws.store.write() as conn:
        record = rights.access(conn, life.ws, life.subject(lead_id), route="cli", actor="operator:x", at=life.later)
    exporting.write(record, home / "exports", f"lead-{lead_id}-20261123-090000")
    for name in ("logs", "reports", "outbox/tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "logs" / "server.log").write_text(f"kept line\nerror for {ADDRESS.lower()} {DETAILS['phone']}\nalso kept\n")
    (home / "reports" / "import-abc.csv").write_text(f'"7";"{ADDRESS}"\n')
    [public_id] = [row.public_id for row in life.rows(select(message.c.public_id))][:1]
    (home / "outbox" / "tmp" / f"{public_id}.1a2b").write_text(ADDRESS)
    # A batch with a bad event of the person and one of somebody else, which nobody could read.
    life.hears("sendgrid", f'[{{"email":"{ADDRESS}"}},{{"email":"tom@zweite.example"}}]'.encode())
    life.hears("form", f'{{"form":"demo_request","address":"{ADDRESS}","message":"{MESSAGE}"}}'.encode())


def crowd(life: Life, size: int) -> None:
    """Let other people come, so that rows move between pages."""
    with life.ws.store.write() as conn:
        for number in range(size):
            someone = identity.ensure(conn, life.ws.keyring, Address.of(f"n{number}@andere.example"), at=life.at)
            identity.describe(conn, life.ws.keyring, {someone: {"message": "x" * (number * 7 % 900)}})


def test_t56_erasure_leaves_no_byte(life: Life, tmp_path: Path) -> None:
    """Neither in clear nor sealed: tables, log, free pages, mails, payloads, records, logs; ledger and proofs hold."""
    crowd(life, 60)
    lead_id = life.lives()
    crowd(life, 120)
    litter(life, lead_id)
    subject, home = life.subject(lead_id), life.ws.home
    cipher = disk.sealed(life, subject, lead_id)
    clear = disk.clear(PERSONAL)
    assert len(cipher) > 8
    assert disk.hits(home, clear)
    signer, leaf = life.signs(), bytes(life.entries("consent.confirmed")[0].leaf)
    with life.ws.store.read() as conn:
        before, old_proof = ledger.head(conn), checkpoints.tlog_proof(conn, 1)

    done = erase(life, lead_id)

    assert (done.requests, done.left) == (1, [])
    assert disk.hits(home, clear) == []
    assert disk.hits(disk.database_files(life, tmp_path / "base"), {**clear, **cipher}) == []
    assert (home / "logs" / "server.log").read_text().splitlines()[::2] == ["kept line", "also kept"]
    with life.ws.store.read() as conn:
        assert ledger.verify(conn).ok
        assert ledger.head(conn).size > before.size
    assert disk.proves(old_proof, leaf, signer)
    assert bytes(life.entries("consent.confirmed")[0].leaf) == leaf
    life.signs()
    with life.ws.store.read() as conn:
        assert disk.proves(checkpoints.tlog_proof(conn, 1), leaf, signer)
    assert life.entries("subject.erased")[0].subject == subject


@pytest.mark.parametrize("hold", [False, True])
def test_an_erasure_settles_what_else_the_person_asked_for(life: Life, *, hold: bool) -> None:
    """Nobody can answer it any more, so no clock may run and no alarm ring; that of others runs on."""
    goes, other = life.joins(), life.joins("tom@zweite.example")
    with life.ws.store.write() as conn:
        for lead_id, kind in ((goes, Kind.ACCESS), (goes, Kind.RESTRICT), (other, Kind.ACCESS)):
            subject, zone = life.subject(lead_id), life.ws.settings.tz
            requests.take_down(conn, subject, kind, route="letter", actor="operator:x", zone=zone, at=life.at)

    erase(life, goes, hold=hold)

    with life.ws.store.read() as conn:
        assert [(one.lead, one.kind) for one in requests.waiting(conn)] == [(other, "access")]
    settled = {row.kind: (row.state, row.reason, row.settled_at) for row in life.requests()[:2]}
    assert settled == dict.fromkeys(("access", "restrict"), ("done", "erased", life.later))


def test_other_people_keep_everything(life: Life) -> None:
    """Their identity, evidence, mails and their part of a common body."""
    erased, other = life.lives(), life.joins("tom@zweite.example")
    life.gets_mail(other)
    litter(life, erased)
    erase(life, erased)

    with life.ws.store.read() as conn:
        person = identity.reveal(conn, life.ws.keyring, [life.subject(other)])[life.subject(other)]
        assert len(vault.opened(conn, life.ws.keyring, [life.subject(other)])) == 2
        assert gate.check(
            conn, [life.subject(other)], purpose="newsletter.product", controller="default", at=life.at
        ) != {life.subject(other): "withdrawn"}
    assert person.address == "tom@zweite.example"
    assert len(list((life.ws.home / "outbox").glob("*.eml"))) == 1
    bodies = [
        life.ws.keyring.open(row.sealed_body, aad=f"raw_event:{row.body_sha256}".encode())
        for row in life.rows(select(raw_event).where(raw_event.c.sealed_body.is_not(None)))
    ]
    assert [b"tom@zweite.example" in body for body in bodies] == [True]


def test_nothing_of_the_behaviour_is_left(life: Life) -> None:
    """No event, no points, no signal, no facts; what was sent and when stays countable."""
    lead_id = life.lives()
    erase(life, lead_id)
    [row] = life.rows(select(lead))

    for table in (event, points, signal_table):
        assert life.rows(select(func.count()).select_from(table)) == [(0,)]
    assert (row.industry, row.company_size, row.role, row.source_detail) == (None, None, None, None)
    assert life.rows(select(enrolment.c.state, enrolment.c.exit_reason)) == [("exited", "erased")]
    assert life.rows(select(message.c.subject)) == [(row.subject,)]
    assert life.rows(select(handover.c.sealed_payload, handover.c.payload_sha256)) == [(None, None)]


def test_no_mail_leaves_after_the_request(life: Life) -> None:
    """Before anything is destroyed: the request itself ends every consent."""
    lead_id = life.joins()
    ask(life, lead_id)

    with life.ws.store.write() as conn:
        [answer] = gate.authorise(
            conn, [gate.Ask(life.subject(lead_id), "newsletter.product", "default", "m" * 26)], at=life.later
        )
    assert isinstance(answer, gate.Refusal)
    assert life.rows(select(consent_state.c.state).distinct()) == [("withdrawn",)]


def test_asking_twice_is_one_request(life: Life) -> None:
    """The second answer is the first; after the end there is nobody to ask for."""
    lead_id = life.joins()
    first, second = ask(life, lead_id), ask(life, lead_id)
    erase(life, lead_id)

    assert (second.request_id, second.repeated) == (first.request_id, True)
    assert first.due_at == datetime(2026, 12, 23, 23, 0, tzinfo=UTC)
    assert [(row.state, row.step) for row in life.requests()] == [("done", "pages")]
    with pytest.raises(rights.RightsError, match="erased before"):
        ask(life, lead_id)


def test_import_cannot_revive_an_erased_person(life: Life, tmp_path: Path) -> None:
    """The keyed hash of the address is all that is left of them, and it bars the row (R33)."""
    erase(life, life.joins())
    path = tmp_path / "leads.csv"
    path.write_text(f"Email\n{ADDRESS.upper()}\nneu@firma.example\n")
    counts = import_file(life.ws, path, at=life.later).counts

    assert (counts.suppressed, counts.new) == (1, 1)


def test_suppression_can_be_left_out(life: Life) -> None:
    """Who wants no trace at all gets none: the address counts as unknown."""
    erase(life, life.joins(), keep_suppression=False)
    index = life.ws.keyring.address_index(Address.of(ADDRESS).identity)

    with life.ws.store.read() as conn:
        assert suppression.suppressed(conn, [index]) == set()


def test_sales_is_told_of_the_erasure(life: Life) -> None:
    """Recipients must be told (Art. 19), although the lead's own data is gone."""
    lead_id = life.lives()
    erase(life, lead_id)
    done = notices.announce(life.ws, Folder(life.ws.home / "handovers"), at=life.later + timedelta(minutes=1))
    told = "".join(path.read_text() for path in (life.ws.home / "handovers").glob("*.withdrawn.*.json"))

    assert len(done.withdrawn) == 2
    assert '"erased": true' in told
    assert places.holding(life.ws.home, [ADDRESS.lower().encode()]) == []


def test_hold_keeps_only_the_proof_until_its_day(life: Life, tmp_path: Path) -> None:
    """Until the end of the third calendar year in the legal zone; then that is destroyed, too (R25)."""
    lead_id = life.lives()
    subject = life.subject(lead_id)
    done = erase(life, lead_id, hold=True)
    until = datetime(2029, 12, 31, 23, 0, tzinfo=UTC)

    assert (done.requests, done.held) == (1, 1)
    with life.ws.store.read() as conn:
        person = identity.reveal(conn, life.ws.keyring, [subject])[subject]
        assert (person.address.lower(), person.details) == (ADDRESS.lower(), {})
        assert len(vault.opened(conn, life.ws.keyring, [subject])) == 2
        assert identity.find(conn, life.ws.keyring, Address.of(ADDRESS)) is None
    assert life.rows(select(rights_request.c.hold_until, rights_request.c.step)) == [(until, "held")]
    assert erasing.release(life.ws, at=until - timedelta(microseconds=1)) == 0
    assert erasing.release(life.ws, at=until) == 1
    assert life.rows(select(func.count()).select_from(proof_vault)) == [(0,)]
    assert disk.hits(life.ws.home, disk.clear(PERSONAL)) == []
    assert [row.state for row in life.requests()] == ["done"]


def test_held_person_may_sign_up_again(life: Life) -> None:
    """As somebody new: what is held is for claims, not for mail."""
    first = life.joins()
    erase(life, first, hold=True)
    again = Life(life.ws, life.at + timedelta(days=40)).joins()

    assert again != first
    assert life.rows(select(func.count()).select_from(identity_table)) == [(2,)]


def test_merged_person_is_erased_whole(life: Life) -> None:
    """Whichever of the merged leads is named, and both when one of them is."""
    one, two = life.joins(), life.joins("zofia@privat.example")
    with life.ws.store.write() as conn:
        conn.execute(update(lead).where(lead.c.id == one).values(merged_into=two))
    erase(life, one)

    assert life.rows(select(func.count()).select_from(identity_table).where(identity_table.c.erased_at.is_(None))) == [
        (0,)
    ]


PROGRAM = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from nurture.leads import rights
from nurture.settings import Settings
from nurture.store.workspace import open_workspace

home, url, point, at = sys.argv[1:]
def reached(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)
with open_workspace(Settings(home=Path(home), database_url=url)) as workspace:
    rights.erase_open(workspace, at=datetime.fromisoformat(at), reached=reached)
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_erasure_goes_on(life: Life, tmp_path: Path, point: str) -> None:
    """A real SIGKILL at every point; the next run ends where an undisturbed one ends, with one entry."""
    lead_id = life.lives()
    litter(life, lead_id)
    subject = life.subject(lead_id)
    cipher = disk.sealed(life, subject, lead_id)
    ask(life, lead_id)
    arguments = [str(life.ws.home), life.ws.settings.database, point, life.later.isoformat()]
    killed = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    rights.erase_open(life.ws, at=life.later)

    clear = disk.clear(PERSONAL)
    assert disk.hits(life.ws.home, clear) == []
    assert disk.hits(disk.database_files(life, tmp_path / "base"), {**clear, **cipher}) == []
    assert [(row.state, row.step) for row in life.requests() if row.kind == "erase"] == [("done", "pages")]
    assert len(life.entries("subject.erased")) == 1
    with life.ws.store.read() as conn:
        assert ledger.verify(conn).ok


def test_points_of_the_kill_test_are_all_there_are(life: Life) -> None:
    """A new point needs a kill test of its own."""
    passed: list[str] = []
    ask(life, life.lives())
    rights.erase_open(life.ws, at=life.later, reached=passed.append)

    assert list(dict.fromkeys(passed)) == POINTS


def test_what_is_not_ours_to_change_is_named(life: Life) -> None:
    """Somebody put a list into the home folder: the erasure names the file, and leaves it."""
    lead_id = life.joins()
    life.tells(lead_id)
    (life.ws.home / "my list.txt").write_text(f"call {ADDRESS}")

    assert erase(life, lead_id).left == ["my list.txt"]


def test_open_sign_up_is_void_and_empty(life: Life) -> None:
    """Its link leads nowhere, and no keyed hash of the address is left beside it."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        conn.execute(
            update(opt_in_request).values(network_index=b"n" * 32, domain_index=b"d" * 32, sealed_token=b"x" * 50)
        )
    erase(life, lead_id)
    row = opt_in_request.c

    assert life.rows(select(row.sealed_token, row.abuse_index, row.network_index, row.domain_index)) == [
        (None, None, None, None)
    ]
    assert life.rows(select(func.count()).select_from(ledger_entry)) != [(0,)]


def test_body_that_nobody_can_open_stays(life: Life) -> None:
    """Sealed under keys that are lost it names nobody; the erasure goes on."""
    lead_id = life.joins()
    life.hears("click", b"{}")
    with life.ws.store.write() as conn:
        conn.execute(update(raw_event).values(sealed_body=b"not ours"))
    done = erase(life, lead_id)

    assert done.requests == 1
    assert life.rows(select(raw_event.c.sealed_body)) == [(b"not ours",)]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"address": "zofia.koeroes\\u0040wuehlhuber.example"}', None),
        (b'{"address": "tom@zweite.example"}', b'{"address": "tom@zweite.example"}'),
        (b'[{"email":"ZOFIA.KOEROES@wuehlhuber.example"},{"email":"tom@zweite.example"}]',
         b'[{"email": "tom@zweite.example"}]'),
        (b"zofia.koeroes@wuehlhuber.example\ntom@zweite.example", b"tom@zweite.example"),
        (b"no JSON at all", b"no JSON at all"),
        (b'[{"a":' * 20_000 + b"zofia.koeroes@wuehlhuber.example", None),
    ],
)  # fmt: skip
def test_only_the_person_is_taken_out_of_a_body(life: Life, body: bytes, left: bytes | None) -> None:
    """However it is written; also where a body is hostile."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        store_raw(conn, life.ws.keyring, source="sendgrid", body=body, at=life.at)
        conn.execute(update(raw_event).values(state="quarantined"))
    erase(life, lead_id)
    [row] = life.rows(select(raw_event))

    assert (row.sealed_body and life.ws.keyring.open(row.sealed_body, aad=aad(row.body_sha256))) == left


def aad(sha256: str) -> bytes:
    """Name where a sealed body stands."""
    return f"raw_event:{sha256}".encode()


def test_waiting_form_of_an_erased_person_is_never_applied(life: Life) -> None:
    """It came before the erasure, and would have made them anew."""
    lead_id = life.joins()
    body = f'{{"form":"demo_request","id":"f","at":"{life.at.isoformat()}","address":"{ADDRESS}","fields":{{}}}}'
    with life.ws.store.write() as conn:
        store_raw(conn, life.ws.keyring, source="form", body=body.encode(), at=life.at)
    erase(life, lead_id)

    assert life.rows(select(raw_event.c.state, raw_event.c.sealed_body)) == [("applied", None)]


def test_audits_in_the_export_folder_lose_the_person(life: Life) -> None:
    """The files that name them, and the papers of that audit, in which no search finds anybody; others stay."""
    lead_id = life.joins()
    audit, other = life.ws.home / "exports" / "audit-1", life.ws.home / "exports" / "audit-2"
    for folder, text in ((audit, ADDRESS), (other, "tom@zweite.example")):
        (folder / "proofs").mkdir(parents=True)
        (folder / "proofs" / "1.json").write_text(text)
        (folder / "audit.pdf").write_text("packed")
        (folder / "entries.jsonl").write_text("ids only")
    done = erase(life, lead_id)

    assert done.files == 2
    assert sorted(path.name for path in audit.rglob("*.*")) == ["entries.jsonl"]
    assert len(list(other.rglob("*.*"))) == 3


def test_everything_else_still_works(life: Life) -> None:
    """Explaining, recomputing and planning meet a lead without a person."""
    lead_id = life.lives()
    erase(life, lead_id)
    policies = life.ws.settings.policies
    with life.ws.store.read() as conn:
        told = explain(conn, lead_id).as_dict()
        assert replay(conn, scoring_policy.load(policies)).different == ()
    with life.ws.store.write() as conn:
        due = project.reconsidered(conn, limit=10)
        project.rescore(conn, scoring_policy.load(policies), due, at=life.later)

    assert told["now"]["erased"] is True
    assert {told["now"][name] for name in ("stage", "owner", "temperature", "score")} == {None}
    assert {one["type"] for one in told["timeline"] if one["kind"] == "consent"} >= {"subject.erased"}
    assert [row.score for row in life.rows(select(lead_score))] in ([], [0.0])


def test_many_are_erased_together(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """In few transactions; one search of the files finds the addresses of all of them, however they are written."""
    monkeypatch.setattr(places, "MOST_NEEDLES", 3)
    people = [life.joins(f"p{number}@viele.example") for number in range(4)]
    texts = ["to=P1@VIELE.example.", "<mailto:p2@viele.example>", "x" * 2_000_000 + " p3@viele.example"]
    (life.ws.home / "logs").mkdir()
    for number, text in enumerate(texts):
        (life.ws.home / "logs" / f"{number}.log").write_text(text)
    (life.ws.home / "logs" / "other.log").write_text("tom@zweite.example and no@address @ all")
    for number in people:
        ask(life, number)
    done = rights.erase_open(life.ws, at=life.later)

    assert (done.requests, done.files) == (4, 3)
    assert disk.hits(life.ws.home / "logs", disk.clear(["viele.example"])) == []
    assert (life.ws.home / "logs" / "other.log").read_text().startswith("tom@zweite.example")
    assert len(life.entries("subject.erased")) == 4


@pytest.mark.parametrize(
    ("reason", "actor"), [("Kim Weber rief an, Tel. 0151 2345678", "operator:vera"), ("request", "operator:Kim Weber")]
)
def test_what_somebody_told_us_begins_no_erasure(life: Life, reason: str, actor: str) -> None:
    """It is refused with the request, not at a later step, and would else stand in the ledger for ever."""
    lead_id = life.joins()
    with life.ws.store.write() as conn, pytest.raises(ledger.LedgerError):
        rights.request_erasure(
            conn, life.ws, life.subject(lead_id), route="cli", actor=actor, at=life.later, reason=reason
        )

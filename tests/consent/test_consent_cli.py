"""`nurture consent` and `nurture audit` on a real workspace."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import text, update
from typer.testing import CliRunner

from consent import identity, imported, ledger
from consent.addresses import Address
from consent.schema import ledger_entry
from nurture.cli import audit, consent
from nurture.leads.register import NewLead, register
from nurture.leads.rights import merging
from nurture.store.tables import lead
from tests.consent.people import NEWSLETTER, OTHER, TRACKING, People

if TYPE_CHECKING:
    from typer.testing import Result

    from nurture.store.workspace import Workspace


@pytest.fixture
def person(people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """A confirmed lead, number 1, in the workspace that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])
    row = {"subject": subject, "language": "de", "zone": "Europe/Berlin", "freemail": False, "role_address": False}
    row |= {"source": "form", "created_at": people.at, "stage": "confirmed", "stage_since": people.at}
    with people.store.write() as conn:
        conn.execute(lead.insert().values(**row, owner="marketing"))
    people.ask(subject)
    return subject


def run(*words: str) -> Result:
    """Type a command."""
    return invoke("", *words)


def invoke(typed: str, *words: str) -> Result:
    """Type a command, and something on stdin."""
    app = typer.Typer()
    audit.register(app)
    consent.register(app)
    return CliRunner().invoke(app, words, input=typed)


def test_audit_verify_tells_all(person: str, people: People) -> None:
    """Size, root, verdict and how many authorisations were checked; exit 0."""
    done = run("audit", "verify", "--json")
    shown = json.loads(done.stdout)

    assert done.exit_code == 0
    assert (shown["size"], shown["verified"], shown["authorisations"], shown["breaches"]) == (3, True, 1, 0)
    assert run("audit", "verify").stdout.splitlines()[2:] == [
        "tree            whole",
        "authorisations  1 checked, 0 without a consent that carries them",
    ]


def test_audit_verify_names_tampering(person: str, people: People) -> None:
    """A changed entry: exit 1, its number, and no word on authorisations."""
    with people.store.write() as conn:
        if people.store.dialect == "sqlite":
            conn.execute(text("drop trigger ledger_entry_no_update"))
        else:
            conn.execute(text("alter table ledger_entry disable trigger user"))
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 1).values(type="consent.declined"))

    done = run("audit", "verify", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["problem"].startswith("entry 1: ")
    assert "not checked" in run("audit", "verify").stdout


def test_audit_verify_lists_breaches(person: str, people: People) -> None:
    """An authorisation past the gate: exit 1 and the message named."""
    body = {"controller": "default", "channel": "email", "purpose": NEWSLETTER}
    body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [["m" * 26, "x" * 26, 0, None]]}  # type: ignore[dict-item]
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("send.authorised", body, people.at)])

    done = run("audit", "verify")

    assert done.exit_code == 1
    assert "entry 3, message mmmmm" in done.stdout


def test_consent_show_knows_standing_and_entries(person: str) -> None:
    """By lead number or by subject; no address anywhere."""
    shown = json.loads(run("consent", "show", "1", "--json").stdout)

    assert shown["subject"] == person
    assert {one["purpose"]: one["state"] for one in shown["consents"]} == {NEWSLETTER: "given", TRACKING: "given"}
    assert [one["type"] for one in shown["entries"]] == ["consent.requested", "consent.confirmed"]
    assert "kim" not in json.dumps(shown)
    assert "consent.confirmed" in run("consent", "show", "--subject", person).stdout


def test_consent_withdraw_ends_it_once(person: str, people: People) -> None:
    """One purpose, then all, then nothing left."""
    now = ("--at", people.at.isoformat())
    assert "ledger entry 3" in run("consent", "withdraw", "1", "--purpose", TRACKING, "--by", "kim", *now).stdout
    assert people.reason(person) is None
    assert "ledger entry 5" in run("consent", "withdraw", "1", *now).stdout
    assert people.reason(person) == "withdrawn"
    assert "nothing to withdraw" in run("consent", "withdraw", "1").stdout


@pytest.mark.parametrize(
    ("typed", "words"), [("", ["1"]), ("kim@firma.example\n", ["--address"]), ("new@firma.example\n", ["--address"])]
)
def test_a_slip_in_the_purpose_is_no_withdrawal(person: str, people: People, typed: str, words: list[str]) -> None:
    """Nothing is recorded, not even for the purpose that was spelled right; those there are get named."""
    done = invoke(typed, "consent", "withdraw", *words, "--purpose", TRACKING, "--purpose", "newsletter.prodct")

    assert done.exit_code == 64
    assert "no such --purpose; there are: email.tracking, newsletter.events, newsletter.product" in done.stderr
    with people.store.read() as conn:
        assert [entry.type for entry in ledger.read(conn, types=["consent.withdrawn"])] == []
    assert people.reason(person) is None


def test_a_purpose_without_wording_ends_for_who_gave_it(person: str, people: People) -> None:
    """Imported proof names purposes that we ask nobody for."""
    given = imported.ImportedConsent(person, "newsletter.old", "default", "Ja.", people.at - timedelta(days=1), {})
    with people.store.write() as conn:
        imported.record(conn, people.keyring, [given], at=people.at)

    done = run("consent", "withdraw", "1", "--purpose", "newsletter.old", "--at", people.at.isoformat())

    assert done.stdout.startswith("withdrawn, ledger entry")
    assert people.reason(person, "newsletter.old") == "withdrawn"


@pytest.mark.parametrize("by_address", [False, True])
def test_consent_withdraw_ends_both_halves_of_a_merged_person(
    person: str, people: People, workspace: Workspace, *, by_address: bool
) -> None:
    """Named by the lead that went, or by its address; the other address gets no mail either."""
    other = people.confirmed("kim@privat.example")
    with people.store.write() as conn:
        register(conn, [NewLead(other, "de", "form")], at=people.at, keyring=people.keyring)
        merging.merge(conn, workspace, 1, 2, reason="same_person", actor="operator:vera", at=people.at)
    now = ("--at", people.at.isoformat())
    if by_address:
        invoke("kim@firma.example\n", "consent", "withdraw", "--address", *now)
    else:
        run("consent", "withdraw", "1", *now)

    assert [people.reason(one) for one in (person, other)] == ["withdrawn", "withdrawn"]


def test_consent_wants_one_known_person(person: str) -> None:
    """Nobody, two at once, or a stranger: usage or error."""
    codes = [run("consent", "show", *words).exit_code for words in ([], ["1", "--subject", person], ["2"])]

    assert codes == [64, 64, 1]


def test_consent_texts_shows_wordings(person: str) -> None:
    """Every wording with its hash."""
    listed = json.loads(run("consent", "texts", "--json").stdout)

    assert len(listed) == 5
    assert listed[0]["sha256"] in run("consent", "texts").stdout


def test_search_prints_a_number_and_no_address(person: str) -> None:
    """From stdin or from the argument, in any case of letters; a stranger is an error."""
    typed = invoke("Kim@FIRMA.example\n", "consent", "search")

    assert (typed.exit_code, typed.stdout) == (0, "1\n")
    assert run("consent", "search", "kim@firma.example").stdout == "1\n"
    assert run("consent", "search", "other@firma.example").exit_code == 1
    assert run("consent", "search", "nobody").exit_code == 64


def test_search_gives_the_random_id_of_whoever_is_no_lead_yet(person: str, people: People) -> None:
    """On stdout nothing else, so that `--subject` can take it; the help says so, too."""
    people.sign_up("later@firma.example")
    with people.store.read() as conn:
        waiting = identity.find(conn, people.keyring, Address.of("later@firma.example"))
    found = invoke("later@firma.example\n", "consent", "search")

    assert (found.exit_code, found.stdout) == (0, f"{waiting}\n")
    assert "--subject" in found.stderr
    assert "--subject" in run("consent", "search", "--help").stdout
    assert found.stdout.strip() in run("consent", "show", "--subject", found.stdout.strip()).stdout


def test_withdraw_by_address_from_stdin(person: str, people: People) -> None:
    """The same entry as by number, with its route; an unknown address is suppressed instead."""
    done = invoke("kim@firma.example\n", "consent", "withdraw", "--address", "--route", "crm")

    assert "ledger entry 3" in done.stdout
    assert people.reason(person) == "withdrawn"
    barred = invoke("new@firma.example\n", "consent", "withdraw", "--address", "--at", "2026-11-23").stdout
    assert barred.startswith("suppressed: nobody is known by this address")
    one = invoke("other@firma.example\n", "consent", "withdraw", "--address", "--purpose", NEWSLETTER).stdout
    assert one.startswith("nothing to withdraw")
    shown = json.loads(run("consent", "show", "1", "--json").stdout)
    assert shown["entries"][-1]["body"]["route"] == "crm"
    assert people.sign_up("new@firma.example").queued
    assert invoke("kim@firma.example\n", "consent", "withdraw", "1", "--address").exit_code == 64
    assert run("consent", "withdraw", "1", "--route", "telepathy").exit_code == 64


def test_aging_names_leads(person: str) -> None:
    """Counts and lead numbers, as of a time."""
    shown = json.loads(run("consent", "aging", "--json", "--at", "2028-01-01").stdout)

    assert (shown["warned"], shown["stale"], [one["lead"] for one in shown["consents"]]) == (1, 0, [1])
    assert "0 unused for 12 months, 1 stale" in run("consent", "aging", "--at", "2029-01-01").stdout


def test_renew_wants_a_reason_and_a_lead(person: str) -> None:
    """Who asked, and how; then the confirmation mail follows."""
    events = ("--purpose", OTHER)

    assert (
        run("consent", "renew", "1", "--asked", "phone 2026-11-20", *events).stdout == "a confirmation mail follows\n"
    )
    assert "nothing to do" in run("consent", "renew", "1", "--asked", "phone", *events).stdout
    assert [run("consent", "renew", *words).exit_code for words in (["1", "--asked", " "], ["2", "--asked", "x"])] == [
        64,
        1,
    ]


AHEAD = [
    ("consent", "withdraw", "1", "--at", "2100-01-01"),
    ("consent", "withdraw", "--address", "--at", "2100-01-01T00:00+01:00"),
    ("consent", "renew", "1", "--asked", "phone", "--at", "2100-01-01"),
    ("consent", "capture", "--event", "hm26", "--signed", "2100-01-01"),
    ("consent", "keys", "rotate", "--which", "index", "--at", "2100-01-01"),
    ("audit", "proof", "1", "--at", "2100-01-01"),
]


@pytest.mark.parametrize("words", AHEAD, ids=lambda words: "-".join(words[:3]))
def test_nothing_is_written_down_that_lies_ahead(person: str, people: People, words: tuple[str, ...]) -> None:
    """A withdrawal of tomorrow would outlast every later consent: usage error, and the ledger stays as it is."""
    done = invoke("kim@firma.example\n", *words)

    with people.store.read() as conn:
        assert (done.exit_code, ledger.head(conn).size) == (64, 3)
    assert "lies ahead" in done.stderr

"""Can every decision about a lead be told, in words, from the tables alone?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import typer
from sqlalchemy import insert, select, update
from typer.testing import CliRunner

from consent import identity, rights, suppression, withdrawal
from nurture.cli import sequence as cli
from nurture.delivery import withheld
from nurture.delivery.claiming import recover
from nurture.delivery.content.library import Library
from nurture.delivery.provider import Unknown
from nurture.leads import register, stages
from nurture.leads.stages import Stage
from nurture.sequences import explain as explaining
from nurture.sequences.decide import Reason
from nurture.sequences.definition import SequenceError
from nurture.sequences.tick import Tick
from nurture.sequences.wording import AFTERWARDS, CODES, LANGUAGES, NO_MAIL, OUTCOMES, REASONS, REMEDIES, WORDS, text
from nurture.settings import SENDER
from nurture.store.tables import (
    enrolment,
    handover,
    lead,
    lead_score,
    message,
    message_exception,
    points,
    send_batch,
    temperature_change,
)
from nurture.tracking.vocabulary import EventKind
from tests.consent.people import People

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nurture.delivery.provider import Outcome, Outgoing
    from nurture.sequences.explain import Explanation
    from tests.nurture.sequences.conftest import World

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def told(world: World, lead_id: int, **about: Any) -> Explanation:
    """Explain a lead."""
    with world.ws.store.read() as conn:
        return explaining.explain(conn, lead_id, **about)


def kinds(explanation: Explanation) -> list[str]:
    """Give the kinds of things told, in order."""
    return [entry.kind for entry in explanation.entries]


@pytest.mark.requirement(118)
def test_the_way_to_the_first_mail_is_told_in_order(world: World, at: datetime) -> None:
    """The way to the first mail is told in order."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    assert kinds(told(world, lead_id)) == ["consent", "stage", "enrolled", "decision", "decision", "mail"]


def test_a_lead_without_a_past_is_told_so(world: World, at: datetime) -> None:
    """A lead without a past is told so."""
    [lead_id] = world.known(1, at)
    shown = text(told(world, lead_id, at=at - timedelta(days=1)), language="en", zone=BERLIN)
    assert ("Nothing has happened yet." in shown, "in no sequence" in shown) == (True, True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_nobody_may_write_to_a_lead_is_told(world: World, at: datetime, language: str) -> None:
    """Imported without proof, never asked, not confirmed yet, withdrawn; and nothing of it for who agreed."""
    unproven, asked, left, agreed = world.known(4, at)
    with world.ws.store.write() as conn:
        conn.execute(update(lead).where(lead.c.id == asked).values(source="form"))
    assert reasons(world, unproven, asked) == ["no_proof", "no_consent"]
    world.consenting([left, agreed], at)
    with world.ws.store.write() as conn:
        subjects = dict(conn.execute(select(lead.c.id, lead.c.subject)).tuples().all())
        withdrawal.withdraw(
            conn, subject=subjects[left], controller="default", purposes=None, route="page", actor="subject", at=at
        )
    people = People(world.ws.store, world.ws.keyring, at)
    people.publish()
    people.sign_up("person1@example.org")
    assert reasons(world, unproven, asked, left, agreed) == ["no_proof", "unconfirmed", "withdrawn", None]
    place = LANGUAGES.index(language)
    assert f"\n  {NO_MAIL['no_proof'][place]}\n" in text(told(world, unproven), language=language, zone=BERLIN)
    assert ("gets no mail", "erhält keine E-Mails")[place] not in text(
        told(world, agreed), language=language, zone=BERLIN
    )


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("objection", "objection"),
        ("complaint", "complained"),
        ("complained", "complained"),
        ("blocked", "blocked"),
        ("bounced", "dead_mailbox"),
        ("hard_bounce", "dead_mailbox"),
        ("erased", "suppressed"),
    ],
)
def test_a_barred_address_is_the_reason_before_all_others(world: World, at: datetime, reason: str, said: str) -> None:
    """For who never proved a consent, and for who gave one: neither would get a mail."""
    unproven, agreed = world.known(2, at)
    world.consenting([agreed], at)
    with world.ws.store.write() as conn:
        for subject in world.subjects([unproven, agreed]):
            suppression.suppress_subject(conn, subject, reason, at=at)
    assert reasons(world, unproven, agreed) == [said, said]
    assert said in NO_MAIL


def reasons(world: World, *ids: int) -> list[str | None]:
    """Why each of these gets no mail."""
    return [told(world, lead_id).now["no_mail"] for lead_id in ids]


def test_an_unknown_lead_is_an_error(world: World) -> None:
    """An unknown lead is an error."""
    with pytest.raises(SequenceError, match="there is no lead 99"):
        told(world, 99)


def test_a_badly_written_step_is_an_error(world: World, at: datetime) -> None:
    """A badly written step is an error."""
    [lead_id] = world.known(1, at)
    with pytest.raises(SequenceError, match="write SEQUENCE/STEP"):
        told(world, lead_id, step="hello")


def test_a_step_is_told_alone(world: World, at: datetime, later: datetime) -> None:
    """A step is told alone."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.tick(later)
    steps = {entry.facts["step"] for entry in told(world, lead_id, step="welcome/proof").entries}
    assert steps == {"proof"}


def test_nothing_after_the_asked_time_is_told(world: World, at: datetime, later: datetime) -> None:
    """Nothing after the asked time is told."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    before = told(world, lead_id)
    world.tick(later)
    assert told(world, lead_id, at=at).entries == before.entries


def test_a_past_view_is_headed_by_how_the_lead_stood_then(world: World, at: datetime, later: datetime) -> None:
    """Stage, temperature and sequence by their histories; what has none is left out and named."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    with world.ws.store.write() as conn:
        stages.move(conn, {lead_id: Stage.CUSTOMER}, cause="sales:won", at=later)
        warm = {"lead_id": lead_id, "temperature": "warm", "at": later, "score": 30.0, "rules_version": 1}
        conn.execute(insert(temperature_change).values(**warm))
        conn.execute(update(enrolment).values(state="exited", exit_reason="customer", left_at=later))
    between = text(told(world, lead_id, at=later - timedelta(seconds=1)), language="en", zone=BERLIN).splitlines()
    after = text(told(world, lead_id, at=later), language="en", zone=BERLIN).splitlines()
    assert between[1].endswith(": confirmed, cold")
    assert between[2] == "  in welcome"
    assert after[1].endswith(": customer, warm")
    assert after[2] == "  in no sequence"
    assert between[3] == after[3] == "  " + WORDS["not_kept"][0]


def test_before_the_import_there_was_no_lead(world: World, at: datetime) -> None:
    """And the plain data claims nothing of today for then."""
    [lead_id] = world.people(1, at)
    before = told(world, lead_id, at=at - timedelta(days=1))
    assert "no lead yet" in text(before, language="en", zone=BERLIN)
    assert {key for key, value in before.now.items() if value} == set()


def test_a_stored_score_says_of_when_it_is(world: World, at: datetime) -> None:
    """Points fade: `score show` reckons for now and may differ."""
    [lead_id] = world.people(1, at)
    row = {
        "lead_id": lead_id, "score": 12.0, "engagement": 12.0, "fit": 0.0, "temperature": "cold",
        "temperature_since": at, "rules_version": 1, "scored_at": NIGHT,
    }  # fmt: skip
    with world.ws.store.write() as conn:
        conn.execute(insert(lead_score).values(**row))
    shown = text(told(world, lead_id), language="en", zone=BERLIN)
    assert "cold, score 12 as reckoned on 2026-11-23 23:00\n" in shown


def test_a_mail_put_off_says_until_when_and_why(world: World, at: datetime) -> None:
    """A mail put off says until when and why."""
    [lead_id] = world.people(1, at)
    world.tick(NIGHT)
    shown = text(told(world, lead_id), language="en", zone=BERLIN)
    assert "welcome/hello: put off: the send window was closed; again at 2026-11-24 08:30" in shown
    assert "would have changed it: a time inside the window" in shown


def test_a_withheld_mail_says_what_would_have_changed_it(world: World, at: datetime) -> None:
    """A withheld mail says what would have changed it."""
    [lead_id] = world.people(1, at)
    world.enrol(at)
    [subject] = world.subjects([lead_id])
    with world.ws.store.write() as conn:
        suppression.suppress_subject(conn, subject, "bounced", at=at)
    world.plan(at)
    [decision] = [entry for entry in told(world, lead_id).as_dict()["timeline"] if entry["kind"] == "decision"]
    assert (decision["outcome"], decision["because"]) == ("withheld", "the address is on the suppression list")
    assert decision["would_have_changed_it"].startswith("removal from the suppression list")


def test_german_readers_get_german(world: World, at: datetime) -> None:
    """German readers get german."""
    [lead_id] = world.people(1, at)
    world.tick(NIGHT)
    shown = text(told(world, lead_id), language="de", zone=BERLIN)
    assert "welcome/hello: verschoben: das Versandfenster war geschlossen; erneut am 2026-11-24 08:30" in shown


def test_every_reason_has_words_and_a_remedy() -> None:
    """Every reason has words and a remedy."""
    assert set(Reason) <= set(REASONS)
    assert set(Reason) <= set(REMEDIES)
    assert all(len(pair) == len(LANGUAGES) for words in (REASONS, REMEDIES, OUTCOMES, WORDS) for pair in words.values())


def hold_back(world: World, reason: str, at: datetime) -> None:
    """Withhold the one planned mail at the last moment."""
    with world.ws.store.write() as conn:
        [mail] = conn.execute(select(message.c.id)).scalars()
        gates = (withheld.Gate("frequency", passed=False),)
        withheld.withhold(conn, [withheld.Withheld(mail, "suppressed", reason, gates)], at=at)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", sorted(AFTERWARDS))
def test_a_mail_lost_at_the_last_moment_is_no_secret(world: World, at: datetime, reason: str, language: str) -> None:
    """Nobody looks for a mail that will not come: the explanation says that it is left out, and what is next."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    hold_back(world, reason, at)
    shown = text(told(world, lead_id), language=language, zone=BERLIN)
    assert AFTERWARDS[reason][LANGUAGES.index(language)] in shown


def test_what_follows_stands_in_the_plain_data_too(world: World, at: datetime) -> None:
    """Programs read the same as people."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    hold_back(world, "frequency_cap", at)
    decisions = [entry for entry in told(world, lead_id).as_dict()["timeline"] if entry["kind"] == "decision"]
    [last] = [entry for entry in decisions if entry["phase"] == "intent"]
    assert last["because"] == "another mail took the last place of this period while this one waited"
    assert last["what_follows"].startswith("the mail is left out and not sent later")
    assert all(entry["what_follows"] is None for entry in decisions if entry is not last)


def test_a_mail_lost_to_the_cap_is_not_planned_again(world: World, at: datetime) -> None:
    """What the explanation says is so: the enrolment stands at its next step, and no second mail comes."""
    world.people(1, at)
    world.tick(at)
    hold_back(world, "frequency_cap", at)
    world.tick(at + timedelta(hours=1))
    assert [row.step for row in world.rows(enrolment)] == ["proof"]
    assert len(world.rows(message)) == 1


def test_a_mail_that_missed_its_window_is_no_secret(world: World) -> None:
    """What an outage cost is told with its reason, what would have helped, and what comes next."""
    friday = datetime(2026, 11, 27, 16, 25, tzinfo=UTC)
    [lead_id] = world.people(1, friday)
    world.tick(friday)
    with world.ws.store.write() as conn:
        recover(conn, at=friday + timedelta(hours=9))
    last = [one for one in told(world, lead_id).as_dict()["timeline"] if one["kind"] == "decision"][-1]
    assert (last["step"], last["outcome"], last["reason"]) == ("hello", "withheld", "expired")
    assert last["would_have_changed_it"].startswith("a provider that answers")
    assert last["what_follows"].startswith("the mail is left out")


class Silent:
    """A provider that never answers."""

    name = "outbox"
    batch_limit = 500

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Leave everybody in the dark."""
        return [Unknown(f"timeout of {len(batch)}")] * len(batch)


def test_a_doubt_about_a_mail_is_told(world: World, at: datetime) -> None:
    """A doubt about a mail is told."""
    [lead_id] = world.people(1, at)
    settings = world.ws.settings
    library = Library.load(settings.templates, zone=settings.zone)
    Tick(world.ws, world.definitions, library, Silent(), sequence=None, at=at).run()
    mail = next(entry for entry in told(world, lead_id).entries if entry.kind == "mail")
    assert (mail.facts["state"], mail.facts["authorisation"] is not None) == ("in_doubt", True)


def test_the_number_of_a_mail_is_told_for_its_proof(world: World, at: datetime) -> None:
    """It is what 'nurture audit proof --message' takes."""
    [lead_id] = world.people(1, at)
    library = Library.load(world.ws.settings.templates, zone=world.ws.settings.zone)
    Tick(world.ws, world.definitions, library, Silent(), sequence=None, at=at).run()
    [number] = [row.public_id for row in world.rows(message)]
    for language, said in (("en", f"mail number {number} "), ("de", f"Nummer der E-Mail: {number} ")):
        assert said in text(told(world, lead_id), language=language, zone=BERLIN)


def test_the_fate_of_a_message_goes_before_its_batch(world: World, at: datetime) -> None:
    """The fate of a message goes before its batch."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    with world.ws.store.write() as conn:
        own = {"message_id": world.rows(message)[0].id, "state": "expired", "reason": "expired", "at": at}
        conn.execute(insert(message_exception).values(**own))
    shown = text(told(world, lead_id), language="en", zone=BERLIN)
    assert (
        "mail welcome/hello/cold/de: expired: the mail could not be handed over before its send window closed" in shown
    )


def test_events_and_points_bear_verdict_and_cause(world: World, at: datetime) -> None:
    """Events and points bear verdict and cause."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.happen(lead_id, "clicked", at + timedelta(hours=1), step="hello", verdict="machine")
    row = {
        "lead_id": lead_id, "rule": "click", "axis": "engagement", "points": 10, "at": at + timedelta(hours=1),
        "event_id": 1, "rules_version": 7, "reason": "clicked a link",
    }  # fmt: skip
    with world.ws.store.write() as conn:
        conn.execute(insert(points).values(**row))
    shown = text(told(world, lead_id), language="en", zone=BERLIN)
    assert "clicked, judged machine (test): welcome/hello" in shown
    assert "+10 points (engagement): clicked a link" in shown


def test_signals_and_handovers_are_told(world: World, at: datetime) -> None:
    """Signals and handovers are told."""
    [lead_id] = world.people(1, at)
    world.happen(lead_id, "demo_requested", at, signalled=True)
    row = {
        "public_id": "h" * 26, "lead_id": lead_id, "epoch": 1, "state": "returned", "reason": "signal:demo_requested",
        "policy_version": 1, "created_at": at, "deadline_at": at, "delivered_at": at, "settled_at": at,
        "answer": "no_budget", "attempts": 1,
    }  # fmt: skip
    with world.ws.store.write() as conn:
        conn.execute(insert(handover).values(**row))
    assert kinds(told(world, lead_id))[-5:] == ["event", "signal", "handover", "handover", "handover"]


def test_an_explanation_names_no_person(world: World, at: datetime) -> None:
    """An explanation names no person."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    shown = json.dumps(told(world, lead_id).as_dict(), default=str) + text(
        told(world, lead_id), language="de", zone=BERLIN
    )
    assert "@" not in shown


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def call(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The verbs, on the world's database and with the shipped templates."""
    monkeypatch.setenv("NURTURE_HOME", str(world.ws.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", database_url)
    app = typer.Typer(pretty_exceptions_enable=False)
    cli.register(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_dry_run_counts_and_writes_nothing(world: World, at: datetime, call: Any) -> None:
    """A dry run counts and writes nothing."""
    world.people(3, at)
    result = call("run", "--dry-run", "--json", "--at", at.isoformat())
    counts = json.loads(result.stdout)
    assert (counts["enrolled"], counts["planned"]["planned"]) == (3, 3)
    assert world.rows(send_batch) == []


def test_a_run_sends_and_a_second_sends_nothing(world: World, at: datetime, call: Any) -> None:
    """A run sends and a second sends nothing."""
    world.people(3, at)
    runs = [json.loads(call("run", "--json", "--at", at.isoformat()).stdout) for _ in range(2)]
    assert [run["sent"]["accepted"] for run in runs] == [3, 0]


def test_an_unknown_sequence_is_wrong_usage(call: Any) -> None:
    """An unknown sequence is wrong usage."""
    result = call("run", "spring")
    assert (result.exit_code, "there is no sequence 'spring'" in result.stderr) == (64, True)


def test_explain_speaks_json_too(world: World, at: datetime, call: Any) -> None:
    """Explain speaks json too."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    assert json.loads(call("explain", str(lead_id), "--json").stdout)["lead"] == lead_id


@pytest.mark.parametrize(("language", "words"), [("en", "Restricted since"), ("de", "Eingeschränkt seit")])
def test_explain_says_up_front_that_a_person_is_restricted(
    world: World, at: datetime, call: Any, language: str, words: str
) -> None:
    """Before anything else: it is why nothing else counts."""
    [lead_id] = world.people(1, at)
    before = call("explain", str(lead_id), "--language", language).stdout
    with world.ws.store.write() as conn:
        subject = register.subjects_of(conn, [lead_id])[lead_id]
        rights.restrict(conn, subject, reason="request", actor="operator:x", at=at)
    after = call("explain", str(lead_id), "--language", language).stdout
    assert (words in before, after.splitlines()[1].startswith(words)) == (False, True)


@pytest.mark.parametrize(("language", "words"), [("en", "Erased on"), ("de", "Gelöscht am")])
def test_explain_puts_an_erased_lead_in_no_stage(
    world: World, at: datetime, call: Any, language: str, words: str
) -> None:
    """Its rows outlive the person, where they stood does not."""
    [lead_id] = world.people(1, at)
    with world.ws.store.write() as conn:
        identity.erase(conn, register.subjects_of(conn, [lead_id])[lead_id], at=at)
    lines = call("explain", str(lead_id), "--language", language).stdout.splitlines()
    assert (lines[1].startswith(words), lines[2]) == (True, "")


def test_the_shipped_definitions_have_no_findings(call: Any) -> None:
    """The shipped definitions have no findings."""
    result = call("check")
    assert (result.exit_code, result.stdout) == (0, "2 sequences, no findings\n")


@pytest.mark.parametrize(
    ("provider", "privacy_url", "reminded"),
    [("smtp", "", True), ("smtp", "/datenschutz", False), ("outbox", "", False)],
)
def test_check_reminds_of_the_privacy_notice(
    call: Any, monkeypatch: pytest.MonkeyPatch, provider: str, privacy_url: str, *, reminded: bool
) -> None:
    """Once mails really leave; it is no finding."""
    monkeypatch.setenv("NURTURE_PROVIDER", provider)
    monkeypatch.setenv("NURTURE_SMTP_HOST", "mail.firma.example")
    monkeypatch.setenv("NURTURE_PRIVACY_URL", privacy_url)
    for name in SENDER:
        monkeypatch.setenv(f"NURTURE_{name.upper()}", "post@firma.example")
    result = call("check")
    assert (result.exit_code, "privacy_url" in result.stderr) == (0, reminded)


def test_a_wrong_definition_fails_the_check(world: World, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong definition fails the check."""
    world.write("sequence: other\n")
    monkeypatch.setenv("NURTURE_PROJECT", str(world.folder))
    result = call("check")
    assert (result.exit_code, "templates/other/sequence.yaml:1: version: is missing" in result.stdout) == (4, True)


def test_what_happened_has_a_german_word() -> None:
    """Whoever reads German reads no code: each kind of event and each stage is said."""
    assert {*map(str, EventKind), *map(str, Stage)} - CODES.keys() == set()

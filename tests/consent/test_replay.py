"""The replay finds what a broken or bypassed gate would have let through (I1)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent import identity, ledger, opt_in, replay, tokens
from consent.addresses import Address
from tests.consent.people import NEWSLETTER, OTHER, TRACKING, People

if TYPE_CHECKING:
    from datetime import datetime


def forge(people: People, subject: str, consent: int, tracking: int | None = None, at: datetime | None = None) -> None:
    """Append an authorisation past the gate, as a faulty program would."""
    body: dict[str, Any] = {"controller": "default", "channel": "email", "purpose": NEWSLETTER}
    body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [["m" * 26, subject, consent, tracking]]}
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("send.authorised", body, at or people.at)])


def faults(people: People) -> list[replay.Fault]:
    """What the replay finds."""
    with people.store.read() as conn:
        found = replay.replay(conn)
    assert found.ok is (found.breaches == 0)
    return [one.fault for one in found.listed]


def test_permit_without_consent_is_found(people: People) -> None:
    """A request alone carries nothing; neither does a stranger's consent."""
    people.sign_up()
    forge(people, "x" * 26, 0)

    assert faults(people) == [replay.Fault.NO_CONSENT]


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
def test_permit_after_withdrawal_is_found(people: People, purposes: list[str] | None) -> None:
    """I1: a withdrawal between consent and authorisation, of the purpose or of all."""
    subject = people.confirmed()
    people.leave(subject, purposes)
    forge(people, subject, 1)

    assert faults(people) == [replay.Fault.NO_CONSENT]


def test_permit_after_erasure_is_found(people: People) -> None:
    """I1: erasure ends every consent."""
    subject = people.confirmed()
    with people.store.write() as conn:
        identity.erase(conn, subject, at=people.at)
    forge(people, subject, 1)

    assert faults(people) == [replay.Fault.NO_CONSENT]


def test_permit_after_lapse_is_found(people: People) -> None:
    """I1: a lapsed or declined request never carries a message."""
    people.sign_up()
    token = people.link(people.sign_up("pat@firma.example"))
    with people.store.write() as conn:
        subjects = [entry.subject or "" for entry in ledger.read(conn)]
        opt_in.decline(conn, token, at=people.at)
        opt_in.lapse(conn, at=people.at + opt_in.TOKEN_LIFE, limit=9)
    for number, subject in enumerate(subjects):
        forge(people, subject, number)

    assert faults(people) == [replay.Fault.NO_CONSENT] * 2


def confirm(people: People, request: int, at: datetime | None = None, subject: str = "", **changed: Any) -> None:
    """Append a confirmation past the rules of double opt-in, as a faulty program would."""
    with people.store.write() as conn:
        asked = next(one for one in ledger.read(conn) if one.type == "consent.requested")
        body = {**asked.body, "request": request, "lifted": 0} | changed
        body = {name: body[name] for name in ledger.FIELDS[ledger.EntryType.CONFIRMED]}
        ledger.append(conn, [ledger.Entry("consent.confirmed", body, at or people.at, subject or asked.subject)])


UNASKED: list[tuple[str, dict[str, Any]]] = [
    ("no such request", {"request": 7}),
    ("too late, half-open", {"request": 0, "late": opt_in.TOKEN_LIFE}),
    ("another person's", {"request": 0, "subject": "x" * 26}),
    ("another brand's", {"request": 0, "controller": "other"}),
    ("more than was asked", {"request": 0, "more": OTHER}),
]


@pytest.mark.parametrize(("what", "change"), UNASKED)
def test_a_confirmation_needs_its_open_request(people: People, what: str, change: dict[str, Any]) -> None:
    """Double opt-in is two steps: a confirmation that answers no open request of that person gives nothing."""
    people.sign_up()
    with people.store.read() as conn:
        [asked] = ledger.read(conn)
    changed = dict(change)
    at = people.at + changed.pop("late", timedelta())
    if "more" in changed:
        changed["purposes"] = [*asked.body["purposes"], {**asked.body["purposes"][0], "purpose": changed.pop("more")}]
    confirm(people, changed.pop("request"), at, **changed)
    forge(people, change.get("subject", asked.subject) or "", 1, at=at)

    assert faults(people) == [replay.Fault.NO_CONSENT], what


def test_a_confirmation_in_time_carries(people: People) -> None:
    """The control of the test above."""
    people.sign_up()
    with people.store.read() as conn:
        [asked] = ledger.read(conn)
    confirm(people, 0, people.at + opt_in.TOKEN_LIFE - timedelta(microseconds=1))
    forge(people, asked.subject or "", 1, at=people.at + opt_in.TOKEN_LIFE)

    assert faults(people) == []


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
def test_t07_a_voided_request_cannot_be_confirmed(people: People, purposes: list[str] | None) -> None:
    """T07: who left before pressing the button is not brought back by it, also not in the ledger."""
    people.sign_up()
    with people.store.read() as conn:
        [asked] = ledger.read(conn)
    people.leave(asked.subject or "", purposes)
    confirm(people, 0)
    forge(people, asked.subject or "", 2)

    assert faults(people) == [replay.Fault.NO_CONSENT]


def test_a_request_is_confirmed_once(people: People) -> None:
    """A second press after a withdrawal finds its request settled."""
    subject = people.confirmed()
    people.leave(subject)
    confirm(people, 0)
    forge(people, subject, 3)

    assert faults(people) == [replay.Fault.NO_CONSENT]


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
@pytest.mark.parametrize("kind", ["consent.imported", "basis.recorded"])
def test_only_a_person_brings_a_withdrawn_consent_back(people: People, purposes: list[str] | None, kind: str) -> None:
    """An import or an operator's exception after a withdrawal carries nothing."""
    subject = people.confirmed()
    people.leave(subject, purposes)
    with people.store.write() as conn:
        given = next(one for one in ledger.read(conn) if one.type == "consent.confirmed")
        body = {**given.body, "confirmed": "2026-11-23T08:00:00.000000Z"}
        body = {name: body[name] for name in ledger.FIELDS[ledger.EntryType(kind)]}
        ledger.append(conn, [ledger.Entry(kind, body, people.at, subject)])
    forge(people, subject, 3)

    assert faults(people) == [replay.Fault.NO_CONSENT]


def test_a_lapse_that_names_a_given_purpose_ends_it(people: People) -> None:
    """Ours never does; a ledger that says so is taken at its word, to the safe side."""
    subject = people.confirmed()
    about = {"controller": "default", "channel": "email", "purposes": [NEWSLETTER], "request": 0, "reason": "lapsed"}
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("consent.lapsed", about, people.at, subject)])
    forge(people, subject, 1)

    assert faults(people) == [replay.Fault.NO_CONSENT]


def test_an_import_after_a_lapse_carries(people: People) -> None:
    """Nobody said no: a request that was never confirmed bars no proven consent from elsewhere."""
    people.sign_up()
    with people.store.write() as conn:
        [asked] = list(ledger.read(conn))
        about = {name: asked.body[name] for name in ("controller", "channel")}
        lapsed = {**about, "purposes": [NEWSLETTER], "request": 0, "reason": "lapsed"}
        came = {**about, "purposes": asked.body["purposes"], "commit": "00" * 32}
        came["confirmed"] = "2026-11-23T08:00:00.000000Z"
        ledger.append(
            conn,
            [
                ledger.Entry("consent.lapsed", lapsed, people.at, asked.subject),
                ledger.Entry("consent.imported", came, people.at, asked.subject),
            ],
        )
    forge(people, asked.subject or "", 2)

    assert faults(people) == []


def test_a_merge_ends_nothing_by_itself(people: People) -> None:
    """What was said of either address still stands; what must end is ended by entries of its own."""
    subject = people.confirmed()
    with people.store.write() as conn:
        body = {"into": "y" * 26, "reason": "duplicate", "actor": "operator:kim"}
        ledger.append(conn, [ledger.Entry("subject.merged", body, people.at, subject)])
    people.ask(subject)

    assert faults(people) == []


def test_permit_on_wrong_entry_is_found(people: People) -> None:
    """An authorisation must name the consent that is active, also for tracking."""
    subject = people.confirmed()
    forge(people, subject, 0, tracking=1)

    assert faults(people) == [replay.Fault.OTHER_CONSENT, replay.Fault.NO_TRACKING]


def test_permit_on_stale_consent_is_found(people: People) -> None:
    """24 months without a send; the use itself counts."""
    subject = people.confirmed()
    later = people.at.replace(year=people.at.year + 2)
    forge(people, subject, 1, at=later)
    forge(people, subject, 1, at=later)

    assert faults(people) == [replay.Fault.STALE]


def test_leaving_another_topic_carries_on(people: People) -> None:
    """A withdrawal of B says nothing about A."""
    subject = people.confirmed(purposes=[NEWSLETTER, OTHER])
    people.leave(subject, [OTHER])
    people.ask(subject)

    assert faults(people) == []


def test_long_lists_are_cut(people: People) -> None:
    """All breaches are counted, the first hundred listed."""
    body: dict[str, Any] = {"controller": "default", "channel": "email", "purpose": NEWSLETTER}
    body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [["m" * 26, "x" * 26, 0, None]] * 120}
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("send.authorised", body, people.at)])
        found = replay.replay(conn)

    assert (found.ok, found.breaches, len(found.listed), found.authorisations) == (False, 120, 100, 120)


class Story:
    """One person, one event a day, and beside it the simplest model of what should hold."""

    def __init__(self, people: People) -> None:
        """Begin with nobody."""
        self.people, self.when = people, people.at
        self.address = f"{tokens.random_id()}@firma.example"
        self.subject = ""
        self.links: list[str] = []
        self.open: set[str] = set()
        self.given = self.tracked = False

    def request(self, *more: str) -> None:
        """Sign up."""
        made = self.people.sign_up(self.address, [NEWSLETTER, *more], self.when)
        if made.queued:
            self.links.append(self.people.link(made))
            self.open.add(self.links[-1])
            with self.people.store.read() as conn:
                self.subject = identity.find(conn, self.people.keyring, Address.of(self.address)) or ""

    def track(self) -> None:
        """Sign up with tracking."""
        self.request(TRACKING)

    def press(self, which: int = -1) -> None:
        """Press the button in the newest mail."""
        for link in self.links[which:][:1]:
            done = self.people.press(link, self.when)
            if isinstance(done, opt_in.Confirmed):
                assert link in self.open
                self.open.discard(link)
                self.given, self.tracked = True, self.tracked or TRACKING in done.purposes

    def press_old(self) -> None:
        """Press the button in the oldest mail."""
        self.press(0)

    def decline(self) -> None:
        """Say that it was somebody else."""
        for link in self.links[-1:]:
            with self.people.store.write() as conn:
                opt_in.decline(conn, link, at=self.when)
            self.open.discard(link)

    def leave(self, purposes: tuple[str, ...] | None = (NEWSLETTER,)) -> None:
        """Leave the newsletter."""
        if self.subject:
            self.people.leave(self.subject, purposes, self.when)
            self.tracked = False
            if purposes != (TRACKING,):
                self.given, self.open = False, set()

    def leave_all(self) -> None:
        """Leave everything."""
        self.leave(None)

    def leave_tracking(self) -> None:
        """Leave tracking only."""
        self.leave((TRACKING,))

    def lapse(self) -> None:
        """Let the nightly clean-up run."""
        with self.people.store.write() as conn:
            opt_in.lapse(conn, at=self.when, limit=100)

    def erase(self) -> None:
        """Erase the person."""
        if self.subject:
            with self.people.store.write() as conn:
                identity.erase(conn, self.subject, at=self.when)
            self.given, self.tracked, self.open = False, False, set()

    def ask(self) -> None:
        """Ask the gate: it must answer as the model does."""
        answer = self.people.ask(self.subject, at=self.when)
        assert getattr(answer, "tracking", None) is (self.tracked if self.given else None)


EVENTS = (
    "request", "track", "press", "press_old", "decline", "leave", "leave_all", "leave_tracking", "lapse", "erase",
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(EVENTS), max_size=14))
def test_no_order_of_events_permits_after_an_end(people: People, events: list[str]) -> None:
    """Whatever happens in whatever order: a permit only while consent stands; the replay agrees."""
    story = Story(people)
    for event in events:
        getattr(story, event)()
        story.ask()
        story.when += timedelta(days=1)

    with people.store.read() as conn:
        assert replay.replay(conn).ok
        assert ledger.verify(conn).ok

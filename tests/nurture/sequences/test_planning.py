"""Does every lead get what is due to it, once, and does the decision say why?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.event import listens_for

from nurture.delivery import switch
from nurture.delivery.claiming import claim
from nurture.sequences.facts import DUE, due_values
from nurture.store.tables import decision, enrolment, lead, message, send_batch, send_slot, verdict
from tests.nurture.sequences.conftest import SHORT, World

HEAD = SHORT[: SHORT.index("steps:")]
NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


@pytest.mark.requirement(84)
def test_the_first_mail_is_planned_at_once(world: World, at: datetime) -> None:
    """The first mail is planned at once."""
    world.people(1, at)
    counts = world.tick(at)
    assert (counts.due, counts.planned, counts.waited, counts.more) == (1, 1, 1, False)


def test_a_wait_puts_the_next_step_off(world: World, at: datetime) -> None:
    """A wait puts the next step off."""
    world.people(1, at)
    world.tick(at)
    [row] = world.rows(enrolment)
    assert (row.state, row.step, row.due_at) == ("active", "proof", at + timedelta(days=3))


def test_the_sequence_ends_after_its_last_step(world: World, at: datetime, later: datetime) -> None:
    """The sequence ends after its last step."""
    world.people(1, at)
    world.tick(at)
    world.tick(later)
    assert (world.place(), [row.step for row in world.rows(message)]) == (("finished", "", None), ["hello", "proof"])


def test_planning_twice_changes_nothing(world: World, at: datetime) -> None:
    """Planning twice changes nothing."""
    world.people(3, at)
    world.tick(at)
    again = world.tick(at)
    assert (again.due, len(world.rows(message)), len(world.rows(decision))) == (0, 3, 6)


def test_a_repeated_step_makes_no_second_message(world: World, at: datetime) -> None:
    """A restored enrolment does not bring its mail back."""
    world.people(1, at)
    world.tick(at)
    with world.ws.store.write() as conn:
        conn.execute(update(enrolment).values(step="hello", due_at=at))
    world.plan(at)
    assert len(world.rows(message)) == 1


def test_every_gate_stands_in_the_decision(world: World, at: datetime) -> None:
    """Every gate stands in the decision."""
    world.people(1, at)
    world.tick(at)
    gates = world.gates()
    assert [gate["gate"] for gate in gates] == [
        "stage", "goal", "consent", "late", "kill_switch", "window", "frequency", "template",
    ]  # fmt: skip
    assert all(gate["passed"] for gate in gates)


def test_a_decision_names_the_versions_it_used(world: World, at: datetime) -> None:
    """A decision names the versions it used."""
    [lead_id] = world.people(1, at)
    world.warm(lead_id, "warm", at)
    world.tick(at)
    with world.ws.store.read() as conn:
        asked = select(verdict.c.versions).join(decision, decision.c.verdict_id == verdict.c.id)
        versions = conn.execute(asked.order_by(decision.c.id)).scalars().all()[0]
    assert (versions["sequence"], versions["frequency"], versions["scoring"], len(versions["template"])) == (
        1,
        1,
        7,
        64,
    )


@pytest.mark.requirement(35)
@pytest.mark.requirement(39)
@pytest.mark.requirement(86)
def test_the_temperature_chooses_the_text(world: World, at: datetime) -> None:
    """The same step has three texts; a lead without a score is cold."""
    _, warm, hot = world.people(3, at)
    world.warm(warm, "warm", at)
    world.warm(hot, "hot", at)
    world.tick(at)
    assert [row.temperature for row in world.rows(message)] == ["cold", "hot", "warm"]


def test_mails_of_one_text_share_a_batch(world: World, at: datetime) -> None:
    """Mails of one text share a batch."""
    ids = world.people(5, at)
    world.warm(ids[0], "hot", at)
    world.tick(at)
    assert sorted(row._mapping["count"] for row in world.rows(send_batch)) == [1, 4]  # noqa: SLF001  SQLAlchemy's name


def test_tracking_needs_its_own_consent(world: World, at: datetime) -> None:
    """Tracking needs its own consent."""
    world.people(1, at)
    world.people(1, at, start=1, tracked=True)
    world.tick(at)
    assert [row.tracked for row in world.rows(message)] == [False, True]


@pytest.mark.requirement(85)
def test_outside_the_window_the_mail_waits(world: World, at: datetime) -> None:
    """Outside the window the mail waits."""
    world.people(1, at)
    world.tick(NIGHT)
    [row] = world.rows(decision)
    assert (row.outcome, row.reason, row.next_at) == (
        "deferred", "window", datetime(2026, 11, 24, 7, 30, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.requirement(85)
def test_no_mail_leaves_after_its_window(world: World) -> None:
    """After an outage a mail planned on Friday at 17:25 stays: nobody gets it on Saturday night."""
    friday = datetime(2026, 11, 27, 16, 25, tzinfo=UTC)
    world.people(1, friday)
    world.tick(friday)
    with world.ws.store.write() as conn:
        assert claim(conn, owner="w", kind="marketing", at=friday + timedelta(hours=9, minutes=35)) is None
        assert claim(conn, owner="w", kind="marketing", at=friday + timedelta(minutes=4)) is not None


def test_each_zone_has_its_own_end_of_the_window(world: World) -> None:
    """Leads west of Berlin lose no minute, and those in Berlin gain none."""
    friday = datetime(2026, 11, 27, 16, 25, tzinfo=UTC)
    world.people(2, friday)
    world.people(1, friday, start=2, zone="Europe/London")
    world.tick(friday)
    ends = Counter({row.not_after: row.count for row in world.rows(send_batch)})
    assert ends == {friday + timedelta(minutes=5): 2, friday + timedelta(minutes=65): 1}


def test_a_mail_that_waited_is_not_late(world: World, at: datetime) -> None:
    """A mail that waited is not late."""
    world.people(1, at)
    friday_night = datetime(2026, 11, 27, 22, 0, tzinfo=UTC)
    world.tick(friday_night)
    assert world.tick(datetime(2026, 11, 30, 8, 0, tzinfo=UTC)).planned == 1


@pytest.mark.requirement(85)
def test_a_temperature_may_have_its_own_window(world: World, at: datetime) -> None:
    """A temperature may have its own window."""
    world.write(SHORT.replace("id: hello", 'id: hello, windows: {hot: {from: "20:00", to: "23:30"}}'))
    _, hot = world.people(2, at)
    world.warm(hot, "hot", at)
    world.tick(at)
    first = {row.lead_id == hot: row.outcome for row in world.rows(decision) if row.step == "hello"}
    assert first == {False: "planned", True: "deferred"}


def test_the_cap_puts_mails_off_to_next_week(world: World, at: datetime) -> None:
    """Two a week: of three mails in a row the third waits until Monday's opening."""
    steps = "".join(f"  - {{kind: mail, id: m{n}}}\n" for n in range(3))
    world.write(HEAD + "steps:\n" + steps)
    world.people(1, at)
    counts = world.tick(at)
    assert (counts.planned, dict(counts.deferred)) == (2, {"frequency": 1})
    assert world.rows(enrolment)[0].due_at == datetime(2026, 11, 30, 7, 30, tzinfo=UTC)


def test_the_cap_counts_across_sequences(world: World, at: datetime) -> None:
    """The cap counts across sequences."""
    for name in ("other", "third"):
        world.write(SHORT.replace("sequence: welcome", f"sequence: {name}"))
    world.people(1, at)
    counts = world.tick(at)
    assert (counts.planned, dict(counts.deferred)) == (2, {"frequency": 1})


def test_an_earlier_mail_sent_this_week_counts(world: World, at: datetime) -> None:
    """An earlier mail sent this week counts."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    [row] = world.rows(message)
    with world.ws.store.write() as conn:
        conn.execute(update(message).values(planned_at=at - timedelta(days=7)))
        conn.execute(send_slot.insert().values(lead_id=lead_id, window="2026-W48", slot=1, message_id=row.id))
        conn.execute(update(enrolment).values(due_at=at))
    assert "1 of 2" in str(_gates_after(world, at))


def _gates_after(world: World, at: datetime) -> list[dict[str, object]]:
    world.plan(at)
    return world.gates(-1)


def test_a_suppressed_batch_counts_against_no_cap(world: World, at: datetime) -> None:
    """A suppressed batch counts against no cap."""
    world.people(1, at)
    world.tick(at)
    with world.ws.store.write() as conn:
        conn.execute(update(send_batch).values(state="claimed", attempt=1, lease_owner="t", lease_until=at))
        conn.execute(update(send_batch).values(state="suppressed"))
        conn.execute(update(enrolment).values(due_at=at))
    assert "0 of 2" in str(_gates_after(world, at))


@pytest.mark.requirement(95)
@pytest.mark.requirement(116)
def test_without_consent_nothing_is_planned(world: World, at: datetime) -> None:
    """Even an enrolment that should not exist leads to no mail."""
    world.people(1, at)
    world.enrol(at)
    [stranger] = world.known(1, at, start=1)
    with world.ws.store.write() as conn:
        conn.execute(update(enrolment).values(lead_id=stranger))
    assert dict(world.plan(at).withheld) == {"no_consent": 1}
    assert (world.place(), world.rows(message)) == (("exited", "hello", "no_consent"), [])


@pytest.mark.requirement(116)
def test_consent_to_something_else_is_none(world: World, at: datetime) -> None:
    """Consent to something else is none."""
    world.write(SHORT.replace("purpose: newsletter.product", "purpose: newsletter.events"))
    world.people(1, at)
    assert world.enrol(at) == 0


@pytest.mark.requirement(117)
def test_being_hot_does_not_widen_consent(world: World, at: datetime) -> None:
    """Being hot does not widen consent."""
    [lead_id] = world.people(1, at)
    world.enrol(at)
    world.warm(lead_id, "hot", at)
    world.withdraw(lead_id, at)
    assert dict(world.plan(at).withheld) == {"withdrawn": 1}


def test_a_late_mail_is_skipped(world: World, at: datetime) -> None:
    """After three days of standstill the first mail is left out and the next one is not hurried."""
    world.people(1, at)
    world.enrol(at)
    late = at + timedelta(days=3)
    world.plan(late)
    assert world.decided() == [("hello", "withheld", "late"), ("rest", "waited", "wait")]
    assert world.rows(enrolment)[0].due_at == late + timedelta(days=3)


def test_a_late_mail_is_sent_where_the_file_says_so(world: World, at: datetime) -> None:
    """A late mail is sent where the file says so."""
    world.write(SHORT.replace("then: skip", "then: send"))
    world.people(1, at)
    world.enrol(at)
    assert world.plan(at + timedelta(days=3)).planned == 1


@pytest.mark.requirement(34)
def test_ticks_add_no_drift_over_a_year(world: World, at: datetime) -> None:
    """A tick some minutes after each due time leaves the twentieth mail at the minute of the first."""
    steps = "".join(f"  - {{kind: mail, id: m{n}}}\n  - {{kind: wait, id: w{n}, for: 21d}}\n" for n in range(20))
    world.write(HEAD.replace("holidays: DE", "holidays: none") + "steps:\n" + steps)
    world.people(1, at)
    world.enrol(at)
    for _ in range(20):
        world.plan(world.rows(enrolment)[0].due_at + timedelta(minutes=7))
    times = {row.planned_at.astimezone(world.ws.settings.tz).time() for row in world.rows(message)}
    assert (len(world.rows(message)), {str(time) for time in times}) == (20, {"09:07:00"})


def test_the_kill_switch_puts_off(world: World, at: datetime) -> None:
    """The kill switch puts off."""
    world.people(1, at)
    with world.ws.store.write() as conn:
        switch.stop(conn, "sequence:welcome", "test", "test", at)
    assert dict(world.tick(at).deferred) == {"stopped": 1}
    with world.ws.store.write() as conn:
        switch.resume(conn, "sequence:welcome", "test", "test", at)
    assert world.tick(at + timedelta(hours=1)).planned == 1


def test_a_missing_text_puts_off(world: World, at: datetime) -> None:
    """A missing text puts off."""
    world.people(1, at)
    world.texts.missing.add("welcome/hello/cold/de")
    assert dict(world.tick(at).deferred) == {"no_template": 1}
    world.texts.missing.clear()
    assert world.tick(at + timedelta(days=1)).planned == 1


@pytest.mark.requirement(33)
def test_a_customer_gets_nothing_more(world: World, at: datetime) -> None:
    """A customer gets nothing more."""
    [lead_id] = world.people(1, at)
    world.enrol(at)
    world.move(lead_id, "customer", at)
    assert dict(world.plan(at).left) == {"customer": 1}


def test_a_lead_at_sales_rests(world: World, at: datetime) -> None:
    """A lead at sales rests."""
    [lead_id] = world.people(1, at)
    world.enrol(at)
    world.move(lead_id, "handed_over", at)
    assert (dict(world.plan(at).withheld), world.place()) == ({"with_sales": 1}, ("paused", "hello", "with_sales"))


def test_who_reached_the_goal_leaves(world: World, at: datetime, later: datetime) -> None:
    """Who reached the goal leaves."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.happen(lead_id, "demo_requested", at + timedelta(days=1))
    assert (dict(world.tick(later).left), world.place()) == ({"goal": 1}, ("exited", "proof", "goal"))


def test_a_goal_of_before_the_sequence_does_not_count(world: World, at: datetime) -> None:
    """A goal of before the sequence does not count."""
    [lead_id] = world.people(1, at)
    world.happen(lead_id, "demo_requested", at - timedelta(days=1))
    assert world.tick(at).planned == 1


BRANCH = """\
  - {kind: mail, id: hello}
  - {kind: wait, id: rest, for: 3d}
  - {kind: branch, id: way, if: CONDITION, then: talk, else: proof}
  - {kind: mail, id: proof}
  - {kind: wait, id: pause, for: 1d}
  - {kind: mail, id: talk}
"""


@pytest.mark.parametrize(
    ("condition", "kind", "step", "verdict", "way"),
    [
        ("{event: clicked, step: hello}", "clicked", "hello", "human", "talk"),
        ("{event: clicked, step: hello}", "clicked", None, "human", "proof"),
        ("{event: clicked, step: hello}", "clicked", "hello", "machine", "proof"),
        ("{event: clicked, step: hello}", "opened", "hello", "human", "proof"),
        ("{event: downloaded}", "downloaded", None, "human", "talk"),
        ("{event: downloaded, within: 1d}", "downloaded", None, "human", "proof"),
        ("{signal: any, within: 30d}", "price_requested", None, "human", "talk"),
        ("{signal: offer_requested}", "price_requested", None, "human", "proof"),
        ("{temperature: hot}", "opened", None, "human", "proof"),
    ],
)
def test_a_branch_follows_what_a_person_did(
    world: World, at: datetime, condition: str, kind: str, step: str | None, verdict: str, way: str
) -> None:
    """A branch follows what a person did."""
    world.write(HEAD + "steps:\n" + BRANCH.replace("CONDITION", condition))
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.happen(lead_id, kind, at + timedelta(days=1), step=step, verdict=verdict, signalled=kind == "price_requested")
    world.tick(at + timedelta(days=3))
    assert world.decided()[2:4] == [("way", "branched", way), (way, "planned", "cold")]


def test_a_branch_follows_the_temperature(world: World, at: datetime, later: datetime) -> None:
    """A branch follows the temperature."""
    world.write(HEAD + "steps:\n" + BRANCH.replace("CONDITION", "{temperature: hot}"))
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.warm(lead_id, "hot", at)
    world.tick(later)
    assert world.decided()[3] == ("talk", "planned", "hot")


def test_the_limit_leaves_the_rest_for_later(world: World, at: datetime) -> None:
    """The limit leaves the rest for later."""
    world.people(5, at)
    world.limit = 2
    seen = []
    for _ in range(3):
        counts = world.tick(at)
        seen.append((counts.due, counts.more))
    assert seen == [(2, True), (2, True), (1, False)]


def test_more_than_one_chunk_is_decided_once_each(world: World, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one chunk is decided once each."""
    monkeypatch.setattr("nurture.sequences.planner.CHUNK", 4)
    world.people(10, at)
    counts = world.tick(at)
    assert (counts.due, set(Counter(row.lead_id for row in world.rows(message)).values())) == (10, {1})


def test_another_sequence_is_left_alone(world: World, at: datetime) -> None:
    """Another sequence is left alone."""
    world.people(1, at)
    world.enrol(at)
    assert world.plan(at, sequence="other").due == 0


def test_a_running_enrolment_keeps_its_version(world: World, at: datetime, later: datetime) -> None:
    """A running enrolment keeps its version."""
    world.people(1, at)
    world.tick(at)
    world.write(SHORT.replace("version: 1", "version: 2").replace("id: proof", "id: other"))
    world.tick(later)
    assert [(row.step, row.sequence_version) for row in world.rows(decision)][-1] == ("proof", 1)


def test_an_unknown_zone_falls_back_to_the_legal_one(world: World, at: datetime) -> None:
    """An unknown zone falls back to the legal one."""
    world.people(1, at)
    with world.ws.store.write() as conn:
        conn.execute(update(lead).values(zone="Mars/Base"))
    assert world.tick(at).planned == 1


def test_finding_what_is_due_uses_the_partial_index(world: World, at: datetime) -> None:
    """The cost of a tick grows with what is due, not with all enrolments."""
    world.people(3, at)
    world.enrol(at)
    with world.ws.store.write() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("set local enable_seqscan = off"))
        prefix = "explain query plan " if conn.dialect.name == "sqlite" else "explain "

        # The very statement with its bound values, as the planner runs it.
        @listens_for(conn, "before_cursor_execute", retval=True)
        def explain(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
            return prefix + statement, parameters

        shown = str(conn.execute(DUE, due_values(["welcome"], at=at, after=(at, 1), limit=100)).all())
    assert "ix_enrolment_due" in shown


def test_t43_a_scope_nobody_agreed_to_ends_the_sequence(world: World, at: datetime) -> None:
    """T43 when planning: the refusal has its reason, no mail is planned, the lead leaves."""
    world.write(SHORT.replace("purpose: newsletter.product\n", "purpose: newsletter.product\nscope: hydraulics\n"))
    world.people(1, at)

    counts = world.tick(at)

    assert (counts.planned, dict(counts.withheld)) == (0, {"not_covered": 1})
    assert world.place() == ("exited", "hello", "not_covered")

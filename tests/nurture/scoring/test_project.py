"""Do the rows say what the fold says, however the events came in?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from consent import identity, imported, tokens, withdrawal
from consent.addresses import Address
from consent.schema import consent_state
from nurture.leads import register
from nurture.leads.stages import Stage
from nurture.scoring import policy as policies
from nurture.scoring.project import TemperatureChange, cooling, reconsidered, rescore, scores, temperature_at
from nurture.scoring.replay import replay
from nurture.store.tables import event, lead, lead_score, points, setting, stage_change, temperature_change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nurture.store.workspace import Workspace

POLICY = policies.load(Path(__file__).resolve().parents[3] / "policies")
HOUR = timedelta(hours=1)
numbers = itertools.count()


@dataclass
class Desk:
    """A workspace in which things happen to leads."""

    ws: Workspace
    at: datetime

    def lead(self, **facts: Any) -> int:
        """Make a lead."""
        with self.ws.store.write() as conn:
            address = Address.of(f"p{next(numbers)}@musterfirma.example")
            subject = identity.ensure(conn, self.ws.keyring, address, at=self.at)
            return register.register(conn, [register.NewLead(subject, "de", "form", **facts)], at=self.at)[subject]

    def happens(self, lead_id: int, *kinds: str, at: datetime | None = None, verdict: str = "human") -> list[int]:
        """Store events of a lead."""
        moment = at or self.at
        made = []
        with self.ws.store.write() as conn:
            for kind in kinds:
                row = {
                    "key": tokens.random_id(), "kind": kind, "lead_id": lead_id, "at": moment, "received_at": moment,
                    "verdict": verdict, "verdict_reason": "test", "attributes": {},
                }  # fmt: skip
                made.append(int(conn.execute(insert(event).values(row)).inserted_primary_key[0]))  # type: ignore[index]
        return made

    def rescore(self, *leads: int, at: datetime | None = None) -> list[TemperatureChange]:
        """Bring scores up to date."""
        with self.ws.store.write() as conn:
            return rescore(conn, POLICY, leads, at=at or self.at)

    def rows(self, query: Any) -> Sequence[Any]:
        """Read anything."""
        with self.ws.store.read() as conn:
            return conn.execute(query).all()

    def awards(self, lead_id: int) -> list[tuple[str, int]]:
        """Read a lead's points."""
        query = select(points.c.rule, points.c.points).where(points.c.lead_id == lead_id)
        return sorted((row.rule, row.points) for row in self.rows(query))


@pytest.fixture
def desk(workspace: Workspace, at: datetime) -> Desk:
    """An empty workspace on a Monday morning."""
    return Desk(workspace, at)


@pytest.mark.requirement(43)
def test_events_become_points_and_a_score(desk: Desk) -> None:
    number = desk.lead(role="decider")
    desk.happens(number, "clicked", "demo_requested")
    desk.rescore(number)
    [row] = desk.rows(select(lead_score))
    assert (row.score, row.engagement, row.fit, row.temperature) == (45, 35, 10, "warm")
    assert desk.awards(number) == [("click", 10), ("decider", 10), ("demo", 25)]


def test_points_name_their_cause(desk: Desk) -> None:
    number = desk.lead()
    [cause] = desk.happens(number, "clicked")
    desk.rescore(number)
    [row] = desk.rows(select(points))
    assert (row.event_id, row.rules_version, row.reason, row.axis) == (cause, 1, "clicked", "engagement")


def test_scoring_twice_changes_nothing(desk: Desk) -> None:
    number = desk.lead(role="decider")
    desk.happens(number, "clicked", "clicked", "clicked")
    desk.rescore(number)
    before = desk.rows(select(points.c.id, points.c.points).order_by(points.c.id))
    assert desk.rescore(number) == []
    assert desk.rows(select(points.c.id, points.c.points).order_by(points.c.id)) == before


@pytest.mark.requirement(35)
def test_a_temperature_is_known_as_of_any_date(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "demo_requested", "clicked")
    desk.rescore(number)
    desk.happens(number, "price_requested", "downloaded", at=desk.at + HOUR)
    desk.rescore(number, at=desk.at + HOUR)
    with desk.ws.store.read() as conn:
        seen = [temperature_at(conn, number, desk.at + HOUR * hours) for hours in (-1, 0, 0.5, 1, 99)]
    assert seen == ["cold", "warm", "warm", "hot", "hot"]


def test_changes_tell_before_and_after(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "demo_requested", "clicked")
    [change] = desk.rescore(number)
    assert (change.lead_id, change.before, change.after, change.score) == (number, "cold", "warm", 35)


def test_a_lead_that_stays_cold_changes_nothing(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "clicked")
    assert desk.rescore(number) == []
    assert desk.rows(select(temperature_change)) == []


def test_a_revised_verdict_takes_points_back(desk: Desk) -> None:
    number = desk.lead()
    [cause] = desk.happens(number, "clicked")
    desk.rescore(number)
    with desk.ws.store.write() as conn:
        conn.execute(update(event).where(event.c.id == cause).values(verdict="machine"))
    desk.rescore(number)
    assert (desk.awards(number), desk.rows(select(lead_score.c.score))[0].score) == ([], 0)


def test_cooling_finds_only_who_is_due(desk: Desk) -> None:
    warm, cold = desk.lead(), desk.lead()
    desk.happens(warm, "demo_requested", "clicked")
    desk.happens(cold, "clicked")
    desk.rescore(warm, cold)
    due = desk.rows(select(lead_score.c.cools_at).where(lead_score.c.lead_id == warm))[0].cools_at
    with desk.ws.store.read() as conn:
        found = [cooling(conn, at=due - timedelta(seconds=1), limit=9), cooling(conn, at=due, limit=9)]
    assert found == [[], [warm]]


def test_a_cooled_lead_is_cold_and_done(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "demo_requested", "clicked")
    desk.rescore(number)
    due = desk.rows(select(lead_score.c.cools_at))[0].cools_at
    [change] = desk.rescore(number, at=due)
    assert (change.before, change.after) == ("warm", "cold")
    with desk.ws.store.read() as conn:
        assert cooling(conn, at=due + timedelta(days=400), limit=9) == []


@pytest.mark.requirement(3, 18)
def test_the_first_human_act_makes_a_lead_engaged(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "clicked")
    desk.rescore(number)
    assert desk.rows(select(lead.c.stage))[0].stage == "engaged"
    assert [row.cause for row in desk.rows(select(stage_change.c.cause).order_by(stage_change.c.id))] == [
        "consent_confirmed",
        "engagement",
    ]


@pytest.mark.parametrize(("kind", "verdict"), [("opened", "human"), ("clicked", "machine"), ("clicked", "unclear")])
def test_opens_and_machines_engage_nobody(desk: Desk, kind: str, verdict: str) -> None:
    desk.happens(number := desk.lead(), kind, verdict=verdict)
    desk.rescore(number)
    assert desk.rows(select(lead.c.stage))[0].stage == "confirmed"


def test_who_did_not_confirm_is_not_engaged(desk: Desk) -> None:
    desk.happens(number := desk.lead(stage=Stage.UNCONFIRMED), "demo_requested")
    desk.rescore(number)
    assert desk.rows(select(lead.c.stage))[0].stage == "unconfirmed"


@pytest.mark.requirement(62)
def test_a_withdrawal_shows_in_the_score(desk: Desk) -> None:
    number = desk.lead()
    desk.happens(number, "demo_requested")
    subject = desk.rows(select(lead.c.subject))[0].subject
    proof = imported.ImportedConsent(subject, "newsletter.product", "default", "Ja", desk.at, {})
    with desk.ws.store.write() as conn:
        imported.record(conn, desk.ws.keyring, [proof], at=desk.at)
        withdrawal.withdraw(
            conn, subject=subject, controller="default", purposes=None, route="page", actor="subject", at=desk.at
        )
    desk.rescore(number)
    assert desk.rows(select(lead_score.c.score))[0].score == 15


def consents(desk: Desk, number: int, *, ends: bool = True) -> None:
    """Let a lead give consent and, on our own page, take it back: no event tells of either."""
    [row] = desk.rows(select(lead.c.subject).where(lead.c.id == number))
    proof = imported.ImportedConsent(row.subject, "newsletter.product", "default", "Ja", desk.at, {})
    with desk.ws.store.write() as conn:
        imported.record(conn, desk.ws.keyring, [proof], at=desk.at)
        if ends:
            withdrawal.withdraw(
                conn, subject=row.subject, controller="default", purposes=["newsletter.product"], route="one_click",
                actor="subject", at=desk.at,
            )  # fmt: skip


def changed(desk: Desk, limit: int = 1000) -> list[int]:
    """Ask whose consent changed."""
    with desk.ws.store.write() as conn:
        return reconsidered(conn, limit=limit)


@pytest.mark.requirement(62)
def test_a_withdrawal_without_event_is_found(desk: Desk) -> None:
    consents(desk, number := desk.lead())
    assert changed(desk) == [number]


def test_a_change_of_consent_is_found_once(desk: Desk) -> None:
    consents(desk, desk.lead())
    assert [len(changed(desk)), len(changed(desk))] == [1, 0]


def test_no_change_writes_no_mark(desk: Desk) -> None:
    assert changed(desk) == []
    assert desk.rows(select(setting).where(setting.c.name == "score:consent")) == []


def test_newcomers_are_not_scored_for_their_consent(desk: Desk) -> None:
    consents(desk, desk.lead(), ends=False)
    assert changed(desk) == []


def test_who_comes_back_is_scored_anew(desk: Desk) -> None:
    consents(desk, number := desk.lead())
    desk.rescore(*changed(desk))
    with desk.ws.store.write() as conn:
        conn.execute(update(consent_state).values(state="given", seq=consent_state.c.seq + 1))
    assert changed(desk) == [number]
    desk.rescore(number)
    assert desk.awards(number) == []


def test_a_page_ends_and_goes_on(desk: Desk) -> None:
    numbers = [desk.lead() for _ in range(5)]
    for number in numbers:
        consents(desk, number)
    assert [changed(desk, limit=2) for _ in range(4)] == [numbers[:2], numbers[2:4], numbers[4:], []]


def test_leads_without_relevance_do_not_fill_a_page(desk: Desk) -> None:
    for _ in range(3):
        consents(desk, desk.lead(), ends=False)
    consents(desk, number := desk.lead())
    assert changed(desk, limit=1) == [number]


def test_replay_agrees_after_a_withdrawal(desk: Desk) -> None:
    desk.happens(number := desk.lead(), "demo_requested")
    desk.rescore(number)
    consents(desk, number)
    desk.rescore(*changed(desk), at=desk.at + HOUR)
    with desk.ws.store.read() as conn:
        assert replay(conn, POLICY).different == ()
    assert ("withdrawn", -10) in desk.awards(number)


def test_unknown_leads_are_left_out(desk: Desk) -> None:
    assert desk.rescore(4711) == []


def test_more_leads_than_a_chunk_are_scored(desk: Desk) -> None:
    leads = [desk.lead() for _ in range(3)]
    with desk.ws.store.write() as conn:
        rescore(conn, POLICY, [*leads, *range(10_000, 12_500)], at=desk.at)
        assert len(conn.execute(select(lead_score)).all()) == 3


def test_replay_finds_no_difference(desk: Desk) -> None:
    for kinds in (("clicked",), ("demo_requested", "clicked", "clicked", "clicked"), ()):
        desk.happens(number := desk.lead(role="decider"), *kinds)
        desk.rescore(number)
    desk.lead()
    with desk.ws.store.read() as conn:
        done = replay(conn, POLICY)
    assert (done.leads, done.unscored, done.outdated, done.different) == (4, 1, 0, ())


@pytest.mark.parametrize("table", [lead_score.update().values(score=99), points.delete()])
def test_replay_finds_what_was_tampered_with(desk: Desk, table: Any) -> None:
    desk.happens(number := desk.lead(), "clicked")
    desk.rescore(number)
    with desk.ws.store.write() as conn:
        conn.execute(table)
        assert replay(conn, POLICY).different == (number,)


def test_reading_a_score_writes_nothing(desk: Desk) -> None:
    desk.happens(number := desk.lead(), "clicked")
    with desk.ws.store.read() as conn:
        found = scores(conn, POLICY, [number], at=desk.at)
    assert (found[number].score, desk.rows(select(lead_score))) == (10, [])


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["clicked", "opened", "downloaded", "demo_requested", "page_visited"]),
        st.integers(0, 60),
        st.sampled_from(["human", "human", "machine"]),
    ),
    min_size=1,
    max_size=8,
)


@given(ACTS, st.randoms(use_true_random=False), st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scoring_piecemeal_equals_scoring_at_once(
    desk: Desk, acts: list[Any], random: Any, data: st.DataObject
) -> None:
    """Whatever order and however many runs: the rows are those of one fold over everything."""
    end = desk.at + timedelta(days=61)
    piecemeal, at_once = desk.lead(role="decider"), desk.lead(role="decider")
    shuffled = list(acts)
    random.shuffle(shuffled)
    for kind, day, verdict in shuffled:
        desk.happens(piecemeal, kind, at=desk.at + timedelta(days=day), verdict=verdict)
        if data.draw(st.booleans()):
            desk.rescore(piecemeal, at=desk.at + timedelta(days=day))
    for kind, day, verdict in acts:
        desk.happens(at_once, kind, at=desk.at + timedelta(days=day), verdict=verdict)
    desk.rescore(piecemeal, at_once, at=end)
    columns = lead_score.c
    rows = desk.rows(
        select(columns.score, columns.engagement, columns.fit, columns.temperature, columns.cools_at).where(
            columns.lead_id.in_([piecemeal, at_once])
        )
    )
    assert rows[0] == rows[1]
    assert desk.awards(piecemeal) == desk.awards(at_once)

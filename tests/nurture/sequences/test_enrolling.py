"""Who comes into a sequence, who has to leave, and is only what is new looked at?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import event, update

from nurture.leads.stages import Stage
from nurture.sequences.definition import SequenceError
from nurture.sequences.planner import enrol
from nurture.store.tables import enrolment, sequence_version
from tests.nurture.sequences.conftest import SHORT, World

AGAIN = """\
sequence: reengage
version: 1
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: sequence_finished, sequence: welcome, temperature: [cold], after: 3d, again: never}
steps:
  - {kind: mail, id: worksheet}
"""

RETURNED = AGAIN.replace(
    "steps:", "also_enrol:\n  - {when: stage, stage: recycled, after: 14d, again: each_time}\nsteps:"
)


def names(world: World) -> list[str]:
    """Give the sequences of all enrolments, in order."""
    return [row.sequence for row in world.rows(enrolment)]


def finish(world: World, at: datetime) -> None:
    """Let every enrolment end well."""
    with world.ws.store.write() as conn:
        conn.execute(update(enrolment).values(state="finished", step="", left_at=at))


@pytest.mark.requirement(95)
def test_only_proven_consent_enrols(world: World, at: datetime) -> None:
    """Only proven consent enrols."""
    world.known(2, at)
    world.people(3, at, start=2)
    assert world.enrol(at) == 3


def test_nobody_is_enrolled_twice(world: World, at: datetime) -> None:
    """Nobody is enrolled twice."""
    world.people(3, at)
    assert (world.enrol(at), world.enrol(at), len(names(world))) == (3, 0, 3)


def test_again_never_holds_after_the_end(world: World, at: datetime) -> None:
    """Again never holds after the end."""
    [lead_id] = world.people(1, at)
    world.enrol(at)
    finish(world, at)
    world.move(lead_id, "recycled", at)
    assert world.enrol(at + timedelta(days=1)) == 0


def test_consent_given_later_enrols_then(world: World, at: datetime) -> None:
    """Consent given later enrols then."""
    ids = world.known(1, at)
    assert world.enrol(at) == 0
    world.consenting(ids, at + timedelta(days=1))
    assert world.enrol(at + timedelta(days=1)) == 1


def test_a_limit_leaves_the_others_for_the_next_call(
    world: World, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit leaves the others for the next call."""
    monkeypatch.setattr("nurture.sequences.enrolling.CHUNK", 2)
    world.people(5, at)
    assert [world.enrol(at, limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_who_withdrew_before_is_not_enrolled(world: World, at: datetime) -> None:
    """Who withdrew before is not enrolled."""
    [lead_id] = world.people(1, at)
    world.withdraw(lead_id, at)
    assert world.enrol(at) == 0


def test_leads_at_sales_are_not_enrolled(world: World, at: datetime) -> None:
    """Leads at sales are not enrolled."""
    [lead_id] = world.people(1, at)
    world.move(lead_id, "sal", at)
    assert world.enrol(at) == 0


def test_withdrawal_ends_the_enrolment(world: World, at: datetime) -> None:
    """Withdrawal ends the enrolment."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.withdraw(lead_id, at)
    world.enrol(at)
    assert world.place() == ("exited", "proof", "withdrawn")


@pytest.mark.requirement(33)
def test_customers_leave_at_once(world: World, at: datetime) -> None:
    """Not only when their next step comes due."""
    first, _ = world.people(2, at)
    world.tick(at)
    world.move(first, "customer", at)
    world.enrol(at)
    assert sorted(row.state for row in world.rows(enrolment)) == ["active", "exited"]


def test_a_lead_at_sales_rests_and_comes_back(world: World, at: datetime, later: datetime) -> None:
    """What came due meanwhile is due on return, and not late."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    world.move(lead_id, "handed_over", at)
    world.enrol(at)
    resting = world.place()
    world.move(lead_id, "recycled", later + timedelta(days=7))
    counts = world.tick(later + timedelta(days=7))
    assert (resting, counts.planned) == (("paused", "proof", "with_sales"), 1)


def test_a_customer_leaves_even_from_rest(world: World, at: datetime) -> None:
    """A customer leaves even from rest."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    for stage in ("handed_over", "customer"):
        world.move(lead_id, stage, at)
        world.enrol(at)
    assert world.place() == ("exited", "proof", "customer")


@pytest.mark.requirement(99)
def test_cold_leads_get_another_sequence_after_the_first(world: World, at: datetime) -> None:
    """Cold leads get another sequence after the first."""
    world.write(AGAIN)
    world.people(1, at)
    world.enrol(at)
    finish(world, at)
    assert world.enrol(at + timedelta(days=3)) == 0
    assert world.enrol(at + timedelta(days=3, minutes=1)) == 1
    assert names(world) == ["welcome", "reengage"]


def test_warm_leads_do_not(world: World, at: datetime) -> None:
    """Warm leads do not."""
    world.write(AGAIN)
    [lead_id] = world.people(1, at)
    world.enrol(at)
    finish(world, at)
    world.warm(lead_id, "warm", at)
    assert world.enrol(at + timedelta(days=4)) == 0


def test_who_left_early_does_not_count_as_finished(world: World, at: datetime) -> None:
    """Who left early does not count as finished."""
    world.write(AGAIN)
    world.people(1, at)
    world.enrol(at)
    with world.ws.store.write() as conn:
        conn.execute(update(enrolment).values(state="exited", exit_reason="goal", left_at=at))
    assert world.enrol(at + timedelta(days=4)) == 0


def test_who_cools_later_follows_then(world: World, at: datetime) -> None:
    """Who cools later follows then."""
    world.write(AGAIN)
    [lead_id] = world.people(1, at)
    world.enrol(at)
    finish(world, at)
    world.warm(lead_id, "warm", at)
    world.enrol(at + timedelta(days=4))
    world.cool(lead_id, at + timedelta(days=30))
    assert world.enrol(at + timedelta(days=30)) == 1


def test_versions_are_registered_before_anybody_comes_in(world: World, at: datetime) -> None:
    """Versions are registered before anybody comes in."""
    world.people(1, at)
    world.enrol(at)
    world.write(SHORT.replace("version: 1", "version: 2"))
    world.people(1, at, start=1)
    world.enrol(at)
    assert [row.sequence_version_id for row in world.rows(enrolment)] == [
        row.id for row in world.rows(sequence_version)
    ]


def test_a_changed_version_enrols_nobody(world: World, at: datetime) -> None:
    """A changed version enrols nobody."""
    world.enrol(at)
    world.write(SHORT.replace("for: 3d", "for: 4d"))
    with pytest.raises(SequenceError):
        world.enrol(at)


def test_a_tick_without_news_is_the_same_for_many_leads(world: World, at: datetime) -> None:
    """Neither more statements nor a scan: nothing is read again for those who are enrolled already."""
    counts = []
    for start, number in ((0, 3), (3, 300)):
        world.people(number, at, start=start)
        world.tick(at)
        later = at + timedelta(minutes=30)
        world.enrol(later)
        statements: list[str] = []

        def note(_conn: object, _cursor: object, statement: str, *_: object, seen: list[str] = statements) -> None:
            seen.append(statement)

        event.listen(world.ws.store.engine, "before_cursor_execute", note)
        world.enrol(later)
        event.remove(world.ws.store.engine, "before_cursor_execute", note)
        counts.append([line for line in statements if line.startswith(("INSERT", "UPDATE"))])
    assert counts == [[], []]


def test_two_enrolments_at_once_are_one(world: World, at: datetime, database_kind: str) -> None:
    """Every deployment enrols for all sequences: the one that comes second waits and finds nothing new."""
    if database_kind == "sqlite":
        pytest.skip("SQLite has one writer")
    world.people(30, at)
    definitions, together = world.definitions, Barrier(2)

    def run(_: int) -> int:
        with world.ws.store.write() as conn:
            together.wait(timeout=20)
            return enrol(conn, definitions, at=at, limit=100)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(run, range(2))) == [0, 30]
    assert len(names(world)) == 30


@pytest.fixture
def returning(world: World) -> World:
    """A world that takes up whom sales gives back."""
    world.write(RETURNED)
    return world


def give_back(world: World, lead_id: int, at: datetime) -> None:
    """Let sales have a lead for a day."""
    world.move(lead_id, "handed_over", at)
    world.enrol(at + timedelta(hours=1))
    world.move(lead_id, "recycled", at + timedelta(days=1))


@pytest.mark.requirement(99)
def test_who_left_by_the_goal_and_came_back_is_taken_up(returning: World, at: datetime) -> None:
    """A demo that led to nothing ends no care: the first mail is due two weeks after the return."""
    [lead_id] = returning.people(1, at)
    returning.tick(at)
    returning.happen(lead_id, "demo_requested", at + timedelta(days=3), signalled=True)
    returning.tick(at + timedelta(days=3))
    give_back(returning, lead_id, at + timedelta(days=4))
    back = at + timedelta(days=5)
    assert [returning.enrol(back), returning.enrol(back)] == [1, 0]
    last = returning.rows(enrolment)[-1]
    assert (last.sequence, last.state, last.due_at) == ("reengage", "active", back + timedelta(days=14))


@pytest.mark.requirement(99)
def test_who_confirmed_while_at_sales_is_taken_up(returning: World, at: datetime) -> None:
    """The mark of consent has passed them by then."""
    [lead_id] = returning.known(1, at, stage=Stage.UNCONFIRMED)
    returning.move(lead_id, "handed_over", at)
    returning.consenting([lead_id], at + timedelta(hours=1))
    assert returning.enrol(at + timedelta(hours=2)) == 0
    returning.move(lead_id, "recycled", at + timedelta(days=2))
    assert (returning.enrol(at + timedelta(days=2)), names(returning)) == (1, ["reengage"])


def test_a_rested_sequence_goes_on_alone(returning: World, at: datetime) -> None:
    """Who comes back into the middle of a sequence gets no second one beside it."""
    [lead_id] = returning.people(1, at)
    returning.enrol(at)
    give_back(returning, lead_id, at)
    assert (returning.enrol(at + timedelta(days=1)), names(returning)) == (0, ["welcome"])


@pytest.mark.requirement(95)
def test_a_return_is_no_consent(returning: World, at: datetime) -> None:
    """A return is no consent."""
    [lead_id] = returning.known(1, at)
    give_back(returning, lead_id, at)
    assert returning.enrol(at + timedelta(days=1)) == 0


@pytest.mark.parametrize(("again", "number"), [("each_time", 2), ("never", 1)])
def test_a_second_return_counts_where_the_file_says_so(world: World, at: datetime, again: str, number: int) -> None:
    """A second return counts where the file says so, and each return once."""
    world.write(RETURNED.replace("each_time", again))
    [lead_id] = world.people(1, at)
    world.enrol(at)
    finish(world, at)
    for day in (1, 20):
        give_back(world, lead_id, at + timedelta(days=day))
        for hours in (24, 25):
            world.enrol(at + timedelta(days=day, hours=hours))
            finish(world, at + timedelta(days=day, hours=hours))
    assert names(world).count("reengage") == number


def test_a_return_from_before_the_rule_counts(world: World, at: datetime) -> None:
    """Who was lost until now is found when the definition learns this way in."""
    [lead_id] = world.people(1, at)
    world.tick(at)
    with world.ws.store.write() as conn:
        conn.execute(update(enrolment).values(state="exited", exit_reason="goal", left_at=at))
    give_back(world, lead_id, at)
    world.enrol(at + timedelta(days=2))
    world.write(RETURNED)
    assert world.enrol(at + timedelta(days=30)) == 1

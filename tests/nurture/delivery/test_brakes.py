"""Too many doubts or complaints stop marketing, and only a person lets it go on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, select

from nurture.delivery import brakes, switch, watching
from nurture.delivery.brakes import Brake, Level
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.errors import DeliveryError
from nurture.delivery.facts import reconcile
from nurture.delivery.policy import ComplaintLimits, DoubtBudget, SendingPolicy, load
from nurture.delivery.provider import Accepted, Outcome, Refused, Unknown
from nurture.delivery.sending import claim, compose, intend, recover, send_next, settle
from nurture.settings import PROJECT
from nurture.store.definitions import DefinitionError
from nurture.store.tables import delivery_fact, message, switch_change
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.delivery.sending import Submission
    from tests.nurture.delivery.world import World

POLICY = SendingPolicy()


def send(world: World, *answers: Outcome, kind: str = "marketing") -> int:
    """Send the next batch; give how many mails were handed over."""
    provider = Scripted(list(answers))
    send_next(world.ws, world.library, provider, kind=kind, owner="w1", at=world.at)
    return len(provider.mails)


def mail(world: World, people: int, *answers: Outcome) -> int:
    """Plan a batch for so many people and send it."""
    world.plan(*(world.person() for _ in range(people)))
    return send(world, *answers)


def standing(world: World) -> dict[str, str]:
    """Give the level of each brake that is pulled."""
    with world.ws.store.read() as conn:
        return {one.name: one.level for one in brakes.pulled(conn)}


def release(world: World, name: Brake = Brake.IN_DOUBT) -> bool:
    """Let go, as a person."""
    with world.ws.store.write() as conn:
        return brakes.release(conn, name, "outbox", "cli:vera", "looked into", world.at)


def complain(world: World, count: int, at_hours: float = 0) -> None:
    """Let so many readers press "spam"."""
    with world.ws.store.write() as conn:
        known = select(delivery_fact.c.message_id)
        fresh = select(message.c.id).where(message.c.id.not_in(known)).order_by(message.c.id).limit(count)
        at = world.at + timedelta(hours=at_hours)
        rows = [{"message_id": one, "fact": "complained", "at": at} for one in conn.execute(fresh).scalars()]
        if rows:
            conn.execute(insert(delivery_fact), rows)


def watch(world: World, policy: SendingPolicy = POLICY) -> None:
    """Count."""
    with world.ws.store.write() as conn:
        watching.watch(conn, policy, "outbox", world.at)


def test_the_shipped_policy_says_what_the_defaults_say() -> None:
    """A project without the file has the same limits."""
    assert load(PROJECT / "policies") == SendingPolicy()


def test_a_project_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    """Older projects go on."""
    assert load(tmp_path) == SendingPolicy()


def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    """People edit it."""
    (tmp_path / "sending.yaml").write_text("version: 1\nin_doubt:\n  most_percent: 0\n", "utf-8")

    with pytest.raises(DefinitionError, match=r"sending.yaml:3: in_doubt.most_percent"):
        load(tmp_path)


def test_a_warning_above_the_stop_is_refused() -> None:
    """It would never be given."""
    with pytest.raises(ValueError, match="warn_percent"):
        ComplaintLimits.model_validate({"warn_percent": 0.4})


# --- the budget of doubts ----------------------------------------------------------------------


def test_five_doubts_are_within_the_budget_of_a_thousand(world: World) -> None:
    """0.5 % of 1,000 is 5, and only more than that stops."""
    mail(world, 5, Unknown("timeout"))

    assert standing(world) == {}


def test_a_sixth_doubt_stops_marketing(world: World) -> None:
    """Right after the answer, before the next batch."""
    mail(world, 5, Unknown("timeout"))
    mail(world, 1, Unknown("timeout"))

    assert standing(world) == {"in_doubt": "stop"}
    assert mail(world, 1) == 0
    assert world.states()["planned"] == 1


def test_the_reason_holds_the_figures(world: World) -> None:
    """For whoever looks at it at night."""
    mail(world, 2)
    mail(world, 6, Unknown("timeout"))
    with world.ws.store.read() as conn:
        (found,) = brakes.pulled(conn)

    assert found.reason == "6 of 8 (75 %) of the last marketing mails are in doubt or unknown; at most 0.5 %"
    assert (found.provider, found.since) == ("outbox", world.at)


def test_confirmations_go_on(world: World) -> None:
    """Somebody waits for them, and a second one does no harm."""
    mail(world, 6, Unknown("timeout"))
    world.sign_up()
    with world.ws.store.write() as conn:
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=10)

    assert send(world, kind="confirmation") == 1


def test_doubts_about_confirmations_do_not_count(world: World) -> None:
    """They are sent again."""
    for number in range(7):
        world.sign_up(f"neu{number}")
    with world.ws.store.write() as conn:
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=10)
    for _ in range(4):
        send(world, Unknown("timeout"), kind="confirmation")
    watch(world, SendingPolicy(in_doubt=DoubtBudget.model_validate({"most_percent": 0.1})))

    assert standing(world) == {}


def test_only_the_newest_mails_count(world: World) -> None:
    """What happened long ago says nothing about today."""
    policy = SendingPolicy(in_doubt=DoubtBudget.model_validate({"most_percent": 1, "of_last": 100}))
    mail(world, 5, Unknown("timeout"))
    later = world.later(minutes=1)
    mail(later, 100)
    watch(later, policy)

    assert standing(world) == {}


def test_proof_takes_a_doubt_off_the_count(world: World) -> None:
    """The budget counts what nobody knows, not what nobody knew."""
    mail(world, 5, Unknown("timeout"))
    with world.ws.store.write() as conn:
        rows = [
            {"message_id": one, "fact": "delivered", "at": world.at}
            for one in conn.execute(select(message.c.id)).scalars()
        ]
        conn.execute(insert(delivery_fact), rows)
        reconcile(conn, at=world.at)
    mail(world.later(minutes=1), 5, Unknown("timeout"))

    assert standing(world) == {}


def test_proof_lets_marketing_go_on_by_itself(world: World) -> None:
    """A stop for doubts that turned out to be none needs no person; that it ended is on record."""
    mail(world, 6, Unknown("timeout"))
    stopped = standing(world)
    with world.ws.store.write() as conn:
        rows = [
            {"message_id": one, "fact": "delivered", "at": world.at}
            for one in conn.execute(select(message.c.id)).scalars()
        ]
        conn.execute(insert(delivery_fact), rows)
        reconcile(conn, at=world.at)
    watch(world)
    with world.ws.store.read() as conn:
        changes = conn.execute(select(switch_change.c.change).order_by(switch_change.c.id)).scalars().all()

    assert (stopped, standing(world), changes) == ({"in_doubt": "stop"}, {}, ["stop", "resume"])


def submission(world: World, people: int) -> Submission:
    """Commit the intent for a batch; its answer is still to come."""
    world.plan(*(world.person() for _ in range(people)))
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at, provider="outbox", batch_limit=500)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        return intend(conn, world.ws, composed, at=world.at)


def answered(world: World, one: Submission, outcome: Outcome) -> None:
    """Let the answer to a batch come in now."""
    with world.ws.store.write() as conn:
        settle(conn, one, [outcome] * len(one.ready), at=world.at)


def test_a_doubt_counts_when_it_becomes_known(world: World) -> None:
    """A request that times out began long before those that were answered meanwhile."""
    policy = SendingPolicy(in_doubt=DoubtBudget.model_validate({"most_percent": 1, "of_last": 100}))
    slow = submission(world, 2)
    mail(world.later(seconds=5), 100)
    answered(world.later(seconds=10), slow, Unknown("timeout"))
    watch(world.later(seconds=10), policy)

    assert standing(world) == {"in_doubt": "stop"}


def test_mails_that_were_on_their_way_take_no_doubt_away(world: World) -> None:
    """They push it out of the last hundred, and nobody knows any more about it."""
    policy = SendingPolicy(in_doubt=DoubtBudget.model_validate({"most_percent": 1, "of_last": 100}))
    slow, other = submission(world, 2), submission(world, 100)
    answered(world.later(seconds=10), slow, Unknown("timeout"))
    watch(world.later(seconds=10), policy)
    answered(world.later(seconds=11), other, Accepted("x"))
    watch(world.later(minutes=5), policy)

    assert standing(world) == {"in_doubt": "stop"}


def test_proof_of_doubts_long_passed_by_needs_no_night(world: World) -> None:
    """What stops is looked into, also when newer mails pushed it out of the count."""
    policy = SendingPolicy(in_doubt=DoubtBudget.model_validate({"most_percent": 1, "of_last": 100}))
    slow, other = submission(world, 2), submission(world, 100)
    answered(world.later(seconds=10), slow, Unknown("timeout"))
    watch(world.later(seconds=10), policy)
    answered(world.later(seconds=11), other, Accepted("x"))
    with world.ws.store.write() as conn:
        facts = [{"message_id": one.message_id, "fact": "delivered", "at": world.at} for one in slow.ready]
        conn.execute(insert(delivery_fact), facts)
    watch(world.later(minutes=5), policy)

    assert standing(world) == {}


def test_marketing_does_not_wait_for_the_night(world: World) -> None:
    """Events came minutes later; whoever counts next sees that the doubts were none."""
    mail(world, 6, Unknown("timeout"))
    with world.ws.store.write() as conn:
        told = [
            {"message_id": one, "fact": "delivered", "at": world.at}
            for one in conn.execute(select(message.c.id)).scalars()
        ]
        conn.execute(insert(delivery_fact), told)
    watch(world)

    assert (standing(world), world.states()) == ({}, {"accepted": 6})


def test_released_marketing_goes_on(world: World) -> None:
    """By a person's word."""
    mail(world, 6, Unknown("timeout"))
    assert release(world)

    assert (standing(world), mail(world.later(minutes=1), 1)) == ({}, 1)


def test_after_a_release_the_count_begins_anew(world: World) -> None:
    """Else the doubts that a person has judged would stop marketing at once again."""
    mail(world, 6, Unknown("timeout"))
    release(world)
    watch(world)
    assert standing(world) == {}

    mail(world.later(minutes=1), 6, Unknown("timeout"))
    assert standing(world) == {"in_doubt": "stop"}


def test_releasing_what_is_free_says_so(world: World) -> None:
    """Nothing was pulled."""
    assert not release(world)


def test_pulling_and_releasing_are_on_record(world: World) -> None:
    """Who let mail go on, and why."""
    mail(world, 6, Unknown("timeout"))
    release(world)
    with world.ws.store.read() as conn:
        rows = conn.execute(select(switch_change).order_by(switch_change.c.id)).all()

    assert [(row.scope, row.change, row.actor) for row in rows] == [
        ("brake:in_doubt:outbox", "stop", "nurture"),
        ("brake:in_doubt:outbox", "resume", "cli:vera"),
    ]


def test_a_brake_pulled_after_the_claim_stops_the_intent(world: World) -> None:
    """The batch goes back and waits; nothing was written down as sent."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at, provider="outbox", batch_limit=500)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        brakes.pull(conn, Brake.COMPLAINTS, "test", world.at, provider="outbox")
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).ready == ()

    assert world.states() == {"planned": 1}


def test_another_accounts_brake_does_not_hold(world: World) -> None:
    """Complaints belong to the account they were drawn by."""
    with world.ws.store.write() as conn:
        brakes.pull(conn, Brake.COMPLAINTS, "test", world.at, provider="smtp")

    assert mail(world, 1) == 1


@pytest.mark.parametrize("name", [Brake.RESTORED, Brake.COPIED, Brake.SERVER])
def test_a_doubtful_database_stops_confirmations_too(world: World, name: Brake) -> None:
    """It does not know what was sent."""
    world.sign_up()
    with world.ws.store.write() as conn:
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=10)
        brakes.pull(conn, name, "test", world.at)

    assert send(world, kind="confirmation") == 0


def test_an_older_server_is_released_after_its_doubts_were_looked_into(world: World) -> None:
    """Not before: what was sent since the backup is exactly what is not known."""
    with world.ws.store.write() as conn:
        brakes.pull(conn, Brake.SERVER, "test", world.at)
        with pytest.raises(DeliveryError, match="delivery reconcile"):
            brakes.release(conn, Brake.SERVER, "", "cli:vera", "x", world.at)
        brakes.reconciled(conn, world.at)
        assert brakes.release(conn, Brake.SERVER, "", "cli:vera", "x", world.at)


def test_each_brake_raises_one_alarm(world: World) -> None:
    """Not one a minute."""
    mail(world, 6, Unknown("timeout"))
    with world.ws.store.write() as conn:
        assert [one.name for one in brakes.untold(conn)] == ["in_doubt"]
        assert brakes.untold(conn) == []


def test_stop_takes_effect_with_the_next_intent(world: World) -> None:
    """`nurture stop --all` needs nothing but the database."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        switch.stop(conn, switch.ALL, "cli:vera", "wrong price", world.at)
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).ready == ()


# --- complaints --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "complaints", "level"),
    [(10, 0, None), (10, 1, "warn"), (10, 2, "warn"), (10, 3, "stop"), (40, 3, "stop")],
)
def test_few_mails_are_measured_against_a_thousand(world: World, sent: int, complaints: int, level: str | None) -> None:
    """One of ten stops nothing; three do, as three of a thousand would."""
    mail(world, sent)
    complain(world, complaints)
    watch(world)

    assert standing(world).get("complaints") == level


@pytest.mark.parametrize(("complaints", "level"), [(1, None), (2, "warn"), (5, "warn"), (6, "stop")])
def test_many_mails_are_measured_against_their_number(world: World, complaints: int, level: str | None) -> None:
    """0.1 % warns, 0.3 % stops, to the mail: 2 and 6 of 20 with limits of 10 % and 30 %."""
    limits = {"warn_percent": 10, "stop_percent": 30, "at_least": 1}
    mail(world, 20)
    complain(world, complaints)
    watch(world, SendingPolicy(complaints=ComplaintLimits.model_validate(limits)))

    assert standing(world).get("complaints") == level


def test_mails_that_never_left_are_not_counted(world: World) -> None:
    """Who was withheld could not complain: 1 of 2, not 1 of 4."""
    world.plan(world.person(), world.person(), world.person(consent=False), world.person(consent=False))
    send(world, Accepted("x"))
    complain(world, 1)
    with world.ws.store.read() as conn:
        assert watching.complaints(conn, POLICY, "outbox", world.at) == watching.Rate(1, 2)


def test_proven_mails_are_counted(world: World) -> None:
    """One message of a doubtful batch was accepted after all."""
    mail(world, 2, Unknown("timeout"))
    complain(world, 1)
    with world.ws.store.write() as conn:
        reconcile(conn, at=world.at)
    with world.ws.store.read() as conn:
        assert watching.complaints(conn, POLICY, "outbox", world.at) == watching.Rate(1, 1)


def test_a_complaint_outside_the_window_is_forgotten(world: World) -> None:
    """Seven days."""
    mail(world, 10)
    complain(world, 3)
    with world.ws.store.read() as conn:
        assert watching.complaints(conn, POLICY, "outbox", world.later(days=7).at).count == 0


def test_a_warning_passes_but_a_stop_stays(world: World) -> None:
    """A stop needs a person, however good the figures have become."""
    mail(world, 10)
    complain(world, 1)
    watch(world)
    watch(world.later(days=8))
    assert standing(world) == {}

    complain(world, 3, at_hours=200)
    watch(world.later(days=9))
    watch(world.later(days=30))
    assert standing(world) == {"complaints": "stop"}


def test_a_warning_becomes_a_stop(world: World) -> None:
    """And raises a second alarm."""
    mail(world, 10)
    for count in (1, 2):
        complain(world, count)
        watch(world)
    with world.ws.store.write() as conn:
        assert [one.level for one in brakes.untold(conn)] == [Level.STOP]


def test_complaints_stop_marketing_until_released(world: World) -> None:
    """And then count from the release."""
    mail(world, 10)
    complain(world, 3)
    watch(world)
    assert mail(world, 1) == 0
    release(world, Brake.COMPLAINTS)
    watch(world)

    assert (standing(world), send(world)) == ({}, 1)


def test_the_counts_read_the_window_alone(world: World) -> None:
    """Each statement is served by an index: none reads a whole table of messages, attempts, facts or exceptions."""
    mail(world, 3)
    statements: list[tuple[str, Any]] = []

    def keep(_conn: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    engine = world.ws.store.engine
    sqlite = engine.dialect.name == "sqlite"
    explain = "explain query plan" if sqlite else "explain"
    with world.ws.store.read() as conn:
        if not sqlite:
            # A table of three rows is read as a whole by PostgreSQL unless it is forbidden to.
            conn.exec_driver_sql("set local enable_seqscan = off")
        event.listen(engine, "before_cursor_execute", keep)
        watching.doubts(conn, POLICY, "outbox")
        watching.complaints(conn, POLICY, "outbox", world.at)
        event.remove(engine, "before_cursor_execute", keep)
        plans = [
            str(row[-1])
            for statement, parameters in statements
            for row in conn.exec_driver_sql(f"{explain} {statement}", parameters)
        ]

    assert len(plans) > len(statements)
    whole = [plan for plan in plans if "Seq Scan" in plan or (plan.startswith("SCAN") and " USING " not in plan)]
    assert whole == []


def test_doubts_that_a_dead_worker_left_count(world: World) -> None:
    """They are found by recovery, not by an answer."""
    world.plan(*(world.person() for _ in range(6)))
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        intend(conn, world.ws, composed, at=world.at)
        assert watching.doubts(conn, POLICY, "outbox") == watching.Rate(0, 0)
        recover(conn, at=world.later(hours=1).at)
        assert watching.doubts(conn, POLICY, "outbox") == watching.Rate(6, 6)


# --- patience ----------------------------------------------------------------------------------


def test_a_mail_that_is_refused_for_a_day_expires(world: World) -> None:
    """Also where its own time is longer: what was timely yesterday need not be so for ever."""
    world.plan(world.person(), late=timedelta(days=14))
    send(world, Refused("http 429"))
    for hours, state in ((23, "planned"), (24, "expired")):
        with world.ws.store.write() as conn:
            recover(conn, at=world.later(hours=hours).at)
        assert world.states() == {state: 1}


def test_a_mail_that_was_never_handed_over_waits_for_its_own_time(world: World) -> None:
    """A brake or a ramp that holds it is no refusal."""
    world.plan(world.person(), late=timedelta(days=14))
    with world.ws.store.write() as conn:
        recover(conn, at=world.later(days=13).at)

    assert world.states() == {"planned": 1}


def test_a_confirmation_is_not_given_up_after_a_day(world: World) -> None:
    """Somebody waits for it as long as its token lives: a wrong key over a weekend loses nobody."""
    world.sign_up()
    with world.ws.store.write() as conn:
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=10)
    send(world, Refused("http 401", None, opens_circuit=True), kind="confirmation")
    with world.ws.store.write() as conn:
        recover(conn, at=world.later(hours=30).at)

    assert world.states() == {"planned": 1}

"""A person sees what nobody knows, and may send a mail again; nothing does so by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from consent import suppression
from nurture.delivery import deciding
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.errors import DeliveryError
from nurture.delivery.facts import reconcile
from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Unknown
from nurture.delivery.sending import claim, compose, intend, recover, send_next, settle
from nurture.store import verdicts
from nurture.store.tables import decision, delivery_fact, message, send_slot, verdict
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from nurture.delivery.deciding import Listed
    from nurture.delivery.provider import Outgoing
    from nurture.delivery.sending import Submission
    from nurture.delivery.states import State
    from tests.nurture.delivery.world import World


def send(world: World, *answers: Outcome, kind: str = "marketing") -> list[Outgoing]:
    """Send the next batch; give the mails handed over."""
    provider = Scripted(list(answers))
    send_next(world.ws, world.library, provider, kind=kind, owner="w1", at=world.at)
    return provider.mails


def doubt(world: World) -> str:
    """Leave a mail in doubt; give its public id."""
    world.plan(world.person())
    (sent,) = send(world, Unknown("timeout"))
    return sent.public_id


def resend(world: World, public_id: str) -> str:
    """Decide to send it again."""
    with world.ws.store.write() as conn:
        return deciding.resend(
            conn, public_id, provider="outbox", actor="cli:vera", reason="asked by phone", at=world.at
        )


def listed(world: World, *states: State) -> list[Listed]:
    """List messages."""
    with world.ws.store.read() as conn:
        return deciding.messages(conn, states or deciding.DOUBTFUL, limit=10)


def test_doubts_are_listed_by_their_ids(world: World) -> None:
    """With where they stand and since when; never a name."""
    public_id = doubt(world)
    (one,) = listed(world)

    assert (one.message, one.kind, one.sequence, one.step) == (public_id, "marketing", "welcome", "hello")
    assert (one.state, one.reason, one.since) == ("in_doubt", "timeout", world.at)


def test_what_remains_after_a_day_is_listed_as_unknown(world: World) -> None:
    """It does not vanish."""
    doubt(world)
    with world.ws.store.write() as conn:
        reconcile(conn, at=world.later(hours=24).at)

    assert [one.state for one in listed(world)] == ["unknown"]


def test_a_doubtful_mail_leaves_once_more_by_a_persons_word(world: World) -> None:
    """As a message of its own, with a slot of its own; the first one stays what it is."""
    first = doubt(world)
    second = resend(world, first)

    assert [one.public_id for one in send(world)] == [second]
    assert world.states() == {"in_doubt": 1, "accepted": 1}
    with world.ws.store.read() as conn:
        assert len(conn.execute(select(send_slot.c.slot)).all()) == 2


def test_the_decision_names_who_and_why(world: World) -> None:
    """It stands with the lead."""
    resend(world, doubt(world))
    with world.ws.store.read() as conn:
        query = select(decision, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
        row = conn.execute(query.where(decision.c.reason == "sent_again")).one()

    assert verdicts.told(row.gates, row.details) == [
        {"gate": "person", "passed": True, "detail": "cli:vera: asked by phone"}
    ]
    assert row.lead_id is not None


def test_every_gate_is_asked_again(world: World) -> None:
    """Whoever may not be written to by now gets nothing."""
    second = resend(world, doubt(world))
    with world.ws.store.write() as conn:
        subject = conn.execute(select(message.c.subject).where(message.c.public_id == second)).scalar_one()
        suppression.suppress_subject(conn, subject, "bounced", at=world.at)

    assert send(world) == []
    assert world.states() == {"in_doubt": 1, "suppressed": 1}


def thought_dead(world: World) -> Submission:
    """Hand a mail over and give no answer, until recovery puts it in doubt."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        submission = intend(conn, world.ws, composed, at=world.at)
    world.at = world.later(minutes=6).at
    with world.ws.store.write() as conn:
        recover(conn, at=world.at)
    return submission


def answer(world: World, submission: Submission, outcome: Outcome) -> None:
    """Record the answer that came late."""
    with world.ws.store.write() as conn:
        settle(conn, submission, [outcome], at=world.at)


@pytest.mark.parametrize("outcome", [Refused("http 429"), Rejected("http 413")])
def test_an_answer_after_the_decision_does_not_send_both(world: World, outcome: Outcome) -> None:
    """A worker thought dead says late that its mail was not taken: the copy goes, and the original never again."""
    submission = thought_dead(world)
    second = resend(world, submission.ready[0].outgoing.public_id)
    answer(world, submission, outcome)
    world.at = world.later(hours=1).at

    assert [one.public_id for one in [*send(world), *send(world), *send(world)]] == [second]
    assert world.states() == {"rejected": 1, "accepted": 1}
    with world.ws.store.read() as conn:
        assert len(conn.execute(select(send_slot.c.slot)).all()) == 1


def test_a_copy_that_waits_is_withheld_when_the_first_was_taken(world: World) -> None:
    """A worker thought dead says so late: nobody gets two, and no doubt is left."""
    submission = thought_dead(world)
    resend(world, submission.ready[0].outgoing.public_id)
    answer(world, submission, Accepted("p-1"))

    assert (send(world), world.states()) == ([], {"accepted": 1, "suppressed": 1})


def test_the_lead_tells_why_its_copy_was_withheld(world: World) -> None:
    """The first one was taken."""
    submission = thought_dead(world)
    resend(world, submission.ready[0].outgoing.public_id)
    answer(world, submission, Accepted("p-1"))
    with world.ws.store.read() as conn:
        rows = conn.execute(select(decision.c.outcome, decision.c.reason).order_by(decision.c.id.desc())).all()

    assert tuple(rows[0]) == ("withheld", "original_accepted")


def test_a_doubt_given_up_is_resolved_by_a_late_answer(world: World) -> None:
    """A day later: what was sent again is known to have been taken."""
    submission = thought_dead(world)
    resend(world, submission.ready[0].outgoing.public_id)
    send(world)
    world.at = world.later(hours=25).at
    with world.ws.store.write() as conn:
        reconcile(conn, at=world.at)
    assert world.states() == {"unknown": 1, "accepted": 1}
    answer(world, submission, Accepted("p-1"))

    assert world.states() == {"accepted": 2}


def test_a_copy_that_left_before_the_answer_stays_sent(world: World) -> None:
    """Both were taken, and both are told."""
    submission = thought_dead(world)
    resend(world, submission.ready[0].outgoing.public_id)
    send(world)
    answer(world, submission, Accepted("p-1"))

    assert world.states() == {"accepted": 2}


def test_the_planner_and_a_person_never_mean_the_same_occurrence(world: World) -> None:
    """A later pass through the step is not taken for the mail that was sent again."""
    resend(world, doubt(world))
    with world.ws.store.read() as conn:
        subject = conn.execute(select(message.c.subject).limit(1)).scalar_one()

    assert world.plan(subject, n=2) == 1


def test_a_mail_is_sent_again_once(world: World) -> None:
    """A second decision is about the second message."""
    first = doubt(world)
    second = resend(world, first)
    with pytest.raises(DeliveryError, match="sent again already"):
        resend(world, first)
    with pytest.raises(DeliveryError, match="is planned"):
        resend(world, second)
    send(world, Unknown("timeout"))

    assert resend(world, second) not in {first, second}


def test_what_is_proven_is_not_sent_again(world: World) -> None:
    """Also before anybody reconciled."""
    public_id = doubt(world)
    with world.ws.store.write() as conn:
        only = conn.execute(select(message.c.id)).scalar_one()
        conn.execute(insert(delivery_fact), {"message_id": only, "fact": "delivered", "at": world.at})

    with pytest.raises(DeliveryError, match="was accepted"):
        resend(world, public_id)


def test_what_is_certain_is_not_sent_again(world: World) -> None:
    """Only doubts are decided."""
    world.plan(world.person())
    (sent,) = send(world)
    with pytest.raises(DeliveryError, match="is accepted"):
        resend(world, sent.public_id)
    with pytest.raises(DeliveryError, match="no message"):
        resend(world, "x" * 26)


def test_confirmations_are_not_for_persons_to_decide(world: World) -> None:
    """They are sent again by themselves."""
    world.sign_up()
    with world.ws.store.write() as conn:
        queue_confirmations(conn, world.ws, world.library, at=world.at, limit=10)
    (sent,) = send(world, Unknown("timeout"), kind="confirmation")

    with pytest.raises(DeliveryError, match="confirmation"):
        resend(world, sent.public_id)


def test_poison_is_listed_apart(world: World) -> None:
    """What the provider will never take, and what killed its workers three times."""
    world.plan(world.person())
    send(world, Rejected("http 413"))
    world.plan(world.person())
    for hour in range(1, 4):
        later = world.later(hours=hour)
        with world.ws.store.write() as conn:
            claim(conn, owner="w1", kind="marketing", at=later.at)
            recover(conn, at=later.later(minutes=10).at)

    found = {one.reason: one.state for one in listed(world, *deciding.SET_ASIDE)}
    assert found == {"http 413": "rejected", "workers_lost": "failed_render"}

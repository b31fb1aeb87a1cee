"""A mail that was planned before sales took the lead over does not leave after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func, select, update

from consent.schema import ledger_entry
from nurture.delivery.sending import claim, compose, intend
from nurture.leads import preferences, register, stages
from nurture.leads.rights import merging
from nurture.sequences import gate_words
from nurture.store.tables import decision, lead, message_exception, send_slot, verdict
from tests.nurture.delivery.test_sending import send
from tests.nurture.delivery.world import Scripted

if TYPE_CHECKING:
    from tests.nurture.delivery.world import World


def move(world: World, subject: str, stage: str) -> None:
    """Put somebody into another stage."""
    with world.ws.store.write() as conn:
        [lead_id] = register.of_subject(conn, [subject]).values()
        stages.move(conn, {lead_id: stage}, cause="test", at=world.at)


def withheld(world: World) -> Any:
    """Give the one decision at the intent."""
    with world.ws.store.read() as conn:
        asked = select(decision, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
        return conn.execute(asked.where(decision.c.phase == "intent")).one()


@pytest.mark.requirement(104)
@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("handed_over", "with_sales"),
        ("sal", "with_sales"),
        ("sql", "with_sales"),
        ("customer", "customer"),
        ("disqualified", "disqualified"),
    ],
)
def test_a_planned_mail_stays_when_the_stage_bars_it(world: World, stage: str, reason: str) -> None:
    subject, provider = world.person(), Scripted()
    world.plan(subject)
    move(world, subject, stage)
    counts = send(world, provider)
    assert (provider.mails, counts.withheld) == ([], {reason: 1})  # type: ignore[union-attr]


@pytest.mark.parametrize("stage", ["engaged", "mql", "recycled"])
def test_marketings_own_stages_get_their_mail(world: World, stage: str) -> None:
    subject, provider = world.person(), Scripted()
    world.plan(subject)
    move(world, subject, stage)
    send(world, provider)
    assert len(provider.mails) == 1


def test_an_owner_in_sales_is_enough(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        conn.execute(update(lead).values(owner="sales"))
    assert send(world, Scripted()).withheld == {"with_sales": 1}  # type: ignore[union-attr]


def test_a_handover_after_writing_is_seen(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    move(world, subject, "handed_over")
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).ready == ()


def test_the_decision_names_stage_and_owner(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    move(world, subject, "sal")
    send(world, Scripted())
    row = withheld(world)
    assert (row.outcome, row.reason) == ("withheld", "with_sales")
    assert row.gates[-1] == {"gate": "stage", "passed": False, "detail": "sal, sales"}


def merge(world: World, goes: str, stays: str) -> None:
    """Join the lead of one into that of another."""
    with world.ws.store.write() as conn:
        leads = register.of_subject(conn, [goes, stays])
        merging.merge(
            conn, world.ws, leads[goes], leads[stays], reason="same_person", actor="operator:vera", at=world.at
        )


def test_what_was_planned_for_a_lead_that_was_merged_stays(world: World) -> None:
    """The person gets what is planned for the lead that stays, by its stage, its choices and its cap."""
    goes, stays, provider = world.person(), world.person(), Scripted()
    world.plan(goes, stays)
    merge(world, goes, stays)
    counts = send(world, provider)
    assert [one.to_address for one in provider.mails] == ["person2@example.org"]
    assert counts.withheld == {"merged": 1}  # type: ignore[union-attr]


def test_a_merge_after_writing_is_seen(world: World) -> None:
    """A batch that is in a worker's hands is asked for once more."""
    goes, stays = world.person(), world.person()
    world.plan(goes)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    merge(world, goes, stays)
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).ready == ()


def test_no_pause_of_the_one_that_stays_is_passed_by(world: World) -> None:
    """Whoever wants no mail for a while gets none that was planned for another lead of theirs."""
    goes, stays, provider = world.person(), world.person(), Scripted()
    world.plan(goes)
    with world.ws.store.write() as conn:
        preferences.pause(conn, stays, 30, at=world.at)
    merge(world, goes, stays)
    send(world, provider)
    assert provider.mails == []


def test_a_merge_is_told_as_such(world: World) -> None:
    """The decision names the gate and why, in both languages."""
    goes, stays = world.person(), world.person()
    world.plan(goes)
    merge(world, goes, stays)
    send(world, Scripted())
    row = withheld(world)
    assert row.reason == "merged"
    assert row.gates[-1] == {"gate": "stage", "passed": False, "detail": "merged into another lead"}
    assert gate_words.detail("stage", row.gates[-1]["detail"], {}) == "mit einem anderen Lead zusammengeführt"


def test_a_merged_person_has_one_cap(world: World) -> None:
    """What left for the lead that goes counts for the one that stays; two in a week are allowed here."""
    goes, stays, provider = world.person(), world.person(), Scripted()
    world.plan(goes)
    send(world, provider)
    merge(world, goes, stays)
    for number in (1, 2):
        world.plan(stays, n=number)
    while send(world, provider):
        pass
    assert [one.to_address for one in provider.mails] == ["person1@example.org", "person2@example.org"]


def test_slots_of_both_leads_stand_beside_each_other(world: World) -> None:
    """Both had taken the first of the week."""
    goes, stays = world.person(), world.person()
    world.plan(goes, stays)
    send(world, Scripted())
    merge(world, goes, stays)
    with world.ws.store.read() as conn:
        [lead_id] = register.of_subject(conn, [stays]).values()
        taken = conn.execute(select(send_slot.c.lead_id, send_slot.c.slot).order_by(send_slot.c.slot)).all()
    assert [tuple(row) for row in taken] == [(lead_id, 1), (lead_id, 2)]


def test_a_barred_mail_takes_no_slot_and_no_permit(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    move(world, subject, "customer")
    send(world, Scripted())
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(send_slot)).scalar_one() == 0
        assert "send.authorised" not in conn.execute(select(ledger_entry.c.type)).scalars().all()


def test_the_others_of_the_batch_leave(world: World) -> None:
    gone, stays, provider = world.person(), world.person(), Scripted()
    world.plan(gone, stays)
    move(world, gone, "customer")
    send(world, provider)
    assert [one.to_address for one in provider.mails] == ["person2@example.org"]
    with world.ws.store.read() as conn:
        assert conn.execute(select(message_exception.c.reason)).scalars().all() == ["customer"]


def test_one_query_asks_for_the_whole_batch(world: World) -> None:
    world.plan(*(world.person() for _ in range(20)))
    asked: list[str] = []

    def note(*args: Any) -> None:
        if "FROM lead" in args[2]:
            asked.append(args[2])

    event.listen(world.ws.store.engine, "before_cursor_execute", note)
    send(world, Scripted())
    assert len(asked) == 1

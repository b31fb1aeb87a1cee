"""When two leads are one person: does the more restrictive word win, and is nothing given away or lost?"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select

from consent import gate, suppression, withdrawal
from consent.addresses import Address
from consent.identity import SubjectError
from consent.schema import consent_state
from consent.schema import identity as identities
from consent.schema import suppression as suppression_table
from nurture.handover import answers
from nurture.handover import policy as handover_policy
from nurture.handover.qualify import qualify
from nurture.leads import rights
from nurture.leads.rights import ending, erasing, merging
from nurture.leads.stages import move
from nurture.scoring import policy as scoring_policy
from nurture.scoring import project
from nurture.store.tables import enrolment, event, handover, lead, lead_score, mail_preference
from tests.nurture.leads.rights.life import ADDRESS, DETAILS, Life

if TYPE_CHECKING:
    from collections.abc import Sequence

NEWS, TRACKING = "newsletter.product", "email.tracking"
PRIVATE = "zofia@privat.example"


def merge(life: Life, goes: int, stays: int) -> merging.Joined:
    """Join two leads."""
    with life.ws.store.write() as conn:
        return merging.merge(conn, life.ws, goes, stays, reason="same_person", actor="operator:vera", at=life.later)


def leave(life: Life, lead_id: int, purposes: Sequence[str] | None) -> None:
    """Withdraw on the page."""
    with life.ws.store.write() as conn:
        withdrawal.withdraw(
            conn, subject=life.subject(lead_id), controller="default", purposes=purposes, route="page",
            actor="subject", at=life.at,
        )  # fmt: skip


def states(life: Life, lead_id: int) -> dict[str, str]:
    """Where do a lead's consents stand?"""
    rows = life.rows(
        select(consent_state.c.purpose, consent_state.c.state).where(consent_state.c.subject == life.subject(lead_id))
    )
    return {row.purpose: row.state for row in rows}


def may(life: Life, lead_id: int) -> bool:
    """Would the gate let a newsletter through?"""
    subject = life.subject(lead_id)
    with life.ws.store.read() as conn:
        found = gate.check(conn, [subject], purpose=NEWS, controller="default", at=life.later + timedelta(hours=1))
    return not isinstance(found[subject], gate.RefusalReason)


@pytest.mark.parametrize("given_goes", [True, False])
def test_t52_merge_lets_the_withdrawal_win(life: Life, *, given_goes: bool) -> None:
    """A given, B withdrawn: no mail to either, whichever of them stays; both histories are there, and linked."""
    given, withdrawn = life.joins(), life.joins(PRIVATE)
    leave(life, withdrawn, None)
    before = [bytes(row.leaf_hash) for row in life.entries()]
    goes, stays = (given, withdrawn) if given_goes else (withdrawn, given)
    done = merge(life, goes, stays)

    assert (may(life, given), may(life, withdrawn)) == (False, False)
    assert set(states(life, given).values()) == set(states(life, withdrawn).values()) == {"withdrawn"}
    assert [bytes(row.leaf_hash) for row in life.entries()][: len(before)] == before
    [entry] = life.entries("subject.merged")
    assert (entry.seq, entry.subject) == (done.entry, life.subject(goes))
    assert json.loads(entry.leaf)["body"]["into"] == life.subject(stays)
    assert life.rows(select(lead.c.merged_into).where(lead.c.id == goes)) == [(stays,)]
    routes = [json.loads(row.leaf)["body"]["route"] for row in life.entries("consent.withdrawn")]
    assert routes == ["page", "merge"]


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        ((NEWS,), (), {}),
        ((), (NEWS,), {NEWS: "given"}),
        ((NEWS, TRACKING), (NEWS,), {NEWS: "given"}),
        ((NEWS,), (NEWS, TRACKING), {NEWS: "given", TRACKING: "given"}),
    ],
)
def test_consent_never_moves_to_another_address(
    life: Life, old: Sequence[str], new: Sequence[str], after: dict[str, str]
) -> None:
    """The lead that stays may exactly what its own address agreed to."""
    goes = life.joins(ADDRESS, old or (NEWS,))
    stays = life.joins(PRIVATE, new or (NEWS,))
    with life.ws.store.write() as conn:
        for number, given in ((goes, old), (stays, new)):
            if not given:
                conn.execute(consent_state.delete().where(consent_state.c.subject == life.subject(number)))
    merge(life, goes, stays)

    assert states(life, stays) == after


def test_one_purpose_ends_and_the_other_stays(life: Life) -> None:
    """Tracking taken back by one half: mail goes on, measuring does not."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    leave(life, goes, [TRACKING])
    merge(life, goes, stays)

    assert states(life, stays) == {NEWS: "given", TRACKING: "withdrawn"}


@pytest.mark.parametrize(("reason", "both"), [("complaint", True), ("blocked", True), ("hard_bounce", False)])
def test_suppression_of_the_person_bars_both(life: Life, reason: str, *, both: bool) -> None:
    """A dead mailbox says nothing about the other one."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    with life.ws.store.write() as conn:
        suppression.suppress_subject(conn, life.subject(goes), reason, at=life.at)
    done = merge(life, goes, stays)

    assert (done.suppressed, may(life, stays), may(life, goes)) == (both, not both, False)
    assert len(life.rows(select(suppression_table))) == 1 + both


@pytest.mark.parametrize("turned", [False, True])
def test_a_held_proof_is_joined_to_nobody(life: Life, *, turned: bool) -> None:
    """The other's erasure would find a request of theirs running, do nothing, and say that it was done."""
    held, other = life.joins(), life.joins(PRIVATE)
    with life.ws.store.write() as conn:
        told: dict[str, Any] = {"route": "page", "actor": "subject"}
        rights.request_erasure(conn, life.ws, life.subject(held), at=life.at, hold=True, **told)
    erasing.erase_open(life.ws, at=life.at)
    with pytest.raises(SubjectError, match="erased but for the proof"):
        merge(life, *((other, held) if turned else (held, other)))
    with life.ws.store.write() as conn:
        asked = rights.request_erasure(conn, life.ws, life.subject(other), at=life.later, **told)
    erasing.erase_open(life.ws, at=life.later)

    assert not asked.repeated
    erased = select(identities.c.subject).where(identities.c.erased_at.is_not(None))
    assert life.rows(erased) == [(life.subject(other),)]


@pytest.mark.parametrize("named", ["goes", "stays"])
@pytest.mark.parametrize("by_address", [False, True])
def test_a_withdrawal_after_the_merge_ends_both(life: Life, named: str, *, by_address: bool) -> None:
    """Whichever of the two is named, by number or by address; once is enough."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    merge(life, goes, stays)
    told: dict[str, Any] = {"controller": "default", "purposes": None, "route": "operator", "actor": "operator:vera"}

    def end() -> list[int]:
        with life.ws.store.write() as conn:
            if by_address:
                address = Address.of(ADDRESS if named == "goes" else PRIVATE)
                return ending.withdraw_address(conn, life.ws.keyring, address, **told, at=life.later)
            subject = life.subject(goes if named == "goes" else stays)
            return ending.withdraw(conn, subject=subject, **told, at=life.later)

    assert [len(end()), len(end())] == [2, 0]
    assert (may(life, goes), may(life, stays)) == (False, False)


def test_a_purpose_withdrawn_after_the_merge_ends_on_both(life: Life) -> None:
    """Mail goes on to both where only measuring was taken back."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    merge(life, goes, stays)
    with life.ws.store.write() as conn:
        ending.withdraw(
            conn, subject=life.subject(goes), controller="default", purposes=[TRACKING], route="page",
            actor="subject", at=life.later,
        )  # fmt: skip

    assert states(life, stays) == states(life, goes) == {NEWS: "given", TRACKING: "withdrawn"}


def test_the_provider_ends_both(life: Life) -> None:
    """Who unsubscribes at the provider from the one address gets no mail at the other."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    public_id = life.gets_mail(goes)
    merge(life, goes, stays)
    told = {"email": ADDRESS, "timestamp": int(life.later.timestamp()), "event": "unsubscribe", "sg_event_id": "u",
            "sg_message_id": "x.y", "nurture_message_id": public_id}  # fmt: skip
    life.hears("sendgrid", json.dumps([told]).encode())

    assert (may(life, goes), may(life, stays)) == (False, False)


def test_score_is_that_of_both_histories(life: Life) -> None:
    """Events move with a mark of where they came from; the score is folded from all of them."""
    goes = life.lives()
    stays = life.joins(PRIVATE)
    life.is_scored(stays)
    score = dict(life.rows(select(lead_score.c.lead_id, lead_score.c.score)))
    done = merge(life, goes, stays)
    with life.ws.store.write() as conn:
        due = project.cooling(conn, at=life.later, limit=10)
        project.rescore(conn, scoring_policy.load(life.ws.settings.policies), due, at=life.later)
    after = dict(life.rows(select(lead_score.c.lead_id, lead_score.c.engagement)))

    assert done.events == 3
    assert {row.attributes["merged_from"] for row in life.rows(select(event))} == {goes}
    assert after[goes] == 0
    assert after[stays] > 0
    assert score[goes] > score[stays]


def test_sequences_of_the_one_that_goes_end(life: Life) -> None:
    """With a reason of their own."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    life.gets_mail(goes)
    merge(life, goes, stays)

    assert life.rows(select(enrolment.c.state, enrolment.c.exit_reason)) == [("exited", "merged")]


def test_gaps_are_filled_and_nothing_is_overwritten(life: Life) -> None:
    """Names and facts of the person; what contradicts stays where it was."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    life.tells(goes)
    life.tells(stays, {"first_name": "Sophie"})
    with life.ws.store.write() as conn:
        conn.execute(lead.update().where(lead.c.id == stays).values(industry=None, company_size=9, role="unknown"))
        rows = [
            {"subject": life.subject(goes), "per_week": 1, "paused_until": None, "changed_at": life.at},
            {"subject": life.subject(stays), "per_week": 3, "paused_until": life.later, "changed_at": life.at},
        ]
        conn.execute(insert(mail_preference), rows)
    merge(life, goes, stays)
    with life.ws.store.write() as conn:
        record = rights.access(conn, life.ws, life.subject(goes), route="cli", actor="operator:x", at=life.later)
    known = {one["address"].lower(): one["details"] for one in record["persons"]}
    [facts] = [one for one in record["leads"] if one["lead"] == stays]
    chosen = {one["subject"]: (one["per_week"], one["paused_until"]) for one in record["preferences"]}

    assert known[PRIVATE] == {**DETAILS, "first_name": "Sophie"}
    assert known[ADDRESS.lower()]["first_name"] == DETAILS["first_name"]
    assert (facts["industry"], facts["company_size"], facts["role"]) == ("machinery", 9, "decider")
    assert chosen[life.subject(stays)] == (1, "2026-11-23T09:00:00Z")


def test_what_comes_later_goes_to_the_one_that_stays(life: Life) -> None:
    """A click in an old mail, a form under the old address."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    public_id = life.gets_mail(goes)
    merge(life, goes, stays)
    life.clicks(public_id)
    life.asks()

    assert {row.lead_id for row in life.rows(select(event.c.lead_id))} == {stays}


def test_sales_answers_about_the_one_that_stays(life: Life) -> None:
    """A handover stays with its lead; its answer moves the lead that stands, and is not asked for again."""
    goes = life.lives()
    stays = life.joins(PRIVATE)
    merge(life, goes, stays)
    [row] = life.rows(select(handover))
    stage = life.rows(select(lead.c.stage).where(lead.c.id == stays))
    at = life.later + timedelta(hours=1)
    with life.ws.store.write() as conn:
        moved = answers.give_back(conn, row.public_id, reason=answers.ReturnReason.TOO_EARLY, actor="vera", at=at)
        policy = handover_policy.load(life.ws.settings.policies)
        again = qualify(conn, policy, [goes, stays], zone=life.ws.settings.tz, at=at + timedelta(hours=1))

    assert (row.lead_id, stage, moved) == (goes, [("handed_over",)], stays)
    assert life.rows(select(lead.c.stage).where(lead.c.id == stays)) == [("recycled",)]
    assert again == ()


def test_customer_stays_a_customer(life: Life) -> None:
    """Stages in which marketing is silent win."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    with life.ws.store.write() as conn:
        move(conn, {goes: "customer"}, cause="import", at=life.at)
    merge(life, goes, stays)

    assert life.rows(select(lead.c.stage, lead.c.owner).where(lead.c.id == stays)) == [("customer", "sales")]


def test_restriction_holds_for_both(life: Life) -> None:
    """Of one half for the other."""
    goes, stays = life.joins(), life.joins(PRIVATE)
    zone: Any = life.ws.settings.tz
    with life.ws.store.write() as conn:
        rights.restrict(conn, life.subject(goes), route="cli", actor="operator:x", zone=zone, at=life.at)
    merge(life, goes, stays)

    assert [row.subject for row in life.entries("subject.restricted")] == [life.subject(goes), life.subject(stays)]


def test_wrong_pairs_are_refused(life: Life) -> None:
    """One and the same, nobody, one that was merged before; and a chain stays one level deep."""
    one, two, three = life.joins(), life.joins(PRIVATE), life.joins("third@andere.example")
    with pytest.raises(rights.RightsError, match="one and the same"):
        merge(life, one, one)
    with pytest.raises(rights.RightsError, match="no lead 99"):
        merge(life, 99, one)
    merge(life, one, two)
    with pytest.raises(rights.RightsError, match="merged into lead 2"):
        merge(life, one, three)
    merge(life, two, three)

    assert dict(life.rows(select(lead.c.id, lead.c.merged_into))) == {one: three, two: three, three: None}

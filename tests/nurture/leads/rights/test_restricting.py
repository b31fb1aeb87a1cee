"""Does a restriction or an objection stop mail, profile and handover at once? (R32)"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from consent import suppression
from consent.addresses import Address
from consent.identity import SubjectError
from consent.schema import consent_state
from consent.schema import identity as identity_table
from nurture.handover import deliver
from nurture.handover import policy as handover_policy
from nurture.handover.qualify import qualify
from nurture.handover.targets import Folder
from nurture.leads import rights
from nurture.leads.rights import erasing, restricting
from nurture.scoring import policy as scoring_policy
from nurture.scoring import project
from nurture.scoring.replay import replay
from nurture.store.tables import handover, lead_score, points
from tests.nurture.leads.rights.life import ADDRESS, Life

if TYPE_CHECKING:
    from collections.abc import Callable


def change(life: Life, lead_id: int, what: Callable[..., bool]) -> bool:
    """Restrict or end it."""
    zone = life.ws.settings.tz
    with life.ws.store.write() as conn:
        return what(conn, life.subject(lead_id), route="cli", actor="operator:vera", zone=zone, at=life.later)


def cool(life: Life) -> None:
    """Do what the run does every minute for those who are due."""
    at = life.later + timedelta(minutes=1)
    with life.ws.store.write() as conn:
        due = project.cooling(conn, at=at, limit=100)
        project.rescore(conn, scoring_policy.load(life.ws.settings.policies), due, at=at)


def bodies(life: Life, kind: str) -> list[Any]:
    """Read the bodies of ledger entries."""
    return [json.loads(row.leaf)["body"] for row in life.entries(kind)]


def test_restriction_has_its_entry_and_its_request(life: Life) -> None:
    """Once, however often it is asked for."""
    lead_id = life.joins()

    assert change(life, lead_id, rights.restrict)
    assert not change(life, lead_id, rights.restrict)
    assert bodies(life, "subject.restricted") == [{"reason": "request", "actor": "operator:vera"}]
    assert life.rows(select(identity_table.c.restricted_at)) == [(life.later,)]
    assert {(row.kind, row.state) for row in life.requests()} == {("restrict", "done")}


def test_restricted_person_has_no_score(life: Life) -> None:
    """Neither a sum nor a point; the replay agrees; the end of the restriction brings both back."""
    life.lives()
    [before] = life.rows(select(lead_score.c.score))
    change(life, 1, rights.restrict)
    cool(life)

    assert life.rows(select(lead_score.c.score, lead_score.c.temperature)) == [(0.0, "cold")]
    assert life.rows(select(func.count()).select_from(points)) == [(0,)]
    with life.ws.store.read() as conn:
        assert replay(conn, scoring_policy.load(life.ws.settings.policies)).different == ()
    change(life, 1, rights.unrestrict)
    cool(life)
    assert life.rows(select(lead_score.c.score))[0].score == pytest.approx(before.score, rel=0.05)


def test_restricted_person_is_not_handed_over(life: Life) -> None:
    """What waits in the outbox of handovers is withdrawn instead of delivered."""
    lead_id = life.joins()
    life.asks()
    policies, at = life.ws.settings.policies, life.at + timedelta(minutes=40)
    policy = handover_policy.load(policies)
    with life.ws.store.write() as conn:
        assert len(qualify(conn, policy, [lead_id], zone=life.ws.settings.tz, at=at)) == 1
    change(life, lead_id, rights.restrict)
    done = deliver.drain(life.ws, policy, Folder(life.ws.home / "handovers"), at=life.later)

    assert (done.delivered, life.rows(select(handover.c.state))) == ([], [("withdrawn",)])


def test_restriction_keeps_the_consent(life: Life) -> None:
    """It is suspended, not taken back."""
    change(life, life.joins(), rights.restrict)

    assert life.rows(select(consent_state.c.state).distinct()) == [("given",)]


def test_held_person_cannot_be_unrestricted(life: Life) -> None:
    """Only the proof is left: there is nothing to go back to."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        rights.request_erasure(
            conn, life.ws, life.subject(lead_id), route="cli", actor="operator:x", at=life.later, hold=True
        )
    erasing.erase_open(life.ws, at=life.later)

    with pytest.raises(SubjectError, match="only the proof"):
        change(life, lead_id, rights.unrestrict)


def test_objection_ends_mail_and_profile(life: Life) -> None:
    """Every consent, the address, the score."""
    lead_id = life.lives()
    with life.ws.store.write() as conn:
        assert restricting.object_(conn, life.subject(lead_id), controller="default", actor="operator:x", at=life.later)
        assert not restricting.object_(
            conn, life.subject(lead_id), controller="default", actor="operator:x", at=life.later
        )
    cool(life)

    assert life.rows(select(consent_state.c.state).distinct()) == [("withdrawn",)]
    assert bodies(life, "consent.withdrawn")[0]["route"] == "objection"
    assert life.rows(select(lead_score.c.score)) == [(0.0,)]
    index = life.ws.keyring.address_index(Address.of(ADDRESS).identity)
    with life.ws.store.read() as conn:
        assert suppression.suppressed(conn, [index]) == {index}

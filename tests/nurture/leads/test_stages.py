"""Do leads move between stages with a history, and who owns them there?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent import identity
from consent.addresses import Address
from nurture.leads import register
from nurture.leads.register import NewLead
from nurture.leads.stages import OWNERS, Owner, Stage, StageError, move
from nurture.store.tables import lead, stage_change

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace


def subject(conn: Connection, workspace: Workspace, name: str, at: datetime) -> str:
    """Give somebody's subject."""
    return identity.ensure(conn, workspace.keyring, Address.of(f"{name}@firma.example"), at=at)


def made(conn: Connection, workspace: Workspace, at: datetime, name: str = "vera", **more: object) -> int:
    """Register somebody from a form; give the lead."""
    new = NewLead(subject(conn, workspace, name, at), "de", "form", **more)  # type: ignore[arg-type]
    return register.register(conn, [new], at=at, keyring=workspace.keyring)[new.subject]


def history(conn: Connection, lead_id: int) -> list[tuple[str, str]]:
    """Give the stages of a lead with their causes."""
    query = select(stage_change.c.stage, stage_change.c.cause).where(stage_change.c.lead_id == lead_id)
    return [(row.stage, row.cause) for row in conn.execute(query.order_by(stage_change.c.id))]


@pytest.mark.requirement(1, 10)
def test_a_new_lead_has_source_and_time(workspace: Workspace, at: datetime) -> None:
    """A lead knows where it came from, when, and where it stands."""
    with workspace.store.write() as conn:
        row = conn.execute(select(lead).where(lead.c.id == made(conn, workspace, at))).one()
    assert (row.source, row.created_at, row.stage) == ("form", at, "confirmed")


def test_registering_twice_makes_one_lead(workspace: Workspace, at: datetime) -> None:
    """The second registration gives the same lead and no second history."""
    with workspace.store.write() as conn:
        first, second = made(conn, workspace, at), made(conn, workspace, at)
        assert first == second
        assert history(conn, first) == [("confirmed", "consent_confirmed")]


def test_a_confirmation_lifts_an_imported_lead(workspace: Workspace, at: datetime) -> None:
    """Who was imported unconfirmed and confirms later moves up, with both steps in the history."""
    with workspace.store.write() as conn:
        lead_id = made(conn, workspace, at, stage=Stage.UNCONFIRMED, cause="import")
        made(conn, workspace, at)
        assert history(conn, lead_id) == [("unconfirmed", "import"), ("confirmed", "consent_confirmed")]


def test_registering_never_moves_a_lead_back(workspace: Workspace, at: datetime) -> None:
    """A lead that went further stays there when it registers again."""
    with workspace.store.write() as conn:
        lead_id = made(conn, workspace, at)
        move(conn, {lead_id: Stage.MQL}, cause="score", at=at)
        made(conn, workspace, at)
        assert conn.execute(select(lead.c.stage)).scalar_one() == "mql"


def test_gaps_are_filled_and_facts_kept(workspace: Workspace, at: datetime) -> None:
    """What is unknown is learnt, what is known stays."""
    with workspace.store.write() as conn:
        made(conn, workspace, at, country="DE")
        made(conn, workspace, at, country="AT", industry="food")
        row = conn.execute(select(lead)).one()
    assert (row.country, row.industry) == ("DE", "food")


def test_the_zone_follows_the_country(workspace: Workspace, at: datetime) -> None:
    """A Swiss lead is written to by the clock of Zurich."""
    with workspace.store.write() as conn:
        made(conn, workspace, at, country="CH")
        assert conn.execute(select(lead.c.zone)).scalar_one() == "Europe/Zurich"


def test_address_facts_are_read_with_the_keyring(workspace: Workspace, at: datetime) -> None:
    """With the keys at hand, a shared mailbox is recognised by its address."""
    with workspace.store.write() as conn:
        made(conn, workspace, at, name="info")
        assert conn.execute(select(lead.c.role_address)).scalar_one() is True


def test_a_lead_is_found_by_any_spelling(workspace: Workspace, at: datetime) -> None:
    """Case and blanks do not matter, and nobody is found for what is no address."""
    with workspace.store.write() as conn:
        lead_id = made(conn, workspace, at)
        assert register.by_address(conn, workspace.keyring, " VERA@Firma.example ") == lead_id
        assert register.by_address(conn, workspace.keyring, "nobody@firma.example") is None
        assert register.by_address(conn, workspace.keyring, "no address") is None


@pytest.mark.requirement(109)
def test_each_stage_has_an_owner() -> None:
    """No stage is without somebody responsible."""
    assert set(OWNERS) == set(Stage)


@pytest.mark.requirement(104)
def test_the_owner_changes_once_per_handover(workspace: Workspace, at: datetime) -> None:
    """Sales takes over when the lead is handed over, and keeps it."""
    owners = []
    with workspace.store.write() as conn:
        lead_id = made(conn, workspace, at)
        for stage in (Stage.MQL, Stage.HANDED_OVER, Stage.SAL, Stage.SQL):
            move(conn, {lead_id: stage}, cause="test", at=at)
            owners.append(conn.execute(select(lead.c.owner)).scalar_one())
    assert owners == [Owner.MARKETING, Owner.SALES, Owner.SALES, Owner.SALES]


def test_staying_is_no_change(workspace: Workspace, at: datetime) -> None:
    """A move to where a lead stands, or of no lead at all, leaves no trace."""
    with workspace.store.write() as conn:
        lead_id = made(conn, workspace, at)
        assert move(conn, {lead_id: "confirmed", 9999: "mql"}, cause="score", at=at) == ()
        assert len(history(conn, lead_id)) == 1


@pytest.mark.requirement(2)
def test_a_change_needs_a_cause(workspace: Workspace, at: datetime) -> None:
    """A stage without a reason is refused."""
    with workspace.store.write() as conn, pytest.raises(StageError):
        move(conn, {1: "mql"}, cause="", at=at)


def test_an_unknown_stage_is_refused(workspace: Workspace, at: datetime) -> None:
    """A stage outside the closed set is refused."""
    with workspace.store.write() as conn, pytest.raises(StageError):
        move(conn, {1: "prospect"}, cause="score", at=at)

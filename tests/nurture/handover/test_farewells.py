"""Who withdrew everything and is still hot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from consent import imported, withdrawal
from nurture.handover import policy, qualify
from nurture.store.tables import handover, lead
from tests.nurture.handover.conftest import add_signal

if TYPE_CHECKING:
    from nurture.handover.policy import HandoverPolicy
    from nurture.store.workspace import Workspace
    from tests.nurture.handover.conftest import MakeLead

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def rules(workspace: Workspace) -> HandoverPolicy:
    """The policy that ships."""
    return policy.load(workspace.settings.policies)


def run(workspace: Workspace, rules: HandoverPolicy, leads: list[int], at: datetime) -> tuple[int, ...]:
    """Qualify in one transaction."""
    with workspace.store.write() as connection:
        return qualify.qualify(connection, rules, leads, zone=BERLIN, at=at)


def rows(workspace: Workspace) -> list[Any]:
    """Every handover, oldest first."""
    with workspace.store.read() as connection:
        return list(connection.execute(select(handover).order_by(handover.c.id)))


def withdraw_all(workspace: Workspace, lead_id: int, at: datetime) -> None:
    """End every consent of a lead."""
    with workspace.store.write() as connection:
        subject = connection.execute(select(lead.c.subject).where(lead.c.id == lead_id)).scalar_one()
        withdrawal.withdraw(
            connection, subject=subject, controller="default", purposes=None, route="page", actor="lead", at=at
        )


@pytest.mark.parametrize("signals", [(), (("demo_requested", 1.0),)])
def test_who_withdrew_is_not_handed_over(
    workspace: Workspace,
    make_lead: MakeLead,
    rules: HandoverPolicy,
    at: datetime,
    signals: tuple[tuple[str, float], ...],
) -> None:
    """Neither for being hot nor for what they asked before they wanted to be left alone."""
    made = make_lead("hot", signals)
    withdraw_all(workspace, made, at - timedelta(minutes=1))

    assert run(workspace, rules, [made], at) == ()


def test_a_request_after_a_withdrawal_counts(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Who asks for a demo wants an answer, though no newsletter."""
    made = make_lead("hot")
    withdraw_all(workspace, made, at - timedelta(hours=1))
    with workspace.store.write() as connection:
        add_signal(connection, made, "demo_requested", at - timedelta(minutes=1))
    run(workspace, rules, [made], at)

    assert [row.reason for row in rows(workspace)] == ["signal:demo_requested"]


def test_one_consent_left_is_enough(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Ending one of two purposes is no farewell."""
    made = make_lead("hot")
    with workspace.store.write() as connection:
        subject = connection.execute(select(lead.c.subject).where(lead.c.id == made)).scalar_one()
        events = imported.ImportedConsent(
            subject=subject, purpose="newsletter.events", controller="default", text="Ja",
            confirmed_at=at - timedelta(days=3), evidence={},
        )  # fmt: skip
        imported.record(connection, workspace.keyring, [events], at=at - timedelta(days=2))
        withdrawal.withdraw(
            connection, subject=subject, controller="default", purposes=["newsletter.events"], route="page",
            actor="lead", at=at - timedelta(hours=1),
        )  # fmt: skip

    assert len(run(workspace, rules, [made], at)) == 1

"""Telling sales what happened to a consent after the handover."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select, update

from consent import identity, imported, withdrawal
from consent.imported import ImportedConsent
from consent.schema import consent_state
from nurture.clock import VirtualClock
from nurture.handover import answers, deliver, notices, payload, policy, qualify
from nurture.handover.answers import ReturnReason
from nurture.handover.policy import HandoverError
from nurture.handover.targets import Answer, Delivery, Folder
from nurture.store.tables import handover, handover_notice, lead

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from nurture.handover.policy import HandoverPolicy
    from nurture.store.workspace import Workspace
    from tests.nurture.handover.conftest import MakeLead

HOUR = timedelta(hours=1)


class Sales:
    """A receiver that takes handovers and, where it is told so, refuses notices."""

    channel = "test"

    def __init__(self, *, refuses: bool = False, final: bool = False) -> None:
        """Take everything, or everything but notices."""
        self.refuses, self.final, self.seen = refuses, final, list[Delivery]()

    def hand_over(self, delivery: Delivery) -> Answer:
        """Answer at once."""
        self.seen.append(delivery)
        refused = self.refuses and delivery.event == payload.WITHDRAWN
        return Answer(taken=not refused, final=self.final, detail="422" if refused else "200")

    @property
    def notices(self) -> list[dict[str, Any]]:
        """The facts of each notice received."""
        return [json.loads(one.body)["data"] for one in self.seen if one.event == payload.WITHDRAWN]


@pytest.fixture
def rules(workspace: Workspace) -> HandoverPolicy:
    """The policy that ships."""
    return policy.load(workspace.settings.policies)


@pytest.fixture
def with_sales(workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime) -> Callable[[], str]:
    """Give a function that hands over somebody with two mail purposes, and gives the subject."""

    def make() -> str:
        made = make_lead("hot")
        with workspace.store.write() as connection:
            subject: str = connection.execute(select(lead.c.subject).where(lead.c.id == made)).scalar_one()
            events = ImportedConsent(
                subject=subject, purpose="newsletter.events", controller="default", text="Ja",
                confirmed_at=at - timedelta(days=3), evidence={},
            )  # fmt: skip
            imported.record(connection, workspace.keyring, [events], at=at - HOUR)
            qualify.qualify(connection, rules, [made], zone=ZoneInfo("Europe/Berlin"), at=at)
        deliver.drain(workspace, rules, Sales(), at=at)
        return subject

    return make


def withdraw(workspace: Workspace, subject: str, at: datetime, *purposes: str) -> None:
    """End the purposes named, or all."""
    with workspace.store.write() as connection:
        withdrawal.withdraw(
            connection, subject=subject, controller="default", purposes=purposes or None, route="page",
            actor="subject", at=at,
        )  # fmt: skip


def states(workspace: Workspace) -> list[str]:
    """The state of each notice."""
    with workspace.store.read() as connection:
        return list(connection.execute(select(handover_notice.c.state).order_by(handover_notice.c.seq)).scalars())


def test_two_purposes_withdrawn_are_one_notice(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime
) -> None:
    """One act of a person is one thing to tell, however many consents it ended."""
    withdraw(workspace, with_sales(), at + HOUR)
    sales = Sales()
    notices.announce(workspace, sales, at=at + 2 * HOUR)
    notices.announce(workspace, sales, at=at + 3 * HOUR)

    assert [one["purposes"] for one in sales.notices] == [["*"]]


def test_each_withdrawal_is_announced_under_its_id(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime
) -> None:
    """The second one is no repetition of the first."""
    subject, sales = with_sales(), Sales()
    for hours, purpose in enumerate(("newsletter.events", "newsletter.product"), 1):
        withdraw(workspace, subject, at + hours * HOUR, purpose)
        notices.announce(workspace, sales, at=at + hours * HOUR)

    assert ["newsletter.events" in one["purposes"] for one in sales.notices] == [True, False]
    assert len({one.id for one in sales.seen}) == 2


def test_refused_notices_do_not_raise_or_flood(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime
) -> None:
    """Each waits longer, and after ten tries it is dead; a run never fails for it."""
    withdraw(workspace, with_sales(), at + HOUR)
    sales = Sales(refuses=True)
    for minutes in range(4):
        notices.announce(workspace, sales, at=at + 2 * HOUR + timedelta(minutes=minutes))
    soon = len(sales.notices)
    for days in range(1, 20):
        notices.announce(workspace, sales, at=at + timedelta(days=days))

    assert (soon, len(sales.notices), states(workspace)) == (2, 10, ["dead"])


def test_refused_notices_leave_room_for_others(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime
) -> None:
    """A chunk is not filled for ever by those that wait."""
    for hours in (1, 2):
        withdraw(workspace, with_sales(), at + hours * HOUR)
    sales = Sales(refuses=True)
    for seconds in (0, 1):
        notices.announce(workspace, sales, at=at + 3 * HOUR + timedelta(seconds=seconds), limit=1)

    assert len({one["handover"] for one in sales.notices}) == 2


def test_dead_notices_can_be_sent_again(workspace: Workspace, with_sales: Callable[[], str], at: datetime) -> None:
    """Also when the handover itself was answered."""
    withdraw(workspace, with_sales(), at + HOUR)
    notices.announce(workspace, Sales(refuses=True, final=True), at=at + HOUR)
    with workspace.store.write() as connection:
        name = connection.execute(select(handover.c.public_id)).scalar_one()
        answers.accept(connection, name, actor="vera", at=at + HOUR)
        deliver.send_again(connection, name, at=at + 2 * HOUR)
    sales = Sales()
    notices.announce(workspace, sales, at=at + 2 * HOUR)

    assert (len(sales.notices), states(workspace)) == (1, ["taken"])


def test_leads_without_consent_are_announced(workspace: Workspace, with_sales: Callable[[], str], at: datetime) -> None:
    """Who asked for a demo without the newsletter can say "nothing more" too."""
    subject, sales = with_sales(), Sales()
    with workspace.store.write() as connection:
        connection.execute(delete(consent_state).where(consent_state.c.subject == subject))
    withdraw(workspace, subject, at + HOUR)
    notices.announce(workspace, sales, at=at + HOUR)

    assert len(sales.notices) == 1


def test_an_erasure_is_announced(workspace: Workspace, with_sales: Callable[[], str], at: datetime) -> None:
    """Sales has to delete what they hold."""
    subject, sales = with_sales(), Sales()
    with workspace.store.write() as connection:
        identity.erase(connection, subject, at=at + HOUR)
    notices.announce(workspace, sales, at=at + HOUR)

    assert [one["erased"] for one in sales.notices] == [True]


def test_the_end_of_tracking_is_not_announced(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime
) -> None:
    """Sales does not measure mails."""
    subject, sales = with_sales(), Sales()
    withdraw(workspace, subject, at + HOUR, "email.tracking")
    notices.announce(workspace, sales, at=at + HOUR)

    assert (sales.notices, states(workspace)) == ([], ["moot"])


def test_returned_leads_are_not_announced(workspace: Workspace, with_sales: Callable[[], str], at: datetime) -> None:
    """They are marketing's again."""
    subject, sales = with_sales(), Sales()
    with workspace.store.write() as connection:
        name = connection.execute(select(handover.c.public_id)).scalar_one()
        answers.give_back(connection, name, reason=ReturnReason.TOO_EARLY, actor="vera", at=at)
    withdraw(workspace, subject, at + HOUR)
    notices.announce(workspace, sales, at=at + HOUR)

    assert sales.seen == []


def test_notices_become_files_of_their_own(
    workspace: Workspace, with_sales: Callable[[], str], at: datetime, tmp_path: Path
) -> None:
    """The second withdrawal does not replace the first."""
    subject, folder = with_sales(), Folder(tmp_path / "handovers")
    for hours, purpose in enumerate(("newsletter.events", "newsletter.product"), 1):
        withdraw(workspace, subject, at + hours * HOUR, purpose)
        notices.announce(workspace, folder, at=at + hours * HOUR)

    assert len(list((tmp_path / "handovers").iterdir())) == 2


class Slow(Sales):
    """A receiver that takes its time; a second worker comes by during each call."""

    def __init__(self, clock: VirtualClock, meanwhile: Callable[[], object]) -> None:
        """Use up the time of this clock."""
        super().__init__()
        self.clock, self.meanwhile = clock, meanwhile

    def hand_over(self, delivery: Delivery) -> Answer:
        """Answer after half a minute."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=30))
        answer = super().hand_over(delivery)
        self.meanwhile()
        return answer


def outstanding(workspace: Workspace, at: datetime) -> None:
    """Put every handover back into the outbox."""
    with workspace.store.write() as connection:
        connection.execute(update(handover).values(state="created", next_attempt_at=at))


def test_each_call_bears_its_own_time(
    workspace: Workspace, with_sales: Callable[[], str], rules: HandoverPolicy, at: datetime
) -> None:
    """Receivers refuse signatures that are minutes old."""
    for _ in range(3):
        with_sales()
    outstanding(workspace, at)
    clock = VirtualClock(at)
    sales = Slow(clock, lambda: None)
    deliver.drain(workspace, rules, sales, at=at, clock=clock)

    assert [one.at - at for one in sales.seen] == [timedelta(seconds=seconds) for seconds in (0, 30, 60)]


def test_a_call_in_flight_is_not_repeated(
    workspace: Workspace, with_sales: Callable[[], str], rules: HandoverPolicy, at: datetime
) -> None:
    """A second worker leaves it alone for as long as a call can take."""
    with_sales()
    outstanding(workspace, at)
    clock, other = VirtualClock(at), Sales()
    slow = Slow(clock, lambda: deliver.drain(workspace, rules, other, at=clock.now(), clock=clock))
    deliver.drain(workspace, rules, slow, at=at, clock=clock)

    assert (len(slow.seen), other.seen) == (1, [])


def test_unknown_handovers_are_not_sent_again(workspace: Workspace, at: datetime) -> None:
    """A typing mistake is told."""
    with pytest.raises(HandoverError, match="unknown"), workspace.store.write() as connection:
        deliver.send_again(connection, "nosuchhandover", at=at)

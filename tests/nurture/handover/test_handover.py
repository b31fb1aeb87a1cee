"""Qualifying, delivering and answering handovers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from sqlalchemy import select, update

from consent import identity, withdrawal
from nurture.handover import answers, deliver, notices, payload, policy, qualify
from nurture.handover.answers import ReturnReason
from nurture.handover.policy import HandoverError, WorkingHours
from nurture.handover.targets import Answer, Delivery, Folder
from nurture.store.definitions import DefinitionError
from nurture.store.tables import handover, handover_attempt, lead, lead_score, stage_change
from tests.nurture.handover.conftest import add_signal

if TYPE_CHECKING:
    from nurture.handover.policy import HandoverPolicy
    from nurture.store.workspace import Workspace
    from tests.nurture.handover.conftest import MakeLead

BERLIN = ZoneInfo("Europe/Berlin")


class Refusing:
    """A target that takes nothing for a while."""

    channel = "test"

    def __init__(self, *answers_: Answer) -> None:
        """Answer these in turn, then take everything."""
        self.answers, self.seen = list(answers_), list[Delivery]()

    def hand_over(self, delivery: Delivery) -> Answer:
        """Answer the next."""
        self.seen.append(delivery)
        return self.answers.pop(0) if self.answers else Answer(taken=True, final=True, detail="200")


class Crashing:
    """A target during whose call the process dies."""

    channel = "test"

    def hand_over(self, _delivery: Delivery) -> Answer:
        """Stand for kill -9."""
        raise KeyboardInterrupt


NOT_NOW = Answer(taken=False, final=False, detail="503")


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


def stage(workspace: Workspace, lead_id: int) -> tuple[str, str]:
    """Stage and owner of a lead."""
    with workspace.store.read() as connection:
        found = connection.execute(select(lead.c.stage, lead.c.owner).where(lead.c.id == lead_id)).one()
        return found.stage, found.owner


@pytest.mark.requirement(6, 72, 105)
def test_a_demo_request_hands_over_cold_leads(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """A strong request works outside the score, and names itself as the reason."""
    run(workspace, rules, [make_lead("cold", (("demo_requested", 1),))], at)

    assert [row.reason for row in rows(workspace)] == ["signal:demo_requested"]


@pytest.mark.requirement(64, 71, 105)
def test_a_hot_lead_is_handed_over(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The threshold alone is enough by the shipped policy."""
    run(workspace, rules, [make_lead("hot")], at)

    assert [row.reason for row in rows(workspace)] == ["threshold"]


@pytest.mark.requirement(15, 74)
def test_warm_leads_without_signal_stay(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """No rule fits, so marketing keeps nurturing."""
    assert run(workspace, rules, [make_lead("warm"), make_lead("cold")], at) == ()


@pytest.mark.requirement(73)
def test_matrix_policy_keeps_hot_without_signal(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Where score and signal must agree, a high score alone is not handed over."""
    both = rules.rules[0].model_copy(update={"when": policy.Condition(temperature="hot", signal=("any",))})
    matrix = rules.model_copy(update={"rules": (both,)})
    hot, ready = make_lead("hot"), make_lead("hot", (("price_requested", 1),))
    run(workspace, matrix, [hot, ready], at)

    assert [row.lead_id for row in rows(workspace)] == [ready]


def test_old_signals_do_not_qualify(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """A request of more than 30 days ago is over."""
    assert run(workspace, rules, [make_lead("cold", (("demo_requested", 31),))], at) == ()


@pytest.mark.requirement(104)
def test_a_second_run_changes_nothing(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The owner changes exactly once per handover."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    run(workspace, rules, [made], at + timedelta(minutes=1))

    with workspace.store.read() as connection:
        moves = connection.execute(select(stage_change.c.stage).where(stage_change.c.lead_id == made)).scalars().all()

    assert (len(rows(workspace)), list(moves).count("handed_over")) == (1, 1)


@pytest.mark.requirement(109)
def test_a_handed_over_lead_belongs_to_sales(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Stage and owner follow."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)

    assert stage(workspace, made) == ("handed_over", "sales")


@pytest.mark.requirement(82, 113)
def test_the_body_follows_its_published_schema(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """What is delivered validates against docs/reference/handover.schema.json, which is current."""
    run(workspace, rules, [make_lead("hot", (("demo_requested", 1),))], at)
    target = Refusing()
    deliver.drain(workspace, rules, target, at=at)
    published = Path(workspace.settings.project, "docs", "reference", "handover.schema.json")
    schema = json.loads(published.read_text("utf-8"))

    jsonschema.validate(json.loads(target.seen[0].body), schema)
    assert schema == payload.schema()


def test_the_body_tells_who_and_why(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Name, reason, temperature, consent and next action are there."""
    run(workspace, rules, [make_lead("hot", (("demo_requested", 1),))], at)
    target = Refusing()
    deliver.drain(workspace, rules, target, at=at)
    data = json.loads(target.seen[0].body)["data"]

    shown = {"name": data["contact"]["last_name"], "reason": data["reason"], "is": data["score"]["temperature"]}

    assert shown == {"name": "Berghammer", "reason": "signal:demo_requested", "is": "hot"}
    assert (data["channels_allowed"], data["next_action"]) == (["email"], "Demo-Termin anbieten")


def test_the_table_holds_no_name(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The payload is sealed under the subject's key."""
    run(workspace, rules, [make_lead("hot")], at)
    deliver.drain(workspace, rules, Refusing(), at=at)

    assert b"Berghammer" not in rows(workspace)[0].sealed_payload


def test_a_refused_delivery_is_tried_again(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The same id comes again after the first wait, not before."""
    run(workspace, rules, [make_lead("hot")], at)
    target = Refusing(NOT_NOW)
    deliver.drain(workspace, rules, target, at=at)
    deliver.drain(workspace, rules, target, at=at + timedelta(seconds=4))
    deliver.drain(workspace, rules, target, at=at + timedelta(seconds=6))

    assert [one.key for one in target.seen] == [rows(workspace)[0].public_id] * 2


def test_ten_refusals_end_on_the_dead_list(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """After about three days nobody tries any more, and it shows."""
    run(workspace, rules, [make_lead("hot")], at)
    target = Refusing(*[NOT_NOW] * 20)
    for day in range(20):
        deliver.drain(workspace, rules, target, at=at + timedelta(days=day))

    assert (rows(workspace)[0].state, len(target.seen)) == ("dead", 10)


def test_gone_ends_it_at_once(workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime) -> None:
    """410 means: never again."""
    run(workspace, rules, [make_lead("hot")], at)
    deliver.drain(workspace, rules, Refusing(Answer(taken=False, final=True, detail="410")), at=at)

    assert rows(workspace)[0].state == "dead"


def test_a_crash_after_the_call_repeats_the_id(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """At least once, under one stable id, so that the receiver recognises it."""
    run(workspace, rules, [make_lead("hot")], at)
    target = Refusing()

    with pytest.raises(KeyboardInterrupt):
        deliver.drain(workspace, rules, Crashing(), at=at)
    deliver.drain(workspace, rules, target, at=at + timedelta(minutes=2))

    assert (len(target.seen), rows(workspace)[0].state) == (1, "delivered")


def test_two_workers_deliver_once(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The claim is a compare-and-set."""
    run(workspace, rules, [make_lead("hot") for _ in range(5)], at)
    target, start = Refusing(), Barrier(2)

    def work() -> None:
        start.wait()
        deliver.drain(workspace, rules, target, at=at)

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.key for one in target.seen) == sorted(row.public_id for row in rows(workspace))


def test_an_erased_lead_is_not_handed_over(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """There is nobody left; the handover is withdrawn."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        subject = connection.execute(select(lead.c.subject).where(lead.c.id == made)).scalar_one()
        identity.erase(connection, subject, at=at)
    target = Refusing()
    deliver.drain(workspace, rules, target, at=at)

    assert (target.seen, rows(workspace)[0].state) == ([], "withdrawn")


def test_a_withdrawal_reaches_sales_once(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Whoever works on the lead is told, and not twice."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    target = Refusing()
    deliver.drain(workspace, rules, target, at=at)
    later = at + timedelta(hours=1)
    with workspace.store.write() as connection:
        subject = connection.execute(select(lead.c.subject).where(lead.c.id == made)).scalar_one()
        withdrawal.withdraw(
            connection, subject=subject, controller="default", purposes=None, route="page", actor="lead", at=later
        )
    notices.announce(workspace, target, at=later)
    notices.announce(workspace, target, at=later)

    assert [one.event for one in target.seen] == [payload.CREATED, payload.WITHDRAWN]


@pytest.mark.requirement(107)
def test_acceptance_makes_a_sales_accepted_lead(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """SAL needs the word of a person."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        answers.accept(connection, rows(workspace)[0].public_id, actor="vera", at=at)

    assert stage(workspace, made) == ("sal", "sales")


@pytest.mark.requirement(99)
@pytest.mark.parametrize("reason", [ReturnReason.NOT_DECIDER, ReturnReason.BUDGET_OPEN, ReturnReason.OTHER_PRIORITIES])
def test_returned_leads_are_nurtured_on(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime, reason: ReturnReason
) -> None:
    """A silent lead is not lost."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        answers.give_back(connection, rows(workspace)[0].public_id, reason=reason, actor="vera", at=at)

    assert stage(workspace, made) == ("recycled", "marketing")


@pytest.mark.requirement(83)
def test_a_knock_out_reason_ends_nurturing(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """No fit means disqualified."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        answers.give_back(connection, rows(workspace)[0].public_id, reason=ReturnReason.NO_FIT, actor="vera", at=at)

    assert stage(workspace, made)[0] == "disqualified"


def test_a_returned_lead_needs_new_evidence(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The old request and the old temperature do not count again; a new request does, in epoch 2."""
    made = make_lead("hot", (("demo_requested", 1),))
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        answers.give_back(connection, rows(workspace)[0].public_id, reason=ReturnReason.TOO_EARLY, actor="vera", at=at)
    again = run(workspace, rules, [made], at + timedelta(hours=1))
    with workspace.store.write() as connection:
        add_signal(connection, made, "offer_requested", at + timedelta(hours=2))
    run(workspace, rules, [made], at + timedelta(hours=3))

    assert (again, [row.epoch for row in rows(workspace)]) == ((), [1, 2])


def test_answers_cannot_be_changed(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """An accepted handover is not returned."""
    run(workspace, rules, [make_lead("hot")], at)
    name = rows(workspace)[0].public_id
    with workspace.store.write() as connection:
        answers.accept(connection, name, actor="vera", at=at)

    with workspace.store.write() as connection, pytest.raises(HandoverError, match="accepted"):
        answers.give_back(connection, name, reason=ReturnReason.NO_FIT, actor="vera", at=at)


def test_accepting_twice_is_harmless(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """The second click finds the first answer."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    name = rows(workspace)[0].public_id
    with workspace.store.write() as connection:
        given = [answers.accept(connection, name, actor="vera", at=at) for _ in range(2)]

    assert given == [made, made]


def test_a_missed_deadline_escalates(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """Nobody answered in time."""
    run(workspace, rules, [make_lead("hot", (("demo_requested", 0),))], at)
    deliver.drain(workspace, rules, Refusing(), at=at)
    with workspace.store.write() as connection:
        early = answers.expire(connection, at=at + timedelta(hours=3))
        late = answers.expire(connection, at=at + timedelta(hours=5))

    assert (early, late) == ([], [rows(workspace)[0].public_id])


@pytest.mark.parametrize("refusal", [NOT_NOW, Answer(taken=False, final=True, detail="410")])
def test_undelivered_deadlines_are_overdue_once(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime, refusal: Answer
) -> None:
    """Nobody in sales knows of the lead, so a person here has to."""
    run(workspace, rules, [make_lead("hot", (("demo_requested", 0),))], at)
    deliver.drain(workspace, rules, Refusing(refusal), at=at)
    hours = [at + timedelta(hours=hours) for hours in (0, 3, 5, 7)]
    with workspace.store.write() as connection:
        escalated = answers.expire(connection, at=hours[-1])
        late = [answers.overdue(connection, after=a, until=b) for a, b in pairwise(hours)]

    assert (escalated, late) == ([], [[], [rows(workspace)[0].public_id], []])


@pytest.mark.parametrize("answer", ["accepted", "returned"])
def test_dead_handovers_can_be_answered(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime, answer: str
) -> None:
    """A lead whose handover never arrived is not stuck with sales."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    deliver.drain(workspace, rules, Refusing(Answer(taken=False, final=True, detail="410")), at=at)
    name = rows(workspace)[0].public_id
    with workspace.store.write() as connection:
        if answer == "accepted":
            answers.accept(connection, name, actor="vera", at=at)
        else:
            answers.give_back(connection, name, reason=ReturnReason.TOO_EARLY, actor="vera", at=at)

    assert stage(workspace, made) == {"accepted": ("sal", "sales"), "returned": ("recycled", "marketing")}[answer]


def test_resending_keeps_the_id(workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime) -> None:
    """A person may deliver it again; both tries are on record."""
    run(workspace, rules, [make_lead("hot")], at)
    target = Refusing()
    deliver.drain(workspace, rules, target, at=at)
    with workspace.store.write() as connection:
        deliver.send_again(connection, rows(workspace)[0].public_id, at=at)
    deliver.drain(workspace, rules, target, at=at)
    with workspace.store.read() as connection:
        tries = connection.execute(select(handover_attempt.c.n)).scalars().all()

    assert (len({one.key for one in target.seen}), sorted(tries)) == (1, [1, 2])


def test_the_folder_gets_whole_files(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime, tmp_path: Path
) -> None:
    """One readable JSON file per handover, readable by its owner only."""
    run(workspace, rules, [make_lead("hot")], at)
    deliver.drain(workspace, rules, Folder(tmp_path / "handovers"), at=at)
    files = list((tmp_path / "handovers").iterdir())

    assert [(path.name, path.stat().st_mode & 0o777) for path in files] == [
        (f"{rows(workspace)[0].public_id}.created.json", 0o600)
    ]


def test_temperature_must_come_back(
    workspace: Workspace, make_lead: MakeLead, rules: HandoverPolicy, at: datetime
) -> None:
    """A returned lead that cools and turns hot again is handed over again."""
    made = make_lead("hot")
    run(workspace, rules, [made], at)
    with workspace.store.write() as connection:
        answers.give_back(connection, rows(workspace)[0].public_id, reason=ReturnReason.TOO_EARLY, actor="vera", at=at)
        connection.execute(
            update(lead_score).where(lead_score.c.lead_id == made).values(temperature_since=at + timedelta(days=9))
        )

    assert len(run(workspace, rules, [made], at + timedelta(days=10))) == 1


HOURS = WorkingHours.model_validate({"days": "mon-fri", "from": "09:00", "to": "17:00", "holidays": "DE"})


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-23T10:00", 4, "2026-11-23T14:00"),
        ("2026-11-23T16:00", 4, "2026-11-24T12:00"),
        ("2026-11-27T16:00", 4, "2026-11-30T12:00"),  # over a week-end
        ("2026-12-24T16:00", 2, "2026-12-28T10:00"),  # over Christmas
        ("2026-03-27T16:00", 2, "2026-03-30T10:00"),  # into summer time
        ("2026-11-22T03:00", 8, "2026-11-23T17:00"),  # asked on a Sunday night
    ],
)
def test_deadlines_count_working_hours(start: str, hours: int, end: str) -> None:
    """Evenings, week-ends and holidays do not count."""
    begun = datetime.fromisoformat(start).replace(tzinfo=BERLIN).astimezone(UTC)

    assert HOURS.deadline(begun, timedelta(hours=hours), BERLIN) == datetime.fromisoformat(end).replace(tzinfo=BERLIN)


def test_policy_mistakes_name_their_line(tmp_path: Path, rules: HandoverPolicy, workspace: Workspace) -> None:
    """Two mistakes give two messages, each with file, line and path."""
    text = (workspace.settings.policies / "handover.yaml").read_text("utf-8")
    broken = text.replace("temperature: hot", "temperature: boiling").replace("answer_within: 4h", "answer_in: 4h")
    (tmp_path / "handover.yaml").write_text(broken, "utf-8")

    with pytest.raises(DefinitionError) as caught:
        policy.load(tmp_path)

    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["handover.yaml:8", "rules[0].answer_within"],
        ["handover.yaml:10", "rules[0].answer_in"],
        ["handover.yaml:13", "rules[1].when.temperature"],
    ]

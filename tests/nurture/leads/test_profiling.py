"""One question more: never a known one, never two in a visit, never a mandatory one."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from sqlalchemy import select

from consent import identity, rights
from consent.addresses import Address
from nurture.leads import profiling, register
from nurture.leads.profiling import SETTLED, Profile, answer, settle, upcoming
from nurture.leads.register import NewLead
from nurture.settings import PROJECT
from nurture.store.definitions import DefinitionError
from nurture.store.tables import lead

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.store.workspace import Workspace

POLICY = profiling.load(PROJECT / "policies")
START = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHIPPED = PROJECT / "policies" / "profiling.yaml"


# --- the file ----------------------------------------------------------------------------------


@pytest.mark.requirement(96)
def test_the_shipped_questions_are_the_usual_four() -> None:
    assert [question.id for question in POLICY.questions] == ["name", "company", "position", "interest"]


def test_the_shipped_file_fits_its_schema() -> None:
    copy = json.loads((PROJECT / "docs" / "reference" / "profiling.schema.json").read_text("utf-8"))
    assert copy == profiling.json_schema()
    jsonschema.Draft202012Validator(copy).validate(json.loads(json.dumps(YAML(typ="safe").load(SHIPPED))))


@pytest.mark.requirement(94)
@pytest.mark.parametrize(("old", "new", "complaint"), [
    ("kind: text\n", "kind: text\n    mandatory: true\n", "mandatory: is no known key here"),
    ("company: {de: Unternehmen", "birthday: {de: Geburtstag", "fields"),
    ("rest: 1d", "rest: 5m", "an hour or more"),
    ("id: company", "id: name", "the same"),
    (", en: Position}", "}", "fields.job_title.en: is missing"),
    (", en: Position}", ", en: Position, fr: Poste}", "fr: is no known key here"),
    ("kind: choice", "kind: guess", "guess is no kind known here"),
])  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = SHIPPED.read_text("utf-8")
    assert old in text
    (tmp_path / "profiling.yaml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(DefinitionError, match=complaint) as caught:
        profiling.load(tmp_path)
    assert all(finding.line > 1 for finding in caught.value.findings)


def test_no_question_at_all_is_fine(tmp_path: Path) -> None:
    shutil.copy(SHIPPED, tmp_path)
    text = SHIPPED.read_text("utf-8")
    (tmp_path / "profiling.yaml").write_text(text[: text.index("questions:")] + "questions: []\n", "utf-8")
    assert upcoming(profiling.load(tmp_path), Profile({}), at=START) is None


# --- the order, for any sequence of visits ---------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.text(max_size=5)),
        st.tuples(st.just("skip"), st.just("")),
        st.tuples(st.just("look"), st.just("")),
        st.tuples(st.just("learn"), st.sampled_from(["first_name", "company", "job_title", "product_interest"])),
        st.tuples(st.just("role"), st.just("")),
        st.tuples(st.just("wait"), st.integers(0, 24 * 200)),
    ),
    max_size=40,
)


@pytest.mark.requirement(97)
@given(events=EVENTS)
def test_a_visit_brings_one_question_at_most_and_none_that_is_known(events: list[tuple[str, str | int]]) -> None:
    """Within `rest` (a visit) at most one question is settled, and what is asked was never known."""
    now, details, role = START, dict[str, str](), "unknown"
    settled: list[datetime] = []
    for kind, value in events:
        question = upcoming(POLICY, Profile(details, role), at=now)
        if question is not None:
            assert not any(details.get(name) for name in question.answers)
            assert question.id != "position" or role == "unknown"
            assert not settled or now >= settled[-1] + POLICY.rest
            put_aside = details.get(f"profile_skipped_{question.id}")
            assert put_aside is None or now >= datetime.fromisoformat(put_aside) + POLICY.skip
            # Looking again, without an answer, shows the same question: no second one in the same visit.
            assert upcoming(POLICY, Profile(details, role), at=now + timedelta(minutes=59)) == question
        if kind in {"answer", "skip"} and question is not None:
            told = {name: str(value) for name in question.answers} if kind == "answer" else {}
            details |= settle(question, told, at=now)
            settled.append(now)
            assert upcoming(POLICY, Profile(details, role), at=now) is None
        elif kind == "learn":
            details[str(value)] = "x"
        elif kind == "role":
            role = "decider"
        elif kind == "wait":
            now += timedelta(hours=int(value))


@given(typed=st.text(max_size=300))
def test_an_answer_is_one_clean_line(typed: str) -> None:
    question = POLICY.questions[1]
    read = question.read("company", typed)
    assert len(read) <= 120
    assert read == read.strip()
    assert read.isprintable() or not read.isascii()
    assert not set(read) & set("\r\n\t\x00\u202e")


def test_only_an_offered_choice_is_an_answer() -> None:
    question = POLICY.questions[3]
    assert [question.read("product_interest", typed) for typed in ("energy", "nothing", "")] == ["energy", "", ""]
    assert question.read("company", "energy") == ""


def test_damaged_times_count_as_none() -> None:
    assert upcoming(POLICY, Profile({SETTLED: "x"}), at=START) == POLICY.questions[0]


# --- kept with the person ----------------------------------------------------------------------


@pytest.fixture
def subject(workspace: Workspace, at: datetime) -> str:
    """A lead of whom nothing is known."""
    with workspace.store.write() as conn:
        made = identity.ensure(conn, workspace.keyring, Address.of("anna@firma.example"), at=at)
        register.register(conn, [NewLead(made, "de", "form")], at=at, keyring=workspace.keyring)
    return made


def tell(ws: Workspace, subject: str, question: str, at: datetime, **told: str) -> bool:
    """Answer a question."""
    with ws.store.write() as conn:
        return answer(conn, ws.keyring, POLICY, subject, question=question, given=told, at=at)


def details(ws: Workspace, subject: str) -> dict[str, str]:
    """What is known of a person."""
    with ws.store.read() as conn:
        return dict(identity.reveal(conn, ws.keyring, [subject])[subject].details)


def test_an_answer_is_sealed_with_the_person(workspace: Workspace, subject: str, at: datetime) -> None:
    assert tell(workspace, subject, "name", at, first_name=" Anna ", last_name="Beispiel", company="ignored")
    known = details(workspace, subject)
    assert (known["first_name"], known["last_name"], "company" in known) == ("Anna", "Beispiel", False)


def test_a_position_gives_the_lead_its_class_alone(workspace: Workspace, subject: str, at: datetime) -> None:
    assert tell(workspace, subject, "name", at)
    assert tell(workspace, subject, "company", at + timedelta(days=1))
    assert tell(workspace, subject, "position", at + timedelta(days=2), job_title="Leiterin")
    with workspace.store.read() as conn:
        row = conn.execute(select(lead.c.role, lead.c.stage)).one()
    assert tuple(row) == ("decider", "confirmed")


def test_the_wrong_question_is_not_taken(workspace: Workspace, subject: str, at: datetime) -> None:
    assert not tell(workspace, subject, "company", at, company="Firma")
    assert tell(workspace, subject, "name", at, last_name="Beispiel")
    assert not tell(workspace, subject, "name", at, last_name="Other")
    assert not tell(workspace, subject, "company", at + timedelta(hours=23), company="Firma")
    assert details(workspace, subject)["last_name"] == "Beispiel"


def test_what_is_known_is_never_overwritten(workspace: Workspace, subject: str, at: datetime) -> None:
    with workspace.store.write() as conn:
        identity.describe(conn, workspace.keyring, {subject: {"last_name": "Beispiel"}})
    assert not tell(workspace, subject, "name", at, first_name="X", last_name="Y")
    assert details(workspace, subject) == {"last_name": "Beispiel"}


def test_nothing_is_asked_of_whoever_was_erased(workspace: Workspace, subject: str, at: datetime) -> None:
    with workspace.store.write() as conn:
        identity.erase(conn, subject, at=at)
        assert profiling.ask(conn, workspace.keyring, POLICY, subject, at=at) is None
    assert not tell(workspace, subject, "name", at, last_name="Beispiel")


def test_nothing_is_asked_of_whoever_is_restricted(workspace: Workspace, subject: str, at: datetime) -> None:
    with workspace.store.write() as conn:
        rights.restrict(conn, subject, reason="dispute", actor="operator", at=at)
    assert not tell(workspace, subject, "name", at, last_name="Beispiel")
    assert details(workspace, subject) == {}

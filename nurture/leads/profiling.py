"""What may we ask somebody next, beyond the address? One new thing in a visit, never a known one (R36).

The questions stand in policies/profiling.yaml, in their order. Answers are sealed with the person; of
the position only its class goes to the lead, for the fit score. "Rather not" is kept in the same sealed
place, so nothing is asked again and no cookie is needed: a visit is a span of time (`rest`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, StringConstraints, field_validator
from sqlalchemy import select
from typing_extensions import TypedDict

from consent import identity, rights
from nurture.leads import register
from nurture.leads.roles import role_of
from nurture.leads.stages import Stage
from nurture.store import definitions
from nurture.store.definitions import Length, Part
from nurture.store.tables import lead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from consent.keys import Keyring

FILE = "profiling.yaml"
SETTLED = "profile_settled_at"
"""Detail: when the last question was answered or put aside."""
SKIPPED = "profile_skipped_"
"""Detail, followed by the question's id: since when "rather not" holds."""
LONGEST = 120
"""Characters of an answer."""

Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
Answerable = Literal["first_name", "last_name", "company", "job_title"]
"""What a text question may fill: details of the person."""
ASKABLE = frozenset({*get_args(Answerable), "product_interest"})
"""All that a question can fill."""
KNOWN_BY = {"job_title": "role"}
"""A fact of the lead that answers a question as well."""


class Texts(TypedDict):
    """A text in both languages."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic reads it here

    de: str
    en: str


class _Asked(Part):
    """What all questions have. None of them can be made mandatory: there is no such key."""

    id: Name
    ask: Texts


class TextQuestion(_Asked):
    """Asks for one thing in words; a name is one thing with two fields."""

    kind: Literal["text"]
    fields: dict[Answerable, Texts] = Field(min_length=1, max_length=2)

    @property
    def answers(self) -> tuple[str, ...]:
        """Which details an answer fills."""
        return tuple(self.fields)

    def read(self, name: str, typed: str) -> str:
        """Give what was typed as one clean line."""
        clean = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char for char in typed)
        return " ".join(clean.split())[:LONGEST] if name in self.fields else ""


class ChoiceQuestion(_Asked):
    """Offers a few answers."""

    kind: Literal["choice"]
    field: Literal["product_interest"]
    choices: dict[Name, Texts] = Field(min_length=2, max_length=8)

    @property
    def answers(self) -> tuple[str, ...]:
        """Which details an answer fills."""
        return (self.field,)

    def read(self, name: str, typed: str) -> str:
        """Give the choice; empty for one that was not offered."""
        return typed if name == self.field and typed in self.choices else ""


Question = TextQuestion | ChoiceQuestion


class Profiling(Part):
    """The whole file."""

    version: int = Field(ge=1)
    rest: Length
    skip: Length
    why: Texts
    questions: tuple[Annotated[Question, Field(discriminator="kind")], ...] = Field(max_length=12)

    @field_validator("rest")
    @classmethod
    def _a_visit(cls, value: timedelta) -> timedelta:
        if value < timedelta(hours=1):
            message = "must be an hour or more: within it, a second question would be one of the same visit"
            raise ValueError(message)
        return value

    @field_validator("questions")
    @classmethod
    def _different(cls, value: tuple[Question, ...]) -> tuple[Question, ...]:
        ids = [question.id for question in value]
        fields = [name for question in value for name in question.answers]
        if len(set(ids)) < len(ids) or len(set(fields)) < len(fields):
            message = "two questions have the same id or ask for the same thing"
            raise ValueError(message)
        return value


def load(policies: Path) -> Profiling:
    """Read profiling.yaml; raises DefinitionError with one line per mistake."""
    return definitions.load(policies / FILE, Profiling)


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of profiling.yaml, for editors."""
    return Profiling.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


# --- pure -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """What is known of a person, as far as a question could ask for it, and what they put aside."""

    details: Mapping[str, str]
    role: str = "unknown"
    """Class of the position, of the lead."""

    def knows(self, name: str) -> bool:
        """Is this detail known, or a fact that says the same?"""
        return bool(self.details.get(name)) or (KNOWN_BY.get(name) == "role" and self.role != "unknown")


def upcoming(policy: Profiling, profile: Profile, *, at: datetime) -> Question | None:
    """Which question may be asked now? None when all is known or put aside, or one was settled just now."""
    settled = _moment(profile.details.get(SETTLED))
    if settled is not None and at < settled + policy.rest:
        return None
    for question in policy.questions:
        if any(profile.knows(name) for name in question.answers):
            continue
        skipped = _moment(profile.details.get(SKIPPED + question.id))
        if skipped is None or at >= skipped + policy.skip:
            return question
    return None


def settle(question: Question, given: Mapping[str, str], *, at: datetime) -> dict[str, str]:
    """Give what becomes known by an answer, or by putting the question aside (nothing given)."""
    told = {name: text for name in question.answers if (text := question.read(name, given.get(name, "")))}
    return {SETTLED: at.isoformat(), **(told or {SKIPPED + question.id: at.isoformat()})}


def settled_by(told: Iterable[str], *, at: datetime) -> dict[str, str]:
    """Give what to keep when a form told these details: had it asked one of them, that was this visit's question."""
    return {SETTLED: at.isoformat()} if ASKABLE & set(told) else {}


def _moment(text: str | None) -> datetime | None:
    """Read a time of ours; damaged counts as none."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


# --- with the database ------------------------------------------------------------------------


def profile_of(conn: Connection, keyring: Keyring, subject: str) -> Profile | None:
    """Give what is known of a person; None for an erased, restricted or unknown one, of whom nothing is asked."""
    person = identity.reveal(conn, keyring, [subject]).get(subject)
    if person is None or rights.restricted(conn, [subject]):
        return None
    role = conn.execute(select(lead.c.role).where(lead.c.subject == subject)).scalar()
    return Profile(person.details, role or "unknown")


def ask(conn: Connection, keyring: Keyring, policy: Profiling, subject: str, *, at: datetime) -> Question | None:
    """Which question may this person be asked now?"""
    profile = profile_of(conn, keyring, subject)
    return None if profile is None else upcoming(policy, profile, at=at)


def answer(
    conn: Connection,
    keyring: Keyring,
    policy: Profiling,
    subject: str,
    *,
    question: str,
    given: Mapping[str, str],
    at: datetime,
) -> bool:
    """Keep an answer, or that there is none; False when this is not what could be asked now.

    Only what `ask` would ask is taken: an old page or a made-up form fills nothing and overwrites nothing.
    """
    wanted = ask(conn, keyring, policy, subject, at=at)
    if wanted is None or wanted.id != question:
        return False
    news = settle(wanted, given, at=at)
    identity.describe(conn, keyring, {subject: news})
    if "job_title" in news and register.of_subject(conn, [subject]):
        # An unconfirmed newcomer moves nobody up; of a known lead it fills the gap and makes the score due.
        known = register.NewLead(
            subject, "", "form", stage=Stage.UNCONFIRMED, role=str(role_of(news["job_title"])), freemail=False,
            role_address=False,
        )  # fmt: skip
        register.register(conn, [known], at=at)
    return True

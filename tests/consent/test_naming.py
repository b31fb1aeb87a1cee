"""Nothing that somebody told us enters the ledger: it could never be taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consent import identity, ledger, naming, rights, suppression, withdrawal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from tests.consent.people import People

TOLD = "Kim Weber rief an, Tel. 0151 2345678"


@pytest.mark.parametrize(
    "text", ["subject", "api", "provider", "import", "mail:token", "operator:kim", "operator:vera operator:dpo"]
)
def test_ids_and_roles_are_actors(text: str) -> None:
    assert naming.actor(text) == text


@pytest.mark.parametrize("text", ["", "Kim", "operator:Kim Weber", "kim weber", "jörg", "kim@firma.example", "x" * 65])
def test_names_are_no_actors(text: str) -> None:
    with pytest.raises(ledger.LedgerError, match="by an id or a role"):
        naming.actor(text)


@pytest.mark.parametrize("text", ["request", "declined", "same_person", "hold_over", "hard_bounce", "opt-out"])
def test_words_are_reasons(text: str) -> None:
    assert naming.reason(text) == text


@pytest.mark.parametrize("text", ["", "Kim", "rief an", "01512345678", "tel:0151", "a\n", "x" * 33, TOLD])
def test_sentences_and_numbers_are_no_reasons(text: str) -> None:
    with pytest.raises(ledger.LedgerError, match="in one word"):
        naming.reason(text)


ACTS: dict[str, Callable[[Connection, People, str], object]] = {
    "withdraw": lambda conn, people, subject: withdrawal.withdraw(
        conn, subject=subject, controller="default", purposes=None, route="operator", actor=TOLD, at=people.at
    ),
    "restrict": lambda conn, people, subject: rights.restrict(
        conn, subject, reason=TOLD, actor="subject", at=people.at
    ),
    "restrict by": lambda conn, people, subject: rights.restrict(
        conn, subject, reason="request", actor=TOLD, at=people.at
    ),
    "copy": lambda conn, people, subject: rights.exported(
        conn, rights.Copy.ACCESS, scope="person", count=1, actor=TOLD, at=people.at, subject=subject
    ),
    "erase": lambda conn, people, subject: identity.erase(conn, subject, at=people.at, reason=TOLD),
    "suppress": lambda conn, people, subject: suppression.suppress_subject(conn, subject, TOLD, at=people.at),
}


@pytest.mark.parametrize("act", ACTS)
def test_free_text_enters_by_no_door(people: People, act: str) -> None:
    """Whoever calls; the refusal does not repeat it, and nothing is entered."""
    subject = people.confirmed()
    with people.store.read() as conn:
        before = ledger.head(conn)

    with people.store.write() as conn, pytest.raises(ledger.LedgerError) as refused:
        ACTS[act](conn, people, subject)
    assert "Weber" not in str(refused.value)
    with people.store.read() as conn:
        assert ledger.head(conn) == before


@pytest.mark.parametrize(("reason", "actor"), [(TOLD, "operator:vera"), ("same_person", TOLD)])
def test_free_text_enters_by_no_merge(people: People, reason: str, actor: str) -> None:
    goes, stays = people.confirmed(), people.confirmed("kim@privat.example")
    with people.store.write() as conn, pytest.raises(ledger.LedgerError):
        rights.merge(conn, goes, stays, controllers=["default"], reason=reason, actor=actor, at=people.at)

"""Restriction, hold, merge and copies in the ledger's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from consent import identity, ledger, rights, suppression, vault
from consent.addresses import Address
from consent.schema import identity as table
from consent.schema import opt_in_request, proof_vault
from consent.schema import suppression as barred
from tests.consent.people import NEWSLETTER, TRACKING, People

if TYPE_CHECKING:
    from typing import Any

OTHER = "kim@privat.example"


def entries(people: People, *types: str) -> list[ledger.Recorded]:
    """Read entries of some types."""
    with people.store.read() as conn:
        return list(ledger.read(conn, types=types))


def restrict(people: People, subject: str, what: Any = rights.restrict) -> int | None:
    """Restrict or end it."""
    with people.store.write() as conn:
        done: int | None = what(conn, subject, reason="request", actor="operator:x", at=people.at)
        return done


def hold(people: People, subject: str, keep: str | None = None) -> int | None:
    """Keep the proof alone."""
    with people.store.write() as conn:
        return rights.hold(conn, subject, actor="operator:x", keep_suppression=keep, at=people.at)


def merge(people: People, goes: str, stays: str) -> rights.Merged:
    """Join two."""
    with people.store.write() as conn:
        return rights.merge(
            conn, goes, stays, controllers=["default"], reason="same_person", actor="operator:x", at=people.at
        )


def test_restriction_begins_and_ends_once(people: People) -> None:
    """Each with one entry, however often it is asked for."""
    subject = people.confirmed()
    first, again = restrict(people, subject), restrict(people, subject)
    with people.store.read() as conn:
        assert rights.restricted(conn, [subject, "nobody"]) == {subject}
    end, ended = restrict(people, subject, rights.unrestrict), restrict(people, subject, rights.unrestrict)

    assert (again, ended) == (None, None)
    found = entries(people, "subject.restricted", "subject.unrestricted")
    assert [(one.seq, one.type, one.subject) for one in found] == [
        (first, "subject.restricted", subject), (end, "subject.unrestricted", subject),
    ]  # fmt: skip
    assert found[0].body == {"reason": "request", "actor": "operator:x"}


def test_nobody_is_restricted_who_is_not_there(people: People) -> None:
    """Unknown and erased ones."""
    subject = people.confirmed()
    with people.store.write() as conn:
        identity.erase(conn, subject, at=people.at)

    for one in (subject, "nobody"):
        with pytest.raises(identity.SubjectError, match="unknown or erased"):
            restrict(people, one)
    assert entries(people, "subject.restricted") == []


def test_hold_leaves_what_the_proof_needs(people: People) -> None:
    """The evidence and the address it is about, sealed; no details, no look-up, no link; once."""
    subject = people.confirmed()
    with people.store.write() as conn:
        identity.describe(conn, people.keyring, {subject: {"first_name": "Kim"}})
    assert hold(people, subject, "erasure") is not None
    assert hold(people, subject) is None

    with people.store.read() as conn:
        assert identity.find(conn, people.keyring, Address.of("kim@firma.example")) is None
        assert identity.reveal(conn, people.keyring, [subject])[subject] == identity.Person("kim@firma.example", {})
        assert len(vault.opened(conn, people.keyring, [subject])) == 2
        assert conn.execute(select(barred.c.reason)).scalars().all() == ["erasure"]
        assert conn.execute(select(opt_in_request.c.sealed_token)).scalars().all() == [None]
        assert conn.execute(select(opt_in_request.c.abuse_index)).scalars().all() == [None]
        assert conn.execute(select(table.c.restricted_at)).scalars().all() == [people.at]
        assert conn.execute(select(table.c.sealed_person)).scalars().all() == [None]
    assert [one.body["reason"] for one in entries(people, "subject.restricted")] == ["hold"]
    with pytest.raises(identity.SubjectError, match="only the proof"):
        restrict(people, subject, rights.unrestrict)


def test_hold_keeps_an_earlier_restriction(people: People) -> None:
    """And bars nothing unless asked."""
    subject = people.confirmed()
    restrict(people, subject)
    hold(people, subject)

    with people.store.read() as conn:
        assert conn.execute(select(table.c.restricted_at)).scalars().all() == [people.at]
        assert conn.execute(select(barred)).all() == []


def test_copies_are_entries(people: People) -> None:
    """With who, what kind and how much; about a person or not."""
    subject = people.confirmed()
    with people.store.write() as conn:
        one = rights.exported(
            conn, rights.Copy.ACCESS, scope="person", count=1, actor="x", at=people.at, subject=subject
        )
        rights.exported(conn, rights.Copy.AUDIT, scope="all", count=9, actor="x", at=people.at, commit="c" * 64)
    first, second = entries(people, "record.exported")

    assert (first.seq, first.subject, first.body["kind"], first.body["commit"]) == (one, subject, "access", None)
    assert (second.subject, second.body["kind"], second.body["count"], second.body["commit"]) == (
        None, "audit", 9, "c" * 64,
    )  # fmt: skip


def test_t52_withdrawal_of_everything_wins(people: People) -> None:
    """It holds for the other address too, also for purposes that only that one had."""
    one, two = people.confirmed(), people.confirmed(OTHER, [NEWSLETTER, TRACKING])
    people.leave(one)
    done = merge(people, one, two)

    assert len(done.withdrawn) == 1
    assert people.reason(two) == "withdrawn"
    assert {row.body["into"] for row in entries(people, "subject.merged")} == {two}


def test_merge_ends_only_what_was_ended(people: People) -> None:
    """Purpose by purpose; nothing to end makes no entry."""
    one, two = people.confirmed(purposes=[NEWSLETTER, TRACKING]), people.confirmed(OTHER, [NEWSLETTER, TRACKING])
    people.leave(one, [TRACKING])
    done = merge(people, one, two)

    assert len(done.withdrawn) == 1
    assert people.reason(two) is None
    assert merge(people, people.confirmed("a@b.example"), people.confirmed("c@d.example")).withdrawn == ()


def test_merge_gives_nobody_a_permission(people: People) -> None:
    """The address that never agreed may still not be written to."""
    one = people.confirmed()
    with people.store.write() as conn:
        two = identity.ensure(conn, people.keyring, Address.of(OTHER), at=people.at)
    merge(people, one, two)

    assert people.reason(two) == "no_consent"


def test_merge_bars_both_addresses_for_the_person(people: People) -> None:
    """A complaint counts for both, a dead mailbox for itself; a restriction for both."""
    one, two = people.confirmed(), people.confirmed(OTHER)
    with people.store.write() as conn:
        suppression.suppress_subject(conn, one, "hard_bounce", at=people.at)
    assert not merge(people, one, two).suppressed
    with people.store.write() as conn:
        suppression.suppress_subject(conn, two, "complaint", at=people.at)
    restrict(people, two)
    merged = merge(people, one, two)

    assert merged.suppressed  # a dead mailbox did not tell what the person wants
    with people.store.read() as conn:
        assert rights.restricted(conn, [one, two]) == {one, two}
        assert len(conn.execute(select(barred)).all()) == 2


def test_merge_bars_for_the_controller_that_was_told(people: People) -> None:
    """A complaint to one controller says nothing about another."""
    one, two = people.confirmed(), people.confirmed(OTHER)
    with people.store.write() as conn:
        suppression.suppress_subject(conn, one, "complaint", at=people.at, controller="elsewhere")
    merge(people, one, two)

    with people.store.read() as conn:
        assert set(conn.execute(select(barred.c.controller)).scalars()) == {"elsewhere"}
    assert people.reason(two) is None


def test_merge_refuses_wrong_pairs(people: People) -> None:
    """One twice, or somebody who is not there."""
    subject = people.confirmed()

    with pytest.raises(identity.SubjectError, match="with themselves"):
        merge(people, subject, subject)
    with pytest.raises(identity.SubjectError, match="unknown or erased"):
        merge(people, subject, "nobody")
    hold(people, subject)
    with pytest.raises(identity.SubjectError, match="erased but for the proof"):
        merge(people, subject, people.confirmed("pat@firma.example"))
    assert entries(people, "subject.merged") == []


def test_evidence_opens_with_all_that_checks_it(people: People) -> None:
    """And says nothing of it in a log; changed evidence is noticed; destroyed evidence is gone."""
    subject = people.confirmed()
    with people.store.read() as conn:
        first, second = vault.opened(conn, people.keyring, [subject])
    assert (first.type, second.type) == ("consent.requested", "consent.confirmed")
    assert "firma" not in repr(first)
    with people.store.write() as conn:
        assert vault.destroy(conn, [subject]) == 2
        assert vault.opened(conn, people.keyring, [subject]) == []


def test_changed_evidence_does_not_open(people: People) -> None:
    """Salt of another entry: vault and ledger disagree."""
    subject = people.confirmed()
    with people.store.read() as conn:
        rows = conn.execute(select(proof_vault).order_by(proof_vault.c.seq)).all()
    with people.store.write() as conn:
        vault.destroy(conn, [subject])
        conn.execute(proof_vault.insert().values({**rows[0]._mapping, "salt": rows[1].salt}))  # noqa: SLF001
        conn.execute(update(table).values(erased_at=None))

    with people.store.read() as conn, pytest.raises(vault.EvidenceError, match="not what the ledger"):
        vault.opened(conn, people.keyring, [subject])

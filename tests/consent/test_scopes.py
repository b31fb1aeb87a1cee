"""A newer wording that names more does not stretch an older consent (T43)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consent import gate, imported, ledger, replay, texts, tokens
from consent.replay import Fault
from consent.texts import Scope
from tests.consent import wording
from tests.consent.people import NEWSLETTER, People

OLD = Scope("events", ("Veranstaltungen", "events"))
NEW = Scope("hydraulics", ("Hydraulik", "hydraulics"))
DAY = timedelta(days=1)


def publish_second(people: People) -> None:
    """Version 2 of the newsletter's wording names one more product line."""
    first = wording.standard("default", "Musterwerk GmbH")[0]
    body = first.body.replace("Veranstaltungen", "Veranstaltungen, Hydraulik")
    second = replace(first, version=2, body=body, subject_matter="Hydraulik", covers={"hydraulics": "Hydraulik"})
    with people.store.write() as conn:
        texts.publish(conn, [second], at=people.at)


def ask(people: People, subject: str, scope: Scope | None, at: object = None) -> gate.RefusalReason | None:
    """Ask for one message about a scope; None for a permit."""
    one = gate.Ask(subject, NEWSLETTER, "default", tokens.random_id(), scope=scope)
    with people.store.write() as conn:
        [answer] = gate.authorise(conn, [one], at=at or people.at)  # type: ignore[arg-type]
    return answer.reason if isinstance(answer, gate.Refusal) else None


@pytest.mark.requirement(116)
def test_t43_an_older_consent_covers_its_own_scope_only(people: People) -> None:
    """T43: v1 carries what v1 names; the new line is refused until a renewal on v2, which carries both."""
    subject = people.confirmed()
    publish_second(people)

    assert [ask(people, subject, scope) for scope in (None, OLD, NEW)] == [None, None, "not_covered"]

    later = people.at + 2 * DAY
    people.press(people.link(people.sign_up(at=later)), at=later)
    assert [ask(people, subject, scope, later) for scope in (None, OLD, NEW)] == [None, None, None]
    with people.store.read() as conn:
        assert replay.replay(conn).ok


def test_t43_a_scope_without_words_is_covered_by_nobody(people: People) -> None:
    """A name that no file knows fails closed, and so does an empty word."""
    subject = people.confirmed()

    assert {ask(people, subject, Scope("typo", words)) for words in ((), ("",))} == {"not_covered"}


def test_t43_imported_consent_covers_no_scope(people: People) -> None:
    """Its wording lies sealed in the vault: nobody else could check what it names."""
    subject = people.confirmed()
    people.leave(subject)
    with people.store.write() as conn:
        from consent import identity  # noqa: PLC0415  only here
        from consent.addresses import Address  # noqa: PLC0415  only here

        other = identity.ensure(conn, people.keyring, Address.of("i@firma.example"), at=people.at)
        consent = imported.ImportedConsent(other, NEWSLETTER, "default", "Veranstaltungen", people.at, {})
        imported.record(conn, people.keyring, [consent], at=people.at)

    assert [ask(people, other, scope) for scope in (None, OLD)] == [None, "not_covered"]
    people.press(people.link(people.sign_up("i@firma.example")))
    assert ask(people, other, OLD) is None


def test_t43_the_entry_lets_a_stranger_check(people: People) -> None:
    """Scope and words stand in the authorisation and in the refusal; other asks go in entries of their own."""
    subject = people.confirmed()
    asks = [
        gate.Ask(subject, NEWSLETTER, "default", tokens.random_id(), scope=scope) for scope in (OLD, None, NEW, OLD)
    ]
    with people.store.write() as conn:
        answers = gate.authorise(conn, asks, at=people.at)
        entries = list(ledger.read(conn, types=["send.authorised", "send.blocked"]))

    assert [one.message_id for one in answers] == [one.message_id for one in asks]
    assert [isinstance(one, gate.Permit) for one in answers] == [True, True, False, True]
    assert sorted(
        (entry.type, str(entry.body.get("scope")), len(entry.body.get("permits") or entry.body["refusals"]))
        for entry in entries
    ) == [
        ("send.authorised", "None", 1),
        ("send.authorised", str(OLD.described), 2),
        ("send.blocked", str(NEW.described), 1),
    ]


def test_t43_replay_finds_a_stretched_consent(people: People) -> None:
    """A permit for a scope that the wording does not name is a breach; so is one on an unknown wording."""
    subject = people.confirmed()
    body: dict[str, Any] = {"controller": "default", "channel": "email", "purpose": NEWSLETTER, "scope": NEW.described}
    body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [["m" * 26, subject, 1, None]]}
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("send.authorised", body, people.at)])
        found = replay.replay(conn)

    assert [one.fault for one in found.listed] == [Fault.NOT_COVERED]


def test_a_text_must_name_what_it_claims_to_cover(people: People) -> None:
    """Publishing `covers` without its words is refused."""
    first = wording.standard("default", "Musterwerk GmbH")[0]
    with people.store.write() as conn, pytest.raises(texts.TextError, match="the words for the scope hydraulics"):
        texts.publish(conn, [replace(first, version=2, covers={"hydraulics": "Hydraulik"})], at=people.at)


def test_fields_beside_the_set_are_refused(people: People) -> None:
    """A scope may stand in authorisations and refusals, nowhere else."""
    body = {"controller": "default", "reason": "x", "count": 1, "scope": OLD.described}
    with people.store.write() as conn, pytest.raises(ledger.LedgerError, match="exactly the fields"):
        ledger.append(conn, [ledger.Entry("suppression.added", body, people.at)])

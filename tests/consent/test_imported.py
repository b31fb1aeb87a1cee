"""Imported consent: with proof, once, never against a withdrawal."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consent import gate, identity, imported, ledger, replay, vault
from consent import texts as wordings
from consent.addresses import Address
from consent.imported import ImportedConsent
from tests.consent.people import NEWSLETTER, OTHER, TRACKING, People

DAY = timedelta(days=1)


def proven(
    people: People, subject: str, purpose: str = NEWSLETTER, text: str = "Ja, gern.", age: int = 10
) -> ImportedConsent:
    """A row of another system's export."""
    return ImportedConsent(subject, purpose, "default", text, people.at - age * DAY, {"confirm_ip": "192.0.2.9"})


def record(people: People, *consents: ImportedConsent) -> int:
    """Import rows in one transaction."""
    with people.store.write() as conn:
        return imported.record(conn, people.keyring, consents, at=people.at)


def known(people: People, address: str = "pat@firma.example") -> str:
    """A subject without any consent."""
    with people.store.write() as conn:
        return identity.ensure(conn, people.keyring, Address.of(address), at=people.at)


@pytest.mark.requirement(28)
def test_proven_consent_permits(people: People) -> None:
    """T48: wording, time and evidence given: mail may go; the evidence is in the vault."""
    pat = known(people)

    assert record(people, proven(people, pat)) == 1

    assert people.reason(pat) is None
    with people.store.read() as conn:
        [entry] = ledger.read(conn, types=["consent.imported"])
        kept = vault.evidence(conn, people.keyring, entry.seq)
        assert replay.replay(conn).ok
    assert kept == {"confirm_ip": "192.0.2.9", "wording": "Ja, gern."}


def test_the_wording_is_kept_once_as_a_text_of_its_own(people: People) -> None:
    """Each new wording is the next version; a known one, ours or another import's, is none."""
    published = wordings.register
    with people.store.read() as conn:
        ours = published(conn)
    same = next(iter(ours.values()))
    for number, text in enumerate(["Ja, gern.", "Ja, gern.", "Ja, bitte.", same]):
        record(people, proven(people, known(people, f"p{number}@firma.example"), text=text))

    with people.store.read() as conn:
        kept = [(row["language"], row["version"], row["body"]) for row in wordings.overview(conn, channel="import")]
        assert set(published(conn).values()) == {*ours.values(), "Ja, gern.", "Ja, bitte."}
    assert kept == [("und", 1, "Ja, gern."), ("und", 2, "Ja, bitte.")]


def test_a_kept_wording_carries_no_scope(people: People) -> None:
    """Named there or not: the gate refuses a message that must be covered, as before."""
    pat = known(people)
    record(people, proven(people, pat, text="Ja, gern: Veranstaltungen."))
    scope = wordings.Scope("events", ("Veranstaltungen",))

    with people.store.read() as conn:
        judged = gate.check(conn, [pat], purpose=NEWSLETTER, controller="default", at=people.at, scope=scope)
    assert judged == {pat: "not_covered"}


def test_same_import_twice_changes_nothing(people: People) -> None:
    """Neither in one call nor in two."""
    row = proven(people, known(people))

    assert (record(people, row, row), record(people, row)) == (1, 0)


@pytest.mark.parametrize(("text", "age"), [("", 10), (" \n", 10), ("Ja.", -1)])
def test_unproven_consent_is_refused(people: People, text: str, age: int) -> None:
    """T48: no wording, or confirmed in the future: nothing of the call is recorded."""
    pat = known(people)
    with pytest.raises(imported.ImportedConsentError):
        record(people, proven(people, pat), proven(people, pat, OTHER, text, age))

    assert people.reason(pat) == "no_consent"


def test_import_never_revives_a_withdrawal(people: People) -> None:
    """A5: who left here stays out, for the purpose they left."""
    kim = people.confirmed()
    people.leave(kim, [NEWSLETTER])

    assert record(people, proven(people, kim, age=0)) == 0
    assert record(people, proven(people, kim, OTHER)) == 1


def test_import_respects_leaving_everything(people: People) -> None:
    """Who left everything is imported for nothing, also when they never were anywhere."""
    pat = known(people)
    people.leave(pat)

    assert record(people, proven(people, pat), proven(people, pat, TRACKING)) == 0
    assert people.reason(pat) == "no_consent"


def test_leaving_another_controller_bars_nothing(people: People) -> None:
    """Each controller's consents are its own."""
    pat = known(people)
    people.leave(pat)
    other = ImportedConsent(pat, NEWSLETTER, "other", "Ja.", people.at, {})

    assert record(people, other) == 1


def test_erased_people_are_not_imported(people: People) -> None:
    """An erased subject id takes no consent."""
    pat = known(people)
    with people.store.write() as conn:
        identity.erase(conn, pat, at=people.at)

    assert record(people, proven(people, pat)) == 0


def test_old_import_is_stale(people: People) -> None:
    """Consent counts from its confirmation there, not from the import."""
    pat = known(people)
    record(people, proven(people, pat, age=800))

    assert people.reason(pat) == "stale"

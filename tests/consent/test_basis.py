"""The existing-customer exception: four conditions, evidenced, or no mail (R3)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from consent import basis, gate, identity, ledger, replay, states, suppression, tokens, vault, withdrawal
from consent.addresses import Address
from tests.consent.people import NEWSLETTER, TRACKING, People

NOTICE = (
    "Wir nutzen Ihre E-Mail-Adresse für Werbung zu eigenen ähnlichen Waren. Dem können Sie jederzeit widersprechen, "
    "ohne dass andere als die Übermittlungskosten nach den Basistarifen entstehen."
)
PROOF: dict[str, dict[str, str]] = {
    "sale": {"id": "A-2026-117", "date": "2026-05-12"},
    "similar_goods": {"sold": "Schwingungssensor", "advertised": "Sensoren und Software zur Wartung"},
    "notice": {"wording": NOTICE, "place": "Bestellformular, unter dem Feld E-Mail", "date": "2026-05-12"},
    "objection": {"checked": "2026-11-20", "by": "Vertrieb"},
}


CARRIED: dict[str, Any] = {"exception": True}


def customer(people: People, address: str = "kim@firma.example") -> str:
    """Somebody who bought and was never asked."""
    with people.store.write() as conn:
        return identity.ensure(conn, people.keyring, Address.of(address), at=people.at)


def record(people: People, subject: str, *, allowed: bool = True, purpose: str = NEWSLETTER, **changed: Any) -> int:
    """Record the basis on full evidence, but for what is changed (None takes a condition away)."""
    said = {name: told for name, told in (PROOF | changed).items() if told is not None}
    with people.store.write() as conn:
        return basis.record(
            conn,
            people.keyring,
            subject,
            purpose=purpose,
            controller="default",
            evidence=basis.Evidence(said),
            allowed=allowed,
            at=people.at,
        )


def ask(people: People, subject: str, *, exception: bool) -> gate.Permit | gate.RefusalReason:
    """Ask for one mail, which carries the notice or not."""
    one = gate.Ask(subject, NEWSLETTER, "default", tokens.random_id(), exception=exception)
    with people.store.write() as conn:
        [answer] = gate.authorise(conn, [one], at=people.at)
    return answer.reason if isinstance(answer, gate.Refusal) else answer


def test_proven_conditions_permit_mails_with_the_notice(people: People) -> None:
    """An entry of its own, evidence in the vault; without policy or notice in the mail the gate refuses."""
    subject = customer(people)
    seq = record(people, subject)

    assert ask(people, subject, exception=False) is gate.RefusalReason.NOT_COVERED
    permit = ask(people, subject, exception=True)
    assert isinstance(permit, gate.Permit)
    assert (permit.consent_seq, permit.tracking) == (seq, False)
    with people.store.read() as conn:
        about: dict[str, Any] = {"purpose": NEWSLETTER, "controller": "default", "at": people.at}
        looked = [gate.check_tracked(conn, [subject], **about, **carried)[subject] for carried in ({}, CARRIED)]
        assert looked == [(gate.RefusalReason.NOT_COVERED, None), (seq, None)]
        [entry] = ledger.read(conn, types=["basis.recorded"])
        assert vault.evidence(conn, people.keyring, seq) == PROOF
        assert basis.among(conn, [subject], purpose=NEWSLETTER, controller="default") == {subject}
        assert replay.replay(conn).ok
    [told] = entry.body["purposes"]
    assert told == {"purpose": NEWSLETTER, "text": hashlib.sha256(NOTICE.encode()).hexdigest(), "version": None}


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"sale": None}, ["sale.id is missing", "sale.date is missing"]),
        ({"similar_goods": {"sold": "Sensor"}}, ["similar_goods.advertised is missing"]),
        ({"notice": PROOF["notice"] | {"wording": "Abmeldung per Link."}}, ["does not say that one may object"]),
        ({"notice": PROOF["notice"] | {"date": "2026-06-01"}}, ["the notice was given after the sale"]),
        ({"objection": None}, ["objection.checked is missing", "objection.by is missing"]),
        ({"sale": {"id": "A", "date": "gestern"}}, ["sale.date is no date"]),
        ({"sale": {"id": "A", "date": "2027-01-01"}}, ["sale.date lies in the future"]),
        (
            {"sale": {"id": "A", "date": "2024-02-29"}, "notice": PROOF["notice"] | {"date": "2024-02-01"}},
            ["24 months"],
        ),
    ],
)
def test_what_is_missing_is_named(people: People, changed: dict[str, Any], missing: list[str]) -> None:
    """Each condition by its name; nothing is recorded."""
    subject = customer(people)

    with pytest.raises(basis.BasisError) as caught:
        record(people, subject, **changed)

    assert len(caught.value.missing) == len(missing)
    assert all(part in said for part, said in zip(missing, caught.value.missing, strict=True))
    with people.store.read() as conn:
        assert ledger.head(conn).size == 0


def test_off_by_default_and_never_for_measuring(people: People) -> None:
    """Switched off, it is refused however good the evidence; tracking always needs consent."""
    subject = customer(people)

    with pytest.raises(basis.BasisError, match="switched off"):
        record(people, subject, allowed=False)
    with pytest.raises(basis.BasisError, match="always needs consent"):
        record(people, subject, purpose=TRACKING)


def test_without_a_word_the_exception_permits_nothing(people: People) -> None:
    """Whoever asks the gate must say that the mail carries the notice; saying nothing is a no."""
    subject = customer(people)
    record(people, subject)
    with people.store.write() as conn:
        checked = gate.check(conn, [subject], purpose=NEWSLETTER, controller="default", at=people.at)
        [answer] = gate.authorise(conn, [gate.Ask(subject, NEWSLETTER, "default", tokens.random_id())], at=people.at)

    assert checked == {subject: gate.RefusalReason.NOT_COVERED}
    assert isinstance(answer, gate.Refusal)
    assert answer.reason is gate.RefusalReason.NOT_COVERED


def test_own_records_outweigh_the_file(people: People) -> None:
    """Withdrawn, suppressed, erased, or consenting anyway: refused, whatever the file says of objections."""
    left, barred, gone, given = (people.confirmed(f"{name}@firma.example") for name in "abcd")
    people.leave(left, [NEWSLETTER])
    with people.store.write() as conn:
        withdrawal.withdraw(conn, subject=barred, controller="default", purposes=[NEWSLETTER], route="page",
                            actor="recipient", at=people.at)  # fmt: skip
        suppression.suppress_subject(conn, barred, "complaint", at=people.at)
        identity.erase(conn, gone, at=people.at)

    for subject, said in ((left, "withdrew or objected"), (barred, "suppression list"), (given, "stands already")):
        with pytest.raises(basis.BasisError, match=said):
            record(people, subject)
    with pytest.raises(identity.SubjectError):
        record(people, gone)


def test_a_customer_may_still_give_consent(people: People) -> None:
    """Who signs up by the form is asked for confirmation as anybody; the consent takes the exception's place."""
    subject = customer(people)
    record(people, subject)

    assert people.confirmed() == subject
    assert isinstance(ask(people, subject, exception=False), gate.Permit)
    with people.store.read() as conn:
        assert basis.among(conn, [subject], purpose=NEWSLETTER, controller="default") == set()


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
def test_a_withdrawal_ends_it_like_a_consent(people: People, purposes: list[str] | None) -> None:
    """At once and for good: it cannot be recorded anew; only the person's own double opt-in brings mails back."""
    subject = customer(people)
    record(people, subject)
    people.leave(subject, purposes)

    assert ask(people, subject, exception=True) is gate.RefusalReason.WITHDRAWN
    with people.store.read() as conn:
        assert [one.basis for one in states.standings(conn, subject)] == ["existing_customer"]
    with pytest.raises(basis.BasisError, match="withdrew or objected"):
        record(people, subject)

    people.confirmed()
    assert isinstance(ask(people, subject, exception=False), gate.Permit)
    with people.store.read() as conn:
        assert basis.among(conn, [subject], purpose=NEWSLETTER, controller="default") == set()


def test_replay_finds_a_permit_after_the_objection(people: People) -> None:
    """From the entries alone: the basis ended, the permit stands behind it."""
    subject = customer(people)
    seq = record(people, subject)
    people.leave(subject)
    body: dict[str, Any] = {"controller": "default", "channel": "email", "purpose": NEWSLETTER}
    body |= {"lease_until": "2026-11-23T08:00:30.000000Z", "permits": [["m" * 26, subject, seq, None]]}
    with people.store.write() as conn:
        ledger.append(conn, [ledger.Entry("send.authorised", body, people.at)])
        found = replay.replay(conn)

    assert [one.fault for one in found.listed] == [replay.Fault.NO_CONSENT]


@pytest.mark.parametrize(
    ("text", "carries"),
    [
        (NOTICE, True),
        ("You can object at any time, at no more than the transmission costs at basic rates.", True),
        ("Sie können jederzeit kostenlos widerrufen.", False),
        ("You can unsubscribe at any time, free of charge.", False),
        ("", False),
    ],
)
def test_a_notice_says_object_any_time_no_cost(text: str, *, carries: bool) -> None:
    """A withdrawal notice is no objection notice."""
    assert basis.carries_notice(text) is carries

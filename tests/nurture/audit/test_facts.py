"""What an export lists follows from the entries alone, and from each of them."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from consent import identity, ledger, suppression
from consent.states import TRACKING
from nurture.audit import records
from nurture.audit.facts import Facts, work_file
from nurture.audit.scope import Scope
from tests.consent.people import NEWSLETTER, OTHER, People

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


ALL = Scope()


@contextmanager
def told(people: People, folder: Path, scope: Scope = ALL, *, later: timedelta = timedelta()) -> Iterator[Facts]:
    """The ledger as it is, taken in."""
    with people.store.read() as conn, work_file(folder, at=people.at + later) as facts:
        for entry in ledger.read(conn):
            facts.feed(entry)
        facts.close_book(scope)
        yield facts


def append(people: People, *entries: ledger.Entry) -> None:
    """Write into the ledger what no gate would."""
    with people.store.write() as conn:
        ledger.append(conn, entries)


def permit(subject: str, consent_seq: int, at: datetime) -> ledger.Entry:
    """A send that somebody authorised."""
    body = {
        "controller": "default", "channel": "email", "purpose": NEWSLETTER,
        "lease_until": "2026-11-23T08:00:30.000000Z",
        "permits": [["m" * 26, subject, consent_seq, None]],
    }  # fmt: skip
    return ledger.Entry(ledger.EntryType.AUTHORISED, body, at)


def only(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The one row there is."""
    [row] = rows
    return row


def test_a_confirmed_sign_up_is_one_consent_for_each_purpose(people: People, tmp_path: Path) -> None:
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])
    with told(people, tmp_path) as facts:
        rows = list(facts.consents(ALL))
        asked = only(facts.requests(ALL))
    assert [(row["subject"], row["purpose"], row["state"], row["basis"], row["request_seq"]) for row in rows] == [
        (subject, TRACKING, "given", "double_opt_in", 0),
        (subject, NEWSLETTER, "given", "double_opt_in", 0),
    ]
    assert (asked["outcome"], asked["outcome_seq"]) == ("confirmed", 1)


def test_use_is_counted_per_consent(people: People, tmp_path: Path) -> None:
    subject = people.confirmed()
    people.ask(subject, at=people.at + timedelta(days=1))
    people.ask(subject, at=people.at + timedelta(days=2))
    with told(people, tmp_path) as facts:
        row = only(facts.consents(ALL))
    assert (row["uses"], row["last_use"]) == (2, "2026-11-25T08:00:00.000000Z")


def test_a_withdrawal_ends_what_it_names(people: People, tmp_path: Path) -> None:
    subject = people.confirmed(purposes=[NEWSLETTER, OTHER])
    people.leave(subject, [OTHER], at=people.at + timedelta(days=1))
    with told(people, tmp_path) as facts:
        states = {row["purpose"]: row["state"] for row in facts.consents(ALL)}
        row = only(facts.withdrawals(ALL))
    assert states == {NEWSLETTER: "given", OTHER: "withdrawn"}
    assert (row["route"], row["purposes"], row["ended"]) == ("page", OTHER, 1)


def test_after_a_withdrawal_the_next_send_is_none(people: People, tmp_path: Path) -> None:
    """What the gate refused afterwards is counted: somebody tried, and was stopped."""
    subject = people.confirmed()
    people.ask(subject)
    people.leave(subject, at=people.at + timedelta(days=1))
    people.ask(subject, at=people.at + timedelta(days=2))
    with told(people, tmp_path) as facts:
        row = only(facts.withdrawals(ALL))
        broken = facts.broken_withdrawals(ALL)
    assert (row["next_send_seq"], row["seconds_to_next_send"], row["refused_after"], broken) == (None, None, 1, 0)


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
def test_a_send_in_spite_of_a_withdrawal_is_found_and_timed(
    people: People, tmp_path: Path, purposes: list[str] | None
) -> None:
    subject = people.confirmed()
    people.leave(subject, purposes, at=people.at + timedelta(minutes=1))
    append(people, permit(subject, 1, people.at + timedelta(minutes=2)))
    with told(people, tmp_path) as facts:
        row = only(facts.withdrawals(ALL))
        broken = facts.broken_withdrawals(ALL)
    assert (row["next_send_seq"], row["seconds_to_next_send"], broken) == (3, 60.0, 1)


def test_a_send_under_a_new_consent_is_no_breach(people: People, tmp_path: Path) -> None:
    subject = people.confirmed()
    people.leave(subject, at=people.at + timedelta(days=1))
    people.confirmed(at=people.at + timedelta(days=2))
    people.ask(subject, at=people.at + timedelta(days=3))
    with told(people, tmp_path) as facts:
        row = only(facts.withdrawals(ALL))
        states = [(row["state"], row["renewal"]) for row in facts.consents(ALL)]
    assert row["next_send_seq"] is None
    assert states == [("withdrawn", 0), ("given", 1)]


def test_a_send_for_another_purpose_is_no_breach(people: People, tmp_path: Path) -> None:
    subject = people.confirmed(purposes=[NEWSLETTER, OTHER])
    people.leave(subject, [OTHER], at=people.at + timedelta(days=1))
    people.ask(subject, at=people.at + timedelta(days=2))
    with told(people, tmp_path) as facts:
        assert only(facts.withdrawals(ALL))["next_send_seq"] is None


def test_what_was_unused_for_24_months_is_stale(people: People, tmp_path: Path) -> None:
    people.confirmed()
    with told(people, tmp_path, later=timedelta(days=731)) as facts:
        assert only(facts.consents(ALL))["state"] == "stale"


def test_erasure_ends_everything_and_keeps_the_row(people: People, tmp_path: Path) -> None:
    subject = people.confirmed()
    with people.store.write() as conn:
        identity.erase(conn, subject, at=people.at + timedelta(days=1))
    with told(people, tmp_path) as facts:
        assert only(facts.consents(ALL))["state"] == "erased"
        assert only(facts.listed("erasure", ALL))["reason"] == "request"


def test_a_merge_ends_what_the_one_that_goes_had_given(people: People, tmp_path: Path) -> None:
    goes, stays = people.confirmed("goes@firma.example"), people.confirmed("stays@firma.example")
    body = {"into": stays, "reason": "same_person", "actor": "operator:vera"}
    append(people, ledger.Entry(ledger.EntryType.MERGED, body, people.at, goes))
    with told(people, tmp_path) as facts:
        assert {row["subject"]: row["state"] for row in facts.consents(ALL)} == {goes: "merged", stays: "given"}
        assert only(facts.listed("other", ALL))["type"] == "subject.merged"


def test_an_existing_customer_is_listed_and_is_no_consent_record(people: People, tmp_path: Path) -> None:
    subject = people.confirmed("other@firma.example")
    item = {"purpose": NEWSLETTER, "text": "a" * 64, "version": 1}
    body = {"controller": "default", "channel": "email", "purposes": [item], "commit": "b" * 64}
    append(people, ledger.Entry(ledger.EntryType.BASIS, body, people.at, "x" * 26))
    with told(people, tmp_path) as facts:
        rows = {row["subject"]: row for row in facts.consents(ALL)}
        made = {row["subject"]: records.record(row, facts.request(row["request_seq"])) for row in rows.values()}
    assert rows["x" * 26]["basis"] == "existing_customer"
    assert (made["x" * 26]["@type"], made["x" * 26]["dpv:hasLegalBasis"]) == (
        "nurture:ExistingCustomerRecord", "eu-gdpr:A6-1-f",
    )  # fmt: skip
    assert made[subject]["@type"] == "dpv:ConsentRecord"


def test_what_has_no_list_of_its_own_is_listed_all_the_same(people: People, tmp_path: Path) -> None:
    subject = people.confirmed()
    body = {"reason": "dispute", "actor": "operator:vera"}
    append(people, ledger.Entry(ledger.EntryType.RESTRICTED, body, people.at, subject))
    with told(people, tmp_path) as facts:
        row = only(facts.listed("other", ALL))
    assert (row["type"], row["detail"]) == ("subject.restricted", '{"actor":"operator:vera","reason":"dispute"}')


def test_lapsed_requests_say_so(people: People, tmp_path: Path) -> None:
    from consent import opt_in  # noqa: PLC0415  this test alone

    people.sign_up()
    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + timedelta(days=8), limit=10)
    with told(people, tmp_path) as facts:
        assert only(facts.requests(ALL))["outcome"] == "lapsed"


def test_a_period_shows_consents_that_stood_in_it(people: People, tmp_path: Path) -> None:
    """Given before and not ended: yes. Ended before, or given at its end: no."""
    early = people.confirmed("early@firma.example")
    gone = people.confirmed("gone@firma.example")
    people.leave(gone, at=people.at + timedelta(days=1))
    people.confirmed("late@firma.example", at=people.at + timedelta(days=9))
    scope = Scope(since=people.at + timedelta(days=2), until=people.at + timedelta(days=9))
    with told(people, tmp_path, scope) as facts:
        assert [row["subject"] for row in facts.consents(scope)] == [early]
        assert list(facts.withdrawals(scope)) == []
        assert list(facts.people(scope)) == [early]


def test_people_and_controllers_narrow_every_list(people: People, tmp_path: Path) -> None:
    one, other = people.confirmed("one@firma.example"), people.confirmed("other@firma.example")
    people.leave(one)
    people.leave(other)
    mine, nobody = Scope(subjects=(one,)), Scope(controller="another")
    with told(people, tmp_path, mine) as facts:
        assert {row["subject"] for row in [*facts.consents(mine), *facts.withdrawals(mine)]} == {one}
        assert [*facts.consents(nobody), *facts.withdrawals(nobody), *facts.requests(nobody)] == []


def test_forms_are_listed_with_the_wording_they_showed(people: People, tmp_path: Path) -> None:
    people.confirmed("one@firma.example")
    people.sign_up("two@firma.example")
    with told(people, tmp_path) as facts:
        row = only(facts.forms(ALL))
    assert (row["source"], row["purpose"], row["version"], row["requests"], row["confirmed"]) == (
        "footer", NEWSLETTER, 1, 2, 1,
    )  # fmt: skip


def test_suppressions_are_added_up_by_reason(people: People, tmp_path: Path) -> None:
    with people.store.write() as conn:
        suppression.add(conn, {b"1" * 32: "complaint", b"2" * 32: "complaint", b"3" * 32: "blocked"}, at=people.at)
    with told(people, tmp_path) as facts:
        assert facts.added("suppressed", "reason", "count", ALL) == {"blocked": 1, "complaint": 2}


def test_the_work_file_is_gone_afterwards(people: People, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    with told(people, folder):
        assert list(folder.iterdir()) != []
    assert list(folder.iterdir()) == []

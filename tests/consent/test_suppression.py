"""The list of those never to be written to: what is counted, for whom it counts, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent import ledger, rotation, suppression
from consent.addresses import Address
from consent.schema import suppression as barred

if TYPE_CHECKING:
    from pathlib import Path

    from tests.consent.people import People

HOUR = timedelta(hours=1)
ONE, TWO = b"\x01" * 32, b"\x02" * 32


def added(people: People) -> list[tuple[str | None, object, object]]:
    """Whom, why and how many: the suppressions in the ledger."""
    with people.store.read() as conn:
        found = ledger.read(conn, types=["suppression.added"])
        return [(entry.subject, entry.body["reason"], entry.body["count"]) for entry in found]


def test_addresses_with_one_reason_share_an_entry(people: People) -> None:
    """One entry per reason, with how many; those that were barred before are not counted again."""
    with people.store.write() as conn:
        assert suppression.add(conn, {ONE: "import", TWO: "import"}, at=people.at) == 2
        assert suppression.add(conn, {ONE: "import", b"\x03" * 32: "complained"}, at=people.at) == 1

    assert added(people) == [(None, "import", 2), (None, "complained", 1)]


def test_the_suppression_of_a_person_names_them(people: People) -> None:
    """The entry is found among those about the person; the row holds the version of the key they are found by."""
    subject = people.confirmed()
    with people.store.write() as conn:
        assert suppression.suppress_subject(conn, subject, "bounced", at=people.at)
        assert suppression.suppress_subject(conn, "x" * 26, "bounced", at=people.at) is False

    assert added(people) == [(subject, "bounced", 1)]


def test_a_suppressed_person_is_listed_under_their_own_key_version(people: People, tmp_path: Path) -> None:
    """After a rotation of the look-up key: else the next rotation would pass the row over."""
    subject = people.confirmed()
    keyring = rotation.begin(tmp_path / "keys.json", rotation.Key.INDEX)
    with people.store.write() as conn:
        while rotation.step(conn, keyring, at=people.at):
            pass
        suppression.suppress_subject(conn, subject, "bounced", at=people.at)
        row = conn.execute(select(barred)).one()

    assert (row.index_key, row.address_index) == (2, keyring.address_index("kim@firma.example"))


@pytest.mark.parametrize(("everyone", "default"), [(0, 2), (2, 0)])
def test_of_two_bars_the_newer_counts_against_a_request(people: People, everyone: int, default: int) -> None:
    """An address barred for all and for one controller: no request from between the two can be carried through."""
    with people.store.write() as conn:
        suppression.add(conn, {ONE: "unsubscribed"}, at=people.at + everyone * HOUR)
        suppression.add(conn, {ONE: "unsubscribed"}, controller="default", at=people.at + default * HOUR)
        asked = [(ONE, people.at + hours * HOUR) for hours in (1, 3)]
        kept = suppression.lasting(conn, asked, controller="default")
        others = suppression.lasting(conn, asked, controller="other")

    assert kept == {(ONE, people.at + HOUR)}
    assert others == ({(ONE, people.at + HOUR)} if everyone else set())


def test_a_request_of_the_same_moment_lifts_nothing(people: People) -> None:
    """Only what is older than the request falls; so nothing is promised that would not be kept."""
    subject = people.confirmed()
    with people.store.write() as conn:
        suppression.suppress_subject(conn, subject, "unsubscribed", at=people.at)
        index = people.keyring.address_index(Address.of("kim@firma.example").identity)
        assert suppression.lasting(conn, [(index, people.at)], controller="default") == {(index, people.at)}
        assert suppression.lift(conn, subject, controller="default", older_than=people.at) == 0
        assert suppression.lift(conn, subject, controller="default", older_than=people.at + HOUR) == 1


def test_lifting_touches_one_person_and_one_controller(people: People) -> None:
    """The list of another controller, and other people, stay barred."""
    kim, pat = people.confirmed(), people.confirmed("pat@firma.example")
    with people.store.write() as conn:
        for subject in (kim, pat):
            suppression.suppress_subject(conn, subject, "unsubscribed", at=people.at)
            suppression.suppress_subject(conn, subject, "unsubscribed", at=people.at, controller="default")
            suppression.suppress_subject(conn, subject, "unsubscribed", at=people.at, controller="other")
        fallen = suppression.lift(conn, kim, controller="default", older_than=people.at + HOUR)
        left = sorted(conn.execute(select(barred.c.controller)).scalars())

    assert fallen == 2
    assert left == ["*", "default", "other", "other"]

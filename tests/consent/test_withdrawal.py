"""A withdrawal: what it ends and keeps, and that it ends nothing of another controller."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent import ledger, rotation, states, withdrawal
from consent.addresses import Address
from consent.schema import opt_in_request
from consent.schema import suppression as barred
from consent.states import Standing, State
from tests.consent.people import NEWSLETTER, TRACKING, People

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


def standing(people: People, subject: str) -> dict[tuple[str, str], Standing]:
    """The last word on each consent of somebody."""
    with people.store.read() as conn:
        return {(one.controller, one.purpose): one for one in states.standings(conn, subject)}


def test_what_was_withdrawn_still_tells_what_it_was(people: People) -> None:
    """The wording agreed to, the last use and the basis stay beside the withdrawal."""
    subject = people.confirmed()
    people.ask(subject, at=people.at + DAY)
    before = standing(people, subject)["default", NEWSLETTER]
    [seq] = people.leave(subject, at=people.at + 2 * DAY)
    after = standing(people, subject)["default", NEWSLETTER]

    assert before.text_id is not None
    assert before.used_at == people.at + DAY
    assert (after.state, after.seq, after.since) == (State.WITHDRAWN, seq, people.at + 2 * DAY)
    assert (after.text_id, after.used_at, after.basis) == (before.text_id, before.used_at, before.basis)


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER]])
def test_another_controllers_consent_stays(people: People, purposes: list[str] | None) -> None:
    """Nothing of another controller is ended, nor named as ended."""
    subject = people.confirmed()
    other = Standing(subject, "other", "email", NEWSLETTER, State.GIVEN, 77, None, people.at, None)
    with people.store.write() as conn:
        states.put(conn, [other])
    people.leave(subject, purposes)
    with people.store.read() as conn:
        [entry] = ledger.read(conn, types=["consent.withdrawn"])

    assert entry.body["ends"] == [1]
    assert standing(people, subject)["other", NEWSLETTER] == other
    assert standing(people, subject)["default", NEWSLETTER].state is State.WITHDRAWN


def test_a_voided_request_keeps_no_link(people: People) -> None:
    """Its time is noted, its sealed link destroyed; a request for something else stays as it is."""
    subject = people.confirmed()
    people.sign_up(purposes=[TRACKING], at=people.at + DAY)
    people.sign_up(purposes=["newsletter.events"], at=people.at + 2 * DAY)
    people.leave(subject, [TRACKING], at=people.at + 3 * DAY)
    with people.store.read() as conn:
        _, voided, other = conn.execute(select(opt_in_request).order_by(opt_in_request.c.id)).all()

    assert (voided.state, voided.settled_at, voided.sealed_token) == ("void", people.at + 3 * DAY, None)
    assert (other.state, other.settled_at) == ("requested", None)
    assert other.sealed_token is not None


def test_an_unknown_address_is_barred_for_the_controller_it_left(people: People, tmp_path: Path) -> None:
    """Under the newest look-up key, and for nobody else: other controllers heard nothing."""
    keyring = rotation.begin(tmp_path / "keys.json", rotation.Key.INDEX)
    with people.store.write() as conn:
        ended = withdrawal.withdraw_address(conn, keyring, Address.of("new@firma.example"), controller="default",
                                            purposes=None, route="mailto", actor="subject", at=people.at)  # fmt: skip
        row = conn.execute(select(barred)).one()

    assert ended == []
    assert (row.address_index, row.index_key) == (keyring.address_index("new@firma.example"), 2)
    assert (row.controller, row.reason, row.since) == ("default", "withdrawn", people.at)

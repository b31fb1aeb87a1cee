"""Are the demo's people made up, stable, and as dirty as promised?"""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from nurture.cli.demo import people
from nurture.leads.importing.mapping import load_map
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

RESERVED = re.compile(r"@([a-z0-9-]+\.)*(example|test|example\.(org|com|net))$")
START = datetime(2026, 3, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("name", people.FILES)
def test_the_file_is_what_the_script_writes(name: str) -> None:
    """The shipped file is, byte for byte, what its script makes."""
    assert (people.DATA / name).read_bytes() == people.FILES[name]()


def test_everybody_lives_at_a_reserved_domain() -> None:
    """Nobody of the example can be reached, and no address stands twice."""
    addresses = [person.address for person in people.everybody()]
    assert [address for address in addresses if not RESERVED.search(address)] == []
    assert len(set(addresses)) == len(addresses)


def test_names_are_long_enough_to_search_for() -> None:
    """A search for leaked names finds names and no parts of words."""
    assert min(len(person.last_name) for person in people.everybody()) >= 6


def test_no_visitor_is_in_a_file() -> None:
    """The sixty who sign up during the demo are in none of the lists."""
    known = {person.address for person in people.subscribers() + people.contacts()}
    assert len(people.sign_ups()) == 60
    assert not known & {person["address"] for person in people.sign_ups()}


def test_the_lists_come_in_as_told(desk: Desk) -> None:
    """The three lists show proof, missing proof and every common fault."""
    settings = load_map(people.DATA / "mailchimp.map.yaml", PROJECT / "policies")
    desk.take(people.DATA / "mailchimp_unsubscribed.csv", at=START)
    proven = desk.take(people.DATA / "mailchimp.csv", settings, at=START)
    unproven = desk.take(people.DATA / "hubspot.csv", at=START)
    assert proven.counts.mailable > 150
    assert len(proven.counts.not_mailable) == 4
    assert unproven.counts.not_mailable.total() > 150
    assert {"formula", "no_address", "control_character", "bad_address:syntax"} <= set(unproven.counts.refused)


def test_the_mailchimp_dates_lie_before_the_demo() -> None:
    """No consent of the list is younger than the demo's first day."""
    with (people.DATA / "mailchimp.csv").open(encoding="utf-8") as file:
        times = [row["CONFIRM_TIME"] for row in csv.DictReader(file)]
    assert max(time for time in times if time[:2] == "20") < "2026-03-01"

"""Floods through the form: capped in the database, whatever process counts (A8, T23)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from consent import caps, opt_in
from consent.addresses import Address
from consent.schema import opt_in_request
from tests.consent.people import NEWSLETTER, People

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ask(people: People, address: str, network: str | None = None, at: object = None, *, public: bool = True) -> bool:
    """Send the form; will a mail go out?"""
    with people.store.write() as conn:
        return opt_in.request(
            conn,
            people.keyring,
            address=Address.of(address),
            purposes=[NEWSLETTER],
            controller="default",
            language="de",
            source="footer",
            evidence={},
            at=at or people.at,  # type: ignore[arg-type]
            network=network,
            public=public,
        ).queued


@pytest.fixture
def small(people: People, monkeypatch: pytest.MonkeyPatch) -> People:
    """Caps of a few instead of hundreds."""
    monkeypatch.setattr(caps, "NETWORK", ((HOUR, 3), (DAY, 5)))
    monkeypatch.setattr(caps, "DOMAIN", ((HOUR, 4), (DAY, 6)))
    monkeypatch.setattr(caps, "SHARED", ((HOUR, 8),))
    monkeypatch.setattr(caps, "EVERYBODY", (HOUR, 10))
    return people


def test_t23_one_network_cannot_sign_up_a_town(small: People) -> None:
    """Three an hour, five a day from one /24; the next network is free, and so is the next hour."""
    done = [ask(small, f"a@firma{n}.example", "192.0.2.0/24") for n in range(5)]
    later = [ask(small, f"b@firma{n}.example", "192.0.2.0/24", small.at + HOUR) for n in range(5)]

    assert (done, later) == ([True] * 3 + [False] * 2, [True] * 2 + [False] * 3)
    assert ask(small, "c@firma.example", "198.51.100.0/24")
    assert ask(small, "d@firma.example", "192.0.2.0/24", small.at + DAY)


def test_t23_one_domain_is_not_bombed(small: People) -> None:
    """Four an hour to one company from anywhere; a shared domain has its own, higher cap."""
    assert [ask(small, f"p{n}@firma.example", f"192.0.{n}.0/24") for n in range(5)] == [True] * 4 + [False]
    assert [ask(small, f"p{n}@gmail.com", f"192.1.{n}.0/24") for n in range(6)] == [True] * 6


def test_t23_a_googlemail_inbox_counts_with_gmail(small: People) -> None:
    """One inbox, two spellings of its domain."""
    assert ask(small, "kim@gmail.com")
    assert not ask(small, "k.i.m+x@googlemail.com")


def test_t23_the_breaker_stops_everybody(small: People) -> None:
    """Ten an hour of all, from anywhere to anywhere; what does not come over the web goes on."""
    assert [ask(small, f"p@firma{n}.example", f"192.0.{n}.0/24") for n in range(11)] == [True] * 10 + [False]
    assert ask(small, "card@firma.example", public=False)
    assert ask(small, "p@later.example", "192.0.2.0/24", small.at + HOUR)


@pytest.mark.parametrize("network", [None, "127.0.0.0/24", "::1/64", "not a network"])
def test_an_unknown_network_meets_the_other_caps(small: People, network: str | None) -> None:
    """Behind an unnamed proxy all come from loopback: no cap of its own, but the domain's holds."""
    assert [ask(small, f"p{n}@firma.example", network) for n in range(5)] == [True] * 4 + [False]


def test_cards_and_renewals_meet_the_inbox_cap_only(small: People) -> None:
    """A whole department at a fair; nobody twice a day."""
    assert [ask(small, f"p{n}@firma.example", public=False) for n in range(6)] == [True] * 6
    assert not ask(small, "p1@firma.example", public=False)


def test_what_is_counted_by_is_gone_after_thirty_days(small: People) -> None:
    """Keyed HMACs of inbox, network and domain, emptied by the nightly run."""
    ask(small, "kim@firma.example", "192.0.2.0/24")
    columns = (opt_in_request.c.abuse_index, opt_in_request.c.network_index, opt_in_request.c.domain_index)
    with small.store.write() as conn:
        [held] = conn.execute(select(*columns)).all()
        opt_in.lapse(conn, at=small.at + 30 * DAY - HOUR, limit=10)
        [kept] = conn.execute(select(*columns)).all()
        opt_in.lapse(conn, at=small.at + 30 * DAY, limit=10)
        [gone] = conn.execute(select(*columns)).all()

    assert len(set(held)) == 3
    assert all(len(key) == 32 for key in held)
    assert tuple(kept) == tuple(held)
    assert tuple(gone) == (None, None, None)


def test_t23_as_shipped_a_thousand_from_a_thousand_networks_send_one_mail(people: People) -> None:
    """T23 with the real caps: one inbox, 1,000 callers, any spelling."""
    sent = [ask(people, f"k.im+{n}@firma.example", f"10.{n // 250}.{n % 250}.0/24") for n in range(1000)]

    assert sum(sent) == 1


@pytest.mark.parametrize("kind", ["network", "domain", "abuse"])
def test_counting_uses_an_index(people: People, kind: str) -> None:
    """A form under attack reads no table from end to end."""
    column = f"{kind}_index"
    statement = f"select count(*) from opt_in_request where {column} in (:a) and requested_at > :b"
    if people.store.dialect != "sqlite":
        pytest.skip("PostgreSQL chooses by size; the index is the same")
    from sqlalchemy import text  # noqa: PLC0415  only here

    with people.store.read() as conn:
        plan = conn.execute(text("explain query plan " + statement), {"a": b"", "b": ""}).all()
    assert f"ix_opt_in_request_{kind}" in str(plan)


def test_a_request_that_says_nothing_of_the_web_is_held_to_the_inbox_alone(small: People) -> None:
    """Cards and renewals do not say where they come from; a fair may bring more than the web should."""
    assert [small.sign_up(f"p{number}@firma.example").queued for number in range(6)] == [True] * 6

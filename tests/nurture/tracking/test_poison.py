"""Does poison stay alone? The others of its body are applied, it is kept, nothing is raised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from nurture.store.tables import raw_event
from nurture.tracking.intake import unseal
from nurture.tracking.reading import read, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.nurture.tracking.conftest import World

POISON = {
    "NaN": b'{"event":"open","timestamp":NaN}',
    "lone surrogate": b'{"event":"open","email":"\\ud800"}',
    "NUL in the name": b'{"event":"\\u0000","timestamp":"x"}',
    "100,000 brackets": b"[" * 100_000,
    "closed brackets": b"[" * 50_000 + b"]" * 50_000,
    "5,000 digits": b'{"event":"open","timestamp":' + b"9" * 5000 + b"}",
    "overflow": b'{"event":"open","timestamp":1000000000000000000}',
    "no UTF-8": b'{"event":"open","email":"\xff"}',
    "a number": b"7",
    "an open string": b'{"event":"op',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_never_costs_its_neighbours(world: World, told: Callable[..., dict[str, Any]], poison: bytes) -> None:
    good = json.dumps(told("delivered", world.person(), world.at, response="250 OK")).encode()
    world.receive("sendgrid", b"[" + good + b"," + poison + b"]")
    done = world.ingest()
    assert (done.events, done.quarantined) == (1, 1)


@pytest.mark.parametrize("source", ["sendgrid", "click", "open", "form", "beacon"])
@pytest.mark.parametrize(
    "body", [*POISON.values(), b"", b"null", b"{}", b"[]", b'"x"', b'{"at":"2026-11-23T09:00:00"}', b"\x00" * 10]
)
def test_no_body_raises(source: str, body: bytes) -> None:
    read(source, body, {})


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z", "2101-01-01T00:00:00Z"]
)
def test_impossible_times_are_refused(moment: str) -> None:
    body = json.dumps({"message": "a" * 26, "link": 0, "at": moment}).encode()
    assert read("click", body, {}).events == []


def test_only_the_poison_is_kept(world: World, told: Callable[..., dict[str, Any]]) -> None:
    good = json.dumps(told("delivered", world.person(), world.at, response="250 OK")).encode()
    world.receive("sendgrid", b"[" + good + b',{"event":"open","timestamp":NaN}]')
    world.ingest()
    [row] = world.rows(select(raw_event))
    assert unseal(world.ws.keyring, row.sealed_body, row.body_sha256) == b'{"event":"open","timestamp":NaN}'
    assert (row.state, row.error) == ("quarantined", "1 x event: is no JSON")


def test_a_body_of_other_keys_is_put_aside(world: World) -> None:
    world.receive("click", b"{}")
    with world.ws.store.write() as conn:
        conn.execute(raw_event.update().values(sealed_body=b"not ours"))
    assert world.ingest().quarantined == 1


@pytest.mark.parametrize(
    "body", [b"[" + b'"\\"' * 50_000, b'[{"a":' * 50_000, b'["' + b"\\" * 300_000, b"[" + b"," * 100_000]
)
def test_hostile_bodies_are_cut_in_one_pass(body: bytes) -> None:
    assert sum(map(len, split(body))) <= len(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6))
@settings(deadline=None)
def test_cutting_a_list_gives_its_elements(elements: list[Any]) -> None:
    assert [json.loads(part) for part in split(json.dumps(elements).encode())] == elements


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_raise(body: bytes) -> None:
    for source in ("sendgrid", "click", "open", "form", "beacon"):
        read(source, body, {})

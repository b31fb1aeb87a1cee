"""The provider's webhook: signed bytes are kept as they came, everything else is turned away."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from nurture.delivery.status import status
from nurture.store.tables import raw_event
from nurture.tracking import intake
from nurture.web.hooks import SIGNATURE, TIMESTAMP
from tests.nurture.web.provider import PATH, send, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nurture.store.workspace import Workspace
    from tests.nurture.web.visitor import Visitor


def test_a_signed_body_is_stored_as_it_came(hook: Visitor, workspace: Workspace) -> None:
    body = b'[{"event":"open"}]\r\n'
    assert send(hook, body) == 200
    with workspace.store.read() as conn:
        row = conn.execute(select(raw_event)).one()
    assert (row.source, intake.unseal(workspace.keyring, row.sealed_body, row.body_sha256)) == ("sendgrid", body)


def test_the_same_body_twice_is_stored_once(hook: Visitor, raw_count: Callable[[], int]) -> None:
    assert [send(hook, b"[1]"), send(hook, b"[1]"), raw_count()] == [200, 200, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [(SIGNATURE, ""), (SIGNATURE, "AAAA"), (SIGNATURE, "x" * 5000), (TIMESTAMP, "1"), (TIMESTAMP, "")],
)
def test_a_forged_post_is_turned_away(hook: Visitor, raw_count: Callable[[], int], name: str, value: str) -> None:
    assert (send(hook, b"[]", **{name: value}), raw_count()) == (403, 0)


@pytest.mark.requirement(95)
def test_t34_a_forged_withdrawal_is_ignored_and_counted(
    hook: Visitor, workspace: Workspace, confirmed: str, states: Callable[[str], dict[str, str]]
) -> None:
    """T34: nothing is stored, nothing ends; the status tells how many came, though not each is written at once."""
    body = b'[{"event":"spamreport","email":"anna@firma.example","timestamp":1,"sg_event_id":"x"}]'
    answers = [
        hook.call("POST", PATH, content=body, headers=signed(hook, body, **{SIGNATURE: "AAAA"})) for _ in range(3)
    ]
    with workspace.store.read() as conn:
        first = status(conn).forged
    hook.wait(60)
    hook.call("POST", PATH, content=body, headers={})
    with workspace.store.read() as conn:
        later = status(conn).forged

    assert [answer.status_code for answer in answers] == [403] * 3
    assert (first, later) == (1, 4)
    assert set(states(confirmed).values()) == {"given"}


def test_a_changed_body_is_turned_away(hook: Visitor, raw_count: Callable[[], int]) -> None:
    headers = signed(hook, b"[]")
    answer = hook.call("POST", PATH, content=b"[ ]", headers=headers)
    assert (answer.status_code, raw_count()) == (403, 0)


def test_a_stale_post_is_turned_away(hook: Visitor, raw_count: Callable[[], int]) -> None:
    headers = signed(hook, b"[]")
    hook.wait(26 * 3600)
    assert (hook.call("POST", PATH, content=b"[]", headers=headers).status_code, raw_count()) == (403, 0)


def test_without_a_key_the_door_is_closed(visitor: Visitor, raw_count: Callable[[], int]) -> None:
    answer = visitor.call("POST", PATH, content=b"[]", headers=signed(visitor, b"[]"))
    assert (answer.status_code, raw_count()) == (503, 0)
    assert "no public key" in answer.text


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * MIB, {}, 200),
        (b" " * (MIB + 1), {}, 413),
        (b"[]", {"content-length": str(10 * MIB)}, 413),
        (gzip.compress(b"[]"), {"content-encoding": "gzip"}, 415),
        (b"[]", {"content-encoding": "br"}, 415),
        (b"[]", {"content-encoding": "identity"}, 200),
        (b"", {}, 200),
    ],
    ids=["full", "too large", "said to be large", "gzip", "brotli", "identity", "empty"],
)
def test_size_and_encoding_are_held(hook: Visitor, body: bytes, headers: dict[str, str], status: int) -> None:
    assert send(hook, body, **headers) == status


def test_a_body_without_length_is_held_too(hook: Visitor, raw_count: Callable[[], int]) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    answer = hook.call("POST", PATH, content=flood(), headers=signed(hook, b""))
    assert (answer.status_code, raw_count()) == (413, 0)


def test_no_body_makes_it_fail(hook: Visitor) -> None:
    """Signed or not, whatever the bytes: never a 5xx."""
    shapes = st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"[" * 100_000, b"[NaN]", b'["\\ud800"]', b"[" + b"9" * 5_000 + b"]", b"\x00", b"\xff\xfe"]),
        st.text(max_size=50).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=shapes, genuine=st.booleans(), junk=st.text(alphabet=st.characters(max_codepoint=255), max_size=30))
    def probe(body: bytes, junk: str, *, genuine: bool) -> None:
        headers = signed(hook, body)
        if not genuine:
            headers[SIGNATURE] = "".join(char for char in junk if char.isprintable() and char.isascii()).strip()
        answer = hook.call("POST", PATH, content=body, headers=headers)
        assert answer.status_code == (200 if genuine else 403)

    probe()

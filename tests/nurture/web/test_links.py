"""Links and the pixel: they lead only where the template leads, and tell only what may be told."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from consent import withdrawal
from nurture.store.tables import raw_event
from nurture.tracking import intake
from nurture.web.lookups import is_web

if TYPE_CHECKING:
    from collections.abc import Callable

    from nurture.store.workspace import Workspace
    from tests.nurture.web.visitor import Visitor

    Link = Callable[[str, str], str]
    Mailed = Callable[..., str]
    Count = Callable[[], int]

TARGETS = ("https://musterwerk.example/a?x=1&y=%20", "https://musterwerk.example/b#c", "http://docs.example:8080/")


def test_a_link_leads_to_its_target(visitor: Visitor, mailed: Mailed, link: Link) -> None:
    token = link("click", mailed(urls=TARGETS))
    answers = [visitor.get(f"/c/{token}/{index}") for index in range(3)]
    assert [answer.status_code for answer in answers] == [302] * 3
    assert [answer.headers["location"] for answer in answers] == list(TARGETS)


def test_a_click_is_stored_raw(visitor: Visitor, mailed: Mailed, link: Link, workspace: Workspace) -> None:
    public_id = mailed(urls=TARGETS)
    visitor.get(f"/c/{link('click', public_id)}/2", headers={"user-agent": "Leser\x01in/1.0"})
    with workspace.store.read() as conn:
        row = conn.execute(select(raw_event)).one()
    body = json.loads(intake.unseal(workspace.keyring, row.sealed_body, row.body_sha256))
    assert row.source == "click"
    assert body == [
        {
            "message": public_id,
            "link": 2,
            "method": "GET",
            "user_agent": "Leserin/1.0",
            "at": visitor.clock.now().isoformat(),
        }
    ]


@pytest.mark.parametrize("path", ["/c/{click}/0", "/o/{open}.gif"])
def test_head_and_prefetch_tell_nothing(
    visitor: Visitor, mailed: Mailed, link: Link, raw_count: Count, path: str
) -> None:
    public_id = mailed()
    address = path.format(click=link("click", public_id), open=link("open", public_id))
    answers = [visitor.call("HEAD", address), visitor.get(address, headers={"sec-purpose": "prefetch;prerender"})]
    assert {answer.status_code for answer in answers} <= {200, 302}
    assert raw_count() == 0


def test_an_untracked_mail_tells_nothing(visitor: Visitor, mailed: Mailed, link: Link, raw_count: Count) -> None:
    public_id = mailed(tracked=False)
    assert visitor.get(f"/c/{link('click', public_id)}/0").status_code == 302
    assert visitor.get(f"/o/{link('open', public_id)}.gif").status_code == 200
    assert raw_count() == 0


def test_after_a_withdrawal_nothing_is_told(
    visitor: Visitor, mailed: Mailed, link: Link, raw_count: Count, workspace: Workspace, confirmed: str
) -> None:
    public_id = mailed()
    with workspace.store.write() as conn:
        withdrawal.withdraw(
            conn, subject=confirmed, controller="default", purposes=["email.tracking"], route="page", actor="subject",
            at=visitor.clock.now(),
        )  # fmt: skip
    assert visitor.get(f"/c/{link('click', public_id)}/0").status_code == 302
    visitor.get(f"/o/{link('open', public_id)}.gif")
    assert raw_count() == 0


@pytest.mark.parametrize("index", ["1", "-1", "9999", "99999", "x", "0x0", "\u0660", "", "0/1"])
def test_an_unknown_index_is_404(visitor: Visitor, mailed: Mailed, link: Link, index: str) -> None:
    assert visitor.get(f"/c/{link('click', mailed())}/{index}").status_code == 404


def test_the_pixel_is_one_picture_for_all(visitor: Visitor, mailed: Mailed, link: Link, raw_count: Count) -> None:
    known = visitor.get(f"/o/{link('open', mailed())}.gif")
    unknown = visitor.get("/o/unknown.gif")
    assert (known.content, sorted(known.headers.items())) == (unknown.content, sorted(unknown.headers.items()))
    assert (known.headers["content-type"], known.headers["cache-control"]) == ("image/gif", "no-store")
    assert raw_count() == 1


HOSTS = ["evil.example", "good.example", "evil\\@good.example", "[::1", "127.0.0.1", "evil%2egood", ""]
SCHEMES = ["http://", "https://", "//", "/\\", "javascript:", "data:", "\thttps:", "https:/", "HTTPS://", "%2f%2f"]
JUNK = [*[""] * 20, " ", "\\", "@", "#", "?", "\n", "\x00", "\u2028", "x", "/", ":80", "é", "%0d%0a"]
PIECES = [JUNK, SCHEMES, JUNK, JUNK, HOSTS, JUNK, JUNK]


def test_what_may_be_a_target_is_plain() -> None:
    """Of 10,000 made-up addresses, those let through mean the same host to every reader."""
    chance = random.Random(7)  # noqa: S311  a seed, no secret
    taken = 0
    for _ in range(10_000):
        url = "".join(chance.choice(pieces) for pieces in PIECES)
        if not is_web(url):
            continue
        taken += 1
        assert url.lower().startswith(("http://", "https://"))
        host = re.split(r"[/?#]", url.split("://", 1)[1], maxsplit=1)[0]
        assert host
        assert not set(host) & set("\\@ \t\r\n")
    assert taken > 100


URLS = st.builds(lambda *parts: "".join(parts), *map(st.sampled_from, PIECES))


def test_no_fuzzed_link_leaves_the_table(visitor: Visitor, mailed: Mailed, link: Link) -> None:
    """Whatever is put into the link's address, the answer is the table's target or no redirect."""
    token = link("click", mailed(urls=TARGETS))

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(prefix=st.sampled_from([f"/c/{token}/", "/c/", f"/c/{token}", f"/c/{token}/0?u=", "/o/"]), tail=URLS)
    def probe(prefix: str, tail: str) -> None:
        answer = visitor.get(prefix + quote(tail, safe="/:?=&\\@%#"))
        assert answer.headers.get("location", TARGETS[0]) in TARGETS

    probe()

"""What holds for every answer of the edge: headers, methods, errors, logs, languages."""

from __future__ import annotations

import logging
import random
import re
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, func, select

from consent import ledger, opt_in, texts, tokens, vault, withdrawal
from nurture.leads import preferences
from nurture.leads.wordings import Purpose
from nurture.store.tables import mail_preference, metadata
from nurture.web import hooks
from nurture.web.app import create_app
from nurture.web.catalogue import WORDS, asking, choosing, common, opting
from nurture.web.enquiries import FORMS
from nurture.web.guard import CSP
from nurture.web.pages import Pages
from nurture.web.routes import PUBLIC
from nurture.web.words import LANGUAGES, Words, choose
from tests.nurture.meeting import PATIENCE, until_it_waits
from tests.nurture.web.visitor import Visitor, forms, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.applications import Starlette

    from nurture.clock import VirtualClock
    from nurture.store.workspace import Workspace

METHODS = ("GET", "HEAD", "OPTIONS", "PROPFIND", "TRACE", "PUT", "PATCH", "DELETE", "MKCOL", "BREW")
SAFE_HEADERS = {
    "content-security-policy": CSP,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "strict-transport-security": "max-age=31536000",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.fixture
def paths(visitor: Visitor, mailed: Callable[..., str], link: Callable[[str, str], str], ready: Workspace) -> list[str]:
    """Every public route with a token that works."""
    public_id = mailed()
    visitor.sign_up("bert@firma.example")
    with ready.store.read() as conn:
        secret = opt_in.token(conn, ready.keyring, 2)
    filled = {
        "/confirm/{token}": f"/confirm/{secret}",
        "/decline/{token}": f"/decline/{secret}",
        "/u/{token}": f"/u/{link('unsubscribe', public_id)}",
        "/p/{token}": f"/p/{link('preferences', public_id)}",
        "/q/{token}": f"/q/{link('profile', public_id)}",
        "/d/{token}": f"/d/{link('data', public_id)}",
        "/c/{token}/{index}": f"/c/{link('click', public_id)}/0",
        "/o/{token}.gif": f"/o/{link('open', public_id)}.gif",
        "/request/{form}": "/request/demo_request",
        "/static/{name}": "/static/site.css",
    }
    found = [filled.get(public.path, public.path) for public in PUBLIC]
    assert not [path for path in found if "{" in path], "a new route needs a token that works here"
    return found


BODIES = (b"List-Unsubscribe=One-Click", b"action=leave", b"off=*", b"pause=90", b"action=erase&sure=yes", b"")
PREFETCH: tuple[dict[str, str], ...] = (
    {}, {"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"},
    {"x-http-method-override": "POST"}, {"x-method-override": "POST"}, {"accept": "application/json"},
    {"range": "bytes=0-10"}, {"if-none-match": "*"}, {"cookie": "session=1"},
)  # fmt: skip


@pytest.fixture
def rows(ready: Workspace) -> Callable[[], dict[str, int]]:
    """How many rows each table holds, but those that a visit of a page may add to: raw events of opens and clicks."""

    def count() -> dict[str, int]:
        with ready.store.read() as conn:
            return {
                table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
                if table.name != "raw_event"
            }

    return count


def test_t13_no_method_but_post_changes_anything(
    visitor: Visitor, paths: list[str], ledger: Callable[[], list[str]], rows: Callable[[], dict[str, int]]
) -> None:
    """A hundred requests to every public route with each method, as scanners, prefetchers and fuzzers send them."""
    dice = random.Random(13)  # noqa: S311  a fixed course
    before, held = ledger(), rows()
    for path in paths:
        for method in METHODS:
            for turn in range(10):
                query = dice.choice(["", "?lang=en", "?List-Unsubscribe=One-Click", "?_method=POST", "?action=leave"])
                headers = PREFETCH[turn % len(PREFETCH)] | {"content-type": "application/x-www-form-urlencoded"}
                answer = visitor.call(method, path + query, content=dice.choice(BODIES), headers=headers)
                assert answer.status_code < 500
                assert "set-cookie" not in answer.headers
    assert (ledger(), rows()) == (before, held)


def test_every_answer_carries_the_headers(visitor: Visitor, paths: list[str]) -> None:
    for path in [*paths, "/nowhere", "/c/x/0", "/%ff%00", "/" + "x" * 3000]:
        for method in ("GET", "HEAD", "POST", "PROPFIND"):
            headers = visitor.call(method, path).headers
            assert {name: headers.get(name) for name in SAFE_HEADERS} == SAFE_HEADERS, path
            assert headers["cross-origin-resource-policy"] == ("cross-origin" if ".gif" in path else "same-origin")
            assert headers["cache-control"] == ("no-store" if "site.css" not in path else "public, max-age=86400") or (
                method in {"POST", "PROPFIND"}
            )


def test_the_policy_allows_nothing_but_our_own() -> None:
    assert CSP == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )


def test_pages_need_nothing_the_policy_forbids(visitor: Visitor, paths: list[str]) -> None:
    for path in paths:
        page = visitor.get(path)
        if not page.headers.get("content-type", "").startswith("text/html"):
            continue
        read = parse(page.text)
        assert not {"script", "style", "iframe", "object", "base"} & set(read.tags)
        for _, name, value in read.attributes:
            assert not name.startswith("on")
            assert name != "style"
            assert not value.startswith(("http:", "https:", "//", "data:", "javascript:"))


def test_pages_are_complete_documents(visitor: Visitor, paths: list[str]) -> None:
    for path in paths:
        page = visitor.get(f"{path}?lang=en")
        if page.status_code != 200 or not page.headers.get("content-type", "").startswith("text/html"):
            continue
        read = parse(page.text)
        ids = [value for _, name, value in read.attributes if name == "id"]
        labels = [value for tag, name, value in read.attributes if (tag, name) == ("label", "for")]
        assert read.tags.count("h1") == 1
        assert ("html", "lang", "en") in read.attributes
        assert len(ids) == len(set(ids))
        assert set(labels) <= set(ids)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nowhere", 404), ("GET", "/subscribe/", 404), ("GET", "/%2Fevil.example", 404),
    ("GET", "/static/../app.py", 404), ("GET", "/static/words.py", 404), ("PROPFIND", "/subscribe", 405),
    ("POST", "/imprint", 405), ("GET", "/hooks/sendgrid", 405), ("GET", "/request/nothing", 404),
    ("GET", "/openapi.json", 404), ("GET", "/docs", 404),
])  # fmt: skip
def test_what_is_not_there_is_refused(visitor: Visitor, method: str, path: str, status: int) -> None:
    answer = visitor.call(method, path)
    assert answer.status_code == status
    assert "location" not in answer.headers


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"x=" + b"y" * 20_000, "application/x-www-form-urlencoded", 413),
    (b"&".join(b"a%d=1" % number for number in range(100)), "application/x-www-form-urlencoded", 400),
    (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
    (b"{}", "application/json", 415),
    (b"nothing", "multipart/form-data", 400),
    (b"nothing", "multipart/form-data; boundary=x", 400),
    (b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nc\r\n--x--\r\n",
     "multipart/form-data; boundary=x", 400),
    (b"--x\r\nContent-Disposition: form-data\r\n\r\nc\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
    (b"address=a", "text/plain", 415),
])  # fmt: skip
def test_odd_forms_are_turned_away(visitor: Visitor, body: bytes, kind: str, status: int) -> None:
    assert visitor.call("POST", "/subscribe", content=body, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize(("charset", "status"), [
    ("unicode_escape", 400), ("utf-7", 400), ("utf-16", 400), ("none-such", 400), ("", 400),
    ("utf-8", 422), ('"UTF-8"', 422),
])  # fmt: skip
def test_a_form_is_read_in_utf_8_alone(visitor: Visitor, charset: str, status: int) -> None:
    """Half a character, which some encodings give, can be written into no answer."""
    body = b'--x\r\nContent-Disposition: form-data; name="address"\r\n\r\n\\ud800\r\n--x--\r\n'
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = visitor.call("POST", "/request/demo_request", content=body, headers={"content-type": kind})
    assert answer.status_code == status


def test_an_error_leaks_nothing(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret anna@firma.example")

    monkeypatch.setattr(texts, "current", fail)
    with caplog.at_level(logging.INFO, "nurture.web"):
        answer = visitor.get("/subscribe")
    assert (answer.status_code, answer.headers["content-security-policy"]) == (500, CSP)
    assert not re.search("secret|anna|Traceback|RuntimeError", answer.text)
    assert "RuntimeError in /subscribe at fail:" in caplog.text
    assert "anna" not in caplog.text


def test_the_log_holds_templates_not_tokens(
    visitor: Visitor, paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nurture.web"):
        for path in [*paths, "/anna@firma.example"]:
            visitor.get(path, headers={"user-agent": "evil\tagent"})
            visitor.call("BREW", path)
    lines = [record.getMessage() for record in caplog.records if record.name == "nurture.web.access"]
    assert len(lines) == 2 * len(paths) + 2
    for line in lines:
        assert re.fullmatch(r"(GET|\?) (-|/[a-z{}./-]*) \d{3} \d+ ms", line)


def test_a_token_stands_in_no_header_of_an_answer(visitor: Visitor, paths: list[str]) -> None:
    for path in paths:
        for part in path.split("/"):
            if len(part) > 40:
                assert part[:40] not in str(visitor.get(path).headers)


# --- languages -------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "header", "expected"), [
    (None, "", "de"), (None, "en-GB,en;q=0.9,de;q=0.5", "en"), (None, "de-AT,en;q=0.9", "de"), (None, "fr", "de"),
    (None, "fr;q=1,en;q=0.3", "en"), ("en", "de", "en"), ("fr", "en", "en"), (None, "en;q=x", "de"),
    (None, "en;q=0", "de"), (None, "," * 5000 + "en", "de"),
])  # fmt: skip
def test_the_language_follows_the_reader(asked: str | None, header: str, expected: str) -> None:
    assert choose(asked, header, "de") == expected


def test_both_languages_say_everything() -> None:
    for key, told in WORDS.items():
        assert set(told) == set(LANGUAGES), key
        holes = [sorted(re.findall(r"{(\w+)}", text)) for text in told.values()]
        assert holes[0] == holes[1], key


def test_no_group_of_words_hides_another() -> None:
    groups = (asking.WORDS, choosing.WORDS, common.WORDS, opting.WORDS)
    assert sum(map(len, groups)) == len(WORDS)


def test_a_purpose_bears_the_name_that_its_file_gives_it() -> None:
    told = Purpose(version=1, title={"de": "Seminare"}, about={"de": "Termine und Themen"}, text={"de": "Ja"})
    words = Words("de", ZoneInfo("Europe/Berlin"), {"webinars": told, "events": told.model_copy(update={"title": {}})})
    assert (words.purpose("webinars"), words.purpose_what("webinars", "Firma")) == ("Seminare", "Termine und Themen")
    assert (words.purpose("events"), words.purpose("newsletter.product")) == ("events", "Produkt-Newsletter")
    assert words.purpose_what("unheard.of", "Firma") == ""


def test_a_mail_reader_keeps_the_language_of_the_mail(
    visitor: Visitor, mailed: Callable[..., str], link: Callable[[str, str], str]
) -> None:
    path = f"/u/{link('unsubscribe', mailed())}"
    german = visitor.get(path, headers={"accept-language": "en"})
    english = visitor.get(f"{path}?lang=en")
    assert (german.headers["content-language"], english.headers["content-language"]) == ("de", "en")


# --- addresses behind proxies ------------------------------------------------------------------


@pytest.mark.parametrize(("peer", "trusted", "forwarded", "expected"), [
    ("198.51.100.1", (), "6.6.6.6", "198.51.100.1"),
    ("10.0.0.1", ("10.0.0.0/8",), "6.6.6.6, 203.0.113.9", "203.0.113.9"),
    ("10.0.0.1", ("10.0.0.0/8",), "203.0.113.9, 10.0.0.2", "203.0.113.9"),
    ("10.0.0.1", ("10.0.0.0/8",), "junk", None),
    ("10.0.0.1", ("10.0.0.0/8",), "203.0.113.9, junk", None),
    ("10.0.0.1", ("10.0.0.0/8",), None, None),
    ("::ffff:10.0.0.1", ("10.0.0.0/8",), "2001:db8::5", "2001:db8::5"),
    ("2001:db8::1", ("10.0.0.0/8",), "6.6.6.6", "2001:db8::1"),
])  # fmt: skip
def test_only_named_proxies_are_believed(
    ready: Workspace, clock: VirtualClock, peer: str, trusted: tuple[str, ...], forwarded: str | None,
    expected: str | None,
) -> None:  # fmt: skip
    behind = type(ready)(ready.settings.model_copy(update={"trusted_proxies": trusted}), ready.store, ready.keyring)
    visitor = Visitor(create_app(behind, clock, answer_floor=0, minimum_fill=0), clock, ip=peer)
    body = visitor.get("/subscribe")
    form = parse(body.text).found[0]
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    fields = form.fields | {"address": "anna@firma.example", "box:newsletter.product": "yes"}
    visitor.post("/subscribe", fields, headers=headers)
    visitor.close()
    with ready.store.read() as conn:
        told = vault.evidence(conn, ready.keyring, 0)
    assert told is not None
    assert told.get("ip") == expected


@pytest.mark.parametrize(
    ("how", "expected"), [("full", "203.0.113.7"), ("truncated", "203.0.113.0/24"), ("none", None)]
)
def test_the_address_is_kept_as_configured(
    ready: Workspace, clock: VirtualClock, how: str, expected: str | None
) -> None:
    kept = type(ready)(ready.settings.model_copy(update={"evidence_ip": how}), ready.store, ready.keyring)
    visitor = Visitor(create_app(kept, clock, answer_floor=0), clock)
    visitor.sign_up("anna@firma.example")
    visitor.close()
    with ready.store.read() as conn:
        told = vault.evidence(conn, ready.keyring, 0)
    assert told is not None
    assert told.get("ip") == expected


def test_the_hook_names_are_the_providers() -> None:
    assert (hooks.SIGNATURE, hooks.TIMESTAMP) == (
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    )


def test_changes_wait_for_an_erasure(app: Starlette, ready: Workspace, confirmed: str, at: datetime) -> None:
    """A pause and a withdrawal that share a commit meet an erasure: it holds the ledger, then wants the pause."""
    if ready.store.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    with ready.store.write() as conn:
        preferences.slow_down(conn, confirmed, 1, at=at)

    def both(conn: Connection) -> list[int]:
        preferences.pause(conn, confirmed, 30, at=at)
        return withdrawal.withdraw(
            conn, subject=confirmed, controller="default", purposes=None, route="page", actor="subject", at=at
        )

    with ready.store.write() as conn:
        ledger.lock(conn)
        future = app.state.edge.committer.submit(both)
        until_it_waits(ready.store, future)
        # Not even waited for: what waits for the ledger may hold nothing.
        assert conn.execute(select(mail_preference.c.subject).with_for_update(nowait=True)).scalar_one() == confirmed
        conn.execute(delete(mail_preference).where(mail_preference.c.subject == confirmed))

    assert len(future.result(PATIENCE)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_ours_claims_nothing_about_what_was_stored(ready: Workspace, language: str, status: int) -> None:
    page = bytes(Pages(ready.settings).wrong(language, status).body).decode()
    assert {"de": "vielleicht nicht", "en": "or not"}[language] in page


@pytest.mark.parametrize("path", ["/subscribe", *(f"/request/{form}" for form in FORMS)])
def test_a_form_on_a_strangers_page_is_turned_away(
    visitor: Visitor, ledger: Callable[[], list[str]], raw_count: Callable[[], int], path: str
) -> None:
    [form] = forms(visitor.get(path).text)
    visitor.wait(5)
    filled = form.fields | {"address": "anna@firma.example", "box:newsletter.product": "yes"}
    foreign = visitor.post(path, filled, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, "fremden Seite" in foreign.text) == (403, True)
    assert (ledger(), raw_count()) == ([], 0)
    assert visitor.post(path, filled, headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_one_click_works_from_a_mail_programs_page(
    visitor: Visitor, mailed: Callable[..., str], ready: Workspace
) -> None:
    path = f"/u/{tokens.issue(ready.keyring, 'unsubscribe', mailed())}"
    answer = visitor.post(path, {"List-Unsubscribe": "One-Click"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200

"""The machine's doors: shut without a token, alike for known and unknown, and as the document says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from sqlalchemy import select

from consent.schema import suppression
from nurture.settings import PROJECT, Settings, SettingsError
from nurture.web import openapi
from nurture.web.app import create_app
from nurture.web.routes import PUBLIC
from tests.nurture.web.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from nurture.clock import VirtualClock
    from nurture.store.workspace import Workspace

    Ledger = Callable[[], list[str]]
    States = Callable[[str], dict[str, str]]

TOKEN = "t" * 40
BEARER = {"authorization": f"Bearer {TOKEN}"}
ANNA = "anna@firma.example"


@pytest.fixture
def caller(ready: Workspace, clock: VirtualClock) -> Iterator[Visitor]:
    """One of the company's servers, on an installation that has an API token."""
    settings = ready.settings.model_copy(update={"api_token": Settings(api_token=TOKEN).api_token})
    made = Visitor(create_app(type(ready)(settings, ready.store, ready.keyring), clock, answer_floor=0), clock)
    yield made
    made.close()


def withdraw(caller: Visitor, headers: dict[str, str] = BEARER, **body: object) -> httpx.Response:
    """Ask to end consents."""
    return caller.call("POST", "/api/withdraw", json=body, headers=headers)


def test_it_is_shut_without_a_token_in_the_settings(visitor: Visitor, confirmed: str, ledger: Ledger) -> None:
    answer = withdraw(visitor, address=ANNA)
    assert (answer.status_code, answer.json()) == (403, {"error": "closed"})
    assert "consent.withdrawn" not in ledger()


@pytest.mark.parametrize("header", [
    None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}t", "Bearer \u00fc",
])  # fmt: skip
def test_a_wrong_token_ends_nothing(caller: Visitor, confirmed: str, ledger: Ledger, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode("latin-1").decode("latin-1")}
    answer = caller.call("POST", "/api/withdraw", json={"address": ANNA},
                         headers={name: value.encode("utf-8") for name, value in headers.items()})  # fmt: skip
    assert (answer.status_code, answer.json()) == (401, {"error": "token"})
    assert "consent.withdrawn" not in ledger()


@pytest.mark.requirement(26)
def test_it_ends_everything_at_once(caller: Visitor, confirmed: str, states: States) -> None:
    answer = withdraw(caller, address="Anna@FIRMA.example", purposes=None)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert states(confirmed) == {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}


def test_it_ends_what_is_named(caller: Visitor, confirmed: str, states: States) -> None:
    withdraw(caller, address=ANNA, purposes=["email.tracking"])
    assert states(confirmed) == {"newsletter.product": "given", "email.tracking": "withdrawn"}


def test_the_route_stands_in_the_ledger(caller: Visitor, confirmed: str, ready: Workspace) -> None:
    from consent import ledger as proof  # noqa: PLC0415  the fixture of that name counts entries

    withdraw(caller, address=ANNA)
    with ready.store.read() as conn:
        [entry] = [one for one in proof.read(conn, subject=confirmed) if one.type == "consent.withdrawn"]
    assert (entry.body["route"], entry.body["actor"]) == ("api", "api")


def test_a9_known_and_unknown_get_the_same_answer(caller: Visitor, confirmed: str) -> None:
    answers = [withdraw(caller, address=address) for address in (ANNA, ANNA, "nobody@firma.example")]
    assert len({(answer.status_code, answer.content, str(answer.headers)) for answer in answers}) == 1


def test_a_stranger_is_kept_from_later_imports(caller: Visitor, ready: Workspace) -> None:
    withdraw(caller, address="later@firma.example", purposes=["newsletter.product"])
    assert _suppressed(ready) == []
    withdraw(caller, address="later@firma.example")
    assert _suppressed(ready) == ["withdrawn"]


def _suppressed(ws: Workspace) -> list[str]:
    with ws.store.read() as conn:
        return list(conn.execute(select(suppression.c.reason)).scalars())


@pytest.mark.parametrize(("body", "field"), [
    ([], "json"), ({}, "address"), ({"address": 1}, "address"), ({"address": "anna@"}, "address"),
    ({"address": ANNA, "purposes": []}, "purposes"), ({"address": ANNA, "purposes": "x"}, "purposes"),
    ({"address": ANNA, "purposes": [1]}, "purposes"), ({"address": ANNA, "purposes": ["unheard.of"]}, "purposes"),
])  # fmt: skip
def test_it_names_what_is_wrong(caller: Visitor, confirmed: str, ledger: Ledger, body: object, field: str) -> None:
    answer = caller.call("POST", "/api/withdraw", json=body, headers=BEARER)
    assert (answer.status_code, answer.json()) == (422, {"error": field})
    assert "consent.withdrawn" not in ledger()


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too easy to guess"):
        Settings(home=tmp_path, api_token="short").secret("api_token")
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    assert Settings(home=tmp_path, api_token_file=file).secret("api_token") == TOKEN


# --- the document ------------------------------------------------------------------------------


def schema_of(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    """Give the schema of one answer, with what it refers to."""
    answer = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**answer, "components": document["components"]}


def test_real_answers_are_as_described(caller: Visitor, visitor: Visitor, confirmed: str) -> None:
    document = caller.get("/api/openapi.json").json()
    opt_in = {"address": "new@firma.example", "purposes": ["newsletter.product"]}
    huge, text = b"x" * 20_000, {"content-type": "text/plain"}
    as_json = {"content-type": "application/json"}
    answers = [
        ("/api/openapi.json", caller.get("/api/openapi.json")),
        ("/api/opt-in", caller.get("/api/opt-in?lang=en")),
        ("/api/opt-in", caller.call("POST", "/api/opt-in", json=opt_in)),
        ("/api/opt-in", caller.call("POST", "/api/opt-in", json=opt_in | {"wording": {"newsletter.product": "old"}})),
        ("/api/opt-in", caller.call("POST", "/api/opt-in", json={})),
        ("/api/withdraw", withdraw(visitor, address=ANNA)),
        ("/api/withdraw", withdraw(caller, headers={}, address=ANNA)),
        ("/api/withdraw", withdraw(caller, address=ANNA)),
        ("/api/withdraw", withdraw(caller)),
    ]
    for path in ("/api/opt-in", "/api/withdraw"):
        answers += [
            (path, caller.call("POST", path, content=b"{", headers=BEARER | as_json)),
            (path, caller.call("POST", path, content=b"{}", headers=BEARER | text)),
            (path, caller.call("POST", path, content=huge, headers=BEARER | as_json)),
        ]
    seen = set()
    for path, answer in answers:
        method = str(answer.request.method).lower()
        seen.add((path, method, answer.status_code))
        jsonschema.Draft202012Validator(schema_of(document, path, method, answer.status_code)).validate(answer.json())
    described = {
        (path, method, int(status))
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        for status in told["responses"]
    }
    doors = (("/api/opt-in", "get"), ("/api/opt-in", "post"), ("/api/withdraw", "post"))
    assert described - seen == {(*door, 503) for door in doors}


def test_what_is_taken_fits_the_document(caller: Visitor, confirmed: str) -> None:
    schemas = openapi.document()["components"]
    for name, body, path in (
        ("OptIn", {"address": ANNA, "purposes": ["newsletter.product"], "language": "de", "form": "x"}, "/api/opt-in"),
        ("Withdraw", {"address": ANNA, "purposes": None}, "/api/withdraw"),
        ("Withdraw", {"address": ANNA, "purposes": ["email.tracking"]}, "/api/withdraw"),
    ):
        jsonschema.Draft202012Validator({**schemas["schemas"][name], "components": schemas}).validate(body)
        assert caller.call("POST", path, json=body, headers=BEARER).status_code == 202


def test_the_document_names_every_machine_door() -> None:
    described = openapi.document()["paths"]
    doors = {public.path: public for public in PUBLIC if public.path.startswith("/api/")}
    assert described.keys() == doors.keys()
    for path, methods in described.items():
        assert methods.keys() == {name for name in ("get", "post") if getattr(doors[path], name)}


def test_the_copy_in_the_docs_is_the_document() -> None:
    copy = (PROJECT / "docs" / "reference" / "openapi.json").read_text("utf-8")
    assert json.loads(copy) == openapi.document()


def test_the_document_names_this_installation(caller: Visitor, ready: Workspace) -> None:
    assert caller.get("/api/openapi.json").json()["servers"] == [{"url": ready.settings.public_url}]

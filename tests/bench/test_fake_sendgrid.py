"""Does the stand-in refuse what SendGrid's published schema refuses, and count what it took?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from bench.fake_sendgrid import EVERY, fault_of, running
from nurture.delivery.content.pieces import Content
from nurture.delivery.provider import Accepted, Outcome, Outgoing, Refused, Rejected, Sender, Unknown
from nurture.delivery.sendgrid import SendGrid, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[dict[str, Any]], object]

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
SENDER = Sender("post@firma.example", "Firma")
CONTENT = Content(("Hallo ", 0), ("<p>", 1, "</p>"), (0,))


def mail(number: int, *, local: str = "p") -> Outgoing:
    """Give one of many mails of one content."""
    values = (f"Kim {number}", f"Kim &amp; {number}")
    return Outgoing(f"{number:026d}", 1, f"{local}{number}@firma.example", "Kim", CONTENT, AT, values)


def request(count: int = 3) -> dict[str, Any]:
    """Give a request as the product makes it."""
    made: dict[str, Any] = json.loads(request_bytes(SENDER, [mail(number) for number in range(count)]))
    return made


@pytest.fixture(scope="module")
def schema(shared: Path) -> jsonschema.Draft202012Validator:
    """The published form of a request."""
    path = shared / "data" / "sendgrid" / "mail_send_v3.request.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_what_the_product_sends_is_valid_and_taken(schema: jsonschema.Draft202012Validator, count: int) -> None:
    """A request of the product validates against the schema, and the stand-in finds no fault with it."""
    made = request(count)
    schema.validate(made)
    assert fault_of(json.dumps(made).encode()) is None


CHANGES: dict[str, Change] = {
    "no recipients": lambda body: body.update(personalizations=[]),
    "a recipient without to": lambda body: body["personalizations"][0].pop("to"),
    "an empty to": lambda body: body["personalizations"][0].update(to=[]),
    "no sender": lambda body: body.pop("from"),
    "no subject": lambda body: body.update(subject=""),
    "no content": lambda body: body.update(content=[]),
    "content without a type": lambda body: body["content"][0].pop("type"),
    "empty content": lambda body: body["content"][0].update(value=""),
    "too many personalizations": lambda body: body.update(personalizations=request(1001)["personalizations"]),
    "a substitution that is a number": lambda body: body["personalizations"][0]["substitutions"].update(x=7),
    "a custom argument that is a number": lambda body: body["personalizations"][0]["custom_args"].update(x=7),
    "a header that is a number": lambda body: body["personalizations"][0].update(headers={"X-A": 7}),
}
BEYOND: dict[str, Change] = {
    "an address twice": lambda body: body["personalizations"].append(body["personalizations"][0]),
    "an address twice in other letters": lambda body: body["personalizations"].append(
        {"to": [{"email": "P0@FIRMA.example"}]}
    ),
    "substitutions too large": lambda body: body["personalizations"][0].update(substitutions={"-x-": "ü" * 5001}),
    "substitutions too large with their keys": lambda body: body["personalizations"][0].update(
        substitutions={"-x-": "ü" * 4999}
    ),
    "custom arguments too large": lambda body: body["personalizations"][0].update(custom_args={"x": "y" * 10_000}),
    "two recipients in one address": lambda body: body["personalizations"][0].update(to=[{"email": "a@b.de,c@d.de"}]),
    "html before plain text": lambda body: body["content"].reverse(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_the_schema_refuses_is_refused(schema: jsonschema.Draft202012Validator, change: Change) -> None:
    """The stand-in refuses each of the faults that the schema knows."""
    body = request()
    change(body)
    assert not schema.is_valid(body)
    assert fault_of(json.dumps(body).encode()) is not None


@pytest.mark.parametrize("change", BEYOND.values(), ids=BEYOND)
def test_what_only_the_documentation_refuses_is_refused(change: Change) -> None:
    """The stand-in also refuses what no schema can say: repeated addresses, sizes in bytes, the order of the parts."""
    body = request()
    assert fault_of(json.dumps(body).encode()) is None
    change(body)
    assert fault_of(json.dumps(body).encode()) is not None


def test_a_request_above_30_mb_is_refused() -> None:
    """The size of a whole request is limited."""
    body = request(1)
    body["content"][1]["value"] = "x" * 30_000_000
    assert fault_of(json.dumps(body).encode()) == ("", "request is larger than 30 MB")


def submit(mode: str, count: int = EVERY, *, per_request: int = 2) -> tuple[list[Outcome], dict[str, int]]:
    """Submit so many requests to a stand-in; give the first outcome of each, and what it counted."""
    with running(mode) as fake:
        provider = SendGrid(SENDER, key="SG.test-key", url=fake.url)
        outcomes = []
        for number in range(count):
            start = number * per_request
            outcomes.append(provider.submit([mail(start + one) for one in range(per_request)])[0])
        provider.close()
        return outcomes, fake.counts()


def test_checking_takes_each_message_once() -> None:
    """What was taken is counted by message, and nothing counts as repeated that came once."""
    outcomes, told = submit("checking")
    assert all(isinstance(one, Accepted) for one in outcomes)
    assert (told["messages"], told["twice"], told["requests"]) == (2 * EVERY, 0, EVERY)


def test_checking_sees_what_comes_twice() -> None:
    """The same message in a second request is a duplicate."""
    with running("checking") as fake:
        provider = SendGrid(SENDER, key="SG.test-key", url=fake.url)
        provider.submit([mail(1), mail(2)])
        provider.submit([mail(2)])
        provider.close()
        assert (fake.counts()["messages"], fake.counts()["twice"]) == (3, 1)


@pytest.mark.parametrize(
    ("mode", "kind", "taken"),
    [("limited", Refused, EVERY - 1), ("failing", Unknown, EVERY - 1), ("cut", Unknown, EVERY)],
)
def test_trouble_meets_every_third_request(mode: str, kind: type[Outcome], taken: int) -> None:
    """429 and 503 take nothing, a line cut after the body has taken all; the product sees each for what it is."""
    outcomes, told = submit(mode)
    assert [type(one) for one in outcomes] == [Accepted] * (EVERY - 1) + [kind]
    assert told["messages"] == 2 * taken


def test_a_limit_says_for_how_long() -> None:
    """The 429 carries the headers that a sender has to honour."""
    outcomes, _ = submit("limited")
    assert isinstance(outcomes[-1], Refused)
    assert (outcomes[-1].retry_after or 0) >= 1


def test_one_bad_recipient_spoils_its_request_only_until_it_stands_alone() -> None:
    """The whole request is refused for one recipient; the product halves it and loses nobody else."""
    with running("one_bad") as fake:
        provider = SendGrid(SENDER, key="SG.test-key", url=fake.url)
        batch = [mail(number, local="refused" if number == 5 else "p") for number in range(8)]
        outcomes = provider.submit(batch)
        provider.close()
        assert [isinstance(one, Rejected) for one in outcomes] == [number == 5 for number in range(8)]
        assert (fake.counts()["messages"], fake.counts()["twice"]) == (7, 0)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_floor_counts_whole_requests(compiled: bool) -> None:  # noqa: FBT001  a case
    """The floor, in C where there is a compiler and in Python, counts requests and every byte of them."""
    with running("floor", compiled=compiled) as fake:
        line = HTTPConnection("127.0.0.1", fake.port, timeout=10)
        for size in (10, 300_000, 0):
            line.request("POST", "/v3/mail/send", b"x" * size)
            answer = line.getresponse()
            assert (answer.status, answer.read()) == (202, b"")
        line.close()
        told = fake.counts()
    assert told["requests"] == 3
    assert 300_010 < told["bytes"] < 301_000

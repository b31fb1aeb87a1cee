"""What is the most that anybody could send? Finished bytes in hand, raw sockets, nothing else to do.

single       one message per request, its whole mail in the body, so many requests in flight
batch        one request of 1,000 personalizations, over and over
per message  what most senders do: render for each lead, one request each, ten kept connections, no state
"""

from __future__ import annotations

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import orjson

from bench import _crowd, _mail
from nurture.delivery.content.library import Urls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nurture.delivery.content.library import Mail, Rendered

IN_FLIGHT = (1, 4, 8, 16)
CONNECTIONS = 10
PATH = "/v3/mail/send"
LINK = "https://news.firma.example/c/{id:026d}0123456789abcdef0123456789abcdef/{index}"
SENDER = {
    "name": "Firma", "address": "post@firma.example", "company": "Firma GmbH",
    "postal_address": "Hauptweg 1, 10115 Berlin", "imprint": "Geschäftsführung: V. Firma",
}  # fmt: skip


def single_request(port: int) -> bytes:
    """Give the finished request of one whole mail, about 13 KB."""
    return _head(port, body := _one(_mail.library().mail(_mail.KEY), 0)) + body


def batch_request(port: int) -> bytes:
    """Give a finished request for 1,000 people with a few values each."""
    rendered = _rendered(_mail.library().mail(_mail.KEY), 0)
    people = [
        {
            "to": [{"email": _crowd.address(number)}],
            "custom_args": {"nurture_message_id": f"{number:026d}"},
            "substitutions": {f"-a1b2.{hole}-": "x" * 40 for hole in range(6)},
        }
        for number in range(1000)
    ]
    body = orjson.dumps({**_envelope(rendered), "personalizations": people})
    return _head(port, body) + body


def post(port: int, request: bytes, times: int, in_flight: int) -> None:
    """Send a finished request so often, with so many of them unanswered at any time, from one thread."""
    with ExitStack() as opened:
        lines = [opened.enter_context(_line(port)) for _ in range(in_flight)]
        for line in lines:
            line.sendall(request)
        for number in range(times):
            line = lines[number % in_flight]
            _accepted(line)
            if number + in_flight < times:
                line.sendall(request)


def per_message(port: int, numbers: Iterable[int]) -> None:
    """Render for each person, post each alone: ten kept connections, no state, no consent, nothing written down."""
    mail = _mail.library().mail(_mail.KEY)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer SG.bench"}
    free = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(CONNECTIONS)]

    def send(body: bytes) -> None:
        connection = free.pop()
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        free.append(connection)
        if answer.status != http.client.ACCEPTED:
            raise AssertionError("the stand-in refused a mail of the benchmark")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        # One loop renders, ten workers post, as the peers do.
        for sent in [pool.submit(send, _one(mail, number)) for number in numbers]:
            sent.result()
    for connection in free:
        connection.close()


def _one(mail: Mail, number: int) -> bytes:
    """Give the body of a request for one person, its mail written out."""
    to = {"to": [{"email": _crowd.address(number)}], "custom_args": {"nurture_message_id": f"{number:026d}"}}
    return orjson.dumps({**_envelope(_rendered(mail, number)), "personalizations": [to]})


def _rendered(mail: Mail, number: int) -> Rendered:
    context: dict[str, Any] = {
        "lead": _crowd.details(number), "sender": SENDER, "existing_customer": None, "privacy_url": None,
        "unsubscribe_url": f"https://news.firma.example/u/{number:026d}0123456789abcdef",
        "preferences_url": f"https://news.firma.example/p/{number:026d}0123456789abcdef",
        "open_pixel_url": f"https://news.firma.example/o/{number:026d}0123456789abcdef",
    }  # fmt: skip
    return mail.render(context, Urls(link=lambda index, _url: LINK.format(id=number, index=index)))


def _envelope(rendered: Rendered) -> dict[str, Any]:
    return {
        "from": {"email": SENDER["address"], "name": SENDER["name"]},
        "subject": rendered.subject,
        "content": [
            {"type": "text/plain", "value": rendered.text},
            {"type": "text/html", "value": rendered.html},
        ],
    }


def _head(port: int, body: bytes) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += ["Authorization: Bearer SG.bench", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode()


def _line(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _accepted(line: socket.socket) -> None:
    """Read one answer; the stand-in's answers fit one packet and end with the blank line."""
    answer = line.recv(4096)
    while b"\r\n\r\n" not in answer:
        more = line.recv(4096)
        if not more:
            raise AssertionError("the stand-in ended a connection")
        answer += more
    if not answer.startswith(b"HTTP/1.1 202"):
        raise AssertionError("the stand-in refused a finished request")

"""Signed calls to the sales system: real HTTP on loopback, and where they must not go."""

from __future__ import annotations

import http.server
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from nurture.handover.policy import HandoverError
from nurture.handover.targets import Delivery, SignedCall, is_public, open_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.settings import Settings

SECRET = "whsec_" + "bnVydHVyZS10ZXN0LXNlY3JldC1vZi0zMi1ieXRlcyE="


class Receiver(http.server.BaseHTTPRequestHandler):
    """A sales system that remembers what it got and answers as told."""

    status = 200
    headers_out: dict[str, str] = {}  # noqa: RUF012  set by tests
    seen: list[tuple[dict[str, str], bytes]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        """Take a handover."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.status)
        for name, value in self.headers_out.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    """Serve a receiver on loopback."""
    made = type("Made", (Receiver,), {"seen": [], "headers_out": {}, "status": 200})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", made
    server.shutdown()
    server.server_close()
    thread.join()


def delivery(at: datetime) -> Delivery:
    """Something to deliver."""
    return Delivery("abc", "lead.handover.created", b'{"x": "\xc3\xbc"}', at)


def call(url: str) -> SignedCall:
    """A call that may reach loopback."""
    return SignedCall(url, SECRET, allow=("127.0.0.1",))


def test_the_receiver_can_verify_the_signature(receiver: tuple[str, type[Receiver]]) -> None:
    """Standard Webhooks' own verifier accepts it, also for a time stated in Berlin."""
    url, made = receiver
    now = datetime.now(timezone(timedelta(hours=1)))
    answer = call(url).hand_over(delivery(now))
    headers, body = made.seen[0]

    Webhook(SECRET).verify(body, headers)
    assert (answer.taken, headers["webhook-id"]) == (True, "abc.created")


@pytest.mark.parametrize("status", [302, 400, 429, 500, 410])
def test_only_success_counts_as_taken(receiver: tuple[str, type[Receiver]], at: datetime, status: int) -> None:
    """A redirect is a failure, and 410 the last word."""
    url, made = receiver
    made.status, made.headers_out = status, {"Location": url}
    answer = call(url).hand_over(delivery(at))

    assert (answer.taken, answer.final, len(made.seen)) == (False, status == 410, 1)


def test_retry_after_is_honoured(receiver: tuple[str, type[Receiver]], at: datetime) -> None:
    """The receiver may ask for time, up to a day."""
    url, made = receiver
    made.status, made.headers_out = 429, {"Retry-After": "999999"}

    assert call(url).hand_over(delivery(at)).retry_after == 86_400


def test_a_silent_receiver_is_tried_again(at: datetime) -> None:
    """Nobody listens there."""
    assert call("http://127.0.0.1:1/hook").hand_over(delivery(at)).final is False


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "localhost"])
def test_private_addresses_stay_silent(receiver: tuple[str, type[Receiver]], at: datetime, host: str) -> None:
    """However loopback is spelled, nothing arrives."""
    _, made = receiver
    answer = SignedCall(f"https://{host}/hook", SECRET).hand_over(delivery(at))

    assert (answer.taken, answer.detail, made.seen) == (False, "address not allowed", [])


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
     "::127.0.0.1", "224.0.0.1", "ff02::1", "0.0.0.0", "fe80::1", "fc00::1", "100.64.0.1"],
)  # fmt: skip
def test_wrapped_addresses_are_not_public(address: str) -> None:
    """Every way to wrap a private address is unwrapped."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe"])
def test_plain_addresses_are_public(address: str) -> None:
    """Ordinary servers are reached."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/x",
        "https://user:pw@crm.example/x",
        "https://crm.example:8443/",
        "crm",
        "https://0177.0.0.1/",
    ],
)
def test_unsafe_targets_are_refused_at_start(url: str) -> None:
    """A wrong setting is seen before the first handover."""
    with pytest.raises(HandoverError, match="handover_url"):
        SignedCall(url, SECRET)


def test_a_target_without_secret_is_refused(settings: Settings) -> None:
    """Nothing leaves unsigned."""
    with pytest.raises(HandoverError, match="handover_secret"):
        open_target(settings.model_copy(update={"handover_url": "https://crm.example/hook"}))

"""SendGrid's transport against a real server on loopback: each answer, each way a line can break."""

from __future__ import annotations

import json
import logging
import socket
import time
from datetime import UTC, datetime

import jsonschema
import pytest
from sendgrid.helpers import mail as helpers
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    CustomArg,
    From,
    Ganalytics,
    Header,
    Mail,
    OpenTracking,
    Personalization,
    Subject,
    SubscriptionTracking,
    To,
    TrackingSettings,
)

from nurture.delivery.content.pieces import Content
from nurture.delivery.errors import DeliveryError
from nurture.delivery.provider import Accepted, Outcome, Outgoing, Refused, Rejected, Sender, Unknown
from nurture.delivery.sendgrid import SendGrid, request_body
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.stub import Stub, answer, drip, hang, reset

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
KEY = "SG.secret-marker-4711"
SENDER = Sender("post@example.com", "Musterwerk")
MAIL = Outgoing(
    public_id="abcdefghijklmnopqrstuvwxyz",
    attempt=1,
    to_address="erika@example.org",
    to_name="Erika Müller",
    content=Content.whole(
        "Grüße",
        "<p>Hallo</p>",
        "Hallo",
        {
            "List-Unsubscribe": "<https://example.com/u/token>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    ),
    at=AT,
    category="welcome.hello",
)


def provider(stub: Stub, timeout: float = 2.0) -> SendGrid:
    """Give the transport, pointed at the stub."""
    return SendGrid(SENDER, key=KEY, url=stub.url, timeout=timeout)


def post(stub: Stub, mail: Outgoing = MAIL, timeout: float = 2.0) -> Outcome:
    """Send one mail to a stub."""
    with stub.run():
        return provider(stub, timeout).submit([mail])[0]


REJECTED = [400, 404, 405, 406, 410, 413, 415, 422]
ACCOUNT = [401, 402, 403]
REDIRECTS = [301, 302, 303, 307, 308]
UNCLEAR = [201, 204, 206, 408, 409, 500, 501, 502, 503, 504, 520, 599]


def test_202_is_accepted_with_its_id() -> None:
    assert post(Stub([answer(202, X_Message_Id="abc.DEF-1")])) == Accepted("abc.DEF-1")


def test_a_strange_id_is_not_kept() -> None:
    assert post(Stub([answer(202, X_Message_Id="erika@example.org")])) == Accepted("")


def test_200_is_the_sandbox_and_opens_the_circuit() -> None:
    assert post(Stub([answer(200)])) == Refused("http 200 sandbox", opens_circuit=True)


@pytest.mark.parametrize("status", REJECTED)
def test_a_bad_request_is_rejected(status: int) -> None:
    assert post(Stub([answer(status)])) == Rejected(f"http {status}")


def test_a_rejection_names_the_field() -> None:
    body = json.dumps({"errors": [{"message": "erika@example.org", "field": "from.email"}]}).encode()
    assert post(Stub([answer(400, body)])) == Rejected("http 400 from.email")


@pytest.mark.parametrize(
    "body", [b"<html>413</html>", b"[]", b'{"errors":[]}', b"[" * 50_000, b"\xff", b'{"errors":[{"field":"a@b"}]}']
)
def test_any_error_body_is_survived(body: bytes) -> None:
    assert post(Stub([answer(413, body)])) == Rejected("http 413")


@pytest.mark.parametrize("status", ACCOUNT)
def test_account_trouble_opens_the_circuit(status: int) -> None:
    assert post(Stub([answer(status)])) == Refused(f"http {status}", opens_circuit=True)


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_is_not_followed(status: int) -> None:
    with Stub([answer(202)]).run() as elsewhere:
        outcome = post(Stub([answer(status, Location=f"{elsewhere.url}/v3/mail/send")]))
    assert (outcome, elsewhere.requests) == (Refused(f"http {status}", opens_circuit=True), [])


@pytest.mark.parametrize("status", UNCLEAR)
def test_an_unclear_status_is_unknown(status: int) -> None:
    assert post(Stub([answer(status)])) == Unknown(f"http {status}")


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, None),
        ({"Retry_After": "120"}, 120.0),
        ({"Retry_After": "Mon, 23 Nov 2026 08:05:00 GMT"}, 300.0),
        ({"Retry_After": "soon"}, None),
        ({"X_RateLimit_Reset": str(int(AT.timestamp()) + 60)}, 60.0),
        ({"X_RateLimit_Reset": "45"}, 45.0),
        ({"X_RateLimit_Reset": "45", "Retry_After": "120"}, 120.0),
        ({"X_RateLimit_Reset": "-5"}, None),
    ],
)
def test_429_waits_as_long_as_asked(headers: dict[str, str], wish: float | None) -> None:
    assert post(Stub([answer(429, b"", None, keep=False, **headers)])) == Refused("http 429", retry_after=wish)


def test_a_refused_connection_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    outcome = SendGrid(SENDER, key=KEY, url=url, timeout=2).submit([MAIL])[0]
    assert outcome == Refused("connect ConnectionRefusedError")


def test_a_name_that_does_not_resolve_is_known() -> None:
    outcome = SendGrid(SENDER, key=KEY, url="https://no-such-host.invalid", timeout=2).submit([MAIL])[0]
    assert outcome == Refused("connect gaierror")


def test_a_certificate_that_is_not_trusted_is_known() -> None:
    with Stub([answer(202)]).run() as stub:
        outcome = SendGrid(SENDER, key=KEY, url=f"https://127.0.0.1:{stub.port}", timeout=2).submit([MAIL])[0]
    assert isinstance(outcome, Refused)
    assert stub.requests == []


def test_silence_after_the_request_is_unknown() -> None:
    began = time.monotonic()
    assert post(Stub([hang]), timeout=0.3) == Unknown("answer TimeoutError")
    assert time.monotonic() - began < 3


def test_a_dripping_answer_meets_the_deadline() -> None:
    began = time.monotonic()
    assert isinstance(post(Stub([drip]), timeout=0.3), Unknown)
    assert time.monotonic() - began < 3


def test_a_reset_after_the_request_is_unknown() -> None:
    assert isinstance(post(Stub([reset])), Unknown)


def test_a_close_without_answer_is_unknown() -> None:
    assert post(Stub([lambda _: None])) == Unknown("answer RemoteDisconnected")


def test_a_truncated_acceptance_is_unknown() -> None:
    assert post(Stub([answer(202, b"half", 100)])) == Unknown("answer truncated")


def test_an_acceptance_cut_in_its_headers_is_unknown() -> None:
    assert isinstance(post(Stub([lambda wire: wire.sendall(b"HTTP/1.1 202 Accepted\r\nX-Mess")])), Unknown)


def test_half_a_status_line_is_unknown() -> None:
    assert isinstance(post(Stub([lambda wire: wire.sendall(b"HTTP/1.")])), Unknown)


def test_garbage_is_unknown() -> None:
    assert isinstance(post(Stub([lambda wire: wire.sendall(b"\x00" * 100 + b"\r\n\r\n")])), Unknown)


def test_huge_headers_are_unknown() -> None:
    def flood(wire: socket.socket) -> None:
        wire.sendall(b"HTTP/1.1 202 Accepted\r\n" + b"X-Pad: " + b"x" * 200_000 + b"\r\n\r\n")

    assert isinstance(post(Stub([flood])), Unknown)


def test_an_early_401_is_read_although_writing_failed() -> None:
    large = changed(MAIL, html="x" * 8_000_000)

    def refuse(wire: socket.socket) -> None:
        answer(401)(wire)
        wire.shutdown(socket.SHUT_WR)
        hang(wire)

    outcome = post(Stub([refuse], read_first=False), large)
    assert isinstance(outcome, Refused | Unknown)
    assert not isinstance(outcome, Accepted)


def test_an_early_202_is_not_believed() -> None:
    large = changed(MAIL, html="x" * 8_000_000)

    def accept_and_break(wire: socket.socket) -> None:
        answer(202)(wire)
        reset(wire)

    assert isinstance(post(Stub([accept_and_break], read_first=False), large), Unknown)


def test_a_line_that_breaks_before_the_last_byte_is_known() -> None:
    """Nobody can act on half a request."""
    large = changed(MAIL, html="x" * 8_000_000)
    assert isinstance(post(Stub([reset], read_first=False), large), Refused)


def test_a_kept_line_that_was_ended_costs_no_mail() -> None:
    """The other side promised to keep it and did not: a large request then breaks before its last byte."""
    stub = Stub([answer(202, keep=True, X_Message_Id="a")])
    large = changed(MAIL, html="x" * 8_000_000)
    with stub.run():
        sender = provider(stub)
        outcomes = [sender.submit([large])[0] for _ in range(4)]
    assert not [one for one in outcomes if isinstance(one, Unknown)]


def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub([answer(202)]).run() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        stub = Stub([answer(202)])
        post(stub)
    assert (len(stub.requests), proxy.requests) == (1, [])


def test_nothing_is_logged_or_printed(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    for act in (answer(202), answer(400, b"erika@example.org"), reset):
        post(Stub([act]))
    written = caplog.text + "".join(capfd.readouterr())
    assert [marker for marker in (KEY, "erika", "Hallo", "Bearer") if marker in written] == []


def test_the_key_is_in_no_representation() -> None:
    assert KEY not in repr(SendGrid(SENDER, key=KEY))


@pytest.mark.parametrize("key", ["", "short", "SG.with space", "SG.with\r\nX-Evil: 1", "SG.ümlaut-key"])
def test_a_broken_key_is_refused_unrepeated(key: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        SendGrid(SENDER, key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.sendgrid.com",
        "ftp://127.0.0.1",
        "https://user:pw@api.sendgrid.com",
        "https://",
        "http://127.0.0.1.example.com",
        "https://api.sendgrid.com/path",
    ],
)
def test_only_https_or_loopback_is_spoken_to(url: str) -> None:
    with pytest.raises(DeliveryError):
        SendGrid(SENDER, key=KEY, url=url)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"to_address": '"x\r\nBcc: v@e.org" <b@example.org>'}, "address"),
        ({"to_address": "b@example.org, c@example.org"}, "address"),
        ({"to_address": "müller@example.org"}, "address"),
        ({"to_name": "Erika\r\nBcc: v@example.org"}, "header"),
        ({"subject": "Hallo\nBcc: v@example.org"}, "header"),
        ({"subject": "Hallo\u2028"}, "header"),
        ({"subject": "\u202eollaH"}, "header"),
        ({"subject": ""}, "empty"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "header"),
        ({"html": f"<p>{KEY}</p>"}, "key in content"),
    ],
)
def test_what_could_be_injected_never_leaves(change: dict[str, object], fault: str) -> None:
    stub = Stub([answer(202)])
    assert post(stub, changed(MAIL, **change)) == Rejected(f"fault {fault}")
    assert stub.requests == []


def test_the_request_is_a_single_post() -> None:
    stub = Stub([answer(202)])
    post(stub)
    (request,) = stub.requests
    assert (request.line, request.headers["authorization"]) == ("POST /v3/mail/send HTTP/1.1", f"Bearer {KEY}")


def test_the_request_fits_sendgrids_schema(shared: object) -> None:
    schema = json.loads((shared / "data/sendgrid/mail_send_v3.request.schema.json").read_text("utf-8"))  # type: ignore[operator]
    stub = Stub([answer(202)])
    post(stub)
    jsonschema.Draft202012Validator(schema).validate(stub.requests[0].json)


@pytest.mark.requirement(118)
def test_nothing_personal_goes_into_ids_and_categories() -> None:
    body = request_body(SENDER, [MAIL])
    assert body["personalizations"][0]["custom_args"] == {"nurture_message_id": MAIL.public_id}
    assert body["custom_args"] == {"nurture_attempt": "1"}
    assert body["categories"] == ["welcome.hello"]


def test_sendgrids_own_tracking_is_off() -> None:
    settings = request_body(SENDER, [MAIL])["tracking_settings"]
    assert {name: setting["enable"] for name, setting in settings.items()} == {
        "click_tracking": False,
        "open_tracking": False,
        "subscription_tracking": False,
        "ganalytics": False,
    }


def test_our_body_means_what_the_helpers_say() -> None:
    mail = Mail()
    mail.from_email = From("post@example.com", "Musterwerk")
    mail.subject = Subject("Grüße")
    person = Personalization()
    person.add_to(To("erika@example.org", "Erika Müller"))
    for name, value in {"Message-ID": "<abcdefghijklmnopqrstuvwxyz@example.com>", **MAIL.headers}.items():
        person.add_header(Header(name, value))
    person.add_custom_arg(CustomArg("nurture_message_id", MAIL.public_id))
    mail.add_custom_arg(CustomArg("nurture_attempt", "1"))
    mail.add_personalization(person)
    mail.add_content(helpers.Content("text/plain", "Hallo"))
    mail.add_content(helpers.Content("text/html", "<p>Hallo</p>"))
    mail.add_category(Category("welcome.hello"))
    tracking = TrackingSettings()
    tracking.click_tracking = ClickTracking(enable=False, enable_text=False)
    tracking.open_tracking = OpenTracking(enable=False)
    tracking.subscription_tracking = SubscriptionTracking(enable=False)
    tracking.ganalytics = Ganalytics(enable=False)
    mail.tracking_settings = tracking
    assert request_body(SENDER, [MAIL]) == mail.get()

"""SMTP against a real server: what is known at each stage of the dialogue."""

from __future__ import annotations

import logging
import socket
import threading
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest

from nurture.delivery.errors import DeliveryError
from nurture.delivery.provider import Accepted, Outcome, Refused, Rejected, Sender, Unknown
from nurture.delivery.smtp import Smtp
from tests.nurture.delivery.mailhost import Mailhost, certificate
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.stub import hang
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from pathlib import Path

SENDER = Sender("post@example.com", "Musterwerk")


def submit(host: Mailhost, **options: Any) -> Outcome:
    """Send one mail in the clear, to loopback."""
    with host.run():
        return Smtp(SENDER, host="127.0.0.1", port=host.port, **{"security": "none", "timeout": 2, **options}).submit(
            [MAIL]
        )[0]


def test_a_mail_arrives_with_our_message_id() -> None:
    host = Mailhost()
    assert submit(host) == Accepted("abcdefghijklmnopqrstuvwxyz@example.com")
    assert (
        message_from_bytes(host.mails[0], policy=policy.default)["Message-ID"]
        == "<abcdefghijklmnopqrstuvwxyz@example.com>"
    )


def test_the_envelope_holds_one_recipient() -> None:
    host = Mailhost()
    submit(host)
    assert host.recipients == ["erika@example.org"]


def test_a_line_with_a_dot_arrives_whole() -> None:
    host = Mailhost()
    with host.run():
        provider = Smtp(SENDER, host="127.0.0.1", port=host.port, security="none", timeout=2)
        provider.submit([changed(MAIL, text="eins\n.\n..zwei\n")])
    body = message_from_bytes(host.mails[0], policy=policy.default).get_body(("plain",))
    assert body is not None
    assert body.get_content().split() == ["eins", ".", "..zwei"]


@pytest.mark.parametrize(
    ("stage", "reply", "outcome"),
    [
        ("mail", "451 later", Refused("mail 451")),
        ("mail", "550 not you", Refused("mail 550", opens_circuit=True)),
        ("rcpt", "450 greylisted", Refused("rcpt 450")),
        ("rcpt", "550 no such user", Rejected("rcpt 550")),
        ("data", "451 try again", Refused("data end 451")),
        ("data", "554 spam", Rejected("data end 554")),
    ],
)
def test_each_refusal_is_known(stage: str, reply: str, outcome: Outcome) -> None:
    assert submit(Mailhost(refuse={stage: reply})) == outcome


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_a_line_lost_before_the_mail_is_known(stage: str) -> None:
    assert isinstance(submit(Mailhost(drop=stage)), Refused)


def test_a_line_lost_after_the_mail_is_unknown() -> None:
    assert isinstance(submit(Mailhost(drop="data")), Unknown)


def test_silence_after_the_final_dot_is_unknown() -> None:
    assert isinstance(converse(mute=True), Unknown)


def test_silence_at_the_greeting_is_known() -> None:
    assert isinstance(converse(mute=False), Refused)


def converse(*, mute: bool) -> Outcome:
    """Talk to a server that falls silent: after the final dot (mute), or before it says anything."""

    def serve(listener: socket.socket) -> None:
        wire, _ = listener.accept()
        with wire, wire.makefile("rb") as lines:
            if mute:
                wire.sendall(b"220 hello\r\n")
                for _ in ("EHLO", "MAIL", "RCPT"):
                    lines.readline()
                    wire.sendall(b"250 OK\r\n")
                lines.readline()
                wire.sendall(b"354 go\r\n")
                while lines.readline() != b".\r\n":
                    pass
            hang(wire)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        outcome = Smtp(SENDER, host="127.0.0.1", port=port, security="none", timeout=0.3).submit([MAIL])[0]
        thread.join()
    return outcome


def test_starttls_with_a_trusted_certificate_works(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    assert isinstance(submit(Mailhost(context=server), security="starttls", context=client), Accepted)


def test_tls_from_the_first_byte_works(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    host = Mailhost(context=server)
    with host.run(tls=True):
        provider = Smtp(SENDER, host="127.0.0.1", port=host.port, security="tls", timeout=2, context=client)
        assert isinstance(provider.submit([MAIL])[0], Accepted)


def test_an_untrusted_certificate_stops_all(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path)
    host = Mailhost(context=server)
    outcome = submit(host, security="starttls")
    assert (isinstance(outcome, Refused), host.mails) == (True, [])


def test_without_starttls_nothing_is_said() -> None:
    host = Mailhost()
    outcome = submit(host, security="starttls", user="me", password="geheim")
    assert (outcome, host.mails) == (Refused("tls SMTPNotSupportedError", opens_circuit=True), [])


def test_a_wrong_password_opens_the_circuit(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    host = Mailhost(context=server, password="richtig")
    outcome = submit(host, security="starttls", context=client, user="me", password="falsch")
    assert outcome == Refused("auth 535", opens_circuit=True)


def test_the_right_password_lets_in(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    host = Mailhost(context=server, password="richtig")
    assert isinstance(submit(host, security="starttls", context=client, user="me", password="richtig"), Accepted)


def test_mail_in_the_clear_is_for_loopback_only() -> None:
    with pytest.raises(DeliveryError, match="in the clear"):
        Smtp(SENDER, host="mail.example.com", security="none")


def test_neither_password_nor_address_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="nurture")
    provider = Smtp(SENDER, host="127.0.0.1", port=1, security="none", user="me", password="geheim-4711")
    provider.submit([MAIL])
    written = caplog.text + "".join(capfd.readouterr()) + repr(provider)
    assert [marker for marker in ("geheim", "erika") if marker in written] == []


def test_a_user_without_a_password_is_refused_before_anything_is_sent() -> None:
    """Else the server's refusal would open the circuit, hours after the slip."""
    with pytest.raises(DeliveryError, match="smtp_password_file"):
        Smtp(SENDER, host="127.0.0.1", port=1, security="none", user="me", timeout=1)

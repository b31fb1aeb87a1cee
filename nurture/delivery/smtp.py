"""How does mail reach an SMTP submission server? TLS checked, each stage of the dialogue judged on its own.

Until the final dot of DATA nothing can have been accepted; between that dot and its answer lies the
only moment of doubt.
"""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING, Literal

from nurture.delivery.errors import DeliveryError
from nurture.delivery.mime import encode, message_id
from nurture.delivery.provider import (
    NOT_TRIED,
    Accepted,
    Outcome,
    Outgoing,
    Refused,
    Rejected,
    Sender,
    Unknown,
    fault_of,
    is_loopback,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

START_DATA = 354
PERMANENT = 500


class Smtp:
    """Hands mail to a submission server, one connection per mail."""

    name = "smtp"
    batch_limit = 1

    def __init__(
        self,
        sender: Sender,
        *,
        host: str,
        port: int = 587,
        security: Literal["starttls", "tls", "none"] = "starttls",
        user: str = "",
        password: str = "",
        timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Check the settings; touches no network. `timeout` in seconds, for connecting and each answer."""
        if not host:
            raise DeliveryError("smtp_host is empty; name the submission server")
        if security == "none" and not is_loopback(host):
            raise DeliveryError("smtp_security none would send mail and password in the clear; use starttls or tls")
        self.sender = sender
        self.timeout = timeout
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user, password
        self._context = context or ssl.create_default_context()

    def __repr__(self) -> str:
        """Name the host; the password stays out of tracebacks."""
        return f"Smtp({self._host}:{self._port})"

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Send one message after the other; after trouble that is not a message's own the rest is not tried."""
        outcomes: list[Outcome] = []
        for message in batch:
            outcomes.append(self._submit(message))
            if isinstance(outcomes[-1], Refused | Unknown):
                break
        return outcomes + [NOT_TRIED] * (len(batch) - len(outcomes))

    def _submit(self, message: Outgoing) -> Outcome:
        fault = fault_of(message)
        if fault:
            return Rejected(f"fault {fault}")
        opened = self._open()
        if isinstance(opened, Refused):
            return opened
        try:
            return self._send(opened, message)
        finally:
            opened.close()

    def _open(self) -> smtplib.SMTP | Refused:
        """Connect, encrypt, log in. Whatever fails here, no mail has left."""
        server: smtplib.SMTP | None = None
        try:
            if self._security == "tls":
                server = smtplib.SMTP_SSL(self._host, self._port, timeout=self.timeout, context=self._context)
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=self.timeout)
            server.ehlo_or_helo_if_needed()
            if self._security == "starttls":
                # Raises when the server does not offer it: never on in the clear.
                server.starttls(context=self._context)
                server.ehlo()
            if self._user:
                server.login(self._user, self._password)
        except smtplib.SMTPAuthenticationError as error:
            code, opens = f"auth {error.smtp_code}", error.smtp_code >= PERMANENT
        except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            code, opens = f"tls {type(error).__name__}", True
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # Their texts repeat what the server said, which may be anything; the kind is enough.
            code, opens = f"connect {type(error).__name__}", False
        else:
            return server
        if server is not None:
            server.close()
        return Refused(code, opens_circuit=opens)

    def _send(self, server: smtplib.SMTP, message: Outgoing) -> Outcome:
        try:
            code, _ = server.mail(self.sender.address)
            if code != 250:  # noqa: PLR2004  the sender is ours: its refusal is no fault of this message
                return Refused(f"mail {code}", opens_circuit=code >= PERMANENT)
            code, _ = server.rcpt(message.to_address)
            if code not in (250, 251):
                return _refusal("rcpt", code)
            code, _ = server.docmd("DATA")
            if code != START_DATA:
                return _refusal("data", code)
            server.send(_dotted(encode(self.sender, message)))
        except (smtplib.SMTPException, OSError) as error:
            # The final dot has not been written: the server must throw away what it has (RFC 5321 4.1.1.4).
            return Refused(f"dialogue {type(error).__name__}")
        return self._finish(server, message)

    def _finish(self, server: smtplib.SMTP, message: Outgoing) -> Outcome:
        try:
            server.send(b".\r\n")
            code, _ = server.getreply()
        except (smtplib.SMTPException, OSError) as error:
            return Unknown(f"after data {type(error).__name__}")
        if 200 <= code < 300:  # noqa: PLR2004  any success
            return Accepted(message_id(self.sender, message.public_id).strip("<>"))
        return _refusal("data end", code)


def _refusal(stage: str, code: int) -> Refused | Rejected | Unknown:
    """5xx is for ever, 4xx for now; anything else (-1: garbage) tells nothing after the dot and little before."""
    if PERMANENT <= code < PERMANENT + 100:
        return Rejected(f"{stage} {code}")
    if 400 <= code < PERMANENT or stage != "data end":  # noqa: PLR2004  transient
        return Refused(f"{stage} {code}")
    return Unknown(f"{stage} {code}")


def _dotted(mail: bytes) -> bytes:
    """Double a dot that begins a line, so that no line of the mail ends it (RFC 5321 4.5.2)."""
    return mail.replace(b"\r\n.", b"\r\n..")

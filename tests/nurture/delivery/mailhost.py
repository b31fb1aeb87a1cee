"""A real SMTP server on loopback that takes mail, or refuses it at the stage told."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Mailhost:
    """`refuse` maps a stage (mail, rcpt, data) to the reply it gives; `drop` closes the line at a stage."""

    refuse: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    context: ssl.SSLContext | None = None
    password: str = ""
    features: tuple[str, ...] = ()
    """Further lines of the answer to EHLO, such as PIPELINING."""
    mails: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    port: int = 0
    connections: int = 0

    @contextmanager
    def run(self, *, tls: bool = False) -> Iterator[Mailhost]:
        """Serve until the block ends; with `tls` from the first byte."""
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0}
        if tls:
            options["ssl_context"] = self.context
        elif self.context:
            options["tls_context"] = self.context
        if self.password:
            options |= {"authenticator": self._check, "auth_required": True, "auth_require_tls": bool(self.context)}
        controller = _Controller(self, **options)
        controller.start()
        self.port = controller.port
        try:
            yield self
        finally:
            controller.stop()

    def _check(self, _server: SMTP, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == self.password.encode(), handled=False)

    def _meet(self, server: SMTP, stage: str) -> str | None:
        if self.drop == stage:
            cast("asyncio.Transport", server.transport).abort()
        return self.refuse.get(stage)

    async def handle_EHLO(self, _server: SMTP, session: Any, _e: Any, hostname: str, answers: list[str]) -> list[str]:  # noqa: N802  aiosmtpd's name
        """EHLO."""
        session.host_name = hostname
        return [*answers[:-1], *(f"250-{feature}" for feature in self.features), answers[-1]]

    async def handle_MAIL(self, server: SMTP, _s: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ARG002, N802  aiosmtpd's name
        """MAIL FROM."""
        envelope.mail_from = address
        return self._meet(server, "mail") or "250 OK"

    async def handle_RCPT(self, server: SMTP, _s: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: ARG002, N802  aiosmtpd's name
        """RCPT TO."""
        reply = self._meet(server, "rcpt")
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, _s: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        """The mail is whole."""
        reply = self._meet(server, "data")
        if reply is None:
            self.mails.append(envelope.content)
            self.recipients += envelope.rcpt_tos
            self.senders.append(envelope.mail_from)
        return reply or "250 OK"


class _Controller(Controller):
    def __init__(self, handler: Mailhost, **options: Any) -> None:
        super().__init__(handler, **options)
        self._host, self._lines = handler, cast("list[SMTP]", [])

    def factory(self) -> SMTP:
        """Serve a new connection."""
        self._host.connections += 1
        self._lines.append(cast("SMTP", super().factory()))  # type: ignore[no-untyped-call]
        return self._lines[-1]

    def stop(self, no_assert: bool = False) -> None:  # noqa: FBT001, FBT002  the library's signature
        """Hang up on all; a client may keep its line."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        for line in self._lines:
            # None once the client has hung up.
            transport = cast("asyncio.Transport | None", line.transport)
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0.01)

    def _trigger_server(self) -> None:
        """Do not connect to port 0, as the library would."""
        self.port = cast("asyncio.Server", self.server).sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1; give the server's context and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - dt.timedelta(days=3650))
        .not_valid_after(start + dt.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())

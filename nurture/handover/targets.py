"""Where does a handover go, and how? A folder beside the database, or a signed call to the sales system."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from nurture.handover.policy import HandoverError

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.settings import Settings

TIMEOUT = httpx.Timeout(10.0)
GONE = 410
TOO_MANY = 429
PORTS = {443}
LONGEST_WAIT = 24 * 3600
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Delivery:
    """One thing to hand over; `key` stays the same when it is repeated."""

    key: str
    event: str
    body: bytes
    at: datetime
    part: str = ""
    """Tells several things of one event about one key apart, such as two withdrawals."""

    @property
    def id(self) -> str:
        """What a receiver recognises a repetition by."""
        name = f"{self.key}.{self.event.rpartition('.')[2]}"
        return f"{name}.{self.part}" if self.part else name


@dataclass(frozen=True)
class Answer:
    """What came of it. `retry_after` in seconds where the receiver named it."""

    taken: bool
    final: bool
    """No further try makes sense."""
    detail: str
    retry_after: int | None = None


class Target(Protocol):
    """Somewhere handovers go."""

    channel: str

    def hand_over(self, delivery: Delivery) -> Answer:
        """Deliver once; never raises for what a receiver or the network does."""
        ...


class Folder:
    """One JSON file per handover in NURTURE_HOME/handovers, for a sales system that reads files."""

    channel = "folder"

    def __init__(self, folder: Path) -> None:
        """Use (and make, 0700) a folder."""
        self.folder = folder

    def hand_over(self, delivery: Delivery) -> Answer:
        """Write whole or not at all; the same handover again replaces its file."""
        target = self.folder / f"{delivery.id}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(delivery.body)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except OSError as error:
            return Answer(taken=False, final=False, detail=f"folder: {error.strerror}")
        return Answer(taken=True, final=True, detail="written")


class SignedCall:
    """A POST after Standard Webhooks 1.0: signed, to an address checked and pinned, no redirects."""

    channel = "webhook"

    def __init__(self, url: str, secret: str, allow: tuple[str, ...] = ()) -> None:
        """Check address and secret now, so that a wrong setting is seen at start. Raises HandoverError."""
        parts = urlsplit(url)
        self.host, self.allowed = parts.hostname or "", (parts.hostname or "") in allow
        if not self.host or parts.username or (parts.scheme != "https" and not self.allowed):
            raise HandoverError("handover_url must be https://host/path without a user; see docs/how-to/handover.md")
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        if self.port not in PORTS and not self.allowed:
            raise HandoverError("handover_url may use port 443 only; name the host in handover_allow to permit another")
        try:
            self.url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise HandoverError("handover_url is no valid address") from error
        try:
            self.signer = Webhook(secret)
        except Exception as error:
            raise HandoverError("handover_secret is no Standard Webhooks secret (whsec_ and base64)") from error

    def hand_over(self, delivery: Delivery) -> Answer:
        """Sign and POST. Only 2xx counts as taken; 410 ends it; everything else is tried again."""
        try:
            address = self._address()
        except OSError:
            return Answer(taken=False, final=False, detail="name not resolved")
        if address is None:
            return Answer(taken=False, final=False, detail="address not allowed")
        moment = delivery.at.astimezone(UTC)  # the library replaces another zone instead of converting it
        headers = {
            "host": self.url.netloc.decode(),
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(moment.timestamp())),
        }
        headers["webhook-signature"] = self.signer.sign(headers["webhook-id"], moment, delivery.body.decode())
        pinned = self.url.copy_with(host=address)
        try:
            with (
                httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client,
                client.stream(
                    "POST", pinned, content=delivery.body, headers=headers, extensions={"sni_hostname": self.host}
                ) as answer,
            ):
                return self._judge(answer)  # the body of the answer is never read
        except httpx.HTTPError as error:
            return Answer(taken=False, final=False, detail=type(error).__name__)

    @staticmethod
    def _judge(answer: httpx.Response) -> Answer:
        code = answer.status_code
        if answer.is_success:
            return Answer(taken=True, final=True, detail=str(code))
        wait = answer.headers.get("retry-after", "")
        retry = min(int(wait), LONGEST_WAIT) if wait.isascii() and wait.isdigit() else None
        return Answer(taken=False, final=code == GONE, detail=str(code), retry_after=retry)

    def _address(self) -> str | None:
        """Resolve once and give the first address that may be reached; None where there is none."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for *_, where in found:
            if self.allowed or is_public(str(where[0])):
                return str(where[0])
        return None


def is_public(text: str) -> bool:
    """Is this plainly an address of the open internet, also behind every way to wrap another one?"""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64 or address.sixtofour or address.teredo:
            return False
        if address.ipv4_mapped:
            return is_public(str(address.ipv4_mapped))
        if int(address) < 1 << 32:
            return False
    return address.is_global and not address.is_multicast


def open_target(settings: Settings) -> Target:
    """Give the configured target; raises HandoverError when a setting is wrong."""
    if not settings.handover_url:
        return Folder(settings.home / "handovers")
    secret = settings.secret("handover_secret")
    if not secret:
        raise HandoverError("handover_url needs NURTURE_HANDOVER_SECRET or handover_secret_file")
    return SignedCall(settings.handover_url, secret, settings.handover_allow)

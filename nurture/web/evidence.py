"""Where did a request come from, as far as we may believe it? What is missing stays missing (A13, A14)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from nurture.settings import Settings

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_AGENT = 300
MOST_HOPS = 10


def _plain(text: str) -> Ip | None:
    """Read an address; IPv4 inside IPv6 counts as the IPv4 address that it is."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def networks(proxies: Sequence[str]) -> tuple[Network, ...]:
    """Read the configured proxies; raises ValueError for one that is no address or network."""
    return tuple(ip_network(proxy, strict=False) for proxy in proxies)


def _within(address: Ip, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def client_ip(request: Request, trusted: Sequence[Network]) -> Ip | None:
    """Give the caller's address: the socket's, unless that is a trusted proxy.

    Behind one, X-Forwarded-For is read from its right end, past further trusted proxies only. A
    malformed header gives None: a made-up address would be worse than none. `Forwarded` and the
    like are never read.
    """
    peer = _plain(request.client.host) if request.client else None
    if peer is None or not _within(peer, trusted):
        return peer
    header = ",".join(request.headers.getlist("x-forwarded-for"))
    if not header:
        return None
    for hop in reversed(header.split(",")[-MOST_HOPS:]):
        address = _plain(hop)
        if address is None or not _within(address, trusted):
            return address
    return None


def network_of(address: Ip) -> str:
    """Name the network that one sender controls: /24 of IPv4, /64 of IPv6."""
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))  # noqa: PLR2004  IPv4


def shown_ip(address: Ip | None, how: Literal["full", "truncated", "none"]) -> str | None:
    """Give the address as evidence may hold it; truncated keeps /24 of IPv4 and /48 of IPv6."""
    if address is None or how == "none":
        return None
    if how == "full":
        return str(address)
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))  # noqa: PLR2004  IPv4


def printable(text: str, longest: int) -> str:
    """Drop control characters, so that no log, export or proof page breaks on them; cut to length."""
    if text.isprintable():
        return text[:longest]
    return "".join(char for char in text if char.isprintable())[:longest]


def of(request: Request, settings: Settings, trusted: Sequence[Network], *, page: str, form: str) -> dict[str, str]:
    """Gather what proves a declaration: page, form, address and agent of the caller.

    `page` is a path without any token: evidence is exported, and a token is a key.
    """
    gathered = {"page_url": settings.public_url + page, "form": form, "method": request.method}
    address = shown_ip(client_ip(request, trusted), settings.evidence_ip)
    if address is not None:
        gathered["ip"] = address
    agent = printable(request.headers.get("user-agent", ""), LONGEST_AGENT)
    if agent:
        gathered["user_agent"] = agent
    return gathered

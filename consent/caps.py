"""Is somebody using our form to flood a mailbox, or to sign up people by the thousand? Counted in the database.

Four caps (A8): for each inbox, for each network that asks (/24 or /64), for each domain of the addresses,
and one for everybody. Over any of them nothing is recorded, and the answer outside is the same. What is
counted by stands beside the request as keyed HMACs, each with its index, and is emptied after 30 days.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select, update

from consent.schema import opt_in_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Column, Connection

    from consent.addresses import Address
    from consent.keys import Keyring

Cap = tuple[timedelta, int]
"""So many requests within the span before now, and not one more."""

INBOX: Sequence[Cap] = ((timedelta(hours=24), 1), (timedelta(days=30), 3))
"""Confirmation mails to one inbox (abuse form of the address): one in a day, three in thirty days."""
NETWORK: Sequence[Cap] = ((timedelta(hours=1), 100), (timedelta(hours=24), 500))
"""From one network: a company behind one address may sign up at once; your own form's server is one, too."""
DOMAIN: Sequence[Cap] = ((timedelta(hours=1), 30), (timedelta(hours=24), 100))
"""To addresses of one company's domain: its mail server sees these mails as one flood."""
SHARED: Sequence[Cap] = ((timedelta(hours=1), 1_000), (timedelta(hours=24), 10_000))
"""To addresses of a domain where anybody has a mailbox."""
EVERYBODY: Cap = (timedelta(hours=1), 2_000)
"""Of all: beyond this the form is under attack, and our sending domain at stake."""
SHARED_DOMAINS = frozenset({
    "gmail.com", "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de", "t-online.de", "freenet.de", "arcor.de", "1und1.de",
    "outlook.com", "outlook.de", "hotmail.com", "hotmail.de", "live.com", "live.de", "msn.com", "yahoo.com", "yahoo.de",
    "icloud.com", "me.com", "aol.com", "posteo.de", "mailbox.org", "proton.me", "protonmail.com", "bluewin.ch",
})  # fmt: skip
"""The large ones; another shared domain merely has the lower cap."""
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
KEPT = timedelta(days=30)
"""The longest span above: older keys count for nothing and are emptied."""


def over(
    conn: Connection, keyring: Keyring, address: Address, *, network: str | None, public: bool, at: datetime
) -> bool:
    """Would one more request go beyond a cap?

    `public` requests came over the web: all caps hold for them; for others (cards, renewals) only the
    inbox's. `network` is the caller's /24 or /64, None where it is not known; loopback has no cap, because
    behind a proxy that is not named as trusted everybody comes from there.
    """
    # Keys of former versions of the index key count, too: a rotation lets nobody begin anew.
    table = opt_in_request.c
    asked = [(table.abuse_index, keyring.count_indexes("abuse", address.abuse), INBOX)]
    if public:
        if _countable(network):
            asked.append((table.network_index, keyring.count_indexes("network", str(network)), NETWORK))
        domain = _domain(address)
        caps = SHARED if domain in SHARED_DOMAINS else DOMAIN
        asked.append((table.domain_index, keyring.count_indexes("domain", domain), caps))
    if any(_reached(conn, *one, at) for one in asked):
        return True
    return public and _flooded(conn, at)


def marks(keyring: Keyring, address: Address, *, network: str | None) -> dict[str, bytes | None]:
    """Give what a request is counted by, for its row."""
    return {
        "abuse_index": keyring.abuse_index(address.abuse),
        "network_index": keyring.count_indexes("network", str(network))[0] if _countable(network) else None,
        "domain_index": keyring.count_indexes("domain", _domain(address))[0],
    }


def forget(conn: Connection, *, at: datetime) -> int:
    """Empty what no cap counts any more; give how many requests that were."""
    table = opt_in_request.c
    kept = [table.abuse_index, table.network_index, table.domain_index]
    done = conn.execute(
        update(opt_in_request)
        .where(or_(*(column.is_not(None) for column in kept)), table.requested_at <= at - KEPT)
        .values({column.name: None for column in kept})
    )
    return done.rowcount


def _reached(conn: Connection, column: Column[Any], keys: list[bytes], caps: Sequence[Cap], at: datetime) -> bool:
    """Are there as many requests under these keys as may be? Each column has its index with the time."""
    for span, most in caps:
        query = select(func.count()).select_from(opt_in_request)
        if conn.execute(query.where(column.in_(keys), opt_in_request.c.requested_at > at - span)).scalar_one() >= most:
            return True
    return False


def _flooded(conn: Connection, at: datetime) -> bool:
    """Were there as many requests of all as may be? Looks at the one that far back: the cost is bounded."""
    span, most = EVERYBODY
    query = select(opt_in_request.c.requested_at).order_by(opt_in_request.c.id.desc()).offset(most - 1).limit(1)
    back = conn.execute(query).scalar_one_or_none()
    return back is not None and back > at - span


def _countable(network: str | None) -> bool:
    """Is this a network that can be capped by itself?"""
    try:
        found = ip_network(network or "", strict=False)
    except ValueError:
        return False
    return not any(found.version == one.version and found.overlaps(one) for one in LOOPBACK)


def _domain(address: Address) -> str:
    """Give the domain of the inbox: googlemail is gmail."""
    return address.abuse.rpartition("@")[2]

"""How does a consent end for a person who came here as several leads? For all of them, by whatever way the no came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import identity, ledger, lookup, withdrawal
from nurture.failpoints import reach
from nurture.leads.rights.group import group_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.addresses import Address
    from consent.keys import Keyring
    from consent.withdrawal import Route


def withdraw(
    conn: Connection,
    *,
    subject: str,
    controller: str,
    purposes: Sequence[str] | None,
    route: Route | str,
    actor: str,
    at: datetime,
) -> list[int]:
    """Do what `withdrawal.withdraw` does for a subject, and for whoever was merged with them.

    Gives the entries appended, those about `subject` first. Raises RightsError for an unknown subject.
    """
    ledger.lock(conn)
    others = [one for one in group_of(conn, subject).subjects if one != subject]
    done: list[int] = []
    for one in (subject, *others):
        done += withdrawal.withdraw(
            conn, subject=one, controller=controller, purposes=purposes, route=route, actor=actor, at=at
        )
        reach("consent.revoke_mid")
    return done


def withdraw_address(
    conn: Connection,
    keyring: Keyring,
    address: Address,
    *,
    controller: str,
    purposes: Sequence[str] | None,
    route: Route | str,
    actor: str,
    at: datetime,
) -> list[int]:
    """Do what `withdrawal.withdraw_address` does, for whoever was merged with the owner of the address, too."""
    ledger.lock(conn)
    lookup.adopt(conn, keyring, [address])
    known = identity.holders(conn, keyring, address)
    if not known:
        return withdrawal.withdraw_address(
            conn, keyring, address, controller=controller, purposes=purposes, route=route, actor=actor, at=at
        )
    return [
        seq
        for subject in known
        for seq in withdraw(
            conn, subject=subject, controller=controller, purposes=purposes, route=route, actor=actor, at=at
        )
    ]

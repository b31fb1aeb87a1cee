"""How does a consent end? At once, by whatever route, and as easily as it was given.

A page, a one-click header, the operator, the provider's webhook, a mail to us, the API, the CRM, an
import: all lead to the same entry. Ending any mail consent ends tracking too, and voids every open request it touches,
so that a confirmation link from before cannot bring the consent back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import select, update

from consent import canonical, ledger, lookup, naming, suppression
from consent.identity import SubjectError, chunks, holders
from consent.schema import identity, ledger_entry, opt_in_purpose, opt_in_request
from consent.states import ACTIVE, CONSENT, EMAIL, EVERYTHING, TRACKING, Standing, State, put, standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.addresses import Address
    from consent.keys import Keyring

Route = Literal["page", "one_click", "mailto", "operator", "provider", "api", "crm", "import", "merge", "objection"]
"""By which way a withdrawal reached us."""
UNKNOWN_LEFT = "withdrawn"
"""Why an address nobody knew is suppressed: its owner withdrew before we had anything to end."""


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
    """End consents of one subject; give the sequence numbers of the entries appended.

    `purposes` None ends all of them, tracking included, and bars imports from bringing any back.
    Repeating it appends nothing and gives []; so does an erased subject, of whom nothing is left to end.
    Takes effect for every authorisation after this transaction. `actor` says who, as an id or a role.
    Raises SubjectError for an unknown subject, LedgerError for an actor that is more than that (naming.py).
    """
    ledger.lock(conn)
    if not _present(conn, subject):
        return []
    held = {row.purpose: row for row in standings(conn, subject, controller=controller) if row.channel == EMAIL}
    requests = _open_requests(conn, subject, controller)
    named = _ended(purposes, held, requests)
    voided = {seq: request_id for request_id, (seq, asked) in requests.items() if purposes is None or asked & named}
    new = [purpose for purpose in sorted(named) if purpose not in held or held[purpose].state in ACTIVE]
    if not new and not voided and (purposes is not None or everything_ended(conn, [subject], controller)):
        return []
    body = {
        "controller": controller,
        "channel": EMAIL,
        "purposes": [EVERYTHING] if purposes is None else sorted(named),
        "route": route,
        "actor": naming.actor(actor),
        "ends": sorted({held[purpose].seq for purpose in new if purpose in held}),
        "voids": sorted(voided),
    }
    [seq] = ledger.append(conn, [ledger.Entry(ledger.EntryType.WITHDRAWN, body, at, subject)])
    put(conn, [_withdrawn(subject, controller, purpose, held.get(purpose), seq, at) for purpose in new])
    conn.execute(
        update(opt_in_request)
        .where(opt_in_request.c.id.in_(voided.values()))
        .values(state="void", settled_at=at, sealed_token=None)
    )
    return [seq]


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
    """End consents of whoever has this address; give the entries appended, [] when nothing was left to end.

    For routes that know an address and no link: API, CRM, operator, a mail without a token. An address that
    nobody knows is suppressed, so that no later import brings it; a later double opt-in lifts that.
    """
    ledger.lock(conn)
    lookup.adopt(conn, keyring, [address])
    known = holders(conn, keyring, address)
    done = [
        seq
        for subject in known
        for seq in withdraw(
            conn, subject=subject, controller=controller, purposes=purposes, route=route, actor=actor, at=at
        )
    ]
    if not known and purposes is None:
        index = keyring.address_index(address.identity)
        version = keyring.index_version
        suppression.add(conn, {index: UNKNOWN_LEFT}, controller=controller, at=at, index_key=version)
    return done


def everything_ended(conn: Connection, subjects: Iterable[str], controller: str) -> set[str]:
    """Who of these ever withdrew everything from a controller? Read from the ledger."""
    found: set[str] = set()
    for chunk in chunks(subjects):
        query = select(ledger_entry.c.subject, ledger_entry.c.leaf)
        query = query.where(ledger_entry.c.subject.in_(chunk), ledger_entry.c.type == ledger.EntryType.WITHDRAWN)
        for row in conn.execute(query):
            body = canonical.decode(row.leaf)["body"]
            if body["controller"] == controller and EVERYTHING in body["purposes"]:
                found.add(row.subject)
    return found


def _present(conn: Connection, subject: str) -> bool:
    """Is the subject there and not erased? Raises SubjectError for an unknown one."""
    row = conn.execute(select(identity.c.erased_at).where(identity.c.subject == subject)).one_or_none()
    if row is None:
        raise SubjectError("the subject is unknown; nothing was withdrawn")
    return row.erased_at is None


def _open_requests(conn: Connection, subject: str, controller: str) -> dict[int, tuple[int, set[str]]]:
    """Give open requests: {id: (ledger entry, purposes)}."""
    query = (
        select(opt_in_request.c.id, opt_in_request.c.requested_seq, opt_in_purpose.c.purpose)
        .join_from(opt_in_request, opt_in_purpose)
        .where(
            opt_in_request.c.subject == subject,
            opt_in_request.c.controller == controller,
            opt_in_request.c.state == "requested",
        )
    )
    found: dict[int, tuple[int, set[str]]] = {}
    for row in conn.execute(query):
        found.setdefault(row.id, (row.requested_seq, set()))[1].add(row.purpose)
    return found


def _ended(
    purposes: Sequence[str] | None, held: dict[str, Standing], requests: dict[int, tuple[int, set[str]]]
) -> set[str]:
    """Which purposes end: those named, tracking where it stands or was asked for, and for all, all."""
    if purposes is None:
        return set(held)
    asked = {purpose for _, wanted in requests.values() for purpose in wanted}
    return {*purposes} | ({TRACKING} & {*held, *asked} if purposes else set())


def _withdrawn(
    subject: str, controller: str, purpose: str, before: Standing | None, seq: int, at: datetime
) -> Standing:
    """Write out the last word after the withdrawal."""
    return Standing(
        subject=subject,
        controller=controller,
        channel=EMAIL,
        purpose=purpose,
        state=State.WITHDRAWN,
        seq=seq,
        text_id=before.text_id if before else None,
        since=at,
        used_at=before.used_at if before else None,
        basis=before.basis if before else CONSENT,
    )

"""How does somebody say yes, provably? Request, one neutral mail, one press of a button.

Asking records the request with the exact wording and queues one confirmation mail. Only the button
behind its link gives consent. The link is random, bound to this one request, good for seven days,
void after a withdrawal, and stands in the database only as its hash and sealed.

Outside, every request looks alike: whether a mail was queued shows on no page.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from consent import (
    ConsentError,
    canonical,
    caps,
    identity,
    ledger,
    lookup,
    rules,
    sealing,
    suppression,
    texts,
    tokens,
    vault,
)
from consent.addresses import Address
from consent.answers import (
    AlreadyConfirmed,
    Confirmed,
    Declined,
    DueConfirmation,
    Lapsed,
    Requested,
    RequestState,
    RequestView,
    Unknown,
)
from consent.schema import identity as identity_table
from consent.schema import opt_in_purpose, opt_in_request
from consent.states import EMAIL, Standing, State, put, standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from consent.texts import ConsentText

__all__ = [
    "TOKEN_LIFE",
    "AlreadyConfirmed",
    "Confirmed",
    "Declined",
    "DueConfirmation",
    "Lapsed",
    "OptInError",
    "RequestState",
    "RequestView",
    "Requested",
    "Unknown",
    "bounce",
    "confirm",
    "decline",
    "due",
    "lapse",
    "look_up",
    "mark_queued",
    "renew",
    "request",
    "token",
]

TOKEN_LIFE = timedelta(days=7)
"""Half-open: good from the request up to, not including, seven days later."""
TOKEN_PURPOSE = "confirm"  # noqa: S105  the name of a purpose, no secret


class OptInError(ConsentError):
    """A request cannot be made as asked, or its link is gone."""


def request(  # noqa: PLR0913  each is a fact the proof needs
    conn: Connection,
    keyring: Keyring,
    *,
    address: Address,
    purposes: Sequence[str],
    controller: str,
    language: str,
    source: str,
    evidence: Mapping[str, str],
    at: datetime,
    network: str | None = None,
    public: bool = False,
) -> Requested:
    """Record that somebody asked for mail, and have one confirmation mail queued.

    `evidence` is what the edge saw (page, IP, user agent, form values, state of the boxes); it is sealed,
    and what is missing stays missing. Nothing is recorded beyond the caps, for an address barred for good
    (blocked, dead, complained), or when all purposes stand given with the current wording. Raises TextError
    where a purpose has no published text, OptInError for no purpose. `public` says that it came over the web
    (all caps of `caps` hold), `network` from which /24 or /64 if known.
    """
    if not purposes:
        raise OptInError("a request names no purpose; tick at least one box")
    wordings = [
        texts.current(conn, controller=controller, purpose=purpose, language=language)
        for purpose in dict.fromkeys(purposes)
    ]
    ledger.lock(conn)
    lookup.adopt(conn, keyring, [address])
    if caps.over(conn, keyring, address, network=network, public=public, at=at) or _barred(
        conn, keyring, address, controller, at
    ):
        return Requested(None, queued=False)
    subject = identity.ensure(conn, keyring, address, at=at)
    if _stands(conn, subject, controller, wordings, at):
        return Requested(None, queued=False)
    expires = at + TOKEN_LIFE
    kept = vault.commit({**evidence, "address": address.delivery})
    body = {
        "controller": controller,
        "channel": EMAIL,
        "purposes": _described(wordings),
        "language": language,
        "source": source,
        "expires": canonical.utc_text(expires),
        "commit": kept.digest,
    }
    [seq] = ledger.append(conn, [ledger.Entry(ledger.EntryType.REQUESTED, body, at, subject)])
    vault.keep(conn, keyring, [(seq, subject, kept)])
    secret = tokens.issue(keyring, TOKEN_PURPOSE, tokens.random_id())
    fingerprint = tokens.fingerprint(secret)
    made = conn.execute(
        insert(opt_in_request)
        .values(
            subject=subject,
            state=RequestState.REQUESTED,
            controller=controller,
            channel=EMAIL,
            language=language,
            source=source,
            requested_at=at,
            expires_at=expires,
            requested_seq=seq,
            token_hash=fingerprint,
            sealed_token=identity.seal_for(conn, keyring, subject, secret.encode(), aad=_place(fingerprint)),
            **caps.marks(keyring, address, network=network),
        )
        .returning(opt_in_request.c.id)
    ).scalar_one()
    conn.execute(
        insert(opt_in_purpose),
        [{"request_id": made, "purpose": text.purpose, "text_id": text.id} for text in wordings],
    )
    return Requested(made, queued=True)


def renew(  # noqa: PLR0913  as for `request`
    conn: Connection,
    keyring: Keyring,
    subject: str,
    *,
    purposes: Sequence[str],
    controller: str,
    language: str,
    source: str,
    evidence: Mapping[str, str],
    at: datetime,
) -> Requested:
    """Record that a known person asks anew, on the current wording, as `request` does for an address.

    For what the person asked for (preferences page, API, a call that `evidence` tells of): nobody is
    written to only because a consent grew stale. Raises SubjectError for an erased or unknown subject.
    """
    # Else an erasure could come between, and the request would bring back whom it erased.
    ledger.lock(conn)
    person = identity.reveal(conn, keyring, [subject]).get(subject)
    if person is None:
        raise identity.SubjectError("the subject is unknown or erased; nothing can be renewed")
    return request(
        conn,
        keyring,
        address=Address.of(person.address),
        purposes=purposes,
        controller=controller,
        language=language,
        source=source,
        evidence=evidence,
        at=at,
    )


def due(conn: Connection, *, at: datetime, limit: int) -> list[DueConfirmation]:
    """Give requests whose confirmation mail is not queued yet, oldest first; none of who is restricted (Art. 18).

    Call `mark_queued` in the same transaction that queues the mails; else the same ones come again. Whom
    another transaction is queueing at this moment is passed over (PostgreSQL; SQLite has one writer).
    """
    rows = conn.execute(
        select(opt_in_request)
        .join(identity_table, identity_table.c.subject == opt_in_request.c.subject)
        .where(
            opt_in_request.c.state == RequestState.REQUESTED,
            opt_in_request.c.expires_at > at,
            opt_in_request.c.queued_at.is_(None),
            identity_table.c.restricted_at.is_(None),
        )
        .order_by(opt_in_request.c.id)
        .limit(limit)
        .with_for_update(of=opt_in_request, skip_locked=True)
    ).all()
    shown = _shown(conn, [row.id for row in rows])
    return [
        DueConfirmation(
            request_id=row.id,
            subject=row.subject,
            language=row.language,
            controller=row.controller,
            requested_at=row.requested_at,
            source=row.source,
            expires_at=row.expires_at,
            texts=shown[row.id],
        )
        for row in rows
    ]


def mark_queued(conn: Connection, request_ids: Iterable[int], *, at: datetime) -> None:
    """Note that the confirmation mails of these requests are queued: `due` gives them no more."""
    for chunk in identity.chunks(request_ids):
        conn.execute(update(opt_in_request).where(opt_in_request.c.id.in_(chunk)).values(queued_at=at))


def token(conn: Connection, keyring: Keyring, request_id: int) -> str:
    """Give the secret for the links of one open request; raises OptInError once it is settled."""
    query = select(opt_in_request.c.subject, opt_in_request.c.token_hash, opt_in_request.c.sealed_token)
    row = conn.execute(query.where(opt_in_request.c.id == request_id)).one_or_none()
    if row is None or row.sealed_token is None:
        raise OptInError(f"request {request_id} is settled or unknown; its link is gone")
    secret = identity.open_for(conn, keyring, row.subject, row.sealed_token, aad=_place(row.token_hash))
    return secret.decode()


def look_up(conn: Connection, token: str, *, at: datetime) -> RequestView | None:
    """Show what a link is about, changing nothing; None for no link of ours."""
    row = _by_token(conn, token)
    if row is None:
        return None
    return RequestView(
        request_id=row.id,
        state=_standing(conn, row, at),
        language=row.language,
        controller=row.controller,
        source=row.source,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        texts=_shown(conn, [row.id])[row.id],
    )


def confirm(
    conn: Connection, keyring: Keyring, token: str, *, evidence: Mapping[str, str], at: datetime
) -> Confirmed | AlreadyConfirmed | Lapsed | Unknown:
    """Give consent by the button behind the link. For POST only: scanners follow links.

    The first press wins; others answer AlreadyConfirmed and append nothing. A link too old, declined, or
    followed by a withdrawal of all that it gave answers Lapsed. Lifts a suppression only where it is older
    than the request.
    """
    if tokens.read(keyring, TOKEN_PURPOSE, token) is None:
        return Unknown()
    ledger.lock(conn)
    row = _by_token(conn, token)
    if row is None:
        return Unknown()
    state = _standing(conn, row, at)
    if state is RequestState.CONFIRMED:
        return AlreadyConfirmed(row.id)
    if state is not RequestState.REQUESTED:
        return Lapsed(row.id, state)
    return _give(conn, keyring, row, evidence, at)


def _give(conn: Connection, keyring: Keyring, row: Any, evidence: Mapping[str, str], at: datetime) -> Confirmed:  # noqa: ANN401  a row
    """Record the confirmation and make it the last word."""
    wordings = _shown(conn, [row.id])[row.id]
    kept = vault.commit(evidence)
    body = {
        "controller": row.controller,
        "channel": row.channel,
        "purposes": _described(wordings),
        "request": row.requested_seq,
        "lifted": suppression.lift(conn, row.subject, controller=row.controller, older_than=row.requested_at),
        "commit": kept.digest,
    }
    [seq] = ledger.append(conn, [ledger.Entry(ledger.EntryType.CONFIRMED, body, at, row.subject)])
    vault.keep(conn, keyring, [(seq, row.subject, kept)])
    put(
        conn,
        [
            Standing(row.subject, row.controller, row.channel, text.purpose, State.GIVEN, seq, text.id, at, None)
            for text in wordings
        ],
    )
    _settle(conn, [row.id], RequestState.CONFIRMED, at)
    purposes = tuple(text.purpose for text in wordings)
    return Confirmed(row.subject, row.id, purposes, row.language, row.source, row.controller, seq)


def decline(conn: Connection, token: str, *, at: datetime) -> Declined | AlreadyConfirmed | Lapsed | Unknown:
    """Answer "that was not me": void the request and erase the person when nothing else rests on them.

    Takes no evidence: who says no leaves nothing behind. For POST only, like `confirm`.
    """
    ledger.lock(conn)
    row = _by_token(conn, token)
    if row is None:
        return Unknown()
    state = _standing(conn, row, at)
    if state is RequestState.CONFIRMED:
        return AlreadyConfirmed(row.id)
    if state is RequestState.DECLINED:
        return Declined(row.id)
    if state is not RequestState.REQUESTED:
        return Lapsed(row.id, state)
    _end(conn, [row], RequestState.DECLINED, at)
    return Declined(row.id)


def lapse(conn: Connection, *, at: datetime, limit: int) -> int:
    """Close requests whose seven days are over, oldest first, and erase who left nothing else; how many.

    Also forgets what requests were counted by, once no cap counts them any more.
    """
    ledger.lock(conn)
    rows = conn.execute(
        select(opt_in_request)
        .where(opt_in_request.c.state == RequestState.REQUESTED, opt_in_request.c.expires_at <= at)
        .order_by(opt_in_request.c.expires_at, opt_in_request.c.id)
        .limit(limit)
    ).all()
    _end(conn, rows, RequestState.LAPSED, at)
    caps.forget(conn, at=at)
    return len(rows)


def bounce(conn: Connection, request_ids: Iterable[int], *, at: datetime) -> int:
    """Close open requests whose confirmation mail could not be delivered; give how many were open."""
    ledger.lock(conn)
    done = 0
    for chunk in identity.chunks(request_ids):
        is_open = opt_in_request.c.state == RequestState.REQUESTED
        rows = conn.execute(select(opt_in_request).where(opt_in_request.c.id.in_(chunk), is_open)).all()
        _end(conn, rows, RequestState.BOUNCED, at)
        done += len(rows)
    return done


def _end(conn: Connection, rows: Sequence[Any], state: RequestState, at: datetime) -> None:
    """Settle open requests without consent; erase whom nothing holds any more."""
    shown = _shown(conn, [row.id for row in rows])
    entries = []
    for row in rows:
        given = {
            one.purpose for one in standings(conn, row.subject, controller=row.controller) if one.state == State.GIVEN
        }
        body = {
            "controller": row.controller,
            "channel": row.channel,
            # A consent that stands from before is untouched, so this entry may not name its purpose.
            "purposes": sorted({text.purpose for text in shown[row.id]} - given),
            "request": row.requested_seq,
        }
        if state is RequestState.DECLINED:
            entries.append(ledger.Entry(ledger.EntryType.DECLINED, body, at, row.subject))
        else:
            entries.append(ledger.Entry(ledger.EntryType.LAPSED, {**body, "reason": str(state)}, at, row.subject))
    ledger.append(conn, entries)
    _settle(conn, [row.id for row in rows], state, at)
    free = identity.erasable(conn, [row.subject for row in rows])
    identity.erase_many(conn, free, at=at, reason=str(state))


def _settle(conn: Connection, request_ids: Iterable[int], state: RequestState, at: datetime) -> None:
    """Close requests; their sealed links are destroyed."""
    for chunk in identity.chunks(request_ids):
        conn.execute(
            update(opt_in_request)
            .where(opt_in_request.c.id.in_(chunk))
            .values(state=state, settled_at=at, sealed_token=None)
        )


def _barred(conn: Connection, keyring: Keyring, address: Address, controller: str, at: datetime) -> bool:
    """Is the address suppressed by what no confirmation lifts?"""
    index = keyring.address_index(address.identity)
    return bool(suppression.lasting(conn, [(index, at)], controller=controller))


def _stands(conn: Connection, subject: str, controller: str, wordings: Sequence[ConsentText], at: datetime) -> bool:
    """Is everything asked for given already, in these words, and fresh?

    An imported consent, and what only the customer exception permits, may be asked for anew: whoever signs up
    here gives the better proof.
    """
    held = {one.purpose: one for one in standings(conn, subject, controller=controller) if one.state == State.GIVEN}
    for text in wordings:
        one = held.get(text.purpose)
        if one is None or one.text_id != text.id:
            return False
        if at >= rules.stale_from(max(one.since, one.used_at or one.since)):
            return False
    return True


def _by_token(conn: Connection, token: str) -> Any | None:  # noqa: ANN401  a row
    """Find a request by the hash of its token."""
    # The index compares hashes of a 128-bit secret: its timing tells nothing about the secret.
    fingerprint = tokens.fingerprint(token)
    return conn.execute(select(opt_in_request).where(opt_in_request.c.token_hash == fingerprint)).one_or_none()


def _state(row: Any, at: datetime) -> RequestState:  # noqa: ANN401  a row
    """Give where a request stands at `at`; time alone lapses it."""
    state = RequestState(row.state)
    if state is RequestState.REQUESTED and not row.requested_at <= at < row.expires_at:
        return RequestState.LAPSED
    return state


def _standing(conn: Connection, row: Any, at: datetime) -> RequestState:  # noqa: ANN401  a row
    """Give where a request stands, seen from outside: a confirmed one of which nothing is given any more is void.

    Nobody may read "already signed up" who has left since.
    """
    state = _state(row, at)
    if state is not RequestState.CONFIRMED:
        return state
    asked = select(opt_in_purpose.c.purpose).where(opt_in_purpose.c.request_id == row.id)
    purposes = set(conn.execute(asked).scalars())
    held = standings(conn, row.subject, controller=row.controller)
    stands = any(one.state == State.GIVEN and one.channel == row.channel and one.purpose in purposes for one in held)
    return state if stands else RequestState.VOID


def _shown(conn: Connection, request_ids: Sequence[int]) -> dict[int, tuple[ConsentText, ...]]:
    """Give the wordings of each request, in the order they were published."""
    found: dict[int, list[int]] = {}
    for chunk in identity.chunks(request_ids):
        query = select(opt_in_purpose).where(opt_in_purpose.c.request_id.in_(chunk)).order_by(opt_in_purpose.c.text_id)
        for row in conn.execute(query):
            found.setdefault(row.request_id, []).append(row.text_id)
    held = texts.by_id(conn, {text_id for ids in found.values() for text_id in ids})
    return {request_id: tuple(held[text_id] for text_id in ids) for request_id, ids in found.items()}


def _described(wordings: Iterable[ConsentText]) -> list[dict[str, object]]:
    """Name wordings as the ledger does: purpose, hash, version."""
    return [{"purpose": text.purpose, "text": text.sha256, "version": text.version} for text in wordings]


def _place(fingerprint: bytes) -> bytes:
    """Name where a sealed token stands."""
    return sealing.place("opt_in_request", "sealed_token", fingerprint.hex())

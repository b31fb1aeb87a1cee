"""Who is behind a subject id? Addresses and names, sealed per person, findable and erasable.

A subject is a random id. Its row holds the address and what is known of the person under a key of
their own, itself wrapped by the master key: removing that one value makes all of it unreadable,
also in backups. People are found by a keyed HMAC of the identity form of their address.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent import ConsentError, ledger, lookup, naming, sealing, suppression, tokens
from consent.among import among_listed, listed
from consent.bulk import write_many
from consent.schema import consent_state, identity, metadata, opt_in_request, proof_vault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.addresses import Address
    from consent.keys import Keyring

CHUNK = 1000
"""Ids per statement: SQLite allows 32,766 variables, and memory stays bounded."""
KEEPS_SUBJECT = "keeps_subject"
"""Mark of a column, in its `info`: while a row names a subject there, their identity is needed."""

ADDRESS, DETAILS = sealing.place("identity", "sealed_address", ""), sealing.place("identity", "sealed_person", "")
"""Where both values of a person stand; their subject follows."""

T = TypeVar("T")


class SubjectError(ConsentError):
    """No such subject, or one whose key was destroyed by erasure."""


class Person(NamedTuple):
    """Who a subject is."""

    address: str
    """The delivery form: where mail goes."""
    details: dict[str, str]
    """first_name, last_name, salutation, phone, company, job_title; only what is known."""

    def __repr__(self) -> str:
        """Say nothing: persons reach logs by way of tracebacks."""
        return "Person(...)"


def find(conn: Connection, keyring: Keyring, address: Address) -> str | None:
    """Give the subject of an address, or None when it is unknown or erased; of several the first of `holders`.

    Raises KeyringError for a keyring from before a rotation: to it everybody is unknown.
    """
    return next(iter(holders(conn, keyring, address)), None)


def holders(conn: Connection, keyring: Keyring, address: Address) -> list[str]:
    """Give every subject of an address; first the one whom the newest look-up key finds, as whoever writes does.

    There is one, or none. Only a process that wrote with the former key while the key was rotated may leave a second
    one behind, until the rotation ends it. Raises KeyringError as `find` does.
    """
    lookup.refuse_former(conn, keyring)
    indexes = [keyring.address_index(address.identity), *keyring.former_address_indexes(address.identity)]
    query = select(identity.c.subject).where(identity.c.address_index.in_(indexes))
    return list(conn.execute(query.order_by(identity.c.index_key.desc())).scalars())


def mailbox(conn: Connection, subjects: Iterable[str]) -> set[str]:
    """Give these subjects and whoever a rotation found to hold the same address; unknown ones are left out."""
    found: set[str] = set()
    for chunk in chunks(subjects):
        stays = func.coalesce(identity.c.same_as, identity.c.subject)
        held = list(conn.execute(select(stays).where(identity.c.subject.in_(chunk))).scalars())
        query = select(identity.c.subject).where(or_(identity.c.subject.in_(held), identity.c.same_as.in_(held)))
        found.update(conn.execute(query).scalars())
    return found


def ensure(conn: Connection, keyring: Keyring, address: Address, *, at: datetime) -> str:
    """Give the subject of an address, made now where there is none."""
    return ensure_many(conn, keyring, [address], at=at)[address]


def ensure_many(
    conn: Connection, keyring: Keyring, addresses: Iterable[Address], *, at: datetime
) -> dict[Address, str]:
    """Give the subject of each address, made now where there is none.

    Two spellings of one mailbox are one subject; mail goes to the spelling that came first. Safe when
    two processes meet the same new address: the database lets one win, both get the winner.
    """
    by_index: dict[bytes, list[Address]] = {}
    addresses = list(addresses)
    lookup.adopt(conn, keyring, addresses)
    for address in addresses:
        by_index.setdefault(keyring.address_index(address.identity), []).append(address)
    subjects = _subjects(conn, by_index)
    missing = [index for index in by_index if index not in subjects]
    made = add_many(conn, keyring, {index: (by_index[index][0], {}) for index in missing}, at=at)
    subjects |= made | _subjects(conn, [index for index in missing if index not in made])
    return {address: subjects[index] for index, same in by_index.items() for address in same}


def add_many(
    conn: Connection, keyring: Keyring, people: Mapping[bytes, tuple[Address, Mapping[str, str]]], *, at: datetime
) -> dict[bytes, str]:
    """Make subjects for addresses that nobody had when the caller looked: {address index: (address, details)}.

    Address and details are sealed before the one insert of a chunk. Gives address index -> subject of
    those made here; where another process came first with the same address, it is left out.
    """
    made: dict[bytes, str] = {}
    for chunk in chunks(people):
        rows = [_new_row(keyring, index, *people[index], at) for index in chunk]
        subjects = {row["address_index"]: row["subject"] for row in rows}
        if _insert_new(conn, rows) != len(rows):
            there = _subjects(conn, chunk)
            subjects = {index: subject for index, subject in subjects.items() if there.get(index) == subject}
        made |= subjects
    return made


def describe(conn: Connection, keyring: Keyring, details: Mapping[str, Mapping[str, str]]) -> None:
    """Add what is known about persons: {subject: {"first_name": ..., ...}}.

    Given values replace older ones, empty ones change nothing. Raises SubjectError for an erased subject.
    """
    for chunk in chunks(details):
        keys = subject_keys(conn, keyring, chunk)
        held = conn.execute(
            select(identity.c.subject, identity.c.sealed_person).where(identity.c.subject.in_(chunk))
        ).all()
        values = []
        for row in held:
            key, aad = keys[row.subject], sealing.place("identity", "sealed_person", row.subject)
            known = _load(key, row.sealed_person, aad)
            merged = known | {name: value for name, value in details[row.subject].items() if value}
            if merged != known:
                values.append({"of": row.subject, "sealed": sealing.seal(key, _dump(merged), aad=aad)})
        if values:
            conn.execute(
                update(identity).where(identity.c.subject == bindparam("of")).values(sealed_person=bindparam("sealed")),
                values,
            )


def reveal(conn: Connection, keyring: Keyring, subjects: Iterable[str]) -> dict[str, Person]:
    """Open who subjects are; unknown and erased ones are left out. Raises SealError for a damaged one."""
    found = {}
    for subject, opened in reveal_each(conn, keyring, subjects).items():
        if isinstance(opened, sealing.SealError):
            raise opened
        found[subject] = opened
    return found


def reveal_each(conn: Connection, keyring: Keyring, subjects: Iterable[str]) -> dict[str, Person | sealing.SealError]:
    """Open who subjects are, each for itself: one damaged row must not hide the others.

    Unknown and erased ones are left out.
    """
    found: dict[str, Person | sealing.SealError] = {}
    for chunk in chunks(subjects):
        # All at once: one by one, fetching them costs half as much as opening them.
        rows = conn.execute(_sealed(conn.dialect.name), {"subjects": listed(conn, chunk)}).all()
        for subject, wrapped_key, wrap_key, address, details in rows:
            try:
                found[subject] = _person(keyring, subject, wrapped_key, wrap_key, address, details)
            except sealing.SealError as error:
                found[subject] = error
    return found


@cache
def _sealed(dialect: str) -> Any:  # noqa: ANN401  a select
    who = identity.c
    return select(who.subject, who.wrapped_key, who.wrap_key, who.sealed_address, who.sealed_person).where(
        among_listed(dialect, who.subject, "subjects"), who.wrapped_key.is_not(None)
    )


def _person(
    keyring: Keyring, subject: str, wrapped_key: bytes, wrap_key: int, address: bytes, details: bytes | None
) -> Person:
    """Open what is sealed of one person."""
    own = sealing.Sealer(keyring.unwrap(subject, wrapped_key, wrap_key))
    row = subject.encode()
    opened = own.unseal(address, aad=ADDRESS + row)
    known = own.unseal(details, aad=DETAILS + row) if details else None
    return Person(opened.decode(), _load_text(known.decode())[0] if known else {})


def seal_for(conn: Connection, keyring: Keyring, subject: str, data: bytes, *, aad: bytes) -> bytes:
    """Seal bytes under a subject's key, so that erasing the subject erases them too.

    Raises SubjectError for an unknown or erased subject.
    """
    return sealing.seal(subject_keys(conn, keyring, [subject])[subject], data, aad=aad)


def open_for(conn: Connection, keyring: Keyring, subject: str, sealed: bytes, *, aad: bytes) -> bytes:
    """Open what `seal_for` made; raises SubjectError after erasure, SealError for another place."""
    return sealing.unseal(subject_keys(conn, keyring, [subject])[subject], sealed, aad=aad)


def subject_keys(conn: Connection, keyring: Keyring, subjects: Collection[str]) -> dict[str, bytes]:
    """Give the key of each subject; raises SubjectError unless all have one."""
    keys = {}
    for chunk in chunks(subjects):
        query = select(identity.c.subject, identity.c.wrapped_key, identity.c.wrap_key)
        query = query.where(identity.c.subject.in_(chunk), identity.c.wrapped_key.is_not(None))
        for subject, wrapped, version in conn.execute(query):
            keys[subject] = keyring.unwrap(subject, wrapped, version)
    if len(keys) != len(set(subjects)):
        raise SubjectError(f"{len(set(subjects)) - len(keys)} of the subjects are unknown or erased")
    return keys


def erase(
    conn: Connection, subject: str, *, at: datetime, reason: str = "request", keep_suppression: str | None = None
) -> bool:
    """Destroy who a subject is; tell whether there was anything to destroy.

    Removes key, address, person, look-up key, evidence and pending confirmations, ends every consent,
    and appends subject.erased. With `keep_suppression` (a reason) the address stays on the suppression
    list, by its keyed HMAC alone. What other tables sealed with `seal_for` becomes unreadable. Raises LedgerError for
    a reason of more than one word.
    """
    return bool(erase_many(conn, [subject], at=at, reason=reason, keep_suppression=keep_suppression))


def erase_many(
    conn: Connection, subjects: Iterable[str], *, at: datetime, reason: str, keep_suppression: str | None = None
) -> int:
    """Do what `erase` does for many subjects; give how many were erased now."""
    why = naming.reason(reason)
    ledger.lock(conn)
    done = 0
    for chunk in chunks(subjects):
        present = list(
            conn.execute(
                select(identity.c.subject).where(identity.c.subject.in_(chunk), identity.c.erased_at.is_(None))
            ).scalars()
        )
        if keep_suppression:
            for subject in present:
                suppression.suppress_subject(conn, subject, keep_suppression, at=at)
        _forget(conn, present, at)
        ledger.append(
            conn,
            [ledger.Entry(ledger.EntryType.ERASED, {"reason": why}, at, subject) for subject in sorted(present)],
        )
        done += len(present)
    return done


def erasable(conn: Connection, subjects: Iterable[str]) -> list[str]:
    """Which of these have nothing resting on them: no consent ever, no open request, no lead.

    A table outside this package keeps a person by marking its column with info={KEEPS_SUBJECT: True}.
    """
    holders = [
        column for table in metadata.tables.values() for column in table.columns if column.info.get(KEEPS_SUBJECT)
    ]
    resting = or_(
        exists().where(consent_state.c.subject == identity.c.subject),
        exists().where(
            opt_in_request.c.subject == identity.c.subject, opt_in_request.c.state.in_(["requested", "confirmed"])
        ),
        *(exists().where(column == identity.c.subject) for column in holders),
    )
    free: list[str] = []
    for chunk in chunks(subjects):
        query = select(identity.c.subject).where(
            identity.c.subject.in_(chunk), identity.c.erased_at.is_(None), ~resting
        )
        free.extend(conn.execute(query).scalars())
    return free


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut into lists of at most `size`, each item once, in order of first appearance."""
    listed = list(dict.fromkeys(items))
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def _subjects(conn: Connection, indexes: Iterable[bytes]) -> dict[bytes, str]:
    """Find subjects by the index of their address."""
    found: dict[bytes, str] = {}
    for chunk in chunks(indexes):
        query = select(identity.c.address_index, identity.c.subject).where(identity.c.address_index.in_(chunk))
        found.update((index, subject) for index, subject in conn.execute(query))
    return found


def _new_row(
    keyring: Keyring,
    index: bytes,
    address: Address,
    details: Mapping[str, str],
    at: datetime,
) -> dict[str, Any]:
    """Make a subject: a random id, a key of its own, address and details sealed under it."""
    subject, key = tokens.random_id(), sealing.new_key()
    own = sealing.Sealer(key)
    known = {name: value for name, value in details.items() if value}
    return {
        "subject": subject,
        "address_index": index,
        "index_key": keyring.index_version,
        "wrapped_key": keyring.wrap(subject, key),
        "wrap_key": keyring.master_version,
        "sealed_address": own.seal(address.delivery.encode(), aad=sealing.place("identity", "sealed_address", subject)),
        "sealed_person": own.seal(_dump(known), aad=sealing.place("identity", "sealed_person", subject))
        if known
        else None,
        "created_at": at,
    }


def _insert_new(conn: Connection, rows: list[dict[str, Any]]) -> int:
    """Insert, and give how many came in; where another process was first with the same address, its row stays."""
    statement = postgresql.insert(identity) if conn.dialect.name == "postgresql" else sqlite.insert(identity)
    return write_many(conn, statement.on_conflict_do_nothing(index_elements=["address_index"]), rows)


def _forget(conn: Connection, subjects: list[str], at: datetime) -> None:
    """Empty everything that says who a subject is, and end what rests on it."""
    conn.execute(
        update(identity)
        .where(identity.c.subject.in_(subjects))
        .values(address_index=None, wrapped_key=None, sealed_address=None, sealed_person=None, erased_at=at)
    )
    conn.execute(delete(proof_vault).where(proof_vault.c.subject.in_(subjects)))
    conn.execute(update(consent_state).where(consent_state.c.subject.in_(subjects)).values(state="erased", since=at))
    mine = opt_in_request.c.subject.in_(subjects)
    conn.execute(update(opt_in_request).where(mine).values(sealed_token=None))
    conn.execute(
        update(opt_in_request).where(mine, opt_in_request.c.state == "requested").values(state="void", settled_at=at)
    )


_dump_text = json.JSONEncoder(ensure_ascii=False).encode
_load_text = json.JSONDecoder().raw_decode
"""Reads what `_dump` wrote: there is nothing around it to look for."""


def _dump(known: Mapping[str, str]) -> bytes:
    """Write what is known of a person."""
    return _dump_text(dict(known)).encode()


def _load(key: bytes, sealed: bytes | None, aad: bytes) -> dict[str, str]:
    """Open what is known of a person; nothing yet is an empty record."""
    return json.loads(sealing.unseal(key, sealed, aad=aad)) if sealed else {}

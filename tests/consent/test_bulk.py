"""Many rows at once: the same rows as one by one, and nothing left of a refused one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from consent import identity
from consent.addresses import Address
from consent.bulk import insert_all, write_many
from consent.schema import identity as identities

if TYPE_CHECKING:
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.store.engine import Store

KIM, PAT = Address.of("kim@firma.example"), Address.of("pat@firma.example")


def rows(at: datetime) -> list[dict[str, object]]:
    """Give two subjects, the second made an hour later and without an address."""
    first = {"subject": "a" * 26, "address_index": b"\x00\xff" * 16, "index_key": 1, "created_at": at}
    return [first, {**first, "subject": "b" * 26, "address_index": None, "created_at": at + timedelta(hours=1)}]


def test_bulk_rows_read_back_as_given(store: Store, at: datetime) -> None:
    """Bytes, times and nothing at all come back as they went in, row by row."""
    columns = [identities.c[name] for name in rows(at)[0]]
    with store.write() as conn:
        assert write_many(conn, insert(identities), rows(at)) == 2
        held = [dict(row) for row in conn.execute(select(*columns).order_by(identities.c.subject)).mappings()]

    assert held == rows(at)


def test_bulk_updates_meet_their_row(store: Store, at: datetime) -> None:
    """Each row's values change the row that its own condition names."""
    statement = update(identities).where(identities.c.subject == bindparam("of")).values(sealed_person=bindparam("to"))
    with store.write() as conn:
        write_many(conn, insert(identities), rows(at))
        changed = write_many(conn, statement, [{"of": "b" * 26, "to": b"2"}, {"of": "a" * 26, "to": b"1"}])
        held = conn.execute(select(identities.c.sealed_person).order_by(identities.c.subject)).scalars().all()

    assert (changed, held) == (2, [b"1", b"2"])


def test_bulk_without_rows_writes_nothing(store: Store) -> None:
    """No row is no statement."""
    with store.write() as conn:
        assert write_many(conn, insert(identities), []) == 0


def test_bulk_repetitions_are_refused(store: Store, at: datetime) -> None:
    """A row that breaks a constraint raises, and the transaction keeps none of its neighbours."""
    with pytest.raises(IntegrityError), store.write() as conn:
        write_many(conn, insert(identities), [*rows(at), rows(at)[0]])
    with store.read() as conn:
        assert conn.execute(select(identities)).all() == []


def test_copied_repetitions_are_refused(store: Store, at: datetime) -> None:
    """As one statement: the same error on both databases, without a value in it."""
    with pytest.raises(IntegrityError) as raised, store.write() as conn:
        insert_all(conn, identities, [*rows(at), rows(at)[0]])
    assert "a" * 26 not in str(raised.value)
    with store.read() as conn:
        assert conn.execute(select(identities)).all() == []


def test_newcomers_come_with_their_details(store: Store, keyring: Keyring, at: datetime) -> None:
    """Address and details are there after one call; empty details are left out."""
    index = keyring.address_index(KIM.identity)
    with store.write() as conn:
        made = identity.add_many(conn, keyring, {index: (KIM, {"first_name": "Kim", "phone": ""})}, at=at)
        person = identity.reveal(conn, keyring, made.values())[made[index]]

    assert (person.address, person.details) == ("kim@firma.example", {"first_name": "Kim"})


def test_whoever_came_first_stays(store: Store, keyring: Keyring, at: datetime) -> None:
    """An address that another process took meanwhile is left out, and keeps its subject and details."""
    indexes = {address: keyring.address_index(address.identity) for address in (KIM, PAT)}
    with store.write() as conn:
        kim = identity.ensure(conn, keyring, KIM, at=at)
        people = {index: (address, {"first_name": "New"}) for address, index in indexes.items()}
        made = identity.add_many(conn, keyring, people, at=at)
        details = identity.reveal(conn, keyring, [kim])[kim].details

    assert (list(made), details) == ([indexes[PAT]], {})

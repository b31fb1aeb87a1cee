"""In which files may a person's data lie? Those named by their ids, and those in which their address is found."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import select

from consent import identity as identities
from consent.addresses import Address, InvalidAddress
from nurture.leads.rights import exporting
from nurture.store.tables import handover, message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.leads.rights.group import Group

OUTBOX, HANDOVERS, REPORTS, LOGS = "outbox", "handovers", "reports", "logs"
WINDOW = 1 << 20
"""Bytes read at once while searching."""
SHORTEST = 6
"""A shorter needle would be found in anything."""
MOST_NEEDLES = 200
"""So many are searched one by one."""
LONGEST_ADDRESS = 320
ADDRESS = re.compile(rb"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-][a-z0-9.-]{0,252}")
BEFORE = frozenset(bytes([sign]) for sign in b"!#$%&'*/=?^`{|}~")
SKIPPED = re.compile(r"\.db(-wal|-shm|-journal)?$")
"""Our database holds nothing in clear, and is cleaned by its own means."""


@dataclass(frozen=True)
class Traces:
    """What to look for: random ids that name files, and needles that may stand inside."""

    mails: tuple[str, ...]
    handovers: tuple[str, ...]
    leads: tuple[int, ...]
    needles: tuple[bytes, ...]
    """Lower case; empty once the person is erased."""

    def __repr__(self) -> str:
        """Say nothing about the person."""
        return f"Traces({len(self.mails)} mails, {len(self.handovers)} handovers)"


def traces(conn: Connection, keyring: Keyring, group: Group) -> Traces:
    """Gather what a person's files are found by."""
    known = identities.reveal(conn, keyring, group.subjects)
    return Traces(
        mails=tuple(
            conn.execute(
                select(message.c.public_id).where(message.c.subject.in_(group.subjects)).order_by(message.c.id)
            ).scalars()
        ),
        handovers=tuple(
            conn.execute(
                select(handover.c.public_id).where(handover.c.lead_id.in_(group.leads)).order_by(handover.c.id)
            ).scalars()
        ),
        leads=group.leads,
        needles=tuple(sorted({needle for person in known.values() for needle in needles(person)})),
    )


def needles(person: identities.Person) -> set[bytes]:
    """Give the forms in which a person's address, number and full name may stand in a text, in lower case."""
    texts = {person.address, person.details.get("phone", "")}
    with contextlib.suppress(InvalidAddress):
        address = Address.of(person.address)
        texts |= {address.delivery, address.identity}
    names = [person.details.get(name, "") for name in ("first_name", "last_name")]
    if all(names):
        texts.add(" ".join(names))
    forms = {form for text in texts for form in (text, quote(text), text.encode("ascii", "backslashreplace").decode())}
    # Folded as a file's bytes are: ASCII letters only.
    return {form.encode().lower() for form in forms if len(form) >= SHORTEST}


def named(home: Path, found: Traces) -> Iterator[Path]:
    """Give the files that bear a person's ids: mails, what sales was told, records taken out."""
    for public_id in found.mails:
        yield home / OUTBOX / f"{public_id}.eml"
        yield from (home / OUTBOX / "tmp").glob(f"{public_id}.*")
    for public_id in found.handovers:
        yield home / HANDOVERS / f"{public_id}.created.json"
    for lead_id in found.leads:
        yield from (home / exporting.FOLDER).glob(f"lead-{lead_id}-*")


def holding(home: Path, wanted: Iterable[bytes]) -> list[Path]:
    """Give every file of the workspace in which a needle stands, our database left out.

    Beyond MOST_NEEDLES only whole addresses are looked for, each file being read once for all of them.
    """
    looked_for = frozenset(wanted)
    if not looked_for:
        return []
    few = len(looked_for) <= MOST_NEEDLES
    found = (path for path in _files(home) if (contains(path, looked_for) if few else names_one(path, looked_for)))
    return list(found)


def contains(path: Path, wanted: frozenset[bytes]) -> bool:
    """Does a needle stand in a file, in whatever case? A file that vanishes meanwhile holds nothing."""
    overlap = max(map(len, wanted)) - 1
    return any(any(needle in window for needle in wanted) for window in _windows(path, overlap))


def names_one(path: Path, wanted: frozenset[bytes]) -> bool:
    """Does one of many addresses stand in a file? Whatever looks like an address is looked up."""
    return any(
        not wanted.isdisjoint(_endings(found.group()))
        for window in _windows(path, LONGEST_ADDRESS)
        for found in ADDRESS.finditer(window)
    )


def _endings(text: bytes) -> Iterator[bytes]:
    """Give an address as it was found, and without what may stand before it: "to=", "mailto:"."""
    address = text.rstrip(b".")
    yield address
    for place in range(address.index(b"@")):
        if address[place : place + 1] in BEFORE:
            yield address[place + 1 :]


def _windows(path: Path, overlap: int) -> Iterator[bytes]:
    """Read a file piece by piece in lower case, each with the end of the one before."""
    try:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(WINDOW):
                window = (rest + piece).lower()
                yield window
                rest = window[-overlap:]
    except OSError:
        return


def remove(path: Path) -> bool:
    """Delete a file for good; tell whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def papers(home: Path, path: Path) -> list[Path]:
    """Give the PDFs that hold what a file of the export folder holds: packed, no search finds anybody in them.

    Beside a record it is the one of the same name; in the folder of an audit each of them may be.
    """
    folder = home / exporting.FOLDER
    if folder not in path.parents:
        return []
    if path.parent == folder:
        return [path.with_suffix(".pdf")]
    return sorted((folder / path.relative_to(folder).parts[0]).rglob("*.pdf"))


def blacken(path: Path, wanted: Iterable[bytes]) -> None:
    """Overwrite every needle in a log that a program may be writing to: its length and its other lines stay."""
    with path.open("r+b") as file:
        content = file.read().lower()
        for needle in wanted:
            place = content.find(needle)
            while place >= 0:
                file.seek(place)
                file.write(b"x" * len(needle))
                place = content.find(needle, place + len(needle))
        file.flush()
        os.fsync(file.fileno())


def _files(home: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(home):
        for name in names:
            path = home / folder / name
            if path.is_file() and not path.is_symlink() and not (path.parent == home and SKIPPED.search(name)):
                yield path

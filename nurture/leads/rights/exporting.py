"""How does a person get what we hold about them? One JSON file, one PDF of the same, one entry in the ledger."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consent import rights
from nurture.leads.rights import model, printing, requests
from nurture.leads.rights.group import RightsError
from nurture.leads.rights.record import gather, refuse_erased

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace

FOLDER = "exports"
"""Folder in the workspace; retention empties it, erasure searches it."""


@dataclass(frozen=True)
class Files:
    """Where a record was written."""

    json: Path
    pdf: Path


def access(
    conn: Connection, workspace: Workspace, subject: str, *, route: str, actor: str, at: datetime
) -> dict[str, Any]:
    """Give the whole record of a person as plain data, and note that it was given.

    Enters record.exported and settles open requests for access (or notes one). Needs a writing connection.
    Raises RightsError for an unknown or erased person.
    """
    # Looked at first: nothing may be recorded about somebody who is not there.
    refuse_erased(conn, workspace, subject)
    zone = workspace.settings.tz
    rights.exported(conn, rights.Copy.ACCESS, scope="person", count=1, actor=actor, at=at, subject=subject)
    requests.answered(conn, subject, requests.Kind.ACCESS, route=route, actor=actor, zone=zone, at=at)
    return gather(conn, workspace, subject, at=at).model_dump(mode="json")


def encode(record: dict[str, Any]) -> bytes:
    """Give the bytes of the JSON file."""
    return json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n"


def pdf(record: dict[str, Any]) -> bytes:
    """Give the printable form of a record."""
    return printing.printed(model.Record.model_validate(record))


def write(record: dict[str, Any], folder: Path, name: str) -> Files:
    """Write both files (0600) whole or not at all; files of the same name are replaced.

    Raises RightsError when the folder cannot be written to.
    """
    files = Files(folder / f"{name}.json", folder / f"{name}.pdf")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, content in ((files.json, encode(record)), (files.pdf, pdf(record))):
            draft = path.with_name(f".{path.name}.part")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
    except OSError as error:
        raise RightsError(f"the record cannot be written: {error.strerror}; choose another folder with -o") from error
    return files

"""Who came by our own links and pixel, and may we remember it? Only of those who agree, at the moment of writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from nurture.tracking import intake
from nurture.tracking.intake import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring


class Visit(NamedTuple):
    """A link was followed, or with `link` None the pixel fetched, at `at` (UTC) by the program `agent`."""

    message: str
    link: int | None
    agent: str
    at: datetime


def record(conn: Connection, keyring: Keyring, visits: Sequence[Visit]) -> None:
    """Store visits raw; the caller has read in this very transaction that all of them may be measured.

    Those that share a transaction share a row: one seal, one fingerprint, one insert for all of them.
    """
    for source, of_it in (
        (Source.CLICK, [visit for visit in visits if visit.link is not None]),
        (Source.OPEN, [visit for visit in visits if visit.link is None]),
    ):
        if of_it:
            body = orjson.dumps([_told(visit) for visit in of_it])
            intake.put(conn, [intake.sealed(keyring, source, body, at=max(visit.at for visit in of_it))])


def _told(visit: Visit) -> dict[str, object]:
    told: dict[str, object] = {"message": visit.message, "user_agent": visit.agent, "method": "GET", "at": visit.at}
    if visit.link is not None:
        told["link"] = visit.link
    return told

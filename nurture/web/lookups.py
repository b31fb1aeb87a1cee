"""Which message, recipient and target does a token name? Reads only; no address is ever needed for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import select

from consent import rules, states, texts, tokens
from consent.schema import identity
from consent.states import NEWSLETTER
from nurture.store.tables import message, template_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from consent.texts import ConsentText

MAIN = NEWSLETTER
TRACKING = states.TRACKING
ORDER = (MAIN, TRACKING)
LONGEST_TOKEN = 128


@dataclass(frozen=True)
class Recipient:
    """Whom a link belongs to, and which topic the mail it stood in was about."""

    subject: str | None
    """None when nothing is kept about them any more: erased, or the mail's row is gone."""
    purpose: str
    language: str | None


NOBODY = Recipient(None, MAIN, None)
"""Who was erased. Their links lead to the same pages as those of somebody who agreed to nothing."""


@dataclass(frozen=True)
class Target:
    """Where a link of a message leads."""

    public_id: str
    subject: str
    url: str
    tracked: bool


@dataclass(frozen=True)
class Standing:
    """One purpose and whether a person agrees to it now."""

    purpose: str
    given: bool
    since: datetime
    rests: bool = False
    """Given, but no mail may rest on it: none used it for too long."""
    renewable: bool = False
    """Given, but resting or not on the current wording: it may be asked for anew."""


def read_token(keyring: Keyring, purpose: str, token: str) -> str | None:
    """Give the id in a token; None for anything that is not exactly ours."""
    return tokens.read(keyring, purpose, token) if len(token) <= LONGEST_TOKEN else None


def token_path(keyring: Keyring, prefix: str, purpose: str, public_id: str) -> str:
    """Give the path of a page for whoever is behind a public id, such as `/p/<token>`."""
    return prefix + tokens.issue(keyring, purpose, public_id)


def recipient(conn: Connection, public_id: str) -> Recipient:
    """Give the recipient behind a message's public id, or behind a subject's id (unique keys of both).

    The id comes out of a token of ours: where nothing is found any more, there was somebody once, and a
    mail kept for years must still lead to a page that makes sense.
    """
    row = conn.execute(
        select(message.c.subject, message.c.purpose, message.c.language)
        .join(identity, identity.c.subject == message.c.subject)
        .where(message.c.public_id == public_id, identity.c.address_index.is_not(None))
    ).first()
    if row is not None:
        return Recipient(row.subject, row.purpose or MAIN, row.language)
    present = select(identity.c.subject).where(identity.c.subject == public_id, identity.c.address_index.is_not(None))
    found = conn.execute(present).scalar()
    return NOBODY if found is None else Recipient(found, MAIN, None)


def target(conn: Connection, public_id: str, index: int) -> Target | None:
    """Give where link `index` of a message leads: the address its template version holds, nothing else."""
    row = conn.execute(
        select(message.c.subject, message.c.tracked, template_version.c.links)
        .join(template_version, template_version.c.id == message.c.template_version_id)
        .where(message.c.public_id == public_id)
    ).first()
    if row is None or not 0 <= index < len(row.links):
        return None
    url = row.links[index].get("url")
    return Target(public_id, row.subject, url, row.tracked) if isinstance(url, str) and is_web(url) else None


def tracked_subject(conn: Connection, public_id: str) -> str | None:
    """Give the recipient of a message that was planned with tracking; None otherwise."""
    return conn.execute(
        select(message.c.subject).where(message.c.public_id == public_id, message.c.tracked)
    ).scalar_one_or_none()


def is_web(url: str) -> bool:
    """Tell whether an address can stand in a Location header and means the same to everybody."""
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def standings(conn: Connection, subject: str | None, controller: str, *, at: datetime) -> list[Standing]:
    """Give what a person agreed to or withdrew by e-mail, the main topics first; nothing about nobody."""
    if subject is None:
        return []
    held = [
        one
        for one in states.standings(conn, subject, controller=controller)
        if one.channel == states.EMAIL and one.purpose != states.EVERYTHING
    ]
    wordings = texts.by_id(conn, {one.text_id for one in held if one.text_id is not None})
    found = [_shown(conn, one, wordings, at) for one in held]
    return sorted(
        found, key=lambda one: (ORDER.index(one.purpose) if one.purpose in ORDER else len(ORDER), one.purpose)
    )


def _shown(conn: Connection, held: states.Standing, wordings: Mapping[int, ConsentText], at: datetime) -> Standing:
    """Judge one consent as the gate would; measuring grows no older than the mails it goes with."""
    given = held.state in states.ACTIVE
    unused = at >= rules.stale_from(max(held.since, held.used_at or held.since))
    rests = given and held.purpose != TRACKING and (unused or held.state is states.State.STALE)
    return Standing(held.purpose, given, held.since, rests, given and (rests or not _current(conn, held, wordings)))


def _current(conn: Connection, held: states.Standing, wordings: Mapping[int, ConsentText]) -> bool:
    """Was the newest wording agreed to, in whichever language? Never so for an imported consent."""
    text = wordings.get(held.text_id or 0)
    if text is None:
        return False
    newest = texts.current(conn, controller=held.controller, purpose=held.purpose, language=text.language)
    return newest.id == held.text_id

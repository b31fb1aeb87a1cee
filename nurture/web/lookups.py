"""Which message, recipient and target does a token name? Reads only; no address is ever needed for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import and_, select

from consent import gate, rules, states, texts, tokens
from consent.among import among
from consent.schema import identity
from consent.states import NEWSLETTER
from nurture.store.tables import message, template_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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


class Mail(NamedTuple):
    """A message of ours, as far as its links and its pixel need it."""

    measured: bool
    """Was it sent with tracking, and does its reader agree to that now?"""
    links: tuple[str | None, ...]
    """The addresses that its template version holds: a link leads there and nowhere else."""

    def target(self, link: int) -> str | None:
        """Give where a link leads, None where it leads nowhere."""
        return self.links[link] if link < len(self.links) else None

    def shows(self, link: int | None) -> bool:
        """Is there such a link? The pixel (None) always is."""
        return link is None or self.target(link) is not None


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


class Links:
    """Where the links of template versions lead. A version never changes: what was read once stays true."""

    def __init__(self, most: int = 1_024) -> None:
        """Hold up to `most` versions."""
        self._most = most
        self._held: dict[int, tuple[str | None, ...]] = {}

    def of(self, conn: Connection, versions: Iterable[int]) -> Mapping[int, tuple[str | None, ...]]:
        """Give the addresses of each version, in order; None for one that cannot be a target."""
        held = self._held
        missing = [version for version in versions if version not in held]
        if missing:
            query = select(template_version.c.id, template_version.c.links).where(template_version.c.id.in_(missing))
            found = {row.id: tuple(map(_address, row.links)) for row in conn.execute(query)}
            # A new mapping: whoever reads the former one meanwhile is not disturbed.
            held = {**held, **found} if len(held) + len(found) <= self._most else {**_only(held, versions), **found}
            self._held = held
        return held


def _only(held: Mapping[int, tuple[str | None, ...]], versions: Iterable[int]) -> dict[int, tuple[str | None, ...]]:
    return {version: held[version] for version in versions if version in held}


def _address(link: object) -> str | None:
    url = link.get("url") if isinstance(link, dict) else None
    return url if isinstance(url, str) and is_web(url) else None


def mails(conn: Connection, public_ids: Iterable[str], links: Links, *, controller: str) -> dict[str, Mail]:
    """Give the mails of these public ids, with the consent of this moment; unknown ones are left out.

    Asks by keys alone: uq_message_public_id, pk_consent_state.
    """
    agrees = gate.agrees_to_tracking(message.c.subject, controller=controller)
    columns = (message.c.public_id, message.c.template_version_id, and_(message.c.tracked, agrees))
    rows = conn.execute(select(*columns).where(among(conn, message.c.public_id, public_ids))).all()
    held = links.of(conn, {version for _, version, _ in rows})
    return {public_id: Mail(measured, held[version]) for public_id, version, measured in rows}


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

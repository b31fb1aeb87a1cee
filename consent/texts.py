"""What exactly did people agree to? The wordings beside the boxes, as versions that never change.

A wording must name who writes and about what, say that it can be withdrawn, and, for tracking, say
that opens and clicks are measured: a consent to less is void, so publishing less is refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from consent import ConsentError, rules
from consent.schema import consent_text
from consent.states import EMAIL, TRACKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

FORM = "form"
"""In place of a channel: not a wording, but a form in which wordings stand beside their boxes."""
IMPORT = "import"
"""In place of a channel: a wording that another system showed, and never one of our forms."""
UNDETERMINED = "und"
"""The language of such a wording (BCP 47): nobody told it."""
WITHDRAWAL_NOTICE = {
    "de": re.compile(r"widerruf|abmeld|abbestell", re.IGNORECASE),
    "en": re.compile(r"withdraw|unsubscrib|revok", re.IGNORECASE),
}
"""Per language: how a notice that consent can be withdrawn is recognised."""
TRACKING_STATEMENT = {
    "de": (re.compile(r"öffne", re.IGNORECASE), re.compile(r"klick|links?\b", re.IGNORECASE)),
    "en": (re.compile(r"\bopen", re.IGNORECASE), re.compile(r"click|\blinks?\b", re.IGNORECASE)),
}
"""Per language: a tracking text must speak of opening and of clicking."""


class TextError(ConsentError):
    """A wording cannot be published, or there is none; the message lists what is missing."""


class PublishedTextError(TextError):
    """A published version was to be changed. Publish a new version instead."""


@dataclass(frozen=True)
class TextVersion:
    """A wording to publish."""

    controller: str
    """Id of the brand that consent is given to."""
    purpose: str
    language: str
    """"de" or "en"."""
    version: int
    """Counts up per controller, channel, purpose and language."""
    body: str
    """Exactly what stands beside the box."""
    controller_name: str
    """Legal name; must stand in the body."""
    subject_matter: str
    """What the mails are about, or what is measured; must stand in the body."""
    channel: str = EMAIL
    covers: Mapping[str, str] = field(default_factory=dict)
    """Scopes that it claims to cover: name -> the words for it, which must stand in the body."""


@dataclass(frozen=True)
class Scope:
    """A product line or topic that a wording must name before a message about it may rest on it."""

    name: str
    words: tuple[str, ...]
    """How wordings name it, per language; with none nothing is covered."""

    def covered_by(self, body: str) -> bool:
        """Does a wording name it, letter by letter?"""
        return rules.covers(body, self.words)

    @property
    def described(self) -> dict[str, object]:
        """Name it as the ledger does: with its words, so that a stranger can look for them in the wording."""
        return {"name": self.name, "words": list(self.words)}


@dataclass(frozen=True)
class ConsentText:
    """A published wording."""

    id: int
    version: int
    body: str
    sha256: str
    """Of the UTF-8 bytes of the body, hexadecimal; stands in the ledger."""
    purpose: str
    language: str


def publish(conn: Connection, versions: Sequence[TextVersion], *, at: datetime) -> int:
    """Publish wordings; give how many are new. Publishing the same version again changes nothing.

    Raises TextError for a wording that lacks what the law asks for or whose version does not come after
    the last, and PublishedTextError when a published version would be changed.
    """
    done = 0
    for text in versions:
        missing = shortcomings(text)
        if missing:
            raise TextError(f"{_name(text)} is not published: it lacks {'; it lacks '.join(missing)}")
        query = _versions_of(text.controller, text.channel, text.purpose, text.language)
        held = {row.version: row.body for row in conn.execute(query)}
        if text.version in held:
            if held[text.version] != text.body:
                raise PublishedTextError(f"{_name(text)} is published and stays as it is; publish a new version")
            continue
        newest = max(held, default=0)
        if text.version <= newest:
            raise TextError(f"{_name(text)} comes too late: version {newest} is published; use a higher number")
        conn.execute(
            insert(consent_text).values(
                controller=text.controller,
                channel=text.channel,
                purpose=text.purpose,
                version=text.version,
                language=text.language,
                body=text.body,
                sha256=hashlib.sha256(text.body.encode()).hexdigest(),
                published_at=at,
            )
        )
        done += 1
    return done


def publish_form(
    conn: Connection, *, controller: str, form: str, language: str, body: str, at: datetime
) -> ConsentText:
    """Keep a form exactly as it is shown (boxes and their default state included); give its version.

    The same bytes are the same version; a form that was edited is the next one. So what somebody saw can be
    shown years later, and no version changes: it lies beside the wordings, under the same guards.
    """
    versions = _versions_of(controller, FORM, form, language).order_by(consent_text.c.version.desc())
    newest = conn.execute(versions.limit(1)).one_or_none()
    if newest is not None and newest.body == body:
        return _text(newest)
    row = {
        "controller": controller,
        "channel": FORM,
        "purpose": form,
        "version": 1 if newest is None else newest.version + 1,
        "language": language,
        "body": body,
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
        "published_at": at,
    }
    return _text(conn.execute(insert(consent_text).values(row).returning(consent_text)).one())


def keep_imported(conn: Connection, shown: Iterable[tuple[str, str, str]], *, at: datetime) -> None:
    """Keep wordings that another system showed, as (controller, purpose, body); a known one changes nothing.

    The ledger names them by their hash. What the hash stands for must outlive the person's evidence, which erasure
    destroys; so it lies beside our own wordings, yet no form shows it and no scope rests on it. `at`: when it came.
    """
    for controller, purpose, body in dict.fromkeys(shown):
        digest = hashlib.sha256(body.encode()).hexdigest()
        ours = (consent_text.c.controller == controller, consent_text.c.purpose == purpose)
        known = select(consent_text.c.id).where(*ours, consent_text.c.channel != FORM, consent_text.c.sha256 == digest)
        if conn.execute(known.limit(1)).first() is not None:
            continue
        versions = _versions_of(controller, IMPORT, purpose, UNDETERMINED).order_by(consent_text.c.version.desc())
        newest = conn.execute(versions.limit(1)).one_or_none()
        row = {
            "controller": controller,
            "channel": IMPORT,
            "purpose": purpose,
            "version": 1 if newest is None else newest.version + 1,
            "language": UNDETERMINED,
            "body": body,
            "sha256": digest,
            "published_at": at,
        }
        conn.execute(insert(consent_text).values(row))


def shortcomings(text: TextVersion) -> list[str]:
    """What does a wording lack? Empty when it may be published."""
    notice = WITHDRAWAL_NOTICE.get(text.language)
    if notice is None:
        return [f"a language that can be checked ({', '.join(WITHDRAWAL_NOTICE)})"]
    found = []
    if not text.controller_name.strip() or text.controller_name not in text.body:
        found.append("the name of the company that writes")
    if not text.subject_matter.strip() or text.subject_matter not in text.body:
        found.append("what it is about")
    if not notice.search(text.body):
        found.append("a notice that consent can be withdrawn")
    if text.purpose == TRACKING and not all(part.search(text.body) for part in TRACKING_STATEMENT[text.language]):
        found.append("the statement that opens and clicks are measured")
    for scope, words in text.covers.items():
        if not Scope(scope, (words,)).covered_by(text.body):
            found.append(f"the words for the scope {scope}")
    return found


def current(conn: Connection, *, controller: str, purpose: str, language: str, channel: str = EMAIL) -> ConsentText:
    """Give the newest version of a wording; raises TextError where none is published."""
    newest = _versions_of(controller, channel, purpose, language).order_by(consent_text.c.version.desc()).limit(1)
    row = conn.execute(newest).one_or_none()
    if row is None:
        raise TextError(
            f"no text for {controller}/{purpose}/{language} is published; write one into policies/consent.yaml"
        )
    return _text(row)


def by_id(conn: Connection, ids: Collection[int]) -> dict[int, ConsentText]:
    """Give published wordings by id."""
    rows = conn.execute(select(consent_text).where(consent_text.c.id.in_(ids)))
    return {row.id: _text(row) for row in rows}


def covering(conn: Connection, scope: Scope, *, controller: str, purpose: str, channel: str = EMAIL) -> set[int]:
    """Give the ids of the published wordings of a purpose, of any version, that name a scope."""
    query = select(consent_text.c.id, consent_text.c.body).where(
        consent_text.c.controller == controller, consent_text.c.purpose == purpose, consent_text.c.channel == channel
    )
    return {row.id for row in conn.execute(query) if scope.covered_by(row.body)}


def register(conn: Connection) -> dict[str, str]:
    """Give every wording, ours and those of other systems, by its SHA-256: what the hashes in the ledger stand for."""
    query = select(consent_text.c.sha256, consent_text.c.body).where(consent_text.c.channel != FORM)
    return {row.sha256: row.body for row in conn.execute(query)}


def overview(conn: Connection, *, channel: str = EMAIL) -> list[dict[str, object]]:
    """List all published wordings (or forms), oldest first, with how they are identified in the ledger."""
    wanted = select(consent_text).where(consent_text.c.channel == channel)
    rows = conn.execute(wanted.order_by(consent_text.c.id)).mappings()
    return [dict(row) for row in rows]


def _versions_of(controller: str, channel: str, purpose: str, language: str) -> Select[tuple[object, ...]]:
    """Select all versions of one wording."""
    return select(consent_text).where(
        consent_text.c.controller == controller,
        consent_text.c.channel == channel,
        consent_text.c.purpose == purpose,
        consent_text.c.language == language,
    )


def _text(row: object) -> ConsentText:
    """Read a row."""
    return ConsentText(**{name: getattr(row, name) for name in ConsentText.__dataclass_fields__})


def _name(text: TextVersion) -> str:
    """Name a wording in a message."""
    return f"text {text.controller}/{text.purpose}/{text.language} version {text.version}"

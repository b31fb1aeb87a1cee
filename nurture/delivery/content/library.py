"""Which mails are there? The compiled templates of a folder, by sequence, step, temperature and language."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from jinja2 import TemplateError

from nurture.delivery.content import ContentError, Finding, RefusedError, RenderError
from nurture.delivery.content.compiler import Compiled, compile_mail
from nurture.delivery.content.context import CONFIRMATION, MARKETING, freeze, header_text
from nurture.delivery.content.language import HTML, TEXT, Link, Track
from nurture.delivery.content.lint import Rules
from nurture.delivery.content.notes import LibraryNotes, MailNotes, MessageClass, Temperature, read_notes
from nurture.delivery.content.plaintext import render_tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from jinja2 import Template

__all__ = ["CONFIRM_STEP", "Library", "Link", "Mail", "MailKey", "MessageClass", "Rendered", "Urls"]

CONFIRM_STEP = ("opt_in", "confirm", "neutral")
"""Sequence, step and temperature of the confirmation mail."""
NO_SEQUENCES = frozenset({"pages", "opt_in"})
LARGEST_RENDERED = 250_000
"""Characters of a part."""
TOO_LARGE = f"the rendered mail is larger than {LARGEST_RENDERED} characters"


@dataclass(frozen=True, order=True)
class MailKey:
    """What one mail is known by."""

    sequence: str
    step: str
    temperature: str
    language: str

    def __str__(self) -> str:
        """Give `sequence/step/temperature/language`, the form that tables hold."""
        return f"{self.sequence}/{self.step}/{self.temperature}/{self.language}"

    @classmethod
    def parse(cls, text: str) -> MailKey:
        """Read the form that tables hold; raises ContentError."""
        parts = text.split("/")
        if len(parts) != 4:  # noqa: PLR2004  the four fields
            raise ContentError(f"{text!r} is no mail key; it is sequence/step/temperature/language")
        return cls(*parts)


@dataclass(frozen=True)
class Urls:
    """Who knows the addresses of links: by index and target; the target itself where nothing is tracked."""

    link: Callable[[int, str], str] = field(default=lambda _index, url: url)


@dataclass(frozen=True)
class Rendered:
    """A mail for one person."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True)
class Mail:
    """One compiled mail."""

    key: str
    sha256: str
    """Of the compiled subject, text and HTML, hexadecimal; stored with each send."""
    message_class: MessageClass
    language: str
    compiled: Compiled
    zone: ZoneInfo

    @property
    def links(self) -> tuple[Link, ...]:
        """Its countable links; their index is what `Urls.link` gets and what a click names."""
        return self.compiled.links

    @property
    def preview(self) -> str:
        """What inboxes show behind the subject."""
        return self.compiled.preview

    @cached_property
    def _parts(self) -> tuple[Template, Template, Template]:
        return (
            TEXT.from_string(self.compiled.subject),
            HTML.from_string(self.compiled.html),
            TEXT.from_string(self.compiled.text),
        )

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {link.key: index for index, link in enumerate(self.links)}

    def render(self, context: Mapping[str, object], urls: Urls) -> Rendered:
        """Write the mail for one person. Undeclared context is ignored, missing context is an error.

        Raises RenderError (UnsafeHeaderError for a subject that would break out of its header); messages
        name mail and field, never a value.
        """
        confirmation = self.message_class is MessageClass.CONFIRMATION
        schema = CONFIRMATION if confirmation else MARKETING
        try:
            values = freeze(context, schema, language=self.language, zone=self.zone)
            if not confirmation:
                values["track"] = Track(self._index, urls.link)
            subject, html, text = (part.render(values) for part in self._parts)
            header_text(subject)
        except TemplateError as error:
            raise RenderError(f"{self.key}: {error.message or type(error).__name__}") from error
        except RenderError as error:
            raise type(error)(f"{self.key}: {error}") from error
        text = render_tidy(text)
        if max(len(html), len(text)) > LARGEST_RENDERED:
            raise RenderError(f"{self.key}: {TOO_LARGE}")
        return Rendered(subject, html, text)


@dataclass(frozen=True)
class Library:
    """All mails of a templates folder. A mail with findings is listed but cannot be had."""

    templates: Path
    notes: LibraryNotes
    mails: Mapping[MailKey, Mail]
    findings: tuple[Finding, ...]

    @classmethod
    def load(cls, templates: Path, *, zone: str = "Europe/Berlin") -> Library:
        """Compile every mail of the folder, or give what this process compiled from the same files before.

        `zone` is where dates in mails are written. Broken mails do not raise here, so that one typo
        does not stop the others; they are missing (`has` says no) and stand in `findings`.
        Raises ContentError when the folder has no usable `_base/library.yaml`.
        """
        templates = templates.resolve()
        state = (templates, zone, _fingerprint(templates))
        if state not in _loaded:
            _loaded.clear()
            _loaded[state] = _load(templates, ZoneInfo(zone))
        return _loaded[state]

    def has(self, key: MailKey) -> bool:
        """Is there such a mail, and fit to be sent?"""
        return key in self.mails

    def mail(self, key: MailKey) -> Mail:
        """Give a mail; raises ContentError if it is not there, or RefusedError with its findings if it is not fit."""
        if key in self.mails:
            return self.mails[key]
        folder = f"{key.sequence}/{key.step}/{key.temperature}/"
        if findings := [finding for finding in self.findings if finding.file.startswith(folder)]:
            raise RefusedError(findings)
        raise ContentError(f"there is no mail {key}; looked for templates/{folder}body.{key.language}.mjml")

    def keys(self) -> list[MailKey]:
        """List the mails that can be sent, in order."""
        return sorted(self.mails)


_loaded: dict[tuple[Path, str, str], Library] = {}


def _fingerprint(templates: Path) -> str:
    """Tell whether any file changed, without reading one."""
    seen = [
        (str(file), stat.st_mtime_ns, stat.st_size) for file in sorted(templates.rglob("*")) if (stat := file.stat())
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _load(templates: Path, zone: ZoneInfo) -> Library:
    base = templates / "_base" / "library.yaml"
    if not base.is_file():
        raise ContentError(f"{templates} is no templates folder: _base/library.yaml is missing")
    notes = read_notes(LibraryNotes, templates, base)
    mails: dict[MailKey, Mail] = {}
    findings: list[Finding] = []
    own_notes = cache(partial(read_notes, MailNotes, templates))
    for key, folder in _folders(templates, notes.languages):
        try:
            rules = _rules(folder, key, notes, own_notes)
        except RefusedError as refused:
            findings += refused.findings
            continue
        compiled, problems = compile_mail(templates, folder, key.language, rules)
        findings += problems
        if compiled is not None and not problems:
            mails[key] = Mail(str(key), digest(compiled), rules.message_class, key.language, compiled, zone)
    return Library(templates, notes, mails, tuple(sorted({*findings, *_gaps(templates, notes)})))


def digest(compiled: Compiled) -> str:
    """Give the SHA-256 that stands for a compiled mail in the tables."""
    parts = json.dumps([compiled.subject, compiled.text, compiled.html], ensure_ascii=False)
    return hashlib.sha256(parts.encode()).hexdigest()


def _folders(templates: Path, languages: tuple[str, ...]) -> Iterator[tuple[MailKey, Path]]:
    for folder in sorted(templates.glob("[!_]*/*/*/")):
        sequence, step, temperature = folder.relative_to(templates).parts
        known = temperature in set(Temperature) or (sequence, step, temperature) == CONFIRM_STEP
        for language in languages:
            if known and (folder / f"body.{language}.mjml").is_file():
                yield MailKey(sequence, step, temperature, language), folder


def _rules(folder: Path, key: MailKey, notes: LibraryNotes, own_notes: Callable[[Path], MailNotes]) -> Rules:
    if (key.sequence, key.step, key.temperature) == CONFIRM_STEP:
        return Rules(MessageClass.CONFIRMATION, key.temperature, ())
    file = folder.parent / "mail.yaml"
    own = own_notes(file) if file.is_file() else MailNotes()
    temperature = Temperature(key.temperature)
    message_class = own.classes.get(temperature) or notes.classes[temperature]
    return Rules(message_class, key.temperature, notes.hosts, notes.commercial_links, own)


def _gaps(templates: Path, notes: LibraryNotes) -> Iterator[Finding]:
    """Find the variants that a step's folder lacks."""
    steps = [step for step in sorted(templates.glob("[!_]*/*/")) if step.parent.name not in NO_SEQUENCES]
    wanted = [step / temperature for step in steps for temperature in Temperature]
    wanted.append(templates.joinpath(*CONFIRM_STEP))
    for folder in wanted:
        for language in notes.languages:
            for name in (f"subject.{language}.txt", f"body.{language}.mjml"):
                if not (folder / name).is_file():
                    yield Finding(
                        (folder / name).relative_to(templates).as_posix(), 1, "missing", "this file is needed"
                    )

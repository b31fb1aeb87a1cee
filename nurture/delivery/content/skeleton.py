"""What do all mails of a batch share? Evaluates a mail as far as it is the same for everybody, once, and leaves holes.

Jinja itself renders what is the same, with placeholders for what is not. A value that says something of a
person is a hole; so is a whole condition on a person, whose value is the branch that Jinja would render: one
content per batch, whoever is in it (decision 0024).
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from consent.tokens import ID_LENGTH, IN_MAILS, MAC_LENGTH_IN_MAILS
from nurture.delivery.content import RenderError
from nurture.delivery.content.addresses import Addresses
from nurture.delivery.content.context import LEAD, LONGEST_VALUE, MARKETING, freeze, header_text
from nurture.delivery.content.evaluation import Evaluation, Hole
from nurture.delivery.content.holes import (
    FIELD_BYTES,
    PERSON,
    PERSONAL,
    PUBLIC_ID,
    CannotSplitError,
    Translator,
    function,
)
from nurture.delivery.content.language import HTML, TEXT
from nurture.delivery.content.library import LARGEST_RENDERED, TOO_LARGE, Mail, MessageClass
from nurture.delivery.content.pieces import Content, Piece
from nurture.delivery.headers import list_unsubscribe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import nodes

    from nurture.delivery.content.holes import Person

LARGEST_VALUES = 10_000
"""Bytes of all values of one person: what SendGrid takes as substitutions of one personalization."""
USUAL = 400
"""Characters that the fields of a person have together at most, unless something is odd; such mails are measured."""
PARTS_LENGTH = ID_LENGTH + len(IN_MAILS) * MAC_LENGTH_IN_MAILS
"""Characters of the parts of a message's tokens; where the text part is wrapped depends on it."""
REMEMBERED = 128
"""Values that a paragraph keeps before it forgets all: those without a name repeat, and names should not stay long."""


@dataclass(frozen=True)
class Frame:
    """What is the same for all mails of a batch, beside their template."""

    public_url: str
    tracked: bool
    sender: tuple[tuple[str, str], ...]
    """The context's `sender`, as pairs."""
    privacy_url: str | None
    mailbox: str = ""
    """Takes withdrawals by mail, where there is one."""
    customer: bool = False
    """Is the existing-customer exception the reason to write?"""


@dataclass(frozen=True)
class Obstacle:
    """Why a mail has no skeleton: it is rendered per person and sent one by one."""

    reason: str
    part: str
    """`subject`, `html` or `text`."""
    node: nodes.Node | None = field(default=None, compare=False)
    """The syntax that is to blame, if it is one spot."""


@dataclass(frozen=True)
class Skeleton:
    """A mail evaluated up to its holes."""

    mail: str
    """Key of the mail, for messages."""
    content: Content
    _values: Callable[[Person], tuple[str, ...]] = field(repr=False)
    _subject_varies: bool
    _roomy: bool
    """Can no mail to usual people be too large?"""

    def values(self, lead: Mapping[str, str], parts: tuple[str, ...]) -> tuple[str, ...]:
        """Give the values of one person's mail, by hole; the text is that of `Mail.render`, byte for byte.

        `lead` is the context's `lead`, `parts` are those of the message's tokens (`parts_for_mail`). Raises what
        `Mail.render` raises for this person, such as UnsafeHeaderError for a subject that would break out of its
        header, and ValueError for tokens of another length than the skeleton was made for.
        """
        if len("".join(parts)) != PARTS_LENGTH:
            raise ValueError("tokens of another length than the skeleton was made for")
        known = lead.get
        fields = [known(name) or "" for name in LEAD]
        length = len("".join(fields))
        person = (*fields, *parts)
        try:
            if length > LONGEST_VALUE:
                _refuse_long(fields)
            values = self._values(person)
            if self._subject_varies:
                header_text(self.content.subject_for(values))
            if length > USUAL or not self._roomy:
                self._refuse_large(values)
        except RenderError as error:
            raise type(error)(f"{self.mail}: {error}") from error
        return values

    def _refuse_large(self, values: tuple[str, ...]) -> None:
        if max(len(self.content.html_for(values)), len(self.content.text_for(values))) > LARGEST_RENDERED:
            raise RenderError(TOO_LARGE)


def _refuse_long(fields: list[str]) -> None:
    if max(map(len, fields)) > LONGEST_VALUE:
        raise RenderError(f"the context's lead is longer than {LONGEST_VALUE} characters")


@lru_cache(maxsize=128)
def skeleton(mail: Mail, frame: Frame) -> Skeleton | Obstacle:
    """Give the skeleton of a mail, or why it has none; evaluated once for each mail and frame."""
    if mail.message_class is MessageClass.CONFIRMATION:
        return Obstacle("a confirmation mail states one person's request", "html")
    part = "subject"
    try:
        evaluation = _evaluation(mail, frame)
        subject = evaluation.pieces(*evaluation.render(mail.compiled.subject, TEXT))
        if not _varies(subject):
            header_text("".join(map(str, subject)))
        part = "html"
        html = evaluation.pieces(*evaluation.render(mail.compiled.html, HTML))
        part = "text"
        text = evaluation.pieces(*evaluation.tidied(*evaluation.render(mail.compiled.text, TEXT)))
        headers = _headers(evaluation, frame)
    except CannotSplitError as cannot:
        return Obstacle(cannot.reason, part, cannot.node)
    except (RenderError, TemplateError, TypeError) as error:
        return Obstacle(f"it cannot be rendered: {error}", part)
    holes = evaluation.holes
    largest = sum(hole.code.largest for hole in holes)
    if largest > LARGEST_VALUES:
        worst = max(holes, key=lambda hole: hole.code.largest)
        reason = f"what differs from person to person may take {largest} bytes, {worst.code.largest} of them here"
        return Obstacle(f"{reason}; at most {LARGEST_VALUES} fit into a request for many", worst.part, worst.node)
    return Skeleton(
        mail.key,
        Content(subject, html, text, headers),
        _all_values(holes),
        _varies(subject),
        all(_upper(part, holes) <= LARGEST_RENDERED for part in (html, text)),
    )


def _evaluation(mail: Mail, frame: Frame) -> Evaluation:
    compiled = mail.compiled
    # What begins a placeholder must occur nowhere else: a hash of everything there is does not.
    everything = repr((compiled.subject, compiled.html, compiled.text, frame))
    mark = "q" + hashlib.sha256(everything.encode()).hexdigest()[:16]
    macs = [f"{mark}m{number}".ljust(MAC_LENGTH_IN_MAILS, "z") for number in range(len(IN_MAILS))]
    addresses = Addresses(frame.public_url, frame.tracked, (f"{mark}i".ljust(ID_LENGTH, "z"), *macs))
    context = {
        "sender": dict(frame.sender),
        "unsubscribe_url": addresses.unsubscribe,
        "preferences_url": addresses.preferences,
        "open_pixel_url": addresses.pixel,
        "privacy_url": frame.privacy_url,
        "existing_customer": "yes" if frame.customer else None,
    }
    values = freeze(context, MARKETING, language=mail.language, zone=mail.zone)
    same = {name: value for name, value in values.items() if name not in PERSONAL}
    return Evaluation(Translator(same, addresses, {link.key: number for number, link in enumerate(mail.links)}), mark)


def _headers(evaluation: Evaluation, frame: Frame) -> tuple[tuple[str, tuple[Piece, ...]], ...]:
    """Give the headers by which a mail is unsubscribed from; the token stands in them as in the parts."""
    addresses = evaluation.translator.addresses
    written = list_unsubscribe(addresses.unsubscribe, addresses.token("unsubscribe"), frame.mailbox)
    return tuple((name, evaluation.pieces(value, evaluation.tokens)) for name, value in written.items())


def _varies(pieces: tuple[Piece, ...]) -> bool:
    return any(isinstance(piece, int) for piece in pieces)


def _upper(pieces: tuple[Piece, ...], holes: list[Hole]) -> int:
    """How many characters can a part have, for usual people? A field has at most `USUAL`, an escaped sign five."""
    growth = 1 + 5 * USUAL // FIELD_BYTES
    return sum(len(piece) if isinstance(piece, str) else holes[piece].code.largest * growth for piece in pieces)


def _all_values(holes: list[Hole]) -> Callable[[Person], tuple[str, ...]]:
    """Compile all holes to one function: a call for each would cost more than most of them do."""
    trees: list[ast.expr] = []
    paragraphs: dict[str, Callable[[Person], str]] = {}
    for number, hole in enumerate(holes):
        if hole.mend is None:
            trees.append(hole.code.tree)
        else:
            name = f"paragraph{number}"
            paragraphs[name] = _mended(hole, hole.mend)
            trees.append(ast.Call(ast.Name(name, ast.Load()), [PERSON], []))
    return function(ast.Tuple(trees, ast.Load()), paragraphs)


def _mended(hole: Hole, mend: Callable[[str], str]) -> Callable[[Person], str]:
    """Give a paragraph's value, and keep the last ones; what holds a token is nobody else's."""
    written = function(hole.code.tree)
    if max(hole.code.reads) >= PUBLIC_ID:
        return lambda person: mend(written(person))
    kept: dict[str, str] = {}

    def mended(person: Person) -> str:
        text = written(person)
        found = kept.get(text)
        if found is None:
            if len(kept) >= REMEMBERED:
                kept.clear()
            found = kept[text] = mend(text)
        return found

    return mended

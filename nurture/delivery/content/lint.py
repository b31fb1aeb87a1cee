"""Which templates must not be sent? Checks beyond syntax; each finding has file, line and remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nurture.delivery.content.notes import MailNotes, MessageClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from nurture.delivery.content import Finding
    from nurture.delivery.content.language import Spoken
    from nurture.delivery.content.source import Source
    from nurture.delivery.content.tokens import Protected

COMPONENTS = frozenset({
    "mjml", "mj-head", "mj-title", "mj-preview", "mj-attributes", "mj-all", "mj-class", "mj-style", "mj-breakpoint",
    "mj-body", "mj-wrapper", "mj-section", "mj-column", "mj-group", "mj-text", "mj-button", "mj-image", "mj-divider",
    "mj-spacer", "mj-table", "mj-hero",
})  # fmt: skip
"""Components that every engine draws alike; carousel, html-attributes and font are left out for that reason."""
INLINE = frozenset({
    "a", "p", "br", "strong", "em", "b", "i", "u", "span", "sup", "sub", "ul", "ol", "li", "h1", "h2", "h3", "div",
    "blockquote", "tr", "td", "th", "thead", "tbody",
})  # fmt: skip
NAMESPACES = frozenset({"www.w3.org", "schemas-microsoft-com"})
ADDRESS = re.compile(r"(?:https?:)?//[^\s\"'<>()\\]+", re.IGNORECASE)
URGENT = re.compile(
    r"\b(nur noch heute|letzte chance|nur für kurze zeit|nur noch \d+ (?:tage|stunden|plätze)|läuft ab|jetzt oder nie|"
    r"last chance|only today|limited time|act now|expires (?:soon|today)|only \d+ (?:days|hours|seats) left|hurry)\b",
    re.IGNORECASE,
)
LARGEST_HTML = 100_000
"""Bytes; a large webmail service cuts a message off a little above."""


@dataclass(frozen=True)
class Rules:
    """What one mail is held to."""

    message_class: MessageClass
    temperature: str
    hosts: tuple[str, ...]
    commercial_links: tuple[str, ...] = ()
    notes: MailNotes = field(default_factory=MailNotes)

    @property
    def locked(self) -> bool:
        """Is it a confirmation mail, which must stay neutral and untracked?"""
        return self.message_class is MessageClass.CONFIRMATION


def check_tree(
    protected: Protected, root: Element, lines: Mapping[Element, int], lang: str, rules: Rules
) -> list[Finding]:
    """Check the MJML's elements."""
    source = protected.source
    found: list[Finding] = []
    if root.tag != "mjml" or root.get("lang") != lang:
        found.append(source.finding(1, "lang", f'the file must begin with <mjml lang="{lang}">'))
    if not any(node.get("font-family") for node in root.iter("mj-all")):
        found.append(source.finding(1, "font", "set font-family in mj-all; else a foreign font host is linked"))
    found += [
        source.finding(1, "head", f"{name} is missing or empty")
        for name in ("mj-title", "mj-preview")
        if not any((node.text or "").strip() for node in root.iter(name))
    ]
    if rules.locked and len(root.findall("mj-body//mj-button")) != 1:
        found.append(source.finding(1, "locked", "a confirmation mail has exactly one button"))
    for element in root.iter():
        line = lines.get(element, 1)
        found += [
            source.finding(line, *problem) for problem in _element(protected, element, rules, source.where(line)[0])
        ]
    found += [
        source.finding(
            lines[child], "columns", "if and for stand around sections or inside columns, never around columns"
        )
        for parent in root.iter()
        if parent.tag in {"mj-section", "mj-group"}
        for child in parent
        if not isinstance(child.tag, str)
    ]
    return found


def _element(protected: Protected, element: Element, rules: Rules, file: str) -> Iterator[tuple[str, str]]:
    tag = element.tag
    if not isinstance(tag, str):
        return
    raw_in_base = tag in {"mj-raw", "meta"} and file.startswith("_base/")
    if tag not in COMPONENTS | INLINE and not raw_in_base:
        yield "banned", f"<{tag}> is not allowed here"
    if tag == "mj-image":
        if element.get("alt") is None:
            yield "alt", "an image needs alt (empty when it only decorates)"
        if not re.fullmatch(r"\d+px", element.get("width", "")):
            yield "width", "an image needs its width in px"
        if rules.locked:
            yield "locked", "a confirmation mail has no images"
    if tag == "mj-hero" and element.get("mode") == "fixed-height":
        yield "banned", "mj-hero with a fixed height is drawn differently by engines; use fluid-height"
    if any(name.lower().startswith("on") for name in element.attrib):
        yield "banned", "no script handlers in mails"
    if "href" in element.attrib:
        yield from _href(protected, element.attrib["href"], rules)


def _href(protected: Protected, value: str, rules: Rules) -> Iterator[tuple[str, str]]:
    said = protected.put_back(value)
    if value.startswith("mailto:") and not rules.locked:
        return
    if re.fullmatch(r"\{\{\s*track\(.*\)\s*\}\}", said) or re.fullmatch(r"\{\{[^{}]*\|\s*url\s*\}\}", said):
        return
    remedy = "{{ confirm_url|url }}" if rules.locked else 'track("key", "https://...") or {{ name|url }}'
    yield "link", f"{said} must be written with {remedy}"


def check_html(source: Source, html: str, rules: Rules) -> list[Finding]:
    """Check the compiled HTML: whose hosts does it name, and is it small enough?"""
    found = []
    allowed = NAMESPACES if rules.locked else NAMESPACES | set(rules.hosts)
    for address in dict.fromkeys(ADDRESS.findall(html)):
        host = (urlsplit(address).hostname or "").lower()
        if not any(host == name or host.endswith(f".{name}") for name in allowed):
            line = source.line_at(max(source.text.find(address), 0))
            found.append(source.finding(line, "host", f"{host or address} is not among the library's own hosts"))
    if len(html.encode()) > LARGEST_HTML:
        found.append(source.finding(1, "size", f"the HTML has more than {LARGEST_HTML} bytes and would be cut off"))
    return found


def check_use(source: Source, spoken: Spoken, rules: Rules) -> list[Finding]:
    """Check that what law and the mail's class ask for is there."""
    found = [
        source.finding(1, "imprint", f"sender.{field} must be shown; include the footer of _base/")
        for field in ("company", "postal_address", "imprint")
        if f"sender.{field}" not in spoken.uses
    ]
    if rules.locked:
        asked = ("confirm_url", "decline_url", "requested_at", "source", "texts")
        return found + [
            source.finding(1, "locked", f"a confirmation mail must show {name}")
            for name in asked
            if name not in spoken.uses
        ]
    if spoken.uses.get("unsubscribe_url") != 1:
        found.append(source.finding(1, "unsubscribe", "there must be exactly one link to unsubscribe_url"))
    found += [
        source.finding(1, "required", f"{name} must be used (mail.yaml: requires)")
        for name in rules.notes.requires
        if name not in spoken.uses
    ]
    return found + [source.finding(1, *problem) for problem in _class(spoken, rules)]


def _class(spoken: Spoken, rules: Rules) -> Iterator[tuple[str, str]]:
    keys = {link.key for link in spoken.links}
    if rules.temperature == "cold":
        if rules.message_class not in {MessageClass.EDUCATIONAL, MessageClass.FOLLOW_UP}:
            yield "class", f"a mail to cold leads must be educational, not {rules.message_class}"
        if selling := sorted(keys & set(rules.commercial_links)):
            yield "class", f"a mail to cold leads must not link to {', '.join(selling)}"
    if rules.message_class is MessageClass.FOLLOW_UP and (rules.notes.asset is None or rules.notes.asset not in keys):
        yield "follow_up", "a follow-up brings something: name its link key as asset in mail.yaml and link it"


def check_words(source: Source, text: str, rules: Rules) -> list[Finding]:
    """Find urgent wording without a dated fact behind it."""
    urgent = URGENT.search(text)
    if urgent is None or rules.notes.dated_fact:
        return []
    line = source.line_at(max(source.text.lower().find(urgent[0].lower()), 0))
    return [
        source.finding(line, "urgency", f"{urgent[0]!r} needs a dated fact (mail.yaml: dated_fact), or other words")
    ]

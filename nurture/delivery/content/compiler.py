"""How does a folder of template files become one compiled mail?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.delivery.content import (
    Finding,
    RefusedError,
    context,
    engine,
    language,
    lint,
    plaintext,
    source,
    tokens,
    tree,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

PIXEL = (
    '{% if open_pixel_url %}<img src="{{ open_pixel_url|url }}" alt="" width="1" height="1" '
    'style="display:block;border:0;width:1px;height:1px;" />{% endif %}'
)
"""Put into marketing mails by the compiler, so that no author can forget its condition or repeat it."""


@dataclass(frozen=True)
class Compiled:
    """Three Jinja templates and what they use."""

    subject: str
    html: str
    text: str
    preview: str
    links: tuple[language.Link, ...]
    names: frozenset[str]


def compile_mail(templates: Path, folder: Path, lang: str, rules: lint.Rules) -> tuple[Compiled | None, list[Finding]]:
    """Compile `subject.<lang>.txt` and `body.<lang>.mjml` of a folder and check them.

    Gives no mail when the files cannot be compiled at all; the findings say why.
    """
    try:
        return _compile(templates, folder, lang, rules)
    except RefusedError as refused:
        return None, refused.findings


def _compile(templates: Path, folder: Path, lang: str, rules: lint.Rules) -> tuple[Compiled, list[Finding]]:
    schema = context.CONFIRMATION if rules.locked else context.MARKETING
    body = source.read(templates, folder / f"body.{lang}.mjml")
    protected = tokens.protect(body)
    findings = language.check_blocks(body, [(tag.text, tag.line) for tag in protected.tags if tag.block])
    spoken = language.understand(body, body.text, schema, tracking=not rules.locked)
    if findings or spoken.findings:
        raise RefusedError([*findings, *spoken.findings])
    root, lines = tree.parse(protected)
    findings += lint.check_tree(protected, root, lines, lang, rules)
    html = _html(protected, rules)
    findings += lint.check_html(body, html, rules)
    findings += lint.check_use(body, spoken, rules)
    subject, more = _subject(templates, folder / f"subject.{lang}.txt", schema)
    text, still_more = _text(templates, folder / f"body.{lang}.txt", protected, root, spoken, schema, rules)
    findings += more + still_more + lint.check_words(body, f"{subject}\n{text}", rules)
    preview = " ".join("".join(part for node in root.iter("mj-preview") for part in node.itertext()).split())
    compiled = Compiled(subject, html, text, protected.put_back(preview), spoken.links, spoken.names)
    return compiled, findings


def _html(protected: tokens.Protected, rules: lint.Rules) -> str:
    try:
        html = protected.restore(engine.to_html(protected.text))
    except ValueError as error:
        raise protected.source.refuse(1, "mjml", f"the compiler refuses it: {error}") from error
    if rules.locked:
        return html
    head, end, tail = html.rpartition("</div></body>")
    return f"{head}{PIXEL}{end}{tail}"


def _subject(templates: Path, file: Path, schema: Mapping[str, tuple[str, ...]]) -> tuple[str, list[Finding]]:
    read = source.read(templates, file)
    found = list(language.understand(read, read.text, schema, tracking=False).findings)
    subject = read.text.strip()
    try:
        context.header_text(re.sub(r"\{[{%].*?[%}]\}", "x", subject))
    except context.UnsafeHeaderError as error:
        found.append(read.finding(1, "subject", str(error)))
    return subject, found


def _text(
    templates: Path,
    file: Path,
    protected: tokens.Protected,
    root: Element,
    spoken: language.Spoken,
    schema: Mapping[str, tuple[str, ...]],
    rules: lint.Rules,
) -> tuple[str, list[Finding]]:
    """Take the text part an author wrote, else write it from the MJML."""
    if not file.exists():
        return protected.put_back(plaintext.write(root)), []
    read = source.read(templates, file)
    own = language.understand(read, read.text, schema, tracking=not rules.locked)
    found = list(own.findings)
    if not set(own.links) <= set(spoken.links):
        found.append(read.finding(1, "link", "the text part has a link that the HTML part has not"))
    return read.text + "\n", found + lint.check_use(read, own, rules)

"""How do all mails look? One HTML file that needs nothing else: every variant, light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture.delivery.content import sample
from nurture.delivery.content.review import of_mail

if TYPE_CHECKING:
    from nurture.delivery.content.library import Library, Mail, MailKey

PAGE = Path(__file__).with_name("gallery.html")
DARK = re.compile(r"@media \(prefers-color-scheme:\s*dark\)")


def write(library: Library) -> str:
    """Give the gallery as one HTML page."""
    mails = [_entry(key, library.mails[key]) for key in sorted(library.mails)]
    data = {"mails": mails, "findings": [str(finding) for finding in library.findings]}
    # "<" is written as an escape, so that no mail can end the script element that holds it.
    return PAGE.read_text("utf-8").replace("/*DATA*/null", json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"))


def in_scheme(html: str, *, dark: bool) -> str:
    """Fix a mail to one colour scheme, whatever the reader's machine prefers."""
    return DARK.sub("@media all" if dark else "@media not all", html)


def _entry(key: MailKey, mail: Mail) -> dict[str, Any]:
    shown = sample.render(mail)
    return {
        "key": str(key),
        "sequence": key.sequence,
        "step": key.step,
        "temperature": key.temperature,
        "language": key.language,
        "class": mail.message_class.value,
        "subject": shown.subject,
        "preview": mail.preview,
        "sha256": mail.sha256,
        "bytes": len(shown.html.encode()),
        "links": [{"key": link.key, "url": link.url} for link in mail.links],
        "findings": [str(finding) for finding in of_mail(key, mail)],
        "light": in_scheme(shown.html, dark=False),
        "dark": in_scheme(shown.html, dark=True),
        "text": shown.text,
    }

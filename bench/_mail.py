"""Which mail does the benchmark send? One as in the field: 13 KB of HTML, twelve links, conditions on who reads.

The compiled form is written here directly, so that its size does not change whenever a shipped text is polished.
"""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from nurture.delivery.content.compiler import Compiled
from nurture.delivery.content.library import Library, Link, Mail, MailKey, MessageClass, digest
from nurture.delivery.content.notes import LibraryNotes, Temperature

KEY = MailKey("bench", "hello", "cold", "de")
SIZE = 13_500
"""Bytes of the HTML template, as in the figures that the targets come from."""
SITES = 12
LINKS = tuple(Link(f"link-{n}", f"https://musterwerk.example/de/seite-{n}?woher=mail") for n in range(SITES))

_STYLE = 'style="font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5;color:#1d2b36;padding:12px 24px"'
_TEXT = (
    "Im März meldete die Überwachung an einer Frässpindel eine Abweichung im hinteren Lager. Die Instandhaltung "
    "maß nach, bestellte das Lager und tauschte es am Samstag; ausgebaut zeigte der Außenring einen Ausbruch."
)


def _block(number: int) -> str:
    link = LINKS[number]
    body = (
        f'<tr><td {_STYLE}><p>{_TEXT}</p><a href="{{{{ track("{link.key}", "{link.url}") }}}}">Mehr lesen</a></td></tr>'
    )
    # Three of twelve are for some readers only: nine or ten are seen by one person.
    for_some = {3: "lead.company", 7: "not lead.company", 11: "lead.salutation == 'Frau'"}
    return f"{{% if {for_some[number]} %}}{body}{{% endif %}}" if number in for_some else body


def _html() -> str:
    head = (
        '<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Zustand</title></head><body>'
        f'<table role="presentation" width="600"><tr><td {_STYLE}>'
        "{% if lead.salutation == 'Frau' %}Sehr geehrte Frau {{ lead.last_name }}"
        "{% elif lead.salutation == 'Herr' %}Sehr geehrter Herr {{ lead.last_name }}"
        "{% elif lead.first_name %}Guten Tag {{ lead.first_name }} {{ lead.last_name }}"
        "{% else %}Guten Tag{% endif %}, "
        "was sich {% if lead.company %}bei {{ lead.company }}{% else %}bei Ihnen{% endif %} ändern könnte."
        "</td></tr>"
    )
    foot = (
        f"<tr><td {_STYLE}>{{{{ sender.company }}}}, {{{{ sender.postal_address }}}}<br>"
        '<a href="{{ unsubscribe_url }}">Abmelden</a> <a href="{{ preferences_url }}">Einstellungen</a>'
        '</td></tr></table>{% if open_pixel_url %}<img src="{{ open_pixel_url }}" alt="">{% endif %}</body></html>'
    )
    blocks = "".join(_block(number) for number in range(SITES))
    padding = SIZE - len((head + blocks + foot).encode())
    filler = f"<tr><td {_STYLE}><p>{_TEXT}</p></td></tr>"
    whole = head + blocks + filler * (padding // len(filler.encode())) + foot
    return whole.replace("</table>", f"</table><!--{'.' * max(0, SIZE - len(whole.encode()) - 7)}-->", 1)


def _text() -> str:
    links = "\n".join(f'{{{{ track("{link.key}", "{link.url}") }}}}' for link in LINKS[:3])
    return (
        "Guten Tag{% if lead.last_name %} {{ lead.first_name }} {{ lead.last_name }}{% endif %},\n\n"
        f"{_TEXT}\n\n{_TEXT}\n\n{links}\n\n{{{{ sender.company }}}}\nAbmelden: {{{{ unsubscribe_url }}}}\n"
    )


def library() -> Library:
    """Give a library that holds this one mail."""
    compiled = Compiled("Elf Tage vorher erkannt{% if lead.last_name %}, {{ lead.last_name }}{% endif %}", _html(),
                        _text(), "", LINKS, frozenset())  # fmt: skip
    made = Mail(str(KEY), digest(compiled), MessageClass.EDUCATIONAL, "de", compiled, ZoneInfo("Europe/Berlin"))
    classes = dict.fromkeys(Temperature, MessageClass.EDUCATIONAL)
    return Library(Path(), LibraryNotes(hosts=("musterwerk.example",), classes=classes), {KEY: made}, ())

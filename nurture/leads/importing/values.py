"""What does a cell mean? Countries, sizes, languages, phones and yes or no, as people write them."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from nurture.leads.importing.columns import normal
from nurture.leads.stages import Stage

LONGEST = 200
"""Characters of a cell that is kept."""
_BAD = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ue000-\uf8ff]")
_MOJIBAKE = re.compile(r"Ã[^A-Za-z\s]|â€|Â[\xa0-\xbf]|\ufffd")
_PHONE_LIKE = re.compile(r"[+\-]?[\d\s()/.\-+]+")


_BLANKS = re.compile(r"[ \u00a0\u2002-\u200a\u3000]+")


def clean(cell: str) -> str:
    """Trim white space of every kind and make inner runs of blanks one."""
    text = cell.strip()
    return text if text.isascii() and "  " not in text else _BLANKS.sub(" ", text)


def is_ready(text: str) -> bool:
    """Tell at once that a cell needs no cleaning and has nothing wrong: the common case, a million times a file."""
    return (
        text.isascii()
        and text.isprintable()
        and text[:1] not in _UNSURE
        and text[-1:] != " "
        and "  " not in text
        and len(text) <= LONGEST
    )


_UNSURE = {"=", "+", "-", "@", " "}


def is_hidden(text: str) -> bool:
    """Tell whether a kept cell holds a line break, NUL, zero-width or direction character."""
    return _BAD.search(text) is not None


def is_mojibake(text: str) -> bool:
    """Tell whether letters were broken by reading UTF-8 as Windows-1252."""
    return not text.isascii() and _MOJIBAKE.search(text) is not None


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet program would compute the cell; a phone number or a lone dash it leaves alone."""
    # Full-width signs compute as well.
    first = unicodedata.normalize("NFKC", text[:1])
    if first == "=":
        return True
    harmless = _PHONE_LIKE.fullmatch(text) or len(text) == 1
    return first in {"+", "-", "@"} and not harmless


_YES = {"yes", "ja", "true", "1", "x", "y", "j", "wahr", "t", "oui", "on"}
_NO = {
    "", "no", "nein", "false", "0", "n", "falsch", "f", "non", "off", "null", "none", "-", "00000000", "00000000000000",
}  # fmt: skip


def says_yes(text: str) -> bool:
    """Tell whether a yes-or-no cell says yes in so many words; anything else is no."""
    return normal(text) in _YES


def says_something(text: str) -> bool:
    """Tell whether a cell of yes, a time or a reason is filled; for suppression the careful reading wins."""
    return normal(text) not in _NO


_STATUS = {
    "subscribed": "active active aktiv subscribed angemeldet confirmed bestaetigt activated aktiviert optedin",
    "unconfirmed": "new neu unconfirmed unbestaetigt pending ausstehend inactive inaktiv nonsubscribed transactional",
    "unsubscribed": "unsubscribed abgemeldet deleted geloescht optedout optout blocked gesperrt blacklisted"
    " blocklisted deactivated deaktiviert",
    "bounced": "bounced gebounct cleaned unzustellbar hardbounce hardbounced invalid ungueltig",
    "complained": "abusive unerwuenscht complained spam beschwerde",
}
_STATUS_OF = {word: status for status, words in _STATUS.items() for word in words.split()}


_NO_STEMS = {
    "complained": "spam beschwer complain abus missbrauch",
    "unsubscribed": "abgemeldet abmeld unsub optout optedout austrag ausgetragen widerruf widersproch widerspruch"
    " zurueckgezogen withdr revok blockiert blocked gesperrt sperre blacklist blocklist geloescht deleted removed"
    " entfernt suppress gekuendigt deactivat deaktiviert donot nichtkontakt nichtanschreib keinewerbung keinnewsletter"
    " keinemail keineemail",
    "bounced": "bounce gebounc unzustellbar undeliver invalid ungueltig cleaned bereinigt",
}
"""What a no of the person is recognised by in a longer wording; before a bounce, which says less."""
_NEGATED = re.compile(r"\b(?:nicht|kein\w*|nie|not|never|no|non)\b")
UNKNOWN = "unknown"


@lru_cache(maxsize=4096)
def status(text: str) -> str:
    """Give subscribed, unconfirmed, unsubscribed, bounced, complained, `unknown`, or nothing for an empty cell.

    Only whole words that are known mean subscribed; a no is also found within a longer wording.
    """
    name = normal(text)
    if name in _STATUS_OF:
        return _STATUS_OF[name]
    for kind, stems in _NO_STEMS.items():
        # "Nicht abgemeldet" is no no, but nothing to write to somebody on either.
        outright = [stem for stem in stems.split() if stem in name]
        if any(stem.startswith(_OUTRIGHT) for stem in outright) or (outright and not _NEGATED.search(text.casefold())):
            return kind
    return UNKNOWN if text.strip() else ""


_OUTRIGHT = ("donot", "nicht", "kein")
"""Stems that hold their own negation."""


_SALUTATIONS = {
    "Herr": "herr herrn mr m male mann maennlich mister monsieur",
    "Frau": "frau fr mrs ms miss w f female weiblich madame",
}
_SALUTATION_OF = {word: salutation for salutation, words in _SALUTATIONS.items() for word in words.split()}


def salutation(text: str) -> str:
    """Give Herr, Frau or nothing."""
    return _SALUTATION_OF.get(normal(text), "")


@lru_cache(maxsize=1024)
def language(text: str) -> str:
    """Give de or en; en for any other language named, nothing for an empty cell."""
    name = normal(text)
    if not name:
        return ""
    return "de" if name.startswith("de") or name in {"german", "allemand", "ger"} else "en"


@cache
def _countries() -> dict[str, str]:
    from babel import Locale  # noqa: PLC0415  reads its data when first asked

    found = {}
    for name in ("en", "de", "fr", "it"):
        for code, written in Locale(name).territories.items():
            if len(code) == 2 and code.isalpha():  # noqa: PLR2004
                found[normal(written)] = code
                found.setdefault(code.lower(), code)
    return found | {"usa": "US", "uk": "GB", "brd": "DE", "d": "DE", "a": "AT", "deu": "DE", "aut": "AT", "che": "CH"}


@lru_cache(maxsize=4096)
def country(text: str) -> str | None:
    """Give the ISO 3166 alpha-2 code of a code or a name (German, English, French, Italian)."""
    return _countries().get(normal(text)) if text else None


@lru_cache(maxsize=4096)
def company_size(text: str) -> int | None:
    """Give employees; of a range ("51-200", "1.000+", "201 bis 500") its lower end."""
    match = re.search(r"\d+(?:[.,\u00a0' ]\d{3})*", text)
    if match is None:
        return None
    number = int(re.sub(r"\D", "", match.group()))
    return number if 0 < number < 10_000_000 else None  # noqa: PLR2004  beyond it is no number of people


_INDUSTRIES = {
    "manufacturing": "maschinenbau maschinenundanlagenbau anlagenbau sondermaschinenbau machinery machinebuilding"
    " werkzeugmaschinenbau werkzeugmaschinen machinetools mechanicalengineering metallverarbeitung metallindustrie"
    " metall metalworking giesserei stahl steel verpackungsmaschinen verpackungstechnik manufacturing",
    "engineering": "engineering ingenieurwesen mechanicalorindustrialengineering industrialautomation robotics robotik"
    " industrieautomation automatisierung automatisierungstechnik automation",
    "automotive": "automobil automobilindustrie automobilzulieferer automotive fahrzeugbau",
    "packaging": "verpackung packaging packagingandcontainers",
    "food": "lebensmittel lebensmittelindustrie nahrungsmittel getraenke foodproduction foodandbeverages food",
    "chemicals": "chemie chemische chemicals pharma pharmaceuticals kunststoff kunststofftechnik plastics",
    "energy": "energie energieversorgung energy utilities",
    "logistics": "logistik logistikundtransport logistics transportation intralogistik",
    "medical_devices": "medizintechnik medicaldevices medicaldevice",
    "electronics": "elektronik elektrotechnik electronics electrical",
    "consulting": "beratung unternehmensberatung consulting managementconsulting",
    "software": "software it computersoftware informationtechnology informationstechnologie",
    "education": "bildung hochschule education highereducation forschung research",
    "public": "oeffentlicherdienst oeffentlicheverwaltung governmentadministration public",
}
_INDUSTRY_OF = {word: industry for industry, words in _INDUSTRIES.items() for word in words.split()}


@lru_cache(maxsize=4096)
def industry(text: str) -> str | None:
    """Give one name per industry, whatever the language; an unknown one as a slug."""
    known = _INDUSTRY_OF.get(normal(text))
    if known or not text:
        return known
    slug = re.sub(r"[^a-z0-9]+", "_", text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")).strip(
        "_"
    )
    return slug[:64] or None


_NO_DIGITS = re.compile(r"\D+")
_WHOLE = re.compile(r"(49|43|41)\d{9,12}")
_E164 = re.compile(r"[1-9]\d{6,14}")
_CODES = {"DE": "49", "AT": "43", "CH": "41", "LI": "423", "LU": "352", "NL": "31", "FR": "33", "IT": "39", "GB": "44"}


def phone(text: str, home: str) -> str:
    """Give E.164, or nothing for what is no number; `home` is the country of numbers without a prefix."""
    if not text:
        return ""
    digits = text.replace("(0)", "")
    plus = digits.strip().startswith("+")
    digits = _NO_DIGITS.sub("", digits)
    if not plus and digits.startswith("00"):
        plus, digits = True, digits[2:]
    if not plus and digits.startswith("0") and home in _CODES:
        plus, digits = True, _CODES[home] + digits[1:]
    # A sheet's number format eats the plus of +49...; a German number in full has eleven digits or more.
    if not plus and _WHOLE.fullmatch(digits):
        plus = True
    return f"+{digits}" if plus and _E164.fullmatch(digits) else ""


def split_name(name: str) -> tuple[str, str]:
    """Give first and last name of "Vera Beispiel" or "Beispiel, Vera"."""
    if "," in name:
        last, _, first = name.partition(",")
        return first.strip(), last.strip()
    first, _, last = name.rpartition(" ")
    return first.strip(), last.strip()


_STAGES = {
    "customer": Stage.CUSTOMER,
    "kunde": Stage.CUSTOMER,
    "evangelist": Stage.CUSTOMER,
    "fuersprecher": Stage.CUSTOMER,
    "salesqualifiedlead": Stage.SQL,
    "sql": Stage.SQL,
    "salesqualifizierterlead": Stage.SQL,
    "opportunity": Stage.SQL,
    "verkaufschance": Stage.SQL,
    "vertriebsqualifizierterlead": Stage.SQL,
}
"""Only what means that somebody else looks after this person: permission alone makes anybody `confirmed`."""


def stage(text: str, said: dict[str, Stage]) -> Stage | None:
    """Give the stage a lifecycle name of the file stands for, the map's own names first."""
    name = normal(text)
    if not name:
        return None
    return next((stage for written, stage in said.items() if normal(written) == name), _STAGES.get(name))

"""Who lives in the demo? Made-up people at reserved domains, always the same, with the dirt of real exports.

`python -m nurture.cli.demo.people` writes the files of `data/` anew; a test holds them to this script.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

DATA = Path(__file__).resolve().parent / "data"
SEED = "musterwerk"

WOMEN = (
    "Annegret", "Birgitta", "Cosima", "Dörte", "Edeltraud", "Friederike", "Gundula", "Henrike", "Irmgard", "Jolanthe",
    "Katharina", "Liselotte", "Mechthild", "Notburga", "Ortrud", "Philomena", "Roswitha", "Sieglinde", "Theodora",
    "Walburga",
)  # fmt: skip
MEN = (
    "Adalbert", "Burkhard", "Cornelius", "Diethelm", "Eckehard", "Ferdinand", "Gottlieb", "Hartmut", "Ingolf",
    "Jürgen", "Korbinian", "Leopold", "Meinhard", "Norwin", "Ottokar", "Pankraz", "Reinhold", "Siegbert", "Traugott",
    "Wolfram",
)  # fmt: skip
BEGINNINGS = (
    "Altenbr", "Birkenst", "Dornb", "Eschw", "Falkenr", "Grevenbr", "Hohenf", "Jägersb", "Kaltenb", "Lindenm",
    "Mühlenb", "Nettesh", "Oberw", "Pfaffenh", "Quittenb", "Rosenth", "Steinh", "Tannenw", "Uhlenh", "Weißenf",
)  # fmt: skip
ENDINGS = ("äcker", "oder", "inger", "eimer", "older", "usch", "elder", "acher", "ürmer", "orster", "anner", "öhler")
TRADES = (
    ("Getriebebau", "Maschinenbau", "gear"), ("Fördertechnik", "Logistik", "conveyor"),
    ("Pressenbau", "Maschinenbau", "press"), ("Verpackungsmaschinen", "Verpackungstechnik", "packing"),
    ("Spindeltechnik", "Werkzeugmaschinen", "spindle"), ("Robotik", "Automatisierungstechnik", "robot"),
    ("Hydraulik", "Maschinenbau", "hydraulic"), ("Karosserieteile", "Automobilzulieferer", "body"),
    ("Molkereianlagen", "Lebensmittelindustrie", "dairy"), ("Spritzguss", "Kunststofftechnik", "moulding"),
    ("Turbinenservice", "Energieversorgung", "turbine"), ("Unternehmensberatung", "Beratung", "consult"),
)  # fmt: skip
FORMS = ("GmbH", "AG", "GmbH & Co. KG", "KG", "SE")
TITLES = (
    "Leiter Instandhaltung", "Geschäftsführer", "Werksleiterin", "Instandhaltungsplaner", "Produktionsleiter",
    "Projektingenieurin", "Einkäufer", "Technischer Leiter", "Servicetechniker", "Betriebsleiterin",
    "Head of Maintenance", "Prozessingenieur", "Assistenz der Geschäftsführung", "Teamleiter Service", "Schichtführer",
    "Werkstudent", "COO", "",
)  # fmt: skip
SIZES = ("11-50", "51-200", "51-200", "201-500", "501-1.000", "1.001-5.000", "")
LANDS = ("Deutschland",) * 7 + ("Österreich", "Schweiz", "France")
LIFECYCLES = ("subscriber", "lead", "lead", "lead", "marketingqualifiedlead", "salesqualifiedlead", "customer", "")


@dataclass(frozen=True)
class Person:
    """Somebody made up."""

    first_name: str
    last_name: str
    salutation: str
    address: str
    company: str
    title: str
    industry: str
    size: str
    land: str
    language: str
    phone: str


def everybody() -> list[Person]:
    """Give all people of the demo, each name and address once, in a stable order."""
    dice = Random(SEED)  # noqa: S311  a play, no secret
    surnames = [f"{beginning}{ending}" for beginning in BEGINNINGS for ending in ENDINGS]
    firsts = [(name, "Frau") for name in WOMEN] + [(name, "Herr") for name in MEN]
    pairs = [(first, surname) for surname in surnames for first in dice.sample(firsts, 3)]
    dice.shuffle(pairs)
    return [_person(number, first, surname, dice) for number, (first, surname) in enumerate(pairs)]


def _person(number: int, first: tuple[str, str], surname: str, dice: Random) -> Person:
    trade, industry, _ = dice.choice(TRADES)
    founder = f"{dice.choice(BEGINNINGS)}{dice.choice(ENDINGS)}"
    land = dice.choice(LANDS)
    ending = {"Österreich": "at.example", "Schweiz": "ch.example", "France": "fr.example"}.get(land, "example")
    domain = f"{_plain(founder)}-{_plain(trade)}.{ending}"
    local = dice.choice([f"{_plain(first[0])}.{_plain(surname)}", f"{_plain(first[0])[0]}.{_plain(surname)}{number}"])
    return Person(
        first_name=first[0],
        last_name=surname,
        salutation=first[1],
        address=f"{local}@{domain}",
        company=f"{founder} {trade} {dice.choice(FORMS)}",
        title=dice.choice(TITLES),
        industry=industry,
        size=dice.choice(SIZES),
        land=land,
        language="Englisch" if land == "France" or dice.random() < 0.12 else "Deutsch",  # noqa: PLR2004  share
        phone=f"+49 30 5550{number:04d}" if dice.random() < 0.6 else "",  # noqa: PLR2004  share
    )


def _plain(text: str) -> str:
    for letter, written in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.lower().replace(letter, written)
    return text


SUBSCRIBERS, CONTACTS, SHARED, VISITORS = 205, 210, 18, 60
"""In Mailchimp; in HubSpot, of whom `SHARED` are in both; signing up on the page."""


def subscribers() -> list[Person]:
    """Give who is in the Mailchimp file."""
    return everybody()[:SUBSCRIBERS]


def contacts() -> list[Person]:
    """Give who is in the HubSpot file."""
    return everybody()[SUBSCRIBERS - SHARED :][:CONTACTS]


def sign_ups() -> list[dict[str, str]]:
    """Give who signs up on the page; none of them is in a file."""
    start = SUBSCRIBERS - SHARED + CONTACTS
    return [
        {
            "address": person.address,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "salutation": person.salutation,
            "company": person.company,
            "language": "en" if person.language == "Englisch" else "de",
        }
        for person in everybody()[start:][:VISITORS]
    ]


# --- HubSpot: as German Excel saves it ---------------------------------------------------------

HUBSPOT_HEADERS = (
    "Record ID", "First Name", "Last Name", "Salutation", "Email", "Phone Number", "Job Title", "Company Name",
    "Industry", "Number of Employees", "Country/Region", "Preferred language", "Lead Status", "Lifecycle Stage",
    "Contact owner", "Create Date", "Unsubscribed from all email",
)  # fmt: skip


def hubspot() -> bytes:
    """Write the HubSpot export: Windows-1252, semicolons, and what happens to lists over the years."""
    dice = Random(f"{SEED}:hubspot")  # noqa: S311  a play, no secret
    rows = [_hubspot_row(number, person, dice) for number, person in enumerate(contacts())]
    address, first, last = HUBSPOT_HEADERS.index("Email"), 1, 2
    for number in (3, 47, 112):
        rows[number][address] = rows[number][address].upper()
    for number in (15, 88, 140):
        rows[number][address] = f"  {rows[number][address]} "
    for number, broken in zip((21, 33, 56, 79, 101), ("", "", "keine Angabe", "name@", "a b@c.example"), strict=True):
        rows[number][address] = broken
    for number, role in zip((9, 64, 133, 171), ("info", "vertrieb", "instandhaltung", "office"), strict=True):
        rows[number][address] = f"{role}@{rows[number][address].rpartition('@')[2]}"
        rows[number][first] = rows[number][last] = rows[number][3] = ""
    rows[70][first] = "=cmd|'/C calc'!A0"
    rows[122][last] = f"{rows[122][last]}\n{rows[122][last]}"
    rows[150][address] = rows[150][address].replace("@", "@@")
    rows[160][7] = f"{rows[160][7]}   "
    for number in (40, 95, 181):
        rows[number][-1] = "true"
    again = [
        list(rows[number]) for number in (2, 5, 8, 13, 17, 24, 30, 44, 52, 61, 73, 84, 97, 105, 118, 126, 137, 149)
    ]
    for row in again[::3]:
        row[address] = row[address].title()
    rows += [*again, *([""] * len(HUBSPOT_HEADERS) for _ in range(4))]
    rows += [[*_hubspot_row(900 + number, person, dice)] for number, person in enumerate(contacts()[:12])]
    return _csv([list(HUBSPOT_HEADERS), *rows], ";").encode("cp1252")


def _hubspot_row(number: int, person: Person, dice: Random) -> list[str]:
    made = datetime(2024, 1, 8, 9, 0) + timedelta(hours=dice.randint(0, 17_000))  # noqa: DTZ001  as exports write it
    lifecycle = dice.choice(LIFECYCLES)
    return [
        str(30_101 + number), person.first_name, person.last_name, person.salutation, person.address, person.phone,
        person.title, person.company, person.industry, person.size, person.land, person.language,
        dice.choice(("NEW", "OPEN", "IN_PROGRESS", "")), lifecycle, dice.choice(("Vertrieb Nord", "Vertrieb Süd")),
        made.strftime("%Y-%m-%d %H:%M"), "",
    ]  # fmt: skip


# --- Mailchimp: subscribed and unsubscribed ----------------------------------------------------

MAILCHIMP_HEADERS = (
    "Email Address", "First Name", "Last Name", "Anrede", "Company", "Job Title", "Branche", "Mitarbeiter", "Land",
    "Sprache", "Auswertung", "MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP", "TIMEZONE",
    "LAST_CHANGED", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip
LEFT = ("Unsubscribed through the list", "UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_REASON")


def mailchimp() -> bytes:
    """Write the Mailchimp export of subscribers: most proved by a double opt-in, some not."""
    dice = Random(f"{SEED}:mailchimp")  # noqa: S311  a play, no secret
    rows = [_mailchimp_row(number, person, dice) for number, person in enumerate(subscribers())]
    opted, opted_ip, confirmed, confirmed_ip = (MAILCHIMP_HEADERS.index(name) for name in MAILCHIMP_HEADERS[12:16])
    for number in range(6, len(rows), 11):  # never pressed the link
        rows[number][confirmed] = rows[number][confirmed_ip] = ""
    for number in range(9, len(rows), 29):  # uploaded by an earlier colleague
        rows[number][opted] = rows[number][opted_ip] = ""
    for number in (20, 90, 160):  # single opt-in: both times are the same
        rows[number][confirmed] = rows[number][opted]
    rows[55][confirmed] = "kürzlich"
    rows[75][0] = rows[75][0].replace("@", " at ")
    rows[110][1] = '=HYPERLINK("x")'
    again = [list(rows[number]) for number in (1, 12, 31, 45, 66, 81, 103, 119, 131, 144, 158, 172)]
    for row in again[::2]:
        row[0] = row[0].upper()
    return _csv([list(MAILCHIMP_HEADERS), *rows, *again, [""] * len(MAILCHIMP_HEADERS)], ",").encode()


def _mailchimp_row(number: int, person: Person, dice: Random) -> list[str]:
    opted = datetime(2025, 1, 7, 7, 0) + timedelta(minutes=dice.randint(0, 590_000))  # noqa: DTZ001
    # The hour of the clock change has no single reading; nobody of ours signs up at night.
    opted = opted.replace(hour=7 + opted.hour % 12)
    confirmed = opted + timedelta(minutes=dice.randint(1, 900))
    address = f"198.51.100.{dice.randint(1, 250)}"
    return [
        person.address, person.first_name, person.last_name, person.salutation, person.company, person.title,
        person.industry, person.size, person.land, person.language, "nein" if number % 7 == 0 else "ja",
        str(dice.randint(1, 5)), f"{opted:%Y-%m-%d %H:%M:%S}", address, f"{confirmed:%Y-%m-%d %H:%M:%S}", address,
        "Europe/Berlin", f"{confirmed:%Y-%m-%d %H:%M:%S}", str(410_000 + number), f"{dice.getrandbits(40):010x}", "",
        dice.choice(('"Messe"', '"Webinar"', "", '"Whitepaper"')),
    ]  # fmt: skip


def unsubscribed() -> bytes:
    """Write the Mailchimp export of those who left: some are in the other files, some are not."""
    dice = Random(f"{SEED}:unsubscribed")  # noqa: S311  a play, no secret
    everyone = everybody()
    gone = [*everyone[4:200:33], *contacts()[30:200:40], *everyone[600:615]]
    rows = [["Email Address", "First Name", "Last Name", "MEMBER_RATING", *LEFT[1:], "LEID", "EUID"]]
    for number, person in enumerate(gone):
        left = datetime(2025, 6, 2, 8, 0) + timedelta(minutes=dice.randint(0, 300_000))  # noqa: DTZ001
        reason = dice.choice(("NORMAL", "INAPPROPRIATE", "NEVER_SIGNED_UP"))
        rows.append([
            person.address, person.first_name, person.last_name, "1", f"{left:%Y-%m-%d %H:%M:%S}", "Newsletter",
            reason, str(510_000 + number), f"{dice.getrandbits(40):010x}",
        ])  # fmt: skip
    return _csv(rows, ",").encode()


def _csv(rows: list[list[str]], separator: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


FILES = {"hubspot.csv": hubspot, "mailchimp.csv": mailchimp, "mailchimp_unsubscribed.csv": unsubscribed}


def main() -> None:
    """Write the files."""
    DATA.mkdir(exist_ok=True)
    for name, write in FILES.items():
        (DATA / name).write_bytes(write())


if __name__ == "__main__":
    main()

"""Who takes part when there are many? Leads whose identities are really sealed, made set by set.

What a send touches of a person is real: a key of their own, the sealed address and details. What it only
points to is shared: one imported consent stands in the ledger, and everybody's state refers to that entry;
a million entries of their own would take an hour and change no figure here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, Select, and_, cast, func, insert, literal, select

from bench._people import AT
from consent import identity, imported
from consent.addresses import Address
from consent.schema import consent_state, suppression
from consent.schema import identity as identity_table
from nurture.store.tables import enrolment, lead

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.store.engine import Store

PURPOSE = "newsletter.product"
TRACKING = "email.tracking"
CHUNK = 10_000
FIRST = ("Anna", "Björn", "Carla", "Dieter", "Esra", "Franz", "Greta", "Hüseyin", "Ines", "Jonas", "", "Karla")
LAST = (
    "Ahrens",
    "Böhm",
    "Çelik",
    "Dörr",
    "Eckert",
    "Fuchs",
    "Groß",
    "Huber",
    "Ihle",
    "Jäger",
    "Köhler",
    "Lang",
    "Muñoz",
)
COMPANY = ("Beispiel Pumpen GmbH", "Müller & Söhne KG", "", "Antriebe Süd AG", "Beispiel Guss GmbH", "", "Werk Neun")
SALUTATION = ("Frau", "Herr", "", "Frau", "Herr")
WITHDRAWN_EVERY, SUPPRESSED_EVERY = 20, 50
WITHDRAWN, SUPPRESSED = 3, 7
"""One in twenty took the consent back, one in fifty is suppressed: about 93 of 100 may be written to."""


def details(number: int) -> dict[str, str]:
    """Give what is known of the so many-th person; names repeat only after some 60,000."""
    last = f"{LAST[number % 13]}-{LAST[number // 13 % 13]}" if number % 3 else LAST[number % 13]
    return {
        "first_name": FIRST[number % 12],
        "last_name": f"{last} {chr(65 + number // 169 % 26)}{chr(97 + number // 4394 % 26)}er",
        "salutation": SALUTATION[number % 5],
        "company": COMPANY[number % 7],
    }


def address(number: int) -> str:
    """Give the so many-th address."""
    return f"person{number}@firma{number % 5_000}.example"


def settle(store: Store, keyring: Keyring, count: int, progress: Callable[[str], None]) -> None:
    """Make so many leads: 93 of 100 with consent to mail, all of these with consent to tracking."""
    for start in range(0, count, CHUNK):
        progress(f"sealing identities {start:,} of {count:,}")
        with store.write() as conn:
            _seal(conn, keyring, range(start, min(start + CHUNK, count)))
    progress("leads and consents")
    with store.write() as conn:
        _register(conn)
        _agree(conn, keyring)
    analyse(store)


def analyse(store: Store) -> None:
    """Let the database know its sizes, as a running installation does."""
    with store.write() as conn:
        conn.exec_driver_sql("analyze")


def _seal(conn: Connection, keyring: Keyring, numbers: range) -> None:
    people = {}
    for number in numbers:
        one = Address.of(address(number))
        people[keyring.address_index(one.identity)] = (one, details(number))
    identity.add_many(conn, keyring, people, at=AT)


def _register(conn: Connection) -> None:
    """Make a lead of everybody, in one statement."""
    common: dict[str, Any] = {
        "language": "de", "zone": "Europe/Berlin", "freemail": False, "role_address": False, "source": "import",
        "created_at": AT, "stage": "confirmed", "stage_since": AT, "owner": "marketing",
    }  # fmt: skip
    values = [literal(value, lead.c[name].type) for name, value in common.items()]
    everybody = select(identity_table.c.subject, *values).order_by(identity_table.c.address_index)
    conn.execute(insert(lead).from_select(["subject", *common], everybody))


def _agree(conn: Connection, keyring: Keyring) -> None:
    """Let one person's consents be imported as they are in the field, and everybody else's refer to the same proof."""
    first = conn.execute(select(lead.c.subject).order_by(lead.c.id).limit(1)).scalar_one()
    given = [
        imported.ImportedConsent(first, purpose, "default", "Ja, gern.", AT, {}) for purpose in (PURPOSE, TRACKING)
    ]
    imported.record(conn, keyring, given, at=AT)
    model = consent_state.alias()
    names = [column.name for column in consent_state.c if column.name != "subject"]
    others = select(lead.c.subject, *[model.c[name] for name in names]).select_from(
        lead.join(model, model.c.subject == first)
    )
    conn.execute(insert(consent_state).from_select(["subject", *names], others.where(lead.c.subject != first)))
    left = select(lead.c.subject).where(lead.c.id % WITHDRAWN_EVERY == WITHDRAWN)
    of_mail = and_(consent_state.c.purpose == PURPOSE, consent_state.c.subject.in_(left))
    conn.execute(consent_state.update().where(of_mail).values(state="withdrawn"))
    barred = select(
        identity_table.c.address_index, literal("*"), identity_table.c.index_key, literal("bounced"),
        literal(AT, identity_table.c.created_at.type),
    ).join(lead, lead.c.subject == identity_table.c.subject)  # fmt: skip
    columns = ["address_index", "controller", "index_key", "reason", "since"]
    conn.execute(insert(suppression).from_select(columns, barred.where(lead.c.id % SUPPRESSED_EVERY == SUPPRESSED)))


def due(conn: Connection, sequence: str, version: int, *, at: datetime, count: int) -> None:
    """Enrol the first so many leads, due now. What is due is scattered over all leads and not in their order."""
    common = {
        "sequence": sequence, "sequence_version_id": version, "state": "active", "step": "hello", "occurrence": 1,
        "due_at": at, "entered_at": at,
    }  # fmt: skip
    values = [literal(value, enrolment.c[name].type) for name, value in common.items()]
    scattered: Select[Any] = select(lead.c.id, *values).where(lead.c.id <= _last(conn, count))
    scattered = scattered.order_by(cast(lead.c.id * 7919 % 10_007, Integer), lead.c.id)
    conn.execute(insert(enrolment).from_select(["lead_id", *common], scattered))


def sendable(conn: Connection, *, at: datetime) -> int:
    """How many of those enrolled at `at` neither took their consent back nor are suppressed?"""
    number = enrolment.c.lead_id
    free = (number % WITHDRAWN_EVERY != WITHDRAWN, number % SUPPRESSED_EVERY != SUPPRESSED)
    return int(conn.execute(select(func.count()).where(enrolment.c.entered_at == at, *free)).scalar_one())


def _last(conn: Connection, count: int) -> int:
    return int(conn.execute(select(func.min(lead.c.id))).scalar_one()) + count - 1

"""How does a subject become a lead, and how is a lead found again? Facts only; the person stays sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import bindparam, exists, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from consent import identity
from consent.addresses import Address, InvalidAddress
from consent.bulk import write_many
from nurture.leads import hygiene
from nurture.leads.stages import CHUNK, OWNERS, Stage, move
from nurture.store.tables import lead, lead_score, stage_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring

T = TypeVar("T")

ZONES = {"DE": "Europe/Berlin", "AT": "Europe/Vienna", "CH": "Europe/Zurich", "LI": "Europe/Vaduz"}
"""Zone of the send window by country, where a country has only one; elsewhere the default holds."""
DEFAULT_ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class NewLead:
    """What is known when somebody comes to us. None means unknown and never overwrites what is known."""

    subject: str
    language: str
    source: str
    """form, import, fair, api, ..."""
    source_detail: str | None = None
    stage: Stage = Stage.CONFIRMED
    zone: str | None = None
    country: str | None = None
    """ISO 3166 alpha-2."""
    industry: str | None = None
    company_size: int | None = None
    """Employees."""
    role: str | None = None
    """decider, influencer, user, unknown."""
    freemail: bool | None = None
    role_address: bool | None = None
    import_batch_id: int | None = None
    cause: str | None = None
    """Of the first stage; by default consent_confirmed for a confirmed lead, else the source."""
    overwrite: frozenset[str] = frozenset()
    """Names of facts (country, industry, ...) whose new value wins over a known one; else only gaps are filled."""


FACTS = ("country", "industry", "company_size", "role")


def register(
    conn: Connection, subjects: Sequence[NewLead], *, at: datetime, keyring: Keyring | None = None
) -> dict[str, int]:
    """Make or complete the leads of these subjects; give subject -> lead id.

    New leads enter at their stage with a first stage change. Known leads get their gaps filled; from
    `anonymous` or `unconfirmed` they move up to what they come as, and to `customer` from wherever
    they stand, because nobody nurtures a customer. No lead is ever moved back. With a keyring,
    `freemail` and `role_address` are read off the address where the caller does not know them (reads
    identity, one statement a chunk).
    """
    wanted = {new.subject: new for new in subjects}
    found: dict[str, int] = {}
    for names in _chunks(list(wanted)):
        chunk = {name: wanted[name] for name in names}
        known = _known(conn, names)
        fresh = [new for name, new in chunk.items() if name not in known]
        ids = {name: row["id"] for name, row in known.items()}
        if fresh:
            ids |= _insert(conn, fresh, at=at, keyring=keyring)
        _complete(conn, [(row, chunk[name]) for name, row in known.items()], at=at)
        found |= ids
    return found


def add_newcomers(conn: Connection, newcomers: Sequence[NewLead], *, at: datetime) -> None:
    """Make leads of subjects that this transaction made, so that nobody can have made leads of them yet.

    The caller knows `freemail` and `role_address`, names an import batch, and ends with `begin_histories`.
    """
    write_many(conn, insert(lead), [_row(new, None, at) for new in newcomers])


def begin_histories(conn: Connection, batch_id: int, *, cause: str) -> int:
    """Append the first stage change of every lead of an import batch that has none; give how many."""
    without = ~exists().where(stage_change.c.lead_id == lead.c.id)
    first = select(lead.c.id, lead.c.stage, lead.c.stage_since, literal(cause[:64]))
    first = first.where(lead.c.import_batch_id == batch_id, without).order_by(lead.c.id)
    _score_newcomers(conn, batch_id)
    return conn.execute(insert(stage_change).from_select(["lead_id", "stage", "at", "cause"], first)).rowcount


def _score_newcomers(conn: Connection, batch_id: int) -> None:
    """Ask for a first score of the leads of an import batch: a row that is due, under no version of the rules."""
    without = ~exists().where(lead_score.c.lead_id == lead.c.id)
    zero, none = literal(0.0), literal(0)
    names = ["lead_id", "score", "engagement", "fit", "temperature", "temperature_since", "rules_version"]
    since = lead.c.stage_since
    rows = select(lead.c.id, zero, zero, zero, literal("cold"), since, none, since, since)
    rows = rows.where(lead.c.import_batch_id == batch_id, without).order_by(lead.c.id)
    conn.execute(insert(lead_score).from_select([*names, "scored_at", "cools_at"], rows))


def of_subject(conn: Connection, subjects: Sequence[str]) -> dict[str, int]:
    """Give subject -> lead id for those that are leads (unique index on lead.subject)."""
    found: dict[str, int] = {}
    for names in _chunks(list(dict.fromkeys(subjects))):
        rows = conn.execute(select(lead.c.subject, lead.c.id).where(lead.c.subject.in_(names)))
        found |= {row.subject: row.id for row in rows}
    return found


def standing(conn: Connection, lead_ids: Sequence[int]) -> dict[int, int]:
    """Give the lead that stands for each of those that were merged into another; the others are left out."""
    found: dict[int, int] = {}
    for ids in _chunks(list(dict.fromkeys(lead_ids))):
        rows = conn.execute(
            select(lead.c.id, lead.c.merged_into).where(lead.c.id.in_(ids), lead.c.merged_into.is_not(None))
        )
        found |= {row.id: row.merged_into for row in rows}
    return found


def subjects_of(conn: Connection, lead_ids: Sequence[int]) -> dict[int, str]:
    """Give lead id -> subject."""
    found: dict[int, str] = {}
    for ids in _chunks(list(dict.fromkeys(lead_ids))):
        rows = conn.execute(select(lead.c.id, lead.c.subject).where(lead.c.id.in_(ids)))
        found |= {row.id: row.subject for row in rows}
    return found


def by_address(conn: Connection, keyring: Keyring, address: str | Address) -> int | None:
    """Give the lead behind an address, however it is written; None when unknown or no address at all."""
    try:
        asked = address if isinstance(address, Address) else Address.of(hygiene.check(address))
    except (hygiene.BadAddress, InvalidAddress):
        return None
    subject = identity.find(conn, keyring, asked)
    return None if subject is None else of_subject(conn, [subject]).get(subject)


def _known(conn: Connection, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    columns = (lead.c.id, lead.c.subject, lead.c.stage, *(lead.c[name] for name in FACTS))
    rows = conn.execute(select(*columns).where(lead.c.subject.in_(names)))
    return {row["subject"]: dict(row) for row in rows.mappings()}


def _insert(conn: Connection, fresh: Sequence[NewLead], *, at: datetime, keyring: Keyring | None) -> dict[str, int]:
    facts = _address_facts(conn, keyring, fresh)
    rows = [_row(new, facts.get(new.subject), at) for new in fresh]
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    # Two edges may register the same subject at once: the second one finds the first one's lead.
    statement = dialect.insert(lead).on_conflict_do_nothing(index_elements=["subject"])
    inserted = conn.execute(statement.returning(lead.c.subject, lead.c.id), rows)
    made = {row.subject: row.id for row in inserted}
    changes = [
        {"lead_id": made[new.subject], "stage": new.stage.value, "at": at, "cause": _cause(new)}
        for new in fresh
        if new.subject in made
    ]
    if changes:
        conn.execute(insert(stage_change), changes)
    return made | of_subject(conn, [new.subject for new in fresh if new.subject not in made])


def _row(new: NewLead, facts: hygiene.AddressFacts | None, at: datetime) -> dict[str, object]:
    freemail = facts.freemail if facts and new.freemail is None else bool(new.freemail)
    role_address = facts.role_account if facts and new.role_address is None else bool(new.role_address)
    return {
        "subject": new.subject,
        "language": new.language,
        "zone": new.zone or ZONES.get(new.country or "", DEFAULT_ZONE),
        "country": new.country,
        "industry": new.industry,
        "company_size": new.company_size,
        "role": new.role or "unknown",
        "freemail": freemail,
        "role_address": role_address,
        "source": new.source,
        "source_detail": new.source_detail,
        "import_batch_id": new.import_batch_id,
        "created_at": at,
        "stage": new.stage.value,
        "stage_since": at,
        "owner": OWNERS[new.stage].value,
    }


def _cause(new: NewLead) -> str:
    default = "consent_confirmed" if new.stage is Stage.CONFIRMED else new.source
    return (new.cause or default)[:64]


def _address_facts(
    conn: Connection, keyring: Keyring | None, fresh: Sequence[NewLead]
) -> dict[str, hygiene.AddressFacts]:
    unknown = [new.subject for new in fresh if new.freemail is None or new.role_address is None]
    if keyring is None or not unknown:
        return {}
    people = identity.reveal(conn, keyring, unknown)
    return {subject: hygiene.facts(_text_of(person.address)) for subject, person in people.items()}


def _text_of(address: object) -> str:
    return address.delivery if isinstance(address, Address) else str(address)


def _complete(conn: Connection, pairs: Sequence[tuple[Mapping[str, Any], NewLead]], *, at: datetime) -> None:
    """Fill gaps (or overwrite what the caller names), then move up those that are confirmed now or have bought."""
    changes = []
    for row, new in pairs:
        merged = {name: _merged(row[name], getattr(new, name), overwrite=name in new.overwrite) for name in FACTS}
        if any(merged[name] != row[name] for name in FACTS):
            changes.append({"the_id": row["id"], **{f"new_{name}": value for name, value in merged.items()}})
    if changes:
        statement = update(lead).where(lead.c.id == bindparam("the_id"))
        conn.execute(statement.values({name: bindparam(f"new_{name}") for name in FACTS}), changes)
        # Facts are half of a score: it is due now, as if it had cooled.
        for ids in _chunks([change["the_id"] for change in changes]):
            conn.execute(update(lead_score).where(lead_score.c.lead_id.in_(ids)).values(cools_at=at))
    for cause in {_cause(new) for _, new in pairs}:
        up = {
            row["id"]: new.stage.value
            for row, new in pairs
            if _moves_up(row["stage"], new.stage) and _cause(new) == cause
        }
        move(conn, up, cause=cause, at=at)


def _moves_up(known: str, new: Stage) -> bool:
    early = {Stage.ANONYMOUS.value, Stage.UNCONFIRMED.value}
    return new is Stage.CUSTOMER or (known in early and new not in early)


def _merged(known: object, new: object, *, overwrite: bool) -> object:
    if new is None or new in {"", "unknown"}:
        return known
    return new if overwrite or known is None or known == "unknown" else known


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]

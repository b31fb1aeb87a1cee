"""How do raw bodies become events? In sets, once, whatever their order; one transaction a call.

What was measured without consent leaves no row: it is counted, and gone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, update

from consent import gate, ledger
from consent.sealing import SealError
from nurture.store.inserting import chunks, insert_new
from nurture.store.tables import delivery_fact, event, raw_event
from nurture.tracking import bots, effects, intake, people, reading, signals
from nurture.tracking.people import Item
from nurture.tracking.vocabulary import DELIVERY, MEASURED, EventKind, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from consent.keys import Keyring
    from nurture.store.workspace import Workspace

PAGE = 50
"""Raw bodies opened at once; one of SendGrid's holds up to some 2,500 events."""
ENOUGH = 10_000
"""Events of one call: bounds memory and the length of the transaction."""
REDIRECT = re.compile(r"/c/[^/?#]+/([0-9]{1,4})$", re.ASCII)
"""Our own redirect, where a provider wrapped it once more."""
OWN = frozenset({intake.Source.CLICK, intake.Source.OPEN})
JUDGED = (EventKind.OPENED.value, EventKind.CLICKED.value)
NO_SCORE = DELIVERY - {EventKind.DELIVERED}


@dataclass(frozen=True)
class Ingested:
    """What one call did, in counts; `more` tells that raw bodies are left."""

    raw: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: int = 0
    """Bodies that hold something we could not read; that part is kept."""
    withdrawn: int = 0
    suppressed: int = 0
    untracked: int = 0
    """Dropped: measured without consent."""
    foreign: int = 0
    """Dropped: about messages or people that are not ours."""
    stopped: bool = False
    """The provider restricted our account; all sending stands still."""
    leads: tuple[int, ...] = ()
    """Leads whose score may have changed, ascending."""
    kinds: dict[str, int] = field(default_factory=dict)
    more: bool = False


@dataclass(frozen=True)
class Applied:
    """What became of a set of items."""

    new: list[Item]
    """Stored now."""
    kept: list[Item]
    """Stored now or before."""
    untracked: int
    foreign: int
    revised: set[int]
    """Leads whose past was judged anew."""
    effects: effects.Effects


def apply(conn: Connection, ws: Workspace, items: Sequence[Item], *, at: datetime) -> Applied:
    """Store events and do what they ask for, each once, however often it is told. The caller holds the ledger.

    Raises DefinitionError when policies/ holds a mistake.
    """
    rules, meaning = bots.load(ws.settings.policies), signals.load(ws.settings.policies)
    people.attach(conn, ws, items, at=at)
    once = list({item.key: item for item in reversed(items)}.values())[::-1]
    ours = [item for item in once if _ours(item)]
    kept = _with_consent(conn, ws, ours)
    _describe(rules, kept, ws.keyring)
    revised = _judge(conn, rules, kept)
    ids = _insert(conn, kept)
    new = [item for item in kept if item.key in ids]
    done = effects.apply(conn, ws, meaning, new, ids, at=at)
    return Applied(new, kept, len(ours) - len(kept), len(once) - len(ours), revised, done)


def ingest(conn: Connection, ws: Workspace, *, at: datetime, limit: int) -> Ingested:
    """Apply up to `limit` raw bodies at `at` (UTC). The caller commits, and calls again while `more`.

    Two calls at once follow one another: the second judges what the first stored together with its own.
    Raises DefinitionError when policies/ holds a mistake; never for what stands in a body.
    """
    # First of all locks, as everywhere: persons and leads are written below, before consents end.
    ledger.lock(conn)
    meaning = signals.load(ws.settings.policies)
    raws, items, refused = _take(conn, ws, meaning, limit)
    done = apply(conn, ws, items, at=at)
    new = [*done.new, *_applied_on_arrival(conn, done)]
    _settle(conn, ws, raws, refused, kept={item.raw_id for item in done.kept})
    touched = {item.lead_id for item in new if item.lead_id is not None and _scores(item)} | done.revised
    return Ingested(
        raw=len(raws),
        events=len(new),
        duplicates=len(items) - done.untracked - done.foreign - len(new),
        quarantined=len(refused),
        withdrawn=len(done.effects.withdrawn),
        suppressed=len(done.effects.suppressed),
        untracked=done.untracked,
        foreign=done.foreign,
        stopped=done.effects.stopped,
        leads=tuple(sorted(touched)),
        kinds=dict(Counter(item.event.kind.value for item in new)),
        more=bool(raws) and conn.execute(_new().limit(1)).first() is not None,
    )


def _applied_on_arrival(conn: Connection, done: Applied) -> list[Item]:
    """Which of these were stored with the very bodies they came in, since they could not wait (`receiving`)?"""
    stored = {item.key for item in done.new}
    pressing = {item.key: item for item in done.kept if item.event.kind in effects.PRESSING and item.key not in stored}
    found: list[Item] = []
    for part in chunks(sorted(pressing)):
        rows = conn.execute(select(event.c.key, event.c.raw_id).where(event.c.key.in_(part)))
        found += [pressing[row.key] for row in rows if row.raw_id == pressing[row.key].raw_id]
    return found


def waiting(conn: Connection) -> int:
    """How many raw bodies wait to be applied?"""
    return conn.execute(select(func.count()).where(raw_event.c.state == "new")).scalar_one()


def _new(after: int = 0) -> Any:  # noqa: ANN401  a select of five columns
    columns = raw_event.c
    return (
        select(columns.id, columns.source, columns.received_at, columns.body_sha256, columns.sealed_body)
        .where(columns.state == "new", columns.id > after)
        .order_by(columns.id)
    )


def _take(
    conn: Connection, ws: Workspace, meaning: signals.Signals, limit: int
) -> tuple[list[Row[Any]], list[Item], dict[int, reading.Contents]]:
    """Open and read the oldest new bodies, until `limit` bodies or ENOUGH events."""
    forms = {name: kind.value for name, kind in meaning.forms.items()}
    raws: list[Row[Any]] = []
    items: list[Item] = []
    refused: dict[int, reading.Contents] = {}
    while len(raws) < limit and len(items) < ENOUGH:
        page = _new(raws[-1].id if raws else 0).limit(min(PAGE, limit - len(raws)))
        rows = conn.execute(page).all()
        if not rows:
            break
        for row in rows:
            raws.append(row)
            contents = _read(ws, row, forms)
            if contents.problems:
                refused[row.id] = contents
            items += [Item.of(told, row.id, row.received_at) for told in contents.events]
    return raws, items, refused


def _read(ws: Workspace, row: Row[Any], forms: Mapping[str, str]) -> reading.Contents:
    try:
        body = intake.unseal(ws.keyring, row.sealed_body, row.body_sha256)
    except SealError:
        # Without its key it stays as it is: nothing to reseal.
        return reading.Contents(problems=["body: cannot be opened with the keys of this workspace"])
    contents = reading.read(row.source, body, forms)
    for told in [each for each in contents.events if "form" in each.attributes and not people.checked(each.address)]:
        contents.events.remove(told)
        contents.refuse(body, "address: cannot be used")
    return contents


def _ours(item: Item) -> bool:
    """Does it concern a message or person of ours, or us?"""
    return item.subject is not None or item.event.kind in {EventKind.ACCOUNT_CHANGED, EventKind.UNKNOWN}


def _with_consent(conn: Connection, ws: Workspace, items: Sequence[Item]) -> list[Item]:
    """Leave out what was measured of people who had not agreed to it (R29: no row, only a count).

    Consent counts from its moment on, and a mail that went out untracked stays so when consent follows.
    """
    measured = {item.subject for item in items if item.event.kind in MEASURED and item.subject}
    since = gate.tracked_since(conn, sorted(measured), controller=ws.settings.controller) if measured else {}
    return [item for item in items if item.event.kind not in MEASURED or _agreed(item, since.get(item.subject or ""))]


def _agreed(item: Item, since: datetime | None) -> bool:
    # Providers tell whole seconds: who agrees and clicks in the same one has agreed.
    return since is not None and item.at >= since.replace(microsecond=0) and (item.mail is None or item.mail.tracked)


def _describe(rules: bots.BotPolicy, items: Iterable[Item], keyring: Keyring) -> None:
    """Replace what is personal or long by what is needed of it: link and class of user agent."""
    for item in items:
        agent = bots.agent_class(rules, item.event.agent)
        if item.event.kind in MEASURED and agent:
            item.attributes["agent"] = agent
        if item.event.kind is EventKind.CLICKED and item.mail is not None:
            _name_link(item)
        if item.event.kind is EventKind.UNKNOWN:
            # It may be behaviour that nobody agreed to have measured: kept without the person.
            item.lead_id = item.subject = item.mail = None
            moment, _, rest = item.key.partition(":")
            # The key names the mail, and so its reader: known again, but not read, without the link key.
            item.key = f"{moment}:{keyring.mac('unknown event', rest.encode()).hex()}:{EventKind.UNKNOWN}"
        if item.event.kind not in DELIVERY and item.event.kind is not EventKind.ACCOUNT_CHANGED:
            item.verdict, item.verdict_reason = Verdict.HUMAN, "declared"
        if item.event.kind in MEASURED and agent is not None:
            item.verdict = Verdict.UNCLEAR if agent == "proxy" else Verdict.MACHINE
            item.verdict_reason = f"user agent: {agent}"


def _name_link(item: Item) -> None:
    links = item.mail.links if item.mail else ()
    number = item.attributes.get("link")
    url = item.event.url
    if number is None and url:
        redirect = REDIRECT.search(url)
        number = (
            int(redirect[1]) if redirect else next((n for n, each in enumerate(links) if each.get("url") == url), None)
        )
    if number is not None:
        item.attributes["link"] = number
        if number < len(links) and isinstance(links[number].get("key"), str):
            item.attributes["link_key"] = links[number]["key"]


def _judge(conn: Connection, rules: bots.BotPolicy, items: Sequence[Item]) -> set[int]:
    """Judge the opens and clicks of every mail these items touch; give the leads whose past was judged anew.

    What stood in the database is judged together with what is new, so that the order of arrival does
    not matter.
    """
    mails = {item.mail.id: item.mail for item in items if item.mail is not None and _judged(item)}
    stored = _stored(conn, sorted(mails))
    delivered = _delivered(conn, [item for item in items if item.mail is not None], sorted(mails))
    fresh: defaultdict[int, list[Item]] = defaultdict(list)
    for item in items:
        if item.mail is not None and item.event.kind.value in JUDGED:
            fresh[item.mail.id].append(item)
    changes: list[dict[str, Any]] = []
    touched: set[int] = set()
    for mail_id, mail in mails.items():
        there = stored.get(mail_id, [])
        known = {row.key for row in there}
        new = [item for item in fresh[mail_id] if item.key not in known]
        seen = [bots.Seen(row.key, row.kind, row.at, row.attributes) for row in there]
        seen += [bots.Seen(item.key, item.event.kind.value, item.at, item.attributes) for item in new]
        if not seen:
            continue
        said = bots.judge(rules, seen, delivered_at=delivered.get(mail_id), links=len(mail.links))
        for item in new:
            item.verdict, item.verdict_reason = said[item.key]
        for row in there:
            if said[row.key] != (row.verdict, row.verdict_reason):
                changes.append({"the_id": row.id, "said": said[row.key][0].value, "why": said[row.key][1]})
                touched |= {row.lead_id} if row.lead_id is not None else set()
    if changes:
        revise = update(event).where(event.c.id == bindparam("the_id"))
        conn.execute(revise.values(verdict=bindparam("said"), verdict_reason=bindparam("why")), changes)
    return touched


def _judged(item: Item) -> bool:
    return item.event.kind.value in JUDGED or item.event.kind in {EventKind.DELIVERED, EventKind.PROCESSED}


def _stored(conn: Connection, mail_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Read the opens and clicks that these mails have already. Index: ix_event_message."""
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    columns = event.c
    for part in chunks(mail_ids):
        rows = conn.execute(
            select(
                columns.id,
                columns.key,
                columns.kind,
                columns.message_id,
                columns.lead_id,
                columns.at,
                columns.verdict,
                columns.verdict_reason,
                columns.attributes,
            ).where(columns.message_id.in_(part), columns.kind.in_(JUDGED))
        )
        for row in rows:
            found[row.message_id].append(row)
    return found


def _delivered(conn: Connection, items: Sequence[Item], mail_ids: Sequence[int]) -> dict[int, datetime]:
    """When did each mail reach the receiving server? Without that knowledge, no mail was opened too soon."""
    found: dict[int, datetime] = {}
    for part in chunks(mail_ids):
        rows = conn.execute(
            select(delivery_fact.c.message_id, delivery_fact.c.at).where(
                delivery_fact.c.message_id.in_(part), delivery_fact.c.fact == EventKind.DELIVERED.value
            )
        )
        found |= {row.message_id: row.at for row in rows}
    for item in items:
        if item.event.kind is EventKind.DELIVERED and item.mail is not None:
            found[item.mail.id] = min(item.at, found.get(item.mail.id, item.at))
    return found


def _insert(conn: Connection, items: Sequence[Item]) -> dict[str, int]:
    """Store events, ordered by their keys so that the index grows at its end; give key -> id of the new ones."""
    rows = [
        {
            "key": item.key,
            "kind": item.event.kind.value,
            "lead_id": item.lead_id,
            "message_id": item.mail.id if item.mail else None,
            "at": item.at,
            "received_at": item.received_at,
            "verdict": item.verdict.value,
            "verdict_reason": item.verdict_reason,
            "attributes": item.attributes,
            "raw_id": item.raw_id,
        }
        for item in sorted(items, key=lambda item: item.key)
    ]
    return {row.key: row.id for row in insert_new(conn, event, rows, returning=(event.c.key, event.c.id))}


def _settle(
    conn: Connection,
    ws: Workspace,
    raws: Sequence[Row[Any]],
    refused: Mapping[int, reading.Contents],
    *,
    kept: Collection[int],
) -> None:
    """Forget the bodies that were understood; of the others keep the parts that were not."""
    fine = [row.id for row in raws if row.id not in refused]
    # Of our own links nothing is told twice, so nothing has to be known again: no trace where nothing was kept.
    own = [row.id for row in raws if row.source in OWN and row.id not in refused and row.id not in kept]
    for part in chunks(own):
        conn.execute(delete(raw_event).where(raw_event.c.id.in_(part)))
    for part in chunks(fine):
        conn.execute(update(raw_event).where(raw_event.c.id.in_(part)).values(state="applied", sealed_body=None))
    for row in raws:
        if row.id not in refused:
            continue
        contents = refused[row.id]
        counts = ", ".join(f"{count} x {problem}" for problem, count in Counter(contents.problems).most_common(3))
        values: dict[str, Any] = {"state": "quarantined", "error": counts[:200]}
        if contents.poison:
            values["sealed_body"] = intake.seal(ws.keyring, b"\n".join(contents.poison), row.body_sha256)
        conn.execute(update(raw_event).where(raw_event.c.id == row.id).values(values))


def _scores(item: Item) -> bool:
    """Can it change a score? A delivery can, where silence after it would be seen."""
    if item.event.kind is EventKind.DELIVERED:
        return item.mail is not None and item.mail.tracked
    return item.event.kind not in NO_SCORE or item.event.kind in effects.ENDS_ALL

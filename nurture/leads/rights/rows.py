"""Which rows of the machine room say something of a person? They go, or lose what they say; in one transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, or_, select, update

from consent.sealing import SealError
from nurture.failpoints import reach
from nurture.store.inserting import chunks
from nurture.store.tables import (
    decision,
    delivery_fact,
    enrolment,
    event,
    handover,
    lead,
    lead_score,
    mail_preference,
    message,
    points,
    raw_event,
    send_slot,
    signal,
    stage_change,
    temperature_change,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.leads.rights.group import Group
    from nurture.leads.rights.places import Traces

RUNNING = ("active", "paused")
ERASED = "erased"
BEHAVIOUR = (decision, points, signal, lead_score, temperature_change, send_slot, stage_change)
"""Tables whose rows go with the lead: what somebody did, and what we made of it."""


def forget(conn: Connection, keyring: Keyring, group: Group, found: Traces, *, at: datetime) -> int:
    """Take everything about a person out of the machine room; give how many rows went or were emptied.

    What stays says that a lead with a number existed: when its mails were sent (the ledger names them) and
    when sales had it; nothing of who it was or what they did.
    """
    done = 0
    for table in BEHAVIOUR:
        done += conn.execute(delete(table).where(table.c.lead_id.in_(group.leads))).rowcount
        reach("erase.mid")
    done += _events(conn, group)
    done += conn.execute(delete(mail_preference).where(mail_preference.c.subject.in_(group.subjects))).rowcount
    done += _handovers(conn, group, at)
    conn.execute(
        update(enrolment)
        .where(enrolment.c.lead_id.in_(group.leads), enrolment.c.state.in_(RUNNING))
        .values(state="exited", exit_reason=ERASED, left_at=at)
    )
    done += conn.execute(
        update(lead)
        .where(lead.c.id.in_(group.leads))
        .values(country=None, industry=None, company_size=None, role=None, source_detail=None, freemail=False,
                role_address=False, import_batch_id=None)
    ).rowcount  # fmt: skip
    return done + _bodies(conn, keyring, found)


def _events(conn: Connection, group: Group) -> int:
    """Delete the events of a person, and the fingerprints of what brought only them."""
    mine = select(message.c.id).where(message.c.subject.in_(group.subjects))
    rows = conn.execute(
        select(event.c.id, event.c.raw_id).where(or_(event.c.lead_id.in_(group.leads), event.c.message_id.in_(mine)))
    ).all()
    for part in chunks([row.id for row in rows]):
        conn.execute(update(delivery_fact).where(delivery_fact.c.event_id.in_(part)).values(event_id=None))
        # Points and signals of a lead that was merged away may rest on them.
        conn.execute(delete(points).where(points.c.event_id.in_(part)))
        conn.execute(delete(signal).where(signal.c.event_id.in_(part)))
        conn.execute(delete(event).where(event.c.id.in_(part)))
    raws = sorted({row.raw_id for row in rows if row.raw_id is not None})
    for part in chunks(raws):
        others = exists().where(event.c.raw_id == raw_event.c.id)
        conn.execute(delete(raw_event).where(raw_event.c.id.in_(part), raw_event.c.state == "applied", ~others))
    return len(rows)


def _handovers(conn: Connection, group: Group, at: datetime) -> int:
    """Destroy the copies of what sales was told; what was not delivered yet is not delivered any more."""
    mine = handover.c.lead_id.in_(group.leads)
    conn.execute(
        update(handover)
        .where(mine, handover.c.state == "created")
        .values(state="withdrawn", settled_at=at, next_attempt_at=None)
    )
    # A hash of a payload could be found by trying payloads.
    return conn.execute(update(handover).where(mine).values(sealed_payload=None, payload_sha256=None)).rowcount


def _bodies(conn: Connection, keyring: Keyring, found: Traces) -> int:
    """Take a person out of the bodies that wait or were put aside; other people's parts stay."""
    rows = conn.execute(
        select(raw_event.c.id, raw_event.c.body_sha256, raw_event.c.sealed_body, raw_event.c.state)
        .where(raw_event.c.sealed_body.is_not(None))
        .order_by(raw_event.c.id)
    ).all()
    wanted = (*found.needles, *(public_id.encode() for public_id in found.mails))
    done = 0
    for row in rows:
        aad = f"raw_event:{row.body_sha256}".encode()
        try:
            body = keyring.open(row.sealed_body, aad=aad)
        except SealError:
            # What nobody can open is gone already; retention drops it.
            continue
        if not _names(body, wanted):
            continue
        left = _without(body, wanted)
        values: dict[str, Any] = {"sealed_body": keyring.seal(left, aad=aad) if left else None}
        if not left and row.state == "new":
            values["state"] = "applied"
        conn.execute(update(raw_event).where(raw_event.c.id == row.id).values(values))
        done += 1
    return done


def _names(body: bytes, wanted: Sequence[bytes]) -> bool:
    """Does a body name the person, also where its JSON writes letters as numbers?"""
    lowered = body.lower()
    if any(needle in lowered for needle in wanted):
        return True
    try:
        plain = json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace").lower()
    except (ValueError, RecursionError):
        return False
    return any(needle in plain for needle in wanted)


def _without(body: bytes, wanted: Sequence[bytes]) -> bytes:
    """Give what is left of a body: of a list the elements about others, of anything else nothing."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        # Parts put aside stand line by line.
        return b"\n".join(line for line in body.split(b"\n") if line and not _names(line, wanted))
    if not isinstance(told, list):
        return b""
    others = [one for one in told if not _names(json.dumps(one).encode(), wanted)]
    return json.dumps(others).encode() if others else b""

"""What does scoring a lead cost in the database, against the bare fold, and does it grow with all leads?"""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert

from bench._people import AT, make_leads
from nurture.scoring import policy as policies
from nurture.scoring.fold import fold
from nurture.scoring.project import cooling, events_of, facts_of, rescore
from nurture.settings import Settings
from nurture.store.tables import event
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

KINDS = ("delivered", "opened", "clicked", "page_visited", "downloaded", "demo_requested", "clicked", "opened")


def run(*, quick: bool = False) -> dict[str, object]:
    """Give leads per second of each step, and their ratios; one thread, SQLite, CPU time."""
    people = 1_000 if quick else 5_000
    now = AT + timedelta(days=20)
    with tempfile.TemporaryDirectory() as folder, open_workspace(Settings(home=Path(folder))) as ws:
        rules = policies.load(ws.settings.policies)
        with ws.store.write() as conn:
            leads = list(make_leads(conn, ws.keyring, people).values())
            conn.execute(insert(event), [row for lead_id in leads for row in _events(lead_id)])
        few = leads[: people // 10]
        with ws.store.write() as conn:
            pure = _fold(conn, rules, few) / len(few)
            alone = _timed(lambda: rescore(conn, rules, few, at=now)) / len(few)
            first = _timed(lambda: rescore(conn, rules, leads, at=now)) / people
            again = _timed(lambda: rescore(conn, rules, leads, at=now + timedelta(hours=1))) / people
            crowd = _timed(lambda: rescore(conn, rules, few, at=now + timedelta(hours=2))) / len(few)
            asked = _timed(lambda: cooling(conn, at=now, limit=1000))
    return {
        "leads": people,
        "events per lead": len(KINDS),
        "bare fold, leads/s": 1 / pure,
        "scored for the first time, leads/s": 1 / first,
        "scored again, leads/s": 1 / again,
        "scored again / bare fold": again / pure,
        "a few among ten times as many / a few alone": crowd / alone,
        "who cools, asked / one lead scored": asked / again,
    }


def _events(lead_id: int) -> list[dict[str, object]]:
    return [
        {
            "key": f"{int(AT.timestamp()) + number:010d}:{lead_id}:{kind}", "kind": kind, "lead_id": lead_id,
            "at": AT + timedelta(days=number), "received_at": AT + timedelta(days=number), "verdict": "human",
            "verdict_reason": "bench", "attributes": {},
        }
        for number, kind in enumerate(KINDS)
    ]  # fmt: skip


def _fold(conn: Connection, rules: policies.ScoringPolicy, leads: list[int]) -> float:
    """Time the fold alone, with everything read before."""
    facts, events = facts_of(conn, leads), events_of(conn, rules, leads)
    return _timed(lambda: [fold(events[number], facts[number], rules, AT + timedelta(days=20)) for number in leads])


def _timed(step: Callable[[], object]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started

"""What did each run do? Kept here in counts, because Prefect forgets its runs and we do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from nurture.store.tables import flow_summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection


def record(conn: Connection, flow: str, counts: Mapping[str, int], *, started_at: datetime, ended_at: datetime) -> None:
    """Keep what one run did (times in UTC, numbers only)."""
    row = {"flow": flow, "counts": dict(counts), "started_at": started_at, "ended_at": ended_at}
    conn.execute(insert(flow_summary).values(row))


def last_start(conn: Connection, flow: str) -> datetime | None:
    """When did the newest recorded run of a flow begin (UTC)?"""
    newest = select(flow_summary.c.started_at).where(flow_summary.c.flow == flow)
    return conn.execute(newest.order_by(flow_summary.c.id.desc()).limit(1)).scalar()


def forget(conn: Connection, *, before: datetime) -> int:
    """Drop the summaries of runs that began before a time (UTC); give how many."""
    return conn.execute(delete(flow_summary).where(flow_summary.c.started_at < before)).rowcount

"""Who goes to sales? When leads qualified; every five minutes for what that hint missed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import MOST_TASKS, Story, alarm, tell, told
from tasks.handing_over import Reached, announce_withdrawals, drain_chunk, expire_deadlines, read_answers
from tasks.sending import recover


@flow(name="hand-over", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def hand_over(at: datetime | None = None) -> dict[str, int]:
    """Tell who withdrew, what sales answered or did not, and deliver every open handover; give counts.

    It looks into the outbox and not at the event that woke it, so a burst is one run.
    at: act as if it were this moment; empty for now.
    """
    with told("hand_over", at) as story:
        story.add(recover())
        _tell(announce_withdrawals(), story)
        for handover in expire_deadlines():
            story.add({"expired": 1})
            tell("handover.expired", f"handover.{handover}", handover=handover)
        for handover, answer in read_answers():
            story.add({answer: 1})
            tell(f"handover.{answer}", f"handover.{handover}", handover=handover)
        # Last and until it is empty: a wake-up that comes while we run is dropped, and this serves it.
        for _ in range(MOST_TASKS // 2):
            reached = drain_chunk()
            _tell(reached, story)
            if not reached.count:
                break
    return story.counts()


def _tell(reached: Reached, story: Story) -> None:
    """Count, and emit one event per handover that sales now has or no longer has."""
    story.add({"delivered": len(reached.delivered), "failed": len(reached.failed),
               "dead": len(reached.dead), "withdrawn": len(reached.withdrawn)})  # fmt: skip
    for handover in reached.delivered:
        tell("handover.created", f"handover.{handover}", handover=handover)
    for handover in reached.withdrawn:
        tell("handover.withdrawn", f"handover.{handover}", handover=handover)
    for handover in reached.dead:
        tell("alarm.handover_dead", f"handover.{handover}", handover=handover)

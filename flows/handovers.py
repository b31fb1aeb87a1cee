"""Who goes to sales? When leads qualified; every five minutes for what that hint missed."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import MOST_TASKS, Story, alarm, tell, told
from tasks.handing_over import Reached, announce_withdrawals, drain_chunk, expire_deadlines, find_overdue, read_answers
from tasks.sending import recover


@flow(name="hand-over", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def hand_over(at: datetime | None = None) -> dict[str, int]:
    """Deliver every open handover, tell what sales answered or did not and who withdrew; give counts.

    It looks into the outbox and not at the event that woke it, so a burst is one run.
    at: act as if it were this moment; empty for now.
    """
    with told("hand_over", at) as story:
        story.add(recover())
        # First, so that trouble with anything else never delays a new lead.
        _drain(story)
        for handover in expire_deadlines():
            story.add({"expired": 1})
            tell("handover.expired", f"handover.{handover}", handover=handover)
        for handover in find_overdue():
            story.add({"overdue": 1})
            tell("alarm.handover_overdue", f"handover.{handover}", handover=handover)
        for handover, answer in read_answers():
            story.add({answer: 1})
            tell(f"handover.{answer}", f"handover.{handover}", handover=handover)
        notices = announce_withdrawals()
        story.add({"withdrawn": len(notices.withdrawn), "notices_failed": len(notices.failed),
                   "notices_dead": len(notices.dead)})  # fmt: skip
        for handover in notices.withdrawn:
            tell("handover.withdrawn", f"handover.{handover}", handover=handover)
        for handover in notices.dead:
            tell("alarm.notice_dead", f"handover.{handover}", handover=handover)
        # Last and until it is empty: a wake-up that comes while we run is dropped, and this serves it.
        _drain(story)
    return story.counts()


def _drain(story: Story) -> None:
    """Deliver until nothing is due."""
    for _ in range(MOST_TASKS // 4):
        reached = drain_chunk()
        _tell(reached, story)
        if not reached.count:
            return


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

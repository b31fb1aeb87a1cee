"""What is put in order at night?"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import alarm, tell, told
from tasks.housekeeping import erase_requested, forget, reconcile, urgent_requests, verify_ledger
from tasks.sending import lapse_requests, recover


@flow(name="keep-house", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def keep_house(at: datetime | None = None) -> dict[str, int]:
    """Resolve doubts, let sign-ups lapse, verify the ledger, erase who asked for it, forget; give counts.

    A ledger that does not verify, or holds an authorisation without a living consent, raises an alarm;
    nothing is repaired by itself. Requests of persons that must be answered soon raise one, too.
    at: act as if it were this moment; empty for now.
    """
    with told("keep_house", at) as story:
        story.add(recover())
        story.add(reconcile())
        story.repeat(lapse_requests, until_no="lapsed")
        checked = verify_ledger()
        story.add(checked)
        if checked["ledger_broken"] or checked["unconsented"]:
            entries, unconsented = checked["ledger_entries"], checked["unconsented"]
            tell("alarm.ledger_broken", "ledger", entries=entries, unconsented=unconsented)
        story.add(erase_requested())
        story.add(forget())
        urgent, late = urgent_requests()
        if urgent:
            tell("alarm.rights_due", "rights", requests=urgent, late=late)
    return story.counts()

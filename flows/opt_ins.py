"""Who asked for mail and must confirm it? Every minute."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import alarm, told
from tasks.sending import lapse_requests, queue_confirmations, recover, send_chunk


@flow(name="send-confirmations", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def send_confirmations(at: datetime | None = None) -> dict[str, int]:
    """Send the confirmation mails that are due and let old requests lapse; give counts.

    at: act as if it were this moment; empty for now.
    """
    with told("send_confirmations", at) as story:
        story.add(recover())
        story.repeat(lapse_requests, until_no="lapsed")
        story.repeat(queue_confirmations, until_no="queued")
        story.repeat(lambda: send_chunk("confirmation"), until_no="batches")
    return story.counts()

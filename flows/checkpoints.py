"""What holds us to what the ledger says today? A signed checkpoint, out of our reach; every hour."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import alarm, tell, told
from tasks.anchoring import count_targets, deliver_newest, sign_newest


@flow(name="sign-checkpoint", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def sign_checkpoint(at: datetime | None = None) -> dict[str, int]:
    """Sign what the ledger is now and take it to every target that lacks it; give counts.

    A ledger that does not continue its last checkpoint is never signed and raises an alarm; so does each target
    that could not be reached, while the others go on.
    at: act as if it were this moment; empty for now.
    """
    with told("sign_checkpoint", at) as story:
        signed = sign_newest()
        story.add({"signed": int(signed.new), "refused": int(signed.refused)})
        if signed.refused:
            tell("alarm.checkpoint_refused", "ledger", last=signed.size)
        for number in range(count_targets()):
            taken = deliver_newest(number)
            if taken is None:
                continue
            story.add({"delivered" if taken.delivered else "undelivered": 1})
            if not taken.delivered:
                tell(
                    "alarm.checkpoint_undelivered",
                    f"checkpoint.{taken.size}",
                    target=taken.target,
                    size=taken.size,
                    detail=taken.detail,
                )
    return story.counts()

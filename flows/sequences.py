"""Which mail is whose turn? One deployment per campaign."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  Prefect reads the signature when it runs

from prefect import flow

from flows.telling import alarm, tell, told, warn
from tasks.planning import enrol_chunk, plan_chunk
from tasks.sending import recover, send_chunk, watch_figures


@flow(name="run-sequences", log_prints=False, persist_result=False, on_failure=[alarm], on_crashed=[alarm])
def run_sequences(sequence: str | None = None, at: datetime | None = None) -> dict[str, int]:
    """Put right what a dead run left, let leads in, decide what is due, send it; give counts.

    sequence: name of one sequence; empty for all.
    at: act as if it were this moment; empty for now.
    """
    with told("run_sequences", at) as story:
        story.add(recover())
        warn(watch_figures())
        story.repeat(lambda: enrol_chunk(sequence), until_no="enrolled")
        story.repeat(lambda: plan_chunk(sequence), until_no="due")
        story.repeat(lambda: send_chunk("marketing"), until_no="batches")
        if story.totals["in_doubt"]:
            warn(watch_figures())
        counts = story.counts()
        if counts:
            tell("sequence.ran", f"sequence.{sequence or 'all'}", sequence=sequence, counts=counts)
    return counts

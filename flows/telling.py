"""How does a run tell what it did? Counts in the database and in two artifacts, ids in its events; never a person.

An event is a hint that may get lost: whoever listens also has a sweep.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from nurture.delivery.brakes import Level
from tasks.housekeeping import write_summary
from tasks.workplace import Workplace, workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

    from nurture.delivery.brakes import Pulled

MOST_TASKS = 1000
"""Task runs per flow run; beyond about 3,000 at once Prefect loses some. The next run goes on."""


class Story:
    """What a run did so far, in counts."""

    def __init__(self, name: str, place: Workplace) -> None:
        """Begin with nothing."""
        self.name = name
        self.place = place
        self.totals: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add the counts of one task."""
        self.totals.update(counts)

    def repeat(self, chunk: Callable[[], Mapping[str, int]], *, until_no: str) -> None:
        """Do a chunk again and again until it has none of a thing, and add up; at most MOST_TASKS / 2 times."""
        for _ in range(MOST_TASKS // 2):
            counts = chunk()
            self.add(counts)
            if not counts.get(until_no):
                return

    def counts(self) -> dict[str, int]:
        """Give what was counted, without zeros, in the order of names."""
        return {name: number for name, number in sorted(self.totals.items()) if number}


@contextmanager
def told(name: str, at: datetime | None) -> Iterator[Story]:
    """Open the workplace for a run and tell at its end what it did.

    A run that found nothing to do leaves no artifact: every minute one would only hide the others.
    """
    with workplace(at) as place:
        started = place.now
        story = Story(name, place)
        yield story
        counts = story.counts()
        write_summary(name, counts, started)
        if counts:
            show(name, counts)


def show(name: str, counts: Mapping[str, int]) -> None:
    """Leave a report and a table for the Prefect pages; the newest stands under a fixed key."""
    key = f"nurture-{name.replace('_', '-')}"
    lines = [f"# {name}", "", "| what | count |", "|---|---|", *(f"| {what} | {n} |" for what, n in counts.items())]
    create_markdown_artifact("\n".join(lines), key=key, description="what the newest run did, in counts")
    rows: list[dict[str, Any]] = []
    for what, n in counts.items():
        noun, _, kind = what.partition(".")
        rows.append({"what": noun, "reason or temperature": kind, "count": n})
    create_table_artifact(rows, key=f"{key}-counts", description="the same by reason and temperature")


def tell(event: str, resource: str, **payload: object) -> None:
    """Emit `nurture.<event>` about `nurture.<resource>`; ids and counts only."""
    emit_event(f"nurture.{event}", resource={"prefect.resource.id": f"nurture.{resource}"}, payload=dict(payload))


def warn(pulled: Iterable[Pulled]) -> None:
    """Emit `nurture.alarm.sending_stopped` or `.sending_at_risk` for each brake; reasons hold figures only."""
    for brake in pulled:
        name = "alarm.sending_stopped" if brake.level == Level.STOP else "alarm.sending_at_risk"
        tell(name, "delivery", brake=brake.name, provider=brake.provider, reason=brake.reason)


def alarm(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Emit `nurture.alarm.run_failed` when a run failed or crashed; a hook of every flow."""
    tell("alarm.run_failed", f"flow.{flow.name}", flow=flow.name, flow_run=str(flow_run.id), state=state.type.value)

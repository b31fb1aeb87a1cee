"""Does the whole durable pipeline outrun bare posting? Plan and send through the product, against ceilings beside it.

Every figure is a ratio of variants that took turns within one run. What is timed of ours has all it has in the
field: consent asked again, authorisations in the ledger, addresses decrypted, links signed, three commits a batch.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from bench import _ceilings
from bench._cost import Cost, counted, forget_peak, measured, middle, peak_mb, server_processes, spread
from bench._world import World, world
from bench.fake_sendgrid import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.fake_sendgrid import Fake

QUICK, FULL = 1_500, 10_000
BATCH = 500
LANES = 4
"""Connections at zero latency: the default of the product."""
LATENCY, LATENCY_LANES = 0.1, 8
QUICK_SECONDS = 8.0
"""A quick run begins no further turn later than this: on a busy machine it has fewer than three, and says so."""
REPEATED_UP_TO = 200_000
"""Above it there is one turn and no warming up: minutes, and for orientation only."""
Costs = dict[str, list[Cost]]


def figures(
    database: str, *, quick: bool, progress: Callable[[str], None], leads: int | None = None
) -> dict[str, float | None]:
    """Give the four ratios of the send stage, and beside them counts, rates and CPU of each process."""
    leads = leads or (QUICK if quick else FULL)
    turns = 3 if quick else 1 if leads > REPEATED_UP_TO else 5
    with world(database, leads, batch=BATCH, progress=progress) as made:
        with running("floor") as floor:
            costs = _turns(made, floor, leads, turns, quick=quick, progress=progress)
            peak = peak_mb()
            size = len(_ceilings.single_request(floor.port))
        found = _ratios(costs, made_of=floor.made_of)
        found |= {"turns": float(len(costs["send"])), "peak_rss_mb": peak, "post_bytes": float(size)}
        if leads <= REPEATED_UP_TO:
            found |= _latency(made, min(leads, FULL), turns, quick=quick, progress=progress)
        found |= _counts(made, min(leads, FULL), progress)
    return found


def _turns(made: World, floor: Fake, leads: int, turns: int, *, quick: bool, progress: Callable[[str], None]) -> Costs:
    """Let the variants take turns; the first turn only warms up."""
    single, batch = _ceilings.single_request(floor.port), _ceilings.batch_request(floor.port)
    posts, alone = min(leads, 5_000), max(150, min(leads // 10, 1_000))
    costs: Costs = {}
    server = server_processes(made.ws.store)

    def measure(name: str, count: int, work: Callable[[], object]) -> None:
        with measured(server=server, sink=floor.pid) as cost:
            work()
        cost.count = count
        if turn:
            costs.setdefault(name, []).append(cost)

    forget_peak()
    began = time.monotonic()
    for turn in range(1 if turns == 1 else 0, turns + 1):
        if quick and turn > 1 and time.monotonic() - began > QUICK_SECONDS:
            break
        progress(f"turn {turn} of {turns}" if turn else "warming up")
        variants: list[Callable[[], None]] = [
            *(
                lambda many=many: measure(
                    f"post {many}", posts, lambda: _ceilings.post(floor.port, single, posts, many)
                )
                for many in _ceilings.IN_FLIGHT
            ),
            lambda: measure("post batch", 100_000, lambda: _ceilings.post(floor.port, batch, 100, LANES)),
            lambda: measure("per message", alone, lambda: _ceilings.per_message(floor.port, range(alone))),
            lambda: _ours(made, floor, leads, measure),
        ]
        # Whoever comes first finds another machine than whoever comes last.
        for variant in variants[turn % len(variants) :] + variants[: turn % len(variants)]:
            variant()
    return costs


def _ours(made: World, floor: Fake, leads: int, measure: Callable[[str, int, Callable[[], object]], None]) -> None:
    made.next_week(leads)
    told: list[int] = []
    measure("plan", made.sendable(), lambda: told.append(made.plan()))
    measure("send", made.sendable(), lambda: told.append(made.send(floor.url, lanes=LANES)))
    if told != [made.sendable()] * 2:
        raise AssertionError(f"planned and sent {told}, and {made.sendable()} may be sent")


def _ratios(costs: Costs, *, made_of: str) -> dict[str, float | None]:
    """Compare medians; the best of the single posts is the ceiling."""
    middles = {name: middle(some) for name, some in sorted(costs.items())}
    posts = [name for name in middles if name.startswith("post ") and name != "post batch"]
    best = max(posts, key=lambda name: middles[name].rate)
    ceiling, send, alone = middles[best], middles["send"], middles["per message"]
    both = [plan + send for plan, send in zip(costs["plan"], costs["send"], strict=True)]
    whole = middle(both)
    found: dict[str, float | None] = {
        "send_vs_post_ceiling": send.rate / ceiling.rate,
        "plan_send_vs_post_ceiling": whole.rate / ceiling.rate,
        "plan_send_vs_per_message": whole.rate / alone.rate,
        "send_vs_post_ceiling_ceiling_spread": spread([one.wall for one in costs[best]]),
        "plan_send_vs_post_ceiling_ceiling_spread": spread([one.wall for one in costs[best]]),
        "plan_send_vs_per_message_ceiling_spread": spread([one.wall for one in costs["per message"]]),
        "send_vs_post_ceiling_cpu_ratio": ceiling.cpu_us / send.cpu_us,
        "plan_send_vs_post_ceiling_cpu_ratio": ceiling.cpu_us / whole.cpu_us,
        "plan_send_vs_per_message_cpu_ratio": alone.cpu_us / whole.cpu_us,
        "ceiling_in_flight": float(best.split()[1]),
        "sink_is_c": float(made_of == "c"),
        "plan_send_seconds": whole.wall,
    }
    for name, cost in {**middles, "plan + send": whole}.items():
        key = name.replace(" + ", "_").replace(" ", "_")
        all_of_it = both if name == "plan + send" else costs[name]
        found |= {
            f"{key}_per_second": cost.rate,
            f"{key}_spread": spread([one.wall for one in all_of_it]),
            f"{key}_cpu_us_per_message": cost.cpu_us,
            f"{key}_server_cpu_us_per_message": _us(cost.server, cost.count),
            f"{key}_sink_cpu_us_per_message": _us(cost.sink, cost.count),
            f"{key}_sink_busy_share": None if cost.sink is None else cost.sink / cost.wall,
        }
    return found


def _us(seconds: float | None, count: int) -> float | None:
    return None if seconds is None else seconds / count * 1e6


def _latency(
    made: World, leads: int, turns: int, *, quick: bool, progress: Callable[[str], None]
) -> dict[str, float | None]:
    """Compare where every answer takes 100 ms, and is checked: we on eight connections, the others on ten."""
    ours, theirs = [], []
    alone = _ceilings.CONNECTIONS * (5 if quick else 20)
    with running("checking", delay=LATENCY) as far:
        for turn in range(turns):
            progress(f"latency, turn {turn + 1} of {turns}")
            made.next_week(leads)
            made.plan()
            with measured() as cost:
                cost.count = made.send(far.url, lanes=LATENCY_LANES)
            ours.append(cost.rate)
            with measured() as cost:
                _ceilings.per_message(far.port, range(alone))
            theirs.append(alone / cost.wall)
    return {
        "latency_vs_per_message": median(ours) / median(theirs),
        "latency_vs_per_message_ceiling_spread": spread(theirs),
        "latency_send_per_second": median(ours),
        "latency_per_message_per_second": median(theirs),
        "latency_send_spread": spread(ours),
    }


def _counts(made: World, leads: int, progress: Callable[[str], None]) -> dict[str, float | None]:
    """Send once more to a stand-in that checks everything, and count; these figures are free of noise."""
    progress("counting, with every request checked")
    made.next_week(leads)
    with counted(made.ws.store) as planning:
        planned = made.plan()
    forget_peak()
    with running("checking") as checking, counted(made.ws.store) as sending:
        sent = made.send(checking.url, lanes=LANES)
        told = checking.counts()
    if told["messages"] != sent or sent != planned:
        raise AssertionError(f"{planned} planned, {sent} accepted, {told['messages']} arrived")
    batches = made.batches()
    return {
        "messages": float(sent),
        "lost": float(planned - told["different"]),
        "twice": float(told["twice"]),
        "requests": float(told["requests"]),
        "requests_per_batch": told["requests"] / batches,
        "wire_bytes_per_message": told["bytes"] / sent,
        "batches": float(batches),
        "plan_statements_per_1000": planning.count / planned * 1000,
        "send_statements_per_batch": sending.count / batches,
        "send_commits_per_batch": sending.commits / batches,
        "send_peak_rss_mb": peak_mb(),
    }

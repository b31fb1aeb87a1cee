"""What did the run find, and is it what was promised? Collects the parts, judges, prints, writes JSON and plot."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench import _plot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

QUICK_SECONDS = 35.0
"""A part of a quick run that would begin later than this is left out."""
UNSTABLE = 2.0
"""Largest over smallest ceiling of a run; above it, nothing is said about ratios to that ceiling."""
MILLION = 1_000_000
TO_A_MILLION = "_10k_to_1m"
"""A growth is what its name says, or it is null."""
FULL_SIZES = (10_000, 100_000, MILLION)
REPEATED_UP_TO = 200_000
"""Larger sizes are run once, for orientation: the ratios are medians, so they come from smaller ones."""
RAW = (
    "_per_second",
    "_us_per_message",
    "_us_per_event",
    "_us_per_redirect",
    "_us_per_mail",
    "_tick_ms",
    "tick_ms",
    "peak_mb",
    "_spread",
    "_share",
    "_ratio",
    "_mb",
    "_seconds",
    "_in_flight",
)
PARTS: dict[str, tuple[str, ...]] = {
    "sending": (
        "send_vs_post_ceiling", "plan_send_vs_post_ceiling", "plan_send_vs_per_message", "latency_vs_per_message",
    ),
    "smtp": ("smtp_vs_ceiling",),
    "planner": ("decisions_per_second", "tick_growth_10k_to_1m", "idle_tick_ms", "memory_growth_10k_to_1m"),
    "events": ("events_vs_ceiling",),
    "redirect": ("redirect_vs_bare",),
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a ratio has to be: at least, or at most, on each database."""

    value: float
    at_most: bool = False
    on_postgresql: float | None = None

    def on(self, database: str) -> float:
        """Give the bound for a database."""
        return self.on_postgresql if database == "postgresql" and self.on_postgresql is not None else self.value

    def score(self, database: str, value: float) -> float:
        """Give how far beyond the bound a value is: 1 just meets it, 2 is twice as good."""
        return self.on(database) / value if self.at_most else value / self.on(database)


TARGETS = {
    "send_vs_post_ceiling": Target(0.9),
    "plan_send_vs_post_ceiling": Target(0.55),
    "plan_send_vs_per_message": Target(10),
    "latency_vs_per_message": Target(100),
    "smtp_vs_ceiling": Target(0.7),
    "decisions_per_second": Target(50_000, on_postgresql=25_000),
    "tick_growth_10k_to_1m": Target(4, at_most=True),
    "idle_tick_ms": Target(1, at_most=True),
    "events_vs_ceiling": Target(0.5),
    "redirect_vs_bare": Target(0.75),
    "memory_growth_10k_to_1m": Target(1.5, at_most=True),
}


def measure(databases: Sequence[str], *, quick: bool, leads: Sequence[int] | None) -> dict[str, Any]:
    """Run every part on every database; a part that fails is named, and the others go on."""
    began = time.monotonic()
    result: dict[str, Any] = {}
    result |= {name: {} for name in databases}
    result |= {"counts": {}, "raw": {}, "reasons": {}, "sizes": {}, "failed": [], "quick": quick, "machine": _machine()}
    sizes = tuple(leads or ((1_500,) if quick else FULL_SIZES))
    result["leads"] = main_size = max((size for size in sizes if size <= REPEATED_UP_TO), default=min(sizes))
    for part, names in PARTS.items():
        for database in databases:
            left_out = "quick run: no time was left" if quick and time.monotonic() - began > QUICK_SECONDS else ""
            say = _voice(began, database, part)
            for size in sizes if part == "sending" else (0,):
                found, reason = _part(part, database, quick, size, say, left_out)
                if part == "sending" and size != main_size:
                    result["sizes"].setdefault(database, {})[str(size)] = {"reason": reason} if reason else {**found}
                else:
                    take(result, database, names, found, reason)
                if reason.startswith("failed"):
                    result["failed"].append(f"{database} {part}: {reason}")
    _clear()
    result["seconds"] = time.monotonic() - began
    return result


def of_both(module: ModuleType, *, quick: bool) -> dict[str, object]:
    """Give the figures of one part on both databases, by name."""
    began = time.monotonic()
    found: dict[str, object] = {}
    for database in ("sqlite", "postgresql"):
        say = _voice(began, database, module.__name__)
        of_one = module.figures(database, quick=quick, progress=say)
        found |= {f"{database}: {name}": value for name, value in of_one.items()}
    return found


def _part(
    part: str,
    database: str,
    quick: bool,  # noqa: FBT001  private
    size: int,
    say: Callable[[str], None],
    left_out: str,
) -> tuple[dict[str, float | None], str]:
    """Give what a part measured, or nothing and the reason; `left_out` is a reason not to begin."""
    if left_out:
        return {}, left_out
    try:
        module = import_module(f"bench.{part}")
    except ModuleNotFoundError:
        return {}, "no such part yet"
    if not hasattr(module, "figures"):
        return {}, "this part gives no figures yet"
    further: dict[str, Any] = {"leads": size} if part == "sending" else {}
    try:
        return module.figures(database, quick=quick, progress=say, **further), ""
    except Exception as error:  # noqa: BLE001  the other parts have something to say all the same
        _clear()
        print(f"bench: {database} {part}: {type(error).__name__}: {error}", file=sys.stderr)
        return {}, f"failed: {type(error).__name__}"


def take(
    result: dict[str, Any], database: str, names: Sequence[str], found: dict[str, float | None], reason: str
) -> None:
    """Note what a part measured: its ratios, each with a reason where it is missing, then counts and raw figures."""
    gone_to = found.get("leads") or MILLION
    for name in names:
        value = found.get(name)
        why = reason or ("not measured in a quick run" if result["quick"] else "not measured")
        if value is not None and name.endswith(TO_A_MILLION) and gone_to < MILLION:
            value, why = None, f"this run went to {gone_to:,.0f} leads only"
        result[database][name] = value
        if value is None:
            result["reasons"].setdefault(database, {})[name] = why
    for name, value in found.items():
        if name not in names:
            kind = "raw" if name.endswith(RAW) else "counts"
            result[kind].setdefault(database, {})[name] = value


def verdict(result: dict[str, Any], database: str, name: str) -> str:
    """Say in a word what a ratio means: met, missed, unstable, or why it is not there."""
    value = result[database].get(name)
    if value is None:
        return str(result["reasons"][database][name])
    raw = result["raw"].get(database, {})
    if (raw.get(f"{name}_ceiling_spread") or 1.0) > UNSTABLE:
        cpu = raw.get(f"{name}_cpu_ratio")
        return "unstable, see CPU ratio" + (f" {cpu:.2f}" if cpu else "")
    return "met" if TARGETS[name].score(database, value) >= 1 else "missed"


def table(result: dict[str, Any]) -> str:
    """Write the result for a reader at a terminal."""
    databases = [name for name in ("sqlite", "postgresql") if name in result]
    machine = result["machine"]
    lines = [
        "{cores} cores, {cpu}, Python {python}, SQLite {sqlite}, load {load:.1f} at the start".format(**machine),
        f"{result['leads']:,} leads, {result['seconds']:.0f} s",
        "",
        f"{'ratio':<28}{'target':>12}" + "".join(f"{name:>14}  {'':<28}" for name in databases),
    ]
    for name, target in TARGETS.items():
        bound = "/".join(dict.fromkeys(f"{target.on(database):,g}" for database in databases))
        row = f"{name:<28}{('<= ' if target.at_most else '>= ') + bound:>12}"
        for database in databases:
            value = result[database].get(name)
            shown = "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"  # noqa: PLR2004
            row += f"{shown:>14}  {verdict(result, database, name):<28}"
        lines.append(row.rstrip())
    for kind in ("counts", "raw"):
        names = list(dict.fromkeys(name for one in result[kind].values() for name in one))
        lines += ["", kind]
        for name in names:
            values = [result[kind].get(database, {}).get(name) for database in databases]
            lines.append(f"  {name:<50}" + "".join(f"{_number(value):>16}" for value in values))
    for database, sizes in result["sizes"].items():
        for size, found in sizes.items():
            lines += ["", f"{database}, {int(size):,} leads (for orientation)"]
            lines += [
                f"  {name:<50}{_number(value):>16}"
                for name, value in found.items()
                if name in SHOWN or name == "reason"
            ]
    lines += ["", *(f"FAILED {one}" for one in result["failed"])]
    return "\n".join(lines).rstrip()


SHOWN = (
    "send_vs_post_ceiling", "plan_send_vs_post_ceiling", "plan_send_vs_per_message", "plan_per_second",
    "send_per_second", "plan_send_per_second", "plan_send_seconds", "peak_rss_mb", "lost", "twice",
)  # fmt: skip


def _number(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.3f}"  # noqa: PLR2004
    return "-" if value is None else str(value)


def write(result: dict[str, Any], folder: Path) -> None:
    """Leave bench.json and bench.svg in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    bars = [
        (f"{name}, {database}", TARGETS[name].score(database, value))
        for name in TARGETS
        for database in ("sqlite", "postgresql")
        if (value := result.get(database, {}).get(name)) is not None
    ]
    (folder / "bench.svg").write_text(_plot.bars(bars), "utf-8")


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:  # noqa: PTH123  a file of the kernel
            cpu = next((line.partition(": ")[2].strip() for line in told if line.startswith("model name")), cpu)
    except OSError:
        pass
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "cores": os.cpu_count(), "cpu": cpu, "system": platform.platform(), "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version, "load": load,
    }  # fmt: skip


def _voice(began: float, database: str, part: str) -> Callable[[str], None]:
    """Give a way to tell progress on one line of stderr, rewritten at a terminal."""
    alive = sys.stderr.isatty()

    def say(text: str) -> None:
        line = f"bench {time.monotonic() - began:5.0f} s  {database} {part}: {text}"
        print(f"\r\x1b[K{line}" if alive else line, end="" if alive else "\n", file=sys.stderr, flush=True)

    return say


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

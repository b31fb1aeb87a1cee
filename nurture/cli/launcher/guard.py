"""Who stops the children when the parent is killed outright? This small program, which outlives it by seconds.

Standard library only; started as `python -I -S guard.py FAMILY`. It reads `+<process group>` and
`-<process group>` from its standard input. The end of that stream means that the parent is gone:
whatever is still listed is asked to stop and then killed. So is whatever else bears the family's mark
in its environment: Prefect's worker starts each flow run in a session of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 8.0
MARK = "NURTURE_FAMILY"
"""Environment variable that all descendants inherit, wherever they moved in the tree of processes."""
PROCESSES = Path("/proc")


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; tell whether any of it was there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def members(family: str) -> set[int]:
    """Which processes bear the family's mark? Only Linux tells; elsewhere none are found."""
    mark = f"{MARK}={family}".encode()
    found: set[int] = set()
    for entry in PROCESSES.glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0") and int(entry.name) != os.getpid():
            found.add(int(entry.name))
    return found


def sweep(family: str, grace: float, spare: frozenset[int] = frozenset()) -> None:
    """End what is left of a family, but for the sessions to spare: first ask, then kill."""
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    while left := {process for process in members(family) if _session(process) not in spare}:
        late = time.monotonic() >= deadline
        for process in left if late else left - asked:
            try:
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
            except (ProcessLookupError, PermissionError):
                continue
        asked |= left
        time.sleep(0.1)


def _session(process: int) -> int:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return 0


def stop(groups: set[int], family: str, grace: float = GRACE_SECONDS) -> None:
    """End process groups and then the rest of the family."""
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace
    # Signal 0 only asks whether the group is still there.
    while (left := {group for group in left if signal_group(group, 0)}) and time.monotonic() < deadline:
        time.sleep(0.1)
    for group in left:
        signal_group(group, signal.SIGKILL)
    sweep(family, 1.0)


def main() -> None:
    """Listen until the parent's end of the pipe closes, then clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        sign, number = line[0], int(line[1:])
        if sign == "+":
            groups.add(number)
        else:
            groups.discard(number)
    stop(groups, sys.argv[1])


if __name__ == "__main__":
    main()

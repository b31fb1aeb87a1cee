"""Who stops the children when the parent is killed outright? This small program, which outlives it by seconds.

Standard library only; started as `python -I -S guard.py`. It reads `+<process group>` and
`-<process group>` from its standard input. The end of that stream means that the parent is gone:
whatever is still listed is asked to stop and then killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 8.0


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; tell whether any of it was there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def stop(groups: set[int], grace: float = GRACE_SECONDS) -> None:
    """End process groups: first ask, then kill."""
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        # Signal 0 only asks whether the group is still there.
        left = {group for group in left if _alive(group)}
    for group in left:
        signal_group(group, signal.SIGKILL)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


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
    stop(groups)


if __name__ == "__main__":
    main()

"""How are child processes started, watched and ended, without ever leaving one behind?

Popen, never a shell's `&`: started with SIGINT ignored, Prefect's worker does not stop at all.
Each child leads a process group of its own, so that its flow runs end with it, and a guard ends
them all when this process is killed outright.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nurture.cli.launcher import guard
from nurture.cli.launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

GRACE_SECONDS = 15.0
FLOW_RUN_SECONDS = 5.0
"""For a flow run that was asked to stop to report that it did."""
LOG_LIMIT = 10_000_000
TAIL_LINES = 15


@dataclass
class Child:
    """A running program with the file that holds what it said."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Give the last lines it wrote."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 20_000))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


@dataclass
class Children:
    """A family of child processes that ends together; use it as a context manager."""

    logs: Path
    family: list[Child] = field(default_factory=list)
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    """Borne by all descendants in their environment."""
    _guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the guard."""
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._guard = subprocess.Popen(  # noqa: S603  our own file
            [sys.executable, "-I", "-S", str(Path(guard.__file__)), self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every child, the last started first, then the guard."""
        self.stop()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path) -> Child:
        """Start a program; its output goes to <logs>/<name>.log, readable by us only."""
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603  our own commands
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env={**env, guard.MARK: self.mark},
                cwd=folder,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(descriptor)
        child = Child(name, process, log)
        self.family.append(child)
        self._tell_guard(f"+{process.pid}")
        return child

    def check(self) -> None:
        """Raise LauncherError when a child has died, with the end of what it wrote."""
        for child in self.family:
            code = child.process.poll()
            if code is not None:
                raise LauncherError(
                    f"{child.name} ended by itself (exit code {code}); everything else is stopped. "
                    f"Its last words ({child.log}):\n{child.tail()}"
                )

    def forget(self, child: Child) -> None:
        """Leave out a child whose end was expected."""
        self.family.remove(child)
        self._tell_guard(f"-{child.process.pid}")

    def drop(self, child: Child) -> None:
        """End one child, if it still runs, and leave it out."""
        end(child.process, GRACE_SECONDS)
        self.forget(child)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End all children, the last started first, and whatever they started that still runs."""
        while self.family:
            child = self.family[-1]
            end(child.process, grace)
            self.forget(child)
            # Flow runs of a worker, while the server they report to is still there.
            others = frozenset(other.process.pid for other in self.family)
            guard.sweep(self.mark, FLOW_RUN_SECONDS, others)

    def _tell_guard(self, line: str) -> None:
        if self._guard is None or self._guard.stdin is None:
            return
        self._guard.stdin.write(f"{line}\n".encode("ascii"))
        self._guard.stdin.flush()


def end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a process group: ask, wait, kill."""
    guard.signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    try:
        process.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        deadline = 0
    # Its leader is gone; flow runs of a worker may need a moment more to say that they were ended.
    while time.monotonic() < deadline and guard.signal_group(process.pid, signal.SIGTERM):
        time.sleep(0.2)
    guard.signal_group(process.pid, signal.SIGKILL)
    process.wait()

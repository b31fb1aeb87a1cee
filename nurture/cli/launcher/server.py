"""How do we get a hardened Prefect server, for `nurture up`, for the demo and for tests?"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nurture.cli.launcher import ports, seed
from nurture.cli.launcher.api import PrefectApi
from nurture.cli.launcher.children import Child, Children
from nurture.cli.launcher.environment import hardened, prefect_home
from nurture.cli.launcher.errors import LauncherError, PortTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

READY_SECONDS = 300.0
"""A saturated machine needs more than a minute for the first start, which also makes Prefect's database."""

ALSO = frozenset({"NURTURE_HOME", "DO_NOT_TRACK"})
"""What flows in this process need beside Prefect's own variables."""


def connect(env: Mapping[str, str]) -> PrefectApi:
    """Give a client for the server that an environment of `hardened` names."""
    return PrefectApi(env["PREFECT_API_URL"], env["PREFECT_API_AUTH_STRING"])


def start_server(children: Children, env: Mapping[str, str]) -> Child:
    """Start the server; it is not ready yet."""
    folder = Path(env["PREFECT_HOME"])
    seed.lay_down(folder)
    # Started in its own folder, it finds no stray prefect.toml.
    return children.start("prefect-server", [sys.executable, "-m", "prefect", "server", "start"], env, folder)


def wait_ready(
    api: PrefectApi,
    children: Children | None,
    *,
    seconds: float = READY_SECONDS,
    tick: Callable[[], None] | None = None,
) -> float:
    """Wait until the server answers, reaches its database and refuses strangers; give the seconds it took.

    Calls `tick` about four times a second. Raises LauncherError when a child dies, the time is over,
    or what answers there is open; PortTakenError when it is a server that does not know our login.
    """
    begun = time.monotonic()
    while not api.ready():
        if children:
            children.check()
        if time.monotonic() - begun > seconds:
            raise LauncherError(f"the Prefect server was not ready after {seconds:.0f} s; see prefect-server.log")
        if tick:
            tick()
        time.sleep(0.25)
    # Our child could have died of a port in use while another, open server answers there.
    if children:
        children.check()
    if not api.is_closed():
        raise LauncherError("the Prefect server answers without login; it is not ours. Choose another port")
    if not api.is_ours():
        raise PortTakenError("another installation's Prefect server came first to our port; start again")
    return time.monotonic() - begun


@contextmanager
def prefect_server(home: Path, port: int = 0, *, wait: bool = True) -> Iterator[dict[str, str]]:
    """Run a hardened server for the block (port 0: any free one) and yield its environment.

    `home` is the workspace folder; Prefect keeps everything in `home`/prefect. Pass the environment to
    child processes, or call flows in this process inside `in_process(env)`. With wait=False the block
    begins while the server still starts (some seconds of other work fit in); `in_process` then waits.
    """
    prefect_home(home)
    env = hardened(home, port or ports.any_free(), os.environ)
    with Children(home / "logs") as children:
        start_server(children, env)
        api = connect(env)
        try:
            if wait:
                wait_ready(api, children)
            yield env
        finally:
            api.close()


@contextmanager
def in_process(env: Mapping[str, str]) -> Iterator[None]:
    """Let flows called in this process report to the server of `prefect_server`.

    The heartbeat is off: a flow would wait a second for it to end, and a caller that waits sees a
    crash itself. Import flows inside the block, or set PREFECT_HOME before, if ~/.prefect must stay untouched.
    """
    ours = {name: value for name, value in env.items() if name.startswith("PREFECT_") or name in ALSO}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        _wait_for(env)
        from prefect import settings

        chosen = {
            settings.PREFECT_HOME: env["PREFECT_HOME"],
            settings.PREFECT_API_URL: env["PREFECT_API_URL"],
            settings.PREFECT_API_AUTH_STRING: env["PREFECT_API_AUTH_STRING"],
            settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            settings.PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
            settings.PREFECT_RESULTS_PERSIST_BY_DEFAULT: False,
            # The server is plain HTTP on loopback; each of a flow's clients would read the list of certificates.
            settings.PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
        }
        with settings.temporary_settings(chosen):
            try:
                yield
            finally:
                _drain()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _wait_for(env: Mapping[str, str]) -> None:
    api = connect(env)
    try:
        wait_ready(api, None)
    finally:
        api.close()


def _drain() -> None:
    """Send what Prefect still holds back: its threads would go on trying after the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all()
    APILogWorker.drain_all()

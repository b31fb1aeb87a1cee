"""What does `nurture up` do? Start server, worker and web app, apply the deployments, watch, stop all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import httpx

from nurture.cli.launcher import automations, deployments, ports
from nurture.cli.launcher.children import Children
from nurture.cli.launcher.environment import LOOPBACK, hardened, prefect_home, refuse_open_profile, scratch
from nurture.cli.launcher.errors import LauncherError, PortTakenError
from nurture.cli.launcher.lock import only_one
from nurture.cli.launcher.server import connect, start_server, wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nurture.cli.launcher.api import PrefectApi
    from nurture.cli.launcher.children import Child
    from nurture.settings import Settings

WAIT_SECONDS = 300.0
DEPLOY_SECONDS = 600
PORTS_TRIED = 3


@dataclass
class Up:
    """A running installation."""

    settings: Settings
    children: Children
    env: dict[str, str]
    api: PrefectApi
    web_url: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[str, str]:
        """Where to look."""
        outbox = {"outbox": str(self.settings.home / "outbox")} if self.settings.provider == "outbox" else {}
        return {
            "public pages": self.web_url,
            "prefect": self.env["PREFECT_API_URL"].removesuffix("/api"),
            "prefect login": str(prefect_home(self.settings.home) / "auth"),
            "health": f"{self.web_url}/health",
            **outbox,
        }


@contextmanager
def up(settings: Settings, *, version: str, say: Callable[[str], None], with_web: bool = True) -> Iterator[Up]:
    """Start everything for the block; when it ends, however it ends, nothing of it runs on.

    Raises LauncherError when it runs already, a port is taken, something dies or does not come up.
    """
    refuse_open_profile(os.environ, settings.prefect_port)
    home = settings.home
    prefect_home(home)
    with only_one(home), Children(home / "logs") as children:
        # What killed runs left; nobody else works here now.
        shutil.rmtree(scratch(home), ignore_errors=True)
        web_url, web_env = _web_address(settings)
        path = os.pathsep.join(filter(None, [str(settings.project), os.environ.get("PYTHONPATH", "")]))
        begun = time.monotonic()
        env, api = _serve(settings, children, {**web_env, "NURTURE_VERSION": version, "PYTHONPATH": path}, say)
        try:
            running = Up(settings, children, env, api, web_url)
            _remember_addresses(running)
            _start(running, begun, version=version, say=say, with_web=with_web)
            yield running
        finally:
            say("stopping ...")
            children.stop()
            api.close()


def watch(running: Up) -> NoReturn:
    """Wait for a signal. Raises LauncherError when a child dies."""
    while True:
        running.children.check()
        time.sleep(0.5)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt, at whatever point of the start.

    What follows the first only hurries the stopping when it is another Ctrl-C.
    """
    asked_before = False

    def asked(number: int, _frame: object) -> None:
        nonlocal asked_before
        if asked_before and number != signal.SIGINT:
            return
        asked_before = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(
    settings: Settings, children: Children, ours: Mapping[str, str], say: Callable[[str], None]
) -> tuple[dict[str, str], PrefectApi]:
    """Start the Prefect server and wait until it is ready; give its environment and a client.

    Another installation that starts at the same moment may come first to the port that both saw free; then
    the next one is tried.
    """
    say("starting the Prefect server ...")
    wanted = settings.prefect_port
    for left in reversed(range(PORTS_TRIED)):
        port = ports.near(wanted)
        if port != settings.prefect_port:
            say(f"port {settings.prefect_port} is taken by another program; Prefect gets {port}")
        env = {**hardened(settings.home, port, os.environ), **ours}
        api = connect(env)
        child = start_server(children, env)
        try:
            wait_ready(api, children)
        except BaseException as error:
            api.close()
            lost_race = isinstance(error, PortTakenError) or (
                child.process.poll() is not None and not ports.is_free(port)
            )
            if not (left and lost_race):
                raise
            children.drop(child)
            wanted = port + 1
        else:
            return env, api
    raise AssertionError  # the last round returns or raises


def _start(running: Up, begun: float, *, version: str, say: Callable[[str], None], with_web: bool) -> None:
    settings, children, env = running.settings, running.children, running.env

    def done(what: str) -> None:
        running.seconds[what] = round(time.monotonic() - begun, 1)
        say(f"{what} after {running.seconds[what]:.1f} s")

    done("Prefect server ready")
    if with_web:
        children.start("web", [sys.executable, "-m", "nurture.web"], env, settings.project)
    deployments.make_pool(running.api)
    start_worker(running)
    _deploy(running, version)
    automations.apply(running.api)
    done("deployments, schedules and triggers in place")
    _until(lambda: deployments.worker_is_online(running.api), children, "the worker")
    done("worker online")
    if with_web:
        _until(lambda: _answers(f"{running.web_url}/health"), children, "the web app")
        done("web app answers")


def start_worker(running: Up) -> Child:
    """Start a process worker for our pool; every flow run is a child of it."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", deployments.POOL, "--type", "process",
               "--limit", str(running.settings.worker_limit), "--name", "nurture-up"]  # fmt: skip
    return running.children.start("worker", command, running.env, running.settings.project)


def _deploy(running: Up, version: str) -> None:
    project, home = running.settings.project, prefect_home(running.settings.home)
    expected = deployments.read(project)
    mark = deployments.fingerprint(project, version)
    if deployments.is_applied(home, mark) and not deployments.missing(running.api, expected):
        return
    try:
        answer = subprocess.run(  # noqa: S603  our own command
            deployments.command(),
            cwd=project,
            env=running.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LauncherError(f"prefect deploy did not end within {DEPLOY_SECONDS} s") from error
    gaps = deployments.missing(running.api, expected)
    if answer.returncode or gaps:
        tail = "\n".join((answer.stdout + answer.stderr).splitlines()[-25:])
        raise LauncherError(f"prefect deploy left out: {', '.join(gaps) or 'unknown'}. It said:\n{tail}")
    deployments.remember(home, mark)


def _until(is_there: Callable[[], bool], children: Children, what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_there():
        children.check()
        if time.monotonic() > deadline:
            raise LauncherError(
                f"{what} was not ready after {WAIT_SECONDS:.0f} s; see the logs folder of the home folder"
            )
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _web_address(settings: Settings) -> tuple[str, dict[str, str]]:
    """Give the address of the pages and the environment that makes the web app listen there."""
    host = f"[{settings.web_host}]" if ":" in settings.web_host else settings.web_host
    if settings.web_port == 0:
        port = ports.any_free()
        url = f"http://{host}:{port}"
        return url, {"NURTURE_WEB_PORT": str(port), "NURTURE_PUBLIC_URL": url}
    ports.require_for_pages(settings.web_port, settings.web_host)
    reached = LOOPBACK if settings.web_host in {"0.0.0.0", "::"} else host  # noqa: S104  compared, not bound
    return f"http://{reached}:{settings.web_port}", {}


def _remember_addresses(running: Up) -> None:
    text = json.dumps({"pid": os.getpid(), **running.addresses}, indent=2)
    (prefect_home(running.settings.home) / "up.json").write_text(text, "utf-8")

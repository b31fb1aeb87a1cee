"""Are children closed in, watched, and gone at the end?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from nurture.cli.launcher import deployments, ports, seed
from nurture.cli.launcher.children import Children
from nurture.cli.launcher.environment import auth_string, hardened, prefect_home, refuse_open_profile
from nurture.cli.launcher.errors import LauncherError
from nurture.cli.launcher.supervisor import up
from nurture.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
PARENT = """
import subprocess, sys, time
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123  a file of the system
        return file.read().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait until a process is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def grandchild(log: Path) -> int:
    """Read the process id that a child of PARENT's kind printed."""
    deadline = time.monotonic() + 10
    while not (text := log.read_text("ascii").strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(text)


def test_login_is_made_once_and_private(tmp_path: Path) -> None:
    first = auth_string(tmp_path)
    assert auth_string(tmp_path) == first
    assert (tmp_path / "prefect" / "auth").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "prefect").stat().st_mode & 0o777 == 0o700


def test_a_readable_login_is_refused(tmp_path: Path) -> None:
    auth_string(tmp_path)
    (tmp_path / "prefect" / "auth").chmod(0o644)
    with pytest.raises(LauncherError, match="chmod 600"):
        auth_string(tmp_path)


def test_an_open_profile_is_refused() -> None:
    with pytest.raises(LauncherError, match="unset PREFECT_API_URL"):
        refuse_open_profile({"PREFECT_API_URL": "http://10.0.0.1:4200/api"}, 4321)


def test_our_own_address_is_no_open_profile() -> None:
    refuse_open_profile({"PREFECT_API_URL": "http://127.0.0.1:4321/api"}, 4321)


def test_the_users_prefect_settings_stay_outside(tmp_path: Path) -> None:
    opened = {"PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "false", "PREFECT_SERVER_API_HOST": "0.0.0.0",
              "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite:///else.db", "PATH": "/bin"}  # fmt: skip
    env = hardened(tmp_path, 4321, opened)
    assert env["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert env["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert "PREFECT_API_DATABASE_CONNECTION_URL" not in env
    assert env["PATH"] == "/bin"


def test_a_taken_port_gives_a_neighbour() -> None:
    import socket  # noqa: PLC0415  for this test

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ports.near(port) != port


def test_children_end_with_the_block(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        pid = children.start("sleeper", SLEEPER, os.environ, tmp_path).process.pid
        assert alive(pid)
    assert not alive(pid)


def test_grandchildren_end_too(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("parent", [sys.executable, "-c", PARENT], os.environ, tmp_path)
        pid = grandchild(child.log)
    assert gone(pid)


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Children(tmp_path) as children:
        child = children.start("deaf", [sys.executable, "-c", deaf], os.environ, tmp_path)
        while not child.tail():
            time.sleep(0.05)
        children.stop(grace=0.3)
        assert child.process.returncode == -signal.SIGKILL


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    program = (
        "import os, sys, time, pathlib\n"
        "from nurture.cli.launcher.children import Children\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "with Children(here) as children:\n"
        f"    child = children.start('parent', [sys.executable, '-c', {PARENT!r}], os.environ, here)\n"
        "    print(child.process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    with supervisor.stdout as told:
        child = int(told.readline())
    below = grandchild(tmp_path / "parent.log")
    supervisor.kill()
    supervisor.wait()
    assert gone(child)
    assert gone(below)


def test_a_dead_child_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        dying = [sys.executable, "-c", "print('no more disk'); raise SystemExit(3)"]
        children.start("web", dying, os.environ, tmp_path).process.wait()
        with pytest.raises(LauncherError, match=r"web ended by itself \(exit code 3\)[\s\S]*no more disk"):
            children.check()


def test_logs_are_private(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("sleeper", SLEEPER, os.environ, tmp_path)
        assert child.log.stat().st_mode & 0o777 == 0o600


def test_a_second_start_names_the_first(tmp_path: Path) -> None:
    import fcntl  # noqa: PLC0415  for this test

    folder = prefect_home(tmp_path)
    (folder / "up.json").write_text('{"pid": 7, "prefect": "http://127.0.0.1:4321"}', "utf-8")
    with (folder / "up.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        start = up(Settings(home=tmp_path, web_port=0), version="0", say=print)
        with pytest.raises(LauncherError, match=r"runs already .*process 7.*4321"):
            start.__enter__()


def test_a_taken_public_port_is_an_error(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415  for this test

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        start = up(Settings(home=tmp_path, web_port=taken.getsockname()[1]), version="0", say=print)
        with pytest.raises(LauncherError, match="NURTURE_WEB_PORT"):
            start.__enter__()


def test_a_changed_version_deploys_again(tmp_path: Path) -> None:
    mark = deployments.fingerprint(Settings(home=tmp_path).project, "1.0.0")
    deployments.remember(tmp_path, mark)
    assert deployments.is_applied(tmp_path, mark)
    assert not deployments.is_applied(tmp_path, deployments.fingerprint(Settings(home=tmp_path).project, "1.0.1"))


def test_a_first_start_copies_the_prepared_database(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_bytes(b"prepared")
    (tmp_path / "home").mkdir()
    assert seed.lay_down(tmp_path / "home", tmp_path / "kept.db")
    copied = tmp_path / "home" / "prefect.db"
    assert (copied.read_bytes(), copied.stat().st_mode & 0o777) == (b"prepared", 0o600)


def test_without_a_prepared_database_prefect_makes_its_own(tmp_path: Path) -> None:
    assert not seed.lay_down(tmp_path, tmp_path / "missing.db")


def test_a_second_start_leaves_the_database(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"")
    assert not seed.lay_down(tmp_path)

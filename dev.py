#!/usr/bin/env python3
"""What does a developer (or a newcomer) type? Standard library only: it prepares everything else.

`python3 dev.py` lists the verbs. Every verb first makes `.venv` and installs the hashed lock
(with uv where it is on the path, else with pip), which is skipped while the lock is unchanged.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)
TEST_SPACE = 6 << 30

# verb -> (one line of help, does it need the development tools?)
VERBS = {
    "demo": ("run the whole product on the bundled example, offline (all options: demo --help)", False),
    "test": ("run the tests (arguments go to pytest; --database sqlite: only on SQLite)", True),
    "check": ("lint, types, import contracts, requirement coverage", True),
    "bench": ("measure, as ratios within one run (--quick: under a minute)", True),
    "mutate": (
        "change the code in small ways and see whether a test notices (mutate consent/gate.py --report FILE)",
        True,
    ),
    "up": ("start the local server, worker and web app (nurture up)", False),
    "docs": ("rebuild the generated parts of docs/reference", True),
    "lock": ("renew requirements*.txt from pyproject.toml (needs uv)", False),
}


def say(text: str) -> None:
    """Speak on stderr, so that stdout stays for the result (--json)."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  the only voice this file has


def fail(text: str) -> NoReturn:
    """Stop with a message that names the remedy."""
    say(f"dev.py: {text}")
    raise SystemExit(1)


def run(*command: str | Path, env: dict[str, str] | None = None) -> int:
    """Run a command in the project folder and give its exit code."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=env, check=False).returncode  # noqa: S603


def lock_fingerprint(lock: Path) -> str:
    """What is installed: the lock, the project's own metadata and the Python in use."""
    parts = [lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def prepare(*, development: bool) -> None:
    """Make .venv hold exactly what the lock says; do nothing if it does already."""
    locks = {True: ROOT / "requirements-dev.txt", False: ROOT / "requirements.txt"}
    stamps = {kind: VENV / f".installed-{'dev' if kind else 'run'}" for kind in (True, False)}
    if PYTHON.exists():
        # The development lock contains the run lock: either serves a verb that only runs.
        for kind in {True, development}:
            if stamps[kind].exists() and stamps[kind].read_text() == lock_fingerprint(locks[kind]):
                return
    started = "Preparing .venv from the hashed lock (once; about a minute with pip) ..."
    say(started)
    uv = shutil.which("uv")
    if not PYTHON.exists():
        try:
            venv.create(VENV, with_pip=uv is None, clear=VENV.exists())
        except (OSError, subprocess.CalledProcessError) as error:
            fail(f"cannot make {VENV.name}: {error}. On Debian or Ubuntu: apt-get install python3-venv")
    for stamp in stamps.values():
        stamp.unlink(missing_ok=True)
    lock = locks[development]
    install: list[str | Path] = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    if uv:
        install = [uv, "pip", "install", "--python", PYTHON]
    # The lock is complete; left to resolve by itself, pip looks for other versions where extras are asked.
    if run(*install, "--quiet", "--no-deps", "--require-hashes", "-r", lock) != 0:
        fail("the installation failed; its message stands above. Is a package index reachable?")
    link_checkout()
    say("Preparing an empty Prefect database (once) ...")
    # Without it every new workspace waits for a hundred migrations; nothing else depends on it.
    run(PYTHON, "-c", "from nurture.cli.launcher import seed; seed.prepare()")
    stamps[development].write_text(lock_fingerprint(lock))


def link_checkout() -> None:
    """Make this checkout importable and `nurture` callable from .venv, with no build step.

    A path file and a three-line script do what an editable install would, need no build
    backend in the run lock and download nothing.
    """
    site = next(VENV.glob("lib/python3*/site-packages"), VENV / "Lib" / "site-packages")
    (site / "nurture-checkout.pth").write_text(f"{ROOT}\n")
    if os.name == "nt":
        (BIN / "nurture.cmd").write_text(f'@"{PYTHON}" -m nurture %*\n')
        return
    script = BIN / "nurture"
    script.write_text(f"#!{PYTHON}\nfrom nurture.cli.main import run\n\nrun()\n")
    script.chmod(0o755)


def test(arguments: list[str]) -> int:
    """Run pytest; bare, it runs everything on SQLite and then the database tests on PostgreSQL.

    Thousands of small databases wait for a disk at every commit, and no test is about a power cut: where there is
    memory to spare, they lie there. TMPDIR chooses another place.
    """
    memory = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
    if "TMPDIR" in os.environ or not memory.is_dir() or not os.access(memory, os.W_OK) or not spacious(memory):
        return run(PYTHON, "-m", "pytest", *arguments)
    with tempfile.TemporaryDirectory(prefix="nurture-test-", dir=memory) as folder:
        return run(PYTHON, "-m", "pytest", *arguments, env={**os.environ, "TMPDIR": folder})


def spacious(memory: Path) -> bool:
    """Tell whether a file system in memory may take what a run leaves, about 2 GiB."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(shutil.disk_usage(memory).free, available) > TEST_SPACE


def check(arguments: list[str]) -> int:
    """Run every gate, even after one failed, so that one call shows all there is to mend."""
    if arguments:
        fail("check takes no arguments")
    gates = {
        "format": (PYTHON, "-m", "ruff", "format", "--check", "."),
        "lint": (PYTHON, "-m", "ruff", "check", "."),
        "types": (PYTHON, "-m", "mypy"),
        "imports": (BIN / "lint-imports",),
        "requirements": (PYTHON, "-m", "tests.requirement_coverage"),
    }
    failed = []
    for name, command in gates.items():
        say(f"-- {name}")
        if run(*command) != 0:
            failed.append(name)
    say(f"check: failed: {', '.join(failed)}" if failed else "check: all gates passed")
    return 1 if failed else 0


def lock() -> int:
    """Renew both locks. Universal and hashed, and with no index address inside."""
    uv = shutil.which("uv")
    if uv is None:
        fail("uv is needed to renew the locks: pip install uv")
    base = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11",
            "--no-header", "--no-emit-index-url", "pyproject.toml"]  # fmt: skip
    first = run(*base, "-o", "requirements.txt")
    return first or run(*base, "--group", "dev", "-o", "requirements-dev.txt")


def usage() -> str:
    """List the verbs."""
    lines = [f"  python3 dev.py {verb:<7} {text}" for verb, (text, _) in VERBS.items()]
    return "\n".join(["nurture: what you can do here", "", *lines])


def main(arguments: list[str]) -> int:
    """Dispatch one verb."""
    if sys.version_info < OLDEST:
        fail(f"Python {'.'.join(map(str, OLDEST))} or newer is needed, this is {sys.version.split()[0]}")
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())  # noqa: T201
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        say(f"dev.py: there is no verb {verb!r}\n\n{usage()}")
        return 64
    if verb == "lock":
        return lock()
    prepare(development=VERBS[verb][1])
    own = {"test": test, "check": check}
    if verb in own:
        return own[verb](rest)
    module = {"bench": ["bench"], "mutate": ["mutate"], "docs": ["nurture.cli.reference"]}.get(verb, ["nurture", verb])
    return run(PYTHON, "-m", *module, *rest)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None

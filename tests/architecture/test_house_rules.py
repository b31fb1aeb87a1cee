"""Rules that no linter knows, held over our own source."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("consent", "nurture", "flows", "tasks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CLOCK = ROOT / "nurture" / "clock.py"


def calls(path: Path) -> list[tuple[int, str, ast.Call]]:
    """Give every call in a file with its line and the text of what is called."""
    tree = ast.parse(path.read_text("utf-8"))
    return [(n.lineno, ast.unparse(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


def test_only_the_clock_asks_the_time() -> None:
    """Time is an argument; what measures a span uses time.monotonic, or the stopwatch of the clock."""
    asking = re.compile(r"(^|\.)(utcnow|today|now)$|^time\.time$")
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path != CLOCK
        for line, name, _ in calls(path)
        if (asking.search(name) and "datetime" in name + ".datetime" * (name == "time.time")) or name == "time.time"
    ]

    assert found == []


def test_raw_sql_is_constant() -> None:
    """text() and exec_driver_sql() get literals or names, never something formatted."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if "migrations" not in path.parts
        for line, name, call in calls(path)
        if name.rpartition(".")[2] in {"text", "exec_driver_sql"}
        and any(isinstance(a, ast.JoinedStr | ast.BinOp) for a in call.args)
    ]

    assert found == []


def test_no_committed_file_names_a_machine_or_an_index() -> None:
    """Locks, docs and code hold no path of a build machine and no package index address."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    banned = re.compile(rb"files\.python" + rb"hosted|py" + rb"pi\.org/simple|registry\.np" + rb"mjs|/work" + rb"/main")
    found = [name for name in listed if name and (ROOT / name).is_file() and banned.search((ROOT / name).read_bytes())]

    assert found == []


def test_no_lock_that_names_hosts_is_committed() -> None:
    """uv.lock and pylock.toml name download hosts."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    assert not {"uv.lock", "pylock.toml"} & {Path(name).name for name in listed}


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_package_has_hashes(lock: str) -> None:
    """Each pin is followed by at least one hash."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text("utf-8"))
    bare = [e.split()[0] for e in entries if "==" in e.split("\n")[0] and "--hash=sha256:" not in e]

    assert bare == []


def test_tests_hold_no_package_markers() -> None:
    """With __init__.py, pytest would import tests/consent as `consent`."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_help_answers_without_prefect() -> None:
    """`nurture --help` imports nothing heavy."""
    heavy = ("prefect", "sqlalchemy", "fastapi", "pydantic_settings", "jinja2", "cryptography")
    code = (
        "import sys\nfrom nurture.cli.main import build\nbuild()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_only_consent_writes_the_ledger() -> None:
    """Nobody else appends entries or touches the tables of the proof."""
    tables = {"ledger_entry", "ledger_head", "consent_state", "proof_vault", "identity"}
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] != "consent"
        for line, name, call in calls(path)
        if name == "ledger.append"
        or (name in {"insert", "update", "delete"} and call.args and ast.unparse(call.args[0]).split(".")[-1] in tables)
    ]

    assert found == []

"""T69: whoever kills the writer in the middle of a batch finds all of it or nothing, and a tree that holds."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consent import checkpoints, ledger
from consent.checkpoints import Signer
from consent.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from nurture.store.engine import Store

ROOT = Path(__file__).resolve().parent.parent.parent
BEFORE, BATCH = 250, 2300
"""The batch fills tiles and goes in by three statements."""

WRITER = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from sqlalchemy import event
from consent import checkpoints, ledger
from consent.ledger import Entry
from nurture.store.engine import open_store

url, key, at, count = sys.argv[1], Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3]), int(sys.argv[4])
original = ledger.insert_columns

def work(last):
    store = open_store(url)
    seen = 0

    def step(*_arguments):
        nonlocal seen
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    def counted(*arguments):
        # COPY goes past SQLAlchemy's cursor.
        original(*arguments)
        step()

    event.listen(store.engine, "before_cursor_execute", step)
    event.listen(store.engine, "commit", step)
    ledger.insert_columns = counted
    with store.write() as conn:
        ledger.append(conn, [Entry("subject.erased", {"reason": f"n{n}"}, at, "s" * 26) for n in range(count)])
        checkpoints.sign(conn, checkpoints.Signer.load_or_create(key, "musterwerk.example/consent"), at=at)

# Imported once; each try is a process of its own.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        work(int(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def writer(database_url: str, key: Path, at: datetime) -> Iterator[Callable[[int], int]]:
    """Let other processes append the batch and sign; each kills itself at the step it is told, or reaches the end."""
    command = [sys.executable, "-c", WRITER, database_url, str(key), at.isoformat(), str(BATCH)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None

        def tried(last: int) -> int:
            running.stdin.write(f"{last}\n")  # type: ignore[union-attr]
            running.stdin.flush()  # type: ignore[union-attr]
            return int(running.stdout.readline())  # type: ignore[union-attr]

        yield tried
        running.stdin.close()


@pytest.mark.timeout(600)
def test_t69_a_killed_batch_leaves_all_or_nothing(
    store: Store, database_url: str, at: datetime, tmp_path: Path
) -> None:
    """T69: SIGKILL at every statement and at the commit; then everything is recomputed, and a new append goes on."""
    key = tmp_path / "checkpoint_key.json"
    signer = Signer.load_or_create(key, "musterwerk.example/consent")
    with store.write() as conn:
        ledger.append(conn, [Entry("subject.erased", {"reason": "x"}, at, "s" * 26)] * BEFORE)
        first = checkpoints.sign(conn, signer, at=at)
    kills = 0
    with writer(database_url, key, at) as tried:
        while (code := tried(kills)) == -signal.SIGKILL:
            with store.read() as conn:
                assert ledger.head(conn).size == BEFORE, f"step {kills}"
                assert ledger.verify(conn).ok, f"step {kills}"
                assert checkpoints.latest(conn) == first, f"step {kills}"
            kills += 1

    assert code == 0
    # Three inserts, three tiles, three moves of the head, the looks before each, the checkpoint, the commit.
    assert kills >= 12
    with store.read() as conn:
        assert ledger.head(conn).size == BEFORE + BATCH
        assert ledger.verify(conn).ok
        newest = checkpoints.latest(conn)
    assert newest is not None
    assert newest.size == BEFORE + BATCH

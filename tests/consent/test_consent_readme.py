"""README.md of consent/ says what the code does; its figures come from running it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from consent import canonical, gate, ledger
from consent.ledger import FIELDS, Entry
from consent.schema import ledger_entry

if TYPE_CHECKING:
    from nurture.store.engine import Store

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "consent" / "README.md").read_text("utf-8")


def block(language: str) -> str:
    """The one fenced block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading row."""
    table = README.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_readme_names_every_entry_type() -> None:
    """The table of entries is the closed set, with exactly its fields."""
    shown = {row[0]: set(row[2].split(", ")) for row in rows("| type | written when")}

    assert shown == {str(kind): set(fields) for kind, fields in FIELDS.items()}


def test_readme_names_every_reason() -> None:
    """The table of reasons is the gate's closed set."""
    assert [row[0] for row in rows("| reason | meaning")] == [str(reason) for reason in gate.RefusalReason]


def test_worked_example_runs_as_printed() -> None:
    """A stranger who copies the program gets the figures shown."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", block("python")], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == block("text")


def test_worked_example_is_our_ledger(store: Store) -> None:
    """Appending the example's entries gives its leaves and its root, byte for byte."""
    shown = block("json").splitlines()
    entries = []
    for line in shown:
        leaf = canonical.decode(line.encode())
        entries.append(Entry(leaf["type"], leaf["body"], canonical.utc_time(leaf["at"]), leaf["subject"]))
    with store.write() as conn:
        ledger.append(conn, entries)
        leaves = conn.execute(select(ledger_entry.c.leaf).order_by(ledger_entry.c.seq)).scalars()
        assert [leaf.decode() for leaf in leaves] == shown
        head = ledger.head(conn)

    assert block("text").splitlines()[-1] == f"{head.size} {head.root_hex}"

"""The lock order of CONTRIBUTING.md: who appends to the ledger becomes its one writer before anything else."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

import consent
from consent import (
    basis,
    checkpoints,
    gate,
    identity,
    imported,
    ledger,
    opt_in,
    rights,
    rotation,
    suppression,
    tokens,
    withdrawal,
)
from consent.addresses import Address
from tests.consent.people import NEWSLETTER, OTHER, People
from tests.consent.test_basis import PROOF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Engine

    from consent.keys import Keyring

KIM, PAT, LEE, NEW = (Address.of(f"{name}@firma.example") for name in ("kim", "pat", "lee", "new"))
WHO: dict[str, Any] = {"actor": "operator", "reason": "request"}
LEAVING: dict[str, Any] = {"controller": "default", "purposes": None, "route": "page", "actor": "recipient"}
ASKING: dict[str, Any] = {"controller": "default", "language": "de", "source": "footer", "evidence": {}}


@dataclass(frozen=True)
class Scene:
    """A ledger in which each of the functions has something to do."""

    people: People
    keyring: Keyring
    kim: str
    """Gave consent; so did Pat."""
    pat: str
    lee: str
    """Asked, and did not confirm yet."""
    asked: int
    """Lee's request."""
    link: str
    signer: checkpoints.Signer

    @property
    def at(self) -> datetime:
        """When it happens."""
        return self.people.at


@pytest.fixture
def scene(people: People, tmp_path: Path) -> Scene:
    """Two consents, an open request, the look-up key being rotated and Kim found under both."""
    kim, pat = people.confirmed(KIM.delivery), people.confirmed(PAT.delivery)
    asked = people.sign_up(LEE.delivery)
    link = people.link(asked)
    with people.store.read() as conn:
        lee = identity.find(conn, people.keyring, LEE) or ""
    keyring = rotation.begin(tmp_path / "keys.json", rotation.Key.INDEX)
    with people.store.write() as conn:
        # Made by a fresh process under the new look-up key, while Kim still stands under the former one.
        identity.add_many(conn, keyring, {keyring.address_index(KIM.identity): (KIM, {})}, at=people.at)
    signer = checkpoints.Signer.load_or_create(tmp_path / "signing.json", "firma.example/ledger")
    return Scene(people, keyring, kim, pat, lee, asked.request_id or 0, link, signer)


def consents(of: Scene) -> list[imported.ImportedConsent]:
    """Give one for a purpose that Kim was not asked for."""
    return [imported.ImportedConsent(of.kim, OTHER, "default", "Ja.", of.at, {})]


def asks(of: Scene) -> list[gate.Ask]:
    """Give one mail to Kim."""
    return [gate.Ask(of.kim, NEWSLETTER, "default", tokens.random_id())]


APPENDS: dict[str, Callable[[Any, Scene], object]] = {
    "basis.record": lambda conn, of: basis.record(
        conn,
        of.keyring,
        of.lee,
        purpose=NEWSLETTER,
        controller="default",
        evidence=basis.Evidence(PROOF),
        allowed=True,
        at=of.at,
    ),
    "gate.authorise": lambda conn, of: gate.authorise(conn, asks(of), at=of.at),
    "identity.erase": lambda conn, of: identity.erase(conn, of.kim, at=of.at, keep_suppression="erased"),
    "identity.erase_many": lambda conn, of: identity.erase_many(conn, [of.kim], at=of.at, reason="retention"),
    "imported.record": lambda conn, of: imported.record(conn, of.keyring, consents(of), at=of.at),
    "ledger.append": lambda conn, of: ledger.append(
        conn, [ledger.Entry(ledger.EntryType.ERASED, {"reason": "x"}, of.at, of.kim)]
    ),
    "opt_in.bounce": lambda conn, of: opt_in.bounce(conn, [of.asked], at=of.at),
    "opt_in.confirm": lambda conn, of: opt_in.confirm(conn, of.keyring, of.link, evidence={}, at=of.at),
    "opt_in.decline": lambda conn, of: opt_in.decline(conn, of.link, at=of.at),
    "opt_in.lapse": lambda conn, of: opt_in.lapse(conn, at=of.at + timedelta(days=8), limit=9),
    "opt_in.renew": lambda conn, of: opt_in.renew(
        conn, of.keyring, of.kim, purposes=[OTHER], at=of.at + timedelta(days=2), **ASKING
    ),
    "opt_in.request": lambda conn, of: opt_in.request(
        conn, of.keyring, address=NEW, purposes=[NEWSLETTER], at=of.at, **ASKING
    ),
    "rights.exported": lambda conn, of: rights.exported(
        conn, rights.Copy.AUDIT, scope="all", count=1, actor="operator", at=of.at
    ),
    "rights.hold": lambda conn, of: rights.hold(conn, of.kim, actor="operator", keep_suppression="erased", at=of.at),
    "rights.merge": lambda conn, of: rights.merge(conn, of.kim, of.pat, controllers=["default"], at=of.at, **WHO),
    "rights.restrict": lambda conn, of: rights.restrict(conn, of.kim, at=of.at, **WHO),
    "rights.unrestrict": lambda conn, of: rights.unrestrict(conn, of.pat, at=of.at, **WHO),
    "rotation.announce": lambda conn, of: rotation.announce(conn, of.keyring, at=of.at),
    "rotation.step": lambda conn, of: rotation.step(conn, of.keyring, at=of.at),
    "suppression.add": lambda conn, of: suppression.add(conn, {b"x" * 32: "blocked"}, at=of.at),
    "suppression.suppress_subject": lambda conn, of: suppression.suppress_subject(conn, of.kim, "blocked", at=of.at),
    "withdrawal.withdraw": lambda conn, of: withdrawal.withdraw(conn, subject=of.kim, at=of.at, **LEAVING),
    "withdrawal.withdraw_address": lambda conn, of: withdrawal.withdraw_address(
        conn, of.keyring, KIM, at=of.at, **LEAVING
    ),
}
"""Every public function that may append, and a call in which it does."""
WRITES: dict[str, Callable[[Any, Scene], object]] = {
    "checkpoints.sign": lambda conn, of: checkpoints.sign(conn, of.signer, at=of.at),
}
"""Those that append nothing and yet rest on nobody else writing meanwhile."""


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect what is asked of the database."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("name", sorted(APPENDS | WRITES))
def test_the_head_comes_first(scene: Scene, name: str) -> None:
    """Before it reads, locks or writes anything that can change, a function holds the ledger's head.

    What it read before could be overtaken; what it wrote before could meet a writer that came the other way
    round, and on PostgreSQL the two would wait for each other. Wordings are read freely: none ever changes.
    """
    if name == "rights.unrestrict":
        with scene.people.store.write() as conn:
            rights.restrict(conn, scene.pat, at=scene.at, **WHO)
    with scene.people.store.write() as conn, statements(scene.people.store.engine) as seen:
        before = ledger.head(conn).size
        seen.clear()
        (APPENDS | WRITES)[name](conn, scene)
        told = list(seen)
        grown = ledger.head(conn).size - before

    [first, *_] = [one for one in told if "FROM consent_text" not in one]
    assert "FROM ledger_head" in first
    assert first.endswith("FOR UPDATE") or scene.people.store.dialect == "sqlite"
    assert (grown > 0) is (name in APPENDS)


def test_no_function_is_left_out() -> None:
    """Whatever public function of the package comes to `ledger.append`, by whatever way, stands in the list above."""
    assert {one for one in _appending() if not one.partition(".")[2].startswith("_")} == set(APPENDS)


def _appending() -> set[str]:
    """Follow calls between the functions of the package back from `ledger.append`."""
    calls: dict[str, set[str]] = {}
    for path in Path(consent.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        named = {
            alias.asname or alias.name: f"{node.module.removeprefix('consent.')}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("consent.")
            for alias in node.names
        }
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        named |= {function.name: f"{path.stem}.{function.name}" for function in functions}
        calls |= {f"{path.stem}.{function.name}": _called(function, named) for function in functions}
    found: set[str] = set()
    new = {"ledger.append"}
    while new:
        found |= new
        new = {name for name, called in calls.items() if called & found} - found
    return found


def _called(function: ast.FunctionDef, named: dict[str, str]) -> set[str]:
    """Which functions of the package does one call: `module.function(...)`, or by a name of its module?"""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(named.get(node.func.id, ""))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found.add(ast.unparse(node.func))
    return found

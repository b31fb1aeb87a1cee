"""T67: what the database itself refuses, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from consent import guards, ledger
from consent.schema import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from tests.consent.people import People

ROW = "(seq, at, type, leaf, leaf_hash)"
REST = "'2026-01-01', 'x', {z}, {z}"
ZERO = {"sqlite": "zeroblob(32)", "postgresql": "decode(repeat('00', 32), 'hex')"}

BOTH = [
    "update ledger_entry set type = 'x'",
    "update ledger_entry set type = 'x' where seq = -5 or seq = 0",
    "delete from ledger_entry",
    f"insert into ledger_entry {ROW} values (7, {REST})",
    f"insert into ledger_entry {ROW} values (-1, {REST})",
    f"insert into ledger_entry {ROW} values (0, {REST})",
    f"insert into ledger_entry {ROW} values (0, {REST}) on conflict (seq) do update set type = 'y'",
    f"insert into ledger_entry {ROW} values (2, {REST}), (4, {REST})",
    "update ledger_head set size = 0",
    "update ledger_head set size = 1",
    "update ledger_head set size = 2",
    "update ledger_head set size = 99",
    "update ledger_head set root = {z}",
    "update ledger_head set id = 1, size = 3, root = {z}",
    "delete from ledger_head",
    "insert into ledger_head values (1, 0, {z}, {z})",
    "insert into ledger_head values (2, 0, {z}, {z})",
    "update consent_text set body = 'x'",
    "update consent_text set published_at = '2020-01-01'",
    "delete from consent_text",
    "update proof_vault set salt = {z}",
]
SQLITE = [
    f"insert or replace into ledger_entry {ROW} values (0, {REST})",
    f"replace into ledger_entry {ROW} values (1, {REST})",
    f"insert or ignore into ledger_entry {ROW} values (5, {REST})",
    "update or replace ledger_entry set seq = 0 where seq = 1",
    "replace into ledger_head values (1, 0, {z}, {z})",
    (
        "replace into consent_text select id, controller, channel, purpose, version, language, 'x', sha256, "
        "published_at from consent_text"
    ),
    "replace into proof_vault select seq, subject, {z}, sealed_evidence from proof_vault",
]
TREE = [
    "update ledger_tile set root = {z}",
    "delete from ledger_tile",
    "update checkpoint set note = 'x'",
    "delete from checkpoint",
    "insert into checkpoint values (256, {z}, 'x', '2026-01-01')",
    "insert into checkpoint values (999, {z}, 'x', '2026-01-01')",
]
TREE_ON = {
    "sqlite": [
        "replace into ledger_tile select level, idx, {z}, root from ledger_tile",
        "replace into checkpoint select size, {z}, note, signed_at from checkpoint",
    ],
    "postgresql": ["truncate ledger_tile", "truncate checkpoint cascade"],
}
POSTGRESQL = [
    "truncate ledger_entry cascade",
    "truncate ledger_head",
    "truncate consent_text cascade",
    "truncate proof_vault",
    "insert into ledger_head values (2, 0, {z}) on conflict (id) do update set size = 0",
]


@pytest.fixture
def filled(people: People) -> People:
    """Two entries with their evidence."""
    people.confirmed()
    return people


@pytest.fixture
def tiled(filled: People) -> People:
    """So many entries that a tile is full, and a checkpoint over them."""
    entry = ledger.Entry("subject.erased", {"reason": "x"}, filled.at)
    with filled.store.write() as conn:
        ledger.append(conn, [entry] * 256)
        values = {"size": 257, "root": bytes(32), "note": "n", "signed_at": filled.at}
        conn.execute(insert(checkpoint).values(**values))
    return filled


def passed(engine: Engine, statements: list[str]) -> list[str]:
    """Which of these did the database let through? Each is tried in a transaction of its own."""
    through = []
    for statement in statements:
        with engine.connect() as conn, conn.begin() as transaction:
            try:
                conn.execute(text(statement.format(z=ZERO[engine.dialect.name])))
            except DBAPIError:
                transaction.rollback()
            else:
                through.append(statement)
    return through


def test_t67_changes_are_refused(filled: People) -> None:
    """T67: update, delete, gap, overwrite, upsert, head back or forward; and nothing moved."""
    with filled.store.read() as conn:
        before = ledger.head(conn)

    assert passed(filled.store.engine, BOTH) == []
    with filled.store.read() as conn:
        assert ledger.head(conn) == before
        assert ledger.verify(conn).ok


def test_t67_the_tree_is_guarded(tiled: People) -> None:
    """T67: tiles and checkpoints may be added in order, never changed, replaced or removed."""
    assert passed(tiled.store.engine, [*TREE, *TREE_ON[tiled.store.dialect]]) == []


def test_guards_let_appends_through(filled: People) -> None:
    """The control of these tests: what the application does passes."""
    assert passed(filled.store.engine, ["select 1", "delete from proof_vault"]) != []


def test_refusals_are_the_guards_own(filled: People) -> None:
    """Not a typing error in this table: the database names the guard."""
    with pytest.raises(IntegrityError, match="append-only"), filled.store.write() as conn:
        conn.execute(text("update ledger_entry set type = 'x'"))


@pytest.mark.parametrize("recursive", ["on", "off"])
def test_t67_replace_is_refused_on_sqlite(filled: People, recursive: str) -> None:
    """T67: INSERT OR REPLACE goes through plain guards; not through these, even by a foreign tool."""
    if filled.store.dialect != "sqlite":
        pytest.skip("SQLite's own spelling")
    engine = create_engine(filled.store.engine.url)
    with engine.connect() as conn:
        conn.execute(text(f"pragma recursive_triggers = {recursive}"))
        for statement in SQLITE:
            with pytest.raises(IntegrityError, match="append-only"):
                conn.execute(text(statement.format(z=ZERO["sqlite"])))
            conn.rollback()
    engine.dispose()


def test_t67_truncate_is_refused_on_postgresql(filled: People) -> None:
    """T67: TRUNCATE fires no row trigger; a statement trigger refuses it."""
    if filled.store.dialect != "postgresql":
        pytest.skip("PostgreSQL's own spelling")

    assert passed(filled.store.engine, POSTGRESQL) == []


@pytest.fixture
def app_role(filled: People) -> Iterator[Engine]:
    """A connection as a role that has only what `grants` gives."""
    if filled.store.dialect != "postgresql":
        pytest.skip("SQLite has no roles: the owner of the file can do anything")
    with filled.store.write() as conn:
        conn.execute(text("create role nurture_app_test login password 'app'"))
        for statement in guards.grants("nurture_app_test"):
            conn.execute(text(statement))
    url = make_url(filled.store.engine.url).set(username="nurture_app_test", password="app")
    engine = create_engine(url)
    yield engine
    engine.dispose()
    with filled.store.write() as conn:
        conn.execute(text("drop owned by nurture_app_test"))
        conn.execute(text("drop role nurture_app_test"))


UNGUARDING = [
    "drop trigger ledger_entry_no_change on ledger_entry",
    "alter table ledger_entry disable trigger user",
    "drop table ledger_entry cascade",
    "set session_replication_role = replica",
    "truncate ledger_entry",
    "update ledger_entry set type = 'x'",
    "create or replace function consent_refuse() returns trigger language plpgsql as 'begin return null; end'",
    (
        "create temp table ledger_head (id int, size bigint); insert into ledger_head values (1, 5); insert into "
        f"ledger_entry {ROW} values (5, {REST})"
    ),
]


def test_t67_app_role_cannot_unguard(app_role: Engine) -> None:
    """T67: the application's role can neither drop, disable nor shadow a guard."""
    assert passed(app_role, UNGUARDING) == []


def test_app_role_can_append(app_role: Engine, filled: People) -> None:
    """The same role can do what the application does."""
    entry = ledger.Entry("subject.erased", {"reason": "x"}, filled.at)
    with app_role.begin() as conn:
        assert ledger.append(conn, [entry]) == [2]


def test_grants_never_give_change_of_the_record() -> None:
    """The role may add entries and texts, move the head, erase evidence; nothing more on the record."""
    given = [line for line in guards.grants("app") if "ledger" in line or "proof" in line]

    assert given == [
        "grant select, insert on ledger_entry, ledger_tile, checkpoint, checkpoint_delivery, consent_text to app",
        "grant select, update on ledger_head to app",
        "grant select, insert, delete on proof_vault to app",
    ]


def test_unknown_names_are_refused() -> None:
    """Another database has no guards; a role's name is no place for SQL."""
    with pytest.raises(KeyError):
        guards.statements("mysql")
    for name in ("", "Robert", "x; drop table lead", "ä"):
        with pytest.raises(ValueError, match="lower-case"):
            guards.grants(name)

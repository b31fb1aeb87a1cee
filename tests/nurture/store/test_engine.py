"""The two doors of the store, and what SQLite is set to."""

from __future__ import annotations

import traceback
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from nurture.store import migrations
from nurture.store.engine import StoreError, TransactionLostError, open_store, refuse_network_file_system
from nurture.store.migrations import upgrade
from nurture.store.tables import enrolment, kill_switch, metadata, setting

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.store.engine import Store


def stop(store: Store, scope: str, at: datetime) -> None:
    """Write one row through the writing door."""
    with store.write() as connection:
        connection.execute(insert(kill_switch).values(scope=scope, stopped_at=at, actor="test", reason="test"))


def test_migrations_build_what_models_say(store: Store) -> None:
    """The schema from migrations equals the models."""
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, metadata) == []


def test_the_newest_revision_is_named() -> None:
    """A database is current when it stands at the newest migration file."""
    assert ScriptDirectory.from_config(migrations.config()).get_current_head() == migrations.NEWEST


def test_upgrading_twice_does_nothing(store: Store) -> None:
    """A current database is left alone."""
    assert upgrade(store.engine) is False


def test_every_foreign_key_target_exists(store: Store) -> None:
    """All tables of the models are there."""
    assert set(metadata.tables) <= set(inspect(store.engine).get_table_names())


def test_write_commits_at_the_end(store: Store, at: datetime) -> None:
    """What was written is seen by the next reader."""
    stop(store, "all", at)

    with store.read() as connection:
        assert connection.execute(select(kill_switch.c.scope)).scalars().all() == ["all"]


def test_write_rolls_back_on_error(store: Store, at: datetime) -> None:
    """An exception leaves nothing behind."""

    def stop_twice() -> None:
        row = {"scope": "all", "stopped_at": at, "actor": "test", "reason": "test"}
        with store.write() as connection:
            connection.execute(insert(kill_switch), [row])
            connection.execute(insert(kill_switch), [row])

    with pytest.raises(IntegrityError):
        stop_twice()

    with store.read() as connection:
        assert connection.execute(select(kill_switch)).all() == []


def test_an_outlived_error_is_not_passed_off_as_a_commit(store: Store, at: datetime) -> None:
    """A full disk (SQLite) or any error (PostgreSQL) undoes all; who swallows it hears of it at the end."""

    def stop_and_swallow() -> None:
        row = {"scope": "all", "stopped_at": at, "actor": "test", "reason": "test"}
        with store.write() as connection:
            connection.execute(insert(kill_switch), [row])
            if store.dialect == "sqlite":
                pages = connection.exec_driver_sql("pragma page_count").scalar_one()
                connection.exec_driver_sql(f"pragma max_page_count={pages}")
                row = {"name": "big", "value": "x" * 500_000}
            with suppress(DBAPIError):
                connection.execute(insert(setting if store.dialect == "sqlite" else kill_switch).values(row))

    with pytest.raises(TransactionLostError):
        stop_and_swallow()

    with store.read() as connection:
        assert connection.execute(select(kill_switch)).all() == []


def test_read_never_writes(store: Store, at: datetime) -> None:
    """What slips through the reading door is rolled back."""
    with store.read() as connection:
        connection.execute(insert(kill_switch).values(scope="all", stopped_at=at, actor="test", reason="test"))

    with store.read() as connection:
        assert connection.execute(select(kill_switch)).all() == []


def test_read_keeps_one_view(store: Store, at: datetime) -> None:
    """What others commit meanwhile is not seen, by no statement of the block."""
    with store.read() as connection:
        assert connection.execute(select(kill_switch)).all() == []
        stop(store, "all", at)
        assert connection.execute(select(kill_switch)).all() == []

    with store.read() as connection:
        assert len(connection.execute(select(kill_switch)).all()) == 1


def test_write_still_sees_what_others_commit(store: Store) -> None:
    """The reading door's view does not stick to the connection it gives back."""
    with store.read() as connection:
        connection.execute(select(kill_switch)).all()
    with store.write() as connection:
        level = connection.get_isolation_level()

    assert level == {"sqlite": "SERIALIZABLE", "postgresql": "READ COMMITTED"}[store.dialect]


@pytest.mark.parametrize("reason", ["Kim Muster", None])
def test_errors_show_no_values(store: Store, at: datetime, reason: str | None) -> None:
    """An unexpected error may reach a log; values of its statement or of the row it failed on may not."""
    row = {"scope": "kim@firma.example", "stopped_at": at, "actor": "Kim", "reason": reason}
    with pytest.raises(IntegrityError) as caught, store.write() as connection:
        connection.execute(insert(kill_switch), [row, row])

    shown = "".join(traceback.format_exception(caught.value))
    assert "@firma.example" not in shown
    assert "Muster" not in str(caught.value) + str(caught.value.orig)
    assert "constraint" in str(caught.value)


def test_two_writers_wait_for_each_other(store: Store, at: datetime) -> None:
    """Read-then-write in parallel loses no update."""
    with store.write() as connection:
        connection.execute(insert(setting).values(name="count", value="0"))

    def add() -> None:
        for _ in range(20):
            with store.write() as connection:
                wanted = select(setting.c.value).where(setting.c.name == "count").with_for_update()
                value = int(connection.execute(wanted).scalar_one())
                connection.execute(setting.update().where(setting.c.name == "count").values(value=str(value + 1)))

    threads = [Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with store.read() as connection:
        assert connection.execute(select(setting.c.value)).scalar_one() == "80"


def test_foreign_keys_are_enforced(store: Store, at: datetime) -> None:
    """A row that points nowhere is refused."""
    row = {"lead_id": 1, "sequence": "x", "sequence_version_id": 1, "state": "active", "step": "a", "occurrence": 1}
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(enrolment).values(**row, due_at=at, entered_at=at))


def test_naive_times_are_refused(store: Store) -> None:
    """A time without a zone never reaches the database."""
    with pytest.raises(StatementError, match="without a zone"):
        stop(store, "all", datetime(2026, 1, 1))  # noqa: DTZ001  the mistake under test


def test_times_come_back_in_utc(store: Store) -> None:
    """Whatever zone went in, UTC comes out, to the microsecond."""
    berlin = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    stop(store, "all", berlin)

    with store.read() as connection:
        kept = connection.execute(select(kill_switch.c.stopped_at)).scalar_one()

    assert (kept, kept.tzinfo) == (berlin, UTC)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1), ("trusted_schema", 0)],
)
def test_sqlite_is_set_for_power_loss(tmp_path: Path, pragma: str, value: object) -> None:
    """WAL with synchronous FULL, keys enforced, freed pages wiped."""
    store = open_store(f"sqlite:///{tmp_path / 'n.db'}")
    with store.read() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
    store.close()


def test_a_writer_outwaits_a_big_import(tmp_path: Path) -> None:
    """An import may hold the database for 28 seconds; who writes meanwhile waits far longer than that."""
    store = open_store(f"sqlite:///{tmp_path / 'n.db'}")
    with store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 120_000
    store.close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_network_file_systems_are_refused(tmp_path: Path, kind: str) -> None:
    """SQLite's locks do not hold there."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")

    with pytest.raises(StoreError, match=re_escaped(kind)):
        refuse_network_file_system(tmp_path / "home", str(mounts))


def test_local_file_systems_are_accepted(tmp_path: Path) -> None:
    """A network mount elsewhere does not matter."""
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\nserver:/x /elsewhere nfs4 rw 0 0\n")

    refuse_network_file_system(tmp_path, str(mounts))


def test_other_databases_are_refused() -> None:
    """Only what is tested is supported."""
    with pytest.raises(StoreError, match="not supported"):
        open_store("mysql://localhost/x")


def re_escaped(text: str) -> str:
    """Escape a kind for a pattern."""
    return text.replace(".", r"\.")


def backend(store: Store) -> int:
    """Give the number of the server process behind the pool's connection."""
    with store.read() as conn:
        return int(conn.exec_driver_sql("select pg_backend_pid()").scalar_one())


def end_it(store: Store, process: int) -> None:
    """End a server process from a pool of our own, as a restarted server ends all of them."""
    other = open_store(store.engine.url.render_as_string(hide_password=False))
    with other.write() as conn:
        conn.exec_driver_sql("select pg_terminate_backend(%(pid)s)", {"pid": process})
    other.close()


def test_a_connection_that_rested_is_asked_whether_it_stands(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a server's restart, the next transaction gets a new connection instead of an error."""
    if store.dialect != "postgresql":
        pytest.skip("SQLite has no server")
    monkeypatch.setattr("nurture.store.engine.TRUSTED_SECONDS", 0.0)
    before = backend(store)
    end_it(store, before)
    assert backend(store) != before


def test_a_connection_in_use_is_not_asked_again(store: Store) -> None:
    """Between two transactions in a row nothing goes to the server but the transactions."""
    if store.dialect != "postgresql":
        pytest.skip("SQLite has no server")
    asked: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.engine.dialect), "do_ping", lambda *given: asked.append(given))
        assert backend(store) == backend(store)
    assert asked == []


def test_a_new_database_is_for_its_owner_only(tmp_path: Path) -> None:
    """With its log beside it, whatever the mode of the folder; one that is there keeps its mode."""
    path = tmp_path / "new.db"
    with closing(open_store(f"sqlite:///{path}")) as made:
        upgrade(made.engine)
        modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.glob("new.db*")}
    path.chmod(0o640)
    open_store(f"sqlite:///{path}").close()

    assert (modes["new.db"], set(modes.values()), path.stat().st_mode & 0o777) == (0o600, {0o600}, 0o640)

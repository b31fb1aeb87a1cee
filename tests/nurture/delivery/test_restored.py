"""A database that lost some time sends nothing twice: what may have left is in doubt, and mail stands still."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import stat
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, update

from consent.keys import Keyring, KeyringError
from nurture import failpoints
from nurture.delivery import brakes, gap, homes, policy, switch, watching
from nurture.delivery.brakes import Brake
from nurture.delivery.errors import DeliveryError
from nurture.delivery.queue import environment
from nurture.delivery.reconciling import look_into
from nurture.delivery.sending import claim, compose, intend, send_next
from nurture.sequences import restoring
from nurture.settings import PROJECT
from nurture.store import backup, marks
from nurture.store.engine import StoreError, open_store
from nurture.store.tables import brake, delivery_fact, message, send_batch, send_slot
from nurture.store.workspace import Workspace
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.settings import Settings


def send(world: World) -> int:
    """Send the next batch; give how many mails were handed over."""
    provider = Scripted()
    send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at)
    return len(provider.mails)


def standing(world: World) -> set[str]:
    """Which brakes are pulled?"""
    with world.ws.store.read() as conn:
        return {one.name for one in brakes.pulled(conn)}


def mark(world: World, hours: float = 1) -> int:
    """Say that the database is that of some hours ago."""
    since = world.at - timedelta(hours=hours)
    with world.ws.store.write() as conn:
        gap.announce(conn, since, world.at)
        return gap.mark(conn, world.ws, since=since, at=world.at)


def release(world: World, name: Brake) -> bool:
    """Let mail go on, as a person."""
    with world.ws.store.write() as conn:
        return brakes.release(conn, name, "", "cli:vera", "looked into", world.at)


# --- the gap -----------------------------------------------------------------------------------


def test_what_was_planned_and_due_is_in_doubt(world: World) -> None:
    """The database that is gone may have sent it."""
    world.plan(world.person(), world.person())

    assert (mark(world), world.states()) == (2, {"in_doubt": 2})


def test_what_was_claimed_or_submitting_is_in_doubt_too(world: World) -> None:
    """However far the former worker came."""
    world.plan(world.person(), batch_limit=1)
    world.plan(world.person(), batch_limit=1)
    with world.ws.store.write() as conn:
        first = claim(conn, owner="w1", kind="marketing", at=world.at)
        claim(conn, owner="w2", kind="marketing", at=world.at)
    assert first is not None
    composed = compose(world.ws, world.library, first, at=world.at)
    with world.ws.store.write() as conn:
        intend(conn, world.ws, composed, at=world.at)

    assert (mark(world), world.states()) == (2, {"in_doubt": 2})


def test_what_comes_due_later_stays_planned(world: World) -> None:
    """It cannot have left."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        conn.execute(update(send_batch).values(not_before=world.at + timedelta(hours=2, minutes=1)))

    assert (mark(world.later(hours=2)), world.states()) == (0, {"planned": 1})


def test_what_was_too_late_before_the_backup_is_not_in_doubt(world: World) -> None:
    """It had expired."""
    world.plan(world.person(), late=timedelta(minutes=1))

    assert mark(world.later(hours=3), hours=1) == 0


def test_marking_twice_changes_nothing(world: World) -> None:
    """A run that was killed is repeated."""
    world.plan(world.person())
    mark(world)

    assert (mark(world), world.states()) == (0, {"in_doubt": 1})


def test_nothing_of_the_gap_is_ever_sent_again(world: World) -> None:
    """Not after the release either; a day makes it unknown."""
    world.plan(world.person())
    mark(world)
    provider = Scripted()
    later = world.later(hours=1)
    look_into(later.ws, provider, at=later.at)
    release(later, Brake.RESTORED)

    assert (standing(later), send(later)) == (set(), 0)
    look_into(world.ws, provider, at=world.later(hours=25).at)
    assert world.states() == {"unknown": 1}


def test_an_event_proves_what_was_sent(world: World) -> None:
    """The provider still reports on it."""
    world.plan(world.person())
    mark(world)
    with world.ws.store.write() as conn:
        only = conn.execute(select(message.c.id)).scalar_one()
        conn.execute(insert(delivery_fact), {"message_id": only, "fact": "delivered", "at": world.at})
    look_into(world.ws, Scripted(), at=world.at)

    assert world.states() == {"accepted": 1}


def test_the_gap_counts_into_the_cap(world: World) -> None:
    """Whoever may have got a mail does not get two more."""
    world.plan(world.person())
    mark(world)
    with world.ws.store.read() as conn:
        assert len(conn.execute(select(send_slot.c.slot)).all()) == 1


def test_a_gap_needs_one_release_not_two(world: World) -> None:
    """The budget of doubts leaves it out: it has a brake of its own."""
    world.plan(*(world.person() for _ in range(20)))
    mark(world)
    with world.ws.store.write() as conn:
        watching.watch(conn, policy.SendingPolicy(), "outbox", world.at)

    assert standing(world) == {"restored"}


def test_mail_stands_still_until_doubts_were_looked_into_and_a_person_said_so(world: World) -> None:
    """In this order."""
    mark(world)
    world.plan(world.person())
    with pytest.raises(DeliveryError, match="delivery reconcile"):
        release(world, Brake.RESTORED)
    assert send(world) == 0
    look_into(world.ws, Scripted(), at=world.at)
    release(world, Brake.RESTORED)

    assert send(world) == 1


def test_a_database_put_back_by_hand_is_marked_before_it_is_released(world: World) -> None:
    """Reconciling alone leaves what was sent as planned."""
    with world.ws.store.write() as conn:
        gap.announce(conn, world.at, world.at)
    look_into(world.ws, Scripted(), at=world.at)

    with pytest.raises(DeliveryError, match="delivery gap --since"):
        release(world, Brake.RESTORED)


# --- homes -------------------------------------------------------------------------------------


def attend(world: World, home: Path | None = None) -> bool:
    """Ask whether mail may be sent from a folder."""
    ws = world.ws
    if home is not None:
        home.mkdir(exist_ok=True)
        ws = Workspace(ws.settings.model_copy(update={"home": home}), ws.store, ws.keyring)
    return homes.attend(ws, world.at)


def test_the_same_home_goes_on_sending(world: World) -> None:
    """Round after round."""
    assert [attend(world) for _ in range(3)] == [True] * 3
    assert homes.read(world.ws.home) is not None


def test_a_file_that_was_put_back_by_hand_stops_all_mail(world: World) -> None:
    """The home has counted further than the database."""
    attend(world)
    attend(world)
    with world.ws.store.write() as conn:
        marks.set_mark(conn, homes.GENERATION, 1)

    assert (attend(world), standing(world)) == (False, {"restored"})


def test_a_copied_file_stops_all_mail(world: World, tmp_path: Path) -> None:
    """A SQLite database that sent from another folder; several workers share a PostgreSQL one, and may."""
    attend(world)
    sqlite = world.ws.store.dialect == "sqlite"

    assert attend(world, tmp_path / "elsewhere") is not sqlite
    assert standing(world) == ({"copied"} if sqlite else set())


def test_another_database_in_the_same_home_stops_all_mail(world: World) -> None:
    """It was exchanged for another one."""
    attend(world)
    with world.ws.store.write() as conn:
        homes.rename(conn)

    assert (attend(world), standing(world)) == (False, {"copied"})


def test_another_server_stops_all_mail(world: World) -> None:
    """A standby that was promoted may lack the last commits."""
    attend(world)
    with world.ws.store.write() as conn:
        marks.set_mark(conn, homes.SERVER, "7300000000000000000/00000001")
        server = homes.server_of(conn)

    assert bool(server) is (world.ws.store.dialect == "postgresql")
    assert (attend(world), standing(world)) == ((False, {"server"}) if server else (True, set()))


def test_an_adopted_database_sends(world: World) -> None:
    """A person said that it is the one."""
    attend(world)
    (world.ws.home / homes.FILE).unlink()
    with world.ws.store.write() as conn:
        marker = homes.adopt(conn)
    homes.write(world.ws.home, marker)

    assert attend(world)


def test_a_copy_never_sends_what_the_original_planned(world: World) -> None:
    """Its environment id is another one."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        homes.rename(conn)

    assert send(world) == 0


def test_a_marker_that_is_not_ours_is_an_error(world: World) -> None:
    """Nothing is guessed."""
    (world.ws.home / homes.FILE).write_text("{}", "utf-8")

    with pytest.raises(DeliveryError, match=r"sender\.json cannot be read"):
        attend(world)


# --- backup and restore (SQLite) ---------------------------------------------------------------


@pytest.fixture
def house(settings: Settings, sqlite_template: Path, at: datetime) -> World:
    """An installation in a home folder of its own, with its SQLite file in place."""
    shutil.copyfile(sqlite_template, settings.home / "nurture.db")
    # Without the real sequences: this one has a `welcome` of its own.
    project = settings.home / "project"
    shutil.copytree(PROJECT / "policies", project / "policies")
    shutil.copytree(
        PROJECT / "templates", project / "templates", ignore=lambda _, names: {"welcome", "reengage"} & set(names)
    )
    settings = settings.model_copy(update={"project": project})
    ws = Workspace(settings, open_store(settings.database), Keyring.load_or_create(settings.home / "keys.json"))
    return World(ws, at)


def back_up(house: World) -> Path:
    """Back up beside the home."""
    target = house.ws.home / "copy.db"
    backup.back_up(house.ws.home / "nurture.db", target, at=house.at)
    return target


def restore(house: World, path: Path, *, as_copy: bool = False, hours: float = 1) -> World:
    """Put it back some hours later and open it."""
    house.ws.store.close()
    at = house.at + timedelta(hours=hours)
    restoring.restore(house.ws.settings, path, at=at, since=None, as_copy=as_copy)
    return World(Workspace(house.ws.settings, open_store(house.ws.settings.database), house.ws.keyring), at)


def test_a_backup_is_one_private_file_that_says_when_it_was_made(house: World) -> None:
    """Whole, with nothing beside it."""
    target = back_up(house)

    assert backup.inspect(target).taken_at == house.at
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in house.ws.home.glob("copy.db*")] == ["copy.db"]


def test_keys_are_not_in_a_backup(house: World) -> None:
    """Apart they are unreadable."""
    house.person()
    content = back_up(house).read_bytes()
    keys = json.loads((house.ws.home / "keys.json").read_text("utf-8"))
    secrets = [text for text in _texts(keys) if len(text) >= 32]

    assert secrets
    assert not [text for text in secrets if text.encode() in content or base64.b64decode(text + "==") in content]


def _texts(value: Any) -> list[str]:
    """Give every text in a JSON value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else [str(value)]


def test_a_backup_never_overwrites(house: World) -> None:
    """Yesterday's stays."""
    target = back_up(house)
    with pytest.raises(StoreError, match="exists already"):
        backup.back_up(house.ws.home / "nurture.db", target, at=house.at)


def test_a_backup_names_the_folder_that_is_missing(house: World) -> None:
    """Not the draft inside it, of which nobody has heard."""
    with pytest.raises(StoreError, match=r"there is no folder .*weekly; make it first"):
        backup.back_up(house.ws.home / "nurture.db", house.ws.home / "weekly" / "copy.db", at=house.at)


def test_a_backup_is_the_state_of_one_moment(house: World) -> None:
    """Whatever is written while it is made is not in it."""
    target = house.ws.home / "copy.db"
    steps: list[str] = []

    def meanwhile(name: str) -> None:
        if name == "backup.mid" and not steps:
            steps.append(name)
            house.person()

    with failpoints.watching(meanwhile):
        backup.back_up(house.ws.home / "nurture.db", target, at=house.at)
    with sqlite3.connect(target) as copy:
        assert (steps, copy.execute("select count(*) from lead").fetchone()) == (["backup.mid"], (0,))


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00 and then nonsense", b"x" * 5000])
def test_what_is_no_database_of_ours_is_refused(house: World, content: bytes) -> None:
    """Before anything is replaced."""
    path = house.ws.home / "broken.db"
    path.write_bytes(content)
    before = (house.ws.home / "nurture.db").read_bytes()

    with pytest.raises(StoreError, match=r"broken.db is"):
        restore(house, path)
    assert (house.ws.home / "nurture.db").read_bytes() == before


def test_a_backup_of_other_keys_is_refused(house: World) -> None:
    """Nobody in it could be found."""
    house.person()
    target = back_up(house)
    with house.ws.store.write() as conn:
        environment(conn)
    (house.ws.home / "keys.json").unlink()
    with pytest.raises(KeyringError):
        restore(house, target)


def test_a_restored_database_stands_still_with_its_gap_in_doubt(house: World) -> None:
    """It comes into place marked; what it had planned was sent meanwhile."""
    house.plan(house.person())
    target = back_up(house)
    assert send(house) == 1
    restored = restore(house, target)

    assert (standing(restored), restored.states(), send(restored)) == ({"restored"}, {"in_doubt": 1}, 0)
    assert homes.attend(restored.ws, restored.at)


def test_steps_that_came_due_in_the_gap_are_not_sent_again(house: World) -> None:
    """The lost database went on planning after the backup; the planner goes through that time once more."""
    shutil.copytree(PROJECT / "templates", house.ws.settings.templates, dirs_exist_ok=True)
    house.person()
    target = back_up(house)
    restored = restore(house, target, hours=24 * 5)
    with restored.ws.store.read() as conn:
        planned = conn.execute(select(message.c.sequence, message.c.step, message.c.occurrence)).all()

    assert len(planned) > 1
    assert set(restored.states()) <= {"in_doubt", "planned"}
    with restored.ws.store.read() as conn:
        due = select(send_batch.c.id).where(send_batch.c.state == "planned", send_batch.c.not_before <= restored.at)
        assert conn.execute(due).all() == []


def test_the_former_database_goes_aside_and_cannot_send(house: World) -> None:
    """Whoever still has it open is stopped."""
    house.plan(house.person())
    target = back_up(house)
    old = open_store(house.ws.settings.database)
    with old.read() as conn:
        assert conn.execute(select(brake.c.name)).scalars().all() == []
    restore(house, target)
    (aside,) = [path for path in house.ws.home.glob("nurture.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
    with old.read() as conn:
        assert conn.execute(select(brake.c.name)).scalars().all() == ["copied"]
    old.close()

    assert backup.inspect(aside).taken_at is None


def test_a_copy_gets_an_id_of_its_own_and_is_stopped(house: World) -> None:
    """The original goes on; nothing of it is marked."""
    house.plan(house.person())
    with house.ws.store.write() as conn:
        before = environment(conn)
    restored = restore(house, back_up(house), as_copy=True)
    with restored.ws.store.read() as conn:
        assert switch.stopped(conn) == {"all"}
        assert environment(conn) != before
    assert (standing(restored), restored.states()) == (set(), {"planned": 1})
    with restored.ws.store.write() as conn:
        switch.resume(conn, switch.ALL, "cli:vera", "test", restored.at)
    assert send(restored) == 0


def test_a_file_copied_by_other_means_needs_its_time(house: World) -> None:
    """How long the gap is cannot be guessed."""
    house.ws.store.close()
    target = house.ws.home / "plain.db"
    shutil.copyfile(house.ws.home / "nurture.db", target)

    with pytest.raises(StoreError, match="--since"):
        restore(house, target)

"""Does a database open with its own keys only? With others, whoever said no would be a stranger to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select

from consent import identity, suppression, withdrawal
from consent.addresses import Address
from consent.keys import Keyring, KeyringError
from nurture.store.keyrings import open_keyring, remember
from nurture.store.tables import setting
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.store.engine import Store
    from nurture.store.workspace import Workspace


def leave(workspace: Workspace, at: datetime) -> None:
    """Somebody nobody knows says no."""
    with workspace.store.write() as conn:
        withdrawal.withdraw_address(
            conn, workspace.keyring, Address.of("no@firma.example"), controller="default", purposes=None,
            route="mailto", actor="mail:sender", at=at,
        )  # fmt: skip


def test_a_second_machine_makes_no_keys_of_its_own(workspace: Workspace, tmp_path: Path, at: datetime) -> None:
    """With fresh ones the address that said no would be found by nobody; the refusal leaves no file behind."""
    leave(workspace, at)
    elsewhere = workspace.settings.model_copy(update={"home": tmp_path / "second"})

    with pytest.raises(KeyringError, match="copy it from the machine that began"), open_workspace(elsewhere):
        pass
    assert not (elsewhere.home / "keys.json").exists()


def test_lost_keys_are_not_made_anew(store: Store, tmp_path: Path) -> None:
    """Not even where nobody is known yet: other machines have the first ones."""
    path = tmp_path / "keys.json"
    open_keyring(store, path)
    path.unlink()

    with pytest.raises(KeyringError, match=r"keys\.json is missing"):
        open_keyring(store, path)


def test_another_installations_keys_open_nothing(store: Store, tmp_path: Path) -> None:
    """The same name, the same versions, other keys."""
    open_keyring(store, tmp_path / "keys.json")
    Keyring().store(tmp_path / "other.json")

    with pytest.raises(KeyringError, match="is not the one this database was made with"):
        open_keyring(store, tmp_path / "other.json")


def test_a_file_from_before_a_rotation_opens_nothing(store: Store, tmp_path: Path) -> None:
    """A worker's old copy would not find people that were rewritten; one from after it finds them."""
    path = tmp_path / "keys.json"
    keyring = open_keyring(store, path)
    remember(store, keyring.with_successor("index"))

    with pytest.raises(KeyringError, match="from before index/2"):
        open_keyring(store, path)


def test_a_destroyed_version_is_not_missed(store: Store, tmp_path: Path) -> None:
    """What `keys forget` destroyed was meant to go."""
    path = tmp_path / "keys.json"
    rotated = open_keyring(store, path).with_successor("link")
    remember(store, rotated)
    rotated.without("link", 1).replace(path)

    assert sorted(open_keyring(store, path).keys["link"]) == [2]


def test_the_second_of_two_that_begin_is_refused(store: Store, tmp_path: Path) -> None:
    """Two machines on an empty database, at once: one set of keys wins, whole."""
    first, second = Keyring(), Keyring()
    remember(store, first)

    with pytest.raises(KeyringError):
        remember(store, second)
    first.store(tmp_path / "keys.json")
    assert open_keyring(store, tmp_path / "keys.json") == first


@pytest.mark.parametrize("known", ["person", "suppressed"])
def test_a_database_without_fingerprints_is_looked_into(
    store: Store, keyring: Keyring, tmp_path: Path, at: datetime, known: str
) -> None:
    """One from before there were any: no keys are made for it, and others do not open who is in it."""
    with store.write() as conn:
        if known == "person":
            identity.ensure(conn, keyring, Address.of("kim@firma.example"), at=at)
        else:
            suppression.add(conn, {keyring.address_index("kim@firma.example"): "withdrawn"}, at=at)
        conn.execute(delete(setting))

    with pytest.raises(KeyringError, match="is missing"):
        open_keyring(store, tmp_path / "fresh.json")
    if known == "person":
        Keyring().store(tmp_path / "other.json")
        with pytest.raises(KeyringError, match="opens nobody"):
            open_keyring(store, tmp_path / "other.json")
    assert open_keyring(store, tmp_path / "keys.json") == keyring


def test_fingerprints_are_written_once(store: Store, tmp_path: Path) -> None:
    """A row for each version, and nothing to write at the next start."""
    keyring = open_keyring(store, tmp_path / "keys.json")
    open_keyring(store, tmp_path / "keys.json")
    with store.read() as conn:
        rows = {row.name: row.value for row in conn.execute(select(setting))}

    assert rows == {f"key:{name}": value for name, value in keyring.fingerprints().items()}
    assert len(rows) == 5

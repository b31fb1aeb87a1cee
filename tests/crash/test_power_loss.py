"""What does a power cut cost? Nothing under FULL, at whatever write; under NORMAL the images show it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.crash.power import WAYS, Disk, images, record, sectors
from tests.crash.recorder import ForeignLibraryError, Op

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.power import Figures

pytestmark = [pytest.mark.requirement(95), pytest.mark.usefixtures("settings")]
EVERY = 17
"""The tests look at every 17th operation; `python -m tests.crash.power` at all of them."""


def power_cuts(folder: Path, synchronous: str) -> Figures:
    """Record a run and judge its images."""
    try:
        run = record(folder / "run", synchronous=synchronous)
    except ForeignLibraryError as error:
        pytest.skip(str(error))
    return images(run, folder / "image", every=EVERY, synchronous=synchronous)


def test_no_power_cut_corrupts_repeats_or_loses(tmp_path: Path) -> None:
    """With the settings of `open_store`."""
    found = power_cuts(tmp_path, "FULL")
    assert (found.corrupt, found.double, found.lost, found.wrong) == (0, 0, 0, [])
    assert found.operations > 400
    assert set(found.images) == set(WAYS)


def test_a_setting_that_forgets_commits_is_caught(tmp_path: Path) -> None:
    """With `synchronous=NORMAL` the same images show mails sent twice: what SQLite's default for WAL would cost."""
    found = power_cuts(tmp_path, "NORMAL")
    assert found.double > 0
    assert found.corrupt == 0


def test_what_was_synced_survives_and_nothing_else_has_to() -> None:
    """The model of a disk: a sync makes certain what was written to that file before, and only that."""
    disk = Disk({"a": bytearray(b"....")})
    for op in (Op("write", "a", 0, b"1"), Op("sync", "a"), Op("write", "a", 1, b"2"), Op("write", "b", 0, b"3")):
        disk.go_on(op)
    dice = random.Random(1)  # noqa: S311  dice of a test
    assert disk.image("nothing unsynced", dice) == {"a": b"1..."}
    assert {bytes(disk.image("a prefix", dice)["a"]) for _ in range(20)} == {b"1...", b"12.."}
    disk.go_on(Op("sync", "a"))
    assert disk.image("nothing unsynced", dice) == {"a": b"12.."}
    disk.go_on(Op("truncate", "a", 2))
    disk.go_on(Op("sync", "a"))
    disk.go_on(Op("delete", "b"))
    assert disk.image("nothing unsynced", dice) == {"a": b"12"}


def test_a_write_is_torn_at_the_sectors_of_the_disk() -> None:
    """A write of many sectors may survive in part; each part keeps its place."""
    parts = sectors(Op("write", "a", 500, bytes(range(256)) * 4))
    assert [(one.offset, len(one.data)) for one in parts] == [(500, 12), (512, 512), (1024, 500)]
    assert b"".join(one.data for one in parts) == bytes(range(256)) * 4

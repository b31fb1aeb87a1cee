"""The outbox folder: whole files, once each."""

from __future__ import annotations

import os
from email import policy
from email.parser import BytesParser
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.outbox import Outbox, newest, read
from nurture.delivery.provider import Accepted, Refused, Rejected, Sender
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from pathlib import Path

OTHER = changed(MAIL, public_id="b" * 26)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox", Sender("post@example.com", "Musterwerk"))


def test_each_message_becomes_one_file(outbox: Outbox) -> None:
    assert [type(one) for one in outbox.submit([MAIL, OTHER])] == [Accepted, Accepted]
    assert sorted(path.stem for path in outbox.folder.glob("*.eml")) == sorted([MAIL.public_id, OTHER.public_id])


def test_any_mail_program_can_read_it(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    with (outbox.folder / f"{MAIL.public_id}.eml").open("rb") as file:
        mail = BytesParser(policy=policy.default).parse(file)
    assert (mail["Subject"], mail["List-Unsubscribe-Post"]) == (MAIL.subject, "List-Unsubscribe=One-Click")


def test_handing_over_twice_changes_nothing(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    before = (outbox.folder / f"{MAIL.public_id}.eml").read_bytes()
    assert isinstance(outbox.submit([changed(MAIL, subject="anders", attempt=2)])[0], Accepted)
    assert (outbox.folder / f"{MAIL.public_id}.eml").read_bytes() == before


def test_nothing_is_left_aside(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    assert list((outbox.folder / "tmp").iterdir()) == []


def test_files_are_for_the_owner_only(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    assert (outbox.folder / f"{MAIL.public_id}.eml").stat().st_mode & 0o077 == 0
    assert [path.stat().st_mode & 0o077 for path in (outbox.folder, outbox.folder / "tmp")] == [0, 0]


def test_a_broken_disk_is_a_known_refusal(outbox: Outbox) -> None:
    outbox.folder.write_text("a file where the folder should be")
    assert isinstance(outbox.submit([MAIL])[0], Refused)


def test_a_disk_that_fills_up_takes_none(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert outbox.submit([MAIL, OTHER]) == [Refused("disk 28")] * 2
    assert [path for path in outbox.folder.rglob("*") if path.is_file()] == []


def test_a_faulty_mail_stops_no_other(outbox: Outbox) -> None:
    first, second = outbox.submit([MAIL, changed(OTHER, subject="a\nb")])
    assert (type(first), second) == (Accepted, Rejected("fault header"))
    assert [path.stem for path in outbox.folder.glob("*.eml")] == [MAIL.public_id]


def test_files_prove_acceptance(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    assert outbox.proofs([MAIL.public_id, OTHER.public_id]) == {MAIL.public_id}


def test_the_list_begins_with_the_newest(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    outbox.submit([OTHER])
    os.utime(outbox.folder / f"{MAIL.public_id}.eml", (1, 1))
    assert [held.public_id for held in newest(outbox.folder, limit=5)] == [OTHER.public_id, MAIL.public_id]


def test_a_path_is_no_message(outbox: Outbox) -> None:
    outbox.submit([MAIL])
    assert read(outbox.folder, f"../outbox/{MAIL.public_id}") is None

"""Checkpoints reach real folders, repositories, mailboxes and time-stamping authorities, or say why not."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from nurture.audit import AuditError, timestamps
from nurture.audit.repository import Repository
from nurture.audit.targets import Anchor, Answer, Folder, Mail, open_targets
from nurture.audit.timestamps import TimeStamp
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Sender
from nurture.delivery.smtp import Smtp
from nurture.settings import Settings
from nurture.store.workspace import Workspace
from tests.nurture.audit.authority import Authority
from tests.nurture.delivery.mailhost import Mailhost

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from consent.keys import Keyring
    from nurture.store.engine import Store

NOTE = "example.org/ledger\n42\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— example.org/ledger AAAA\n"
ANCHOR = Anchor(42, NOTE, "example.org/ledger+01234567+AAAA", "example.org/ledger")
LATER = replace(ANCHOR, size=50, note=NOTE.replace("42", "50"))
SENDER = Sender("post@musterwerk.example", "Musterwerk")

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


# --- folder ----------------------------------------------------------------------------------


def test_a_folder_gets_the_note_byte_for_byte_and_the_key(tmp_path: Path, at: datetime) -> None:
    assert Folder(tmp_path).deliver(ANCHOR, at=at) == Answer(True, "written")
    assert (tmp_path / "42.txt").read_bytes() == NOTE.encode()
    assert (tmp_path / "public_key.txt").read_text("utf-8") == f"{ANCHOR.public_key}\n"


def test_a_second_delivery_changes_nothing(tmp_path: Path, at: datetime) -> None:
    Folder(tmp_path).deliver(ANCHOR, at=at)
    assert Folder(tmp_path).deliver(ANCHOR, at=at).taken
    assert sorted(path.name for path in tmp_path.iterdir()) == ["42.txt", "public_key.txt"]


def test_another_checkpoint_of_the_same_size_is_a_conflict(tmp_path: Path, at: datetime) -> None:
    """What was anchored is never replaced: two ledgers of one size are the finding itself."""
    (tmp_path / "42.txt").write_text("another root", "utf-8")
    assert Folder(tmp_path).deliver(ANCHOR, at=at) == Answer(False, "conflict 42.txt")
    assert (tmp_path / "42.txt").read_text("utf-8") == "another root"


def test_a_missing_folder_is_not_made(tmp_path: Path, at: datetime) -> None:
    """A disk that is not there must not look like one that took it."""
    assert Folder(tmp_path / "disk").deliver(ANCHOR, at=at) == Answer(False, "folder missing")
    assert not (tmp_path / "disk").exists()


# --- git -------------------------------------------------------------------------------------


def git(*arguments: str | Path) -> str:
    """Run git and give what it prints."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository with a clone beside it."""
    git("init", "--quiet", "--bare", tmp_path / "bare.git")
    git("clone", "--quiet", tmp_path / "bare.git", tmp_path / "clone")
    return tmp_path / "bare.git"


def test_a_checkpoint_is_committed_and_pushed(bare: Path, at: datetime) -> None:
    target = Repository(bare.parent / "clone", "anchors")
    assert target.deliver(ANCHOR, at=at) == Answer(True, "pushed")
    assert git("-C", bare, "show", "anchors:checkpoints/42.txt") == NOTE
    assert git("-C", bare, "log", "--format=%s", "anchors").split("\n")[0] == "Checkpoint 42"


def test_each_checkpoint_is_one_commit(bare: Path, at: datetime) -> None:
    target = Repository(bare.parent / "clone", "anchors")
    for anchor in (ANCHOR, ANCHOR, LATER):
        assert target.deliver(anchor, at=at).taken
    assert git("-C", bare, "log", "--format=%s", "anchors").split("\n")[:-1] == ["Checkpoint 50", "Checkpoint 42"]


def test_what_could_not_be_pushed_goes_out_with_the_next(bare: Path, at: datetime) -> None:
    target = Repository(bare.parent / "clone", "anchors")
    away = bare.with_name("away.git")
    bare.rename(away)
    assert target.deliver(ANCHOR, at=at) == Answer(False, "git push 128")
    away.rename(bare)
    assert target.deliver(ANCHOR, at=at).taken
    assert git("-C", bare, "show", "anchors:checkpoints/42.txt") == NOTE


def test_other_changes_in_the_clone_are_left_alone(bare: Path, at: datetime) -> None:
    clone = bare.parent / "clone"
    (clone / "draft.txt").write_text("mine", "utf-8")
    git("-C", clone, "add", "draft.txt")
    Repository(clone).deliver(ANCHOR, at=at)
    assert "draft.txt" in git("-C", clone, "diff", "--cached", "--name-only")


def test_a_clone_on_another_branch_is_not_switched(bare: Path, at: datetime) -> None:
    clone = bare.parent / "clone"
    Repository(clone, "anchors").deliver(ANCHOR, at=at)
    git("-C", clone, "checkout", "--quiet", "-b", "work")
    assert Repository(clone, "anchors").deliver(LATER, at=at) == Answer(False, "another branch is checked out")


def test_a_folder_without_repository_is_no_clone(tmp_path: Path, at: datetime) -> None:
    assert Repository(tmp_path).deliver(ANCHOR, at=at) == Answer(False, "no clone")


# --- mail ------------------------------------------------------------------------------------


def officer(provider: Smtp | Outbox) -> Mail:
    """The compliance officer's mailbox."""
    return Mail("officer@audit.example", "mail:1", provider, "Musterwerk GmbH")


def test_a_mail_carries_the_note(at: datetime) -> None:
    host = Mailhost()
    with host.run():
        provider = Smtp(SENDER, host="127.0.0.1", port=host.port, security="none", timeout=2)
        assert officer(provider).deliver(ANCHOR, at=at) == Answer(True, "accepted")
    body = message_from_bytes(host.mails[0], policy=policy.default).get_body(("plain",))
    assert body is not None
    text = body.get_content().replace("\r\n", "\n")
    assert text.partition("BEGIN CHECKPOINT-----\n")[2].partition("-----END")[0] == NOTE
    assert host.recipients == ["officer@audit.example"]


def test_a_mail_to_the_officer_has_no_unsubscribe_and_no_tracking(tmp_path: Path, at: datetime) -> None:
    officer(Outbox(tmp_path, SENDER)).deliver(ANCHOR, at=at)
    [raw] = [path.read_bytes() for path in tmp_path.glob("*.eml")]
    assert b"List-Unsubscribe" not in raw
    assert b"<img" not in raw


def test_a_mail_in_the_outbox_folder_has_not_left_the_machine(tmp_path: Path, at: datetime) -> None:
    assert officer(Outbox(tmp_path, SENDER)).deliver(ANCHOR, at=at) == Answer(False, "outbox: nobody delivers it")


def test_the_same_checkpoint_is_the_same_mail(tmp_path: Path, at: datetime) -> None:
    for anchor in (ANCHOR, ANCHOR, LATER):
        officer(Outbox(tmp_path, SENDER)).deliver(anchor, at=at)
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_a_refusing_server_is_told_by_its_code_alone(at: datetime) -> None:
    host = Mailhost(refuse={"rcpt": "550 no officer@audit.example here"})
    with host.run():
        provider = Smtp(SENDER, host="127.0.0.1", port=host.port, security="none", timeout=2)
        assert officer(provider).deliver(ANCHOR, at=at) == Answer(False, "rejected rcpt 550")


# --- time stamps -----------------------------------------------------------------------------


@needs_openssl
def test_a_time_stamp_is_kept_and_openssl_verifies_it(tmp_path: Path, at: datetime) -> None:
    with Authority(tmp_path / "tsa").run() as authority:
        target = TimeStamp(authority.url, tmp_path / "kept")
        assert target.deliver(ANCHOR, at=at) == Answer(True, "stamped")
    assert authority.verify(target.path(42), NOTE)


@needs_openssl
def test_only_the_hash_leaves(tmp_path: Path, at: datetime) -> None:
    with Authority(tmp_path / "tsa").run() as authority:
        TimeStamp(authority.url, tmp_path / "kept").deliver(ANCHOR, at=at)
    assert len(authority.asked[0]) < 100
    assert b"example.org" not in authority.asked[0]


@needs_openssl
def test_a_stamp_once_kept_is_not_asked_for_again(tmp_path: Path, at: datetime) -> None:
    with Authority(tmp_path / "tsa").run() as authority:
        target = TimeStamp(authority.url, tmp_path / "kept")
        target.deliver(ANCHOR, at=at)
        assert target.deliver(ANCHOR, at=at) == Answer(True, "kept")
    assert len(authority.asked) == 1


@needs_openssl
def test_a_stamp_of_something_else_is_refused(tmp_path: Path, at: datetime) -> None:
    """A replayed answer has another nonce, and another hash."""
    authority = Authority(tmp_path / "tsa")
    authority.answer = authority.stamp(timestamps.request(bytes(32), 7))
    with authority.run():
        assert TimeStamp(authority.url, tmp_path / "kept").deliver(ANCHOR, at=at) == Answer(False, "another time stamp")
    assert not (tmp_path / "kept").exists()


@needs_openssl
@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (b"<html>", 200, "no time stamp"),
        (b"", 200, "no time stamp"),
        (b"\x30\x85\x01\x01\x01\x01\x01", 200, "no time stamp"),
        (b"\x30\x05\x30\x03\x02\x01\x02", 200, "refused 2"),
        (b"\x30\x05\x30\x03\x02\x01\x00", 200, "another time stamp"),
        (b"\x30\x05\x30\x03\x02\x01\x00!", 200, "no time stamp"),
        (b"x" * 70_000, 200, "answer too long"),
        (b"x", 503, "http 503"),
    ],
)
def test_a_bad_answer_is_told_by_a_code(tmp_path: Path, at: datetime, answer: bytes, status: int, detail: str) -> None:
    with Authority(tmp_path / "tsa", answer, status).run() as authority:
        assert TimeStamp(authority.url, tmp_path / "kept").deliver(ANCHOR, at=at) == Answer(False, detail)


def test_an_authority_that_is_away_is_told_by_the_kind_of_error(tmp_path: Path, at: datetime) -> None:
    assert TimeStamp("http://127.0.0.1:9/tsa", tmp_path, timeout=1).deliver(ANCHOR, at=at).detail == "ConnectError"


# --- settings --------------------------------------------------------------------------------


def test_targets_open_as_configured(settings: Settings, store: Store, keyring: Keyring) -> None:
    wanted = ("mail:officer@audit.example", "dir:/mnt/audit", "git:/srv/clone#anchors", "rfc3161:https://tsa.example/x")
    opened = open_targets(Workspace(settings.model_copy(update={"checkpoint_targets": wanted}), store, keyring))
    kinds = [target.label.partition(":")[0] for target in opened]
    assert kinds == ["mail", "dir", "git", "rfc3161"]
    assert "officer" not in repr(opened) + opened[0].label


def test_a_target_that_is_configured_wrong_fails_by_itself(
    settings: Settings, store: Store, keyring: Keyring, tmp_path: Path, at: datetime
) -> None:
    wanted = ("mail:a@b@c", "rfc3161:http://tsa.example/", f"dir:{tmp_path}")
    opened = open_targets(Workspace(settings.model_copy(update={"checkpoint_targets": wanted}), store, keyring))
    answers = [target.deliver(ANCHOR, at=at) for target in opened]
    assert [answer.taken for answer in answers] == [False, False, True]
    assert answers[0].detail.startswith("setting: checkpoint_targets")
    assert "a@b" not in repr(opened)


@pytest.mark.parametrize(
    "target", ["ftp:/x", "dir:relative", "mail:nobody", "git:clone", "rfc3161:ftp://tsa.example", "dir:/x dir:/y\n"]
)
def test_an_unknown_target_is_refused_at_start(tmp_path: Path, target: str) -> None:
    with pytest.raises(ValidationError, match="checkpoint_targets"):
        Settings(home=tmp_path, checkpoint_targets=(target,))


@pytest.mark.parametrize("url", ["http://tsa.example/", "https://me:secret@tsa.example/", "https:///x"])
def test_an_authority_needs_tls_and_no_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(AuditError, match="rfc3161"):
        TimeStamp(url, tmp_path)

"""Which verb asks for which settings? What only sending needs is asked where mail would leave, and nowhere else."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from nurture.cli.main import run
from nurture.cli.output import Exit
from nurture.settings import SENDER, Settings, SettingsError
from nurture.store.engine import open_store
from nurture.store.tables import kill_switch
from nurture.store.workspace import open_workspace
from nurture.web import server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENDER_TOLD = "".join(
    f'{name} = "{"post@firma.example" if name == "sender_address" else "Firma"}"\n' for name in SENDER
)
NO_KEY = "provider sendgrid needs NURTURE_SENDGRID_API_KEY or sendgrid_api_key_file"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose provider's key is not in this shell."""
    monkeypatch.setenv("NURTURE_HOME", str(settings.home))
    with open_workspace(settings):
        pass
    (settings.home / "nurture.toml").write_text('provider = "sendgrid"\n' + SENDER_TOLD, "utf-8")
    return settings.home


@pytest.fixture
def typed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Type a verb; give its exit code and what it said on stdout and stderr."""

    def type_it(*arguments: str) -> tuple[object, str, str]:
        assert home.is_dir()
        monkeypatch.setattr(sys, "argv", ["nurture", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run()
        told = capsys.readouterr()
        return end.value.code, told.out, told.err

    return type_it


@pytest.mark.parametrize(
    "verb",
    [
        "stop --all --reason x", "resume --all --reason x", "delivery status", "audit verify", "lead list",
        "lead requests", "consent texts",
    ],
)  # fmt: skip
def test_what_sends_nothing_needs_no_key_of_the_provider(
    typed: Callable[..., tuple[object, str, str]], verb: str
) -> None:
    """Above all not the emergency stop."""
    code, _, said = typed(*verb.split())

    assert (code, "sendgrid" in said) == (Exit.FINE, False)


@pytest.mark.parametrize("verb", ["run", "run --dry-run", "up", "serve", "delivery reconcile"])
def test_what_sends_asks_for_the_key(typed: Callable[..., tuple[object, str, str]], verb: str) -> None:
    """Before anything starts."""
    code, _, said = typed(*verb.split())

    assert (code, said.splitlines()[-1]) == (Exit.ERROR, f"nurture: {NO_KEY}")


def test_the_pages_alone_ask_as_well(home: Path) -> None:
    """`python -m nurture.web`, as `up` starts it."""
    with pytest.raises(SettingsError, match=NO_KEY):
        server.serve(Settings(home=home))


def stopped(home: Path) -> list[str]:
    """Read what is stopped in the home's database."""
    with closing(open_store(f"sqlite:///{home / 'nurture.db'}")) as store, store.read() as conn:
        return list(conn.execute(select(kill_switch.c.scope)).scalars())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unheard_of = 1\n", "settings: unheard_of: Extra inputs are not permitted"),
        ("batch_size = 0\n", "settings: batch_size: "),
        ('sendgrid_api_key = "SG.very-secret"\n', "nurture.toml: sendgrid_api_key is a secret"),
        ("batch_size = = 500\n", "nurture.toml in the home folder cannot be read"),
    ],
)
def test_mail_is_stopped_whatever_else_the_file_holds(
    typed: Callable[..., tuple[object, str, str]], home: Path, text: str, said: str
) -> None:
    """What is wrong is said, and what is a secret is not."""
    (home / "nurture.toml").write_text(text, "utf-8")

    code, out, err = typed("stop", "--all", "--reason", "x")

    assert (code, out, stopped(home)) == (Exit.FINE, "stopped: all\n", ["all"])
    assert err.startswith(f"nurture: {said}")
    assert ("very-secret" in err, typed("run")[0]) == (False, Exit.ERROR)


@pytest.mark.parametrize("slip", ["", "unheard_of = 1\n", "batch_size = = 500\n"])
def test_mail_is_stopped_in_the_database_that_is_named(
    typed: Callable[..., tuple[object, str, str]], home: Path, tmp_path: Path, slip: str
) -> None:
    """Not in an empty one beside the slip."""
    other = tmp_path / "other"
    other.mkdir()
    (home / "nurture.db").rename(other / "nurture.db")
    (home / "nurture.toml").write_text(f'{slip}database_url = "sqlite:///{other}/nurture.db"\n', "utf-8")

    assert typed("stop", "--all", "--reason", "x")[:2] == (Exit.FINE, "stopped: all\n")
    assert (stopped(other), (home / "nurture.db").exists()) == (["all"], False)


def test_no_database_is_guessed(typed: Callable[..., tuple[object, str, str]], home: Path) -> None:
    """Where its own line cannot be read, nothing is said to be stopped."""
    (home / "nurture.toml").write_text('database_url = "postgresql://\n', "utf-8")

    code, out, err = typed("stop", "--all", "--reason", "x")

    assert (code, out, err.startswith("nurture: nurture.toml in the home folder cannot be read")) == (1, "", True)


def test_mail_is_stopped_without_the_keys(typed: Callable[..., tuple[object, str, str]], home: Path) -> None:
    """They open people, and a stop opens nobody."""
    (home / "keys.json").unlink()

    assert typed("stop", "--all", "--reason", "x")[:2] == (Exit.FINE, "stopped: all\n")


@pytest.mark.parametrize("verb", ["stop --all --reason x", "resume --all --reason x", "explain 1", "lead show 1"])
def test_a_mistyped_home_is_no_workspace(
    typed: Callable[..., tuple[object, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Nothing would be stopped there, so that is not said, and nothing is made."""
    monkeypatch.setenv("NURTURE_HOME", str(tmp_path / "mistyped"))

    code, _, said = typed(*verb.split())

    assert (code, "there is no workspace in" in said) == (Exit.ERROR, True)
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("verb", ["run", "explain 1", "lead show 1", "audit verify", "resume --all --reason x"])
def test_missing_keys_are_told_alike_by_every_verb(
    typed: Callable[..., tuple[object, str, str]], home: Path, verb: str
) -> None:
    """The database is there, so this is a workspace: what it lacks is named."""
    (home / "nurture.toml").unlink()
    (home / "keys.json").unlink()

    code, _, said = typed(*verb.split())

    assert (code, said.startswith(f"nurture: keys.json is missing in {home}")) == (Exit.ERROR, True)


SMTP: dict[str, Any] = {"provider": "smtp", "smtp_host": "mail.firma.example"}
DKIM: dict[str, Any] = {"dkim_selector": "n2026", "dkim_domain": "firma.example"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, NO_KEY),
        ({**SMTP, "smtp_user": "u", "smtp_password_file": "/nowhere"}, "smtp_password_file cannot be read"),
        ({**SMTP, **DKIM, "dkim_key_file": "/nowhere"}, "dkim_key_file cannot be read"),
        ({**SMTP, "smtp_security": "none"}, "smtp_security none would send mail and password in the clear"),
        ({"provider": "outbox", "sendgrid_webhook_key": "bm8ga2V5"}, "sendgrid_webhook_key is no public key"),
    ],
)  # fmt: skip
def test_check_finds_a_provider_that_cannot_start(
    typed: Callable[..., tuple[object, str, str]], home: Path, given: dict[str, Any], said: str
) -> None:
    """By the name of the setting."""
    chosen = {"provider": "sendgrid", **given}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in chosen.items()]
    (home / "nurture.toml").write_text("".join(lines) + SENDER_TOLD, "utf-8")

    code, told, ended = typed("check")

    assert (code, ended.splitlines()[-1]) == (Exit.CHECK_FAILED, "nurture: 1 finding")
    assert told.startswith(f"settings: {said}")


def test_check_finds_a_signature_that_speaks_for_nobody(
    typed: Callable[..., tuple[object, str, str]], home: Path, tmp_path: Path
) -> None:
    """The key is good, and receivers would ignore it."""
    key = tmp_path / "dkim.pem"
    key.touch(0o600)
    told = {**SMTP, **DKIM, "dkim_domain": "other.example", "dkim_key_file": str(key)}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in told.items()]
    (home / "nurture.toml").write_text("".join(lines) + SENDER_TOLD, "utf-8")

    code, out, _ = typed("check")

    assert (code, "dkim_domain is neither the domain of sender_address" in out) == (Exit.CHECK_FAILED, True)

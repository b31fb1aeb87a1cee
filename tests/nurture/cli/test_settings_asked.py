"""Which verb asks for which settings? What only sending needs is asked where mail would leave, and nowhere else."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nurture.cli.main import run
from nurture.cli.output import Exit
from nurture.settings import SENDER, Settings, SettingsError
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

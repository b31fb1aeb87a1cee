"""Where settings come from, and where secrets may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nurture.settings import SECRETS, Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_home_folder_has_a_file(settings: Settings) -> None:
    """nurture.toml of the home folder is read."""
    (settings.home / "nurture.toml").write_text('company = "Beispielwerk AG"\n', "utf-8")

    assert Settings(home=settings.home).company == "Beispielwerk AG"


def test_the_environment_wins(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """NURTURE_* stands above the file."""
    (settings.home / "nurture.toml").write_text('company = "Beispielwerk AG"\n', "utf-8")
    monkeypatch.setenv("NURTURE_COMPANY", "Andere GmbH")

    assert Settings(home=settings.home).company == "Andere GmbH"


@pytest.mark.parametrize(
    ("privacy_url", "link"),
    [
        ("", None),
        ("/datenschutz", "https://mail.firma.example/datenschutz"),
        ("https://firma.example/datenschutz#mail", "https://firma.example/datenschutz#mail"),
        ("https://firma.example", "https://firma.example"),
    ],
)
def test_a_privacy_notice_has_one_full_address(settings: Settings, privacy_url: str, link: str | None) -> None:
    """A path is one of the public pages' site."""
    made = Settings(home=settings.home, public_url="https://mail.firma.example", privacy_url=privacy_url)

    assert made.privacy_link == link


@pytest.mark.parametrize(
    "privacy_url",
    ["http://firma.example/d", "javascript:alert(1)", "datenschutz", "//evil.example", "https://", "/a b", '/a"b'],
)
def test_a_privacy_notice_is_https_or_a_path(settings: Settings, privacy_url: str) -> None:
    """Anything else could not be linked safely."""
    with pytest.raises(ValueError, match="privacy_url must be an https address"):
        Settings(home=settings.home, privacy_url=privacy_url)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_secrets_in_the_file_are_refused(settings: Settings, name: str) -> None:
    """The message names the setting and not its value."""
    (settings.home / "nurture.toml").write_text(f'{name} = "SG.very-secret"\n', "utf-8")

    with pytest.raises(SettingsError, match=name) as caught:
        Settings(home=settings.home)

    assert "very-secret" not in str(caught.value)


def test_every_secret_is_known_as_one() -> None:
    """What is kept as a secret is also refused in the file."""
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}

    assert secrets == SECRETS


def test_a_readable_secret_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    """A key that others may read is not used."""
    key = tmp_path / "key"
    key.write_text("SG.very-secret\n", "utf-8")
    key.chmod(0o644)

    with pytest.raises(SettingsError, match="chmod 600"):
        Settings(home=settings.home, provider="sendgrid", sendgrid_api_key_file=key)


def test_a_secret_file_is_read(settings: Settings, tmp_path: Path) -> None:
    """One line, for its owner only."""
    key = tmp_path / "key"
    key.write_text("SG.very-secret\n", "utf-8")
    key.chmod(0o600)

    assert Settings(home=settings.home, sendgrid_api_key_file=key).secret("sendgrid_api_key") == "SG.very-secret"

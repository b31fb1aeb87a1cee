"""Where settings come from, and where secrets may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from nurture.delivery.provider import open_provider
from nurture.settings import SECRETS, SENDER, Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from consent.keys import Keyring

REAL: list[dict[str, Any]] = [
    {"provider": "sendgrid", "sendgrid_api_key": "k"},
    {"provider": "smtp", "smtp_host": "mail.firma.example"},
]
FIRMA: dict[str, Any] = dict.fromkeys(SENDER, "Firma")


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
        Settings(home=settings.home, provider="sendgrid", sendgrid_api_key_file=key).require_sending()


def test_a_secret_file_is_read(settings: Settings, tmp_path: Path) -> None:
    """One line, for its owner only."""
    key = tmp_path / "key"
    key.write_text("SG.very-secret\n", "utf-8")
    key.chmod(0o600)

    assert Settings(home=settings.home, sendgrid_api_key_file=key).secret("sendgrid_api_key") == "SG.very-secret"


@pytest.mark.parametrize("real", REAL, ids=lambda real: real["provider"])
@pytest.mark.parametrize("name", SENDER)
def test_the_sample_sender_writes_no_real_mail(settings: Settings, real: dict[str, Any], name: str) -> None:
    """One value left as shipped is enough; the message names it."""
    told = {key: value for key, value in FIRMA.items() if key != name}

    with pytest.raises(SettingsError, match=f"and {name} still say who writes"):
        Settings(home=settings.home, **real, **told).require_sending()


@pytest.mark.parametrize("real", REAL, ids=lambda real: real["provider"])
def test_a_named_sender_writes_real_mail(settings: Settings, real: dict[str, Any]) -> None:
    """With all that says who writes."""
    chosen = Settings(home=settings.home, **real, **FIRMA)
    chosen.require_sending()

    assert chosen.provider == real["provider"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"provider": "sendgrid"}, "provider sendgrid needs NURTURE_SENDGRID_API_KEY or sendgrid_api_key_file"),
        ({"provider": "smtp"}, "provider smtp needs smtp_host"),
        ({"dkim_domain": "firma.example"}, "dkim_domain, dkim_selector and dkim_key_file belong together"),
    ],
)
def test_what_only_sending_needs_is_asked_where_a_provider_opens(
    settings: Settings, keyring: Keyring, given: dict[str, Any], said: str
) -> None:
    """The settings load without it: whoever stops mail may have no key."""
    chosen = Settings(home=settings.home, **FIRMA, **given)

    with pytest.raises(SettingsError, match=said):
        open_provider(chosen, keyring)


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", SENDER)
def test_a_blank_sender_is_refused(settings: Settings, name: str, blank: str) -> None:
    """Also into the outbox: the law wants it in every mail."""
    told: dict[str, Any] = {name: blank}

    with pytest.raises(ValidationError, match=f"{name}\\n.*may not be blank"):
        Settings(home=settings.home, **told)


@pytest.mark.parametrize(
    "wrong",
    [
        "https://firma.example/", "https://firma.example/news", "https://firma.example?a=b", "https://firma.example#a",
        "https://vera:geheim@firma.example", "https://firma.example ", "https://firma .example", "https://",
        "https://firma..example", "https://firma.example:0", "https://firma.example:65536", "ftp://firma.example",
        "https://müller.example", "firma.example", "https://firma.example\n", "http://firma.example", "http://8.8.8.8",
        "http://[2606:4700::1]", "http://[::1",
    ],
)  # fmt: skip
def test_an_address_that_breaks_links_is_refused(settings: Settings, wrong: str) -> None:
    """Each would stand in front of the path of every link in every mail, or show its token on the way."""
    with pytest.raises(ValidationError, match="public_url"):
        Settings(home=settings.home, public_url=wrong)


@pytest.mark.parametrize(
    "right",
    [
        "https://news.firma.example", "https://firma.example:8443", "https://8.8.8.8", "http://127.0.0.1:8321",
        "http://localhost:8321", "http://[::1]:8321", "http://192.168.1.7", "http://nurture", "http://web.firma.internal",
    ],
)  # fmt: skip
def test_a_plain_address_is_taken(settings: Settings, right: str) -> None:
    """With TLS anywhere, without it on hosts that only our own network reaches."""
    assert Settings(home=settings.home, public_url=right).public_url == right


@pytest.mark.parametrize("wrong", ["proxy", "", "10.0.0.1:80", "0.0.0.0/0", "::/0", "128.0.0.0/1", "10.0.0.0/33"])
def test_a_proxy_is_an_address_or_a_network(settings: Settings, wrong: str) -> None:
    """And none that takes in strangers: they could name any address as theirs."""
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(home=settings.home, trusted_proxies=("127.0.0.1", wrong))


def test_private_ranges_may_hold_proxies(settings: Settings) -> None:
    """Single addresses and whole networks of one's own."""
    own = ("127.0.0.1", "::1", "10.0.0.0/8", "fc00::/7")

    assert Settings(home=settings.home, trusted_proxies=own).trusted_proxies == own


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://nurture:very-secret@db.firma.example/nurture", "postgresql://nurture:very%2Dsecret@/nurture",
        "postgresql://db.firma.example/nurture?user=nurture&password=very-secret", "postgresql:/nurture:very-secret@db",
        "postgresql://nurture:very-secret@db:port/nurture",
    ],
)  # fmt: skip
def test_a_database_password_in_the_file_is_refused(settings: Settings, address: str) -> None:
    """As every secret; the message names the setting and never the address."""
    (settings.home / "nurture.toml").write_text(f'database_url = "{address}"\n', "utf-8")

    with pytest.raises(SettingsError, match="NURTURE_DATABASE_URL") as caught:
        Settings(home=settings.home)

    assert "secret@" not in str(caught.value)
    assert "very" not in str(caught.value)


@pytest.mark.parametrize("address", ["postgresql://nurture@/nurture", "sqlite:////srv/nurture.db"])
def test_a_database_without_password_may_stand_in_the_file(settings: Settings, address: str) -> None:
    """There is nothing to hide in it."""
    (settings.home / "nurture.toml").write_text(f'database_url = "{address}"\n', "utf-8")

    assert Settings(home=settings.home).database == address


def test_a_database_password_comes_from_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is for this process only."""
    address = "postgresql://nurture:very-secret@db.firma.example/nurture"
    monkeypatch.setenv("NURTURE_DATABASE_URL", address)

    assert Settings(home=settings.home).database == address


@pytest.mark.parametrize("address", ["nonsense", "postgresql://nurture:very-secret@db:port/nurture"])
def test_an_unreadable_database_address_is_told_without_its_value(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Half of one may still hold the password."""
    monkeypatch.setenv("NURTURE_DATABASE_URL", address)

    with pytest.raises(ValidationError, match="no SQLAlchemy address") as caught:
        Settings(home=settings.home)

    assert address not in str(caught.value)


def test_a_wrong_setting_shows_no_secret_beside_it(settings: Settings) -> None:
    """What is wrong is told without any value, also where the error is logged whole."""
    wrong: dict[str, Any] = {"batch_size": 0, "unheard_of": "SG.very-secret"}
    with pytest.raises(ValidationError) as caught:
        Settings(home=settings.home, sendgrid_api_key=SecretStr("SG.very-secret"), **wrong)

    assert ("input_value" in str(caught.value), "SG." in str(caught.value)) == (False, False)

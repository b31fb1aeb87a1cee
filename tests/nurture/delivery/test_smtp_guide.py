"""docs/how-to/smtp.md: what it tells to write and to run works."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import dkim
import pytest

from nurture.delivery.dkim import signer
from nurture.delivery.errors import DeliveryError
from nurture.delivery.mime import encode
from nurture.delivery.provider import Sender, open_provider
from nurture.settings import PROJECT, Settings, SettingsError
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from pathlib import Path

    from consent.keys import Keyring

GUIDE = (PROJECT / "docs" / "how-to" / "smtp.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)[0]


def configured(folder: Path) -> Settings:
    """Give the settings of the guide, with its files in a folder."""
    told = tomllib.loads(
        "\n".join(re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)).replace("/etc/nurture", str(folder))
    )
    told |= {"company": "Firma GmbH", "postal_address": "Weg 2, 10115 Berlin", "imprint": "HRB 1"}
    return Settings(home=folder / "home", **told)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a password, where the commands of the guide were run; give it."""
    (tmp_path / "smtp-password").write_text("geheim\n")
    (tmp_path / "smtp-password").chmod(0o600)
    printed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", COMMANDS], cwd=tmp_path, check=True, capture_output=True
    )
    (tmp_path / "record").write_bytes(b"v=DKIM1; k=ed25519; p=" + printed.stdout.strip())
    return tmp_path


def test_the_settings_of_the_guide_open_a_provider(folder: Path, keyring: Keyring) -> None:
    """With bounces and signature."""
    assert repr(open_provider(configured(folder), keyring)) == "Smtp(mail.firma.example:587)"


def test_the_record_of_the_guide_verifies(folder: Path) -> None:
    """The key that openssl makes signs, and what it prints stands in DNS."""
    settings = configured(folder)
    sender = Sender(settings.sender_address, settings.sender_name)
    records = {b"n2026._domainkey.firma.example.": (folder / "record").read_bytes()}
    assert dkim.verify(encode(sender, MAIL, signer(settings, sender)), dnsfunc=lambda name, **_: records[name])


def test_a_key_that_others_may_read_is_refused(folder: Path) -> None:
    """As every secret in a file."""
    (folder / "dkim.pem").chmod(0o644)
    settings = configured(folder)
    with pytest.raises(SettingsError, match="dkim_key_file is readable by others"):
        signer(settings, Sender(settings.sender_address, "Firma"))


@pytest.mark.parametrize("address", ["post@other.example", "post@notfirma.example"])
def test_a_signature_that_speaks_for_nobody_is_refused(folder: Path, address: str) -> None:
    """Receivers compare its domain with that of From (DMARC)."""
    with pytest.raises(DeliveryError, match="dkim_domain is neither"):
        signer(configured(folder), Sender(address, "Firma"))
    assert signer(configured(folder), Sender("post@news.firma.example", "Firma")) is not None


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"smtp_bounce_address": "much-too-long@firma.example"}, "11 characters"),
        ({"smtp_bounce_address": "a+b@firma.example"}, "11 characters"),
    ],
)
def test_half_a_setting_is_refused(tmp_path: Path, given: dict[str, Any], match: str) -> None:
    """By a sentence that says what is missing."""
    with pytest.raises(ValueError, match=match):
        Settings(home=tmp_path, **given)

"""What is configured, and where does each value come from?

Order: `NURTURE_*` in the environment, `nurture.toml` in the home folder, the defaults here.
Secrets come from the environment or from a file named by `<name>_file`, never from nurture.toml.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from nurture import NurtureError

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

PROJECT = Path(__file__).resolve().parent.parent


def default_home() -> Path:
    """NURTURE_HOME, else `.nurture` in the working folder."""
    return Path(os.environ.get("NURTURE_HOME", ".nurture")).resolve()


SECRETS = {"sendgrid_api_key", "smtp_password", "handover_secret", "api_token"}


SHORTEST_TOKEN = 32
"""Characters of a token that opens a door to everybody's consents."""


SENDER = ("company", "postal_address", "imprint", "sender_name", "sender_address")
"""Who writes. The shipped values are an example for the demo and the outbox: nobody's mail may bear them."""


PUBLIC_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:(?P<port>\d{1,5}))?", re.IGNORECASE
)
"""Scheme, host and port: every link is this and a path, so anything behind the port would stand in the middle."""
INSIDE = ("localhost", "internal", "lan", "local", "test", "home.arpa")
"""Names that no public network knows, where there may be no TLS."""
HIGHEST_PORT = 65_535
WIDEST = {4: 8, 6: 7}
"""Shortest prefix of a proxy's network by IP version: those of the private ranges. A wider one believes strangers."""


CHECKPOINT_TARGET = re.compile(r"mail:\S+@\S+|dir:/.+|git:/[^#]+(#[\w./-]+)?|rfc3161:(https|http)://\S+")
"""Where a checkpoint may go; nurture.audit.targets says what each does."""


def _inside(host: str) -> bool:
    """Is this a host that only our own machine or network reaches?"""
    try:
        return not ip_address(host.strip("[]")).is_global
    except ValueError:
        return "." not in host or host.endswith(tuple(f".{name}" for name in INSIDE))


def _holds_password(address: str) -> bool:
    """Does a database address hold a password, in its usual place or among what the driver is told?"""
    try:
        parsed = make_url(address)
    except (ArgumentError, ValueError):
        # What cannot be read is refused by its own check; until then it may well hold one.
        return "@" in address
    return parsed.password is not None or bool({"password", "sslpassword"} & parsed.query.keys())


class SettingsError(NurtureError):
    """A setting is missing or wrong; the message names it and the remedy, never its value."""


def _strong(name: str, secret: str) -> str:
    """Give a secret back; raises SettingsError for a token that could be guessed."""
    if name == "api_token" and len(secret) < SHORTEST_TOKEN:
        raise SettingsError(f"api_token is too easy to guess; use {SHORTEST_TOKEN} random characters or more")
    return secret


class NoSecrets(TomlConfigSettingsSource):
    """nurture.toml, which is read and copied by many: a secret in it is refused."""

    def __call__(self) -> dict[str, Any]:
        """Give its values; raises SettingsError for a secret, naming it and where it belongs."""
        given = super().__call__()
        found = sorted(SECRETS & given.keys())
        if found:
            name = found[0]
            raise SettingsError(
                f"nurture.toml: {name} is a secret and may not stand there; "
                f"use NURTURE_{name.upper()} or name a file with {name}_file"
            )
        if _holds_password(str(given.get("database_url", ""))):
            raise SettingsError(
                "nurture.toml: the password in database_url is a secret and may not stand there; "
                "use NURTURE_DATABASE_URL, or an address without one (local socket, ~/.pgpass)"
            )
        return given


class Settings(BaseSettings):
    """All settings. Times of day are in `zone`; sizes in bytes; durations in seconds unless named."""

    model_config = SettingsConfigDict(env_prefix="NURTURE_", extra="forbid", frozen=True, hide_input_in_errors=True)

    home: Path = Field(default_factory=default_home, description="workspace: database, keys, outbox, Prefect home")
    project: Path = Field(default=PROJECT, description="folder that holds templates/, policies/ and prefect.yaml")
    database_url: str = Field(
        "",
        description="SQLAlchemy address; empty for SQLite in the home folder; a password makes it a secret",
    )
    public_url: str = Field(
        "http://127.0.0.1:8321", description="where recipients reach the public pages: https://host[:port], no path"
    )
    zone: str = Field("Europe/Berlin", description="legal time zone: caps, deadlines, retention")
    language: Literal["de", "en"] = Field("de", description="language of leads that state none")

    controller: str = Field("default", description="id of the brand that consent is given to")
    company: str = Field("Musterwerk GmbH", description="legal name shown in the imprint")
    postal_address: str = Field("Beispielweg 1, 10115 Berlin", description="shown in every mail")
    imprint: str = Field("Geschäftsführung: Vera Beispiel, HRB 000000 B", description="further lines of the imprint")
    privacy_url: str = Field(
        "", description="your privacy notice (Art. 13 GDPR), linked on pages and in mails: https address, or path here"
    )
    sender_name: str = Field("Musterwerk", description="name in From")
    sender_address: str = Field("post@musterwerk.example", description="address in From")
    unsubscribe_mailbox: str = Field(
        "", description="mailbox named beside the unsubscribe link; its mails go through `nurture consent intake`"
    )

    provider: Literal["outbox", "sendgrid", "smtp"] = Field("outbox", description="who delivers mail")
    sendgrid_api_key: SecretStr | None = Field(None, description="secret")
    sendgrid_api_key_file: Path | None = Field(None, description="file holding the key")
    sendgrid_url: str = Field("https://api.sendgrid.com", description="https://api.eu.sendgrid.com for EU subusers")
    sendgrid_webhook_key: str = Field("", description="public key of the signed event webhook, base64 DER")
    sendgrid_logs: bool = Field(
        False, description="ask SendGrid's Email Logs about mails in doubt; the address is sent there as a search"
    )
    smtp_host: str = Field("", description="submission server")
    smtp_port: int = Field(587, ge=1, le=65535, description="587 with STARTTLS, 465 with TLS")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="none only on loopback")
    smtp_user: str = Field("", description="user for submission")
    smtp_password: SecretStr | None = Field(None, description="secret")
    smtp_password_file: Path | None = Field(None, description="file holding the password")
    smtp_bounce_address: str = Field(
        "",
        description="address whose mailbox takes bounces: each mail leaves as local+token@domain, so that one names it",
    )
    dkim_domain: str = Field("", description="domain to sign mails for, where the submission server does not sign")
    dkim_selector: str = Field("", description="names the key in DNS: selector._domainkey.domain")
    dkim_key_file: Path | None = Field(
        None, description="file holding the private key, PEM: Ed25519, or RSA of 2048 bits"
    )
    provider_timeout: float = Field(10.0, gt=0, le=60, description="seconds for connecting and for each answer")
    provider_connections: int = Field(4, ge=1, le=32, description="most requests to the provider at the same time")
    batch_size: int = Field(500, ge=1, le=1000, description="most messages in one request to the provider")

    handover_url: str = Field("", description="https address of the sales system; empty for the handover folder")
    handover_secret: SecretStr | None = Field(
        None, description="secret, whsec_...; signs handovers (Standard Webhooks)"
    )
    handover_secret_file: Path | None = Field(None, description="file holding the secret")
    handover_allow: tuple[str, ...] = Field((), description="internal hosts the handover may reach although private")

    checkpoint_targets: tuple[str, ...] = Field(
        (), description="where signed checkpoints go: mail:ADDRESS, dir:/path, git:/clone#branch, rfc3161:https://..."
    )
    data_protection_officer: str = Field(
        "", description="name and contact of the data protection officer; stands on exports"
    )

    web_host: str = Field("127.0.0.1", description="address the public pages listen on")
    web_port: int = Field(8321, ge=0, le=65535, description="port of the public pages")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of proxies whose forwarded headers are believed"
    )
    evidence_ip: Literal["full", "truncated", "none"] = Field(
        "full", description="how IP addresses enter consent evidence"
    )
    brand_css: Path | None = Field(None, description="style sheet of yours for the public pages, after the shipped one")
    brand_logo: Path | None = Field(None, description="logo on the public pages: SVG or PNG, at most 200 KiB")
    api_token: SecretStr | None = Field(
        None, description="secret; bearer token for POST /api/withdraw, which is shut without one"
    )
    api_token_file: Path | None = Field(None, description="file holding the token")
    prefect_port: int = Field(4321, ge=1, le=65535, description="port of the local Prefect server")
    worker_limit: int = Field(2, ge=1, le=64, description="flow runs at once on this machine")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  fixed signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then nurture.toml of the home folder that these two name."""
        given = init_settings()
        home = Path(given.get("home") or default_home())
        return init_settings, env_settings, NoSecrets(settings_cls, home / "nurture.toml")

    @field_validator("home", "project")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = "zone is no IANA time zone; write one such as Europe/Berlin"
            raise ValueError(message) from None
        return value

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        found = PUBLIC_URL.fullmatch(value)
        if found is None or not 0 < int(found["port"] or 1) <= HIGHEST_PORT:
            message = (
                "public_url is https://host[:port] and nothing behind it: no slash, path, user or space; "
                "a host with umlauts is written in its xn-- form"
            )
            raise ValueError(message)
        if found["scheme"].lower() == "http" and not _inside(found["host"].lower()):
            message = "public_url must begin with https:// for a public host: its links open consents and data"
            raise ValueError(message)
        return value

    @field_validator("database_url")
    @classmethod
    def _readable_address(cls, value: str) -> str:
        try:
            if value:
                make_url(value)
        except (ArgumentError, ValueError):
            message = "no SQLAlchemy address; write sqlite:////path/to/file or postgresql://user@host/name"
            raise ValueError(message) from None
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _few_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                network = ip_network(proxy, strict=False)
            except ValueError:
                message = f"{proxy!r} is no IP address and no network; write 127.0.0.1 or 10.0.0.0/8"
                raise ValueError(message) from None
            if network.prefixlen < WIDEST[network.version]:
                message = f"{proxy!r} is so wide that strangers could name any address as theirs; name your proxies"
                raise ValueError(message)
        return value

    @field_validator("privacy_url")
    @classmethod
    def _linkable(cls, value: str) -> str:
        if value and not re.fullmatch(r"(https://[\w.-]+(:\d+)?(?=[/?#]|$)|/(?!/))[^\s\\<>\"'`]*", value, re.ASCII):
            message = "privacy_url must be an https address, or a path of this site such as /datenschutz"
            raise ValueError(message)
        return value

    @field_validator("checkpoint_targets")
    @classmethod
    def _known_targets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(CHECKPOINT_TARGET.fullmatch(target) for target in value) or len(set(value)) != len(value):
            message = "each must be mail:ADDRESS, dir:/path, git:/path/to/clone[#branch] or rfc3161:https://..., once"
            raise ValueError(message)
        return value

    @field_validator("unsubscribe_mailbox")
    @classmethod
    def _plain_mailbox(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,189}", value):
            message = "unsubscribe_mailbox must be one plain address such as abmelden@firma.example"
            raise ValueError(message)
        return value

    @field_validator("smtp_bounce_address")
    @classmethod
    def _short_mailbox(cls, value: str) -> str:
        # A token has 52 characters, and what stands before the @ at most 64 (RFC 5321).
        if value and not re.fullmatch(r"[A-Za-z0-9._-]{1,11}@[A-Za-z0-9.-]{1,189}", value):
            message = "smtp_bounce_address must be one plain address, 11 characters at most before the @"
            raise ValueError(message)
        return value

    @field_validator(*SENDER)
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            message = "may not be blank: every mail and the imprint must say who writes"
            raise ValueError(message)
        return value

    def require_sending(self) -> None:
        """Raise SettingsError where what only sending needs is missing.

        Asked where mail would leave and not on loading: a stop, a status or a withdrawal needs none of it.
        """
        if self.provider == "smtp" and not self.smtp_host:
            raise SettingsError("provider smtp needs smtp_host")
        dkim = (self.dkim_domain, self.dkim_selector, self.dkim_key_file)
        if any(dkim) and not all(dkim):
            raise SettingsError("dkim_domain, dkim_selector and dkim_key_file belong together; set all three or none")
        if self.provider == "sendgrid" and self.secret("sendgrid_api_key") is None:
            raise SettingsError("provider sendgrid needs NURTURE_SENDGRID_API_KEY or sendgrid_api_key_file")
        sample = [name for name in SENDER if getattr(self, name).strip() == type(self).model_fields[name].default]
        if self.provider != "outbox" and sample:
            raise SettingsError(
                f"provider {self.provider} sends real mail, and {', '.join(sample)} still say who writes in the "
                "shipped example; set them to yours in nurture.toml"
            )

    def secret(self, name: str) -> str | None:
        """Give a secret from its setting or from the file its `_file` twin names.

        Raises SettingsError when the file cannot be read, is readable by others, or holds no one-line secret, and for
        an api_token that is easily guessed.
        """
        value: SecretStr | None = getattr(self, name)
        if value is not None:
            return _strong(name, value.get_secret_value())
        raw = self.private(f"{name}_file")
        if raw is None:
            return None
        text = raw.decode("utf-8", "replace").strip()
        if not text or "\n" in text:
            message = f"{name}_file must hold exactly one line"
            raise SettingsError(message)
        return _strong(name, text)

    def private(self, name: str) -> bytes | None:
        """Read the file that a setting names; None without one.

        Raises SettingsError when it cannot be read, or others may read it.
        """
        path: Path | None = getattr(self, name)
        if path is None:
            return None
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                message = f"{name} is readable by others; chmod 600 it"
                raise SettingsError(message)
            return path.read_bytes()
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}; is its path right, and may this user read it?"
            raise SettingsError(message) from error

    @cached_property
    def database(self) -> str:
        """The database address in force."""
        return self.database_url or f"sqlite:///{self.home / 'nurture.db'}"

    @property
    def privacy_link(self) -> str | None:
        """Where the privacy notice stands, as a mail names it; None without one."""
        here = self.privacy_url.startswith("/")
        return (self.public_url + self.privacy_url if here else self.privacy_url) or None

    @property
    def tz(self) -> ZoneInfo:
        """The legal time zone."""
        return ZoneInfo(self.zone)

    @property
    def templates(self) -> Path:
        """Folder of sequences and mails."""
        return self.project / "templates"

    @property
    def policies(self) -> Path:
        """Folder of scoring, lifecycle, handover, frequency and bot rules."""
        return self.project / "policies"

"""Could mail leave and events come in, as the settings stand? Asked before anything starts; touches no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture import NurtureError
from nurture.delivery.provider import open_provider
from nurture.settings import SettingsError
from nurture.tracking.sendgrid_events import public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from consent.keys import Keyring
    from nurture.settings import Settings


def troubles(settings: Settings, keyring: Keyring) -> list[str]:
    """Say what is wrong, one sentence each, with the setting and the remedy and without any value."""
    asked: list[Callable[[], object]] = [
        lambda: open_provider(settings, keyring),
        lambda: _webhook_key(settings),
        lambda: settings.secret("api_token"),
    ]
    found = []
    for ask in asked:
        try:
            ask()
        except NurtureError as error:
            found.append(str(error))
    return found


def require(settings: Settings, keyring: Keyring) -> None:
    """Raise SettingsError that says all that is wrong."""
    if found := troubles(settings, keyring):
        raise SettingsError("; ".join(found))


def _webhook_key(settings: Settings) -> None:
    if not settings.sendgrid_webhook_key:
        return
    try:
        public_key(settings.sendgrid_webhook_key)
    except ValueError:
        raise SettingsError(
            "sendgrid_webhook_key is no public key of SendGrid's signed event webhook, so each event would be refused; "
            "copy it again from Settings > Mail Settings > Event Webhooks, in one line"
        ) from None

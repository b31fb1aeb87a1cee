"""How do the public pages look like the company's own? A style sheet and a logo of its own, checked at start.

What is served is read once, from the two files that the settings name; nothing of it comes from a
request. The policy of the pages (guard.py) lets neither reach beyond this site.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nurture.settings import Settings

STATIC = Path(__file__).resolve().parent / "static"
SHIPPED: Mapping[str, str] = {"site.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml"}
LOGOS: Mapping[str, str] = {".svg": "image/svg+xml", ".png": "image/png"}
LARGEST = 200 * 1024
ELSEWHERE = re.compile(rb"@import|url\(\s*[\"']?\s*(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
"""What would load something from another site: the pages' policy forbids it, and the browser drops it in silence."""


@dataclass(frozen=True)
class Served:
    """One file under /static."""

    content: bytes
    kind: str

    def path(self, name: str) -> str:
        """Give its address; the hash in it changes with the content, so that it may be kept by browsers."""
        return f"/static/{name}?v={hashlib.sha256(self.content).hexdigest()[:12]}"


def files(settings: Settings) -> dict[str, Served]:
    """Read everything that /static serves; raises SettingsError for a brand file that cannot be used."""
    served = {name: Served((STATIC / name).read_bytes(), kind) for name, kind in SHIPPED.items()}
    if settings.brand_css is not None:
        sheet = _read("brand_css", settings.brand_css)
        if ELSEWHERE.search(sheet):
            raise SettingsError("brand_css loads something (@import, or url() of another site); the pages forbid it")
        served["brand.css"] = Served(sheet, SHIPPED["site.css"])
    if settings.brand_logo is not None:
        suffix = settings.brand_logo.suffix.lower()
        if suffix not in LOGOS:
            raise SettingsError("brand_logo is neither .svg nor .png")
        served[f"logo{suffix}"] = Served(_read("brand_logo", settings.brand_logo), LOGOS[suffix])
    return served


def _read(name: str, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise SettingsError(f"{name} is larger than {LARGEST // 1024} KiB")
    return content

"""Which version is this? The first heading of CHANGELOG.md that bears a number is the one truth."""

from __future__ import annotations

import re
from pathlib import Path


def read(changelog: Path) -> str:
    """Give the newest released version named in a changelog; `0.0.0` before the first."""
    found = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "0.0.0"


VERSION = read(Path(__file__).resolve().parent.parent.parent / "CHANGELOG.md")

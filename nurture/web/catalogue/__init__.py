"""What do the public pages say, in German (formal) and in English? One file per group of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.web.catalogue import asking, choosing, common, opting

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {**common.WORDS, **opting.WORDS, **choosing.WORDS, **asking.WORDS}
"""By key and language."""

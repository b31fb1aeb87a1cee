"""Which program turns MJML into HTML? One function, so that another engine can take its place."""

from __future__ import annotations

import re

import mrml

PREVIEW = re.compile(r'<div style="display:none;font-size:1px;color:#ffffff;[^"]*">')
HIDDEN = '<div style="display:none;mso-hide:all;max-height:0;max-width:0;opacity:0;overflow:hidden;">'


def to_html(mjml: str) -> str:
    """Compile MJML without Jinja to HTML; raises ValueError with the engine's words.

    The hidden preview text loses its white, one pixel high letters: it is hidden without them, and
    spam filters charge for low contrast and for invisible type.
    """
    try:
        html = str(mrml.to_html(mjml).content)
    except OSError as error:
        raise ValueError(str(error)) from error
    return PREVIEW.sub(HIDDEN, html, count=1)

"""How do tests vary a mail? By what a person reads, as if it were written for one person alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nurture.delivery.content.pieces import Content

if TYPE_CHECKING:
    from nurture.delivery.provider import Outgoing


def changed(mail: Outgoing, **fields: Any) -> Outgoing:
    """Give the mail with other fields; subject, html, text and headers count as fields."""
    read = {name: fields.pop(name, getattr(mail, name)) for name in ("subject", "html", "text", "headers")}
    return mail._replace(content=Content.whole(**read), values=(), **fields)

"""How does a stranger get to check us? Checkpoints that leave the machine, exports, one-page proofs."""

from __future__ import annotations

from nurture import NurtureError


class AuditError(NurtureError):
    """An export, a proof or a delivery cannot be made as asked; the message names nobody."""

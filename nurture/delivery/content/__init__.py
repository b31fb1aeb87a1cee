"""What is said? Templates become mails: compiled and checked once, rendered per person."""

from __future__ import annotations

from dataclasses import dataclass

from nurture import NurtureError


class ContentError(NurtureError):
    """A template cannot be used; the message names file, line and remedy."""


class RenderError(ContentError):
    """A mail could not be rendered for one person; the message names the mail and the field, never a value."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing in a template that a person must mend."""

    file: str
    """Path below the templates folder."""
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Give `file:line: rule: message`, which editors make clickable."""
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


class RefusedError(ContentError):
    """A template breaks rules; `findings` lists them all."""

    def __init__(self, findings: list[Finding]) -> None:
        """Take every finding, so that one run shows all there is to mend."""
        super().__init__("\n".join(str(finding) for finding in sorted(findings)))
        self.findings = findings

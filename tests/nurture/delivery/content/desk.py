"""A templates folder of one mail that tests change at one spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.delivery.content.library import Library, Mail, MailKey

if TYPE_CHECKING:
    from pathlib import Path

BODY = """\
<mjml lang="en">
  <mj-head>
    <mj-title>Title</mj-title>
    <mj-preview>Preview</mj-preview>
    <mj-include path="_base/head.mjml" />
  </mj-head>
  <mj-body css-class="page">
    <mj-section>
      <mj-column>
        <mj-text>HERE</mj-text>
        <mj-button href="{{ track("guide", "https://musterwerk.example/guide") }}">Guide</mj-button>
      </mj-column>
    </mj-section>
    <mj-include path="_base/footer.en.mjml" />
  </mj-body>
</mjml>
"""
LINE = 10
"""The line of HERE."""
KEY = MailKey("course", "first", "cold", "en")


@dataclass(frozen=True)
class Desk:
    """One mail, `course/first/cold/en`."""

    templates: Path

    def write(
        self,
        here: str = "Hello",
        *,
        body: str = BODY,
        subject: str = "Subject",
        notes: str | None = None,
        temperature: str = "cold",
    ) -> None:
        """Write the mail, with `here` as its text."""
        folder = self.templates / "course" / "first" / temperature
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "body.en.mjml").write_text(body.replace("HERE", here), "utf-8")
        (folder / "subject.en.txt").write_text(subject, "utf-8")
        if notes is not None:
            (folder.parent / "mail.yaml").write_text(notes, "utf-8")

    def rules(self) -> list[str]:
        """Give the rules that the mail breaks; missing variants are the desk's normal state."""
        library = Library.load(self.templates)
        return [finding.rule for finding in library.findings if finding.rule != "missing"]

    def complaint(self) -> str:
        """Give the first finding in full."""
        library = Library.load(self.templates)
        return next(str(finding) for finding in library.findings if finding.rule != "missing")

    def mail(self) -> Mail:
        """Give the compiled mail."""
        return Library.load(self.templates).mail(KEY)

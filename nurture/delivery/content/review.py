"""Are the mails fit to be sent? Everything the build found, and what shows only when mails are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.delivery.content import Finding, RenderError, outlook, sample

if TYPE_CHECKING:
    from nurture.delivery.content.library import Library, Mail, MailKey


def review(library: Library) -> list[Finding]:
    """List all findings: of the build, and of each mail rendered for a full and a bare person."""
    rendered = [finding for key, mail in library.mails.items() for finding in of_mail(key, mail)]
    return sorted({*library.findings, *rendered})


def of_mail(key: MailKey, mail: Mail) -> list[Finding]:
    """Render one mail for made-up people and list what is wrong with it."""
    file = f"{key.sequence}/{key.step}/{key.temperature}/body.{key.language}.mjml"
    found = []
    for who, lead in (("everything", sample.FULL), ("nothing but an address", sample.BARE)):
        try:
            shown = sample.render(mail, lead)
        except RenderError as error:
            found.append(Finding(file, 1, "render", f"for somebody of whom we know {who}: {error}"))
            continue
        found += [Finding(file, 1, "outlook", problem) for problem in outlook.unbalanced(shown.html)]
    return sorted(set(found))

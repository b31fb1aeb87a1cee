"""Are the mails fit to be sent? Everything the build found, and what shows only when mails are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import nodes

from nurture.delivery.content import Finding, RenderError, outlook, sample, source
from nurture.delivery.content.language import TEXT
from nurture.delivery.content.library import MessageClass
from nurture.delivery.content.skeleton import Obstacle, skeleton

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


def one_by_one(library: Library) -> list[Finding]:
    """List the mails to leads that have no skeleton, so that each is a request of its own; no mistake, but slow."""
    found = []
    for key, mail in library.mails.items():
        if mail.message_class is MessageClass.CONFIRMATION:
            continue
        made = [skeleton(mail, sample.frame(tracked=tracked)) for tracked in (True, False)]
        obstacle = next((one for one in made if isinstance(one, Obstacle)), None)
        if obstacle is not None:
            message = f"{obstacle.reason}; this mail is written and sent to each person alone"
            found.append(Finding(*_spot(library, key, obstacle), "one_by_one", message))
    return sorted(found)


def _spot(library: Library, key: MailKey, obstacle: Obstacle) -> tuple[str, int]:
    """Find the author's file and line behind a compiled mail's syntax."""
    folder = library.templates / key.sequence / key.step / key.temperature
    name = {"subject": f"subject.{key.language}.txt", "text": f"body.{key.language}.txt"}.get(obstacle.part, "")
    file = folder / name if name and (folder / name).is_file() else folder / f"body.{key.language}.mjml"
    read = source.read(library.templates, file)
    blamed = obstacle.node
    if blamed is None:
        return read.where(1)
    tree = TEXT.parse(read.text)
    owners = [node.node for node in tree.find_all(nodes.Getattr)]  # `lead.company` is no use of `lead`
    alike = [node for node in tree.find_all(type(blamed)) if _told_by(node) == _told_by(blamed)]
    return read.where(next((node.lineno for node in alike if not any(node is owner for owner in owners)), 1))


def _told_by(node: nodes.Node) -> object:
    """Tell what is the same in the source and in the compiled part: not the markup around."""
    return node.test if isinstance(node, nodes.If) else node.iter if isinstance(node, nodes.For) else node

"""Does a mail hold together in Outlook? Checks that every tag closes, with and without its conditional parts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
SHOWN_ELSEWHERE = re.compile(r"<!--\[if !mso[^\]]*\]><!-->(.*?)<!--<!\[endif\]-->", re.DOTALL)
SHOWN_IN_OUTLOOK = re.compile(r"<!--\[if (?!!)[^\]]*\]>(.*?)<!\[endif\]-->", re.DOTALL)


def views(html: str) -> dict[str, str]:
    """Give what Outlook sees and what everybody else sees."""
    outlook = SHOWN_IN_OUTLOOK.sub(r"\1", SHOWN_ELSEWHERE.sub("", html))
    others = SHOWN_IN_OUTLOOK.sub("", SHOWN_ELSEWHERE.sub(r"\1", html))
    return {"outlook": outlook, "others": others}


def unbalanced(html: str) -> list[str]:
    """Name the tags that do not close, per view; a loop around half a conditional table breaks only Outlook."""
    found = []
    for name, view in views(html).items():
        checker = _Balance()
        checker.feed(view)
        checker.close()
        problems = checker.problems + [f"<{tag}> is never closed" for tag in checker.open]
        found += [f"in the view of {name}: {problem}" for problem in problems]
    return found


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  inherited
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Ignore: it opens and closes."""

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.problems.append(f"</{tag}> closes <{self.open[-1] if self.open else 'nothing'}>")

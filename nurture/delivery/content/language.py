"""What may be written between braces? Fields, `if`, `for` and `track()`: no more.

Two fences, because templates come from people who are trusted with words, not with the machine:
a template that uses anything outside a short list of syntax is refused at build with its line, and
the environment that renders it is a sandbox in which values have fields but no attributes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nurture.delivery.content import Finding, RenderError
from nurture.delivery.content.context import web_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Undefined

    from nurture.delivery.content.source import Source

ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.CondExpr, nodes.Name,
    nodes.Getattr, nodes.Const, nodes.Filter, nodes.Call, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
)  # fmt: skip
BLOCK_WORDS = frozenset({"if", "elif", "else", "endif", "for", "endfor"})


class Track:
    """`track(key, url)` inside one render: the address behind which a link's clicks are counted."""

    def __init__(self, index: Mapping[str, int], address: Callable[[int, str], str]) -> None:
        """Take the links' numbers and who knows the addresses."""
        self._index = index
        self._address = address

    def __call__(self, key: str, url: str) -> str:
        """Give the address of a link."""
        return web_address(self._address(self._index[key], url))


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without its house: one filter, fields but no attributes, no arithmetic, no call but track()."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        """Escaping is a decision of the part, never guessed from a file's name."""
        super().__init__(autoescape=autoescape, undefined=StrictUndefined)
        self.globals.clear()
        self.filters.clear()
        self.tests.clear()
        self.filters["url"] = web_address

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401  Jinja's signature
        """Look a field up in a plain dict; nothing else has any."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401  Jinja's signature
        """Look a field up in a plain dict; nothing else has any."""
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        return self.unsafe_undefined(obj, str(argument))

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:  # noqa: ANN401, ARG002  Jinja's signature
        """Name the field only: the object may hold a person's data."""
        return self.undefined(name=attribute)

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ANN401  Jinja's signature
        """Allow track() alone."""
        return isinstance(obj, Track)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401, ARG002  Jinja's signature
        """Refuse arithmetic: `'a' * 2000000000` needs no sandbox hole to end a process."""
        raise SecurityError(f"arithmetic ({operator}) is not allowed in templates")


HTML = Sandbox(autoescape=True)
"""For HTML parts: every value is escaped."""
TEXT = Sandbox(autoescape=False)
"""For text parts and subjects: nothing is escaped."""


@dataclass(frozen=True)
class Link:
    """A link of a mail whose clicks can be counted."""

    key: str
    """Stable name in reports."""
    url: str
    """Where it leads."""


@dataclass(frozen=True)
class Spoken:
    """What a template uses."""

    names: frozenset[str]
    """Undeclared variables and their fields: `lead.first_name`, `sender.name`, `confirm_url`."""
    links: tuple[Link, ...]
    """In order of first use; the index of a link is its place here."""
    findings: tuple[Finding, ...]
    uses: Mapping[str, int]
    """How often each name is put out."""


def understand(source: Source, text: str, schema: Mapping[str, tuple[str, ...]], *, tracking: bool) -> Spoken:
    """Parse a template and compare what it uses with what it may use; findings carry file and line."""
    try:
        tree = TEXT.parse(text)
    except TemplateSyntaxError as error:
        return Spoken(frozenset(), (), (source.finding(error.lineno, "jinja", error.message or "syntax error"),), {})
    reader = _Reader(source, schema, tracking=tracking)
    reader.read(tree, bound=frozenset())
    return Spoken(frozenset(reader.uses), tuple(reader.links.values()), tuple(reader.findings), reader.uses)


class _Reader:
    """One walk over a template's syntax tree."""

    def __init__(self, source: Source, schema: Mapping[str, tuple[str, ...]], *, tracking: bool) -> None:
        self.source = source
        self.schema = schema
        self.tracking = tracking
        self.links: dict[str, Link] = {}
        self.findings: list[Finding] = []
        self.uses: dict[str, int] = {}

    def find(self, line: int, rule: str, message: str) -> None:
        self.findings.append(self.source.finding(line, rule, message))

    def read(self, node: nodes.Node, *, bound: frozenset[str]) -> None:
        """Read a node and what is in it; `bound` are the names of the loops around it."""
        if not isinstance(node, ALLOWED):
            self.find(
                node.lineno, "syntax", f"{type(node).__name__.lower()} is not allowed; write fields, if, for, track()"
            )
            return
        if isinstance(node, nodes.Call):
            self._call(node)
            return
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name not in bound and node.name not in self.schema:
                known = ", ".join([*self.schema, *bound])
                self.find(node.lineno, "variable", f"{node.name} is unknown; templates know {known}")
            self.uses[node.name] = self.uses.get(node.name, 0) + 1
        elif isinstance(node, nodes.Getattr):
            self._field(node)
        elif isinstance(node, nodes.Filter) and (node.name != "url" or node.args or node.kwargs):
            self.find(node.lineno, "filter", f"the filter {node.name} is not allowed; there is only url")
        elif isinstance(node, nodes.For):
            if bound or not isinstance(node.iter, nodes.Name) or node.recursive or node.test:
                self.find(node.lineno, "loop", "a loop runs over one list of the context, and never inside another")
            bound |= {node.target.name} if isinstance(node.target, nodes.Name) else set()
        for child in node.iter_child_nodes():
            self.read(child, bound=bound)

    def _field(self, node: nodes.Getattr) -> None:
        owner = node.node
        if not isinstance(owner, nodes.Name):
            self.find(node.lineno, "syntax", "only fields of a name of the context can be read")
        elif node.attr not in self.schema.get(owner.name, ()):
            known = ", ".join(self.schema.get(owner.name, ())) or "none"
            self.find(node.lineno, "variable", f"{owner.name}.{node.attr} is unknown; {owner.name} has: {known}")
        else:
            name = f"{owner.name}.{node.attr}"
            self.uses[name] = self.uses.get(name, 0) + 1

    def _call(self, node: nodes.Call) -> None:
        if not (isinstance(node.node, nodes.Name) and node.node.name == "track" and self.tracking):
            self.find(
                node.lineno, "call", "nothing can be called here" + (" but track(key, url)" if self.tracking else "")
            )
            return
        values = [part.value for part in node.args if isinstance(part, nodes.Const)]
        if len(values) != len(node.args) or len(values) != 2 or node.kwargs or node.dyn_args or node.dyn_kwargs:  # noqa: PLR2004  key and url
            self.find(node.lineno, "link", 'write track("key", "https://...") with two constant texts')
            return
        key, url = (str(value) for value in values)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key):
            self.find(node.lineno, "link", f"the key {key!r} must be lower case letters, digits and _")
        try:
            web_address(url)
        except RenderError as error:
            self.find(node.lineno, "link", f"track({key!r}): {error}")
        if self.links.setdefault(key, Link(key, url)).url != url:
            self.find(node.lineno, "link", f"the key {key!r} already leads to another address")


def check_blocks(source: Source, tags: list[tuple[str, int]]) -> list[Finding]:
    """Find block tags that are more than `if` and `for`, or that cut white space (which shifts lines)."""
    findings = []
    for text, line in tags:
        word = re.match(r"\{%\s*(\w+)", text)
        if word is None or word[1] not in BLOCK_WORDS:
            findings.append(source.finding(line, "syntax", f"{text} is not allowed; there are only if and for"))
    return findings

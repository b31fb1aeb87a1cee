"""What does one person's data make of a part of a template? Jinja's syntax tree becomes Python's, of one person.

The language is small (`language.py`), so what is left of it here is smaller still: fields, constants,
comparisons, conditions, `url` and `track()`. Each has its like in Python, and gives exactly what Jinja would;
tests hold both together. Trees and never text are built, so that no word of a template can become code.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from markupsafe import escape

from nurture.delivery.content.context import LEAD, web_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nurture.delivery.content.addresses import Addresses

Person = tuple[str, ...]
"""What a hole may read: the fields of `LEAD`, then the parts of the message's tokens."""
PUBLIC_ID = len(LEAD)
"""Begins each token; a MAC follows it."""
PERSONAL = frozenset({"lead"})
"""Names of the context that differ from person to person; tokens differ, too, but only within an address."""
FIELD_BYTES = 300
"""What one field of a person may weigh in bytes: 60 characters (`addressing`), each escaped or of several bytes."""
SPECIAL = re.compile("[&<>'\"]")
COMPARE: Mapping[str, ast.cmpop] = {
    "eq": ast.Eq(), "ne": ast.NotEq(), "lt": ast.Lt(), "lteq": ast.LtE(), "gt": ast.Gt(), "gteq": ast.GtE(),
    "in": ast.In(), "notin": ast.NotIn(),
}  # fmt: skip
PERSON = ast.Name("person", ast.Load())


class CannotSplitError(Exception):
    """A template cannot be evaluated in parts; has the reason and the syntax that is to blame."""

    def __init__(self, reason: str, node: nodes.Node) -> None:
        """Take a reason in authors' words."""
        super().__init__(reason)
        self.reason = reason
        self.node = node


@dataclass(frozen=True)
class Code:
    """An expression of a person, with what it reads and how long its value may be."""

    tree: ast.expr
    reads: frozenset[int] = frozenset()
    """Places in `Person`."""
    largest: int = 0
    """Bytes, for people whose fields are no longer than names are."""


@dataclass(frozen=True)
class Translator:
    """Translates the syntax tree of one part, with everything that is the same for all people known."""

    known: Mapping[str, object]
    """The names of the context that are the same for everybody."""
    addresses: Addresses
    """The parts of their tokens are placeholders; a person's own take their place."""
    index: Mapping[str, int]
    """The number of each link, by its key."""
    escaped: bool = False
    """Is it the HTML part?"""

    def block(self, body: Sequence[nodes.Node]) -> Code:
        """Translate statements to the text that they write."""
        return join([part for node in body for part in self._statement(node)])

    def output(self, node: nodes.Node) -> Code:
        """Translate an expression to the text that it puts out."""
        if isinstance(node, nodes.TemplateData):
            return constant(node.data)
        code = self.expression(node)
        if self.escaped:
            return _escape(code)
        return join([code])

    def _statement(self, node: nodes.Node) -> Iterator[Code]:
        if isinstance(node, nodes.Output):
            yield from map(self.output, node.nodes)
        elif isinstance(node, nodes.If):
            yield self._condition(node)
        elif isinstance(node, nodes.For):
            raise CannotSplitError("a loop stands within a condition on personal data", node)
        else:
            raise _unknown(node)

    def _condition(self, node: nodes.If) -> Code:
        otherwise = self.block(node.else_)
        for branch in reversed([node, *node.elif_]):
            otherwise = _choice(self.expression(branch.test), self.block(branch.body), otherwise)
        return otherwise

    def expression(self, node: nodes.Node) -> Code:  # noqa: PLR0911  one return for each kind of syntax
        """Translate an expression."""
        match node:
            case nodes.Const():
                return constant(node.value)
            case nodes.Name() | nodes.Getattr():
                return self._name(node)
            case nodes.Call():
                key, url = (part.value for part in node.args if isinstance(part, nodes.Const))
                return self._address(self.addresses.link(self.index[key], url))
            case nodes.Filter(name="url", node=nodes.Expr() as inner):
                return self._checked(self.expression(inner))
            case nodes.CondExpr(expr2=nodes.Expr() as other):
                return _choice(self.expression(node.test), self.expression(node.expr1), self.expression(other))
            case nodes.CondExpr():
                raise CannotSplitError("a conditional expression has no else", node)
            case nodes.Not():
                code = self.expression(node.node)
                return Code(ast.UnaryOp(ast.Not(), code.tree), code.reads, len("False"))
            case nodes.And() | nodes.Or():
                left, right = self.expression(node.left), self.expression(node.right)
                tree = ast.BoolOp(ast.And() if isinstance(node, nodes.And) else ast.Or(), [left.tree, right.tree])
                return Code(tree, left.reads | right.reads, max(left.largest, right.largest))
            case nodes.Compare():
                return self._compared(node)
        raise _unknown(node)

    def _name(self, node: nodes.Name | nodes.Getattr) -> Code:
        name = node.name if isinstance(node, nodes.Name) else ""
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            if node.node.name == "lead" and node.attr in LEAD:
                return read(LEAD.index(node.attr), FIELD_BYTES)
            fields = self.known.get(node.node.name)
            if isinstance(fields, dict) and node.attr in fields:
                return constant(fields[node.attr])
        if name not in self.known or isinstance(self.known[name], dict):
            raise CannotSplitError(f"{name or 'a field'} is used as a whole", node)
        return self._address(self.known[name])

    def _address(self, value: object) -> Code:
        """Give what may be an address with a token of the message."""
        public_id, *macs = self.addresses.parts
        for place, mac in enumerate(macs, start=PUBLIC_ID + 1):
            if isinstance(value, str) and public_id + mac in value:
                before, _, after = value.partition(public_id + mac)
                token = read(PUBLIC_ID, len(public_id)), read(place, len(mac))
                return join([constant(before), *token, constant(after)])
        return constant(value)

    def _checked(self, code: Code) -> Code:
        """Translate the filter `url`."""
        if code.reads and min(code.reads) >= PUBLIC_ID:
            web_address(function(code.tree)(("",) * PUBLIC_ID + self.addresses.parts))
            return code  # a token is letters and digits: what holds for one holds for all
        return Code(_call("web_address", code.tree), code.reads, code.largest)

    def _compared(self, node: nodes.Compare) -> Code:
        start, rest = self.expression(node.expr), [self.expression(operand.expr) for operand in node.ops]
        reads = start.reads.union(*(code.reads for code in rest))
        if any(place >= PUBLIC_ID for place in reads):
            raise CannotSplitError("an address of the message is compared", node)
        operators = [COMPARE[operand.op] for operand in node.ops]
        return Code(ast.Compare(start.tree, operators, [code.tree for code in rest]), reads, len("False"))


def constant(value: object) -> Code:
    """Give what is the same for everybody: text, a number, True, False or None."""
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"{type(value).__name__} in a template")
    return Code(ast.Constant(value), largest=len(str(escape(value)).encode(errors="replace")))


def read(place: int, largest: int) -> Code:
    """Give one place of the person."""
    return Code(ast.Subscript(PERSON, ast.Constant(place), ast.Load()), frozenset({place}), largest)


def join(parts: Sequence[Code]) -> Code:
    """Give one text of several values."""
    reads = frozenset[int]().union(*(part.reads for part in parts))
    trees = [tree for part in parts for tree in _joinable(part.tree)]
    return Code(ast.JoinedStr(trees), reads, sum(part.largest for part in parts))


def function(tree: ast.expr, names: Mapping[str, Callable[..., Any]] | None = None) -> Callable[[Person], Any]:
    """Compile an expression of a person, as Jinja compiles a template; `names` are functions that it may call."""
    person = ast.arguments(posonlyargs=[], args=[ast.arg("person")], kwonlyargs=[], kw_defaults=[], defaults=[])
    whole = ast.fix_missing_locations(ast.Expression(ast.Lambda(person, tree)))
    called = {"escaped": escaped, "web_address": web_address, **(names or {}), "__builtins__": {}}
    made: Callable[[Person], Any] = FunctionType(compile(whole, "<holes of a mail>", "eval"), called)()
    return made


def escaped(value: object) -> str:
    """Escape as Jinja does; most names need nothing."""
    return value if type(value) is str and SPECIAL.search(value) is None else str(escape(value))


def _choice(test: Code, yes: Code, no: Code) -> Code:
    tree = ast.IfExp(test.tree, yes.tree, no.tree)
    return Code(tree, test.reads | yes.reads | no.reads, max(yes.largest, no.largest))


def _call(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


def _joinable(tree: ast.expr) -> list[ast.expr]:
    """Give what stands for a value within a joined text; a text that is joined itself goes up in it."""
    if isinstance(tree, ast.JoinedStr):
        return tree.values
    return [tree if _is_text(tree) else ast.FormattedValue(tree, ord("s"))]


def _is_text(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and isinstance(tree.value, str)


def _escape(code: Code) -> Code:
    """Escape a value: an address around a token now, for tokens need it not, anything else for each person."""
    pieces = code.tree.values if isinstance(code.tree, ast.JoinedStr) else []
    tokens = [piece for piece in pieces if not _is_text(piece)]
    if tokens and min(code.reads) >= PUBLIC_ID and all(map(_is_read, tokens)):
        known = [
            ast.Constant(str(escape(piece.value))) if isinstance(piece, ast.Constant) else piece for piece in pieces
        ]
        return Code(ast.JoinedStr(known), code.reads, code.largest)
    return Code(_call("escaped", code.tree), code.reads, code.largest)


def _is_read(tree: ast.expr) -> bool:
    return isinstance(tree, ast.FormattedValue) and isinstance(tree.value, ast.Subscript)


def _unknown(node: nodes.Node) -> CannotSplitError:
    return CannotSplitError(f"{type(node).__name__.lower()} depends on personal data", node)

"""What does one person's data make of a part of a template? Jinja's syntax tree becomes functions of one person.

The language is small (`language.py`), so what is left of it here is smaller still: fields, constants,
comparisons, conditions, `url` and `track()`. Each function gives exactly what Jinja would; tests hold both together.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from markupsafe import escape

from nurture.delivery.content.context import LEAD, web_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from nurture.delivery.content.addresses import Addresses

    Value: TypeAlias = Callable[["Person"], Any]

Person = tuple[str | None, ...]
"""What a hole may read: the fields of `LEAD`, then `existing_customer`, then the tokens in the order of `TOKENS`."""
CUSTOMER = len(LEAD)
FIRST_TOKEN = CUSTOMER + 1
PERSONAL = frozenset({"lead", "existing_customer"})
"""Names of the context that differ from person to person; tokens differ, too, but only within an address."""
FIELD_BYTES = 300
"""What one field of a person may weigh in bytes: 60 characters (`addressing`), each escaped or of several bytes."""
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne,
    "lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge,
    "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip


class CannotSplitError(Exception):
    """A template cannot be evaluated in parts; has the reason and the syntax that is to blame."""

    def __init__(self, reason: str, node: nodes.Node) -> None:
        """Take a reason in authors' words."""
        super().__init__(reason)
        self.reason = reason
        self.node = node


@dataclass(frozen=True)
class Made:
    """A function of a person, with what it reads and how long its result may be."""

    value: Value
    reads: frozenset[int] = frozenset()
    """Places in `Person`."""
    largest: int = 0
    """Bytes, for people whose fields are no longer than names are."""
    fixed: bool = False
    """Is it the same for everybody, and surely no error?"""
    slow: bool = False
    """Is a value found quicker than made?"""


@dataclass(frozen=True)
class Maker:
    """Makes functions of the syntax tree of one part, with everything that is the same for all people known."""

    known: Mapping[str, object]
    """The names of the context that are the same for everybody."""
    addresses: Addresses
    """Their tokens are placeholders; a person's own take their place."""
    index: Mapping[str, int]
    """The number of each link, by its key."""
    escaped: bool = False
    """Is it the HTML part?"""

    def block(self, body: list[nodes.Node]) -> Made:
        """Make the text that statements write."""
        return join([part for node in body for part in self._statement(node)])

    def output(self, node: nodes.Node) -> Made:
        """Make the text that an expression puts out."""
        if isinstance(node, nodes.TemplateData):
            return constant(node.data)
        made = self.expression(node)
        write = _escaped if self.escaped else str
        return constant(write(made.value(()))) if made.fixed else _apply(write, made)

    def _statement(self, node: nodes.Node) -> Iterator[Made]:
        if isinstance(node, nodes.Output):
            yield from map(self.output, node.nodes)
        elif isinstance(node, nodes.If):
            yield self._condition(node)
        elif isinstance(node, nodes.For):
            raise CannotSplitError("a loop stands within a condition on personal data", node)
        else:
            raise CannotSplitError(f"{type(node).__name__.lower()} depends on personal data", node)

    def _condition(self, node: nodes.If) -> Made:
        otherwise = self.block(node.else_)
        for branch in reversed([node, *node.elif_]):
            otherwise = choice(self.expression(branch.test), self.block(branch.body), otherwise)
        return otherwise

    def expression(self, node: nodes.Node) -> Made:  # noqa: PLR0911  one return for each kind of syntax
        """Make the value of an expression."""
        match node:
            case nodes.Const():
                return constant(node.value)
            case nodes.Name() | nodes.Getattr():
                return self._name(node)
            case nodes.Call():
                key, url = (part.value for part in node.args if isinstance(part, nodes.Const))
                return self._address(self.addresses.link(self.index[key], url), node)
            case nodes.Filter(name="url", node=nodes.Expr() as inner):
                return self._checked(self.expression(inner))
            case nodes.CondExpr(expr2=nodes.Expr() as other):
                return choice(self.expression(node.test), self.expression(node.expr1), self.expression(other))
            case nodes.CondExpr():
                raise CannotSplitError("a conditional expression has no else", node)
            case nodes.Not():
                return _apply(operator.not_, self.expression(node.node))
            case nodes.And() | nodes.Or():
                return self._either(node)
            case nodes.Compare():
                return self._compared(node)
        raise CannotSplitError(f"{type(node).__name__.lower()} depends on personal data", node)

    def _name(self, node: nodes.Name | nodes.Getattr) -> Made:
        if isinstance(node, nodes.Getattr):
            owner = node.node.name if isinstance(node.node, nodes.Name) else ""
            if owner == "lead" and node.attr in LEAD:
                return _read(LEAD.index(node.attr))
            fields = self.known.get(owner)
            if isinstance(fields, dict) and node.attr in fields:
                return constant(fields[node.attr])
        elif node.name == "existing_customer":
            return _read(CUSTOMER)
        elif node.name in self.known:
            return self._address(self.known[node.name], node)
        raise CannotSplitError(f"{node.name if isinstance(node, nodes.Name) else node.attr} is used as a whole", node)

    def _address(self, value: object, node: nodes.Node) -> Made:
        """Make a value that may hold one token of the message."""
        for place, token in enumerate(self.addresses.tokens, start=FIRST_TOKEN):
            if isinstance(value, str) and token in value:
                before, _, after = value.partition(token)
                if token in after:
                    raise CannotSplitError("an address holds a token twice", node)
                return Made(_within(before, place, after), frozenset({place}), len(value.encode()))
        return constant(value)

    def _checked(self, made: Made) -> Made:
        """Apply the filter `url`."""
        if made.reads and min(made.reads) >= FIRST_TOKEN:
            web_address(made.value((None,) * FIRST_TOKEN + self.addresses.tokens))
            return made  # a token is letters and digits: what holds for one holds for all
        return _apply(web_address, made)

    def _either(self, node: nodes.And | nodes.Or) -> Made:
        left, right = self.expression(node.left), self.expression(node.right)
        first, second = left.value, right.value
        reads, largest = left.reads | right.reads, max(left.largest, right.largest)
        if isinstance(node, nodes.And):
            return Made(lambda person: first(person) and second(person), reads, largest)
        return Made(lambda person: first(person) or second(person), reads, largest)

    def _compared(self, node: nodes.Compare) -> Made:
        start = self.expression(node.expr)
        rest = [(COMPARE[operand.op], self.expression(operand.expr)) for operand in node.ops]
        reads = start.reads.union(*(made.reads for _, made in rest))
        if any(place >= FIRST_TOKEN for place in reads):
            raise CannotSplitError("an address of the message is compared", node)
        first, pairs = start.value, [(compare, made.value) for compare, made in rest]

        def value(person: Person) -> Any:  # noqa: ANN401  whatever a comparison gives
            left, answer = first(person), True
            for compare, right_value in pairs:
                right = right_value(person)
                answer = compare(left, right)
                if not answer:
                    return answer
                left = right
            return answer

        return Made(value, reads, len("False"))


def constant(value: object) -> Made:
    """Make what is the same for everybody."""
    return Made(lambda _: value, largest=len(str(escape(value)).encode(errors="replace")), fixed=True)


def join(parts: list[Made]) -> Made:
    """Make one text of several."""
    reads = frozenset[int]().union(*(part.reads for part in parts))
    largest = sum(part.largest for part in parts)
    values = [part.value for part in parts]
    if all(part.fixed for part in parts):
        return constant("".join([value(()) for value in values]))
    if len(values) == 1:
        return parts[0]
    return Made(lambda person: "".join([value(person) for value in values]), reads, largest)


def choice(test: Made, yes: Made, no: Made) -> Made:
    """Make one of two values."""
    asked, then, otherwise = test.value, yes.value, no.value
    return Made(
        lambda person: then(person) if asked(person) else otherwise(person),
        test.reads | yes.reads | no.reads,
        max(yes.largest, no.largest),
    )


def _apply(change: Callable[[Any], Any], made: Made) -> Made:
    inner = made.value
    return Made(lambda person: change(inner(person)), made.reads, made.largest)


def _read(place: int) -> Made:
    return Made(operator.itemgetter(place), frozenset({place}), FIELD_BYTES)


def token_at(place: int, length: int) -> Made:
    """Make one of the message's tokens."""
    return Made(operator.itemgetter(place), frozenset({place}), length)


def _within(before: str, place: int, after: str) -> Value:
    return lambda person: f"{before}{person[place]}{after}"


def _escaped(value: object) -> str:
    return str(escape(value))

"""Which small mistakes could stand in a module? Every change of one expression or statement that a test should notice.

Left out is what no test should have to notice: annotations, docstrings, decorators, the wording of errors, comments
of columns, lists of exported names; and texts in constants of a module, where a test could only repeat them.
"""

from __future__ import annotations

import ast
import copy
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

SHOWN = 90
"""Characters of code in the name of a mutant."""
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
"""What each operator is easily mistaken for."""
JUDGED = (ast.Compare, ast.BoolOp)
"""Conditions that have mutants of their own, so that they need not be negated as well."""
UNSEEN_FIELDS = {"annotation", "returns", "decorator_list", "type_params"}
UNSEEN_KEYWORDS = {"comment"}


@dataclass
class Mutant:
    """One change. It stands in the tree only inside `applied`."""

    place: str
    """Line and column."""
    change: str
    """Code before and after."""
    function: int | None
    """First line of the outermost function around it; None where it runs when the module is imported."""
    holder: Any
    """The node or list that holds what is replaced."""
    key: Any
    new: ast.AST

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the change stand for a while."""
        listed = isinstance(self.holder, list)
        old = self.holder[self.key] if listed else getattr(self.holder, self.key)
        put = self.holder.__setitem__ if listed else self.holder.__setattr__
        put(self.key, self.new)
        try:
            yield
        finally:
            put(self.key, old)


def mutants(tree: ast.AST) -> Iterator[Mutant]:
    """Give every mutant of a module, in the order of its lines. The tree must not change meanwhile."""
    yield from _below(tree, None)


def code_of(tree: ast.Module, path: str, function: int) -> CodeType:
    """Compile a module and give the code of the function that begins on this line."""
    with warnings.catch_warnings():
        # Mutants such as `is` a literal are what it warns of.
        warnings.simplefilter("ignore")
        waiting = [compile(tree, path, "exec")]
    while waiting:
        code = waiting.pop()
        if code.co_firstlineno == function and code.co_name not in {"<module>", "<lambda>"}:
            return code
        waiting += [one for one in code.co_consts if isinstance(one, type(code))]
    raise LookupError(function)


def _below(node: ast.AST, function: int | None) -> Iterator[Mutant]:
    """Give the mutants of everything inside a node."""
    for name, value in ast.iter_fields(node):
        if name in UNSEEN_FIELDS:
            continue
        for number, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _unseen(child) and not (_is_none(child) and _is_identity(node)):
                inside = _line(node) if function is None and _is_body(node, name) else function
                for new in _variants(child) if inside or not _is_word(child) else ():
                    ast.fix_missing_locations(ast.copy_location(new, child))
                    holder, key = (value, number) if isinstance(value, list) else (node, name)
                    yield Mutant(_place(child, node), _told(child, new), inside, holder, key, new)
                if not isinstance(child, ast.Raise):
                    yield from _below(child, inside)


def _is_identity(node: ast.AST) -> bool:
    """Tell `is None`, which is judged as a whole."""
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot)


def _is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _is_body(node: ast.AST, field: str) -> bool:
    """Tell the body of a function from its defaults, which run with what is around it."""
    return isinstance(node, ast.FunctionDef) and field == "body"


def _line(node: ast.AST) -> int:
    """Give the line on which a function begins: that of its first decorator."""
    decorators = getattr(node, "decorator_list", [])
    return int(min([getattr(node, "lineno", 0), *(one.lineno for one in decorators)]))


def _place(node: Any, around: Any) -> str:  # noqa: ANN401  any node
    at = node if hasattr(node, "lineno") else around
    return f"{at.lineno}:{at.col_offset}"


def _unseen(node: ast.AST) -> bool:
    """Tell what no test should have to notice."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.keyword(arg=name):
            return name in UNSEEN_KEYWORDS
    return False


def _told(old: ast.AST, new: ast.AST) -> str:
    return " -> ".join(" ".join(ast.unparse(one).split())[:SHOWN] for one in (old, new))


def _with(node: ast.AST, **changed: object) -> ast.AST:
    """Copy a node with other fields; what is inside is shared."""
    made = copy.copy(node)
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in the place of a node."""
    for kind, vary in VARIANTS.items():
        if isinstance(node, kind):
            yield from vary(node)


def _none() -> ast.Constant:
    return ast.Constant(None)


def _is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _compared(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401  one kind of node, as VARIANTS says; so below
    for number, operator in enumerate(node.ops):
        yield _with(node, ops=[*node.ops[:number], SWAPPED[type(operator)](), *node.ops[number + 1 :]])


def _calculated(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    if type(node.op) in SWAPPED:
        yield _with(node, op=SWAPPED[type(node.op)]())


def _negated(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    if isinstance(node.op, ast.Not):
        yield node.operand


def _constant(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    value = node.value
    match value:
        case bool():
            yield ast.Constant(not value)
        case int():
            yield ast.Constant(value + 1)
        case str():
            yield ast.Constant(f"{value}XX")
        case bytes():
            yield ast.Constant(value + b"XX")
        case None:
            yield ast.Constant("")


def _called(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    for number, one in enumerate(node.args):
        if not _is_none(one) and not isinstance(one, ast.Starred | ast.GeneratorExp):
            yield _with(node, args=[*node.args[:number], _none(), *node.args[number + 1 :]])
    for number, one in enumerate(node.keywords):
        if one.arg and one.arg not in UNSEEN_KEYWORDS:
            yield _with(node, keywords=[*node.keywords[:number], *node.keywords[number + 1 :]])


def _valued(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    if not _is_none(node.value):
        yield _with(node, value=_none())


def _done(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    if isinstance(node.value, ast.Call):
        yield ast.Pass()


def _conditioned(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    if not isinstance(node.test, JUDGED):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _filtered(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    for number in range(len(node.ifs)):
        yield _with(node, ifs=[*node.ifs[:number], *node.ifs[number + 1 :]])


VARIANTS: dict[type[ast.AST] | tuple[type[ast.AST], ...], Callable[[Any], Iterator[ast.AST]]] = {
    ast.Compare: _compared,
    (ast.BoolOp, ast.BinOp, ast.AugAssign): _calculated,
    ast.UnaryOp: _negated,
    ast.Constant: _constant,
    ast.Call: _called,
    (ast.Return, ast.Assign, ast.AnnAssign): _valued,
    ast.Expr: _done,
    ast.Raise: lambda _node: iter([ast.Pass()]),
    ast.Break: lambda _node: iter([ast.Continue()]),
    ast.Continue: lambda _node: iter([ast.Break()]),
    (ast.If, ast.IfExp, ast.While): _conditioned,
    ast.comprehension: _filtered,
}
"""Which change of which kind of node."""

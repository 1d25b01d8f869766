"""From text to a tree of operations.

The text is parsed to Python's tree, of which only listed nodes are taken: no attribute is looked up,
no subscript taken, nothing but the functions of FUNCTIONS called, so that a configuration file cannot
run code.
"""

import ast
import io
import math
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

from triggerforge.data.language.operations import (
    FUNCTIONS,
    UNARY,
    Operation,
    binary,
    comparison,
    junction,
)
from triggerforge.data.language.refusals import ExpressionError
from triggerforge.errors import did_you_mean

MAX_CHARACTERS = 4000
MAX_DEPTH = 200
_LEAST, _MOST = -(2**63), 2**64 - 1
"""integers that a column of int64 or uint64 can hold, and that may be written"""


@dataclass(frozen=True)
class Column:
    """The numbers of a column."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A number that is written out, its sign included."""

    value: bool | int | float


@dataclass(frozen=True)
class Call:
    """An operation on the values of other nodes."""

    operation: Operation
    operands: tuple["Node", ...]
    text: str


Node = Column | Constant | Call


def parse(text: str) -> Node:
    """The tree of `text`.

    Raises ExpressionError if the text does not parse, holds anything but numbers, names, operators
    and functions of the language, or leaves open what & | ^ beside a comparison mean.
    """
    if len(text) > MAX_CHARACTERS:
        raise _refused(text[:200], f"{len(text)} characters; at most {MAX_CHARACTERS}")
    line = " ".join(text.split())
    if "#" in line:
        raise _refused(line, "is no expression, it holds a '#'")
    try:
        tree = ast.parse(line, mode="eval").body
        node = _Builder(line).node(tree, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(line[:200], f"is no expression, {error}") from error
    _require_parentheses(line)
    return node


def _refused(text: str, what: str) -> ExpressionError:
    return ExpressionError(text, what, "syntax")


def column_name(node: ast.AST) -> str | None:
    """`a` or `a.b`: branches of some trees have dots in their names; nothing is looked up in `a`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            inner = column_name(value)
            return None if inner is None else f"{inner}.{attr}"
    return None


class _Builder:
    """Makes the nodes of one text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def node(self, tree: ast.AST, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _refused(
                self._text[:200],
                f"is no expression, nested more than {MAX_DEPTH} deep; a part of it can have a name "
                "in data.mapping.columns",
            )
        match tree:
            case ast.Constant(value=value) if isinstance(value, bool | int | float):
                return self._constant(value)
            case ast.Name() | ast.Attribute() if (name := column_name(tree)) is not None:
                return Column(name)
        operation, operands = self._operation(tree)
        if operation is None:
            raise self._not_allowed(tree)
        nodes = tuple(self.node(operand, depth + 1) for operand in operands)
        match tree, nodes:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign), (Constant(value=value),):
                if (folded := _signed(sign, value)) is not None:
                    return Constant(folded)
            case ast.BinOp(op=op), (_, Constant(value=value)):
                operation = binary(op, value) or operation
        return Call(operation, nodes, ast.get_source_segment(self._text, tree) or self._text)

    def _operation(self, tree: ast.AST) -> tuple[Operation | None, list[ast.expr]]:
        match tree:
            case ast.UnaryOp(op=unary, operand=operand):
                return UNARY.get(type(unary)), [operand]
            case ast.BinOp(left=left, op=op, right=right):
                return binary(op, None), [left, right]
            case ast.BoolOp(op=both, values=values):
                return junction(both, len(values)), values
            case ast.Compare(left=left, ops=ops, comparators=rest):
                return comparison(ops), [left, *rest]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._function(name, args), args
        return None, []

    def _function(self, name: str, args: list[ast.expr]) -> Operation:
        if name not in FUNCTIONS:
            hint = did_you_mean(name, FUNCTIONS)
            raise _refused(self._text, f"no function {name!r}; {hint}")
        due = FUNCTIONS[name].operands
        if len(args) != due:
            raise _refused(self._text, f"{name} takes {due} arguments, not {len(args)}")
        return FUNCTIONS[name]

    def _constant(self, value: bool | float) -> Constant:
        if isinstance(value, int) and value > _MOST:
            raise _refused(self._text, f"the integer {value} is beyond 2^64 - 1")
        if not math.isfinite(value):
            raise _refused(self._text, "a number beyond 1.8e308")
        return Constant(value)

    def _not_allowed(self, tree: ast.AST) -> ExpressionError:
        return _refused(
            self._text,
            f"{ast.unparse(tree)!r} ({type(tree).__name__}) is not allowed; use "
            f"numbers, columns, + - * / // % **, comparisons, and/or/not, & | ^ ~ and the functions "
            f"{', '.join(sorted(FUNCTIONS))}",
        )


def _signed(sign: ast.unaryop, value: bool | float) -> int | float | None:
    """+value or -value; None where that is no number that could be written."""
    if isinstance(value, bool):
        return None
    signed = -value if isinstance(sign, ast.USub) else value
    return signed if isinstance(signed, float) or signed >= _LEAST else None


@dataclass
class _Stretch:
    """A part of the text between parentheses, commas, and/or/not: what stands side by side."""

    start: int
    bits: list[tuple[int, int]] = field(default_factory=list)
    comparisons: list[tuple[int, int]] = field(default_factory=list)


def _require_parentheses(text: str) -> None:
    """Raises ExpressionError where & | ^ stand beside a comparison without parentheses.

    They bind tighter: a > 2 & b < 3 would be the chain a > (2 & b) < 3.
    """
    for stretch, end in _stretches(text):
        if stretch.bits and stretch.comparisons:
            logical = _grouped(text, stretch.start, end, stretch.bits, stretch.comparisons)
            bitwise = _grouped(text, stretch.start, end, stretch.comparisons, stretch.bits)
            raise ExpressionError(
                text,
                f"& | ^ bind tighter than comparisons; write {logical!r}, or {bitwise!r} if the bits of "
                "an integer are meant",
                "parentheses",
            )


def _stretches(text: str) -> Iterator[tuple[_Stretch, int]]:
    """Every stretch of the text, with its end."""
    open_ones = [_Stretch(0)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        word, start, end = token.string, token.start[1], token.end[1]
        if word == "(":
            open_ones.append(_Stretch(end))
        elif word == ")":
            yield open_ones.pop(), start
        elif word in (",", "and", "or", "not"):
            yield open_ones.pop(), start
            open_ones.append(_Stretch(end))
        elif word in ("&", "|", "^"):
            open_ones[-1].bits.append((start, end))
        elif word in ("<", "<=", ">", ">=", "==", "!="):
            open_ones[-1].comparisons.append((start, end))
    yield open_ones.pop(), len(text)


def _grouped(
    text: str,
    start: int,
    end: int,
    cuts: list[tuple[int, int]],
    others: list[tuple[int, int]],
) -> str:
    """The text from start to end, with parentheses about each piece between cuts that holds others."""
    starts, ends = [start, *(b for _, b in cuts)], [*(a for a, _ in cuts), end]
    pieces = []
    for a, b in zip(starts, ends, strict=True):
        piece = text[a:b].strip()
        pieces.append(f"({piece})" if any(a <= x < b for x, _ in others) else piece)
    words = [text[a:b] for a, b in cuts]
    return pieces[0] + "".join(f" {w} {p}" for w, p in zip(words, pieces[1:], strict=True))

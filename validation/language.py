"""The text of an expression and the kinds of its numbers, for the reference evaluator.

Nothing of triggerforge.data is used; see docs/expressions.md.
"""

import ast
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["boolean", "integer", "float"]
Number = bool | int | float


class Refused(Exception):
    """There is no value; `reason` is one of docs/expressions.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Column:
    """A number, or a list of numbers, for each event."""

    kind: Kind
    lists: bool
    rows: Sequence[Any]


ELEMENTWISE = {"abs": 1, "float": 1, "minimum": 2, "maximum": 2, "isfinite": 1, "where": 3}
ELEMENTARY = {
    **dict.fromkeys(("sqrt", "log", "log1p", "log10", "exp", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "arcsinh"), 1),
    **dict.fromkeys(("arctan2", "hypot"), 2),
}
OF_LISTS = dict.fromkeys(("sum", "count", "any", "all", "min", "max", "first"), 1)
FUNCTIONS: dict[str, int] = ELEMENTWISE | ELEMENTARY | OF_LISTS
"""name -> arguments"""

BITS = {ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor}
SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
DIVISIONS = {ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod}
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def parse(text: str) -> ast.expr:
    """Python's tree of `text`; raises Refused if it is not of the language."""
    line = " ".join(text.split())
    if len(text) > 4000 or "#" in line:
        raise Refused("syntax")
    try:
        tree = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused("syntax") from None
    _require_language(tree, 0)
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and _has_bare_bits(node, line):
            raise Refused("parentheses")
    return tree


def name_of(node: ast.AST) -> str | None:
    """The column that `a` or `a.b` names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := name_of(node.value)):
        return f"{inner}.{node.attr}"
    return None


def _require_language(node: ast.expr, depth: int) -> None:
    if depth > 200:
        raise Refused("syntax")
    inner: list[ast.expr] = []
    allowed = False
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            allowed = math.isfinite(value) if isinstance(value, float) else value < 2**64
        case ast.Name() | ast.Attribute():
            allowed = name_of(node) is not None
        case ast.UnaryOp(operand=operand):
            allowed, inner = True, [operand]
        case ast.BinOp(left=left, op=op, right=right):
            known = {*BITS, *SUMS, *DIVISIONS, ast.Div, ast.Pow}
            allowed, inner = type(op) in known, [left, right]
        case ast.BoolOp(values=values):
            allowed, inner = True, values
        case ast.Compare(left=left, ops=ops, comparators=rest):
            allowed, inner = {type(op) for op in ops} <= COMPARISONS.keys(), [left, *rest]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            allowed, inner = FUNCTIONS.get(name) == len(args), args
    if not allowed:
        raise Refused("syntax")
    for operand in inner:
        _require_language(operand, depth + 1)


def _has_bare_bits(node: ast.Compare, line: str) -> bool:
    """Whether an operand of a comparison is `a & b` (| ^) with no parentheses about it."""
    source = line.encode()  # the offsets of the tree count bytes
    at = node.col_offset
    for operand in (node.left, *node.comparators):
        before = source[at : operand.col_offset]
        if _is_bits(operand) and b"(" not in before:
            return True
        at = operand.end_col_offset or at
    return False


def _is_bits(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and type(node.op) in BITS


def written(node: ast.expr) -> int | float | None:
    """The number that stands there with its signs, or None."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            inner = written(operand)
            if inner is None:
                return None
            signed = -inner if isinstance(sign, ast.USub) else inner
            return signed if isinstance(signed, float) or signed >= -(2**63) else None
    return None


def kind_of(node: ast.expr, columns: Mapping[str, Column]) -> tuple[Kind, bool]:
    """The kind of the result and whether it is a list; raises Refused."""
    if (name := name_of(node)) is not None:
        return columns[name].kind, columns[name].lists
    found = [kind_of(operand, columns) for operand in operands_of(node)]
    kinds: list[Kind] = [kind for kind, _ in found]
    lists = any(listed for _, listed in found)
    number: Kind = "float" if "float" in kinds else "integer"
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return kind_of_number(value), False
        case ast.UnaryOp(op=ast.Not()) | ast.BoolOp() | ast.Compare():
            return "boolean", lists
        case ast.UnaryOp(op=ast.Invert()) | ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor()):
            if "float" in kinds or len(set(kinds)) > 1:
                raise Refused("kind")
            return kinds[0], lists
        case ast.BinOp(op=ast.Div()):
            return "float", lists
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod() | ast.Pow()):
            return number if _stays_whole(node) else "float", lists
        case ast.UnaryOp() | ast.BinOp():
            return number, lists
        case ast.Call(func=ast.Name(id=called)):
            return _kind_of_call(called, kinds, number, lists)
    raise AssertionError(f"{type(node).__name__} passed the check")


def _kind_of_call(name: str, kinds: list[Kind], number: Kind, lists: bool) -> tuple[Kind, bool]:
    if name in OF_LISTS:
        if not lists:
            raise Refused("lists")
        of_lists: dict[str, Kind] = {"sum": number, "count": "integer"}
        of_lists |= {"any": "boolean", "all": "boolean"}
        return of_lists.get(name, "float"), False
    if name == "where":
        wider: Kind = "float" if "float" in kinds[1:] else "integer"
        return kinds[1] if kinds[1] == kinds[2] else wider, lists
    if name in ("abs", "minimum", "maximum"):
        return number, lists
    return "boolean" if name == "isfinite" else "float", lists


def kind_of_number(value: Number) -> Kind:
    """The kind of a Python number."""
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "float"


def operands_of(node: ast.expr) -> list[ast.expr]:
    """The nodes that an operation takes, from left to right."""
    match node:
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.BoolOp(values=values):
            return values
        case ast.Compare(left=left, comparators=rest):
            return [left, *rest]
        case ast.Call(args=args):
            return args
    return []


def _stays_whole(node: ast.BinOp) -> bool:
    """Whether // % ** of whole numbers is whole: by a written integer, not 0 (for **, from 0 on)."""
    by = written(node.right)
    return isinstance(by, int) and (by >= 0 if isinstance(node.op, ast.Pow) else by != 0)

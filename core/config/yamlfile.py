"""YAML as this project reads it: the core schema of YAML 1.2, small, flat and without surprises.

Only `true` and `false` are booleans (`no` is the text "no"), `010` is ten, `1e-3` is a number, `1:30` and
`2020-01-31` are text; `<<` merges. Refused: a key that stands twice or is no plain word, any other tag,
deep nesting, aliases that multiply or refer to themselves, numbers of more digits than any has.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Never

import yaml

from triggerforge.errors import ConfigError

MAX_BYTES = 200_000
"""a second of reading"""
_MAX_DEPTH = 40
_MAX_NODES = 100_000
"""values in a file, those that an alias repeats counted each time"""
_MAX_DIGITS = 60
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file of at most 200 kB, in UTF-8. Raises ConfigError, one line with the place."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8-sig") if size <= MAX_BYTES else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; give the path of a YAML file") from error
    if size > MAX_BYTES:
        raise ConfigError(f"{path} has {size} bytes; a configuration has at most {MAX_BYTES}")
    tree = parse_yaml(text, f"{path} is not YAML")
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds {type(tree).__name__}; a configuration is `key: value`")
    return tree


def parse_yaml(text: str, wrong: str) -> Any:
    """What the text says. Raises ConfigError that begins with the words `wrong`."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        said = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{wrong}: {said}{place}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{wrong}: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """See the module."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _MAX_DEPTH:  # the scanner takes longer with each bracket that is open
            _refuse(f"nested more than {_MAX_DEPTH} deep", self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            _refuse(f"nested more than {_MAX_DEPTH} deep", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _measure(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                _refuse("a key is a plain word, not a list or a mapping", key.start_mark)
            if key.tag == _MERGE:
                continue
            if (word := self.construct_object(key, deep=True)) in seen:
                _refuse(f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(word)
        return super().construct_mapping(node, deep)

    def text(self, node: yaml.ScalarNode) -> str:
        """As it stands."""
        if "\0" in node.value:
            _refuse("a text holds the character NUL", node.start_mark)
        return str(node.value)

    def integer(self, node: yaml.ScalarNode) -> int:
        """Decimal, 0x… or 0o…"""
        text = node.value.replace("_", "")
        base = {"0x": 16, "0o": 8}.get(text[:2].lower(), 10)
        return int(_few_digits(node, text), base)

    def number(self, node: yaml.ScalarNode) -> float:
        """With a point or an exponent, .inf or .nan."""
        text = node.value.lower().replace("_", "")
        return float(_few_digits(node, text.replace(".inf", "inf").replace(".nan", "nan")))

    def boolean(self, node: yaml.ScalarNode) -> bool:
        """true or false."""
        if node.value.lower() not in ("true", "false"):
            _refuse(f"{node.value[:40]!r} is no boolean; write true or false", node.start_mark)
        return bool(node.value.lower() == "true")

    def nothing(self, node: yaml.ScalarNode) -> None:
        """null, ~ or nothing at all."""

    def unknown(self, node: yaml.Node) -> None:
        """A tag such as !!python/object, !!binary, !mine."""
        _refuse(f"the tag {node.tag!r} is not read here; leave it out", node.start_mark)


def _refuse(problem: str, mark: yaml.Mark) -> Never:
    raise yaml.constructor.ConstructorError(None, None, problem, mark)


def _few_digits(node: yaml.ScalarNode, text: str) -> str:
    if len(text) > _MAX_DIGITS:
        _refuse(
            f"a number of {len(text)} characters; at most {_MAX_DIGITS} are read", node.start_mark
        )
    try:
        float.fromhex(text) if text[:2] in ("0x", "0X") else float(text.replace("0o", ""))
    except ValueError:
        _refuse(f"{text!r} is no number", node.start_mark)
    return text


class _Size(NamedTuple):
    nodes: int
    depth: int


_BEGUN = _Size(0, 0)


def _measure(node: yaml.Node, sizes: dict[int, _Size]) -> _Size:
    """Values in the tree below `node`, as many times and as deep as aliases repeat them.

    An alias stands behind what it repeats, so that the tree itself is all that is walked through.
    """
    known = sizes.get(id(node))
    if known is _BEGUN:
        _refuse("an alias that refers to what it is in", node.start_mark)
    if known:
        return known
    sizes[id(node)] = _BEGUN
    below = [_measure(child, sizes) for child in _children(node)]
    size = _Size(1 + sum(b.nodes for b in below), 1 + max((b.depth for b in below), default=0))
    if size.nodes > _MAX_NODES:
        _refuse(f"aliases repeat more than {_MAX_NODES} values", node.start_mark)
    if size.depth > _MAX_DEPTH:
        _refuse(f"nested more than {_MAX_DEPTH} deep", node.start_mark)
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


_INTEGER = r"[-+]?(?:[0-9]+|[0-9]{1,3}(?:_[0-9]{3})+)|0o[0-7]+|0[xX][0-9a-fA-F]+"
_NUMBER = (
    r"[-+]?(?:\.[0-9]+|[0-9]+\.?[0-9]*|[0-9]{1,3}(?:_[0-9]{3})+\.[0-9]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _NUMBER, "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"{_TAG}{_kind}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first, *([""] if _kind == "null" else [])],
    )
for _kind, _construct in (
    ("str", _Loader.text),
    ("int", _Loader.integer),
    ("float", _Loader.number),
    ("bool", _Loader.boolean),
    ("null", _Loader.nothing),
    ("seq", _Loader.construct_yaml_seq),
    ("map", _Loader.construct_yaml_map),
):
    _Loader.add_constructor(f"{_TAG}{_kind}", _construct)
_Loader.add_constructor(None, _Loader.unknown)

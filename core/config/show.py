"""A resolved configuration as YAML, each key under the sentence that explains it."""

from textwrap import wrap
from typing import Any

import yaml
from pydantic import BaseModel

_WIDTH = 92


def as_yaml(config: BaseModel, indent: int = 0, ascii_only: bool = False) -> str:
    """The configuration as commented YAML; reading it back gives the same configuration.

    `ascii_only`: for an output that has no other letters; comments then spell them out.
    """
    pad = "  " * indent
    lines = []
    for name, value in _entries(config):
        field = type(config).model_fields[name]
        key = field.alias or name
        text = " ".join((field.description or "").split())
        if ascii_only:
            text = text.encode("ascii", "backslashreplace").decode()
        lines += [f"{pad}# {line}" for line in wrap(text, _WIDTH - len(pad))]
        if isinstance(value, BaseModel):
            lines += [f"{pad}{key}:", as_yaml(value, indent + 1, ascii_only)]
        else:
            lines.append(f"{pad}{key}: {_inline(value, ascii_only)}")
    return "\n".join(lines) if lines else f"{pad}{{}}"


def _entries(config: BaseModel) -> list[tuple[str, Any]]:
    return [(name, getattr(config, name)) for name in type(config).model_fields]


def _inline(value: Any, ascii_only: bool) -> str:
    plain = _plain(value)
    dumped = yaml.safe_dump(
        plain, default_flow_style=True, width=10**6, allow_unicode=not ascii_only
    )
    return dumped.removesuffix("\n").removesuffix("\n...").strip()


def _plain(value: Any) -> Any:
    """The form of a value that YAML holds: nested sections as mappings, tuples as lists."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {fields[name].alias or name: _plain(entry) for name, entry in _entries(value)}
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, bool | int | float | None) else str(value)

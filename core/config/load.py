"""From a YAML file to a RunConfig: every error names the key, what is allowed and the nearest key."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from triggerforge.config.run import RunConfig
from triggerforge.config.yamlfile import parse_yaml, read_yaml
from triggerforge.errors import ConfigError, did_you_mean

_SHOWN = 80
"""characters of a wrong value"""
M = TypeVar("M", bound=BaseModel)


def load_config(path: Path, settings: Sequence[str] = (), quick: bool = False) -> RunConfig:
    """Reads `path`, lays its `quick` section over it if asked to, then `settings` ("a.b=value").

    A quick run goes to a folder of its own, `<name>-quick`.
    Raises ConfigError, naming the culprit.
    """
    tree = read_yaml(path)
    overlay = {} if tree.get("quick") is None else tree["quick"]
    if not isinstance(overlay, dict):
        raise ConfigError(f"{path}: quick: {_short(overlay)} is no section; give keys and values")
    tree.pop("quick", None)
    whole = deepcopy(tree)
    if quick:
        if not overlay:
            raise ConfigError(f"{path} has no section `quick`; add one with the smaller sizes")
        _overlay(tree, overlay)
        tree["name"] = f"{tree.get('name', path.stem)}-quick"
    tree.setdefault("name", path.stem)
    for setting in settings:
        _apply(tree, setting)
    config = validated(RunConfig, tree, path)
    return config.made_quick(_sizes(overlay, config, whole)) if quick else config


def validated(model: type[M], tree: Mapping[str, Any], path: Path) -> M:
    """`tree` as a `model`; raises ConfigError with `path`, the key and the nearest one."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(dict.fromkeys(_explain(dict(e), model) for e in error.errors()))
        raise ConfigError(f"{path}: {problems}") from error


def _overlay(tree: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _overlay(tree[key], value)
        else:
            tree[key] = value


def _sizes(
    overlay: Mapping[str, Any], config: RunConfig, whole: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each key of the quick section that changes something: its value in `config` and in the whole run.

    The whole run's is None where the file without its quick section is no valid configuration.
    """
    try:
        full = RunConfig.model_validate({"name": config.name, **whole}).model_dump(mode="json")
    except ValidationError:
        full = {}
    mine = config.model_dump(mode="json")
    found = {}
    for path in _leaves(overlay):
        quick, other = _at(mine, path), _at(full, path)
        if quick != other:
            found[".".join(path)] = {"quick": quick, "whole": other}
    return found


def _leaves(overlay: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in overlay.items():
        here = (*path, str(key))
        found += _leaves(value, here) if isinstance(value, Mapping) else [here]
    return found


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _apply(tree: dict[str, Any], setting: str) -> None:
    """Sets "a.b.c=value" in the tree; the value is read as YAML."""
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting!r} is not of the form section.key=value")
    value = parse_yaml(text, f"--set {setting!r}: the value is not YAML")
    for key in keys[:-1]:
        child = tree.get(key)
        tree[key] = child if isinstance(child, dict) else {}
        tree = tree[key]
    tree[keys[-1]] = value


def _explain(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        known = _fields_at(location[:-1], model)
        return f"unknown key {where!r}; {did_you_mean(location[-1], known)}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing; give it a value"
    return f"{where}: {' '.join(problem['msg'].split())}; it is {_short(problem['input'])}"


def _short(value: Any) -> str:
    """A wrong value on one line, cut where it is long."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _fields_at(location: Sequence[str], model: type[BaseModel]) -> list[str]:
    """The keys that the section at `location` of `model` knows."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        inner = [m for model in models for m in _models_in(_annotation(model, part))]
        models = inner or models  # list indices and union tags name no field
    return sorted({name for model in models for name in model.model_fields})


def _annotation(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    return None if field is None else field.annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, list, tuple, dict):
        return [m for a in get_args(annotation) for m in _models_in(a)]
    return []

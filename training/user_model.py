"""A user's own nn.Module from their own Python file.

The file's source is copied beside the weights, so that the model can be built again later even if
the file has changed or is gone.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, did_you_mean


def source_digest(file: Path) -> str:
    """SHA-256 of a Python file; raises ModelError if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"the model's file {file}: {error}; give a Python file's path") from error


def load_user_class(file: Path, class_name: str, origin: Path | None = None) -> type[nn.Module]:
    """The class `class_name` of `file`, which is run as a module of its own.

    `origin` is the user's own file where `file` is a copy of it: errors name that one.

    Raises ModelError if the file does not run, has no such class, or the class is no nn.Module.
    """
    module = _import(file, origin or file)
    found = getattr(module, class_name, None)
    if found is None:
        classes = [n for n, c in vars(module).items() if _is_module_class(c)]
        hint = did_you_mean(class_name, classes)
        raise ModelError(f"{origin or file} has no class {class_name!r}; {hint}")
    if not _is_module_class(found):
        raise ModelError(
            f"{class_name!r} in {origin or file} is no class of torch.nn.Module; make it one"
        )
    return found  # type: ignore[no-any-return]


def fill_in(
    builder: Callable[..., nn.Module],
    kwargs: Mapping[str, Any],
    contract: InputContract | None,
    n_classes: int | None,
) -> dict[str, Any]:
    """`kwargs`, and `contract` and `n_classes` where the constructor has parameters of that name."""
    parameters = inspect.signature(builder).parameters
    known = {"contract": contract, "n_classes": n_classes}
    return {name: v for name, v in known.items() if name in parameters} | dict(kwargs)


def _is_module_class(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, nn.Module)


def _import(file: Path, origin: Path) -> ModuleType:
    name = f"triggerforge_user_model_{source_digest(file)[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelError(f"{origin} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        told = str(error).replace(str(file), str(origin)).replace(file.name, origin.name)
        raise ModelError(
            f"{origin} does not run as a module of its own: {type(error).__name__}: {told}; it must "
            "be one self-contained file that imports installed packages only"
        ) from error
    return module

"""A user's own nn.Module from their own Python file.

The file's source is copied beside the weights, so that the model can be built again later even if
the file has changed or is gone.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
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


def load_user_class(file: Path, class_name: str) -> type[nn.Module]:
    """The class `class_name` of `file`, which is run as a module of its own.

    Raises ModelError if the file does not run, has no such class, or the class is no nn.Module.
    """
    module = _import(file)
    found = getattr(module, class_name, None)
    if found is None:
        classes = [n for n, c in vars(module).items() if _is_module_class(c)]
        raise ModelError(f"{file} has no class {class_name!r}; {did_you_mean(class_name, classes)}")
    if not _is_module_class(found):
        raise ModelError(f"{class_name!r} in {file} is no class of torch.nn.Module; make it one")
    return found  # type: ignore[no-any-return]


def fill_in(
    user: type[nn.Module], kwargs: Mapping[str, Any], contract: InputContract, n_classes: int
) -> dict[str, Any]:
    """`kwargs`, and `contract` and `n_classes` where the constructor has parameters of that name."""
    parameters = inspect.signature(user).parameters
    known = {"contract": contract, "n_classes": n_classes}
    return {name: v for name, v in known.items() if name in parameters} | dict(kwargs)


def _is_module_class(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, nn.Module)


def _import(file: Path) -> ModuleType:
    name = f"triggerforge_user_model_{source_digest(file)[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModelError(f"{file} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelError(
            f"{file} does not run as a module of its own: {type(error).__name__}: {error}; it must "
            "be one self-contained file that imports installed packages only"
        ) from error
    return module

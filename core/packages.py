"""Optional Python packages: what each is for, whether it is there, and how to get it."""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from triggerforge.errors import MissingToolError, did_you_mean

OPTIONAL = {
    "ai-edge-litert": "runs the engine litert of the benchmark",
    "openvino": "runs the engine openvino of the benchmark",
}
"""name on the package index → what it is for"""


@dataclass(frozen=True)
class Package:
    """An optional package, installed or not."""

    name: str
    purpose: str
    version: str | None
    """None where it is not installed"""

    @property
    def how_to_get(self) -> str:
        """What to type."""
        return f"pip install {self.name} into the environment of triggerforge (`make setup` does)"


def find_packages() -> list[Package]:
    """Every optional package."""
    return [Package(name, purpose, package_version(name)) for name, purpose in OPTIONAL.items()]


def package_version(name: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def require_package(name: str, module: str = "") -> Any:
    """Imports `module` (default: of the same name) of an optional package.

    Raises MissingToolError with the way to get it, or for a name that is not in OPTIONAL.
    """
    if name not in OPTIONAL:
        raise MissingToolError(f"no optional package {name!r}; {did_you_mean(name, OPTIONAL)}")
    try:
        return import_module(module or name)
    except ImportError as error:
        package = Package(name, OPTIONAL[name], None)
        raise MissingToolError(
            f"{name} cannot be imported ({error}); {package.how_to_get}: it {package.purpose}"
        ) from error

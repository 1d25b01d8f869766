"""The engines of a benchmark: those that can run here, and why the others cannot."""

from collections.abc import Iterable

from triggerforge.errors import ArtifactError, MissingToolError, ModelError
from triggerforge.export.runtime import ENGINES, EngineSource, Runtime


def make_engines(
    names: Iterable[str], source: EngineSource
) -> tuple[dict[str, Runtime], dict[str, str]]:
    """Runtimes by name, and for each that cannot be made the reason.

    Raises RegistryError for a name that no engine has.
    """
    factories = {name: ENGINES[name] for name in dict.fromkeys(names)}
    made: dict[str, Runtime] = {}
    not_run: dict[str, str] = {}
    for name, factory in factories.items():
        try:
            made[name] = factory(source)
        except (ArtifactError, MissingToolError, ModelError) as error:
            not_run[name] = str(error)
    return made, not_run

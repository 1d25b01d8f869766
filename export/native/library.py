"""A static library of a run's networks, for a C or C++ program: sources, CMake file, example, events.

`python -m triggerforge.export.native.library RUN FOLDER [--name NAME] [--only float|quantized]`
writes NAME_float and NAME_quantized, or one of them, as a package that needs nothing but a compiler.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from triggerforge.border import answer
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.config.identifiers import Identifier
from triggerforge.errors import ArtifactError, ConfigError, ModelError, TriggerForgeError
from triggerforge.export.files import FLOAT_FILE
from triggerforge.export.native.library_network import (
    LibraryNetwork,
    float_network,
    quantized_network,
)
from triggerforge.export.native.text import filled, text_of
from triggerforge.export.runtime import EngineSource

KINDS = ("float", "quantized")


def write_library(
    source: EngineSource, folder: Path, name: str, kinds: Iterable[str] = KINDS
) -> list[str]:
    """Writes the package `name` to `folder`, whole or not at all; gives back its networks' names.

    A kind that the source does not have is left out. Raises ConfigError for a name that is no
    identifier and for a folder that is there already, ModelError if nothing is left to write,
    UnsupportedOperationError for a network that has no C++ form.
    """
    _require_identifier(name)
    if folder.exists():
        raise ConfigError(f"{folder} is there already; remove it, or give another folder")
    networks = _networks(source, name, kinds)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        made = Path(work) / "package"
        for path, text in _files(name, networks).items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8")
        made.rename(folder)
    return [network.name for network in networks]


def _networks(source: EngineSource, name: str, kinds: Iterable[str]) -> list[LibraryNetwork]:
    networks = []
    file = source.export_folder / FLOAT_FILE if source.export_folder else None
    if "float" in kinds and file and file.is_file():
        networks.append(float_network(f"{name}_float", file))
    if "quantized" in kinds and source.quantized:
        networks.append(quantized_network(f"{name}_quantized", source.quantized))
    if not networks:
        raise ModelError(
            f"there is no {' or '.join(kinds)} network to write; run the stages compress and export"
        )
    return networks


def _files(name: str, networks: Sequence[LibraryNetwork]) -> dict[str, str]:
    """Path in the package -> text."""
    names = [network.name for network in networks]
    files = {
        "CMakeLists.txt": text_of("CMakeLists.txt"),
        "package.cmake": f"set(package {name})\nset(networks {' '.join(names)})\n",
        "example.cc": filled(
            {"example.cc": True},
            {
                "includes": "\n".join(f'#include "triggerforge_{n}.h"' for n in names),
                "checks": "\n".join(map(_check, names)),
            },
        )["example.cc"],
    }
    for network in networks:
        files |= network.files()
    return files


def _check(name: str) -> str:
    c, macro = f"triggerforge_{name}", f"TRIGGERFORGE_{name.upper()}"
    return (
        f'  passed &= passes("{name}", {c}_run, {c}_prepare, {macro}_INPUTS, {macro}_OUTPUTS, '
        "folder);"
    )


def _require_identifier(name: str) -> None:
    try:
        TypeAdapter(Identifier).validate_python(name)
    except ValidationError as error:
        raise ConfigError(
            f"{name!r} cannot be part of a C name: {error.errors()[0]['msg']}; give another --name"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a package; gives back the exit status."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.export.native.library")
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder to be made")
    parser.add_argument("--name", help="begins the C names (the run's name)")
    parser.add_argument("--only", choices=KINDS, help="one network instead of both")
    options = parser.parse_args(arguments)
    kinds = (options.only,) if options.only else KINDS
    try:
        source = _source(options.run, kinds)
        names = write_library(source, options.folder, options.name or options.run.name, kinds)
    except TriggerForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{options.folder}: {', '.join(names)}\n")
    return 0


def _source(run: Path, kinds: Iterable[str]) -> EngineSource:
    if not (run / "export").is_dir():
        raise ArtifactError(f"{run} has no stage export; run `triggerforge export` first")
    quantized = QuantizedModel.load(run / "compress" / MODEL_FILE) if "quantized" in kinds else None
    return EngineSource(quantized=quantized, export_folder=run / "export")


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.export.native.library"))

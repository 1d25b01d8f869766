"""A run's network for the Triton Inference Server: python -m triggerforge.export.service RUN REPOSITORY"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from triggerforge.border import answer
from triggerforge.compression.onnx_file import read_onnx
from triggerforge.errors import ArtifactError, ConfigError, TriggerForgeError
from triggerforge.export.files import FLOAT_FILE, QUANTIZED_FILE
from triggerforge.export.model_repository import add_version, next_version
from triggerforge.export.service_config import KINDS, ServiceSettings, require_whole, served
from triggerforge.locks import locked

MODELS = {"quantized": QUANTIZED_FILE, "float": FLOAT_FILE}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def write_service(
    run: Path,
    repository: Path,
    model: str = "quantized",
    name: str | None = None,
    version: int | None = None,
    settings: ServiceSettings | None = None,
    reconfigure: bool = False,
) -> Path:
    """Adds a version of a model to `repository`; gives back the version's folder.

    `model`: "quantized" or "float", of the finished run in the folder `run`. `name`: that of the run
    and `model` if None. `version`: the next free one if None, or the newest if it is this very file.
    `reconfigure` lets other settings replace those in `config.pbtxt`.

    Raises ConfigError for a name, version or setting that the server would refuse; ArtifactError if
    the run, its file or a version in the repository is missing or damaged; ModelError if the name,
    the version or `config.pbtxt` holds something else.
    """
    source = _source(run, model)
    offered = served(read_onnx(source))
    content = source.read_bytes()
    folder = repository / _checked_name(f"{run.resolve().name}_{model}" if name is None else name)
    if version is not None:
        require_whole("version", version)
    _make(repository)
    with locked(repository / ".lock", f"another process is writing to {repository}; wait for it"):
        number = next_version(folder, content) if version is None else version
        add_version(folder, number, content, offered, settings or ServiceSettings(), reconfigure)
    return folder / str(number)


def _source(run: Path, model: str) -> Path:
    if model not in MODELS:
        raise ConfigError(f"model {model!r} is not known; give one of {', '.join(MODELS)}")
    path = run / "export" / MODELS[model]
    if not run.is_dir():
        raise ArtifactError(f"there is no run {run}; give a run's folder, such as runs/demo")
    if not path.is_file():
        raise ArtifactError(
            f"{run} has no export/{path.name}; run the stage export (export/record.json says why a "
            "float network was not written)"
        )
    return path


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"model name {name!r} is no folder's name that clients can type; give letters, digits, "
            "'_', '-' and '.', and no '-' or '.' first"
        )
    return name


def _make(repository: Path) -> None:
    try:
        repository.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(
            f"{repository} is no folder: a file is in its way; give another"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a model and prints its folder; exit status 1 and a message if it cannot."""
    options = parser().parse_args(arguments)
    try:
        settings = ServiceSettings(
            options.max_batch_size,
            tuple(options.preferred_batch_sizes),
            options.max_queue_delay_us,
            options.device,
            options.instances,
            options.serve,
        )
        written = write_service(
            options.run,
            options.repository,
            options.model,
            options.name,
            options.version,
            settings,
            options.reconfigure,
        )
    except (TriggerForgeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{written}\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    default = ServiceSettings()
    built = argparse.ArgumentParser(
        prog="python -m triggerforge.export.service",
        description="Write a finished run into a model repository of the Triton Inference Server.",
    )
    add = built.add_argument
    add("run", type=Path, help="the run's folder, such as runs/demo")
    add("repository", type=Path, help="the server's model repository; made if it is not there")
    add("--model", choices=MODELS, default="quantized", help="which of its networks (quantized)")
    add("--name", help="the model's name for clients (RUN_quantized, RUN_float)")
    add("--version", type=int, help="its number (the next free one)")
    add("--max-batch-size", type=int, default=default.max_batch_size, help="events (%(default)s)")
    add(
        "--preferred-batch-sizes",
        type=int,
        nargs="+",
        default=default.preferred_batch_sizes,
        metavar="N",
        help="events; such a batch does not wait for more",
    )
    add(
        "--max-queue-delay-us",
        type=int,
        default=default.max_queue_delay_us,
        help="microseconds that a request may wait for others (%(default)s)",
    )
    add("--device", choices=KINDS, default=default.device, help="where it runs (%(default)s)")
    add("--instances", type=int, default=default.instances, help="copies a device (%(default)s)")
    add("--serve", default=default.serve, help="latest:N, all, or versions: 1,3 (%(default)s)")
    add("--reconfigure", action="store_true", help="replace the settings in config.pbtxt")
    return built


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.export.service"))

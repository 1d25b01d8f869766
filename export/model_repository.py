"""A model's folder in a repository of the Triton Inference Server: what is there, and one version more.

    <model name>/config.pbtxt           how it is served; the contract of its inputs
    <model name>/labels.txt             a name for each output
    <model name>/<version>/model.onnx   the file of the stage export, byte for byte

Layout: triton-inference-server/server, `docs/user_guide/model_repository.md`. A version that is there
is never overwritten.
"""

import difflib
import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from triggerforge.compression.onnx_file import read_onnx
from triggerforge.errors import ArtifactError, ConfigError, ModelError
from triggerforge.export.service_config import (
    LABELS_FILE,
    MODEL_FILE,
    Served,
    ServiceSettings,
    config_text,
    read_checksums,
    served,
    without_checksums,
)
from triggerforge.runfolder import write_atomic

CONFIG_FILE = "config.pbtxt"
_VERSION = re.compile(r"[1-9][0-9]*", re.ASCII)
"""the server passes over a folder with another name"""
_SHOWN_LINES = 6


def next_version(folder: Path, content: bytes) -> int:
    """The number after the newest version, or the newest's own if it holds `content`."""
    held = _versions(folder)
    newest = max(held, default=0)
    if newest and held[newest].read_bytes() == content:
        return newest
    return newest + 1


def add_version(
    folder: Path,
    number: int,
    content: bytes,
    offered: Served,
    settings: ServiceSettings,
    reconfigure: bool,
) -> None:
    """Checks all that is in the model's folder, then writes version `number`, and `config.pbtxt` last.

    Raises as `triggerforge.export.service.write_service` does; then nothing was written.
    """
    config = folder / CONFIG_FILE
    old = config.read_text() if config.is_file() else ""
    checksums = _checked_versions(folder, read_checksums(old), offered)
    md5 = _md5(content)
    if checksums.setdefault(number, md5) != md5:
        raise ModelError(
            f"version {number} of {folder} is there and is another file; leave --version out for the "
            "next free one"
        )
    _require_versions(settings, checksums)
    files = {_file(n): checksums[n] for n in sorted(checksums)}
    text = config_text(folder.name, offered, settings, files)
    if old and not reconfigure:
        _require_same_settings(config, old, text)
    _make(folder)
    _write_version(folder / str(number), content)
    if offered.labels:
        write_atomic(folder / LABELS_FILE, "".join(f"{label}\n" for label in offered.labels))
    write_atomic(config, text)


def _file(number: int) -> str:
    return f"{number}/{MODEL_FILE}"


def _versions(folder: Path) -> dict[int, Path]:
    """The file of each version; raises ModelError if a version is no ONNX file."""
    numbers = [int(p.name) for p in folder.glob("*") if _VERSION.fullmatch(p.name)]
    found = {number: folder / _file(number) for number in numbers}
    for path in found.values():
        if not path.is_file():
            raise ModelError(f"{path.parent} has no {MODEL_FILE}: another model; give another name")
    return found


def _checked_versions(folder: Path, known: Mapping[str, str], offered: Served) -> dict[int, str]:
    """The MD5 of every version that is there; raises unless each is whole and offers the same."""
    found = {number: _md5(path.read_bytes()) for number, path in _versions(folder).items()}
    for number, md5 in found.items():
        written = known.get(_file(number), md5)
        if md5 != written:
            raise ArtifactError(
                f"{folder / _file(number)} is not as it was written: its MD5 is {md5}, that in "
                f"{CONFIG_FILE} is {written}; restore the file"
            )
        _require_same_model(folder / _file(number), offered)
    return found


def _require_same_model(path: Path, offered: Served) -> None:
    there = served(read_onnx(path))
    other = [f.name for f in fields(Served) if getattr(there, f.name) != getattr(offered, f.name)]
    if other:
        raise ModelError(
            f"{path} is another model to its clients ({', '.join(other)} differ); give another name"
        )


def _require_versions(settings: ServiceSettings, there: Mapping[int, str]) -> None:
    policy, numbers = settings.policy
    if policy == "specific" and not set(numbers) <= set(there):
        raise ConfigError(
            f"serve {settings.serve!r} names versions that are not there; there are "
            f"{', '.join(map(str, sorted(there)))}"
        )


def _require_same_settings(config: Path, old: str, new: str) -> None:
    before, after = (without_checksums(text).splitlines() for text in (old, new))
    changes = [line for line in difflib.ndiff(before, after) if line[0] in "-+"]
    if changes:
        shown = "\n".join(changes[:_SHOWN_LINES])
        raise ModelError(
            f"{config} says something else; give the settings it has, or --reconfigure to replace "
            f"them (- is there, + would be):\n{shown}"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{folder} is a file, not a model's folder; give another name") from error


def _write_version(target: Path, content: bytes) -> None:
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    write_atomic(partial / MODEL_FILE, content)
    partial.rename(target)


def _md5(content: bytes) -> str:
    """What the server's agent `checksum` compares: against damage, not against intent."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()

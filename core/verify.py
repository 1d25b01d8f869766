"""`triggerforge verify RUN`: every file of a run read again, and compared with what was made."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import (
    SEAL,
    changed_files,
    contents_of,
    not_same,
    read_json,
    read_seal,
)

RESULT_FILE = "result.json"
PUBLISHED = ("report.html", RESULT_FILE)
PUBLISHED_SEAL = ".published.json"
_SHOWN = 20


def published_seal(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The seal of what is laid at the top of a run's folder."""
    sums = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    return {"files": sums}


def verify(folder: Path) -> str:
    """Reads all files of the run in `folder` again; gives back what there is, in lines.

    That is: what its stages left, the files of the user that they were made from, what lies at the
    top, and whether each stage was made from what the stages below it left.

    Raises ArtifactError that names every file that is another than the one that was sealed.
    """
    seals = {path.parent.name: read_seal(path.parent) for path in sorted(folder.glob(f"*/{SEAL}"))}
    if not seals:
        raise ArtifactError(
            f"{folder} holds no finished stage; give a run's folder, such as runs/demo"
        )
    gone: list[str] = []
    problems = [
        *(p for name, seal in seals.items() for p in changed_files(folder / name, seal)),
        *(p for name, seal in seals.items() for p in _inputs(name, seal, gone)),
        *_below(seals),
        *_published(folder),
    ]
    if problems:
        more = f" … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ArtifactError(
            f"{folder}: {len(problems)} of its files or stages are not what was made: "
            f"{'; '.join(problems[:_SHOWN])}{more}; run again to make them anew"
        )
    lines = [f"{name}: {len(seal['files'])} files" for name, seal in seals.items()]
    files = sum(len(seal["files"]) for seal in seals.values())
    return "\n".join([*lines, *gone, f"{files} files are, byte for byte, what was made"])


def _inputs(stage: str, seal: Mapping[str, Any], gone: list[str]) -> Iterator[str]:
    for name, sealed in seal["inputs"].items():
        if not Path(name).is_file():
            gone.append(f"{stage}: its input {name} is not there any more, and was not looked at")
        elif not_same(Path(name), sealed):
            yield f"{name} is not the file that {stage} was made from"


def _below(seals: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for stage, seal in seals.items():
        for name, contents in seal["upstream"].items():
            if name in seals and contents_of(seals[name]) != contents:
                yield f"{stage} was made from another {name} than the one that is there"


def _published(folder: Path) -> Iterator[str]:
    if (folder / PUBLISHED_SEAL).is_file():
        yield from changed_files(folder, read_json(folder / PUBLISHED_SEAL))

"""What the stage `trigger` works on, read from the folders of the stages before it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.dataset import Dataset
from triggerforge.data.scores import read_logits
from triggerforge.data.splits import load_splits
from triggerforge.errors import ArtifactError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.result import RECORD_FILE
from triggerforge.runfolder import read_json, write_json
from triggerforge.trigger.score import Scored, scored

STAGES = {"float": "train", "quantized": "compress", "firmware": "benchmark"}
"""The three forms of the network, and the stage whose folder holds each one's scores."""
_SETUP_FILE = "setup.json"


def read_scores(
    config: TriggerConfig, test: Dataset, run: Path, formats: Sequence[FixedFormat]
) -> list[Scored]:
    """The scores of every form of the network that left some in the run's folder.

    `formats`: those of the network's outputs in firmware. Raises ArtifactError if there are none or
    they do not belong to the test events, and what `scored` raises.
    """
    found = []
    imported = _is_imported(run)
    for model, stage in STAGES.items():
        if model == "float" and imported:
            continue
        logits = read_logits(run / stage)
        if logits is None:
            continue
        if len(logits) > len(test):
            raise ArtifactError(
                f"{run / stage} holds scores of {len(logits)} events, the test part has "
                f"{len(test)}; run the stages again"
            )
        fixed = None if model == "float" else formats
        if fixed is not None and logits.shape[1] != len(fixed):
            raise ArtifactError(
                f"{run / stage} holds {logits.shape[1]} outputs, the quantised network has "
                f"{len(fixed)}; run the stages again"
            )
        found.append(scored(model, logits, test, config, fixed))
    if not found:
        raise ArtifactError(f"no stage in {run} left scores; run `train` first")
    return found


def _is_imported(run: Path) -> bool:
    """Whether the network is the user's own file: float scores there are those of an earlier run."""
    path = run / STAGES["quantized"] / RECORD_FILE
    return path.is_file() and "file" in read_json(path).get("compression", {})


def write_setup(folder: Path, config: TriggerConfig, formats: Sequence[FixedFormat]) -> None:
    """Keeps in `folder` what `read_run` needs to ask the run again for other rates."""
    setup = {"config": config.model_dump(mode="json"), "formats": [str(f) for f in formats]}
    write_json(folder / _SETUP_FILE, setup)


def read_run(run: Path) -> list[Scored]:
    """The scores of a run whose stage `trigger` is there.

    Raises ArtifactError if it is not.
    """
    path = run / "trigger" / _SETUP_FILE
    if not path.is_file():
        raise ArtifactError(
            f"{run} holds no stage `trigger`; give the run's configuration a section `trigger` "
            "(background classes, score), then `triggerforge rates CONFIG`"
        )
    setup: Mapping[str, Any] = read_json(path)
    try:
        config = TriggerConfig.model_validate(setup["config"])
        formats = [FixedFormat.parse(text) for text in setup["formats"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}; run the stage `trigger` again") from error
    return read_scores(config, load_splits(run / "data").test, run, formats)

"""A stage's network outputs on the test events: what ROC curves and confusion matrices are made of.

`train`, `compress` and `benchmark` (firmware) each may leave one such file in their folder.
"""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import write_atomic

SCORES_FILE = "test_scores.h5"


def write_logits(folder: Path, logits: NDArray[Any]) -> Path:
    """Writes `logits` (M, classes), before softmax, as float32: whole or not at all.

    The rows are the first M events of the test split, in its order. Gives back the file's path.
    Raises ArtifactError if `logits` is not a table or holds NaN or inf.
    """
    values = np.asarray(logits, dtype=np.float32)
    if values.ndim != 2:
        raise ArtifactError(f"logits of shape {values.shape}; allowed is (events, classes)")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ArtifactError(f"{count} of {values.size} logits are NaN or infinite; look at the fit")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("logits", data=values)
    write_atomic(folder / SCORES_FILE, buffer.getvalue())
    return folder / SCORES_FILE


def read_logits(folder: Path) -> NDArray[np.float32] | None:
    """The logits (M, classes) that `write_logits` left in `folder`; None where it left none.

    Raises ArtifactError if the file is damaged or of another layout.
    """
    path = folder / SCORES_FILE
    if not path.exists():
        return None
    try:
        with h5py.File(path, "r") as file:
            values = np.asarray(file["logits"], dtype=np.float32)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}; run the stage again") from error
    if values.ndim != 2:
        raise ArtifactError(f"{path}: logits of shape {values.shape}, not (events, classes)")
    return values

"""The C simulation of an hls4ml project: its compiled library, called event by event."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError
from triggerforge.firmware.library import flat_events, load_library


class CSimulation:
    """The library in `folder`, as `triggerforge.firmware.hls.compile_project` left it.

    Raises ArtifactError where it is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._library, facts = load_library(folder)
        try:
            self._top = getattr(self._library, facts["function"])
            self.inputs, self.outputs = int(facts["inputs"]), int(facts["outputs"])
        except (AttributeError, KeyError) as error:
            raise ArtifactError(f"{folder}: {error}; run the stage firmware again") from error
        self._top.restype = None
        self._top.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, outputs) of x (N, …) on the grid of the inputs."""
        given = flat_events(x, self.inputs)
        out = np.empty((len(given), self.outputs))
        read, write = given.ctypes.data, out.ctypes.data
        for _ in range(len(given)):
            self._top(read, write)
            read += given.strides[0]
            write += out.strides[0]
        return out

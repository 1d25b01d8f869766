"""The process in which a C simulation runs; `csim.py` starts it.

hls4ml's types end the process where one of their own checks fails (abort), and what a compiled library
does wrong is done to the process that holds it: here it is this one's end, not that of the run.

It answers requests on its standard input: a count of events (int64), then their inputs (float64). Each
answer on its former standard output is the count again and the events' outputs (float64). What the
library itself prints goes to standard error.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np

from triggerforge.errors import ArtifactError
from triggerforge.firmware.library import load_library

COUNT_BYTES = 8
UNLOADED = 120
"""status of a process that could not load the library"""


def main(folder: Path) -> None:
    """Answers until its standard input is closed."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        try:
            library, facts = load_library(folder)
            top = getattr(library, facts["function"])
        except (ArtifactError, AttributeError) as error:
            print(error, file=sys.stderr)
            sys.exit(UNLOADED)
        top.restype, top.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
        inputs, outputs = int(facts["inputs"]), int(facts["outputs"])
        while len(count := sys.stdin.buffer.read(COUNT_BYTES)) == COUNT_BYTES:
            events = int.from_bytes(count, "little")
            _answer(top, sys.stdin.buffer, answers, (events, inputs, outputs))


def _answer(top: object, given: BinaryIO, answers: BinaryIO, sizes: tuple[int, int, int]) -> None:
    events, inputs, outputs = sizes
    x = np.frombuffer(given.read(events * inputs * 8)).reshape(events, inputs)
    y = np.empty((events, outputs))
    read, write = x.ctypes.data, y.ctypes.data
    for _ in range(events):
        top(read, write)  # type: ignore[operator]
        read += x.strides[0]
        write += y.strides[0]
    answers.write(events.to_bytes(COUNT_BYTES, "little") + y.tobytes())
    answers.flush()

"""The C simulation of an hls4ml project: its compiled library, called event by event.

It runs in a process of its own (csim_worker.py): what ends there does not end the run.
"""

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError, ToolFailedError
from triggerforge.firmware.csim_worker import COUNT_BYTES, UNLOADED
from triggerforge.firmware.library import flat_events, require_library

_TOLD = 200  # characters of what the process said last
_PATIENCE_S = 2.0
_WORKER = (
    "import pathlib, sys; from triggerforge.firmware.csim_worker import main; "
    "main(pathlib.Path(sys.argv[1]))"
)


class CSimulation:
    """The library in `folder`, as `triggerforge.firmware.hls.compile_project` left it.

    Several threads may call one simulation; they take turns. Raises ArtifactError where it is missing
    or damaged.
    """

    def __init__(self, folder: Path) -> None:
        facts = require_library(folder)
        try:
            self.inputs, self.outputs = int(facts["inputs"]), int(facts["outputs"])
            str(facts["function"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{folder}: {error}; run the stage firmware again") from error
        self._folder = folder
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], Any] = lambda: None
        self.predict(np.zeros((0, self.inputs)))  # a library that does not load is said now

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, outputs) of x (N, …) on the grid of the inputs.

        Raises ToolFailedError with the signal and the last words of the simulation if it ends on the
        way; the next call starts it anew.
        """
        given = flat_events(x, self.inputs)
        count = len(given).to_bytes(COUNT_BYTES, "little")
        with self._turn:
            process = self._started()
            assert process.stdin and process.stdout
            answer = b""
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(count + given.tobytes())
                process.stdin.flush()
                answer = process.stdout.read(len(count) + len(given) * self.outputs * 8)
            if len(answer) != len(count) + len(given) * self.outputs * 8:
                raise self._ended(process)
        return np.frombuffer(answer, offset=len(count)).reshape(len(given), self.outputs).copy()

    def _started(self) -> "subprocess.Popen[bytes]":
        """The process; a new one where there is none, or where it has ended."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._said = tempfile.TemporaryFile()  # noqa: SIM115  `_end` closes it
            # -P: modules that lie where the run was started are not the interpreter's
            command = [sys.executable, "-P", "-c", _WORKER, str(self._folder)]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,  # an interrupt is for the run, which then ends this one
            )
            self._end = weakref.finalize(self, _end, self._process, self._said)
        return self._process

    def _ended(self, process: "subprocess.Popen[bytes]") -> ToolFailedError | ArtifactError:
        """What to raise for a process that did not answer."""
        status = process.wait()
        words = _last_words(self._said)
        self._end()
        self._process = None
        if status == UNLOADED:
            return ArtifactError(
                f"{self._folder}: the C simulation does not start ({words}); run the stage firmware again"
            )
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return ToolFailedError(
            f"{self._folder}: the C simulation ended with {how} ({words}); "
            "the RTL does not depend on it: firmware.hls.enabled: false goes on without it"
        )


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][-_TOLD:] if lines else "it said nothing"


def _end(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
    """Closes its standard input, at which it ends by itself, and waits for that."""
    assert process.stdin and process.stdout
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:  # in the middle of an event that takes long
        process.kill()
        process.wait()
    said.close()

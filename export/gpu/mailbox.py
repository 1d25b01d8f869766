"""Events handed to a kernel that is already running, through memory that both sides see."""

import ctypes
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ModelError, ToolFailedError
from triggerforge.export.native.build import compiled
from triggerforge.export.native.text import filled

FLAGS = 256
"""bytes of `struct Mailbox`"""
_ASKED, _ANSWERED, _STOP, _RUNNING = (64 // 4 * line for line in range(4))
_PATIENCE = 2_000_000_000
"""ns without an answer after which a call fails"""
_FAREWELL = 0.5
"""seconds that a kernel, told to stop, is waited for"""

Start = Callable[[int], None]
"""starts a kernel that has answered so many events; returns at once"""


class Mailbox:
    """One kernel's memory: flags, then x, then y, each at a multiple of 256 bytes.

    `memory` (bytes,) is at least `room(inputs, outputs)` long, and lies where card and host see it.
    The kernel ends by itself when it is idle for long, and is started again by the next call.
    """

    def __init__(self, memory: NDArray[np.uint8], inputs: int, outputs: int, start: Start) -> None:
        self._memory, self._start = memory, start
        self._sizes = inputs, outputs
        self._turn = threading.Lock()
        self._flags = memory[:FLAGS].view(np.uint32)
        self._flags[:] = 0
        base = memory.ctypes.data
        self.addresses = base, base + FLAGS, base + FLAGS + _whole(4 * inputs)
        self._library = ctypes.CDLL(
            str(compiled(filled({"mailbox.cc": False, "mailbox.h": False}, {}, "gpu")))
        )
        # also when Python ends, or an exception unwinds: the flag is all that the kernel waits for
        self.close = weakref.finalize(self, _tell_to_stop, self._flags)

    def bind(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> Callable[[], None]:
        """A call for one event: x (inputs,) to y (outputs,), both contiguous and kept.

        The call raises ToolFailedError if no answer comes, ModelError while another thread waits.
        """
        mail, to, back = map(ctypes.c_void_p, self.addresses)
        inputs, outputs = map(ctypes.c_long, self._sizes)
        given, wanted = ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)
        patience = ctypes.c_long(_PATIENCE)
        ask, wait = self._library.triggerforge_ask, self._library.triggerforge_await

        enter, leave = self._turn.acquire, self._turn.release

        def call(keep: tuple[object, ...] = (self, x, y)) -> None:
            if not enter(False):
                raise ModelError(
                    "another thread waits for this engine's answer, which has one mailbox; make an "
                    "engine for each thread"
                )
            try:
                status = ask(mail, given, to, inputs, back, wanted, outputs, patience)
                if status == 1:
                    self._start_kernel()
                    status = wait(mail, back, wanted, outputs, patience)
                if status:
                    self._flags[_STOP] = 1
                    raise ToolFailedError(
                        f"the persistent kernel gave no answer in {_PATIENCE / 1e9:g} s; it was told "
                        "to stop: make the engine anew"
                    )
            finally:
                leave()

        return call

    def _start_kernel(self) -> None:
        self._flags[_RUNNING] = 1
        try:
            self._start(int(self._flags[_ANSWERED]))
        except BaseException:
            self._flags[_RUNNING] = 0
            raise


def room(inputs: int, outputs: int) -> int:
    """Bytes of a mailbox."""
    return FLAGS + _whole(4 * inputs) + _whole(4 * outputs)


def _whole(size: int) -> int:
    return -(-size // FLAGS) * FLAGS


def _tell_to_stop(flags: NDArray[np.uint32]) -> None:
    """Waits for the kernel's last word, for afterwards the memory is somebody else's."""
    flags[_STOP] = 1
    end = time.monotonic() + _FAREWELL
    while flags[_RUNNING] and time.monotonic() < end:
        time.sleep(1e-4)

"""The CUDA C++ files of a quantised network: the CPU engine's statements, one event a thread."""

from alkaid.types import CombLogic

from triggerforge.export.native.source import network_source
from triggerforge.export.native.text import filled

BLOCK = 128
"""threads of a block"""
MAIN = "integer.cu"
ENTRY = "triggerforge_events"
HEADERS = {"cstdint": False}
"""standard headers for a compiler that has none"""


def write_integer_source(alir: CombLogic) -> dict[str, str]:
    """File name -> text: `triggerforge_events(x, y, events)` in `integer.cu`, and its headers.

    Raises UnsupportedOperationError if a number has more than 64 bits.
    """
    return network_source(alir) | filled({MAIN: True}, {"block": BLOCK}, "gpu")

"""A float network for one block of threads: the CPU engine's statements, shared out among them."""

import re
from typing import Any

import onnx

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.gpu.functions import require_functions
from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.float_source import constants_text
from triggerforge.export.native.place import Place
from triggerforge.export.native.text import filled

MAIN = "persistent.cu"
ENTRY = "triggerforge_persistent"
THREADS = 128
_SHARED = 48 * 1024 - 256
"""bytes of shared memory that a kernel may name, without a few for its own flags"""
_LOOP = re.compile(r"(\s*)for \(long (i\d+) = 0; \2 < (\d+); \+\+\2\)")


class CooperativeGraph(FloatGraph):
    """Between two statements the threads wait for each other."""

    engine = "cuda-persistent"

    def elementwise(self, expression: str, *operands: Place) -> Place:
        """As on the CPU; raises UnsupportedOperationError for a function that the kernel lacks."""
        require_functions(self, expression)
        return super().elementwise(expression, *operands)

    def emit(self, statement: str) -> None:
        """Every element is written by one thread only, whatever loops lie around.

        Raises UnsupportedOperationError for an operator that writes C++ of its own.
        """
        if statement.startswith("products<"):
            text = statement
        else:
            require_functions(self, statement)
            text = shared_out(statement)
        super().emit(f"{text}\n__syncthreads();")


def shared_out(loops: str) -> str:
    """The first loop that moves through the outputs takes turns with the threads."""
    *heads, last = loops.splitlines()
    written = last.partition(" = ")[0]
    for number, head in enumerate(heads):
        found = _LOOP.fullmatch(head)
        if found and re.search(rf"\b{found[2]}\b", written):
            space, name, end = found.groups()
            taken = f"for (long {name} = threadIdx.x; {name} < {end}; {name} += blockDim.x)"
            return "\n".join([*heads[:number], space + taken, *heads[number + 1 :], last])
    return f"if (threadIdx.x == 0) {{\n{loops}\n}}"


def write_persistent_source(model: onnx.ModelProto) -> tuple[dict[str, str], int, int]:
    """File name -> text of the kernel in `persistent.cu`; numbers of an event's inputs and outputs.

    Raises UnsupportedOperationError for an operator that it does not know, and where the tensors of
    an event do not fit the shared memory.
    """
    program = CooperativeGraph(model).write()
    size = 4 * (sum(program.buffers.values()) + program.inputs + program.outputs)
    if size > _SHARED:
        raise UnsupportedOperationError(
            f"the tensors of an event take {size:,} bytes; the persistent kernel has {_SHARED:,} of "
            "shared memory: use torch-cuda-graph"
        )
    lines = [line for text in program.statements for line in text.splitlines()]
    values: dict[str, Any] = {
        "inputs": program.inputs,
        "outputs": program.outputs,
        "constants": constants_text(program.constants),
        "buffers": "\n".join(f"  __shared__ float {n}[{s}];" for n, s in program.buffers.items()),
        "statements": "\n".join(f"    {line}" for line in lines),
    }
    kernel = filled({MAIN: True, "cooperative.cuh": False, "mailbox.h": False}, values, "gpu")
    return kernel | filled({"layer.h": False}, {}), program.inputs, program.outputs

"""Which functions of the CPU engine's statements the templates of the GPU engines have too."""

import re

from triggerforge.export.native.float_graph import FloatGraph

FUNCTIONS = frozenset(
    ("V", "absolute", "chosen", "equal", "error_function", "exponential", "exponential_less_one")
    + ("greater", "greater_or_equal", "hyperbolic_tangent", "larger", "logarithm", "rectified")
    + ("root", "sigmoid", "smaller", "unequal")
)
_CALL = re.compile(r"\b([A-Za-z_]\w*)(?:<[^<>]*>)?\(")


def require_functions(graph: FloatGraph, text: str) -> None:
    """Raises UnsupportedOperationError, for the node at hand, if the text calls another function."""
    for name in _CALL.findall(text):
        if name not in FUNCTIONS:
            raise graph.unsupported(f"the {graph.engine} engine has no function {name!r}")

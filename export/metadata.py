"""What an exported file says about itself: input contract, classes, tool versions."""

import json
from collections.abc import Mapping
from importlib.metadata import version

from triggerforge.compression.onnx_file import CLASSES, CONTRACT, TOOLS
from triggerforge.data.contract import InputContract

OUTPUT_FORMATS = "output_formats"
"""of a quantised file only"""
_TOOLS = ("triggerforge", "torch", "hgq2", "keras", "onnx", "onnxscript")


def metadata(
    contract: InputContract, classes: tuple[str, ...], extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The entries of `metadata_props`: JSON texts, and those of `extra`."""
    return {
        CONTRACT: json.dumps(contract.to_dict()),
        CLASSES: json.dumps(list(classes)),
        TOOLS: json.dumps({name: version(name) for name in _TOOLS}),
        **(extra or {}),
    }

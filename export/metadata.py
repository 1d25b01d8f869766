"""What an exported file says about itself: input contract, classes, tool versions."""

import json
from collections.abc import Mapping
from importlib.metadata import version

import onnx

from triggerforge.compression.model_json import parse_json
from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, ConfigError, DataError

CONTRACT = "input_contract"
CLASSES = "classes"
TOOLS = "tools"
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


def read_metadata(model: onnx.ModelProto) -> tuple[InputContract, tuple[str, ...]]:
    """The contract and the classes that an exported model carries.

    Raises ArtifactError if it carries none: the file is not one of ours, or was changed.
    """
    entries = {p.key: p.value for p in model.metadata_props}
    try:
        contract = InputContract.from_dict(parse_json(entries[CONTRACT], CONTRACT, "export again"))
        classes = parse_json(entries[CLASSES], CLASSES, "export again")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"{CLASSES} are {str(classes)[:80]}")
        return contract, tuple(classes)
    except (LookupError, ValueError, TypeError, AttributeError, ConfigError, DataError) as error:
        raise ArtifactError(
            f"the ONNX file carries no readable {CONTRACT!r} and {CLASSES!r} ({error}); export again"
        ) from error

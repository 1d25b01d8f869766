"""One network of a static library: its C names, its inputs, and events with recorded outputs."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.data.contract import OFFSET_BITS, InputContract, InputFeature
from triggerforge.export.engines.onnxruntime import OnnxRuntime
from triggerforge.export.native.float_source import write_float_source
from triggerforge.export.native.source import write_source
from triggerforge.export.native.text import filled

TOLERANCE = 1e-5
"""of the float network, in units of the largest recorded output"""
_EVENTS = 101  # blocks of every width, and a rest
_PYTHON_ONLY = "module.cc"


@dataclass(frozen=True)
class LibraryNetwork:
    """What the files of a network are made from; N recorded events."""

    name: str
    contract: InputContract
    outputs: tuple[str, ...]
    formats: tuple[str, ...]
    """of the outputs"""
    sources: dict[str, str]
    """file name -> text, as the generators give them"""
    result: str
    """C type of an output"""
    numbers: str
    """about x and y, for the header"""
    raw: NDArray[np.float64]
    """physical values (N, *shape)"""
    expected: NDArray[Any]
    """outputs (N, outputs)"""
    tolerance: float
    """largest difference that is none"""

    def files(self) -> dict[str, str]:
        """Path in the package -> text."""
        own = {k: v for k, v in self.sources.items() if k != _PYTHON_ONLY}
        (network,) = (file for file in own if file.endswith(".cc"))
        templates = ("library.h", "library_unit.cc", "library_inputs.cc")
        values = self._values() | {"network": f"{self.name}/{network}"}
        header, unit, inputs = filled(dict.fromkeys(templates, True), values).values()
        return {
            f"include/triggerforge_{self.name}.h": header,
            f"src/{self.name}.cc": unit,
            f"src/{self.name}_inputs.cc": inputs,
            **{f"src/{self.name}/{file}": text for file, text in own.items()},
            f"vectors/{self.name}.txt": self._vectors(),
        }

    def _values(self) -> dict[str, Any]:
        inputs, features = int(np.prod(self.contract.shape)), self.contract.features
        return {
            "name": self.name,
            "upper": self.name.upper(),
            "inputs": inputs,
            "features": len(features),
            "particles": inputs // len(features),
            "shape": str(list(self.contract.shape)),
            "outputs": len(self.outputs),
            "result": self.result,
            "numbers": self.numbers,
            "ports": "\n".join(f"    {_port(f)}," for f in features),
            "rows": "\n".join(f"    {_row(f)}," for f in features),
            "order": quoted(self.contract.order),
            "names": ", ".join(map(quoted, self.outputs)),
            "formats": ", ".join(map(quoted, self.formats)),
        }

    def _vectors(self) -> str:
        """Events and tolerance, then a line an event: raw, x, y; hexadecimal, so that no bit is lost."""
        x = prepared(self.contract, self.raw)
        rows = (a.reshape(len(x), -1).astype(np.float64) for a in (self.raw, x, self.expected))
        lines = [f"{len(x)} {self.tolerance.hex()}"]
        lines += [" ".join(v.hex() for v in row.tolist()) for row in np.concatenate([*rows], 1)]
        return "\n".join(lines) + "\n"


def float_network(name: str, file: Path) -> LibraryNetwork:
    """The network of an exported float.onnx; its outputs are recorded from onnxruntime.

    Raises ArtifactError for a file that is damaged or not ours, UnsupportedOperationError for one
    that has no C++ form.
    """
    model = read_onnx(file)
    contract, outputs = read_metadata(model)
    raw = physical(contract, np.random.default_rng(1).normal(size=(_EVENTS, *contract.shape)))
    expected = OnnxRuntime("onnxruntime", "float", file).predict(prepared(contract, raw))
    return LibraryNetwork(
        name=name,
        contract=contract,
        outputs=outputs,
        formats=("float",) * len(outputs),
        sources=write_float_source(model),
        result="float",
        numbers="NaN passes as IEEE 754 has it.",
        raw=raw,
        expected=expected,
        tolerance=TOLERANCE * float(np.abs(expected).max()),
    )


def quantized_network(name: str, quantized: QuantizedModel) -> LibraryNetwork:
    """The network in fixed point; its outputs are recorded from the integer graph, bit for bit."""
    contract = quantized.contract
    random = np.random.default_rng(1)
    corners = corner_inputs(contract, _EVENTS, seed=1)
    # beyond the range and between the steps: what `prepare` has to round and to cut off
    steps = np.array([f.format.lsb for f in contract.features])
    ports = corners + random.uniform(-1, 1, corners.shape) * steps
    raw = physical(contract, np.concatenate([ports, random.normal(size=ports.shape)]))
    return LibraryNetwork(
        name=name,
        contract=contract,
        outputs=quantized.classes,
        formats=tuple(map(str, quantized.output_formats)),
        sources=write_source(quantized.alir, contract),
        result="double",
        numbers=(
            "The firmware's bits.\n"
            " * x off the input's grid is cut off to it; beyond its range, or NaN, it ends at the range's ends."
        ),
        raw=raw,
        expected=quantized.predict(prepared(contract, raw)),
        tolerance=0.0,
    )


def physical(contract: InputContract, x: NDArray[Any]) -> NDArray[np.float64]:
    """Physical values (N, *shape) whose network inputs are about x."""
    scale = np.ldexp(1.0, [f.shift for f in contract.features])
    offset = np.array([f.offset for f in contract.features])
    values: NDArray[np.float64] = np.asarray(x, np.float64) * scale + offset
    return values


def prepared(contract: InputContract, raw: NDArray[np.float64]) -> NDArray[np.float32]:
    """Network inputs x (N, *shape) on the grid."""
    return contract.quantize(contract.normalize(raw))


def quoted(text: str) -> str:
    """A C string literal of the text in UTF-8."""
    plain = (
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return f'"{"".join(plain)}"'


def _port(feature: InputFeature) -> str:
    fmt = feature.format
    low, high = fmt.integer_range
    whole = math.floor(feature.offset_steps)
    rest = int((feature.offset_steps - whole) * 2**OFFSET_BITS)
    return _braced(
        *(whole, f"{rest}U", feature.shift, fmt.fraction, fmt.width),
        *(f"Rounding::{fmt.rounding}", f"Overflow::{fmt.overflow}"),
        *(low, high, f"{float(feature.padding)!r}f"),
    )


def _row(feature: InputFeature) -> str:
    name, unit, form = map(quoted, (feature.name, feature.unit, str(feature.format)))
    return _braced(name, unit, float(feature.offset), feature.shift, form, float(feature.padding))


def _braced(*values: Any) -> str:
    return f"{{{', '.join(map(str, values))}}}"

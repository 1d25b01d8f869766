"""The one neutral object after compression: a fixed-point graph that every backend is a function of.

The graph is alkaid's ALIR (calad0i/alkaid), whose interpreter computes with int64 exactly.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar

from triggerforge.compression.backend import hgq, keras

# isort: split
import numpy as np
from alkaid._binary import alir_interp_run
from alkaid.converter import trace_model
from alkaid.converter.builtin.keras.layers._base import ReplayOperationBase
from alkaid.trace import FVArray, HWConfig, trace
from alkaid.types import ALIR_SPEC_VERSION, CombLogic, JSONEncoder
from numpy.typing import NDArray

from triggerforge.compression import alir_layers as _alir_layers  # noqa: F401 (registers)
from triggerforge.compression.alir_check import require_sound
from triggerforge.compression.bitmap import ebops, layer_bits
from triggerforge.compression.drive import drive
from triggerforge.compression.keras_archive import keras_bytes
from triggerforge.compression.keras_file import load_keras
from triggerforge.compression.layer_sites import watched
from triggerforge.compression.layer_tree import operations
from triggerforge.compression.model_hdf5 import first_line
from triggerforge.compression.model_json import parse_json
from triggerforge.compression.model_zip import read_members
from triggerforge.compression.reference import Reference, needs_double, predict_exact
from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, ConfigError, DataError, ModelError, ParityError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.runfolder import write_atomic

T = TypeVar("T")
FORMAT_VERSION = 1
MODEL_FILE = "model.tfq"
"""name of the quantised model in the folder of the stage `compress`"""
_CHECKED_EVENTS = 500
_AGAIN = "compress again"
_TOOLS = ("triggerforge", "alkaid", "hgq2", "quantizers", "keras", "jax", "numpy")
TFQ_MEMBERS = {"manifest.json": 2**24, "alir.json": 2**26, "model.keras": 2**28}
"""members of the file → the bytes that are read at most"""


@dataclass(frozen=True)
class QuantizedModel:
    """A network in fixed point, with what is needed to use, check and rebuild it."""

    alir: CombLogic
    """flattened inputs → flattened outputs, in int64"""
    contract: InputContract
    classes: tuple[str, ...]
    keras_file: bytes
    """the HGQ2 model, as Keras saves it: the reference of every parity check"""
    ebops: float
    layers: list[dict[str, Any]]
    """see triggerforge.compression.bitmap.layer_bits"""
    versions: dict[str, str]
    """of the tools that made it"""
    format_version: int = FORMAT_VERSION
    trace_check: dict[str, Any] = field(default_factory=dict, compare=False)
    """what the events reached with which `from_keras` compared; empty in a model from a file"""

    @classmethod
    def from_keras(
        cls, model: keras.Model, contract: InputContract, classes: tuple[str, ...]
    ) -> "QuantizedModel":
        """Traces an HGQ2 model whose inputs have the contract's formats.

        Raises ModelError where shapes do not fit, where a layer cannot be traced or is not
        quantised; ParityError where the trace, Keras and what Keras reads back from its file differ:
        on random and corner inputs, and on such as drive its quantisers out of their ranges.
        """
        _check_shapes(model, contract, classes)
        with _rounded_weights(model):
            made = cls(
                alir=trace_keras(model, contract),
                contract=contract,
                classes=tuple(classes),
                keras_file=keras_bytes(model),
                ebops=ebops(model),
                layers=layer_bits(model),
                versions={tool: version(tool) for tool in _TOOLS},
            )
            return _checked(made, model)

    def predict(self, x: NDArray[Any], threads: int = 0) -> NDArray[np.float64]:
        """Outputs (N, outputs), exact, for x (N, *contract.shape), put on the contract's grid first.

        `threads` 0 takes all cores. Raises DataError for another shape, NaN or inf.
        """
        values = np.asarray(x)
        fits = values.shape[1:] == self.contract.shape
        return self.compute(self.contract.on_grid(values) if fits else values, threads)

    def compute(self, x: NDArray[Any], threads: int = 0) -> NDArray[np.float64]:
        """`predict` for x that is on the grid already, which is not looked at."""
        width = self.alir.shape[0]
        fits = np.shape(x)[1:] == self.contract.shape
        inputs = np.ascontiguousarray(np.reshape(x, (-1, width) if fits else -1), np.float64)
        if not fits or not np.isfinite(inputs).all():
            raise DataError(
                f"inputs of shape {np.shape(x)[1:]}, perhaps with NaN or inf; the model takes "
                f"finite numbers of shape {self.contract.shape}"
            )
        if not len(inputs):
            return np.zeros((0, self.alir.shape[1]))
        outputs = alir_interp_run(self._bytecode, inputs, threads)
        return np.asarray(outputs, np.float64).reshape(len(inputs), -1)

    @cached_property
    def _bytecode(self) -> bytes:
        return bytes(self.alir.to_bytecode())

    @cached_property
    def output_formats(self) -> tuple[FixedFormat, ...]:
        """The format of every output; the graph itself never overflows them."""
        return tuple(
            FixedFormat(width=max(1, int(k + i + f)), integer=int(k + i), signed=bool(k))
            if k + i + f > 0
            else FixedFormat(width=1, integer=1, signed=False)
            for k, i, f in np.asarray(self.alir.out_kifs).T
        )

    def keras_model(self) -> keras.Model:
        """The HGQ2 model that this one was traced from, its weights rounded; in float32."""
        return load_keras(self.keras_file)

    def reference(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """HGQ2's outputs (N, outputs) for x (N, *contract.shape), in wide enough floats.

        x is put on the contract's grid first. What every engine is compared with.
        """
        return self._reference.predict(self.contract.on_grid(np.asarray(x)))

    def in_reference(self, work: Callable[[keras.Model], T]) -> T:
        """What `work` makes of HGQ2's model, in the floats in which `reference` computes."""
        return self._reference.run(work)

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self.keras_file, needs_double(self.alir))

    def save(self, path: Path) -> None:
        """Writes one file, whole or not at all (by custom `model.tfq`).

        Raises ModelError for a model that is larger than `load` reads.
        """
        members = {"alir.json": _alir_bytes(self.alir), "model.keras": self.keras_file}
        for name, data in members.items():
            if len(data) > TFQ_MEMBERS[name]:
                raise ModelError(
                    f"{name} of {len(data)} bytes; at most {TFQ_MEMBERS[name]} are read again: use fewer or "
                    "smaller layers"
                )
        manifest = {
            "format_version": self.format_version,
            "contract": self.contract.to_dict(),
            "classes": list(self.classes),
            "ebops": self.ebops,
            "layers": self.layers,
            "versions": self.versions,
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        }
        members = {"manifest.json": json.dumps(manifest, indent=1).encode(), **members}
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                # a fixed date: the same model gives the same bytes
                info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        write_atomic(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "QuantizedModel":
        """Reads the file that `save` wrote.

        Raises ArtifactError where it is missing, damaged, too large or of an unknown version.
        """
        return cls.from_bytes(_content(Path(path)), str(path))

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> "QuantizedModel":
        """The model in the bytes that `save` wrote; raises what `load` raises, beginning with `where`."""
        members = _read_members(content, where)
        try:
            made = cls._from_members(members, where)
            _require_consistent(made)
        except (ArithmeticError, AssertionError, AttributeError, LookupError) as error:
            raise ArtifactError(f"{where}: damaged ({error!r}); compress again") from error
        except (TypeError, ValueError, ConfigError, DataError, ModelError) as error:
            raise ArtifactError(f"{where}: damaged ({error}); compress again") from error
        return made

    @classmethod
    def _from_members(cls, members: Mapping[str, bytes], where: str) -> "QuantizedModel":
        manifest = parse_json(members["manifest.json"], f"{where}: manifest.json", _AGAIN)
        return cls(
            alir=CombLogic.from_dict(
                parse_json(members["alir.json"], f"{where}: alir.json", _AGAIN)
            ),
            contract=InputContract.from_dict(manifest["contract"]),
            classes=tuple(manifest["classes"]),
            keras_file=members["model.keras"],
            ebops=float(manifest["ebops"]),
            layers=list(manifest["layers"]),
            versions=dict(manifest["versions"]),
            format_version=int(manifest["format_version"]),
        )


def trace_keras(model: keras.Model, contract: InputContract) -> CombLogic:
    """The fixed-point graph of `model` for inputs of the contract's formats.

    Raises ModelError where a layer cannot be traced.
    """
    shape = (1, *contract.shape)
    formats = [feature.format for feature in contract.features]
    k, i, f = (
        np.broadcast_to(np.array(column, np.int8), shape).copy()
        for column in (
            [fmt.signed for fmt in formats],
            [fmt.integer - fmt.signed for fmt in formats],
            [fmt.fraction for fmt in formats],
        )
    )
    inputs = FVArray.from_kif(k, i, f, HWConfig(1, 1, -1), 0, None)
    try:
        flat, outputs = trace_model(model, inputs=(inputs,), framework="keras")
        return trace(flat, outputs, keep_dead_inputs=True)
    except ModelError as error:
        raise ModelError(f"layer {_layer_of(error) or model.name!r}: {error}") from error
    except Exception as error:  # of alkaid, numpy and Keras
        raise ModelError(
            f"layer {_layer_of(error) or model.name!r} cannot be traced to fixed point: "
            f"{first_line(error)}; build it of HGQ2 layers with fixed-point quantisers (hgq.layers), and of "
            "keras reshapes and ReLU"
        ) from error


def _layer_of(error: Exception) -> str:
    """The layer that alkaid was at, with its class; empty where it was at none."""
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        here = frame.f_locals.get("self")
        if isinstance(here, ReplayOperationBase):
            return f"{here.op.name!r} ({type(here.op).__name__})"
    return ""


def corner_inputs(contract: InputContract, events: int, seed: int) -> NDArray[np.float32]:
    """Inputs (N, *shape) on the grid: all 0, ±LSB and ±max, then `events` of random bits."""
    columns = []
    random = np.random.default_rng(seed)
    for feature in contract.features:
        low, high = feature.format.integer_range
        size = (events, *contract.shape[:-1])
        corners = [0, min(high, 1), max(low, -1), high, low, max(low, -high)]
        fixed = np.broadcast_to(
            np.reshape(corners, (-1,) + (1,) * (len(size) - 1)), (len(corners), *size[1:])
        )
        integers = np.concatenate([fixed, random.integers(low, high, size, endpoint=True)])
        columns.append(integers * feature.format.lsb)
    return np.stack(columns, axis=-1).astype(np.float32)


def _check_shapes(model: keras.Model, contract: InputContract, classes: tuple[str, ...]) -> None:
    given = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if given != [contract.shape]:
        raise ModelError(
            f"the model takes inputs of shapes {given}, the contract says {contract.shape}"
        )
    outputs = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if outputs != [(len(classes),)]:
        raise ModelError(
            f"the model gives outputs of shapes {outputs} for {len(classes)} classes "
            f"{list(classes)}; it must give one number a class"
        )


_WEIGHTED = (
    hgq.layers.QDense,
    hgq.layers.QEinsumDense,
    hgq.layers.QConv1D,
    hgq.layers.QConv2D,
)


@contextmanager
def _rounded_weights(model: keras.Model) -> Iterator[None]:
    """For a while, `model` holds the weights that its quantisers give.

    They are the same in every precision; a latent weight next to a rounding edge is not.
    """
    latent = []
    for _, layer in operations(model):
        if type(layer) in _WEIGHTED:  # a subclass may fold more into its weights
            for variable, quantised in ((layer._kernel, layer.qkernel), (layer.bias, layer.qbias)):
                if variable is not None:
                    latent.append((variable, np.array(variable)))
                    variable.assign(quantised)
    try:
        yield
    finally:
        for variable, value in latent:
            variable.assign(value)


def require_reference(made: QuantizedModel) -> None:
    """Raises ModelError, ParityError where the Keras model in a file is not that of its graph."""
    model = made.keras_model()
    _check_shapes(model, made.contract, made.classes)
    _checked(made, model)
    counted = ebops(model)
    if counted != made.ebops:
        raise ModelError(f"the file says {made.ebops:g} EBOPs, its model has {counted:g}")


def _checked(made: QuantizedModel, model: keras.Model) -> QuantizedModel:
    """`made`, once graph, Keras' model in memory and the one that is read back agree.

    Inputs are corners, random bits, and events that drive the quantisers out of their ranges.
    """
    x = corner_inputs(made.contract, _CHECKED_EVENTS, seed=1)
    driven = made.in_reference(lambda read: drive(lambda e: watched(read, e), made.contract, x))
    _require_same(
        predict_exact(model, x) if not needs_double(made.alir) else None,
        driven.outputs[: len(x)],
        "Keras, read back from its file, differ from those of the model in memory",
    )
    got = made.predict(driven.x)
    _require_same(got, driven.outputs, "the fixed-point graph differ from Keras")
    made.trace_check.update(driven.to_dict())
    return made


def _require_same(
    got: NDArray[np.float64] | None, expected: NDArray[np.float64], what: str
) -> None:
    """Raises ParityError where outputs (N, outputs) differ."""
    if got is None or np.array_equal(got, expected):
        return
    differs = got != expected
    event, output = np.argwhere(differs)[0]
    raise ParityError(
        f"{int(differs.sum())} of {differs.size} outputs of {what}, first at event {event}, output "
        f"{output}: {got[event, output]} instead of {expected[event, output]}"
    )


def _alir_bytes(alir: CombLogic) -> bytes:
    record = {"model": alir, "meta": "ALIRModel", "spec_version": ALIR_SPEC_VERSION}
    return json.dumps(record, cls=JSONEncoder, separators=(",", ":")).encode()


def _content(path: Path) -> bytes:
    limit = sum(TFQ_MEMBERS.values())
    try:
        if path.stat().st_size > limit:
            raise ArtifactError(f"{path} has {path.stat().st_size} bytes; at most {limit} are read")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: no quantised model ({error}); compress again") from error


def _read_members(content: bytes, where: str) -> dict[str, bytes]:
    """The members of the file, after checks of version, sizes and hashes."""
    try:
        members = read_members(content, TFQ_MEMBERS, where, _AGAIN)
        manifest = parse_json(members["manifest.json"], f"{where}: manifest.json", _AGAIN)
        _check_version(where, manifest)
        hashes = dict(manifest["sha256"])
        for name in TFQ_MEMBERS.keys() - {"manifest.json"}:
            if hashlib.sha256(members[name]).hexdigest() != hashes[name]:
                raise ArtifactError(f"{where}: {name} is not what was written; compress again")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{where}: no quantised model ({error!r}); compress again") from error
    return members


def _require_consistent(made: QuantizedModel) -> None:
    """Raises ModelError where graph, contract and classes do not belong together, or cannot be run."""
    require_sound(made.alir)
    if made.alir.shape != (math.prod(made.contract.shape), len(made.classes)):
        raise ModelError(
            f"a graph of {made.alir.shape[0]} inputs and {made.alir.shape[1]} outputs for inputs of "
            f"shape {made.contract.shape} and {len(made.classes)} classes"
        )
    if not all(isinstance(name, str) for name in (*made.classes, *made.contract.names)):
        raise ModelError("a class or an input has a name that is no text")
    if not (math.isfinite(made.ebops) and made.ebops >= 0):
        raise ModelError(f"{made.ebops} EBOPs")
    formats = [feature.format for feature in made.contract.features]
    repeated = formats * (made.alir.shape[0] // len(formats))
    for index, (interval, fmt) in enumerate(zip(made.alir.inp_qint, repeated, strict=True)):
        reach = 2.0 ** (fmt.integer - fmt.signed)
        wider = interval.max >= reach or interval.min < -reach * fmt.signed
        outside = wider or interval.step < fmt.lsb
        if outside and interval.min != interval.max:
            raise ModelError(
                f"input {index} of the graph takes {tuple(interval)}, the port is {fmt}"
            )


def _check_version(where: str, manifest: Mapping[str, Any]) -> None:
    found = manifest["format_version"]
    if found not in range(1, FORMAT_VERSION + 1):
        raise ArtifactError(
            f"{where}: format version {found}; this triggerforge reads 1 to {FORMAT_VERSION}, "
            "a newer one may read it"
        )

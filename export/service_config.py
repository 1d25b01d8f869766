"""`config.pbtxt` of a served model: what the user sets, what the ONNX file says, the text of both.

Schema: triton-inference-server/common, `protobuf/model_config.proto`. What a value may be is checked
as the server does (triton-inference-server/core, `ValidateModelConfig`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import onnx
from google.protobuf.text_encoding import CEscape  # type: ignore[import-untyped]
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from triggerforge.compression.onnx_file import CLASSES, CONTRACT, read_metadata
from triggerforge.errors import ConfigError, ModelError
from triggerforge.export.metadata import OUTPUT_FORMATS

MODEL_FILE = "model.onnx"
LABELS_FILE = "labels.txt"
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}
_TYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.DOUBLE: "TYPE_FP64"}
_INT32, _UINT32, _INT64 = 2**31 - 1, 2**32 - 1, 2**63 - 1
_POLICY = re.compile(r"all|latest:(?P<newest>\d+)|(?P<listed>\d+(,\d+)*)", re.ASCII)
_CHECKSUM = re.compile(r'\s*parameters\s*{\s*key:\s*"MD5:([^"]+)"\s*value:\s*"([0-9a-f]{32})"\s*}')
_NORMALISED = "x = (raw - offset) * 2^-shift of input_contract, float32"
_ON_THE_GRID = (
    "x = (raw - offset) * 2^-shift of input_contract in float64, rounded and saturated to each input's "
    "fixed-point format, then float32 (triggerforge: InputContract.normalize and quantize); off that grid "
    "the outputs are not the firmware's"
)


@dataclass(frozen=True)
class ServiceSettings:
    """How the server runs a model; raises ConfigError for a value that it would refuse."""

    max_batch_size: int = 1024
    """events, the most in one call of the network"""
    preferred_batch_sizes: tuple[int, ...] = ()
    """events; a batch of such a size does not wait for more. None: only a full one does not"""
    max_queue_delay_us: int = 100
    """µs that the first request may wait for others to fill the batch"""
    device: str = "auto"
    """"cpu", "gpu", or "auto": a GPU where the server has one"""
    instances: int = 1
    """copies of the network that work at the same time, on each device"""
    serve: str = "latest:1"
    """"latest:N" (the N highest versions), "all", or versions such as "1,3" """

    def __post_init__(self) -> None:
        require_whole("max_batch_size", self.max_batch_size, _INT32)
        for size in self.preferred_batch_sizes:
            require_whole("preferred_batch_sizes", size, self.max_batch_size)
        require_whole("max_queue_delay_us", self.max_queue_delay_us, _INT64)
        require_whole("instances", self.instances, _INT32)
        if self.device not in KINDS:
            raise ConfigError(
                f"device {self.device!r} is not known; give one of {', '.join(KINDS)}"
            )
        policy, numbers = self.policy
        for number in numbers:
            require_whole("serve", number, _UINT32 if policy == "latest" else _INT64)

    @property
    def policy(self) -> tuple[str, tuple[int, ...]]:
        """("latest", (N,)), ("all", ()) or ("specific", versions)."""
        match = _POLICY.fullmatch(self.serve)
        if match is None:
            raise ConfigError(f"serve {self.serve!r} is not known; give latest:2, all, or 1,3")
        if match["newest"]:
            return "latest", (int(match["newest"]),)
        if match["listed"]:
            return "specific", tuple(map(int, match["listed"].split(",")))
        return "all", ()


def require_whole(name: str, value: int, most: int = _INT64) -> None:
    """Raises ConfigError unless 1 <= value <= most."""
    if not 1 <= value <= most:
        raise ConfigError(f"{name} is {value}; give a whole number from 1 to {most}")


@dataclass(frozen=True)
class Tensor:
    """An input or output as a client sees it."""

    name: str
    data_type: str
    """as in the schema: TYPE_FP32, TYPE_FP64"""
    dims: tuple[int, ...]
    """of one event; -1 where the length is free"""


@dataclass(frozen=True)
class Served:
    """What clients build on: the same for every version of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, str]
    """for `config.pbtxt`; JSON texts as in the ONNX file, and words"""
    labels: tuple[str, ...]
    """names of the outputs, in order; empty where the classes are not those"""


def served(model: onnx.ModelProto) -> Served:
    """What an exported model offers.

    Raises ArtifactError if it carries no input contract, ModelError if the number of events in a
    call is fixed or a tensor is neither float32 nor float64.
    """
    _, classes = read_metadata(model)
    entries = {p.key: p.value for p in model.metadata_props}
    quantized = OUTPUT_FORMATS in entries
    outputs = tuple(map(_tensor, model.graph.output))
    one_a_class = [o.dims for o in outputs] == [(len(classes),)]
    named = one_a_class and not any(set("\r\n") & set(c) for c in classes)
    parameters = {
        "model": "quantized" if quantized else "float",
        "input_values": _ON_THE_GRID if quantized else _NORMALISED,
        CONTRACT: entries[CONTRACT],
        CLASSES: entries[CLASSES],
        # an instance is one CPU thread: more of them are `instances`
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
    }
    inputs = tuple(map(_tensor, model.graph.input))
    return Served(inputs, outputs, parameters, classes if named else ())


def _tensor(info: onnx.ValueInfoProto) -> Tensor:
    kind = info.type.tensor_type
    events, *dims = kind.shape.dim or [None]
    if events is None or events.HasField("dim_value") or not dims:
        raise ModelError(
            f"tensor {info.name!r} is not (events, ...) with any number of events, so that the server "
            "cannot batch; serve float.onnx or quantized.onnx of the stage export"
        )
    if kind.elem_type not in _TYPES:
        found = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise ModelError(f"tensor {info.name!r} is {found}; served are FLOAT and DOUBLE")
    lengths = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
    return Tensor(info.name, _TYPES[kind.elem_type], lengths)


def config_text(
    name: str, model: Served, settings: ServiceSettings, checksums: Mapping[str, str]
) -> str:
    """The text of `config.pbtxt`; `checksums`: MD5 of each file, by its path in the model's folder."""
    policy, versions = settings.policy
    return _template().render(
        name=name,
        served=model,
        settings=settings,
        policy=policy,
        versions=versions,
        kind=KINDS[settings.device],
        checksums=checksums,
        model_file=MODEL_FILE,
        labels_file=LABELS_FILE,
    )


def read_checksums(text: str) -> dict[str, str]:
    """The MD5 of each file that a `config.pbtxt` names, by its path in the model's folder."""
    return dict(_CHECKSUM.findall(text))


def without_checksums(text: str) -> str:
    """The settings of a `config.pbtxt`, without what changes from version to version."""
    return _CHECKSUM.sub("", text)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("triggerforge.export", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda text: f'"{CEscape(text, as_utf8=True)}"'
    return environment.get_template("config.pbtxt")

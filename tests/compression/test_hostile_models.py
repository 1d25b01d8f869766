"""Model files made to deceive: each ends as one line of ArtifactError or ModelError, at once."""

import hashlib
import json
import re
import resource
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.model_file import from_file
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.fixedpoint import FixedFormat

QKERAS_FILE = Path(__file__).parent / "qkeras" / "mlp.h5"
FMT = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
QKERAS_CONTRACT = InputContract(tuple(InputFeature(f"x{i}", "", 0, 0, FMT) for i in range(6)), (6,))
GIB = 2**20  # in KiB, as ru_maxrss is


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good file of every kind."""
    made = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(1)
    layers = [
        hgq.layers.QDense(6, activation="relu", name="inner"),
        hgq.layers.QDense(2, name="out"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.save(made / "good.keras")
    model.save(made / "hgq2.h5")
    from_file(made / "good.keras").save(made / "good.tfq")
    shutil.copy(QKERAS_FILE, made / "qkeras.h5")
    return made


def refused(path: Path) -> str:
    """The one line with which the file is refused; nothing large was allocated for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ArtifactError, ModelError)) as caught:
        from_file(path, QKERAS_CONTRACT if path.name.startswith("qkeras") else None)
    told = str(caught.value)
    assert "\n" not in told and path.name in told and len(told) < 600, told
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIB
    return told


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    if "manifest.json" in content:  # with the checksums that fit
        manifest = json.loads(content["manifest.json"])
        for name in manifest["sha256"]:
            manifest["sha256"][name] = hashlib.sha256(content[name]).hexdigest()
        content["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


# ---- .keras --------------------------------------------------------------------------------------


def _layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in config["config"]["layers"] if each["config"].get("name") == name)


def _unit_count(value: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        _layer(config, "inner")["config"]["units"] = value

    return change


def _class(**record: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        _layer(config, "inner").update(record)

    return change


def _quantizer(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        _layer(config, "inner")["config"]["iq_conf"]["config"].update(values)

    return change


CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "2^31 units": (_unit_count(2**31), "'inner' asks for weights .* no model for a trigger"),
    "negative units": (_unit_count(-1), "units"),
    "units of text": (_unit_count("six"), "units|six"),
    "other units": (_unit_count(7), "Keras cannot read the model"),
    "code": (_class(class_name="Lambda"), "'inner' is of class Lambda, which runs code"),
    "a foreign class": (
        _class(class_name="system", module="os", registered_name=None),
        "'inner' needs the class system of os, which is neither",
    ),
    "an unknown class of HGQ2": (
        _class(class_name="QNothing", registered_name="hgq>QNothing"),
        "'inner' needs HGQ2's class 'QNothing'",
    ),
    "a quantiser of NaN": (_quantizer(i0=float("nan")), "NaN"),
    "a rounding that is none": (_quantizer(round_mode="UP"), "UP|round"),
    "no layers": (lambda config: config["config"].update(layers=[]), ""),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_keras_configuration(name: str, folder: Path, tmp_path: Path) -> None:
    change, words = CONFIGS[name]
    content = members(folder / "good.keras")
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config).encode()
    told = refused(write_zip(tmp_path / "bad.keras", content))
    assert re.search(words, told), told


def test_json_without_an_end(folder: Path, tmp_path: Path) -> None:
    content = members(folder / "good.keras") | {"config.json": b"[" * 200_000}
    assert "nested too deep" in refused(write_zip(tmp_path / "deep.keras", content))
    content = members(folder / "good.keras") | {"config.json": b'{"a":' * 300 + b"1" + b"}" * 300}
    assert "nested too deep" in refused(write_zip(tmp_path / "deeper.keras", content))
    content = members(folder / "good.tfq") | {"alir.json": b"[" * 200_000}
    assert "nested too deep" in refused(write_zip(tmp_path / "deep.tfq", content))


@pytest.mark.parametrize(("name", "size"), [("model.weights.h5", 2**29), ("config.json", 2**26)])
def test_zeros_that_unpack_to_much(name: str, size: int, tmp_path: Path) -> None:
    """512 MiB of zeros are half a megabyte of zip; the size is read, not the zeros."""
    path = write_zip(tmp_path / "zeros.keras", {"metadata.json": b"{}"})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as member,
    ):
        for _ in range(size // 2**24):
            member.write(b"\0" * 2**24)
    assert path.stat().st_size < 2**22
    assert f"would unpack to {size} bytes" in refused(path)


# ---- HDF5 ----------------------------------------------------------------------------------------

SECRET = 4711.0


def _external(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (8,), "f4", external=[(str(secret), 0, 32)])


def _link(group: Any, name: str, secret: Path) -> None:
    group[name] = h5py.ExternalLink(str(secret), "/w")


def _virtual(group: Any, name: str, secret: Path) -> None:
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "w", (8,))
    group.create_virtual_dataset(name, layout)


def _soft(group: Any, name: str, secret: Path) -> None:
    group[name] = h5py.SoftLink("/elsewhere")


def _unwritten(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (8,), "f4")


def _unwritten_chunk(group: Any, name: str, secret: Path) -> None:
    made = group.create_dataset(name, (8,), "f4", chunks=(4,))
    made[:4] = 1.0


def _claimed(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (2**40,), "f4", chunks=(2**16,), compression="gzip")


def _large_chunk(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (2**29,), "f4", chunks=(2**29,), compression="gzip")


def _nan(group: Any, name: str, secret: Path) -> None:
    group[name] = np.full(8, np.nan, np.float32)


def _text(group: Any, name: str, secret: Path) -> None:
    group[name] = "text"


def _shorter(group: Any, name: str, secret: Path) -> None:
    group[name] = np.ones(7, np.float32)


def _absent(group: Any, name: str, secret: Path) -> None:
    pass


WEIGHTS: dict[str, tuple[Callable[[Any, str, Path], None], str]] = {
    "external storage": (_external, "external storage"),
    "an external link": (_link, "ExternalLink"),
    "a virtual dataset": (_virtual, "virtual dataset"),
    "a soft link": (_soft, "SoftLink"),
    "never written": (_unwritten, "never written"),
    "a chunk never written": (_unwritten_chunk, "1 of its 2 chunks"),
    "4 TiB claimed": (_claimed, "bytes|chunks"),
    "a chunk of 2 GiB": (_large_chunk, "chunks of 2147483648 bytes"),
    "NaN": (_nan, "NaN"),
    "text": (_text, "a weight is a number"),
    "another shape": (_shorter, "shape|Keras cannot read"),
    "no bias": (_absent, "no bias|Keras cannot read"),
}
PLACES = {
    "qkeras.h5": "model_weights/fc1/fc1/bias:0",
    "hgq2.h5": "model_weights/inner/sequential/inner/bias",
    "good.keras": "layers/q_dense/vars/1",
}


@pytest.mark.parametrize("base", PLACES)
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name: str, base: str, folder: Path, tmp_path: Path) -> None:
    change, words = WEIGHTS[name]
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["w"] = np.full(8, SECRET, np.float32)
    buffer, path = weights_of(folder / base), tmp_path / base
    with h5py.File(buffer, "r+") as file:
        group = file[str(Path(found(file, PLACES[base])).parent)]
        leaf = Path(PLACES[base]).name
        del group[leaf]
        change(group, leaf, secret)
    put_weights(path, folder / base, buffer.getvalue())
    told = refused(path)
    assert re.search(words, told), told


def found(file: Any, wanted: str) -> str:
    """The dataset whose place ends like `wanted`: Keras numbers its models."""
    tail = wanted.split("/")[-2:]
    names: list[str] = []
    file.visit(names.append)
    where = f"/{wanted.split('/')[1]}/"
    # a layer's quantisers have weights of the same names, deeper down
    return min((n for n in names if n.split("/")[-2:] == tail and where in f"/{n}"), key=len)


def weights_of(path: Path) -> BytesIO:
    inner = members(path)["model.weights.h5"] if path.suffix == ".keras" else path.read_bytes()
    return BytesIO(inner)


def put_weights(path: Path, base: Path, content: bytes) -> None:
    if path.suffix == ".keras":
        write_zip(path, members(base) | {"model.weights.h5": content})
    else:
        path.write_bytes(content)


def test_a_circle_of_groups(folder: Path, tmp_path: Path) -> None:
    """It is looked over once, and says nothing else than before."""
    shutil.copy(folder / "qkeras.h5", tmp_path / "qkeras.h5")
    with h5py.File(tmp_path / "qkeras.h5", "r+") as file:
        file["model_weights/again"] = file["/"]
    assert from_file(tmp_path / "qkeras.h5", QKERAS_CONTRACT).ebops > 0


# ---- QKeras' configuration -----------------------------------------------------------------------


def _of(layer: str, **config: Any) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        _layer(model, layer)["config"].update(config)

    return change


def _elsewhere(model: dict[str, Any]) -> None:
    model["config"]["output_layers"] = [["fc2", 0, 0]]


def _unconnected(model: dict[str, Any]) -> None:
    model["config"]["layers"][3]["inbound_nodes"] = []


QKERAS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "2^31 units": (_of("fc1", units=2**31), "fc1: its kernel has shape"),
    "negative units": (_of("fc1", units=-3), "fc1: its kernel has shape"),
    "units of text": (_of("fc1", units="eight"), "fc1: its kernel has shape"),
    "NaN bits": (
        _of(
            "fc1",
            kernel_quantizer={"class_name": "quantized_bits", "config": {"bits": float("nan")}},
        ),
        "NaN",
    ),
    "10^9 bits": (
        _of("fc1", kernel_quantizer="quantized_bits(1000000000,0,alpha=1)"),
        "fc1.*bits=10",
    ),
    "no quantiser": (_of("fc1", kernel_quantizer=None), "fc1"),
    "deep quantiser": (_of("fc1", kernel_quantizer="quantized_bits(" + "(" * 900), "fc1"),
    "a list of a name": (_of("fc1", name=["fc1"]), "only a chain"),
    "channels first": (_of("relu1", activation="quantized_relu(4,2"), "relu1"),
    "another output": (_elsewhere, "outputs are those of"),
    "not connected": (_unconnected, "only a chain"),
    "no layers": (lambda model: model["config"].update(layers=[]), "no layers"),
    "no configuration": (lambda model: model.pop("config"), "QKeras model"),
    "a shape of text": (_of("x", batch_input_shape=[None, "six"]), "every axis needs a size"),
}


@pytest.mark.parametrize("name", QKERAS)
def test_a_qkeras_configuration(name: str, folder: Path, tmp_path: Path) -> None:
    change, words = QKERAS[name]
    path = tmp_path / "qkeras.h5"
    shutil.copy(folder / "qkeras.h5", path)
    with h5py.File(path, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        change(model)
        file.attrs["model_config"] = json.dumps(model)
    told = refused(path)
    assert re.search(words, told), told


# ---- .tfq ----------------------------------------------------------------------------------------

Graph = list[Any]


def _operation(place: int, value: Any) -> Callable[[Graph], None]:
    """Sets a part of the last operation: operands, opcode, integers, range, latency, cost."""

    def change(graph: Graph) -> None:
        graph[5][-1][place] = value

    return change


def _entry(place: int, value: Any) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        graph[place] = value

    return change


def _output(value: Any) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        graph[2][0] = value

    return change


GRAPHS: dict[str, Callable[[Graph], None]] = {
    "an operand that comes later": _operation(0, [10**6, 10**6]),
    "an operand below zero": _operation(0, [-1, -1]),
    "no operands": _operation(0, []),
    "an opcode that is none": _operation(1, 77),
    "no integers": _operation(2, []),
    "a shift of 2^40": _operation(2, [2**40]),
    "a range of NaN": _operation(3, [float("nan"), 1.0, 1.0]),
    "a range upside down": _operation(3, [4.0, -4.0, 0.5]),
    "a step that is no power of two": _operation(3, [0.0, 3.0, 0.3]),
    "a range of 200 bits": _operation(3, [0.0, 2.0**200, 1.0]),
    "a cost of text": _operation(5, "much"),
    "other ports": _entry(0, [9, 2]),
    "2^31 outputs": _entry(0, [4, 2**31]),
    "an output that is not there": _output(10**6),
    "no operations": _entry(5, []),
    "no shifts": _entry(1, []),
    "an output exchanged": lambda graph: graph[2].reverse(),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_with_matching_checksums(name: str, folder: Path, tmp_path: Path) -> None:
    content = members(folder / "good.tfq")
    record = json.loads(content["alir.json"])
    GRAPHS[name](record["model"])
    content["alir.json"] = json.dumps(record).encode()
    path = write_zip(tmp_path / "bad.tfq", content)
    if name == "an output exchanged":  # runs, and gives other numbers than its own reference
        with pytest.raises(Exception, match="differ from Keras"):
            from_file(path)
    else:
        refused(path)
        with pytest.raises(ArtifactError, match="compress again"):
            QuantizedModel.load(path)


MANIFESTS: dict[str, dict[str, Any]] = {
    "no contract": {"contract": {}},
    "a contract of text": {"contract": "x"},
    "classes of numbers": {"classes": [1, 2]},
    "a class more": {"classes": ["a", "b", "c"]},
    "NaN EBOPs": {"ebops": "nan"},
    "fewer EBOPs": {"ebops": 1.0},
    "layers of text": {"layers": 7},
    "versions of text": {"versions": "1"},
    "a version of text": {"format_version": "one"},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest(name: str, folder: Path, tmp_path: Path) -> None:
    content = members(folder / "good.tfq")
    manifest = json.loads(content["manifest.json"]) | MANIFESTS[name]
    content["manifest.json"] = json.dumps(manifest).encode()
    refused(write_zip(tmp_path / "bad.tfq", content))


@pytest.mark.parametrize("change", [{"format": "ap_fixed<60,4>"}, {"format": 3}, {"format": None}])
def test_a_contract_of_formats_that_are_none(
    change: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    content = members(folder / "good.tfq")
    manifest = json.loads(content["manifest.json"])
    manifest["contract"]["features"][0] |= change
    content["manifest.json"] = json.dumps(manifest).encode()
    refused(write_zip(tmp_path / "bad.tfq", content))

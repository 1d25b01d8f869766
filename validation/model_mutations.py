"""Hostile changes of model files: of bytes, zip members, JSON, HDF5 and ONNX.

Every change is drawn from a random generator, so a seed makes the same changes again. What names a file
outside points at `bait`, a folder that nothing else opens.
"""

import copy
import hashlib
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx

Random = np.random.Generator
Mutation = Callable[[bytes, Random, Path], bytes]
SECRET = "secret.h5"
"""a file in the bait that holds numbers which a hostile file may name"""
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 2**31, -(2**31), 2**63, 10**400, 1e308, float("inf"), float("nan")),
    *(
        "",
        "x",
        "relu",
        "NaN",
        "../../etc/passwd",
        "x" * 5000,
        "\ud800",
        "\x00",
        [],
        {},
        [[]],
        [None],
    ),
    *([1, 2, 3, 4, 5, 6], {"class_name": "Lambda", "config": {}}, "softmax", "quantized_relu(3,1)"),
)
_CLASSES = (
    *("Lambda", "__lambda__", "TFSMLayer", "Dense", "LeakyReLU", "BatchNormalization", "QDense"),
    *(
        "hgq>QDense",
        "hgq2>QDenseT",
        "hgq>Nothing",
        "RepeatVector",
        "Functional",
        "function",
        "system",
    ),
)
_MODULES = (
    "os",
    "subprocess",
    "builtins",
    "keras.utils",
    "keras.layers",
    "hgq.layers",
    "numpy",
    "",
)


def mutated(content: bytes, ending: str, random: Random, bait: Path) -> bytes:
    """`content` of a file with this ending after one change, now and then after three."""
    for _ in range(int(random.choice([1, 1, 1, 3]))):
        of_kind = _BY_ENDING[ending]
        change = of_kind[int(random.integers(len(of_kind)))]
        try:
            content = change(content, random, bait)
        except Exception:  # noqa: BLE001  an earlier change left nothing that can be changed so
            content = damage(content, random, bait)
    return content


def damage(content: bytes, random: Random, _: Path) -> bytes:
    """Bytes flipped, cut off, put in or repeated."""
    data = bytearray(content)
    if not data:
        return b"\x00"
    place = int(random.integers(len(data)))
    match int(random.integers(5)):
        case 0:
            for position in random.integers(0, len(data), int(random.integers(1, 20))):
                data[position] ^= 1 << int(random.integers(8))
        case 1:
            del data[place:]
        case 2:
            data[place:place] = random.bytes(int(random.integers(1, 64)))
        case 3:
            data[place : place + 16] = bytes([int(random.choice([0, 255]))]) * 16
        case _:
            data[place:place] = data[place : place + int(random.integers(1, 4000))]
    return bytes(data)


# ---- JSON ----------------------------------------------------------------------------------------


def _json(text: bytes, random: Random) -> bytes:
    """One value of a JSON text changed."""
    if random.random() < 0.03:
        return b"[" * 100_000
    value = json.loads(text)
    places = list(_places(value))
    holder, key = places[int(random.integers(len(places)))]
    match int(random.integers(6)):
        case 0:
            del holder[key]
        case 1 | 2:
            holder[key] = _VALUES[int(random.integers(len(_VALUES)))]
        case 3:
            other, name = places[int(random.integers(len(places)))]
            holder[key] = copy.deepcopy(other[name])
        case 4:
            _rename_class(places, random)
        case _:
            if isinstance(holder[key], int | float):
                holder[key] = holder[key] * float(random.choice([-1, 0.5, 2, 1e6])) + 1
            else:
                holder[key] = [holder[key]] * int(random.integers(1, 4))
    return json.dumps(value).encode()


def _rename_class(places: list[tuple[Any, Any]], random: Random) -> None:
    named = [holder for holder, key in places if key == "class_name"]
    if not named:
        return
    record = named[int(random.integers(len(named)))]
    key = str(random.choice(["class_name", "registered_name", "module"]))
    choices = _MODULES if key == "module" else _CLASSES
    record[key] = choices[int(random.integers(len(choices)))]


def _places(value: Any) -> Any:
    """Every (holder, key) of a nested value."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


# ---- zip -----------------------------------------------------------------------------------------


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _zip_json(content: bytes, random: Random, _: Path) -> bytes:
    members = _members(content)
    names = [name for name in members if name.endswith(".json")]
    name = names[int(random.integers(len(names)))]
    members[name] = _json(members[name], random)
    return _zip(_sealed(members))


def _zip_hdf5(content: bytes, random: Random, bait: Path) -> bytes:
    members = _members(content)
    name = "model.weights.h5"
    members[name] = _hdf5(members[name], random, bait)
    return _zip(members)


def _zip_keras(content: bytes, random: Random, bait: Path) -> bytes:
    """The Keras model inside a .tfq."""
    members = _members(content)
    members["model.keras"] = mutated(members["model.keras"], ".keras", random, bait)
    return _zip(_sealed(members))


def _zip_structure(content: bytes, random: Random, bait: Path) -> bytes:
    members = _members(content)
    name = str(random.choice(sorted(members)))
    match int(random.integers(5)):
        case 0:
            del members[name]
        case 1:
            members["../" + name] = members.pop(name)
        case 2:
            members[name] = b"\x00" * (2**28 + 1)  # packs to a quarter of a megabyte
        case 3:
            members[name] = damage(members[name], random, bait)
        case _:
            members["assets/code.py"] = b"import os"
    return _zip(_sealed(members))


def _sealed(members: dict[str, bytes]) -> dict[str, bytes]:
    """With the checksums that a .tfq holds of its members, so that a change is not found by them."""
    if "manifest.json" in members:
        manifest = json.loads(members["manifest.json"])
        if isinstance(manifest, dict) and isinstance(manifest.get("sha256"), dict):
            for name in manifest["sha256"]:
                manifest["sha256"][name] = hashlib.sha256(members.get(name, b"")).hexdigest()
            members["manifest.json"] = json.dumps(manifest).encode()
    return members


# ---- HDF5 ----------------------------------------------------------------------------------------


def _hdf5(content: bytes, random: Random, bait: Path) -> bytes:
    if random.random() < 0.2:
        return damage(content, random, bait)
    buffer = BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        if "model_config" in file.attrs and random.random() < 0.5:
            text = file.attrs["model_config"]
            file.attrs["model_config"] = _json(text.encode(), random).decode()
            return _flushed(file, buffer)
        names: list[str] = []
        file.visit(names.append)
        name = names[int(random.integers(len(names)))]
        change = _HDF5[int(random.integers(len(_HDF5)))]
        change(file, name, random, bait)
        return _flushed(file, buffer)


def _flushed(file: h5py.File, buffer: BytesIO) -> bytes:
    file.flush()
    return buffer.getvalue()


def _attribute(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    values = [
        value for value in _VALUES if isinstance(value, str | int | float) and value != "\ud800"
    ]
    keys = [*file[name].attrs, *file.attrs, "keras_version"]
    value = values[int(random.integers(len(values)))]
    holder = file if random.random() < 0.5 else file[name]
    holder.attrs[str(random.choice(keys))] = (
        value if isinstance(value, str) else float(min(value, 1e300))
    )


def _removed(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    del file[name]


def _numbers(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    """Other numbers, another shape or another type in the place of a dataset."""
    shape = file[name].shape if isinstance(file[name], h5py.Dataset) else (2,)
    del file[name]
    match int(random.integers(5)):
        case 0:
            file[name] = np.full(
                shape, float(random.choice([np.nan, np.inf, 1e30, -1e30])), np.float32
            )
        case 1:
            file[name] = np.zeros((*shape, 2), np.float32)
        case 2:
            file[name] = random.normal(0, 100, shape)
        case 3:
            file[name] = "text"
        case _:
            file[name] = h5py.Empty("f4")


def _claims(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    """More than is there, or nothing where something is claimed."""
    shape = getattr(file[name], "shape", None) or (2,)
    del file[name]
    if random.random() < 0.5:
        file.create_dataset(name, (2**40,), "f4", chunks=(2**20,), compression="gzip")
    else:
        file.create_dataset(name, shape, "f4")


def _elsewhere(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    """Numbers that lie in another file, by each way that HDF5 has for it."""
    shape = getattr(file[name], "shape", None) or (2,)
    del file[name]
    secret = str(bait / SECRET)
    match int(random.integers(4)):
        case 0:
            file[name] = h5py.ExternalLink(secret, "/w")
        case 1:
            file[name] = h5py.SoftLink("/")
        case 2:
            size = int(np.prod(shape)) * 4
            file.create_dataset(name, shape, "f4", external=[(secret, 0, size)])
        case _:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(secret, "w", shape)
            file.create_virtual_dataset(name, layout)


def _circle(file: h5py.File, name: str, random: Random, bait: Path) -> None:
    group = file[name] if isinstance(file[name], h5py.Group) else file
    group["again"] = file["/"]


_HDF5 = (_attribute, _removed, _numbers, _claims, _elsewhere, _elsewhere, _circle)


# ---- ONNX ----------------------------------------------------------------------------------------


def _onnx(content: bytes, random: Random, bait: Path) -> bytes:
    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    node = graph.node[int(random.integers(len(graph.node)))]
    tensor = graph.initializer[int(random.integers(len(graph.initializer)))]
    match int(random.integers(9)):
        case 0:
            node.op_type = str(
                random.choice(["Loop", "Gemm", "Tile", "Expand", "If", "Nothing", "Pad"])
            )
        case 1 if node.input:
            node.input[int(random.integers(len(node.input)))] = str(
                random.choice(["", "x", "logits"])
            )
        case 2:
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=str(bait / SECRET))
        case 3:
            tensor.dims.append(int(random.choice([0, 2, -1, 2**40])))
        case 4:
            entry = model.metadata_props[int(random.integers(len(model.metadata_props)))]
            entry.value = _json(entry.value.encode(), random).decode(errors="replace")
        case 5:
            del graph.node[int(random.integers(len(graph.node)))]
        case 6:
            axes = graph.input[0].type.tensor_type.shape.dim
            axes[-1].dim_value = int(random.choice([0, 7, -3, 2**40]))
        case 7:
            shape = onnx.helper.make_tensor("size", onnx.TensorProto.INT64, [2], [2**20, 2**20])
            graph.initializer.append(shape)
            graph.node.append(onnx.helper.make_node("ConstantOfShape", ["size"], ["huge"]))
        case _:
            graph.node.append(copy.deepcopy(node))
    return bytes(model.SerializeToString())


_BY_ENDING: dict[str, tuple[Mutation, ...]] = {
    ".keras": (damage, _zip_json, _zip_json, _zip_json, _zip_hdf5, _zip_hdf5, _zip_structure),
    ".h5": (damage, _hdf5, _hdf5, _hdf5, _hdf5),
    ".tfq": (damage, _zip_json, _zip_json, _zip_json, _zip_keras, _zip_structure),
    ".onnx": (damage, _onnx, _onnx, _onnx),
}

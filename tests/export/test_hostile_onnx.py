"""ONNX files made to deceive: each ends as one line of ArtifactError."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from triggerforge.compression.onnx_file import CLASSES, CONTRACT, read_metadata, read_onnx
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError
from triggerforge.export.engines.onnxruntime import OnnxRuntime
from triggerforge.export.files import write_onnx
from triggerforge.export.metadata import metadata
from triggerforge.fixedpoint import FixedFormat

FMT = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
INPUTS = InputContract(tuple(InputFeature(f"x{i}", "", 0, 0, FMT) for i in range(2)), (2,))
FLOAT = onnx.TensorProto.FLOAT


def good() -> onnx.ModelProto:
    """Two inputs through a matrix, with the metadata of an export."""
    kernel = onnx.numpy_helper.from_array(np.eye(2, 3, dtype=np.float32), "kernel")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "kernel"], ["logits"])],
        "network",
        [onnx.helper.make_tensor_value_info("x", FLOAT, ["batch", 2])],
        [onnx.helper.make_tensor_value_info("logits", FLOAT, ["batch", 3])],
        [kernel],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    onnx.helper.set_model_props(model, metadata(INPUTS, ("a", "b", "c")))
    return model


def _external(model: onnx.ModelProto, secret: Path) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=secret.name)


def _external_in_a_node(model: onnx.ModelProto, secret: Path) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(2, np.float32), "inner")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=secret.name)
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=tensor))


def _huge(model: onnx.ModelProto, secret: Path) -> None:
    size = onnx.numpy_helper.from_array(np.array([2**20, 2**20]), "size")
    model.graph.initializer.append(size)
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["size"], ["huge"]))


def _loop(model: onnx.ModelProto, secret: Path) -> None:
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(
        onnx.helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body)
    )


def _wide(model: onnx.ModelProto, secret: Path) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40


def _unknown(model: onnx.ModelProto, secret: Path) -> None:
    model.graph.node[0].op_type = "Nothing"


def _sizes(model: onnx.ModelProto, secret: Path) -> None:
    model.graph.initializer[0].dims[0] = 2**30


def _outputs(model: onnx.ModelProto, secret: Path) -> None:
    model.graph.output.append(model.graph.output[0])


def _contract(text: str) -> Callable[[onnx.ModelProto, Path], None]:
    def change(model: onnx.ModelProto, secret: Path) -> None:
        next(p for p in model.metadata_props if p.key == CONTRACT).value = text

    return change


def _classes(model: onnx.ModelProto, secret: Path) -> None:
    next(p for p in model.metadata_props if p.key == CLASSES).value = '["a", "b"]'


CHANGES: dict[str, tuple[Callable[[onnx.ModelProto, Path], None], str]] = {
    "numbers in another file": (_external, "lie in another file"),
    "numbers of a node in another file": (_external_in_a_node, "lie in another file"),
    "4 TiB of zeros": (_huge, "numbers an event"),
    "a branch": (_loop, "If|Branch|branch"),
    "2^40 inputs": (_wide, "numbers an event"),
    "an unknown operator": (_unknown, "Nothing"),
    "sizes that are not there": (_sizes, "kernel|numbers|mismatch|size"),
    "two outputs": (_outputs, "ports|output"),
    "a class less": (_classes, "ports"),
    "a deep contract": (_contract("[" * 100_000), "nested too deep"),
    "a contract of text": (_contract('"x"'), "input_contract"),
    "a format of 60 bits": (
        _contract(str(INPUTS.to_dict()).replace("'", '"').replace("<8", "<60")),
        "60",
    ),
}


def test_the_good_one(tmp_path: Path) -> None:
    write_onnx(good(), tmp_path / "m.onnx")
    x = np.array([[1, 2], [-3, 0.5]], np.float32)
    runtime = OnnxRuntime("onnxruntime-quantized", "quantized", tmp_path / "m.onnx")
    np.testing.assert_array_equal(runtime.predict(x), x @ np.eye(2, 3))
    assert read_metadata(read_onnx(tmp_path / "m.onnx")) == (INPUTS, ("a", "b", "c"))


@pytest.mark.parametrize("name", CHANGES)
def test_each_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    (tmp_path / "secret").write_bytes(np.full(6, 4711, np.float32).tobytes())
    model = good()
    change(model, tmp_path / "secret")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match=words) as caught:
        OnnxRuntime("onnxruntime-quantized", "quantized", tmp_path / "m.onnx")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"no onnx", None])
def test_a_damaged_file(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(good().SerializeToString()[:60] if content is None else content)
    with pytest.raises(ArtifactError, match=r"m\.onnx"):
        read_onnx(path)

"""ONNX operators in uses that torch's exporter does not show: the native engine and onnxruntime agree."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, parser

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.native.build import compiled
from triggerforge.export.native.float_source import write_float_source

SHAPE = (6, 4)
OPSET = 20
HEADER = f'<ir_version: 9, opset_import: ["" : {OPSET}]>'


def ints(name: str, *values: int) -> str:
    body = ", ".join(map(str, values))
    return f"{name} = Constant <value = int64[{len(values)}] {{{body}}}> ()\n"


def floats(name: str, *values: float) -> str:
    body = ", ".join(map(str, values))
    return f"{name} = Constant <value = float[{len(values)}] {{{body}}}> ()\n"


WEIGHTS = [0.1 * ((7 * i) % 11 - 5) for i in range(400)]


def gru(more: str, gates: int = 3, kind: str = "GRU", directions: int = 1) -> str:
    """Weights for 4 inputs and 2 of state, and the layer over x with its axes in order."""
    n = directions * gates * 2
    return (
        floats("w_", *WEIGHTS[: n * 4])
        + floats("r_", *WEIGHTS[50 : 50 + n * 2])
        + floats("b_", *WEIGHTS[90 : 90 + n * 2])
        + ints("ws", directions, gates * 2, 4)
        + ints("rs", directions, gates * 2, 2)
        + ints("bs", directions, gates * 4)
        + "w = Reshape(w_, ws)\nr = Reshape(r_, rs)\nb = Reshape(b_, bs)\n"
        + f"s, l = {kind} <hidden_size = 2, {more}> (x_, w, r, b)\n"
    )


STEPS = "x_ = Transpose <perm = [1, 0, 2]> (x)\n"
BACK = "yt = Transpose <perm = [2, 0, 1, 3]> (s)\nlt = Transpose <perm = [1, 0, 2]> (l)\n"
BOTH = ints("flat", 0, -1) + "yf = Reshape(yt, flat)\nlf = Reshape(lt, flat)\n"
JOIN = BOTH + "y = Concat <axis = 1> (yf, lf)\n"
CASES: dict[str, str] = {
    "slice back": ints("a", -1)
    + ints("e", -100)
    + ints("i", -2)
    + ints("s", -2)
    + "y = Slice(x, a, e, i, s)\n",
    "slice back to the first": ints("a", 3)
    + ints("e", 0)
    + ints("i", 1)
    + ints("s", -1)
    + "y = Slice(x, a, e, i, s)\n",
    "slice all axes": ints("a", 0, 1, -3) + ints("e", 2**62, 100, -1) + "y = Slice(x, a, e)\n",
    "softmax of -inf": "h = Constant <value = float {-1e30}> ()\nm = Mul(h, h)\nn = Neg(m)\n"
    "c = Less(x, z)\nw = Where(c, n, x)\ny = Softmax <axis = 2> (w)\n",
    "clip above only": "h = Constant <value = float {0.5}> ()\ny = Clip(x, , h)\n",
    "clip crossed": "h = Constant <value = float {0.5}> ()\ny = Clip(x, h, z)\n",
    "gemm without bias": floats("v", *WEIGHTS[:72])
    + ints("vs", 3, 24)
    + ints("f", -1, 24)
    + "w = Reshape(v, vs)\nt = Reshape(x, f)\ny = Gemm <transB = 1, alpha = 0.3> (t, w)\n",
    "gemm of a scaled bias": floats("v", *WEIGHTS[:72])
    + ints("vs", 24, 3)
    + ints("f", -1, 24)
    + floats("b", 0.3)
    + "w = Reshape(v, vs)\nt = Reshape(x, f)\ny = Gemm <beta = 2.0> (t, w, b)\n",
    "reduce nothing": "y = ReduceSum <noop_with_empty_axes = 1> (x)\n",
    "reduce from behind": ints("a", -1, 1) + "y = ReduceMean <keepdims = 1> (x, a)\n",
    "events in the middle": "t = Transpose <perm = [1, 0, 2]> (x)\nu = Tanh(t)\nv = Add(t, u)\n"
    "y = Transpose <perm = [1, 2, 0]> (v)\n",
    "events with others": ints("f", -1, 4) + ints("g", -1, 3, 2, 4) + "t = Reshape(x, f)\n"
    "u = Softmax <axis = 1> (t)\ny = Reshape(u, g)\n",
    "others in front of events": "t = Transpose <perm = [1, 0, 2]> (x)\n"
    + ints("f", -1, 4)
    + "u = Reshape(t, f)\nv = Abs(u)\n"
    + ints("g", 6, -1, 4)
    + "w = Reshape(v, g)\n"
    "y = Transpose <perm = [1, 0, 2]> (w)\n",
    "a row for every column": floats("c", *WEIGHTS[:4]) + "y = Add(c, x)\n",
    "a scalar of rank three": floats("c", 0.7)
    + ints("s", 1, 1, 1)
    + "d = Reshape(c, s)\ny = Div(d, x)\n",
    "many": "t = Neg(x)\nh = Abs(x)\nm = Max(x, t, h, z)\nn = Min(x, t, z)\ny = Sum(m, n, x)\n",
    "split unevenly": "a, b, y = Split <axis = 2, num_outputs = 3> (wide)\n",
    "pad both ways": ints("p", 0, -1, 2, 0, 3, -1) + "h = Constant <value = float {2.5}> ()\n"
    "y = Pad(x, p, h)\n",
    "pad one axis": ints("p", 1, 2) + ints("a", -1) + "y = Pad(x, p, , a)\n",
    "squeeze all": ints("a", 2) + "t = ReduceMax(x, a)\nv = Squeeze(t)\ny = Abs(v)\n",
    "unsqueeze around": ints("a", -1, 1) + "t = Unsqueeze(x, a)\ny = Neg(t)\n",
    "infinite above": "t = Div(x, z)\nb = IsInf <detect_negative = 0> (t)\ny = Cast <to = 1> (b)\n",
    "no number": "t = Div(z, z)\ns = Add(x, t)\nb = IsNaN(s)\ny = Cast <to = 1> (b)\n",
    "expand": ints("s", 2, 1, 1, 4)
    + ints("f", 1, 0, 2, 3)
    + "t = Expand(x, s)\ny = Transpose <perm = [1, 0, 2, 3]> (t)\n",
    "gather from behind": ints("i", -1, 0, -2) + "y = Gather <axis = 2> (x, i)\n",
    "gather a computed row": ints("k", 2)
    + "v, i = TopK <axis = 1> (x, k)\ny = GatherElements <axis = 1> (x, i)\n",
    "gather from a table": floats("t", *WEIGHTS[:7]) + "a = Abs(x)\nb = Clip(a, z, six)\n"
    "i = Cast <to = 7> (b)\ny = Gather(t, i)\n",
    "gather inside each event": ints("a", 2)
    + ints("k", 2)
    + "r = ReduceSum <keepdims = 0> (x, a)\n"
    "v, i = TopK (r, k)\nj = Unsqueeze(i, a)\ny = GatherND <batch_dims = 1> (x, j)\n",
    "equal ones": "f = Floor(x)\n"
    + ints("k", 5)
    + "v, i = TopK <axis = 1, largest = 0> (f, k)\nj = Cast <to = 1> (i)\n"
    "y = Concat <axis = 1> (v, j)\n",
    "equal large ones": "f = Floor(x)\n"
    + ints("k", 5)
    + "v, i = TopK <axis = 1> (f, k)\nj = Cast <to = 1> (i)\ny = Concat <axis = 1> (v, j)\n",
    "remainders": "a = Constant <value = float {0.7}> ()\nm = Mod <fmod = 1> (x, a)\n"
    "t = Cast <to = 7> (x10)\nh = Constant <value = int64 {3}> ()\nn = Mod(t, h)\nd = Div(t, h)\n"
    "o = Add(n, d)\np = Cast <to = 1> (o)\ny = Add(m, p)\n",
    "logic": "b = Less(x, z)\nc = LessOrEqual(x, six)\nd = Xor(b, c)\ne = Not(d)\nf = Or(e, b)\n"
    "y = Cast <to = 1> (f)\n",
    "implicit einsum": floats("v", *WEIGHTS[:20])
    + ints("vs", 5, 4)
    + 'w = Reshape(v, vs)\ny = Einsum <equation = "bij, kj"> (x, w)\n',
    "flatten later": "t = Flatten <axis = 2> (x)\nu = Abs(t)\n"
    + ints("g", -1, 6, 4)
    + "y = Reshape(u, g)\n",
    "global pools": "a = GlobalAveragePool(x)\nb = GlobalMaxPool(x)\ny = Concat <axis = 1> (a, b)\n",
    "pools of one length": 'a = MaxPool <kernel_shape = [3], auto_pad = "SAME_UPPER"> (x)\n'
    'b = AveragePool <kernel_shape = [2], auto_pad = "SAME_LOWER", strides = [2]> (x)\n'
    "y = Concat <axis = 2> (a, b)\n",
    "GRU": STEPS + gru("linear_before_reset = 0") + BACK + JOIN,
    "GRU after": STEPS + gru('linear_before_reset = 1, direction = "reverse"') + BACK + JOIN,
    "GRU both ways": STEPS
    + gru('linear_before_reset = 0, direction = "bidirectional"', directions=2)
    + BACK
    + JOIN,
    "LSTM": STEPS + gru('direction = "reverse"', 4, "LSTM") + BACK + JOIN,
}


def model_of(body: str) -> onnx.ModelProto:
    graph = f"g (float[N,{SHAPE[0]},{SHAPE[1]}] x) => (float[N,M] out)"
    common = (
        "z = Constant <value = float {0.0}> ()\nsix = Constant <value = float {6.0}> ()\n"
        + "ten = Constant <value = float {10.0}> ()\nx10 = Mul(x, ten)\n"
        + ints("_five", 0)
        + ints("_to", 3)
        + ints("_axis", 2)
        + "_a = Slice(x, _five, _to, _axis)\nwide = Concat <axis = 2> (x, _a)\n"
        + ints("_flat", 0, -1)
    )
    model: onnx.ModelProto = parser.parse_model(
        f"{HEADER}\n{graph} {{\n{common}{body}\nout = Reshape(y, _flat)\n}}"
    )
    onnx.checker.check_model(model)
    return model


def reference(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of constants that a case leaves alone
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    result: np.ndarray[Any, Any] = session.run(None, {"x": x})[0]
    return result


def joined(models: dict[str, onnx.ModelProto]) -> onnx.ModelProto:
    """All models on one input, their outputs behind each other: one compilation."""
    parts = [
        onnx.compose.add_prefix(m, f"{i}_", rename_inputs=True)
        for i, m in enumerate(models.values())
    ]
    nodes = [n for part in parts for n in part.graph.node]
    for i in range(len(parts)):
        nodes.insert(0, helper.make_node("Identity", ["x"], [f"{i}_x"]))
    nodes.append(helper.make_node("Concat", [f"{i}_out" for i in range(len(parts))], ["y"], axis=1))
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "M"]),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


Results = dict[str, tuple[np.ndarray[Any, Any], dict[int, np.ndarray[Any, Any]]]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Case -> outputs of onnxruntime, and those of the native engine by number of events."""
    models = {name: model_of(body) for name, body in CASES.items()}
    x = np.random.default_rng(1).normal(size=(37, *SHAPE)).astype(np.float32)
    expected = {name: reference(model, x) for name, model in models.items()}
    ends = np.cumsum([y.shape[1] for y in expected.values()])
    sources = write_float_source(joined(models))
    engine = CompiledRuntime("native", "float", SHAPE, int(ends[-1]), np.float32, compiled(sources))
    got = {n: np.split(engine.predict(x[:n]), ends[:-1], axis=1) for n in (1, 3, 37)}
    return {
        name: (y, {n: parts[i] for n, parts in got.items()})
        for i, (name, y) in enumerate(expected.items())
    }


@pytest.mark.parametrize("events", [1, 3, 37])
@pytest.mark.parametrize("name", CASES)
def test_operators(results: Results, name: str, events: int) -> None:
    expected, got = results[name]
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    np.testing.assert_allclose(got[events], expected[:events], rtol=1e-6, atol=1e-6 * largest)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("y = ReduceSum (x)", "over the axis that counts events"),
        (ints("a", 0) + "t = ReduceMax (x, a)\ny = Add(x, t)", "over the axis that counts events"),
        ("y = Softmax <axis = 0> (x)", "over the axis that counts events"),
        ("t = Transpose <perm = [1, 0, 2]> (x)\ny = Concat <axis = 1> (t, t)", "counts events"),
        (ints("f", 5, -1) + "t = Reshape(x, f)\ny = Abs(t)", "of one event become"),
        (ints("p", 0, 1) + "y = Tile(x, p)", "Tile"),
        ('y = Einsum <equation = "bij,bkl->ij"> (x, x)', "over the axis that counts events"),
        ('y = Einsum <equation = "...j,...k->...jk"> (x, x)', "ellipsis"),
        (ints("a", 2) + ints("e", 2) + ints("i", 1) + "t = Slice(x, a, e, i)\ny = Abs(t)", "without elements"),
        ("y = Cast <to = 10> (x)", "FLOAT16"),
        (ints("i", 7) + "y = Gather <axis = 1> (x, i)", "index"),
        ("t = CumSum(x, z)\ny = Abs(t)", "CumSum"),
        (STEPS + gru('activations = ["Relu", "Tanh"]') + BACK + JOIN, "hyperbolic tangents"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_named(body: str, words: str) -> None:
    graph = f"g (float[N,{SHAPE[0]},{SHAPE[1]}] x) => (float[N,M] y)"
    zero = "z = Constant <value = int64 {1}> ()\n"
    model = parser.parse_model(f"{HEADER}\n{graph} {{\n{zero}{body}\n}}")
    with pytest.raises(UnsupportedOperationError, match=words):
        write_float_source(model)

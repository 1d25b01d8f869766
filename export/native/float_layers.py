"""What ONNX operators do to every element for itself."""

import numpy as np
import onnx
from onnx import TensorProto

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Place

_ONE = {
    "Abs": "absolute({0})",
    "Ceil": "ceiling({0})",
    "Cos": "cosine({0})",
    "Erf": "error_function({0})",
    "Exp": "exponential({0})",
    "Floor": "floor({0})",
    "HardSwish": "{0} * larger(smaller({0} / 6.0f + 0.5f, V(1.0f)), V())",
    "IsNaN": "unequal({0}, {0})",
    "Log": "logarithm({0})",
    "Mish": "{0} * hyperbolic_tangent(softplus({0}))",
    "Neg": "-{0}",
    "Not": "1.0f - {0}",
    "Reciprocal": "1.0f / {0}",
    "Relu": "rectified({0})",
    "Round": "nearest({0})",
    "Sigmoid": "sigmoid({0})",
    "Sign": "sign({0})",
    "Sin": "sine({0})",
    "Softplus": "softplus({0})",
    "Softsign": "{0} / (1.0f + absolute({0}))",
    "Sqrt": "root({0})",
    "Tanh": "hyperbolic_tangent({0})",
}
_TWO = {
    "Add": "{0} + {1}",
    "And": "{0} * {1}",
    "Div": "{0} / {1}",
    "Equal": "equal({0}, {1})",
    "Greater": "greater({0}, {1})",
    "GreaterOrEqual": "greater_or_equal({0}, {1})",
    "Less": "greater({1}, {0})",
    "LessOrEqual": "greater_or_equal({1}, {0})",
    "Max": "larger({0}, {1})",
    "Min": "smaller({0}, {1})",
    "Mul": "{0} * {1}",
    "Or": "larger({0}, {1})",
    "PRelu": "chosen(greater(V(), {0}), {0} * {1}, {0})",
    "Sub": "{0} - {1}",
    "Sum": "{0} + {1}",
    "Xor": "unequal({0}, {1})",
}
_WITH_ATTRIBUTES = {
    "Celu": (
        {"alpha": 1.0},
        "larger({{0}}, V()) + {alpha} * exponential_less_one(smaller({{0}}, V()) / {alpha})",
    ),
    "Elu": (
        {"alpha": 1.0},
        "chosen(greater({{0}}, V()), {{0}}, {alpha} * exponential_less_one({{0}}))",
    ),
    "HardSigmoid": (
        {"alpha": 0.2, "beta": 0.5},
        "larger(smaller({alpha} * {{0}} + {beta}, V(1.0f)), V())",
    ),
    "LeakyRelu": ({"alpha": 0.01}, "chosen(greater(V(), {{0}}), {alpha} * {{0}}, {{0}})"),
    "Selu": (
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        "{gamma} * chosen(greater({{0}}, V()), {{0}}, {alpha} * exponential_less_one({{0}}))",
    ),
}
_GELU = {
    b"none": "0.5f * {0} * (1.0f + error_function(0.707106781f * {0}))",
    b"tanh": "0.5f * {0} * (1.0f + hyperbolic_tangent("
    "0.797884561f * {0} * (1.0f + 0.044715f * {0} * {0})))",
}
_POWERS = {
    -2.0: "1.0f / ({0} * {0})",
    -1.0: "1.0f / {0}",
    -0.5: "1.0f / root({0})",
    0.0: "V(1.0f)",
    0.5: "root({0})",
    1.0: "{0}",
    2.0: "{0} * {0}",
    3.0: "{0} * {0} * {0}",
    4.0: "({0} * {0}) * ({0} * {0})",
}
_INTEGERS = (TensorProto.INT32, TensorProto.INT64)
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)


@handles(*_ONE)
def _one(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    return graph.elementwise(_ONE[node.op_type], graph.place(node.input[0]))


@handles(*_TWO)
def _two(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    expression = _TWO[node.op_type]
    if node.op_type == "Div" and graph.kind(node.input[0]) in _INTEGERS:
        expression = f"truncated({expression})"
    result, *others = (graph.place(name) for name in node.input)
    for other in others:
        result = graph.elementwise(expression, result, other)
    return result


@handles(*_WITH_ATTRIBUTES)
def _with_attributes(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    defaults, expression = _WITH_ATTRIBUTES[node.op_type]
    told = {name: f"{value!r}f" for name, value in (defaults | attributes(node)).items()}
    return graph.elementwise(expression.format(**told), graph.place(node.input[0]))


@handles("Mod")
def _remainder(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    kind = "c_remainder" if attributes(node).get("fmod", 0) else "floored_remainder"
    return graph.elementwise(f"{kind}({{0}}, {{1}})", *(graph.place(n) for n in node.input))


@handles("Gelu")
def _gelu(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    kind = attributes(node).get("approximate", b"none")
    return graph.elementwise(_GELU[kind], graph.place(node.input[0]))


@handles("IsInf")
def _is_infinite(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told = {"detect_positive": 1, "detect_negative": 1} | attributes(node)
    sides = [
        f"equal({{0}}, V({sign}INFINITY))"
        for sign, name in (("", "detect_positive"), ("-", "detect_negative"))
        if told[name]
    ]
    return graph.elementwise(" + ".join(sides) or "V()", graph.place(node.input[0]))


@handles("Identity", "Dropout")
def _same(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    return graph.place(node.input[0])


@handles("Cast")
def _cast(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, to, kind = graph.place(node.input[0]), attributes(node)["to"], graph.kind(node.input[0])
    if to not in (*_FLOATS, *_INTEGERS, TensorProto.BOOL):
        name = TensorProto.DataType.Name(to)
        raise graph.unsupported(f"no {name}: it knows float32, bool, int32 and int64")
    if to == TensorProto.BOOL and kind != TensorProto.BOOL:
        return graph.elementwise("unequal({0}, V())", x)
    if to in _INTEGERS and kind not in (*_INTEGERS, TensorProto.BOOL):
        return graph.elementwise("truncated({0})", x)
    return x


@handles("Where")
def _where(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    return graph.elementwise("chosen({0}, {1}, {2})", *(graph.place(n) for n in node.input))


@handles("Clip")
def _clip(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    for name, kind in zip(node.input[1:], ("larger", "smaller"), strict=False):
        if name:
            x = graph.elementwise(f"{kind}({{0}}, {{1}})", x, graph.place(name))
    return x


@handles("Pow")
def _power(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, exponent = graph.place(node.input[0]), graph.constant(node.input[1])
    if exponent is not None and exponent.size == 1 and exponent.item() in _POWERS:
        wide = graph.broadcast(x.shape, exponent.shape)
        if wide == x.shape:
            return graph.elementwise(_POWERS[exponent.item()], x)
    return graph.elementwise("power({0}, {1})", x, graph.place(node.input[1]))


@handles("BatchNormalization")
def _batch_normalization(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    values = [graph.constant(name) for name in node.input[1:]]
    scale, bias, mean, variance = (None if v is None else v.astype(np.float64) for v in values)
    if scale is None or bias is None or mean is None or variance is None:
        raise graph.unsupported("its statistics are no constants")
    if told.get("training_mode", 0):
        raise graph.unsupported("it is in training mode: export an evaluated module")
    slope = scale / np.sqrt(variance + told.get("epsilon", 1e-5))
    alike = [v.reshape(-1, *[1] * (x.index.ndim - 2)) for v in (mean, slope, bias)]
    return graph.elementwise("({0} - {1}) * {2} + {3}", x, *map(graph.literal, alike))

"""The neutral graph as a Keras model of HGQ2 layers."""

from triggerforge.compression import (  # noqa: F401 (they register)
    keras_elementwise,
    keras_products,
    keras_shapes,
)
from triggerforge.compression.backend import keras
from triggerforge.compression.graph import Graph
from triggerforge.compression.keras_layers import WRITERS, Model, Value, arranged
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract


def write_keras(
    graph: Graph, contract: InputContract, scheme: QuantizationScheme | None
) -> keras.Model:
    """A Keras model (N, *contract.shape) → (N, outputs) of HGQ2 layers with the graph's weights."""
    model = Model(contract, scheme)
    values: dict[str, Value] = {}
    for layer in graph:
        values[layer.name] = WRITERS[layer.op](model, layer, [values[i] for i in layer.inputs])
    output = arranged(model, values[graph.output])
    entry = values[next(iter(graph)).name]
    return keras.Model(entry.tensor, output.tensor, name="network")

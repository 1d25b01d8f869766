"""From a trained torch module to its HGQ2 twin: read, fold, write (docs/lowering.md)."""

from torch import nn

from triggerforge.compression.agreement import require_agreement
from triggerforge.compression.backend import keras
from triggerforge.compression.folding import fold
from triggerforge.compression.graph import Graph
from triggerforge.compression.keras_writer import write_keras
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.torch_reader import read_torch
from triggerforge.data.contract import InputContract


def lower(
    module: nn.Module, contract: InputContract, quantization: QuantizationScheme | None = None
) -> keras.Model:
    """The Keras model of HGQ2 layers, (N, *contract.shape) → (N, outputs), with the same weights.

    Without `quantization` the quantisers are disabled, and the model agrees with the module in
    eval mode to float32 rounding. With it, every weight and activation has the scheme's quantiser;
    where the activations' overflow is WRAP, call `hgq.utils.trace_minmax` on typical inputs before
    use. A module that is called twice becomes two layers with weights of their own. The module is
    left as it was.

    Raises UnsupportedOperationError for an operation without a fixed-point form (the module's path,
    the operation, the nearest supported form), LoweringError where the twin's numbers are not the
    module's, ModelError where the module cannot be traced or does not fit the contract.
    """
    graph, twin = checked_graph(module, contract)
    return twin if quantization is None else write_keras(graph, contract, quantization)


def checked_graph(module: nn.Module, contract: InputContract) -> tuple[Graph, keras.Model]:
    """The folded graph of `module`, and the Keras model without quantisers that proves it right.

    Raises what `lower` raises.
    """
    graph = fold(read_torch(module, contract))
    twin = write_keras(graph, contract, None)
    require_agreement(module, twin, contract)
    return graph, twin

"""What a quantised Keras model costs: EBOPs, and the bits of every layer.

EBOPs, "effective bit operations", are the sum over all products of the bits of both factors, plus
those of the sums; after place and route they foretell LUT + 55 DSP (HGQ, arXiv 2405.00645).
A layer of tables has no products: HGQ2 counts for each the LUTs with six inputs that it takes,
2^(n - 6) for an output bit of a table with n input bits where n is 5 or more, and those of the sum of
the outputs (`QDenseT._compute_ebops`). Both are LUTs, so they add up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.layer_tree import operations
from triggerforge.compression.model_hdf5 import first_line
from triggerforge.errors import ModelError


def ebops(model: keras.Model) -> float:
    """EBOPs of `model` with the bits that its quantisers have now; no data needed."""
    return float(sum(layer_ebops(layer) for _, layer in operations(model)))


def layer_ebops(layer: Any) -> int:
    """EBOPs of one layer; 0 where the layer has no quantisers.

    Raises ModelError, which names the layer, where its settings give no count (a factor of NaN or below 0).
    """
    if not getattr(layer, "enable_ebops", False):
        return 0
    try:
        total = _counted(layer)
    except Exception as error:  # of HGQ2 and JAX, by what a file says of the layer
        raise ModelError(
            f"layer {layer.name!r}: HGQ2 cannot count its EBOPs: {first_line(error)}"
        ) from error
    if total < 0:
        raise ModelError(f"layer {layer.name!r} has {total} EBOPs; its factors are below 0")
    return total


def _counted(layer: Any) -> int:
    inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    shapes = [(1, *tensor.shape[1:]) for tensor in inputs]
    total = int(layer._compute_ebops(*shapes) * layer.ebops_factor)
    if isinstance(layer, hgq.layers.QSoftmax):
        reduced = tuple(1 if a in layer.axes else s for a, s in enumerate(shapes[0]))
        for table, shape in ((layer.exp_table, shapes[0]), (layer.inv_table, reduced)):
            if table.enable_ebops:
                total += int(table._compute_ebops(shape))
    return total


def layer_bits(model: keras.Model) -> list[dict[str, Any]]:
    """One record a layer of `model`, JSON-able.

    `weights` and `nonzero_weights` count kernel and bias; `weight_bits_*` include the sign and
    count 0 for a weight that is zero; `weight_bits` counts weights by their bits;
    `activation_bits_*` are those of the layer's inputs, None where they are not quantised. A layer of
    tables has `tables`, `nonzero_tables` and `table_bits_*` of their outputs beside it.
    """
    return [
        layer_record(name, layer)
        for name, layer in operations(model)
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer)
    ]


def totals(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """What the records of `layer_bits` add up to: weights, their mean bits, the part that is zero."""
    weights = sum(layer["weights"] for layer in layers)
    nonzero = sum(layer["nonzero_weights"] for layer in layers)
    bits = sum(
        int(width) * count for layer in layers for width, count in layer["weight_bits"].items()
    )
    return {
        "weights": weights,
        "bits_mean": bits / max(weights, 1),
        "sparsity": 1 - nonzero / max(weights, 1),
    }


def layer_record(name: str, layer: Any) -> dict[str, Any]:
    """The record of one layer under that name, see `layer_bits`."""
    bits = weight_bits(layer)
    active = bits[bits > 0]
    record: dict[str, Any] = {
        "name": name,
        "kind": type(layer).__name__,
        "shape": [int(s) for s in layer.output.shape[1:]],
        "weights": int(bits.size),
        "nonzero_weights": int(active.size),
        "weight_bits_mean": float(bits.mean()) if bits.size else None,
        "weight_bits_max": int(bits.max()) if bits.size else None,
        "weight_bits": {
            str(int(b)): int(n) for b, n in zip(*np.unique(bits, return_counts=True), strict=True)
        },
    }
    if hasattr(layer, "toq"):
        record |= _tables(layer)
    inputs = activation_bits(layer)
    record["activation_bits_mean"] = float(inputs.mean()) if inputs.size else None
    record["activation_bits_max"] = int(inputs.max()) if inputs.size else None
    return record | {"ebops": layer_ebops(layer)}


def weight_bits(layer: Any) -> NDArray[np.float64]:
    """Bits (n,) of every weight and bias of `layer`, sign included; 0 where the value is zero."""
    found = [np.zeros(0)]
    for name, quantizer in (("qkernel", "kq"), ("qbias", "bq")):
        values = getattr(layer, name, None)
        if values is not None and getattr(layer, quantizer, None) is not None:
            array = np.asarray(values)
            width = _width(getattr(layer, quantizer), array.shape)
            found.append(np.where(array == 0, 0, width).ravel())
    return np.concatenate(found)


def activation_bits(layer: Any) -> NDArray[np.float64]:
    """Bits (n,) of every input of `layer`, sign included; empty where they are not quantised."""
    if not getattr(layer, "enable_iq", False):
        return np.zeros(0)
    inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    if hasattr(layer, "toq"):
        return _width(layer.iq, table_shape(layer, (1, *inputs[0].shape[1:]))).ravel()
    quantizers = [layer.iq] if len(inputs) == 1 and not _many(layer.iq) else list(layer.iq)
    pairs = zip(quantizers, inputs, strict=True)
    return np.concatenate([_width(q, (1, *t.shape[1:])).ravel() for q, t in pairs])


def _tables(layer: Any) -> dict[str, Any]:
    """Of a layer of tables: how many give anything at all, and the bits of what they give."""
    bits = _width(layer.toq, table_shape(layer, (1, *layer.input.shape[1:])))
    used = bits[bits > 0]
    return {
        "tables": int(bits.size),
        "nonzero_tables": int(used.size),
        "table_bits_mean": float(used.mean()) if used.size else 0.0,
        "table_bits_max": int(bits.max(initial=0)),
    }


def table_shape(layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (1, …) in which a layer of tables for inputs of `shape` holds one table for each entry."""
    if isinstance(layer, hgq.layers.QEinsumDenseT):
        return tuple(1 if size is None else size for size in layer._bcast[1])
    if isinstance(layer, hgq.layers.QConvT1D | hgq.layers.QConvT2D):
        return (*layer.output_shape[:-1], layer.n_in, layer.n_out)
    return (*shape, layer.n_out)


def _many(quantizer: Any) -> bool:
    return hasattr(quantizer, "quantizers")


def _width(quantizer: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if getattr(quantizer.quantizer, "__dummy__", False):
        return np.zeros(shape)
    k, i, f = (np.asarray(v, np.float64) for v in quantizer.quantizer.kif)
    return np.broadcast_to(np.where(i + f > 0, k + i + f, 0), shape)

"""Whether the twin without quantisers gives the torch module's numbers.

An operation that was read wrongly (a tensor changed in place and read under another name, a hook, a
constant that depends on the number of events) would otherwise train on as another network.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triggerforge.compression.backend import keras
from triggerforge.compression.evaluation import evaluation_mode
from triggerforge.data.contract import InputContract
from triggerforge.errors import LoweringError

Outputs = NDArray[np.float32]
_EVENTS = 64
_TOLERANCE = 1e-4  # of an output's largest value; float32 sums in another order stay below 1e-5
_MAGNIFIED = 100
_ROUNDING = 2.0**-23


def require_agreement(module: nn.Module, twin: keras.Model, contract: InputContract) -> None:
    """Raises LoweringError if `twin` and `module` differ by more than float32 rounding.

    Both are given 64 events of normal numbers on the contract's grid, then 64 from anywhere in its
    range. Each output is judged by its own size, in each half: a small one next to a large one counts
    as much. Where the module magnifies a change of its inputs by one rounding, that much is allowed.
    """
    for x in _samples(contract):
        expected = _outputs(module, x)
        _compare(type(module).__name__, expected, _outputs(module, _nudged(x)), np.asarray(twin(x)))


def _compare(name: str, expected: Outputs, near: Outputs, got: Outputs) -> None:
    """`near` are the module's outputs for inputs that differ by one rounding."""
    if got.shape != expected.shape:
        raise LoweringError(
            f"{name} gives outputs of shape {expected.shape} for {_EVENTS} events, its lowered form "
            f"{got.shape}; {_ADVICE}"
        )
    usable = (np.isfinite(expected) & np.isfinite(near)).reshape(len(expected), -1).all(axis=1)
    if not usable.any():
        raise LoweringError(
            f"{name} gives NaN or inf for all inputs tried; scale its inputs or mend its weights"
        )
    expected, near, got = expected[usable], near[usable], got[usable]
    noise = np.abs(near - expected).max(axis=0)
    allowed = _TOLERANCE * np.abs(expected).max(axis=0) + _MAGNIFIED * noise
    excess = np.abs(got - expected).max(axis=0) - allowed
    if not (excess <= 0).all():
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        raise LoweringError(
            f"output {', '.join(map(str, worst))} of {name}, lowered, differs from torch by up to "
            f"{np.abs(got - expected).max(axis=0)[worst]:.3g}, where float32 rounding explains "
            f"{allowed[worst]:.3g}; {_ADVICE}"
        )


_ADVICE = (
    "write the module without tensors that are changed in place and read again, without hooks, and "
    "without arithmetic on the number of events, from the operations in docs/lowering.md"
)


def _outputs(module: nn.Module, x: NDArray[np.float32]) -> Outputs:
    parameter = next(module.parameters(), None)
    device = "cpu" if parameter is None else parameter.device
    with evaluation_mode(module), torch.no_grad():
        # a copy: the module may change its input in place
        outputs: Outputs = module(torch.tensor(x, device=device)).cpu().numpy()
    return outputs


def _samples(contract: InputContract) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(1)
    low, high = np.array([feature.format.range for feature in contract.features]).T
    size = (_EVENTS, *contract.shape)
    samples = random.normal(0.0, 1.5, size), random.uniform(low, high, size)
    return [contract.quantize(x) for x in samples]


def _nudged(x: NDArray[np.float32]) -> NDArray[np.float32]:
    signs = np.random.default_rng(2).choice([-1.0, 1.0], x.shape)
    return (x * (1 + _ROUNDING * signs)).astype(np.float32)

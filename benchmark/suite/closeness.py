"""Whether an engine gives torch's numbers, before anything of it is timed."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from triggerforge.export.runtime import Runtime
from triggerforge.training.trained import TrainedModel

TOLERANCE = 1e-5
"""largest difference from torch in float64, in units of the largest output"""
EVENTS = 203
"""several blocks of events and a rest, whatever the width of the registers"""
_SIZES = (1, EVENTS)


@dataclass(frozen=True)
class Closeness:
    """How far an engine is from torch in float64."""

    error: float | None
    """largest difference in units of the largest output; None where there is no such number"""
    wrong: str = ""
    """why the engine is not timed; empty if it is right"""


def reference(trained: TrainedModel, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Outputs (N, outputs) of the module in float64 for x (N, *shape)."""
    module = copy.deepcopy(trained.module).cpu().double().eval()
    with torch.inference_mode():
        outputs: NDArray[np.float64] = module(torch.from_numpy(x).double()).numpy()
    return outputs


def check_all(
    engines: Mapping[str, Runtime], x: NDArray[np.float32], expected: NDArray[np.float64]
) -> dict[str, Closeness]:
    """Every engine's closeness on x (EVENTS, *shape), in both modes, one event and many."""
    return {name: closeness(engine, x, expected) for name, engine in engines.items()}


def closeness(engine: Runtime, x: NDArray[np.float32], expected: NDArray[np.float64]) -> Closeness:
    """The largest of the errors of `predict` and of bound calls, for one event and for all of x."""
    error = 0.0
    for size in _SIZES:
        try:
            answers = {
                "copy": np.asarray(engine.predict(x[:size])),
                "bound": _bound(engine, x[:size]),
            }
        except Exception as problem:  # noqa: BLE001  others' engines may raise anything: go on
            return Closeness(None, f"{type(problem).__name__}: {problem}".splitlines()[0])
        for mode, got in answers.items():
            want = expected[:size]
            if got.shape != want.shape:
                return Closeness(None, f"{mode}: outputs {got.shape} instead of {want.shape}")
            if not np.isfinite(got).all():
                return Closeness(None, f"{mode}: outputs that are not finite")
            error = max(error, float(np.abs(got - want).max() / np.abs(expected).max()))
    if error > TOLERANCE:
        return Closeness(error, f"differs from torch in float64; allowed is {TOLERANCE:g}")
    return Closeness(error)


def _bound(engine: Runtime, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Outputs of a bound call whose inputs come after it was bound, as they do in the hot loop."""
    place = np.zeros_like(x)
    y = np.empty_like(engine.predict(place))
    call = engine.bind(place, y)
    y[:] = np.nan
    place[:] = x
    call()
    return np.asarray(y, np.float64)

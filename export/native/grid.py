"""The grid of a network's inputs in its Python module, which computes only on what lies on it."""

import numpy as np

from triggerforge.data.contract import InputContract

_PERIOD = 64
_PLACES = ("grid_scales", "grid_steps", "grid_lows", "grid_highs")
NO_GRID = {"has_grid": "false", "grid_period": "1"} | dict.fromkeys(_PLACES, "0")
"""for a network whose inputs are any floats"""


def grid_values(contract: InputContract) -> dict[str, str]:
    """What the template holds of the contract: for each input steps in 1, the step, first and last step.

    The inputs of several events where they are few, so that a loop over them fills the registers.
    """
    inputs = int(np.prod(contract.shape))
    repeats = inputs // len(contract.features) * max(1, _PERIOD // inputs)
    formats = [feature.format for feature in contract.features] * repeats
    columns = (
        [2.0**fmt.fraction for fmt in formats],
        [fmt.lsb for fmt in formats],
        *zip(*(fmt.integer_range for fmt in formats), strict=True),
    )
    texts = (", ".join(f"{float(value)!r}f" for value in column) for column in columns)
    return {"has_grid": "true", "grid_period": str(len(formats))} | dict(
        zip(_PLACES, texts, strict=True)
    )

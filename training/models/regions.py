"""What networks on maps of calorimeter regions share."""

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.training.models.blocks import describe


def require_map(contract: InputContract, model: str) -> tuple[int, int, int]:
    """(height, width, channels), both sides even; raises ModelError for anything else."""
    shape = contract.shape
    if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
        raise ModelError(
            f"{model} needs maps of shape (height, width, channels) with even sides; the contract's "
            f"inputs {describe(contract)} have shape {shape}: choose l1_regions as input in `data`, "
            "or another model"
        )
    return shape[0], shape[1], shape[2]

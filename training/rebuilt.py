"""Whether a network that is built again from its record computes what the first one does.

Later stages read weights from a file into a network that they build anew. What its constructor draws and
keeps in a plain attribute is another number then, and all that follows is another network.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError

_EVENTS = 16
_OTHER_SEED = 20_260_101


def require_rebuilt(
    module: nn.Module, build: Callable[[], nn.Module], contract: InputContract, name: str
) -> None:
    """Raises ModelError unless what `build` gives, with the state of `module`, gives its numbers.

    Both are in eval mode, on the CPU. The state of all random generators is as before.
    """
    with _other_seed():
        other = build()
        x = torch.randn(_EVENTS, *contract.shape)
    try:
        other.load_state_dict(module.state_dict())
    except (RuntimeError, TypeError) as error:
        told = " ".join(str(error).split())
        raise ModelError(
            f"model {name!r}, built a second time, does not take its own weights: {told}; its "
            "constructor must make the same layers each time"
        ) from error
    with torch.no_grad():
        mine, again = module(x), other(x)
    if not torch.equal(torch.nan_to_num(mine), torch.nan_to_num(again)):
        raise ModelError(
            f"model {name!r}, built a second time with the same weights, gives other outputs (by up to "
            f"{float((mine - again).abs().max()):.3g}): it draws numbers that its state_dict lacks; keep "
            "them with register_buffer, or as an nn.Parameter, and draw none in forward"
        )


@contextmanager
def _other_seed() -> Iterator[None]:
    """For a while the generators of torch, numpy and Python are in another state."""
    kept = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_OTHER_SEED)
        np.random.seed(_OTHER_SEED)
        random.seed(_OTHER_SEED)
        try:
            yield
        finally:
            np.random.set_state(kept[0])
            random.setstate(kept[1])

"""How much arithmetic one answer takes."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from triggerforge.data.contract import InputContract

_EVENTS = 2  # torch takes an axis of length 1 for one to broadcast


def multiplications(module: nn.Module, contract: InputContract) -> int:
    """Multiply-adds of linear layers, convolutions and matrix products for one event.

    Counted by torch, which takes a multiply-add for two operations; elementwise arithmetic is left out.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(torch.zeros((_EVENTS, *contract.shape)))
    return int(counter.get_total_flops()) // (2 * _EVENTS)

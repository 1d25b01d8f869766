"""What changes from epoch to epoch: weight of the EBOPs, learning rate, pruned fraction.

Each is a pure function of the configuration and the epoch, so that a resumed training repeats it.
"""

import math

from triggerforge.config.compress import CompressConfig


def beta(config: CompressConfig, epoch: int) -> float:
    """Weight of the EBOPs in the loss: constant during the warm-up, then rising exponentially."""
    part = _part(epoch, config.epochs)
    ramp = max(0.0, part - config.warmup) / (1 - config.warmup)
    return float(config.beta_start * (config.beta_end / config.beta_start) ** ramp)


def learning_rate(config: CompressConfig, epoch: int) -> float:
    """Cosine from `lr` to `lr_end` in each cycle (SGDR, Loshchilov & Hutter, arXiv 1608.03983)."""
    part = _part(epoch, config.epochs) * config.cycles
    within = 1.0 if part >= config.cycles else part % 1.0
    return config.lr_end + (config.lr - config.lr_end) * (1 + math.cos(math.pi * within)) / 2


def pruned_fraction(config: CompressConfig, epoch: int) -> float:
    """Fraction of a layer's weights that are 0: cubic rise (Zhu & Gupta, arXiv 1710.01878, eq. 1)."""
    pruning = config.pruning
    if pruning.method != "magnitude":
        return 0.0
    part = _part(epoch, config.epochs)
    if part >= pruning.end:
        return pruning.fraction
    ramp = max(0.0, part - pruning.start) / (pruning.end - pruning.start)
    return pruning.fraction * (1 - (1 - ramp) ** 3)


def _part(epoch: int, epochs: int) -> float:
    """How much of the training lies behind: 0 in the first epoch, 1 in the last."""
    return epoch / (epochs - 1) if epochs > 1 else 1.0

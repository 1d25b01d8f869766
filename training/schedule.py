"""Learning rate as a pure function of the step: nothing to store in a checkpoint."""

from math import cos, pi

from triggerforge.config.train import TrainConfig

_CYCLE_RISE, _CYCLE_START, _CYCLE_END = 0.3, 1 / 25, 1e-5


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of step `step` in 0..steps-1, at most `config.lr`.

    onecycle rises for 30 % of the steps and falls for the rest, both as a half cosine (Smith and
    Topin, arXiv 1708.07120); cosine is Loshchilov and Hutter's (1608.03983) without restarts.
    """
    if config.schedule == "onecycle":
        return config.lr * _one_cycle(step, steps)
    rising = round(config.warmup * steps)
    if step < rising:
        return config.lr * (step + 1) / rising
    if config.schedule == "constant":
        return config.lr
    return config.lr * _half_cosine(step - rising, steps - rising)


def _half_cosine(step: int, steps: int) -> float:
    """From 1 at the first step towards 0 behind the last one."""
    return 0.5 * (1 + cos(pi * step / steps))


def _one_cycle(step: int, steps: int) -> float:
    peak = max(1, round(_CYCLE_RISE * steps))
    if step < peak:
        return 1 - (1 - _CYCLE_START) * _half_cosine(step, peak)
    return _CYCLE_END + (1 - _CYCLE_END) * _half_cosine(step - peak, max(1, steps - peak))

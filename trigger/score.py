"""One score an event, out of a network's outputs: the model, its test events, its grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.dataset import Dataset, of_classes
from triggerforge.errors import ConfigError, did_you_mean
from triggerforge.fixedpoint import FixedFormat
from triggerforge.trigger.curve import RateCurve, require_scores
from triggerforge.trigger.grid import difference, require_on_grid, saturating
from triggerforge.trigger.intervals import Array


@dataclass(frozen=True)
class Scored:
    """The scores of one model on the first M test events."""

    model: str
    """"float", "quantized" or "firmware" """
    score: Array
    """(M,)"""
    test: Dataset
    """those M events"""
    config: TriggerConfig
    grid: FixedFormat | None = None
    """the score's fixed-point format; None for a float model"""

    def chosen(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Where the M events are of one of the classes."""
        return of_classes(self.test.y, self.test.classes, classes)

    @property
    def background(self) -> NDArray[np.bool_]:
        """Where the M events are background."""
        return self.chosen(self.config.background)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the classes that are signals."""
        return signals(self.config, self.test.classes)

    @cached_property
    def curve(self) -> RateCurve:
        """Rates of the background."""
        kept = self.background
        return RateCurve(
            self.score[kept],
            self.test.weight[kept],
            self.config.colliding_bunches,
            self.config.interval,
        )


def scored(
    model: str,
    logits: NDArray[Any],
    test: Dataset,
    config: TriggerConfig,
    formats: Sequence[FixedFormat] | None,
) -> Scored:
    """The scores of `logits` (M, outputs), of the first M events of `test`.

    `formats`: those of the outputs in firmware, None for a float model. Raises ConfigError for an
    unknown class or output, DataError if the background is empty, if scores or weights cannot be
    used, or if firmware scores are not on their grid.
    """
    part = test.take(slice(0, len(logits)))
    for name in config.background + config.signals:
        if name not in test.classes:
            raise ConfigError(f"trigger: no class {name!r}; {did_you_mean(name, test.classes)}")
    score, grid = _score(np.asarray(logits, np.float64), config, test.classes, formats)
    found = Scored(model, score, part, config, grid)
    require_scores(score, part.weight, f"{model} model")
    if grid is not None:
        require_on_grid(score, grid, model)
    kept = found.background
    what = f"background {list(config.background)} of the {model} model"
    require_scores(score[kept], part.weight[kept], what)
    return found


def signals(config: TriggerConfig, classes: Sequence[str]) -> tuple[str, ...]:
    """The configuration's signals; where it names none, all classes that are no background."""
    named = config.signals or classes
    return tuple(name for name in named if name not in config.background)


def _score(
    logits: Array,
    config: TriggerConfig,
    classes: Sequence[str],
    formats: Sequence[FixedFormat] | None,
) -> tuple[Array, FixedFormat | None]:
    outputs = logits.shape[1]
    plus = _output(config.score.output, outputs, classes)
    grid = saturating(formats[plus]) if formats else None
    if config.score.minus is None:
        return logits[:, plus], grid
    minus = _output(config.score.minus, outputs, classes)
    both = difference(formats[plus], formats[minus]) if formats else None
    return logits[:, plus] - logits[:, minus], both


def _output(name: str | int | None, outputs: int, classes: Sequence[str]) -> int:
    """The number of the output that `name` stands for."""
    named = {c: i for i, c in enumerate(classes)} if len(classes) == outputs else {}
    known = [*named, *map(str, range(outputs))]
    if name is None:
        if outputs == 1:
            return 0
        raise ConfigError(
            f"the network has {outputs} outputs; say in trigger.score.output which is the score; "
            f"known: {', '.join(known)}"
        )
    if name in named:
        return named[str(name)]
    if str(name).isdecimal() and int(name) < outputs:
        return int(name)
    raise ConfigError(f"trigger.score: no output {name!r}; {did_you_mean(str(name), known)}")

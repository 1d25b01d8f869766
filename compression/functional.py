"""A Keras HGQ2 model as pure functions on arrays, compiled whole: an epoch, an evaluation.

Keras' own `fit` returns to Python after each batch; here a whole epoch is one `lax.scan` over
batches that lie on the device, and all that it changes is in a `State` that a checkpoint can hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras

_UNTRACED = -1e9
"""integer bits before the calibration has seen an event, as in hgq.utils.minmax_trace"""


class State(NamedTuple):
    """All that training changes. Arrays in the order of the Keras model's lists of variables."""

    trainable: list[Array]
    rest: list[Array]
    """neither trained nor derived: integer bits of WRAP quantisers, EBOPs, beta"""
    optimizer: list[Array]
    masks: list[Array]
    """for each trainable variable 1 or, where magnitude pruning has taken a weight, 0"""


class Events(NamedTuple):
    """Events on the device. N events, O outputs."""

    x: Array
    """(N, *shape) on the contract's grid"""
    y: Array
    """(N,) labels"""
    weight: Array
    """(N,), 1 on average"""
    teacher: Array
    """(N, O) outputs of the float model"""


class Loss(Protocol):
    """What training makes small, beside the EBOPs."""

    def __call__(self, outputs: Array, events: Events) -> Array:
        """Mean over the events; `outputs` (N, O)."""


@dataclass(frozen=True)
class ClassLoss:
    """Cross entropy with the label and with the teacher (Hinton et al., arXiv 1503.02531)."""

    distill: float
    """part of the teacher, 0..1"""
    temperature: float

    def __call__(self, outputs: Array, events: Events) -> Array:
        """See Loss; the outputs are logits."""
        log_p = jax.nn.log_softmax(outputs)
        truth = -jnp.take_along_axis(log_p, events.y[:, None], axis=1)[:, 0]
        soft_log_p = jax.nn.log_softmax(outputs / self.temperature)
        soft_label = jax.nn.softmax(events.teacher / self.temperature)
        # T^2 keeps the gradient's size as T changes
        soft = -jnp.sum(soft_label * soft_log_p, axis=1) * self.temperature**2
        total = (1 - self.distill) * truth + self.distill * soft
        return jnp.mean(total * events.weight)


class FunctionalModel:
    """`model` and an Adam optimiser, without their state."""

    def __init__(self, model: keras.Model, loss: Loss, batch_size: int) -> None:
        self.model = model
        self.loss = loss
        self.batch_size = batch_size
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build(model.trainable_variables)
        variables = self._optimizer.variables
        self._rate_index = _positions(variables, [self._optimizer._learning_rate])[0]
        rest = model.non_trainable_variables
        layers = {id(layer): layer for layer in model._flatten_layers()}.values()
        self._betas = _positions(rest, (getattr(x, "_beta", None) for x in layers))
        self._ebops = _positions(rest, (getattr(x, "_ebops", None) for x in layers))
        wrapping = [x for x in layers if hasattr(x, "_i_decay_speed") and x.trainable]
        self._integers = _positions(rest, (x._i for x in wrapping))
        self._signs = _positions(rest, (x._k for x in wrapping))
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self._traced = jax.jit(self._trace)
        self._predicted = jax.jit(self._predict)

    def initial(self) -> State:
        """The state in which the model is now, with a fresh optimiser and nothing pruned."""
        trainable = [jnp.array(v.value) for v in self.model.trainable_variables]
        return State(
            trainable=trainable,
            rest=[jnp.array(v.value) for v in self.model.non_trainable_variables],
            optimizer=[jnp.array(v.value) for v in self._optimizer.variables],
            masks=[jnp.ones_like(v) for v in trainable],
        )

    def assign(self, trainable: Sequence[Any], rest: Sequence[Any]) -> None:
        """Writes arrays back into the Keras model: copies, because its `predict` donates what it holds."""
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        for variable, value in zip(variables, [*trainable, *rest], strict=True):
            variable.assign(np.array(value))

    def calibrate(self, state: State, x: Array) -> tuple[list[Array], float]:
        """The state's `rest` with the integer bits that all of `x` (N, *shape) needs, and the EBOPs.

        The same as hgq.utils.trace_minmax, compiled.
        """
        rest = self._traced(state.trainable, state.rest, x)
        return rest, float(sum(int(rest[i]) for i in self._ebops))

    def predict(self, trainable: list[Array], rest: list[Array], x: Array) -> NDArray[np.float32]:
        """Logits (N, C) of `x` (N, *shape)."""
        logits: NDArray[np.float32] = np.asarray(self._predicted(trainable, rest, x))
        return logits

    def _epoch(
        self, state: State, events: Events, key: Array, rate: Array, beta: Array
    ) -> tuple[State, Array]:
        """One pass over `events` in an order that `key` gives; the state after, the mean loss."""
        batch = min(self.batch_size, len(events.y))
        steps = len(events.y) // batch
        order = jax.random.permutation(key, len(events.y))[: steps * batch].reshape(steps, batch)
        optimizer = list(state.optimizer)
        optimizer[self._rate_index] = rate
        rest = _put(state.rest, self._betas, beta)
        start = State(state.trainable, rest, optimizer, state.masks)
        state, losses = jax.lax.scan(partial(self._step, events), start, order)
        return state, jnp.mean(losses)

    def _step(self, events: Events, state: State, index: Array) -> tuple[State, Array]:
        batch = Events(*(column[index] for column in events))
        value = jax.value_and_grad(self._objective, has_aux=True)
        (loss, rest), gradient = value(state.trainable, state.rest, batch)
        trainable, optimizer = self._optimizer.stateless_apply(
            state.optimizer, gradient, state.trainable
        )
        kept = [v * m for v, m in zip(trainable, state.masks, strict=True)]
        return State(kept, rest, optimizer, state.masks), loss

    def _objective(
        self, trainable: list[Array], rest: list[Array], batch: Events
    ) -> tuple[Array, list[Array]]:
        logits, rest, penalties = self.model.stateless_call(
            trainable, rest, batch.x, training=True, return_losses=True
        )
        return self.loss(logits, batch) + sum(penalties), rest

    def _trace(self, trainable: list[Array], rest: list[Array], x: Array) -> list[Array]:
        flag = hgq.utils.minmax_trace.TrainingFlagWrapper("tracing")

        def look(rest: list[Array], index: Array) -> tuple[list[Array], None]:
            return self.model.stateless_call(trainable, rest, x[index], training=flag)[1], None

        rest = _put(rest, self._integers, _UNTRACED)
        rest = _put(rest, self._signs, 0)
        traced: list[Array] = jax.lax.scan(look, rest, self._slices(len(x)))[0]
        return traced

    def _predict(self, trainable: list[Array], rest: list[Array], x: Array) -> Array:
        def look(_: None, index: Array) -> tuple[None, Array]:
            return None, self.model.stateless_call(trainable, rest, x[index], training=False)[0]

        logits: Array = jax.lax.scan(look, None, self._slices(len(x)))[1]
        return logits.reshape(-1, logits.shape[-1])[: len(x)]

    def _slices(self, events: int) -> Array:
        """Indices (batches, batch) in order; the last event fills up the last batch."""
        batch = min(self.batch_size, events)
        batches = -(-events // batch)
        return jnp.minimum(jnp.arange(batches * batch), events - 1).reshape(batches, batch)


def _positions(variables: Sequence[Any], wanted: Iterator[Any] | Sequence[Any]) -> list[int]:
    """Where in `variables` those of `wanted` stand that are there."""
    place = {id(variable): i for i, variable in enumerate(variables)}
    return [place[id(v)] for v in wanted if v is not None and id(v) in place]


def _put(values: Sequence[Array], places: Sequence[int], value: Any) -> list[Array]:
    """`values` with those at `places` filled with `value`."""
    out = list(values)
    for place in places:
        out[place] = jnp.full_like(out[place], value)
    return out

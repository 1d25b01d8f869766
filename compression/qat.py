"""Quantisation-aware training (HGQ, arXiv 2405.00645): weights and their bits, trained together.

EBOPs are part of the loss with a weight that rises, so that one training walks along the Pareto
front of accuracy and size. Every epoch is calibrated and evaluated as the hardware would run it;
those on the front are kept on disk. A killed training goes on from its last checkpoint, to the
same bits.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from triggerforge.compression import checkpoint, magnitude, pareto, schedule
from triggerforge.compression.backend import keras
from triggerforge.compression.bitmap import ebops
from triggerforge.compression.functional import FunctionalModel, State
from triggerforge.compression.goal import Goal
from triggerforge.compression.pareto import Candidate
from triggerforge.config.compress import CompressConfig
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.progress import progress

CHECKPOINT_FILE = "qat.npz"
FRONT_FOLDER = "front"
_CHECKPOINT_EVERY_S = 5.0


@dataclass(frozen=True)
class Progress:
    """How far the training is: all that a checkpoint holds beside the arrays of `State`."""

    epochs: int = 0
    """epochs done"""
    front: tuple[Candidate, ...] = ()
    history: tuple[dict[str, float], ...] = ()
    """for each epoch: loss, beta, learning rate; accuracy and EBOPs where it was evaluated"""
    seconds: float = 0.0


class Trainer:
    """Trains `model` in place in `folder`; use `fit`, then `restore` a member of the front."""

    def __init__(
        self,
        model: keras.Model,
        config: CompressConfig,
        goal: Goal,
        seed: int,
        folder: Path,
        checkpoint_every_s: float = _CHECKPOINT_EVERY_S,
    ) -> None:
        self.config = config
        self.folder = folder
        self.checkpoint_every_s = checkpoint_every_s
        self._model = FunctionalModel(model, goal.loss, config.batch_size)
        self._events = goal.train.on_device()
        self._measure, self._measured = goal.measure, goal.measured
        self._validation_x = jnp.asarray(goal.validation.x, jnp.float32)
        self._calibration_x = jnp.concatenate([self._events.x, self._validation_x])
        self._key = jax.random.key(seed)
        self._kernels = magnitude.kernels(model)
        self._ebops_at_start = max(ebops(model), 1.0)
        self._unsaved: dict[int, list[NDArray[Any]]] = {}

    @contextmanager
    def calibrated(self) -> Iterator[None]:
        """For a while the Keras model is as hardware would run it, were it not trained any more."""
        now = self._model.initial()
        rest, _ = self._model.calibrate(now, self._calibration_x)
        # copies: Keras' own `predict` takes over the memory of the model's variables
        kept = [[np.array(v) for v in group] for group in (now.trainable, now.rest)]
        self._model.assign(now.trainable, rest)
        try:
            yield
        finally:
            self._model.assign(*kept)

    def fit(self) -> Progress:
        """Trains for `config.epochs`, from the checkpoint if `folder` holds one.

        Raises ModelError if the loss is no longer finite, ArtifactError if the checkpoint is
        damaged or another model's.
        """
        (self.folder / FRONT_FOLDER).mkdir(parents=True, exist_ok=True)
        state, done = self._resume()
        start = saved = time.monotonic()
        before = done.seconds
        with progress("quantisation-aware training", self.config.epochs) as meter:
            for epoch in range(done.epochs, self.config.epochs):
                state, done = self._one_epoch(state, done, epoch)
                now = time.monotonic()
                done = replace(done, seconds=before + now - start)
                meter(done.epochs, _note(done.history[-1], self._measured))
                if now - saved >= self.checkpoint_every_s or done.epochs == self.config.epochs:
                    self._save(state, done)
                    saved = time.monotonic()
        return done

    def restore(self, member: Candidate) -> None:
        """Gives the Keras model the weights and bits of a member of the front."""
        _, groups = checkpoint.load(self._front_file(member.epoch))
        self._model.assign(groups["trainable"], groups["rest"])

    def _one_epoch(self, state: State, done: Progress, epoch: int) -> tuple[State, Progress]:
        config = self.config
        rate, beta = schedule.learning_rate(config, epoch), schedule.beta(config, epoch)
        scaled_beta = jnp.float32(beta / self._ebops_at_start)
        fraction = schedule.pruned_fraction(config, epoch)
        state = state._replace(masks=self._kernels.masks(state, fraction))
        key = jax.random.fold_in(self._key, epoch)
        state, loss = self._model.epoch(state, self._events, key, jnp.float32(rate), scaled_beta)
        row = {"epoch": epoch, "loss": float(loss), "beta": beta, "lr": rate}
        if not math.isfinite(row["loss"]):
            raise ModelError(
                f"the loss of epoch {epoch} is {row['loss']}; lower compress.lr ({config.lr:g}) or "
                f"compress.beta_end ({config.beta_end:g})"
            )
        front = done.front
        if (epoch + 1) % config.evaluate_every == 0 or epoch + 1 == config.epochs:
            candidate = self._evaluate(state, epoch)
            row |= {"accuracy": candidate.accuracy, "ebops": candidate.ebops}
            front = self._enter(front, candidate)
        return state, replace(done, epochs=epoch + 1, front=front, history=(*done.history, row))

    def _evaluate(self, state: State, epoch: int) -> Candidate:
        """The measure and EBOPs as the hardware would have them, after calibration."""
        rest, ebops = self._model.calibrate(state, self._calibration_x)
        outputs = self._model.predict(state.trainable, rest, self._validation_x)
        # copies: the next epoch takes over the memory of these arrays
        self._unsaved[epoch] = [np.array(v) for v in (*state.trainable, *rest)]
        return Candidate(self._measure(outputs), ebops, epoch)

    def _enter(self, front: Sequence[Candidate], candidate: Candidate) -> tuple[Candidate, ...]:
        front = pareto.add(front, candidate)
        members = {c.epoch for c in front}
        self._unsaved = {e: arrays for e, arrays in self._unsaved.items() if e in members}
        return front

    def _save(self, state: State, done: Progress) -> None:
        """Front members first, then the checkpoint that names them; the dominated go last."""
        trainable = len(state.trainable)
        for epoch, arrays in self._unsaved.items():
            groups = {"trainable": arrays[:trainable], "rest": arrays[trainable:]}
            member = next(c for c in done.front if c.epoch == epoch)
            checkpoint.save(self._front_file(epoch), member.to_dict(), **groups)
        self._unsaved = {}
        record = {
            "epochs": done.epochs,
            "front": [c.to_dict() for c in done.front],
            "history": done.history,
            "seconds": done.seconds,
        }
        checkpoint.save(self.folder / CHECKPOINT_FILE, record, **state._asdict())
        kept = {self._front_file(c.epoch) for c in done.front}
        for path in (self.folder / FRONT_FOLDER).iterdir():
            if path not in kept:
                path.unlink()

    def _resume(self) -> tuple[State, Progress]:
        path = self.folder / CHECKPOINT_FILE
        fresh = self._model.initial()
        if not path.exists():
            return fresh, Progress()
        record, groups = checkpoint.load(path)
        state = State(**{k: [jnp.asarray(v) for v in groups[k]] for k in State._fields})
        if jax.tree.map(jnp.shape, state) != jax.tree.map(jnp.shape, fresh):
            raise ArtifactError(
                f"{path} is the checkpoint of another model; remove it and run the stage again"
            )
        done = Progress(
            epochs=record["epochs"],
            front=tuple(Candidate(**c) for c in record["front"]),
            history=tuple(record["history"]),
            seconds=record["seconds"],
        )
        return state, done

    def _front_file(self, epoch: int) -> Path:
        return self.folder / FRONT_FOLDER / f"epoch_{epoch:05d}.npz"


def _note(row: dict[str, float], measured: str) -> str:
    accuracy = f", {measured} {row['accuracy']:.4f}" if "accuracy" in row else ""
    ebops = f", {row['ebops']:.0f} EBOPs" if "ebops" in row else ""
    return f"loss {row['loss']:.4f}{accuracy}{ebops}"

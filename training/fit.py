"""The training loop: AdamW on the weighted losses of an objective, with resume and early stopping."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triggerforge.config.train import TrainConfig
from triggerforge.errors import ModelError
from triggerforge.progress import progress, say
from triggerforge.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from triggerforge.training.device import uses_bfloat16
from triggerforge.training.objectives import Objective
from triggerforge.training.schedule import learning_rate
from triggerforge.training.tensors import Tensors

_VALIDATION_BATCH = 8192


@dataclass
class Fit:
    """One training: its data, module and optimiser on one device."""

    config: TrainConfig
    seed: int
    device: torch.device
    module: nn.Module
    optimizer: torch.optim.Optimizer
    objective: Objective
    train: Tensors
    validation: Tensors

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        seed: int,
        device: torch.device,
        module: nn.Module,
        objective: Objective,
        events: tuple[Tensors, Tensors],
    ) -> "Fit":
        """Moves the module to the device, where `events` for training and validation lie."""
        module = module.to(device)
        return cls(config, seed, device, module, _adamw(module, config), objective, *events)

    def run(self, folder: Path, fingerprint: str) -> Progress:
        """Trains to the end, or goes on from the checkpoint in `folder`; leaves the best weights.

        Raises ModelError at the first epoch whose loss is not finite.
        """
        state = load_checkpoint(folder, fingerprint, self.module, self.optimizer, self.device)
        if state.epoch:
            say(f"training goes on after epoch {state.epoch} of {self.config.epochs}")
        with progress("training", self.config.epochs) as meter:
            while state.epoch < self.config.epochs and not state.stopped:
                self._epoch(state)
                save_checkpoint(
                    folder, fingerprint, state, self.module, self.optimizer, self.device
                )
                meter(state.epoch, _note(state))
        self.module.load_state_dict(state.best_state)
        self.module.eval()
        return state

    def _epoch(self, state: Progress) -> None:
        start = time.monotonic()
        train_loss, lr = self._train_epoch(state.epoch)
        loss, accuracy = self._validate()
        state.epoch += 1
        self._require_finite(state.epoch, train_loss, loss)
        state.history.append(
            {
                "epoch": state.epoch,
                "lr": lr,
                "train_loss": train_loss,
                "validation_loss": loss,
            }
            | ({} if accuracy is None else {"validation_accuracy": accuracy})
        )
        if loss < state.best_loss:
            state.best_loss, state.best_epoch = loss, state.epoch
            state.best_state = {
                k: v.detach().cpu().clone() for k, v in self.module.state_dict().items()
            }
        waited = state.epoch - state.best_epoch
        state.stopped = self.config.patience is not None and waited >= self.config.patience
        state.time_s += time.monotonic() - start

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """The mean training loss and the last learning rate of epoch 0, 1, …"""
        config = self.config
        self.module.train()
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.train))
        size = min(config.batch_size, len(self.train))
        per_epoch = -(-len(self.train) // size)
        total, lr = torch.zeros((), device=self.device), 0.0
        shuffled = torch.from_numpy(order).to(self.device)
        for i, batch in enumerate(self.train.batches(size, shuffled)):
            if len(batch) == 1:  # BatchNorm has no variance of one event
                continue
            lr = learning_rate(config, epoch * per_epoch + i, config.epochs * per_epoch)
            loss = self._step(batch, lr)
            total += loss * len(batch)
        return float(total) / len(self.train), lr

    def _step(self, batch: Tensors, lr: float) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._losses(batch)[0]
        loss = (losses * batch.weight).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.clip_gradient is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip_gradient)
        self.optimizer.step()
        return loss.detach()

    def _validate(self) -> tuple[float, float | None]:
        """Weighted mean loss on the validation events, and accuracy where the objective has one."""
        self.module.eval()
        loss = torch.zeros((), device=self.device, dtype=torch.float64)
        correct: Tensor | None = None
        with torch.no_grad():
            for batch in self.validation.batches(_VALIDATION_BATCH):
                losses, hits = self._losses(batch)
                loss = loss + (losses * batch.weight).sum(dtype=torch.float64)
                if hits is not None:
                    right = (hits * batch.weight).sum(dtype=torch.float64)
                    correct = right if correct is None else correct + right
        weight = float(self.validation.weight.sum(dtype=torch.float64))
        return float(loss) / weight, None if correct is None else float(correct) / weight

    def _losses(self, batch: Tensors) -> tuple[Tensor, Tensor | None]:
        half = uses_bfloat16(self.config, self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            return self.objective.losses(self.module, batch)

    def _require_finite(self, epoch: int, train_loss: float, validation_loss: float) -> None:
        if np.isfinite([train_loss, validation_loss]).all():
            return
        raise ModelError(
            f"the loss is not finite in epoch {epoch} (training {train_loss}, validation "
            f"{validation_loss}); lower train.lr (now {self.config.lr:g}), set train.clip_gradient "
            "to 1.0, or set train.mixed_precision to off"
        )


def _adamw(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 1711.05101); biases and normalisations are not decayed."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ModelError("the model has no parameters to train; give it some")
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, fused=True)


def _note(state: Progress) -> str:
    last = state.history[-1]
    accuracy = last.get("validation_accuracy")
    right = "" if accuracy is None else f"accuracy {accuracy:.4f} "
    return (
        f"loss {last['train_loss']:.4f} validation {last['validation_loss']:.4f} "
        f"{right}best epoch {state.best_epoch}"
    )

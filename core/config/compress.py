"""Configuration of the stage `compress`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from triggerforge.config.base import Config

MODEL_ENDINGS = (".keras", ".h5", ".hdf5", ".tfq")


class TargetConfig(Config):
    """Which member of the Pareto front is taken. Without either bound: a balance of the two."""

    max_ebops: float | None = Field(default=None, gt=0)
    """At most so many EBOPs; the most accurate such member is taken."""
    max_accuracy_loss: float | None = Field(default=None, ge=0, le=100)
    """Lose at most so many points (percent) of validation accuracy against the float model; the
    smallest such member is taken."""
    points_per_halving: float = Field(default=0.2, gt=0)
    """Without a bound: points (percent) of accuracy given up for half the EBOPs."""


class BitsConfig(Config):
    """Bits at the start of quantisation-aware training, and those of post-training quantisation."""

    weight: int = Field(default=6, ge=1, le=12)
    """Bits of a layer's largest weights and biases at the start, with the sign; its smaller weights
    have the same step, and so fewer bits."""
    fraction: int = Field(default=6, ge=0, le=12)
    """Bits below the binary point of every activation at the start; those above it are measured."""
    uniform: int = Field(default=8, ge=2, le=16)
    """Bits of every weight and activation under `method: ptq`."""


class PruningConfig(Config):
    """Pruning beside the one that quantisation does by itself (0 bits is a pruned weight)."""

    method: Literal["none", "magnitude", "structured"] = "none"
    """`magnitude` sets the smallest weights of each layer to 0 while training; `structured` takes
    whole neurons and channels out of the torch model before it is quantised."""
    fraction: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of each layer's weights (`magnitude`) or neurons (`structured`) that goes."""
    max_weights: int | None = Field(default=None, ge=1)
    """`structured`: take the smallest fraction that leaves at most so many weights and biases, in
    the place of `fraction`."""
    start: float = Field(default=0.0, ge=0, le=1)
    """Magnitude pruning begins after this fraction of the epochs."""
    end: float = Field(default=0.5, ge=0, le=1)
    """… and has reached `fraction` after this one; the smallest weights go first, fast."""

    @model_validator(mode="after")
    def _ordered(self) -> "PruningConfig":
        if self.end < self.start:
            raise ValueError(f"pruning ends at {self.end}, before its start at {self.start}")
        return self


class DistillConfig(Config):
    """The float model's outputs as a second label."""

    weight: float = Field(default=0.9, ge=0, le=1)
    """Part of the loss that follows the float model; the rest follows the true label. An anomaly
    score has no label, and follows the float model alone."""
    temperature: float = Field(default=1.0, gt=0)
    """Both models' logits are divided by this before they are compared."""


class QKerasConfig(Config):
    """Training with QKeras 0.9, in the environment of its own that `make qkeras` sets up."""

    python: str = ".venv-qkeras/bin/python"
    """The Python of that environment."""
    weight: int = Field(default=6, ge=2, le=16)
    """Bits of weights and biases, sign included."""
    weight_integer: int = Field(default=0, ge=0, le=8)
    """Bits above the binary point of them, without the sign."""
    activation: int = Field(default=8, ge=1, le=16)
    """Bits of the ReLUs' outputs, which have no sign."""
    activation_integer: int = Field(default=3, ge=0, le=8)
    """Bits above the binary point of them."""
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate (Adam)."""
    hls_events: int = Field(default=5000, ge=1)
    """Test events through the C simulation of hls4ml in that environment."""
    part: str = "xcvu13p-flga2577-2-e"
    """Part that the hls4ml project there is written for."""
    clock_ns: float = Field(default=5.0, gt=0)
    """Its clock period in ns."""


class CompressConfig(Config):
    """From the float model to its quantised, pruned twin; or a finished one from a file."""

    model: Path | None = None
    """A quantised model of your own: HGQ2's .keras, QKeras' .h5 or a model.tfq (relative to the
    working directory). It takes the place of training and quantisation."""
    method: Literal["hgq", "ptq", "qkeras"] = "hgq"
    """`hgq`: quantisation-aware training, bits per parameter; `ptq`: round the trained weights;
    `qkeras`: the same bits for every weight, trained with QKeras 0.9 (`make qkeras`)."""
    epochs: int = Field(default=400, ge=1)
    """Passes over the training events."""
    batch_size: int = Field(default=1024, ge=1)
    """Events in a step; the events left over when an epoch is cut into batches wait a turn."""
    lr: float = Field(default=4e-3, gt=0)
    """Learning rate (Adam) at the start of each cycle."""
    lr_end: float = Field(default=1e-5, ge=0)
    """Learning rate at the end of each cycle; in between it follows a cosine."""
    cycles: int = Field(default=1, ge=1)
    """How many times the learning rate falls and starts again."""
    beta_start: float = Field(default=0.05, gt=0)
    """Weight of the EBOPs in the loss at the start, when they are nearly free. They are counted in
    units of those that the network starts with, so that one number serves networks of all sizes."""
    beta_end: float = Field(default=20.0, gt=0)
    """… and at the end: tight. It grows exponentially from one to the other."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the epochs before beta begins to grow."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between two candidates for the Pareto front."""
    overflow: Literal["auto", "WRAP", "SAT"] = "auto"
    """What activations past their range do. WRAP costs no logic, and what the training events need
    fits; SAT holds for events unlike them too. auto: SAT for anomaly scores, else WRAP."""
    bits: BitsConfig = BitsConfig()
    """Bits to begin with."""
    max_start_error: float | None = Field(default=1.0, gt=0)
    """How far the quantised network may be off the float model before it is trained, or once it is
    rounded: the root mean square of the outputs' difference over their own spread, on validation
    events; 1 is no better than a constant. More is an error; null only reports it."""
    pruning: PruningConfig = PruningConfig()
    """Magnitude or structured pruning."""
    qkeras: QKerasConfig = QKerasConfig()
    """For `method: qkeras`."""
    distill: DistillConfig = DistillConfig()
    """Learn from the float model as well."""
    target: TargetConfig = TargetConfig()
    """How small, or how accurate."""

    def input_files(self) -> list[Path]:
        """The model file: a change in it is another model."""
        return [] if self.model is None else [self.model]

    def identity(self) -> dict[str, Any]:
        """With a model file, all that trains and quantises is beside the point."""
        everything = super().identity()
        if self.model is None:
            return {key: value for key, value in everything.items() if key != "model"}
        return {key: everything[key] for key in ("model", "target")}

    @field_validator("model")
    @classmethod
    def _known_ending(cls, model: Path | None) -> Path | None:
        if model is not None and model.suffix not in MODEL_ENDINGS:
            raise ValueError(
                f"a model file ends in {', '.join(MODEL_ENDINGS)}; known are HGQ2, QKeras and our own"
            )
        return model

    @model_validator(mode="after")
    def _judged_without_a_float_model(self) -> "CompressConfig":
        if self.model is not None and self.target.max_accuracy_loss is not None:
            raise ValueError(
                f"target.max_accuracy_loss {self.target.max_accuracy_loss:g} is against the float "
                f"model, and {self.model} comes without one; set it to null, or use max_ebops"
            )
        return self

    @model_validator(mode="after")
    def _rising(self) -> "CompressConfig":
        if self.beta_end < self.beta_start:
            raise ValueError(
                f"beta_end {self.beta_end:g} is below beta_start {self.beta_start:g}; "
                "the schedule goes from loose to tight"
            )
        return self

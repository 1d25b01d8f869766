"""Configuration of the stage `train`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from triggerforge.config.base import Config

BuiltIn = Literal[
    "mlp",
    "deepsets",
    "jedi_linear",
    "cnn",
    "autoencoder",
    "vae",
    "embedding_autoencoder",
    "conv_autoencoder",
    "region_student",
    "flow",
]


class ModelConfig(Config):
    """Which network is trained: one of triggerforge's own by name, or yours by file and class."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    name: BuiltIn | None = None
    """One of triggerforge's own."""
    file: Path | None = None
    """A Python file of your own that holds an nn.Module (relative to the working directory)."""
    class_name: str | None = Field(default=None, alias="class")
    """The nn.Module's class in `file`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """What the model is built with, such as {hidden: [64, 32, 32]}."""

    @model_validator(mode="after")
    def _named_or_from_file(self) -> "ModelConfig":
        own = self.file is not None and self.class_name is not None and self.name is None
        builtin = self.name is not None and self.file is None and self.class_name is None
        if not own and not builtin:
            raise ValueError("a model is either {name: ...} or {file: ..., class: ...}")
        return self


class TeacherConfig(Config):
    """A larger network whose anomaly score the network learns to give."""

    model: ModelConfig
    """The network: {name, kwargs}, or {file, class, kwargs}; one that learns without a teacher."""
    epochs: int = Field(default=30, ge=1)
    """Passes over the training events."""
    event_weights: bool = True
    """Use the data set's event weights in its loss, whatever the network itself does."""


class TrainConfig(Config):
    """Training in full precision with AdamW: on the cross-entropy, or on the network's own loss."""

    model: ModelConfig = ModelConfig(name="mlp")
    """The network: {name, kwargs}, or {file, class, kwargs} for your own nn.Module."""
    teacher: TeacherConfig | None = None
    """Trained first; the network then learns the logarithm of its score (with `data.background`)."""
    epochs: int = Field(default=30, ge=1)
    """Passes over the training events."""
    batch_size: int = Field(default=512, ge=1)
    """Events in one step."""
    lr: float = Field(default=2e-3, gt=0)
    """Highest learning rate of AdamW."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Decoupled weight decay of AdamW."""
    schedule: Literal["cosine", "onecycle", "constant"] = "cosine"
    """How the learning rate goes: cosine to zero, one cycle up and down, or constant."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Part of all steps in which the learning rate rises linearly from zero (not for onecycle)."""
    clip_gradient: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; null for no limit."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a lower validation loss; null trains all epochs."""
    class_weights: Literal["none", "balanced"] | list[float] = "balanced"
    """Weights of the classes in the loss: none, balanced (equal sums), or one number a class."""
    event_weights: bool = True
    """Use the data set's event weights in the loss."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Probability spread evenly over the classes in the training loss."""
    quantized_inputs: bool = True
    """Train on inputs rounded to the contract's fixed point, as the hardware will see them."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto takes a GPU where there is one; or cpu, cuda, cuda:1."""
    mixed_precision: Literal["auto", "off"] = "auto"
    """auto computes in bfloat16 on a GPU that has it; the CPU always computes in float32."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; null leaves torch's own choice. Another number may change the last bits."""

    def input_files(self) -> list[Path]:
        """Your own models' files: a change in one makes a new training."""
        models = [self.model, *([self.teacher.model] if self.teacher else [])]
        return [model.file for model in models if model.file is not None]

"""The whole configuration of a run: one section a stage, in the order in which they run."""

from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from triggerforge.config.base import Config
from triggerforge.config.benchmark import BenchmarkConfig
from triggerforge.config.compress import CompressConfig
from triggerforge.config.data import DataConfig
from triggerforge.config.export import ExportConfig
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.config.generate import GenerateConfig
from triggerforge.config.report import ReportConfig
from triggerforge.config.train import TrainConfig
from triggerforge.config.trigger import TriggerConfig


class RunConfig(Config):
    """A run: from events to the report."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    """Name of the run, also of its folder: letters, digits, `_`, `-` and `.`."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    """Seed of everything that is random."""
    generate: GenerateConfig | None = None
    """Simulate collision events; left out where `data.source` names files of your own."""
    data: DataConfig
    """Which events and features go in."""
    train: TrainConfig = TrainConfig()
    """The full-precision model and its training; not run where `compress.model` names a file."""
    compress: CompressConfig = CompressConfig()
    """Quantisation and pruning."""
    export: ExportConfig = ExportConfig()
    """ONNX files."""
    firmware: FirmwareConfig = FirmwareConfig()
    """HLS project, RTL, synthesis."""
    benchmark: BenchmarkConfig = BenchmarkConfig()
    """Parity and latency of every engine."""
    trigger: TriggerConfig | None = None
    """Rates and working points; left out where the events do not stand for bunch crossings."""
    report: ReportConfig = ReportConfig()
    """The HTML report."""
    _quick: dict[str, dict[str, Any]] | None = PrivateAttr(default=None)

    def made_quick(self, sizes: dict[str, dict[str, Any]]) -> "RunConfig":
        """This configuration, marked as the small size of another one.

        `sizes`: key → {"quick": its value here, "whole": that of the whole run}, as JSON holds them.
        """
        marked = self.model_copy()
        marked._quick = sizes
        return marked

    @property
    def quick(self) -> dict[str, dict[str, Any]] | None:
        """What --quick has made small, as in `made_quick`; None for a whole run."""
        return self._quick

    @model_validator(mode="after")
    def _rates_have_a_background(self) -> "RunConfig":
        if self.trigger is None:
            return self
        background = self.trigger.background or self.data.background
        if not background:
            raise ValueError("trigger.background is empty; name the classes that crossings are of")
        both = sorted(set(background) & set(self.trigger.signals))
        if both:
            raise ValueError(f"trigger: {both} cannot be background and signal")
        return self

    @model_validator(mode="after")
    def _a_score_is_learned_from_background(self) -> "RunConfig":
        if self.train.teacher is not None and not self.data.background:
            raise ValueError(
                "train.teacher gives an anomaly score, which is learned from data.background; name "
                "the classes there, or leave the teacher out"
            )
        if self.data.background and self.compress.method == "qkeras":
            raise ValueError(
                "compress.method qkeras trains on labels, and a score with data.background has none; "
                "use hgq or ptq"
            )
        return self

    @model_validator(mode="after")
    def _a_weight_for_each_class(self) -> "RunConfig":
        weights, classes = self.train.class_weights, self.data.classes
        if isinstance(weights, list) and classes and len(weights) != len(classes):
            raise ValueError(
                f"train.class_weights has {len(weights)} numbers for the {len(classes)} classes "
                f"{list(classes)} of data.classes; give {len(classes)}"
            )
        return self

"""The report's sections in their order, and what stands in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triggerforge.report.blocks import Block
from triggerforge.report.plots.bits import bits
from triggerforge.report.plots.class_counts import class_counts
from triggerforge.report.plots.confusion import confusion
from triggerforge.report.plots.input_features import input_features
from triggerforge.report.plots.latency import latency
from triggerforge.report.plots.observables import observables
from triggerforge.report.plots.pareto import pareto
from triggerforge.report.plots.rate_roc import rate_roc
from triggerforge.report.plots.rate_slices import rate_slices
from triggerforge.report.plots.rate_threshold import rate_threshold
from triggerforge.report.plots.resources import resources
from triggerforge.report.plots.roc import roc_curves
from triggerforge.report.plots.training_curves import quantized_training, training_curves
from triggerforge.report.plots.trigger_overlap import trigger_overlap
from triggerforge.report.plots.turn_on import turn_on
from triggerforge.report.tables.audit import input_audit
from triggerforge.report.tables.context import context, data, tools
from triggerforge.report.tables.drift import drift
from triggerforge.report.tables.latency import latency_table
from triggerforge.report.tables.layers import layers
from triggerforge.report.tables.onnx_files import onnx_files
from triggerforge.report.tables.overflow import overflow_audit
from triggerforge.report.tables.parity import parity
from triggerforge.report.tables.performance import performance
from triggerforge.report.tables.provenance import provenance
from triggerforge.report.tables.resources import resources_table
from triggerforge.report.tables.trigger_menu import trigger_menu
from triggerforge.report.tables.working_points import working_points


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `anchor` is its id."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]
    only_with: str = ""
    """section of the result without which the chapter is passed over: its stage is optional"""

    def wanted(self, result: Mapping[str, Any]) -> bool:
        """Whether the page has this chapter."""
        return not self.only_with or self.only_with in result


SECTIONS = (
    Section(
        "Physics performance",
        "performance",
        (
            Block("Accuracy, AUC and background rejection", performance),
            Block("ROC: float, quantised and firmware", roc_curves),
            Block("Confusion", confusion),
        ),
    ),
    Section(
        "Trigger rates",
        "trigger",
        (
            Block("Working points", working_points),
            Block("Rate against threshold", rate_threshold),
            Block("Efficiency against rate", rate_roc),
            Block("Turn-on", turn_on),
            Block("Menu", trigger_menu),
            Block("Overlap", trigger_overlap),
            Block("Pile-up and stability", rate_slices),
            Block("Drift", drift),
        ),
        only_with="trigger",
    ),
    Section(
        "Compression",
        "compression",
        (
            Block("Accuracy against size", pareto, half=True),
            Block("Bits of every layer", bits, half=True),
            Block("Quantisation-aware training", quantized_training),
            Block("Layers", layers),
        ),
    ),
    Section(
        "Parity",
        "parity",
        (
            Block("Every engine against the reference", parity),
            Block("Input ranges", input_audit),
            Block("Ranges inside the network", overflow_audit),
            Block("ONNX files", onnx_files),
        ),
    ),
    Section(
        "Firmware",
        "firmware",
        (
            Block("Share of the chip", resources, half=True),
            Block("Resources and timing", resources_table, half=True),
        ),
    ),
    Section(
        "Latency in software",
        "latency",
        (
            Block("Time of a call", latency),
            Block("Latency and throughput", latency_table),
        ),
    ),
    Section(
        "Data and training",
        "data",
        (
            Block("Events", class_counts, half=True),
            Block("Training", training_curves, half=True),
            Block("Jet observables", observables),
            Block("Inputs of the network", input_features),
        ),
    ),
    Section(
        "Context",
        "context",
        (
            Block("Run", context, half=True),
            Block("Tools", tools, half=True),
            Block("Stages", provenance),
            Block("Data", data),
        ),
    ),
)

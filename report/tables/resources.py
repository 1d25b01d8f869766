"""What the design takes of the part, in figures."""

from collections.abc import Mapping
from typing import Any

from triggerforge.firmware.parts import find_part
from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, counted, finite, number, share
from triggerforge.report.plots.resources import KINDS


def resources_table(material: Material) -> Table:
    """One row a resource: used, in percent of the part and of one SLR; then the timing."""
    record = material.section("resources")
    part = find_part(str(record.get("part", "")))
    rows = []
    for key, label in KINDS:
        used = finite(record.get(key))
        whole = getattr(part, key) if part else None
        slr = whole / part.slr if part and whole else None
        rows.append(row(label, count(used), count(whole), share(used, whole), share(used, slr)))
    cycles = counted(record.get("latency_cycles"), "cycle")
    bunches = finite(record.get("latency_ns"))
    crossings = DASH if bunches is None else f"{number(bunches / 25)} BX of 25 ns"
    rows += [
        row("latency", cycles, f"{number(bunches, 4)} ns", crossings, ""),
        row("initiation interval", counted(record.get("ii"), "cycle"), "", "", ""),
        row("clock period", f"{number(record.get('clock_ns'))} ns", "", "", ""),
    ]
    rows += _more(material, record)
    known = "" if part else " What this part holds is not known here, hence no percentages."
    return Table(
        ("", "used", "on the part", "of the part", "of one SLR"),
        tuple(rows),
        f"Part {record.get('part', DASH)}; counts by {record.get('method', DASH)}. Counts of yosys "
        f"are an open estimate, not a vendor's figure after place and route.{known}",
    )


def _more(material: Material, record: Mapping[str, Any]) -> list[tuple[Cell, ...]]:
    """What the firmware stage found besides: carry chains, alkaid's estimates."""
    rows = []
    if finite(record.get("carry_bits")) is not None:
        rows.append(row("carry chains", f"{count(record.get('carry_bits'))} bits", "", "", ""))
    if finite(record.get("lut_estimate")) is not None:
        rows.append(row("LUT, alkaid's estimate", count(record.get("lut_estimate")), "", "", ""))
    delay = material.get("firmware", "rtl", "stage_delay_ns")
    if finite(delay) is not None:
        budget = number(material.get("firmware", "rtl", "stage_budget_ns"))
        meets = material.get("firmware", "rtl", "delay_model_meets_clock")
        tone = {True: "good", False: "bad"}.get(meets, "")
        longest = Cell(f"{number(delay)} ns", tone)
        rows.append(row("longest stage, delay model", longest, f"of {budget} ns", "", ""))
    return rows

"""What the design takes of the part, in figures."""

from triggerforge.firmware.parts import find_part
from triggerforge.report.blocks import Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number, share
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
    cycles = count(record.get("latency_cycles"))
    bunches = finite(record.get("latency_ns"))
    crossings = DASH if bunches is None else f"{number(bunches / 25)} BX of 25 ns"
    rows += [
        row("latency", f"{cycles} cycles", f"{number(bunches, 4)} ns", crossings, ""),
        row("initiation interval", f"{count(record.get('ii'))} cycles", "", "", ""),
        row("clock period", f"{number(record.get('clock_ns'))} ns", "", "", ""),
    ]
    known = "" if part else " What this part holds is not known here, hence no percentages."
    return Table(
        ("", "used", "on the part", "of the part", "of one SLR"),
        tuple(rows),
        f"Part {record.get('part', DASH)}; counts by {record.get('method', DASH)}. Counts of yosys "
        f"are an open estimate, not a vendor's figure after place and route.{known}",
    )

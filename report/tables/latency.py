"""Latency of each engine, in figures."""

from triggerforge.report.blocks import Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, hertz, microseconds

_TIMES = ("p50_us", "p99_us", "p999_us", "min_us", "max_us")


def latency_table(material: Material) -> Table:
    """One row for each engine, mode and batch size."""
    rows = [
        row(
            str(r.get("engine", DASH)),
            str(r.get("network", DASH)),
            str(r.get("model", DASH)).replace("quantized", "quantised"),
            str(r.get("device", DASH)),
            str(r.get("io", DASH)),
            count(r.get("batch")),
            count(r.get("calls")),
            *(microseconds(r.get(key)) for key in _TIMES),
            hertz(r.get("throughput_hz")),
        )
        for r in material.section("latency")
    ]
    return Table(
        (
            "engine",
            "network",
            "model",
            "device",
            "io",
            "batch [events]",
            "calls",
            "p50",
            "p99",
            "p99.9",
            "min",
            "max",
            "events a second",
        ),
        tuple(rows),
        "Wall-clock time of one call. p99: 99 of 100 calls are faster. bound: inputs and outputs "
        "lie where the engine reads and writes them; copy: they are handed over in each call.",
    )

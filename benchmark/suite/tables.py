"""The record of `make bench` as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from triggerforge.benchmark.suite.run import NATIVE
from triggerforge.benchmark.suite.sheet import Sheet
from triggerforge.report.numbers import DASH, count, number

Record = Mapping[str, Any]
Row = Mapping[str, Any]
_MODES = {
    "copy": "inputs are handed over, outputs are handed back",
    "bound": "inputs and outputs lie where the engine reads and writes",
}
_METHOD = (
    (
        "networks: sizes as in configs/, weights as initialised (fixed seed), biases and batch-norm "
        "statistics random: the time of a call does not depend on their values"
    ),
    "all engines in one process on one core with one thread, call by call in shuffled order",
)


def sheets(record: Record) -> list[Sheet]:
    """All tables that the record has rows for."""
    made = [
        *(_latency(record, mode) for mode in _MODES),
        *(_throughput(record, mode) for mode in _MODES),
        *(make(record) for make in (_peers, _roofline, _scaling, _energy, _not_timed)),
    ]
    return [sheet for sheet in made if sheet.rows]


def headlines(record: Record) -> list[str]:
    """Sentences on the machine and on how it was measured, one a line."""
    host, machine = record["context"]["host"], record["suite"]["machine"]
    roof, load = record["suite"]["roof"], machine["load_average"]
    tools = ", ".join(f"{name} {v}" for name, v in record["context"]["tools"].items())
    isa = " ".join(machine["isa"]) or "instruction sets not told"
    cpu = host["cpu"] or host["machine"]
    shown_load = ", ".join(f"{x:.2f}" for x in load) if load else "not told"
    clock = number(record["benchmark"]["timer_overhead_ns"])
    lines = [
        f"machine: {cpu}, {machine['cores']} cores, {isa}, {host['system']}",
        f"compiler: {machine['compiler'] or 'none'}; Python {host['python']}, {tools}",
        f"load average at the start: {shown_load}",
        f"clock: reading it takes {clock} ns, which every time of a call holds",
        *_METHOD,
    ]
    if roof:
        lines.append(
            f"limits of the core, medians: {roof['gflops']:.1f} GFLOP/s in {roof['register_bits']} bit "
            f"registers; memory {roof['read_gb_s']:.1f} GB/s read, {roof['triad_gb_s']:.1f} GB/s triad"
        )
    if not record["suite"]["energy_told"]:
        lines.append("energy: not told by this machine")
    if not record["suite"]["complete"]:
        lines.append("INCOMPLETE: the run ended before all was measured")
    return lines


def ratio_to_native(rows: list[Row], row: Row) -> float | None:
    """p50 in units of native's, of the same network, mode and batch; None without native."""
    for other in rows:
        if other["engine"] == NATIVE and _same_call(other, row):
            return _p50(row) / _p50(other)
    return None


def best_peer(rows: list[Row], row: Row) -> Row | None:
    """The fastest by p50 of the CPU engines that are not this project's, for the same call."""
    peers = [
        r
        for r in rows
        if _same_call(r, row) and r["device"] == "cpu" and not r["engine"].startswith(NATIVE)
    ]
    return min(peers, key=_p50, default=None)


def _same_call(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("network", "io", "batch"))


def _latency(record: Record, mode: str) -> Sheet:
    rows = []
    for row in _rows(record, mode, 1):
        error = record["suite"]["networks"][row["network"]]["engines"][row["engine"]]["error"]
        times = (number(row[key]) for key in ("p50_us", "p99_us", "p999_us", "max_us", "min_us"))
        ratio = _times(ratio_to_native(record["latency"], row))
        rows.append(
            (row["network"], _engine(row), *times, ratio, count(row["calls"]), f"{error:.1e}")
        )
    return Sheet(
        f"Time of a call, batch 1, {mode}",
        (
            *("network", "engine", "p50 [µs]", "p99", "p99.9", "max", "min"),
            *("p50 / native", "calls", "error"),
        ),
        tuple(rows),
        f"{mode}: {_MODES[mode]}. Error: largest difference from torch in float64, in units of the "
        "largest output.",
        numbers=2,
    )


def _throughput(record: Record, mode: str) -> Sheet:
    batches = sorted({row["batch"] for row in record["latency"]})
    by_engine: dict[tuple[str, str], dict[int, Row]] = {}
    for row in _rows(record, mode):
        by_engine.setdefault((row["network"], _engine(row)), {})[row["batch"]] = row
    rows = tuple(
        (
            *key,
            *(_bulk_cell(record, found.get(batch)) for batch in batches),
            _per_second(found[max(found)]),
        )
        for key, found in by_engine.items()
    )
    return Sheet(
        f"Time of an event [ns] by batch, {mode}",
        ("network", "engine", *(f"{batch:,}" for batch in batches), "events/s in the largest"),
        rows,
        f"{mode}: {_MODES[mode]}. p50 of the calls over the events of one; in brackets in units of "
        "native's.",
        numbers=2,
    )


def _bulk_cell(record: Record, row: Row | None) -> str:
    if row is None:
        return DASH
    ratio = ratio_to_native(record["latency"], row)
    return f"{number(_ns_per_event(row))} ({_times(ratio)})"


def _peers(record: Record) -> Sheet:
    rows = []
    for row in record["latency"]:
        if row["engine"] != NATIVE:
            continue
        peer = best_peer(record["latency"], row)
        if peer is None:
            continue
        times = (number(_ns_per_event(r)) for r in (row, peer))
        rows.append(
            (
                *(row["network"], row["io"], count(row["batch"])),
                *(*times, _engine(peer), _times(_p50(peer) / _p50(row)), _onnxruntime(record, row)),
            )
        )
    return Sheet(
        "Native and its best peer",
        (
            *("network", "io", "batch", "native [ns]", "best peer [ns]", "best peer"),
            *("peer / native", "onnxruntime / native"),
        ),
        tuple(rows),
        "p50 an event, both of the same mode. The peers are the engines on the CPU that are not of "
        "this project.",
        numbers=2,
    )


def _onnxruntime(record: Record, row: Row) -> str:
    calls = (r for r in record["latency"] if _same_call(r, row))
    found = next((r for r in calls if r["engine"] == "onnxruntime"), None)
    return _times(_p50(found) / _p50(row) if found else None)


def _roofline(record: Record) -> Sheet:
    rows = tuple(
        (
            *(row["network"], count(row["batch"]), count(row["flops"])),
            *(count(row["bytes_per_event"]), number(row["ns_per_event"]), number(row["gflops"])),
            *(number(row["roof_ns"]), str(row["bound"]), _percent(row["fraction"])),
            *(number(row["quickest_ns_per_event"]), _percent(row["quickest_fraction"])),
        )
        for row in record["suite"]["rooflines"]
    )
    return Sheet(
        "Native in a C++ loop, and the roof",
        (
            *("network", "batch", "FLOP/event", "bytes/event", "ns/event", "GFLOP/s"),
            *("roof [ns]", "bound by", "of the roof", "quickest [ns]", "of the highest roof"),
        ),
        rows,
        "FLOP: two for each multiply-add of Gemm, MatMul and Conv; biases, activations and poolings are "
        "not counted. Bytes: inputs, outputs, and the weights once a call. Roof: the longer of FLOP over "
        "peak and bytes over bandwidth; at batch 1, where all lies in the caches, FLOP over peak. Calls "
        "follow one another, without a wait between them. Medians; then the quickest round over the "
        "highest that the core's limits were measured.",
    )


def _scaling(record: Record) -> Sheet:
    rows = tuple(
        (
            *(row["network"], row["kind"], count(row["workers"]), count(row["batch"])),
            *(number(row["events_per_second"]), _percent(row["efficiency"])),
        )
        for row in record["suite"]["scaling"]
    )
    return Sheet(
        "Native on several cores",
        ("network", "workers", "number", "batch", "events/s", "efficiency"),
        rows,
        "Each worker has a core and calls for itself; efficiency is in units of one worker of the kind.",
        numbers=2,
    )


def _energy(record: Record) -> Sheet:
    rows = tuple(
        (
            *(row["network"], row["engine"], count(row["batch"])),
            number(1e9 * row["joules_per_event"]),
        )
        for row in record["suite"]["energy"]
    )
    return Sheet(
        "Energy of an event, bound",
        ("network", "engine", "batch", "nJ/event"),
        rows,
        "All packages of the machine, with what they take when idle and whatever else ran.",
        numbers=2,
    )


def _not_timed(record: Record) -> Sheet:
    rows = []
    for name, found in record["suite"]["networks"].items():
        for engine, checked in found["engines"].items():
            if checked["wrong"]:
                error = DASH if checked["error"] is None else f"{checked['error']:.1e}"
                rows.append((name, engine, f"WRONG: {checked['wrong']}", error))
        rows += [(name, e, f"not run: {why}", DASH) for e, why in found["not_run"].items()]
    return Sheet("Not timed", ("network", "engine", "why", "error"), tuple(rows), numbers=3)


def _rows(record: Record, mode: str, batch: int | None = None) -> Iterator[Row]:
    """Latency rows of one mode, network by network, the fastest first."""
    rows = [r for r in record["latency"] if r["io"] == mode and batch in (None, r["batch"])]
    for network in dict.fromkeys(r["network"] for r in rows):
        yield from sorted((r for r in rows if r["network"] == network), key=_p50)


def _engine(row: Row) -> str:
    return row["engine"] if row["device"] == "cpu" else f"{row['engine']} ({row['device']})"


def _p50(row: Row) -> float:
    return float(row["p50_us"])


def _ns_per_event(row: Row) -> float:
    return 1e3 * _p50(row) / int(row["batch"])


def _per_second(row: Row) -> str:
    return number(1e9 / _ns_per_event(row))


def _times(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.2f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"

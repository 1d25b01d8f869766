"""The measurements of `make bench`, in one process, written to result.json as they come."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.benchmark.engines import make_engines
from triggerforge.benchmark.latency import measure, one_quiet_core, timer_overhead_ns
from triggerforge.benchmark.suite.closeness import EVENTS, check_all, reference
from triggerforge.benchmark.suite.energy import EnergyMeter, joules_per_event
from triggerforge.benchmark.suite.machine import Limits, describe
from triggerforge.benchmark.suite.networks import NETWORKS
from triggerforge.benchmark.suite.roofline import measure_rooflines
from triggerforge.benchmark.suite.scaling import measure_scaling
from triggerforge.benchmark.suite.sizes import Sizes
from triggerforge.benchmark.suite.work import count_work
from triggerforge.config.benchmark import LatencyConfig
from triggerforge.export.files import FLOAT_FILE, write_onnx
from triggerforge.export.float_model import float_onnx
from triggerforge.export.runtime import ENGINES, EngineSource, Runtime
from triggerforge.known_engines import KNOWN
from triggerforge.progress import say
from triggerforge.result import RESULT_VERSION, context
from triggerforge.runfolder import write_json

NATIVE = "native"
RESULT_FILE = "result.json"
_SEED = 1
Record = dict[str, Any]


def float_engines() -> tuple[str, ...]:
    """The registered engines that run a float network."""
    return tuple(name for name in ENGINES if name not in KNOWN or KNOWN[name].model == "float")


def run_suite(
    folder: Path, networks: Sequence[str], engines: Sequence[str], sizes: Sizes
) -> Record:
    """Measures everything and gives back the record; `folder` has it too, with the ONNX files.

    Raises RegistryError for an unknown network or engine, before anything is measured.
    """
    for registry, names in ((NETWORKS, networks), (ENGINES, engines)):
        for name in names:
            registry[name]
    folder.mkdir(parents=True, exist_ok=True)
    record = _new_record(sizes)
    suite, models = record["suite"], {}
    events: dict[str, NDArray[np.float32]] = {}
    for name in dict.fromkeys(networks):
        say(f"{name}: {NETWORKS[name].title}")
        x = NETWORKS[name].events(max(1, *sizes.bulk, sizes.worker_batch), _SEED)
        model = _measure_network(record, name, engines, x, sizes, folder)
        checked = suite["networks"][name]["engines"].get(NATIVE)
        if checked and not checked["wrong"]:
            models[name], events[name] = model, x
        write_json(folder / RESULT_FILE, record)
    if models:
        with one_quiet_core():
            limits = Limits(sizes.limit_bytes)
            roof, rows = measure_rooflines(models, events, sizes.loop_rounds, limits)
        suite |= {"roof": asdict(roof), "rooflines": rows}
        write_json(folder / RESULT_FILE, record)
        for name in models:
            path, x = folder / name / FLOAT_FILE, events[name][: sizes.worker_batch]
            suite["scaling"] += measure_scaling(
                name, path, x, sizes.worker_seconds, sizes.worker_rounds
            )
    suite["complete"] = True
    write_json(folder / RESULT_FILE, record)
    return record


def _new_record(sizes: Sizes) -> Record:
    return {
        "version": RESULT_VERSION,
        "context": context(_SEED),
        "rates": [],
        "latency": [],
        "benchmark": {"timer_overhead_ns": timer_overhead_ns(), "cores": 1, "threads": 1},
        "suite": {
            "complete": False,
            "machine": describe(),
            "sizes": asdict(sizes),
            "networks": {},
            "roof": None,
            "rooflines": [],
            "scaling": [],
            "energy": [],
            "energy_told": EnergyMeter().works,
        },
    }


def _measure_network(
    record: Record,
    name: str,
    engines: Sequence[str],
    x: NDArray[np.float32],
    sizes: Sizes,
    folder: Path,
) -> onnx.ModelProto:
    """Adds a network to the record: closeness, latency, energy; gives back its ONNX form."""
    trained = NETWORKS[name].build(_SEED)
    model = float_onnx(trained)
    (folder / name).mkdir(exist_ok=True)
    write_onnx(model, folder / name / FLOAT_FILE)
    # engines are made on the core, too: threads that one starts then stay there
    with one_quiet_core():
        made, not_run = make_engines(
            engines, EngineSource(trained=trained, export_folder=folder / name)
        )
        probe = NETWORKS[name].events(EVENTS, _SEED + 1)
        checked = check_all(made, probe, reference(trained, probe))
        for engine, found in checked.items():
            if found.wrong:
                say(f"{name}: {engine} is not timed: {found.wrong}")
        right = {engine: made[engine] for engine in made if not checked[engine].wrong}
        record["latency"] += _latency(right, x, name, sizes)
        record["suite"]["energy"] += _energy(right, x[: sizes.worker_batch], name, sizes)
    record["suite"]["networks"][name] = {
        "title": NETWORKS[name].title,
        "work": asdict(count_work(model)),
        "engines": {engine: asdict(found) for engine, found in checked.items()},
        "not_run": not_run,
    }
    return model


def _latency(
    engines: dict[str, Runtime], x: NDArray[np.float32], network: str, sizes: Sizes
) -> list[Any]:
    single = LatencyConfig(batches=(1,), calls=sizes.calls, seconds=sizes.seconds)
    bulk = LatencyConfig(batches=sizes.bulk, calls=sizes.calls, seconds=sizes.bulk_seconds)
    rows = [row for config in (single, bulk) for row in measure(config, engines, x, network)]
    return [row.model_dump() for row in rows]


def _energy(
    engines: dict[str, Runtime], x: NDArray[np.float32], network: str, sizes: Sizes
) -> list[Record]:
    meter = EnergyMeter()
    rows = []
    for name, engine in engines.items() if meter.works else ():
        call = engine.bind(x, np.empty_like(engine.predict(x)))
        joules = joules_per_event(meter, call, len(x), sizes.worker_seconds)
        rows.append(
            {"network": network, "engine": name, "batch": len(x), "joules_per_event": joules}
        )
    return rows

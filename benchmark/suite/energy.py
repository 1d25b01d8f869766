"""Energy of a call, where the machine tells it: the counters of Intel and AMD packages (RAPL)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """The packages' energy counters under `folder`."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        # intel-rapl:0 is a package, intel-rapl:0:0 a part of it that would count twice
        packages = sorted(folder.glob("intel-rapl:*"))
        self._counters = [p for p in packages if p.name.count(":") == 1 and _reads(p)]

    @property
    def works(self) -> bool:
        """Whether this machine lets us read any."""
        return bool(self._counters)

    def joules(self, work: Callable[[], Any]) -> float:
        """What all packages took while `work` ran, whoever used them."""
        before = [_number(p / "energy_uj") for p in self._counters]
        work()
        total = 0
        for counter, start in zip(self._counters, before, strict=True):
            used = _number(counter / "energy_uj") - start
            total += used if used >= 0 else used + _number(counter / "max_energy_range_uj")
        return total / 1e6


def joules_per_event(
    meter: EnergyMeter, call: Callable[[], Any], events: int, seconds: float
) -> float:
    """Energy of the packages over the events of repeated calls, idle power included."""
    calls = 0

    def work() -> None:
        nonlocal calls
        end = time.perf_counter() + seconds
        while calls == 0 or time.perf_counter() < end:
            call()
            calls += 1

    used = meter.joules(work)
    return used / (calls * events)


def _reads(counter: Path) -> bool:
    try:
        return _number(counter / "energy_uj") >= 0 and _number(counter / "max_energy_range_uj") > 0
    except (OSError, ValueError):
        return False


def _number(path: Path) -> int:
    return int(path.read_text())

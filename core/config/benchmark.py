"""Configuration of the stage `benchmark`."""

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from triggerforge.config.base import Config
from triggerforge.errors import did_you_mean
from triggerforge.known_engines import KNOWN


def _engine(name: str) -> str:
    if name not in KNOWN:
        raise ValueError(f"no engine {name!r}; {did_you_mean(name, KNOWN)}")
    return name


def _exact(name: str) -> str:
    exact = [known for known in KNOWN if KNOWN[known].exact]
    if name not in exact:
        raise ValueError(f"no engine {name!r} that must be exact; {did_you_mean(name, exact)}")
    return name


Engine = Annotated[str, AfterValidator(_engine)]
"""the name of an engine, `triggerforge.known_engines` or your own"""
Exact = Annotated[str, AfterValidator(_exact)]
"""the name of one that must agree with the reference bit for bit"""


class ParityConfig(Config):
    """Whether every engine gives the same numbers."""

    engines: tuple[Exact, ...] = ("alir", "onnxruntime-quantized", "native-int", "hls4ml", "rtl")
    """Engines that must agree with the HGQ2 model bit for bit."""
    events: int | None = Field(default=None, ge=1)
    """Test events to compare on; left out: all of them."""
    engine_events: dict[Exact, PositiveInt] = Field(default={"hls4ml": 5000})
    """Fewer test events for engines that are slow, by name."""
    random_events: int = Field(default=2000, ge=1)
    """Events with every bit of the input port random."""
    float_tolerance_lsb: float = Field(default=0.5, gt=0)
    """Largest difference of the float ONNX from torch, in steps of the quantised outputs."""
    float_tolerance_relative: float = Field(default=1e-6, ge=0, lt=1e-3)
    """Allowed beyond that, for each unit of the output: both are float32, with steps of 1.2e-7."""


class LatencyConfig(Config):
    """How long one call takes."""

    engines: tuple[Engine, ...] = (
        *("torch", "onnxruntime", "native", "onnxruntime-quantized", "alir", "native-int"),
    )
    """Engines to time, in turn, call by call."""
    batches: tuple[PositiveInt, ...] = (1, 1024)
    """Events a call."""
    calls: int = Field(default=20_000, ge=10)
    """Timed calls of each engine and mode at each batch size."""
    seconds: float = Field(default=30.0, gt=0)
    """Time for each batch size, of which every engine and mode has the same share. Who needs more for
    all calls gets fewer, spread over the whole time, but 15; `calls` in the record says how many."""


class BenchmarkConfig(Config):
    """The same bits from every engine, and how fast each of them is."""

    parity: ParityConfig = ParityConfig()
    """Comparison of the outputs."""
    latency: LatencyConfig = LatencyConfig()
    """Time of a call."""

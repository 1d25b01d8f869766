"""The CUDA kernel of the quantised network: its text on the CPU gives the graph's bits, and NVRTC
compiles it; on a card the engine gives them too."""

import ctypes
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import MissingToolError, ToolFailedError
from triggerforge.export.engines.cuda_int import CudaIntRuntime
from triggerforge.export.gpu import nvrtc
from triggerforge.export.gpu.nvrtc import compiled_cubin
from triggerforge.export.gpu.source import BLOCK, MAIN, write_integer_source
from triggerforge.export.native.build import compiled
from triggerforge.export.probe import central_inputs, random_port_inputs

HOST = Path(__file__).parent / "host" / "cuda_host.h"
LAUNCH = f"""
extern "C" __attribute__((visibility("default")))
void run(const float* x, double* y, long events) {{
  launch(triggerforge_events, (events + {BLOCK - 1}) / {BLOCK}, {BLOCK}, x, y, events);
}}
"""
MODES = (("RND", "SAT"), ("TRN", "WRAP"), ("RND_CONV", "SAT_SYM"))
MODELS = ("mlp", "residual", "particles", "images", "tables", "softmax")
EVENTS = (1, BLOCK, 2 * BLOCK + 37)
needs_nvrtc = pytest.mark.skipif(
    find_spec("cuda") is None, reason="cuda-bindings is not installed: dependency group `gpu`"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")


def inputs(quantized: QuantizedModel, events: int) -> NDArray[np.float32]:
    """Half with every bit of the port random, half as normalised data are."""
    makers = (random_port_inputs, central_inputs)
    both = np.concatenate([make(quantized.contract, events, seed=3) for make in makers])
    return np.ascontiguousarray(np.random.default_rng(1).permutation(both)[:events])


def run_on_cpu(quantized: QuantizedModel, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The kernel's own text, its threads run by this machine's."""
    sources = write_integer_source(quantized.alir) | {HOST.name: HOST.read_text()}
    text = f'#include "{HOST.name}"\n{sources.pop(MAIN)}{LAUNCH}'
    library = ctypes.CDLL(str(compiled(sources | {"kernel.cc": text})))
    y = np.full((len(x), len(quantized.output_formats)), np.nan)
    pointers = (ctypes.c_void_p(a.ctypes.data) for a in (x, y))
    library.run(*pointers, ctypes.c_long(len(x)))
    return y


@pytest.mark.parametrize("architecture", MODELS)
def test_the_kernels_text_gives_the_graphs_bits(
    random_model: Callable[..., QuantizedModel], architecture: str
) -> None:
    quantized = random_model(architecture, MODES, 1)
    x = inputs(quantized, max(EVENTS))
    expected = quantized.predict(x)
    assert len(np.unique(expected)) > 2, "a model of constants shows nothing"
    for events in EVENTS:
        np.testing.assert_array_equal(run_on_cpu(quantized, x[:events]), expected[:events])


@needs_nvrtc
@pytest.mark.parametrize("card", ["sm_80", "sm_90"])
@pytest.mark.parametrize("architecture", ["mlp", "particles", "tables"])
def test_nvrtc_compiles_it_without_a_card(
    random_model: Callable[..., QuantizedModel], tmp_path: Path, architecture: str, card: str
) -> None:
    sources = write_integer_source(random_model(architecture, MODES, 1).alir)
    code = compiled_cubin(sources, MAIN, card, tmp_path)
    assert code[:4] == b"\x7fELF" and b"triggerforge_events" in code
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [code]


@needs_nvrtc
def test_the_second_time_nothing_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"k.cu": 'extern "C" __global__ void k(int* y) { *y = 1; }'}
    first = compiled_cubin(sources, "k.cu", "sm_80", tmp_path)
    other = {"k.cu": sources["k.cu"].replace("1", "2")}
    assert compiled_cubin(other, "k.cu", "sm_80", tmp_path) != first
    monkeypatch.setattr(nvrtc, "_compile", lambda *_: pytest.fail("compiled again"))
    assert compiled_cubin(sources, "k.cu", "sm_80", tmp_path) == first
    assert len(list(tmp_path.iterdir())) == 2


@needs_nvrtc
def test_what_the_compiler_says_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="expected"):
        compiled_cubin({"k.cu": "__global__ void k( { }"}, "k.cu", "sm_80", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_nvrtc_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings", None)
    with pytest.raises(MissingToolError, match="NVRTC was not found; install.*gpu"):
        compiled_cubin({"k.cu": ""}, "k.cu", "sm_80", tmp_path)


@needs_gpu
@pytest.mark.parametrize("architecture", MODELS)
def test_the_card_gives_the_graphs_bits(
    random_model: Callable[..., QuantizedModel], architecture: str
) -> None:
    quantized = random_model(architecture, MODES, 1)
    engine = CudaIntRuntime(quantized)
    for events in (*EVENTS, 100_000):
        x = inputs(quantized, events)
        np.testing.assert_array_equal(engine.predict(x), quantized.predict(x))

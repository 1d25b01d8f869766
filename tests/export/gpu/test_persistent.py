"""The kernel that stays: its text, run by threads of the CPU, answers, ends and starts again."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, ToolFailedError, UnsupportedOperationError
from triggerforge.export.engines.cuda_persistent import PersistentRuntime
from triggerforge.export.files import FLOAT_FILE
from triggerforge.export.float_model import float_onnx
from triggerforge.export.gpu import mailbox
from triggerforge.export.gpu.cooperative import (
    ENTRY,
    MAIN,
    shared_out,
    write_persistent_source,
)
from triggerforge.export.gpu.functions import FUNCTIONS
from triggerforge.export.gpu.mailbox import Mailbox, room
from triggerforge.export.gpu.nvrtc import compiled_cubin
from triggerforge.export.native.build import compiled
from triggerforge.export.runtime import EngineSource
from triggerforge.known_engines import KNOWN
from triggerforge.training.models.registry import MODELS
from triggerforge.training.trained import TrainedModel

HOST = Path(__file__).parent / "host" / "cuda_host.h"
THREADS = 3
LAUNCH = f"""
extern "C" __attribute__((visibility("default"))) void run(
    Mailbox* mail, const volatile float* x, volatile float* y, unsigned long long answered,
    unsigned long long idle) {{
  launch({ENTRY}, 1, {THREADS}, mail, x, y, answered, idle);
}}
"""
NETWORKS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "mlp": ("mlp", (16,), {}),
    "deepsets": ("deepsets", (8, 3), {"pool": "max"}),
    "jedi_linear": ("jedi_linear", (8, 3), {"width": 8, "head": (8,)}),
    "functions": ("functions", (16,), {}),
    "cnn of two layers": ("cnn", (8, 8, 1), {"channels": (3, 5), "hidden": (6,)}),
}
IDLE = 300_000_000


def of_functions() -> nn.Module:
    """Layers with functions that the registry's networks do not have."""
    layers = [nn.Linear(16, 8), nn.ELU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)]
    return nn.Sequential(*layers, nn.LeakyReLU(), nn.Linear(8, 5), nn.Sigmoid(), nn.LogSoftmax(1))


class OnCpu:
    """The kernel, started in a thread instead of on a card."""

    def __init__(self, module: nn.Module, contract: InputContract, outputs: int) -> None:
        names = tuple(f"o{i}" for i in range(outputs))
        model = float_onnx(TrainedModel(module.eval(), contract, names, {"class": "none"}, []))
        sources, inputs, _ = write_persistent_source(model)
        text = f'#include "{HOST.name}"\n{sources.pop(MAIN)}{LAUNCH}'
        files = sources | {HOST.name: HOST.read_text(), "kernel.cc": text}
        self._library = ctypes.CDLL(str(compiled(files)))
        self.threads: list[threading.Thread] = []
        self.idle_ns = IDLE
        memory = np.zeros(room(inputs, outputs) + 64, np.uint8)
        memory = memory[-memory.ctypes.data % 64 :][: room(inputs, outputs)]
        self.mailbox = Mailbox(memory, inputs, outputs, self._start)

    def _start(self, answered: int) -> None:
        pointers = [ctypes.c_void_p(a) for a in self.mailbox.addresses]
        told = [ctypes.c_ulonglong(n) for n in (answered, self.idle_ns)]
        thread = threading.Thread(target=self._library.run, args=(*pointers, *told))
        thread.start()
        self.threads.append(thread)


@pytest.fixture
def on_cpu(make_contract: Callable[..., InputContract]) -> Iterator[Callable[[str], Any]]:
    """Makes a network of NETWORKS: the module, and its kernel in a mailbox."""
    made: list[OnCpu] = []

    def make(name: str) -> tuple[nn.Module, OnCpu]:
        model, shape, arguments = NETWORKS[name]
        torch.manual_seed(1)
        contract = make_contract(*shape)
        module = MODELS[model](contract, 5, **arguments) if model in MODELS else of_functions()
        module = module.eval()
        made.append(OnCpu(module, make_contract(*shape), 5))
        return module, made[-1]

    yield make
    for kernel in made:
        kernel.mailbox.close()
        for thread in kernel.threads:
            thread.join(10)
            assert not thread.is_alive(), "the kernel did not end when it was told to"


@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_event_after_event(on_cpu: Callable[[str], Any], name: str) -> None:
    module, kernel = on_cpu(name)
    x = np.random.default_rng(1).normal(size=(6, *NETWORKS[name][1])).astype(np.float32)
    y = np.zeros((6, 5), np.float32)
    for row, out in zip(x, y, strict=True):
        kernel.mailbox.bind(row, out)()
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()
    assert len(kernel.threads) == 1


def test_a_second_thread_is_refused_and_mixes_nothing(on_cpu: Callable[[str], Any]) -> None:
    _, kernel = on_cpu("mlp")
    x = np.random.default_rng(1).normal(size=(THREADS, 16)).astype(np.float32)
    expected, y = np.zeros((2, THREADS, 5), np.float32)
    for row, out in zip(x, expected, strict=True):
        kernel.mailbox.bind(row, out)()
    start = threading.Barrier(THREADS)

    def ask(number: int) -> int:
        call, refused = kernel.mailbox.bind(x[number], y[number]), 0
        start.wait()
        for _ in range(500):
            y[number] = np.nan
            try:
                call()
            except ModelError:
                refused += 1
            else:
                np.testing.assert_array_equal(y[number], expected[number])
        return refused

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(ask, range(THREADS))) > 0
    assert not KNOWN["cuda-persistent"].threads


def test_an_idle_kernel_ends_and_the_next_call_starts_another(
    on_cpu: Callable[[str], Any],
) -> None:
    _, kernel = on_cpu("mlp")
    x, first, second = (np.ones(n, np.float32) for n in (16, 5, 5))
    kernel.mailbox.bind(x, first)()
    kernel.threads[0].join(10)
    assert not kernel.threads[0].is_alive()
    kernel.mailbox.bind(x, second)()
    np.testing.assert_array_equal(first, second)
    assert len(kernel.threads) == 2


def test_the_kernel_ends_when_its_mailbox_is_forgotten(on_cpu: Callable[[str], Any]) -> None:
    _, kernel = on_cpu("mlp")
    kernel.idle_ns = 3600 * 10**9  # it ends because it is told to
    x, y = np.ones(16, np.float32), np.ones(5, np.float32)
    call = kernel.mailbox.bind(x, y)
    call()
    kernel.mailbox.close()
    kernel.threads[0].join(10)
    assert not kernel.threads[0].is_alive()


def test_without_an_answer_a_call_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_PATIENCE", 50_000_000)
    monkeypatch.setattr(mailbox, "_FAREWELL", 0.01)
    memory = np.zeros(room(4, 2), np.uint8)
    started: list[int] = []
    call = Mailbox(memory, 4, 2, started.append).bind(
        np.ones(4, np.float32), np.ones(2, np.float32)
    )
    with pytest.raises(ToolFailedError, match=r"no answer in 0\.05 s"):
        call()
    assert started == [0]


def test_a_kernel_that_cannot_start_says_so() -> None:
    def start(answered: int) -> None:
        raise ToolFailedError("CUDA says no")

    call = Mailbox(np.zeros(room(1, 1), np.uint8), 1, 1, start).bind(
        np.ones(1, np.float32), np.ones(1, np.float32)
    )
    for _ in range(2):
        with pytest.raises(ToolFailedError, match="CUDA says no"):
            call()


@pytest.mark.skipif(
    find_spec("cuda") is None, reason="cuda-bindings is not installed: dependency group `gpu`"
)
@pytest.mark.parametrize("card", ["sm_80", "sm_90"])
def test_nvrtc_compiles_it_without_a_card(
    make_contract: Callable[..., InputContract], tmp_path: Path, card: str
) -> None:
    module = MODELS["deepsets"](make_contract(8, 3), 5, pool="max").eval()
    names = tuple("abcde")
    model = float_onnx(TrainedModel(module, make_contract(8, 3), names, {"class": "none"}, []))
    code = compiled_cubin(write_persistent_source(model)[0], MAIN, card, tmp_path)
    assert code[:4] == b"\x7fELF" and ENTRY.encode() in code


@pytest.mark.skipif(
    find_spec("cuda") is None, reason="cuda-bindings is not installed: dependency group `gpu`"
)
def test_nvrtc_knows_every_function_and_constants_that_are_no_numbers(tmp_path: Path) -> None:
    shape = ["N", 4]
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in "xy"]
    told = {
        "IsNaN": (),
        "Elu": (),
        "Erf": (),
        "Log": (),
        "Sigmoid": (),
        "Tanh": (),
        "Sqrt": (),
        "Abs": (),
        "Exp": (),
        "Add": ("c",),
        "GreaterOrEqual": ("c",),
        "Equal": ("c",),
        "PRelu": ("c",),
        "Min": ("c",),
    }
    names = ["x", *(f"t{i}" for i in range(len(told) - 1)), "y"]
    nodes = [
        onnx.helper.make_node(kind, [x, *more], [y])
        for (kind, more), x, y in zip(told.items(), names, names[1:], strict=False)
    ]
    c = onnx.numpy_helper.from_array(np.array([0, np.inf, -np.inf, np.nan], np.float32), "c")
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], [c])
    sources = write_persistent_source(onnx.helper.make_model(graph))[0]
    functions = FUNCTIONS - {"V", "rectified", "larger"}
    assert all(f"{name}(" in sources[MAIN] for name in functions)
    assert compiled_cubin(sources, MAIN, "sm_90", tmp_path)[:4] == b"\x7fELF"


def test_what_does_not_fit_is_refused() -> None:
    values = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["N", 20_000]) for n in "xy"
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g", *([v] for v in values)
    )
    with pytest.raises(UnsupportedOperationError, match="shared memory"):
        write_persistent_source(onnx.helper.make_model(graph))


@pytest.mark.parametrize(
    ("kind", "constants", "words"),
    [
        ("TopK", {"k": np.array([2])}, "TopK.*no function 'first_of'"),
        ("Sin", {}, "Sin.*the cuda-persistent engine has no function 'sine'"),
    ],
)
def test_what_its_kernel_lacks_is_refused(kind: str, constants: dict[str, Any], words: str) -> None:
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["N", 4]) for n in "xy"]
    tensors = [onnx.numpy_helper.from_array(v, n) for n, v in constants.items()]
    node = onnx.helper.make_node(kind, ["x", *constants], ["y"])
    graph = onnx.helper.make_graph([node], "g", *([v] for v in values), tensors)
    with pytest.raises(UnsupportedOperationError, match=words):
        write_persistent_source(onnx.helper.make_model(graph))


@pytest.mark.parametrize(
    ("loops", "shared"),
    [
        (
            "for (long i0 = 0; i0 < 8; ++i0)\n  for (long i1 = 0; i1 < 4; ++i1)\n    t[i1] = x[i0];",
            "for (long i0 = 0; i0 < 8; ++i0)\n"
            + "  for (long i1 = threadIdx.x; i1 < 4; i1 += blockDim.x)\n    t[i1] = x[i0];",
        ),
        ("t[0] = V();", "if (threadIdx.x == 0) {\nt[0] = V();\n}"),
    ],
)
def test_each_output_has_one_thread(loops: str, shared: str) -> None:
    assert shared_out(loops) == shared


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")
def test_the_card_answers_too(source: EngineSource) -> None:
    assert source.export_folder is not None and source.trained is not None
    engine = PersistentRuntime(source.export_folder / FLOAT_FILE)
    x = np.random.default_rng(1).normal(size=(100, 6)).astype(np.float32)
    np.testing.assert_allclose(engine.predict(x), source.trained.predict(x), atol=1e-5)
    torch.cuda.synchronize()  # the kernel ends by itself
    np.testing.assert_allclose(engine.predict(x), source.trained.predict(x), atol=1e-5)

"""Compiled once for a machine, safely; a broken build or buffer is one clear error."""

import gc
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import DataError, MissingToolError, ModelError, ToolFailedError
from triggerforge.export.engines.native_int import NativeIntRuntime
from triggerforge.export.native import build
from triggerforge.export.native.build import compiled
from triggerforge.export.probe import random_port_inputs
from triggerforge.export.runtime import ENGINES, EngineSource

SOURCES = {"one.cc": '#include "one.h"\nint one() { return ONE; }\n', "one.h": "#define ONE 1\n"}


def test_the_second_time_nothing_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compiled(SOURCES, tmp_path)
    monkeypatch.setattr(build, "run_tool", lambda *_: pytest.fail("compiled again"))
    assert compiled(SOURCES, tmp_path) == first
    assert [p.name for p in tmp_path.iterdir()] == [first.parent.name]


def test_another_header_is_another_library(tmp_path: Path) -> None:
    other = SOURCES | {"one.h": "#define ONE 2\n"}
    assert compiled(SOURCES, tmp_path) != compiled(other, tmp_path)


def test_a_library_of_another_cpu_is_never_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = compiled(SOURCES, tmp_path)
    monkeypatch.setattr(
        build, "_FLAGS", tuple(f.replace("native", "x86-64-v2") for f in build._FLAGS)
    )
    assert compiled(SOURCES, tmp_path) != here


def test_the_key_knows_the_instructions_that_the_compiler_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = compiled(SOURCES, tmp_path)
    asked = subprocess.run

    def other_cpu(command: list[str], **more: Any) -> Any:
        return asked([*command, "-mno-sse4.2"], **more)

    monkeypatch.setattr(build.subprocess, "run", other_cpu)
    assert compiled(SOURCES, tmp_path) != here


def test_two_at_once_both_get_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: compiled(SOURCES, tmp_path), range(4)))
    assert len(found) == 1 and found.pop().is_file()
    assert len(list(tmp_path.iterdir())) == 1


WAITING = """#!/bin/sh
case "$*" in *network.so*) ;; *) exec {compiler} "$@";; esac
touch "{folder}/$$"
for turn in $(seq 600); do
  test "$(ls {folder} | wc -l)" -ge 2 && exec {compiler} "$@"
  sleep 0.1
done
exit 1
"""
"""a compiler that begins when another process compiles too"""


def test_two_processes_that_build_the_same_at_once_both_load_it(tmp_path: Path) -> None:
    tools, waiting, cache = (tmp_path / name for name in ("tools", "waiting", "cache"))
    tools.mkdir(), waiting.mkdir()
    compiler = tools / "g++"
    compiler.write_text(WAITING.format(compiler=shutil.which("g++"), folder=waiting))
    compiler.chmod(0o755)
    sources = {
        "one.cc": 'extern "C" __attribute__((visibility("default"))) int one() { return 1; }'
    }
    program = (
        "import ctypes, pathlib\n"
        "from triggerforge.export.native.build import compiled\n"
        f"path = compiled({sources!r}, pathlib.Path({str(cache)!r}))\n"
        "print(path, ctypes.CDLL(str(path)).one())"
    )
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(list(waiting.iterdir())) == 2
    (entry,) = cache.iterdir()
    assert said == {f"{entry / 'network.so'} 1\n"}


def test_what_the_compiler_says_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="expected"):
        compiled({"one.cc": "int one( { }"}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"g\+\+ was not found"):
        compiled(SOURCES, tmp_path)


@pytest.fixture
def engine(source: EngineSource) -> NativeIntRuntime:
    assert source.quantized is not None
    return NativeIntRuntime(source.quantized)


def test_engines_of_both_kinds_work_side_by_side_however_often_they_are_made(
    source: EngineSource,
) -> None:
    x = np.zeros((1, 6), np.float32)
    made = [ENGINES[name](source) for name in ("native", "native-int", "native", "native-int")]
    for engine in made:
        y = np.full_like(engine.predict(x), np.nan)
        engine.bind(x, y)()
        np.testing.assert_array_equal(y, engine.predict(x))
    assert len({id(engine._module) for engine in made}) == len(made)  # type: ignore[attr-defined]


def test_arrays_that_cannot_be_written_or_lie_askew_are_refused(engine: NativeIntRuntime) -> None:
    x = np.zeros((4, 6), np.float32)
    y = engine.predict(x)
    read_only = y.copy()
    read_only.flags.writeable = False
    askew = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(4, 6)
    for pair in ((x, read_only), (askew, y)):
        with pytest.raises(ModelError, match="in place"):
            engine.bind(*pair)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_predict_and_bounded_by_a_bound_call(
    engine: NativeIntRuntime, bad: float
) -> None:
    x = np.full((40, 6), bad, np.float32)
    with pytest.raises(DataError, match="NaN or inf"):
        engine.predict(x)
    y = np.zeros((40, 3))
    engine.bind(x, y)()
    assert np.isfinite(y).all() and (y == y[0]).all()  # full registers and single events alike


@pytest.mark.parametrize("bad", [0, 12_345, 29_999])  # inputs are looked at part by part
def test_the_parts_of_many_events_are_all_computed_and_all_looked_at(
    engine: NativeIntRuntime, source: EngineSource, bad: int
) -> None:
    assert source.quantized is not None
    x = random_port_inputs(source.quantized.contract, 30_000, seed=3)
    parts = [engine.predict(x[start : start + 50]) for start in range(0, 30_000, 50)]
    np.testing.assert_array_equal(engine.predict(x), np.concatenate(parts))
    x[bad, -1] = np.nan
    with pytest.raises(DataError, match="NaN or inf"):
        engine.predict(x)


def test_full_registers_and_single_events_end_inputs_at_the_same_bounds(
    random_model: Callable[..., QuantizedModel],
) -> None:
    quantized = random_model("particles", (("RND", "SAT"), ("TRN", "WRAP")), 1)
    engine = NativeIntRuntime(quantized)
    x = random_port_inputs(quantized.contract, 40, seed=1)
    off = np.random.default_rng(2).random(x.shape) < 0.3
    x[off] = np.resize(np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30]), off.sum())
    together, alone = (np.full((40, 3), np.nan) for _ in range(2))
    engine.bind(x, together)()
    for i in range(40):
        engine.bind(x[i : i + 1], alone[i : i + 1])()
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(together)) > 2


def test_a_bound_call_keeps_its_arrays_and_their_size(engine: NativeIntRuntime) -> None:
    x, y = np.zeros((4, 6), np.float32), np.zeros((4, 3))
    before = sys.getrefcount(x), sys.getrefcount(y)
    call = engine.bind(x, y)
    with pytest.raises(ValueError, match="cannot resize"):
        y.resize((400, 3))
    with pytest.raises(TypeError, match="no arguments"):
        call(x)  # type: ignore[call-arg]
    del call
    assert (sys.getrefcount(x), sys.getrefcount(y)) == before


def test_arrays_that_the_caller_forgets_live_as_long_as_the_call(engine: NativeIntRuntime) -> None:
    x, y = np.ones((40, 6), np.float32), np.zeros((40, 3))
    expected = engine.predict(x)
    call, kept = engine.bind(x, y), [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    call()
    np.testing.assert_array_equal(kept[1](), expected)
    del call
    assert [array() for array in kept] == [None, None]

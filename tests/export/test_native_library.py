"""The static library in programs of others: built strictly, sanitized, linked side by side, from C."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ConfigError, ModelError
from triggerforge.export.files import FLOAT_FILE, write_onnx
from triggerforge.export.float_model import float_onnx
from triggerforge.export.native import library
from triggerforge.export.native.library import main, write_library
from triggerforge.export.native.library_network import LibraryNetwork
from triggerforge.export.runtime import EngineSource
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.trained import TrainedModel

PROGRAMS = Path(__file__).parent / "native_library"
PACKAGES = ("dense", "conv", "attention")
SANITIZED = "-g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
BUILDS = {
    "portable": (),
    "sanitized": (
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DTRIGGERFORGE_ARCH=native",
        f"-DCMAKE_CXX_FLAGS={SANITIZED}",
    ),
}
MODES = (("RND", "SAT"), ("TRN", "WRAP"))


class Attention(nn.Module):
    """One head over five numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(1, 4) for _ in range(3))
        self.out = nn.Linear(20, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(2)
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 2, -1)
        return self.out((weights @ self.v(x)).flatten(1))


class Steps(nn.Module):
    """A convolution over (steps, channels)."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten()
        self.layers = nn.Sequential(*layers, nn.Linear(20, 3), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.transpose(1, 2))


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "dense": ("mlp", lambda: nn.Sequential(nn.Linear(6, 21), nn.ReLU(), nn.Linear(21, 3))),
    "conv": ("sequence", Steps),
    "attention": ("softmax", Attention),
}


def run(*words: Any) -> str:
    """What a command prints; its words in the error if it fails."""
    # the wheel's cmake and ctest come before the system's
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    program = shutil.which(words[0], path=path)
    command = [str(program), *map(str, words[1:])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(
    random_model: Callable[..., QuantizedModel], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, EngineSource]:
    made = {}
    for name, (architecture, module) in NETWORKS.items():
        quantized = random_model(architecture, MODES, 1)
        torch.manual_seed(1)
        task = {"class": "none"}
        trained = TrainedModel(module().eval(), quantized.contract, quantized.classes, task, [])
        folder = tmp_path_factory.mktemp(name)
        write_onnx(float_onnx(trained), folder / FLOAT_FILE)
        made[name] = EngineSource(trained, quantized, folder)
    return made


@pytest.fixture(scope="module")
def packages(
    sources: dict[str, EngineSource], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("packages")
    for name, source in sources.items():
        names = write_library(source, root / name, name)
        assert names == [f"{name}_float", f"{name}_quantized"]
    return {name: root / name for name in sources}


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
def test_all_networks_in_one_program_give_what_was_recorded(
    packages: dict[str, Path], tmp_path: Path, build: str
) -> None:
    shutil.copytree(PROGRAMS, tmp_path, dirs_exist_ok=True)
    networks = [f"{name}_{kind}" for name in packages for kind in library.KINDS]
    lines = [f'#include "triggerforge_{n}.h"' for n in networks]
    calls = [
        f'f("{n}", triggerforge_{n}_run, triggerforge_{n}_prepare, '
        f"TRIGGERFORGE_{n.upper()}_INPUTS, TRIGGERFORGE_{n.upper()}_OUTPUTS)"
        for n in networks
    ]
    lines.append(f"#define ALL_NETWORKS(f) {' + '.join(calls)}\n")
    (tmp_path / "networks.h").write_text("\n".join(lines))
    for name, path in packages.items():
        (tmp_path / name).symlink_to(path)
    strict = ("-DTRIGGERFORGE_STRICT=ON", "-DTRIGGERFORGE_EXAMPLE=ON")
    where = ("-S", tmp_path, "-B", tmp_path / "build", f"-DPACKAGES={';'.join(packages)}")
    run("cmake", *where, *strict, *BUILDS[build])
    run("cmake", "--build", tmp_path / "build", "-j", 2)
    said = run("ctest", "--test-dir", tmp_path / "build", "--output-on-failure", "-V")
    assert said.count("   Passed ") == len(packages) + 1
    assert said.count("inputs as recorded, 0 of") == len(networks)
    if build == "portable":
        require_own_names_and_no_dependency(tmp_path / "build")


def require_own_names_and_no_dependency(folder: Path) -> None:
    """No allocation, no lock, nothing of C++'s library: what the archives want is C's arithmetic."""
    for archive in folder.rglob("*.a"):
        made = run("nm", "--extern-only", "--defined-only", archive).splitlines()
        names = [line.split()[-1] for line in made if len(line.split()) == 3]
        assert names and all(archive.stem.removeprefix("lib") in name for name in names)
        wanted = {
            line.split()[-1] for line in run("nm", "-u", archive).splitlines() if " U " in line
        }
        assert wanted <= {"memcpy", "memset"}


def test_a_program_in_c_finds_the_installed_package(
    packages: dict[str, Path], sources: dict[str, EngineSource], tmp_path: Path
) -> None:
    lean = ("-DTRIGGERFORGE_EXAMPLE=OFF", f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'installed'}")
    run("cmake", "-S", packages["dense"], "-B", tmp_path / "library", *lean)
    run("cmake", "--build", tmp_path / "library", "--target", "install")
    found = f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}"
    run("cmake", "-S", PROGRAMS / "consumer", "-B", tmp_path / "consumer", found)
    run("cmake", "--build", tmp_path / "consumer")
    lines = run(tmp_path / "consumer" / "consumer").splitlines()
    quantized = sources["dense"].quantized
    assert quantized is not None
    contract = quantized.contract
    assert lines[:6] == [f"{f.name} {f.unit} {f.format}" for f in contract.features]
    outputs = quantized.predict(np.zeros((1, 6), np.float32))[0]
    expected = zip(quantized.classes, quantized.output_formats, outputs, strict=True)
    shown = [line.rsplit(" ", 1) for line in lines[6:]]
    assert [(head, float.fromhex(y)) for head, y in shown] == [
        (f"{n} {f}", y) for n, f, y in expected
    ]


@pytest.fixture(scope="module")
def example(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of one package, as a program."""
    folder = tmp_path_factory.mktemp("example")
    run("cmake", "-S", packages["dense"], "-B", folder, "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", folder, "-j", 2)
    return folder / "triggerforge_dense_example"


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("dense_quantized", lambda words: [*words[:-1], "0x1p-20"], "4 of"),
        ("dense_float", lambda words: [*words[:-1], "nan"], "4 of"),
        ("dense_float", lambda words: [*words[:2], "0x1p+9", *words[3:]], "DIFFER"),
        ("dense_float", lambda words: words[:-1], "no file of recorded events"),
    ],
)
def test_the_example_fails_where_something_differs(
    packages: dict[str, Path],
    example: Path,
    tmp_path: Path,
    file: str,
    change: Callable[[list[str]], list[str]],
    said: str,
) -> None:
    vectors = Path(shutil.copytree(packages["dense"] / "vectors", tmp_path / "vectors"))
    words = (vectors / f"{file}.txt").read_text().split()
    (vectors / f"{file}.txt").write_text(" ".join(change(words)))
    done = subprocess.run([example, vectors], capture_output=True, text=True, check=False)
    assert done.returncode > 0 and said in done.stdout + done.stderr


FORMATS = [
    f"ap_{sign}fixed<{width},{integer},{rounding},{overflow}>"
    for sign, width, integer in (("", 9, 4), ("u", 7, 9), ("", 12, -1))
    for rounding in ("TRN", "RND", "RND_CONV")
    for overflow in ("WRAP", "SAT", "SAT_SYM")
]


def every_mode() -> InputContract:
    """Features of every format, with names that C must not mistake."""
    features = tuple(
        InputFeature(f'p"{i}\\ η??/', "GeV*/", 3.7 * i - 40, i % 5 - 2, fmt, fmt.range[1])
        for i, fmt in enumerate(map(FixedFormat.parse, FORMATS))
    )
    return InputContract(features, (2, len(features)), "pT, falling")


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """(raw, mask) -> x and how many values have no place, for the contract of every mode."""
    folder, contract = tmp_path_factory.mktemp("prepare"), every_mode()
    network = LibraryNetwork(
        *("ports", contract, ("y",), ("float",), {"none.cc": ""}, "float", ""),
        *(np.zeros((1, *contract.shape)), np.zeros((1, 1)), 0.0),
    )
    for path, text in network.files().items():
        (folder / Path(path).name).write_text(text)
    run("g++", "-shared", "-fPIC", folder / "ports_inputs.cc", "-o", folder / "ports.so")
    call = ctypes.CDLL(str(folder / "ports.so")).triggerforge_ports_prepare
    call.restype = ctypes.c_long

    def prepare(raw: Any, mask: Any = None) -> tuple[Any, int]:
        x = np.empty(raw.shape, np.float32)
        present = None if mask is None else np.ascontiguousarray(mask, np.uint8)
        pointers = [
            None if a is None else ctypes.c_void_p(a.ctypes.data) for a in (raw, present, x)
        ]
        return x, call(*pointers, ctypes.c_long(len(raw)))

    return prepare


def test_inputs_are_prepared_as_the_contract_says(prepare: Callable[..., Any]) -> None:
    contract, random = every_mode(), np.random.default_rng(2)
    formats = [f.format for f in contract.features]
    low, high = (np.array(ends) for ends in zip(*(f.range for f in formats), strict=True))
    spread = random.uniform(-1, 2, (3000, *contract.shape)) * (high - low) + low
    lsb = np.array([f.lsb for f in formats])
    halves = np.round(spread / lsb) * lsb + lsb / 2 * random.integers(0, 2, spread.shape)
    x = np.concatenate([spread, halves, 1e12 * spread])
    raw = np.ldexp(x, [f.shift for f in contract.features])
    raw += [f.offset for f in contract.features]
    there = random.random((len(raw), 2)) < 0.7
    expected = contract.normalize(raw)
    got, without_place = prepare(raw)
    np.testing.assert_array_equal(got, contract.quantize(expected))
    expected[~there] = np.array([f.padding for f in contract.features], np.float32)
    masked, _ = prepare(raw, there)
    np.testing.assert_array_equal(masked, contract.quantize(expected))
    assert without_place == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_has_no_place_in_a_format_is_counted(prepare: Callable[..., Any], bad: float) -> None:
    contract = every_mode()
    ends = [f.format.range[int(bad > 0)] for f in contract.features]
    wraps = np.array([f.format.overflow == "WRAP" or np.isnan(bad) for f in contract.features])
    got, without_place = prepare(np.full((1, *contract.shape), bad))
    np.testing.assert_array_equal(got[0, 1], np.where(wraps, np.nan, ends).astype(np.float32))
    assert without_place == 2 * wraps.sum()
    assert prepare(np.full((1, *contract.shape), bad), np.zeros((1, 2)))[1] == 0


@pytest.mark.parametrize("name", ["", "two words", "class", "9lives", "a-b", "x" * 41, "a;b"])
def test_a_name_that_c_would_not_take_is_refused(
    sources: dict[str, EngineSource], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="--name"):
        write_library(sources["dense"], tmp_path / "new", name)
    assert list(tmp_path.iterdir()) == []


def test_another_folder_is_never_replaced(sources: dict[str, EngineSource], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ConfigError, match="there already"):
        write_library(sources["dense"], tmp_path, "dense")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_what_fails_leaves_nothing(
    sources: dict[str, EngineSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LibraryNetwork, "files", lambda self: {"src/x.cc": "\ud800"})
    with pytest.raises(UnicodeEncodeError):
        write_library(sources["dense"], tmp_path / "new", "dense")
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_networks_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no float network"):
        write_library(EngineSource(export_folder=tmp_path), tmp_path / "new", "dense", ("float",))


def test_the_command_writes_what_a_run_has(
    sources: dict[str, EngineSource], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, new = sources["dense"], tmp_path / "new"
    assert source.quantized is not None and source.export_folder is not None
    assert main([str(tmp_path), str(new)]) == 1
    assert "no stage export" in capsys.readouterr().err
    run_folder = tmp_path / "jets"
    shutil.copytree(source.export_folder, run_folder / "export")
    (run_folder / "compress").mkdir()
    source.quantized.save(run_folder / "compress" / MODEL_FILE)
    assert main([str(run_folder), str(new), "--only", "quantized"]) == 0
    assert [p.name for p in (new / "include").iterdir()] == ["triggerforge_jets_quantized.h"]
    assert main([str(run_folder), str(tmp_path / "both"), "--name", "top"]) == 0
    assert "top_float, top_quantized" in capsys.readouterr().out

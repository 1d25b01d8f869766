"""Peak memory of reading and scoring: a file of 20 chunks against a file of one chunk.

    python -m triggerforge.benchmark.memory

writes random jets to a temporary folder, scores each file in a process of its own with a small
quantised network in onnxruntime, and prints the largest resident set of each. The footprint of the
chunk is what the one-chunk file takes beyond the libraries and the network in memory. Ends with
status 1 if a 20-chunk file takes more than 1.2 times that. The allocator of these processes gives
back what is freed: its own holes, 3 to 12 MiB otherwise, are not what is measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import onnx
import uproot
from numpy.typing import NDArray

from triggerforge.border import answer
from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.score import score_file
from triggerforge.export.engines.onnxruntime import session
from triggerforge.fixedpoint import FixedFormat

LIMIT = 1.2
_MIB = 2**20
_SLOTS = 150
_GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc: arrays of 64 KiB and more never stay in the heap"""
_FORMATS = {"root": ("root", "root"), "lhcjets": ("h5", "parquet")}
"""format -> endings of the file that is read, and of the one that is written"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; gives back the exit status."""
    options = _options(arguments)
    if options.child:
        sys.stdout.write(json.dumps(_measure(options)) + "\n")
        return 0
    sys.stdout.write("format   entries  peak MiB  at start MiB  footprint MiB  ratio\n")
    worst = 0.0
    network = _network(_contract())
    for name in options.formats:
        one = _in_child(name, options.chunk, 1, network)
        many = _in_child(name, options.chunk, options.chunks, network)
        for result in (one, many):
            ratio = result["footprint"] / one["footprint"]
            worst = max(worst, ratio)
            sys.stdout.write(
                f"{name:8s} {result['entries']:7d}  {result['peak'] / _MIB:8.1f}  "
                f"{result['start'] / _MIB:12.1f}  {result['footprint'] / _MIB:13.1f}  "
                f"{ratio:5.2f}\n"
            )
    verdict = "within" if worst <= LIMIT else "ABOVE"
    sys.stdout.write(f"largest ratio {worst:.2f}: {verdict} the limit of {LIMIT}\n")
    return int(worst > LIMIT)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m triggerforge.benchmark.memory")
    parser.add_argument("--chunk", type=int, default=10_000, help="entries of a chunk")
    parser.add_argument("--chunks", type=int, default=20, help="chunks of the large file")
    parser.add_argument("--formats", nargs="+", choices=list(_FORMATS), default=list(_FORMATS))
    parser.add_argument("--child", choices=list(_FORMATS), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--network", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _in_child(name: str, chunk: int, chunks: int, network: onnx.ModelProto) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "network.onnx"
        onnx.save(network, model)
        source = Path(folder) / f"jets.{_FORMATS[name][0]}"
        _WRITERS[name](source, chunk, chunks)
        command = [sys.executable, "-m", "triggerforge.benchmark.memory", "--child", name]
        command += ["--source", str(source), "--chunk", str(chunk), "--network", str(model)]
        environment = os.environ | _GIVES_BACK
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(done.stderr)
    result: dict[str, int] = json.loads(done.stdout)
    return result


def _measure(options: argparse.Namespace) -> dict[str, int]:
    """Peak resident set in bytes, before the file is opened and at the end."""
    source, ending = options.source, _FORMATS[options.child][1]
    engine = session(onnx.load(options.network))
    start = _resident("VmRSS")
    done = score_file(
        lambda x: np.asarray(engine.run(None, {"x": x})[0]),
        _config(options.child, options.chunk),
        _contract(),
        source,
        source.with_name(f"scores.{ending}"),
    )
    peak = _resident("VmHWM")
    return {
        "entries": done.entries,
        "start": start,
        "peak": peak,
        "footprint": peak - start,
    }


def _network(contract: InputContract) -> onnx.ModelProto:
    """A quantised network, x (N, 16, 3) to logits (N, 2)."""
    # not at the top: the processes that are measured load its file, and none of these
    import torch
    from torch import nn

    from triggerforge.compression.backend import hgq
    from triggerforge.compression.lowering import lower
    from triggerforge.compression.quantized_model import QuantizedModel
    from triggerforge.compression.scheme import QuantizationScheme
    from triggerforge.export.quantized import quantized_onnx

    torch.manual_seed(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 2))
    model = lower(module, contract, QuantizationScheme())
    x = np.random.default_rng(1).normal(size=(1000, *contract.shape))
    hgq.utils.trace_minmax(model, contract.quantize(x))
    return quantized_onnx(QuantizedModel.from_keras(model, contract, ("g", "q")))


def _resident(key: str) -> int:
    """VmRSS or VmHWM (its peak) of this process in bytes.

    Not ru_maxrss: a child process inherits there what its parent had at the fork.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def _config(name: str, chunk: int) -> DataConfig:
    settings: dict[str, Any] = {
        "format": name,
        "chunk": chunk,
        "inputs": {"kind": "constituents", "names": ["pt_rel", "deta", "dphi"]},
    }
    if name == "root":
        particles = {quantity: f"part_{quantity}" for quantity in ("pt", "eta", "phi")}
        settings["mapping"] = {"constituents": particles}
        settings["label"] = {"q": "label == 0", "g": "label == 1"}
    else:
        settings["classes"] = ["g", "q"]
    return DataConfig.model_validate(settings)


def _contract() -> InputContract:
    grid = FixedFormat.parse("ap_fixed<12,2,RND,SAT>")
    features = tuple(InputFeature(n, "1", 0.0, 0, grid) for n in ("pt_rel", "deta", "dphi"))
    return InputContract(features, (16, 3), "pT, falling")


def _pieces(chunk: int, chunks: int) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Random jets: (n, slots, 3) pT, eta, phi; (n, slots) which are there; (n,) labels."""
    rng = np.random.default_rng(1)
    for _ in range(chunks):
        momenta = rng.normal(size=(chunk, _SLOTS, 3)).astype(np.float32)
        momenta[:, :, 0] = rng.exponential(10, (chunk, _SLOTS)) + 0.5
        there = np.arange(_SLOTS) < rng.integers(20, 80, chunk)[:, None]
        yield momenta, there, rng.integers(0, 2, chunk)


def _write_root(path: Path, chunk: int, chunks: int) -> None:
    with uproot.recreate(path) as file:
        for i, (momenta, there, label) in enumerate(_pieces(chunk, chunks)):
            flat = {n: momenta[:, :, k][there] for k, n in enumerate(("pt", "eta", "phi"))}
            part = ak.unflatten(ak.zip(flat), there.sum(axis=1))
            columns = {"part": part, "label": label}
            if i == 0:
                tree = file.mktree("jets", {"part": part.type.content, "label": label.dtype})
            tree.extend(columns)


def _write_lhcjets(path: Path, chunk: int, chunks: int) -> None:
    particles = ["px", "py", "pz", "e", "erel", "pt", "ptrel", "eta", "etarel", "etarot"]
    particles += ["phi", "phirel", "phirot", "deltaR", "costheta", "costhetarel"]
    jets = ["j_pt", "j_eta", "j_mass", "j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"]
    with h5py.File(path, "w") as file:
        file["particleFeatureNames"] = [f"j1_{n}".encode() for n in [*particles, "pdgid"]]
        file["jetFeatureNames"] = [n.encode() for n in jets]
        lists = file.create_dataset(
            "jetConstituentList", (chunk * chunks, _SLOTS, 16), "f8", chunks=(100, _SLOTS, 16)
        )
        table = file.create_dataset("jets", (chunk * chunks, len(jets)), "f8")
        for i, (momenta, there, label) in enumerate(_pieces(chunk, chunks)):
            rows = slice(i * chunk, (i + 1) * chunk)
            full = np.zeros((chunk, _SLOTS, 16))
            columns = [particles.index(n) for n in ("ptrel", "etarel", "phirel")]
            full[:, :, columns] = momenta * there[:, :, None]
            for name in ("pt", "e"):
                full[:, :, particles.index(name)] = momenta[:, :, 0] * there
            lists[rows] = full
            flags = np.zeros((chunk, len(jets)))
            flags[np.arange(chunk), jets.index("j_g") + label] = 1
            table[rows] = flags


_WRITERS = {"root": _write_root, "lhcjets": _write_lhcjets}

if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.benchmark.memory"))

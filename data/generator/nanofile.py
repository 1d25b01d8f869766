"""A small file in the layout of CMS NanoAOD, from generated jets: what configs/nanoaod.yaml reads.

    python -m triggerforge.data.generator.nanofile examples/nanoaod.root --jets 2000 --seed 1

Tree `Events` with run, luminosityBlock, event, and the collection `Jet` under the names and types that
NanoAOD gives its columns (https://cms-nanoaod-integration.web.cern.ch). partonFlavour is 21 for jets
matched to a gluon and 1 for those matched to a light quark.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator.particles import Kind
from triggerforge.data.generator.schema import TREE

RECIPE = Path(__file__).with_name("recipe_files") / "nanoaod.yaml"
_FLAVOUR = np.array([1, 21], np.int32)
"""by the recipe's labels"""
_FRACTIONS = {
    "chHEF": Kind.CHARGED_HADRON,
    "neHEF": Kind.NEUTRAL_HADRON,
    "neEmEF": Kind.PHOTON,
    "chEmEF": Kind.ELECTRON,
    "muEF": Kind.MUON,
}
"""column -> the constituents whose part of the jet's energy it is"""


def nano_events(jets: ak.Array) -> dict[str, Any]:
    """Columns of `Events` from the generator's jets; jets of one collision are one entry."""
    energy = ak.sum(jets.part_energy, axis=1)
    columns = {name: jets[f"jet_{name}"] for name in ("pt", "eta", "phi", "mass")}
    columns |= {
        name: ak.values_astype(
            ak.sum(jets.part_energy[jets.part_class == int(kind)], axis=1) / energy, np.float32
        )
        for name, kind in _FRACTIONS.items()
    }
    columns["nConstituents"] = ak.values_astype(jets.npart, np.uint8)
    columns["partonFlavour"] = _FLAVOUR[np.asarray(jets.label)]
    order = np.lexsort((-np.asarray(jets.jet_pt), np.asarray(jets.event)))
    counts = ak.run_lengths(jets.event[order])
    records = ak.unflatten(ak.zip(columns)[order], counts)
    return {
        "run": np.ones(len(counts), np.uint32),
        "luminosityBlock": np.ones(len(counts), np.uint32),
        "event": np.arange(1, len(counts) + 1, dtype=np.uint64),
        "Jet": records,
    }


def write_nano(path: Path, jets: int, seed: int) -> None:
    """Generates `jets` quark and gluon jets and writes them to `path`.

    Raises what `generate` raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = GenerateConfig(recipe=str(RECIPE), jets=jets)
        with uproot.open(generate(config, seed, Path(folder))) as file:
            columns = nano_events(file[TREE].arrays())
    with uproot.recreate(path, compression=uproot.LZMA(6)) as file:
        types = {
            n: v.type.content if isinstance(v, ak.Array) else v.dtype for n, v in columns.items()
        }
        file.mktree("Events", types).extend(columns)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m triggerforge.data.generator.nanofile",
        description="A small NanoAOD-like file.",
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--jets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_nano(options.file, options.jets, options.seed)


if __name__ == "__main__":
    main()

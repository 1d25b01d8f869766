"""Every format gives the same network inputs for the same jets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.config.data import DataConfig
from triggerforge.data.features import HIGH_LEVEL
from triggerforge.data.readers.opening import open_reader, sniff
from triggerforge.data.source import Count, EventSource

FORMATS = {
    "toptag": "toptag",
    "lhco": "lhco",
    "lhcjets": "lhcjets",
    "energyflow": "energyflow",
    "quadruple": "energyflow",
    "generator": "generator",
    "jetclass": "jetclass",
    "pfnano": "pfnano",
}
LABELS: dict[str, dict[str, Any]] = {
    "quadruple": {"classes": ["gluon", "quark"]},
    "pfnano": {"label": {"a": "truth == 0", "b": "truth == 1"}},
    "jetclass": {"classes": ["QCD", "Hbb"]},
    "lhcjets": {"classes": ["g", "q"]},
    "arff": {"classes": ["g", "q"]},
    "parquet": {"classes": ["g", "q"]},
}
NAMES = ["log_pt", "pt_rel", "deta", "dphi", "delta_r", "energy_rel", "px / pt", "valid"]


def expected(jets: Any, slots: int) -> np.ndarray:
    """The inputs NAMES, by a loop over jets."""
    out = np.zeros((len(jets), slots, len(NAMES)))
    axis = jets.summed()
    ends = np.cumsum(jets.counts)
    for j, (end, count) in enumerate(zip(ends, jets.counts, strict=True)):
        rows = np.arange(end - count, end)[:slots]  # pT falls already
        pt, eta, phi = jets.pt[rows], jets.eta[rows], jets.phi[rows]
        dphi = np.angle(np.exp(1j * (phi - axis["phi"][j])))
        deta = eta - axis["eta"][j]
        out[j, : len(rows)] = np.stack(
            [
                np.log(pt),
                pt / axis["pt"][j],
                deta,
                dphi,
                np.sqrt(deta**2 + dphi**2),
                pt * np.cosh(eta) / axis["energy"][j],
                np.cos(phi),
                np.ones(len(rows)),
            ],
            axis=1,
        )
    return out


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("chunk", [7, 1000])
def test_constituents_are_the_same_in_every_format(
    layout: str, chunk: int, jets: Any, written: Callable[..., Path]
) -> None:
    path = written(layout, jets)
    inputs = {"kind": "constituents", "constituents": 8, "names": NAMES}
    config = DataConfig.model_validate({"chunk": chunk, "inputs": inputs} | LABELS.get(layout, {}))
    source = EventSource(path, config)
    assert source.reader.format == FORMATS[layout] == sniff(path, config)
    batches = list(source.batches(count := Count()))
    raw = np.concatenate([b.inputs.raw for b in batches])
    np.testing.assert_allclose(raw, expected(jets, 8), atol=2e-4)
    mask = np.concatenate([b.inputs.mask for b in batches])
    np.testing.assert_array_equal(mask, np.arange(8) < jets.counts[:, None])
    np.testing.assert_array_equal(np.concatenate([b.label for b in batches]), jets.label)
    np.testing.assert_array_equal(np.concatenate([b.place for b in batches]), np.arange(60))
    assert count.read == 60 and sum(count.kept.values()) == 60
    pt = np.concatenate([b.observables["jet_pt"] for b in batches])
    np.testing.assert_allclose(pt, jets.summed()["pt"], rtol=1e-5)


@pytest.mark.parametrize("layout", ["lhcjets", "arff", "parquet", "generator"])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_high_level_features_are_the_same_in_every_format(
    layout: str, chunk: int, jets: Any, written: Callable[..., Path]
) -> None:
    config = DataConfig.model_validate({"chunk": chunk} | LABELS.get(layout, {}))
    source = EventSource(written(layout, jets), config)
    assert source.builder.names == HIGH_LEVEL
    batches = list(source.batches(Count()))
    raw = np.concatenate([b.inputs.raw for b in batches])
    np.testing.assert_allclose(raw, jets.features, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([b.label for b in batches]), jets.label)


@pytest.mark.parametrize("layout", ["generator", "jetclass", "pfnano", "energyflow"])
def test_particle_classes_and_charge(layout: str, jets: Any, written: Callable[..., Path]) -> None:
    names = ["charge", "is_photon", "is_electron", "is_muon", "is_charged_hadron"]
    names += ["is_neutral_hadron"]
    inputs = {"kind": "constituents", "constituents": 20, "names": names}
    config = DataConfig.model_validate({"inputs": inputs} | LABELS.get(layout, {}))
    (batch,) = EventSource(written(layout, jets), config).batches(Count())
    found = batch.inputs.raw[batch.inputs.mask]
    charge = {211: 1, -211: -1, 22: 0, 130: 0, 11: -1, -13: 1}
    np.testing.assert_array_equal(found[:, 0], [charge[c] for c in jets.pdgid])
    code = np.abs(jets.pdgid)
    for i, own in enumerate([22, 11, 13, 211, 130]):
        np.testing.assert_array_equal(found[:, 1 + i], code == own)


@pytest.mark.parametrize("complib", ["zlib", "blosc", "blosc:lz4", "blosc:zstd"])
def test_compressed_pandas_tables(complib: str, jets: Any, written: Callable[..., Path]) -> None:
    path = written("toptag", jets, complib=complib, complevel=5)
    reader = open_reader(path, DataConfig())
    plan = EventSource(path, DataConfig(chunk=13, inputs={"kind": "constituents"}))
    total = sum(batch.inputs.mask.sum() for batch in plan.batches(Count()))
    assert reader.entries == 60
    assert total == np.minimum(jets.counts, 16).sum()


def test_order_of_the_file_is_kept_if_wanted(jets: Any, written: Callable[..., Path]) -> None:
    path = written("pfnano", jets)
    settings = {"kind": "constituents", "constituents": 20, "names": ["pt"]}
    orders = {}
    for order in ("pt", "file"):
        inputs = settings | {"order": order}
        config = DataConfig.model_validate({"inputs": inputs} | LABELS["pfnano"])
        (batch,) = EventSource(path, config).batches(Count())
        orders[order] = batch.inputs.raw[:, :, 0]
    assert (np.diff(orders["pt"], axis=1) <= 0).all()
    assert not (np.diff(orders["file"], axis=1) <= 0).all()
    np.testing.assert_array_equal(np.sort(orders["file"])[:, ::-1], orders["pt"])


def test_classes_choose_and_order(jets: Any, written: Callable[..., Path]) -> None:
    path = written("generator", jets)
    config = DataConfig(classes=("top", "light"))
    (batch,) = EventSource(path, config).batches(Count())
    np.testing.assert_array_equal(batch.label, 1 - jets.label)


def test_events_that_meet_no_condition_are_left_out(
    jets: Any, written: Callable[..., Path]
) -> None:
    label = {"soft": "jet_pt < 100", "hard": "jet_pt > 200"}
    source = EventSource(written("generator", jets), DataConfig(label=label))
    batches = list(source.batches(count := Count()))
    pt = jets.summed()["pt"]
    assert source.classes == ("soft", "hard")
    assert count.unlabelled == ((pt >= 100) & (pt <= 200)).sum() > 0
    kept = (pt < 100) | (pt > 200)
    np.testing.assert_array_equal(batches[0].place, np.flatnonzero(kept))


def test_event_branches_are_repeated_for_each_jet(jets: Any, written: Callable[..., Path]) -> None:
    path = written("pfnano", jets)
    inputs = {"names": ["MET_pt", "pt", "wide"]}
    mapping = {"columns": {"wide": "sum(PFCands_pt)"}}
    config = DataConfig.model_validate({"inputs": inputs, "mapping": mapping} | LABELS["pfnano"])
    (batch,) = EventSource(path, config).batches(Count())
    np.testing.assert_array_equal(batch.inputs.raw[:, 0], np.repeat(np.arange(30), 2))
    np.testing.assert_allclose(batch.inputs.raw[:, 1], jets.summed()["pt"], rtol=1e-6)
    assert (batch.inputs.raw[::2, 2] == batch.inputs.raw[1::2, 2]).all()

"""Quark and gluon jets of the EnergyFlow set: a network learns what is known about them."""

from pathlib import Path

import numpy as np
import pytest

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.metrics import classification_metrics
from triggerforge.training.train import train

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "quarkgluon_sample"
PARTICLES = 32
FORMATS = {
    "pt_rel": "ap_ufixed<10,0,RND,SAT>",
    "deta": "ap_fixed<10,0,RND,SAT>",
    "dphi": "ap_fixed<10,0,RND,SAT>",
    "valid": "ap_ufixed<1,1>",
}


@pytest.fixture
def jets() -> Splits:
    """1400, 200 and 400 jets with their 32 leading constituents."""
    if not FOLDER.is_dir():
        pytest.skip("the quark/gluon sample is not beside this checkout")
    px, py, pz, _ = np.moveaxis(np.load(FOLDER / "qg_pf_vectors.npy").astype(np.float64), 1, 0)
    mask = np.load(FOLDER / "qg_pf_mask.npy").reshape(px.shape) > 0
    px, py, pz = (np.where(mask, p, 0)[:, :PARTICLES] for p in (px, py, pz))
    mask = mask[:, :PARTICLES]
    pt = np.hypot(px, py)
    jet = [p.sum(axis=1, keepdims=True) for p in (px, py, pz)]
    jet_pt = np.hypot(jet[0], jet[1])
    safe = np.where(mask, pt, 1)
    deta = np.arcsinh(pz / safe) - np.arcsinh(jet[2] / jet_pt)
    dphi = np.angle(np.exp(1j * (np.arctan2(py, px) - np.arctan2(jet[1], jet[0]))))
    x = np.stack([pt / jet_pt, deta, dphi, np.ones_like(pt)], axis=2) * mask[..., None]
    features = tuple(InputFeature(n, "", 0.0, 0, FixedFormat.parse(f)) for n, f in FORMATS.items())
    data = Dataset(
        x=x.astype(np.float32),
        y=np.load(FOLDER / "qg_labels.npy").astype(np.int64),
        weight=np.ones(len(x), np.float32),
        contract=InputContract(features, (PARTICLES, 4), "pT, falling"),
        classes=("gluon", "quark"),
        mask=mask,
    )
    order = np.random.default_rng(3).permutation(len(x))
    return Splits(*(data.take(part) for part in np.split(order, [1400, 1600])))


def test_deepsets_tell_quarks_from_gluons(jets: Splits, tmp_path: Path) -> None:
    config = TrainConfig.model_validate(
        {"model": {"name": "deepsets", "kwargs": {"pool": "sum"}}, "epochs": 25, "batch_size": 100}
    )
    trained = train(config, jets, 1, tmp_path)
    test = jets.test
    found = classification_metrics(
        trained.predict(test.quantized_x), test.y, test.weight, test.classes
    )
    counted = classification_metrics(
        np.stack([test.mask.sum(axis=1), np.zeros(len(test))], axis=1),  # type: ignore[union-attr]
        test.y,
        test.weight,
        test.classes,
    )
    # gluon jets have more constituents (1405.6583): the network must find that, and not less
    assert counted["auc"]["gluon"] > 0.6
    assert found["auc"]["gluon"] > 0.75

"""HGQ2 models as others write them: what is taken gives the file's own numbers, what is not is named."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.imported import import_model
from triggerforge.compression.model_file import from_file
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import ArtifactError, ModelError

L, K = hgq.layers, keras.layers


def trained(*layers: Any, inputs: int = 4) -> keras.Model:
    """A Sequential model whose quantisers have seen numbers."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((inputs,)), *layers])
    x = np.random.default_rng(1).normal(0, 2, (500, inputs)).astype(np.float32)
    hgq.utils.trace_minmax(model, x)
    return model


def saved(model: keras.Model, folder: Path) -> Path:
    model.save(folder / "theirs.keras")
    return folder / "theirs.keras"


def extremes(made: QuantizedModel, events: int = 300) -> np.ndarray:
    """Random numbers and the ends of all ranges, which saturate and wrap what can."""
    random = np.random.default_rng(2)
    low, high = np.array([feature.format.range for feature in made.contract.features]).T
    ends = np.where(random.random((events, *made.contract.shape)) < 0.5, low, high)
    return np.concatenate([corner_inputs(made.contract, events, 1), ends.astype(np.float32)])


def quantised(place: str = "datalane") -> Any:
    return hgq.config.QuantizerConfig("kif", place, k0=0, i0=0, f0=6, overflow_mode="SAT")


SQUASHED: dict[str, Callable[[], list[Any]]] = {
    "softmax in the layer": lambda: [
        L.QDense(3, activation="softmax", enable_oq=True, oq_conf=quantised())
    ],
    "softmax layer": lambda: [L.QDense(3), K.Softmax(), hgq.quantizer.Quantizer(quantised())],
    "activation": lambda: [
        *(L.QDense(3), K.Activation("softmax"), hgq.quantizer.Quantizer(quantised())),
        K.Activation("linear"),
    ],
    "sigmoid": lambda: [L.QDense(3, activation="sigmoid", enable_oq=True, oq_conf=quantised())],
    "plain sigmoid": lambda: [L.QDense(3, activation="sigmoid")],
}


@pytest.mark.parametrize("name", SQUASHED)
def test_the_winner_stays_without_the_last_squashing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(L.QDense(6, activation="relu"), *SQUASHED[name]())
    made = from_file(saved(model, tmp_path))
    x = extremes(made)
    theirs, ours = np.asarray(model(x)), made.predict(x)
    assert ours.min() < 0 and ours.max() > 1  # logits
    clear = (theirs == theirs.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert clear.mean() > 0.3
    np.testing.assert_array_equal(theirs.argmax(axis=1)[clear], ours.argmax(axis=1)[clear])
    # and what is left out is all that is missing
    squash = keras.activations.sigmoid if "sigmoid" in name else keras.activations.softmax
    values = np.asarray(squash(ours.astype(np.float32)))
    step = 2.0**-6 if name != "plain sigmoid" else 1e-6
    assert np.abs(values - theirs).max() <= step
    told = " ".join(capsys.readouterr().err.split())
    assert "outputs are logits" in told and ("quantiser of its values" in told) == (step > 1e-3)


def test_a_softmax_that_hardware_computes_is_kept(tmp_path: Path) -> None:
    model = trained(L.QDense(3), L.QSoftmax())
    made = from_file(saved(model, tmp_path))
    x = extremes(made, 50)
    np.testing.assert_array_equal(made.predict(x), np.asarray(model(x)))


REFUSED: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "float dense last": (lambda: [L.QDense(4, activation="relu"), K.Dense(2, name="head")], "head"),
    "float normalisation first": (
        lambda: [K.BatchNormalization(name="norm"), L.QDense(2)],
        "norm",
    ),
    "LeakyReLU": (lambda: [L.QDense(4), K.LeakyReLU(name="leaky"), L.QDense(2)], "leaky"),
    "sigmoid inside": (
        lambda: [L.QDense(4, activation="sigmoid", name="inner"), L.QDense(2)],
        "inner",
    ),
    "float scale": (lambda: [K.Rescaling(0.3, name="scale"), L.QDense(2)], "scale"),
    "PReLU": (lambda: [L.QDense(4), K.PReLU(name="slopes"), L.QDense(2)], "slopes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_of_floats_is_named(name: str, tmp_path: Path) -> None:
    layers, layer = REFUSED[name]
    with pytest.raises(ModelError, match=rf"theirs\.keras: .*{layer}") as caught:
        from_file(saved(trained(*layers()), tmp_path))
    assert "\n" not in str(caught.value)


def test_a_table_of_all_sums_is_named(tmp_path: Path) -> None:
    """Without a quantiser before it, a table has an entry for every sum of the layer before."""
    fine = hgq.config.QuantizerConfig("kif", "weight", i0=2, f0=20)
    given = hgq.config.QuantizerConfig("kif", "datalane", i0=3, f0=10)
    model = trained(
        L.QDense(4, kq_conf=fine, iq_conf=given),
        *(L.QUnaryFunctionLUT("tanh", enable_iq=False, name="wide"), L.QDense(2)),
    )
    with pytest.raises(ModelError, match=r"wide.*table of .* entries"):
        from_file(saved(model, tmp_path))


def as_published(path: Path) -> Path:
    """The same file with the name that HGQ-LUT's published files have for the class."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = members["config.json"]
    members["config.json"] = text.replace(b'"hgq>QDenseT"', b'"hgq2>QDenseT"')
    assert members["config.json"] != text
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("published", [False, True])
def test_tables_load_with_bit_map_and_cost(published: bool, tmp_path: Path) -> None:
    given = hgq.config.QuantizerConfig("kif", "datalane", i0=1, f0=2)
    model = trained(
        L.QDenseT(4, n_hl=1, d_hl=4, iq_conf=given), L.QDenseT(2, n_hl=0, iq_conf=given)
    )
    path = saved(model, tmp_path)
    made = from_file(as_published(path) if published else path)
    x = extremes(made)
    np.testing.assert_array_equal(made.predict(x), np.asarray(model(x)))
    first, second = made.layers
    assert (first["kind"], first["tables"], second["tables"]) == ("QDenseT", 16, 8)
    assert first["activation_bits_max"] == np.asarray(model.layers[0].iq.fbits_((1, 4, 4))).max()
    assert 0 < first["table_bits_mean"] <= first["table_bits_max"]
    assert made.ebops == first["ebops"] + second["ebops"] == counted_luts(model)
    made.save(tmp_path / "ours.tfq")
    again = from_file(tmp_path / "ours.tfq")
    np.testing.assert_array_equal(again.predict(x), made.predict(x))
    assert again.layers == made.layers


def counted_luts(model: keras.Model) -> int:
    """By hand: an output bit of a table takes 2^(n-6) LUTs of six inputs (n/5/2 below five), a sum one."""
    total = 0
    for layer in model.layers:
        shape = (1, *layer.input.shape[1:], layer.n_out)
        into, out = (np.asarray(q.fbits_(shape), np.float64) for q in (layer.iq, layer.toq))
        share = np.where(into >= 5, 2.0 ** (into - 5), into / 5) / 2
        total += int((share * out).sum() + out.sum())
    return total


@pytest.mark.parametrize(
    "settings", [{"enable_ebops": False}, {"ebops_factor": 0.0}, {"parallelization_factor": 0}]
)
def test_a_budget_is_not_judged_on_a_cost_that_is_not_counted(
    settings: dict[str, Any],
    toy_splits: Splits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = saved(trained(L.QDense(3, name="silent", **settings)), tmp_path)
    import_model(CompressConfig(model=path), toy_splits, tmp_path)
    assert "EBOPs switched off in silent" in " ".join(capsys.readouterr().err.split())
    config = CompressConfig.model_validate({"model": path, "target": {"max_ebops": 1000}})
    with pytest.raises(ModelError, match=r"silent.*max_ebops 1000 cannot be judged"):
        import_model(config, toy_splits, tmp_path)


@pytest.mark.parametrize("factor", [-2.0, float("nan"), float("inf")])
def test_a_cost_that_is_none_is_named(factor: float, tmp_path: Path) -> None:
    path = saved(trained(L.QDense(3, name="odd", ebops_factor=factor)), tmp_path)
    with pytest.raises(
        (ArtifactError, ModelError), match=r"theirs\.keras: layer 'odd'|theirs\.keras.*holds NaN"
    ):
        from_file(path)


def test_an_h5_file_of_hgq2(tmp_path: Path) -> None:
    model = trained(L.QBatchNormDense(6, activation="relu"), L.QDense(3))
    model.save(tmp_path / "theirs.h5")
    made = from_file(tmp_path / "theirs.h5")
    x = extremes(made)
    np.testing.assert_array_equal(made.predict(x), np.asarray(model(x)))

"""A model file of the user's own in the place of training: `compress: {model: …}`."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import uproot

from triggerforge import pipeline
from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.imported import import_model
from triggerforge.compression.model_file import from_file
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config import RunConfig
from triggerforge.config.compress import CompressConfig
from triggerforge.config.load import load_config
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Splits
from triggerforge.errors import ArtifactError, ConfigError, DataError, ModelError, RegistryError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.pipeline import Run, execute

QKERAS_FILE = Path(__file__).parent / "qkeras" / "mlp.h5"


def hgq2(inputs: int, outputs: int, *last: Any, **dense: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [hgq.layers.QDense(6, activation="relu"), hgq.layers.QDense(outputs, **dense), *last]
    model = keras.Sequential([keras.Input((inputs,)), *layers])
    x = np.random.default_rng(1).normal(0, 2, (500, inputs)).astype(np.float32)
    hgq.utils.trace_minmax(model, x)
    return model


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.keras"
    hgq2(4, 3).save(path)
    return path


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def test_an_hgq2_file_takes_contract_and_classes_of_the_events(
    theirs: Path, toy_splits: Splits, tmp_path: Path
) -> None:
    made = import_model(CompressConfig(model=theirs), toy_splits, tmp_path)
    assert (made.contract, made.classes) == (toy_splits.contract, toy_splits.classes)
    again = QuantizedModel.load(tmp_path / "model.tfq")
    x = corner_inputs(made.contract, 50, 1)
    np.testing.assert_array_equal(again.predict(x), made.reference(x))
    found = record(tmp_path)
    assert found["compression"]["method"] == "file"
    assert found["compression"]["ebops"] == made.ebops > 0
    right = made.predict(toy_splits.test.quantized_x).argmax(axis=1) == toy_splits.test.y
    accuracy = np.average(right, weights=toy_splits.test.weight)
    assert found["metrics"]["quantized"]["accuracy"] == pytest.approx(accuracy)


def test_a_qkeras_file(toy_splits: Splits, tmp_path: Path) -> None:
    fmt = FixedFormat.parse("ap_fixed<8,3,RND,SAT>")
    contract = InputContract(tuple(InputFeature(f"f{i}", "", 0, 0, fmt) for i in range(6)), (6,))
    parts = [
        replace(p, x=np.pad(p.x, ((0, 0), (0, 2))), contract=contract)
        for p in (toy_splits.train, toy_splits.validation, toy_splits.test)
    ]
    made = import_model(CompressConfig(model=QKERAS_FILE), Splits(*parts), tmp_path)
    assert (made.contract, made.classes) == (contract, toy_splits.classes)


def test_inputs_beyond_the_range_of_its_own_quantiser_are_said(
    toy_splits: Splits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = hgq.config.QuantizerConfig("kif", i0=0, f0=3)
    entry = keras.Input((4,))
    keras.Model(entry, hgq.layers.QDense(3, iq_conf=narrow)(entry)).save(tmp_path / "m.keras")
    import_model(CompressConfig(model=tmp_path / "m.keras"), toy_splits, tmp_path)
    assert "scale the inputs in `data`" in " ".join(capsys.readouterr().err.split())
    outside = record(tmp_path)["compression"]["input_outside"]
    assert set(outside) == set(toy_splits.contract.names)
    rounded = np.floor(toy_splits.test.quantized_x[:, 0] * 8 + 0.5) / 8
    beyond = (rounded < -1) | (rounded > 0.875)
    assert outside["f0"] == beyond.sum()


def test_a_budget(theirs: Path, toy_splits: Splits, tmp_path: Path) -> None:
    for limit, missed in ((1, True), (1e9, False)):
        config = CompressConfig.model_validate({"model": theirs, "target": {"max_ebops": limit}})
        import_model(config, toy_splits, tmp_path)
        assert bool(record(tmp_path)["compression"]["target_missed"]) is missed
    with pytest.raises(ValueError, match="comes without one"):
        CompressConfig.model_validate({"model": theirs, "target": {"max_accuracy_loss": 1}})


def test_models_that_do_not_fit(theirs: Path, toy_splits: Splits, tmp_path: Path) -> None:
    hgq2(5, 3).save(tmp_path / "wide.keras")
    with pytest.raises(ModelError, match=r"wide\.keras: .*\(5,\).* contract says \(4,\)"):
        import_model(CompressConfig(model=tmp_path / "wide.keras"), toy_splits, tmp_path)
    hgq2(4, 2).save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match=r"two\.keras: .*3 classes"):
        import_model(CompressConfig(model=tmp_path / "two.keras"), toy_splits, tmp_path)
    from_file(theirs, toy_splits.contract, ("a", "b", "c")).save(tmp_path / "abc.tfq")
    with pytest.raises(ModelError, match=r"abc\.tfq .*'a', 'b', 'c'.* set data\.classes"):
        import_model(CompressConfig(model=tmp_path / "abc.tfq"), toy_splits, tmp_path)


@pytest.mark.parametrize(
    "last", [{"last": "layer"}, {"last": "activation"}, {"activation": "softmax"}], ids=str
)
def test_a_softmax_at_the_end_is_left_out(
    last: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = {"layer": keras.layers.Softmax(), "activation": keras.layers.Activation("softmax")}
    added = [layers[last["last"]]] if "last" in last else []
    model = hgq2(4, 3, *added, **({} if added else last))
    model.save(tmp_path / "m.keras")
    made = from_file(tmp_path / "m.keras")
    x = corner_inputs(made.contract, 50, 1)
    logits = made.predict(x)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model(x)), shares, atol=1e-6)
    assert "outputs are logits" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [0, 3, 1000, -30])
def test_a_file_cut_short_is_named(theirs: Path, cut: int) -> None:
    theirs.write_bytes(theirs.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match=r"theirs\.keras is damaged.*save the model again"):
        from_file(theirs)


def test_a_flipped_bit_is_named(theirs: Path) -> None:
    data = bytearray(theirs.read_bytes())
    data[len(data) // 2] ^= 1
    theirs.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=r"theirs\.keras is damaged"):
        from_file(theirs)


def test_files_under_a_wrong_name(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "zip.h5").write_bytes(theirs.read_bytes())
    with pytest.raises(ArtifactError, match=r"zip\.h5 .* this one is a zip"):
        from_file(tmp_path / "zip.h5")
    (tmp_path / "h5.keras").write_bytes(QKERAS_FILE.read_bytes())
    with pytest.raises(ArtifactError, match=r"h5\.keras .* this one is HDF5"):
        from_file(tmp_path / "h5.keras")


def test_an_hdf5_file_of_keras_3(tmp_path: Path, toy_splits: Splits) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "3.12.0"
        file.attrs["model_config"] = "{}"
    with pytest.raises(ArtifactError, match=r"m\.h5 lacks model_weights"):
        from_file(tmp_path / "m.h5", toy_splits.contract)


def test_another_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ArtifactError, match=r"m\.keras has no config\.json") as caught:
        from_file(tmp_path / "m.keras")
    assert str(caught.value).count("/tmp/tmp") == 0


SETTINGS: dict[str, Any] = {
    "name": "theirs",
    "data": {
        "format": "root",
        "label": "y",
        "classes": ["s", "b"],
        "inputs": {"names": ["a", "b"]},
    },
    "firmware": {"vectors": 16, "hls": {"enabled": False}, "synthesis": {"tool": "none"}},
    "benchmark": {
        "parity": {"random_events": 20},
        "latency": {"calls": 10, "seconds": 0.1, "batches": [1]},
    },
}


def configured(folder: Path, model: Path, **data: Any) -> Run:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    with uproot.recreate(folder / "events.root") as file:
        columns = {name: random.normal(size=300) + y for name in "ab"}
        file.mktree("t", {"a": "f8", "b": "f8", "y": "i4"}).extend(columns | {"y": y})
    tree = SETTINGS | {
        "data": SETTINGS["data"] | {"source": [str(folder / "events.root")]} | data,
        "compress": {"model": str(model)},
    }
    return Run(RunConfig.model_validate(tree), folder / "runs")


def test_from_a_file_to_verified_firmware(tmp_path: Path) -> None:
    hgq2(2, 2, keras.layers.Softmax()).save(tmp_path / "m.keras")
    run = configured(tmp_path, tmp_path / "m.keras")
    execute(run, "benchmark")
    result = json.loads((run.folder.path / "result.json").read_text())
    exact = {r["candidate"] for r in result["parity"] if r["mismatches"] == 0}
    assert exact == {"alir", "onnxruntime-quantized", "native-int", "rtl"}
    assert {r["candidate"] for r in result["parity"]} == exact
    not_run = result["benchmark"]["not_run"]
    assert set(not_run) == {"hls4ml", "torch", "onnxruntime", "native"}
    assert "needs a trained model" in not_run["onnxruntime"]
    assert set(result["metrics"]) == {"quantized", "firmware"}
    assert {r["engine"] for r in result["latency"]} == exact - {"rtl"}
    assert not run.path("train").exists()
    score_with_the_rtl(run, tmp_path)
    before = (run.path("compress") / ".stage.json").read_text()
    execute(configured(tmp_path, tmp_path / "m.keras"), "compress")
    assert (run.path("compress") / ".stage.json").read_text() != before  # other events
    hgq2(2, 2).save(tmp_path / "m.keras")
    again = Run(run.config, tmp_path / "runs")
    before = (run.path("compress") / ".stage.json").read_text()
    execute(again, "compress")
    assert (run.path("compress") / ".stage.json").read_text() != before  # another model


def score_with_the_rtl(run: Run, folder: Path) -> None:
    """A file without labels; the scores are the model's, and the run's record stays as it was."""
    before = (run.folder.path / "result.json").read_bytes()
    with uproot.recreate(folder / "bare.root") as file:
        columns = {name: np.linspace(-2, 2, 7) for name in "ab"}
        file.mktree("t", {"a": "f8", "b": "f8"}).extend(columns)
    pipeline.score(run, folder / "bare.root", folder / "scored.root", "rtl")
    x = run.splits.contract.normalize(np.stack([np.linspace(-2, 2, 7)] * 2, axis=1))
    expected = run.quantized.predict(run.splits.contract.quantize(x))
    with uproot.open(folder / "scored.root") as file:
        for i, name in enumerate(("s", "b")):
            scores = file[f"t/tf_score_{name}"].array(library="np")
            np.testing.assert_array_equal(scores, expected[:, i])
    assert (run.folder.path / "result.json").read_bytes() == before
    with pytest.raises(RegistryError, match="did you mean 'rtl'"):
        pipeline.score(run, folder / "bare.root", folder / "again.root", "rlt")
    with pytest.raises(ArtifactError, match="enable it in the section firmware"):
        pipeline.score(run, folder / "bare.root", folder / "again.root", "hls4ml")


def test_our_own_file_brings_its_scales(tmp_path: Path) -> None:
    fmt = FixedFormat.parse("ap_fixed<9,3,RND,SAT>")
    contract = InputContract(tuple(InputFeature(n, "1", 0.5, 1, fmt) for n in "ab"), (2,))
    QuantizedModel.from_keras(hgq2(2, 2), contract, ("s", "b")).save(tmp_path / "m.tfq")
    run = configured(tmp_path, tmp_path / "m.tfq")
    execute(run, "compress")
    assert run.splits.contract == contract == run.quantized.contract
    with uproot.open(tmp_path / "events.root") as file:
        values = np.sort(file["t/a"].array(library="np"))
    parts = (run.splits.train, run.splits.validation, run.splits.test)
    x = np.sort(np.concatenate([p.x[:, 0] for p in parts]))
    np.testing.assert_allclose(x, (values - 0.5) / 2, rtol=1e-6, atol=1e-6)
    other = configured(tmp_path, tmp_path / "m.tfq", inputs={"names": ["b", "a"]})
    with pytest.raises(DataError, match=r"data\.inputs give \['b', 'a'\].* made for \['a', 'b'\]"):
        execute(other, "data")


def test_a_bad_file_is_found_before_any_work(tmp_path: Path) -> None:
    run = configured(tmp_path, tmp_path / "absent.keras")
    with pytest.raises(ArtifactError, match=r"absent\.keras"):
        execute(run, "report")
    assert not run.path("data").exists()
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ArtifactError, match=r"broken\.keras is damaged"):
        execute(configured(tmp_path, tmp_path / "broken.keras"), "compress")


def test_nothing_is_trained(tmp_path: Path, theirs: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is trained"):
        execute(configured(tmp_path, theirs), "train")


def test_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data: {}\ncompress: {model: m.onnx}\n")
    with pytest.raises(ConfigError, match=r"compress\.model.*\.keras, \.h5"):
        load_config(tmp_path / "c.yaml")
    one, two = CompressConfig(model=Path("m.h5")), CompressConfig(model=Path("m.h5"), epochs=3)
    assert one.identity() == two.identity() != CompressConfig(model=Path("n.h5")).identity()
    assert one.input_files() == [Path("m.h5")] and CompressConfig().input_files() == []
    assert "model" not in CompressConfig().identity()  # runs made before keep their key

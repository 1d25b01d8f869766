"""Quantisation-aware training: the front is exact, resuming changes nothing, pruned stays pruned."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from triggerforge.compression import checkpoint
from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.bitmap import ebops
from triggerforge.compression.goal import Goal, Sample
from triggerforge.compression.lowering import lower
from triggerforge.compression.qat import CHECKPOINT_FILE, FRONT_FOLDER, Progress, Trainer
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.training.trained import TrainedModel

CONFIG = CompressConfig(epochs=12, batch_size=128, lr=1e-2, beta_start=0.01, beta_end=270)


def sample(trained: TrainedModel, events: Dataset) -> Sample:
    return Sample(events.quantized_x, events.y, events.weight, trained.predict(events.x))


@pytest.fixture(scope="module")
def make_trainer(toy_trained: TrainedModel, toy_splits: Splits) -> Callable[..., Trainer]:
    def make(
        folder: Path, config: CompressConfig = CONFIG, module: nn.Module | None = None, **more: Any
    ) -> Trainer:
        model = lower(module or toy_trained.module, toy_trained.contract, QuantizationScheme())
        parts = [sample(toy_trained, e) for e in (toy_splits.train, toy_splits.validation)]
        goal = Goal.of(toy_trained.task, config.distill, *parts)
        return Trainer(model, config, goal, 5, folder, **more)

    return make


@pytest.fixture(scope="module")
def uninterrupted(
    make_trainer: Callable[..., Trainer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trainer, Progress, Path]:
    folder = tmp_path_factory.mktemp("qat")
    trainer = make_trainer(folder)
    return trainer, trainer.fit(), folder


def test_it_walks_from_loose_to_tight(uninterrupted: tuple[Trainer, Progress, Path]) -> None:
    _, done, _ = uninterrupted
    assert done.epochs == len(done.history) == CONFIG.epochs
    sizes = [row["ebops"] for row in done.history]
    assert sizes[-1] < 0.7 * sizes[0]
    assert max(row["accuracy"] for row in done.history) > 0.85


def test_front_on_disk_is_what_was_measured(
    uninterrupted: tuple[Trainer, Progress, Path], toy_splits: Splits
) -> None:
    trainer, done, folder = uninterrupted
    events = toy_splits.validation
    calibration = np.concatenate([toy_splits.train.quantized_x, events.quantized_x])
    files = {p.name for p in (folder / FRONT_FOLDER).iterdir()}
    assert files == {f"epoch_{c.epoch:05d}.npz" for c in done.front}
    model = trainer._model.model
    for member in (done.front[0], done.front[-1]):
        trainer.restore(member)
        assert ebops(model) == member.ebops
        logits = model.predict(events.quantized_x, verbose=0)
        right = logits.argmax(axis=1) == events.y
        assert np.average(right, weights=events.weight) == pytest.approx(member.accuracy, abs=1e-9)
        # the compiled calibration is the library's
        before = [np.array(v.value) for v in model.non_trainable_variables]
        assert hgq.utils.trace_minmax(model, calibration, batch_size=128) == member.ebops
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            np.testing.assert_array_equal(variable.value, value, err_msg=variable.path)


_CHILD = """
import sys
from pathlib import Path
import pytest
sys.exit(pytest.main([
    "-q", "-p", "no:cacheprovider", sys.argv[1], "-k", "test_child_dies_between_two_files",
]))
"""


@pytest.mark.skipif("TRIGGERFORGE_TEST_FOLDER" not in os.environ, reason="runs as a child only")
def test_child_dies_between_two_files(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front of the fourth epoch is written, the checkpoint that names it is not."""
    save, folder = checkpoint.save, Path(os.environ["TRIGGERFORGE_TEST_FOLDER"])

    def struck(path: Path, *record: Any, **groups: Any) -> None:
        if path.name == CHECKPOINT_FILE and _epochs_saved(folder) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        save(path, *record, **groups)

    monkeypatch.setattr(checkpoint, "save", struck)
    make_trainer(folder, checkpoint_every_s=0.0).fit()


def _epochs_saved(folder: Path) -> int:
    path = folder / CHECKPOINT_FILE
    return int(checkpoint.load(path)[0]["epochs"]) if path.exists() else 0


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_bits(
    uninterrupted: tuple[Trainer, Progress, Path],
    make_trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    environment = os.environ | {"TRIGGERFORGE_TEST_FOLDER": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, __file__],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stdout[-4000:]
    assert _epochs_saved(tmp_path) == 3

    _, expected, folder = uninterrupted
    done = make_trainer(tmp_path).fit()
    assert done.front == expected.front
    assert done.history == expected.history
    for name in [CHECKPOINT_FILE, *(f"{FRONT_FOLDER}/epoch_{c.epoch:05d}.npz" for c in done.front)]:
        for group, arrays in checkpoint.load(folder / name)[1].items():
            resumed = checkpoint.load(tmp_path / name)[1][group]
            for one, other in zip(arrays, resumed, strict=True):
                np.testing.assert_array_equal(one, other, strict=True)


def test_finished_training_is_not_repeated(
    uninterrupted: tuple[Trainer, Progress, Path], make_trainer: Callable[..., Trainer]
) -> None:
    _, done, folder = uninterrupted
    assert make_trainer(folder).fit() == done


def test_magnitude_pruning_holds_weights_and_bits_at_zero(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    pruning = {"method": "magnitude", "fraction": 0.75, "end": 0.5}
    config = CONFIG.model_copy(update={"beta_end": 0.02, "beta_start": 0.01, "epochs": 6})
    trainer = make_trainer(tmp_path, CompressConfig(**config.model_dump() | {"pruning": pruning}))
    done = trainer.fit()
    last = max(done.front, key=lambda c: c.epoch)
    assert last.epoch >= 3  # from then on the whole fraction is out
    trainer.restore(last)
    for layer in trainer._model.model.layers:
        if not hasattr(layer, "kq"):
            continue
        kernel, bits = np.array(layer._kernel.value), np.array(layer.kq.bits)
        gone = kernel == 0
        assert gone.sum() >= int(0.75 * kernel.size)
        assert (bits[gone] == 0).all()
        assert (np.array(layer.qkernel)[gone] == 0).all()
    first = done.history[0]
    assert last.ebops < 0.5 * first["ebops"]


def test_teacher_alone_teaches(
    make_trainer: Callable[..., Trainer], toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(
        epochs=3, batch_size=128, beta_start=1e-5, beta_end=1e-5, distill={"weight": 1.0}
    )
    trainer = make_trainer(tmp_path, config)
    done = trainer.fit()
    trainer.restore(done.front[0])
    logits = trainer._model.model.predict(toy_splits.test.quantized_x, verbose=0)
    assert np.mean(logits.argmax(axis=1) == toy_splits.test.y) > 0.85


def test_loss_that_is_no_number_is_an_error(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="lower compress.lr"):
        make_trainer(tmp_path, CONFIG.model_copy(update={"beta_end": 1e42, "epochs": 2})).fit()


def test_damaged_checkpoint_is_an_error(
    uninterrupted: tuple[Trainer, Progress, Path],
    make_trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    whole = (uninterrupted[2] / CHECKPOINT_FILE).read_bytes()
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2]):
        (tmp_path / CHECKPOINT_FILE).write_bytes(content)
        with pytest.raises(ArtifactError, match=r"qat\.npz is damaged .* remove it"):
            make_trainer(tmp_path).fit()


def test_checkpoint_of_another_model_is_an_error(
    uninterrupted: tuple[Trainer, Progress, Path],
    make_trainer: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes((uninterrupted[2] / CHECKPOINT_FILE).read_bytes())
    other = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    with pytest.raises(ArtifactError, match="another model"):
        make_trainer(tmp_path, module=other).fit()


def test_checkpoint_keeps_arrays_and_record(tmp_path: Path) -> None:
    arrays = [np.arange(3, dtype=np.uint8), np.float32(2.5), np.zeros((0, 2))]
    checkpoint.save(tmp_path / "c.npz", {"a": 0.1}, some=arrays, none=[])
    record, groups = checkpoint.load(tmp_path / "c.npz")
    assert record == {"a": 0.1} == json.loads(json.dumps(record))
    assert list(groups) == ["some"]
    for one, other in zip(arrays, groups["some"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == other.dtype


def test_keras_runs_on_jax() -> None:
    assert keras.backend.backend() == "jax"

"""A disk that is full, in every stage: one line, nothing lost, and the same command goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triggerforge.config.load import load_config
from triggerforge.errors import DiskFullError
from triggerforge.pipeline import STAGES, Run, execute

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
SMALL = [
    "generate.jets=250",
    "generate.workers=1",
    "train.epochs=2",
    "compress.epochs=2",
    "compress.target={max_ebops: null, max_accuracy_loss: null}",
    "benchmark.parity.engines=[alir, onnxruntime-quantized]",
    "benchmark.latency={engines: [alir], batches: 1, calls: 10, seconds: 1}",
    "data.write_scores=root",
    "firmware.vectors=20",
]
WITHOUT_TOOLS = ["firmware.hls.enabled=false", "firmware.synthesis.tool=none"]


@contextmanager
def only(room: int, disk: Path) -> Iterator[None]:
    """Leaves `room` bytes on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(file.tell() - room)
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.slow
def test_every_stage_says_that_the_disk_is_full_and_goes_on(tmpfs: Callable[..., Path]) -> None:
    disk = tmpfs("60m")
    run = Run(load_config(DEMO, SMALL, quick=True), disk / "runs")
    for stage in (stage.name for stage in STAGES if stage.wanted(run.config)):
        for room in (12 * 1024, 0):
            with only(room, disk), pytest.raises((DiskFullError, OSError)) as error:
                execute(run, stage)
            assert isinstance(error.value, DiskFullError) or error.value.errno == 28, stage
            assert "disk" in str(error.value) or "space" in str(error.value)
            assert not run.path(stage).exists()
        if stage == "firmware":  # without what takes minutes
            run = Run(load_config(DEMO, [*SMALL, *WITHOUT_TOOLS], quick=True), disk / "runs")
        execute(run, stage)
        assert run.path(stage).is_dir()

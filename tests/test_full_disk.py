"""A disk that is full, in every stage: one line, nothing lost, and the same command goes on."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uproot

from triggerforge.config.load import load_config
from triggerforge.errors import DiskFullError
from triggerforge.pipeline import STAGES, Run, execute
from triggerforge.verify import verify

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
SMALL = [
    "generate.jets=250",
    "generate.workers=1",
    "train.epochs=2",
    "compress.epochs=2",
    "compress.target={max_ebops: null, max_accuracy_loss: null}",
    "benchmark.parity.engines=[alir, onnxruntime-quantized]",
    "benchmark.latency={engines: [alir], batches: 1, calls: 10, seconds: 1}",
    "firmware.vectors=20",
]
MINE = """
data:
  source: mine.root
  format: root
  label: {x: "kind == 0", y: "kind == 1"}
  inputs: {names: [a, b, c]}
"""
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
        with (
            only(12 * 1024, disk),
            pytest.raises(DiskFullError, match=f"stage '{stage}': the disk"),
        ):
            execute(run, stage)
        assert not run.path(stage).exists()
        if stage == "firmware":  # without what takes minutes
            run = Run(load_config(DEMO, [*SMALL, *WITHOUT_TOOLS], quick=True), disk / "runs")
        execute(run, stage)
        assert run.path(stage).is_dir()
    verify(run.folder.path)


def test_hdf5_that_finds_the_disk_full_does_not_end_the_process(tmpfs: Callable[..., Path]) -> None:
    """It ended it at its exit: so that is looked at in a process of its own."""
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from triggerforge.data.storage import Hdf5Output\n"
        "output = Hdf5Output(Path(sys.argv[1]))\n"
        "data = output.file.create_dataset('a', (100, 10_000), 'f8', maxshape=(None, 10_000))\n"
        "data[:] = np.random.default_rng(1).random((100, 10_000))\n"
        "try: output.close()\n"
        "except OSError as error: print(error.errno)\n"
    )
    disk = tmpfs("256k")
    done = subprocess.run(
        [sys.executable, "-c", code, str(disk / "a.h5")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "28\n"), done.stderr


def test_data_on_a_disk_of_256_kb_is_one_line_and_goes_on_elsewhere(
    tmpfs: Callable[..., Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    with uproot.recreate(tmp_path / "mine.root") as file:
        columns = {name: random.normal(size=20_000) for name in ("a", "b", "c")}
        columns["kind"] = random.integers(0, 2, 20_000)
        file.mktree("events", {name: column.dtype for name, column in columns.items()}).extend(
            columns
        )
    (tmp_path / "mine.yaml").write_text(MINE)
    call = "import sys; from triggerforge.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", call, "data", "mine.yaml", "--runs"]
    for runs, status in ((tmpfs("256k"), 1), (tmp_path, 0)):
        done = subprocess.run(
            [*command, str(runs)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        assert status == 0 or "is full (" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr

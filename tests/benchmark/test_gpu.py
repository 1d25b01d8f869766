"""The GPU benchmark: one line where there is no card, all engines in turn where there is one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from triggerforge.benchmark import gpu

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_card_it_says_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("not run: ") and ("without CUDA" in line or "no GPU was found" in line)


def test_it_wants_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        gpu.main([])
    assert "RUN" in capsys.readouterr().err


def test_a_batch_has_events(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        gpu.main(["run", "--batches", "16", "0"])
    assert "--batches 0: a batch has at least one event" in capsys.readouterr().err


def test_errors_are_in_units_of_the_largest_output() -> None:
    x = torch.tensor([[1.0], [-4.0]])
    assert gpu._error(x, x) == 0
    assert gpu._error(x, x + torch.tensor([[0.0], [1.0]])) == 0.25
    assert gpu._error(x[:1], x) == 0  # of the events that are compared
    assert np.isnan(gpu._error(x, x * torch.nan))


def test_an_engine_that_does_not_take_a_batch_is_named_and_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def limited(x: torch.Tensor, y: torch.Tensor) -> None:
        if len(x) > 4:
            raise RuntimeError("CUDNN_STATUS_NOT_SUPPORTED\nand more")

    engines = {"limited": limited, "copy": gpu._copy}
    for events, expected in ((4, ["limited", "copy"]), (5, ["copy"])):
        x = torch.ones(events)
        y = {name: torch.zeros(events) for name in engines}
        assert list(gpu.able(engines, x, y)) == expected
        assert y["copy"].sum() == events
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == ["5", "limited", "not", "run:", "CUDNN_STATUS_NOT_SUPPORTED"]


def test_a_card_that_is_full_is_no_engine_s_fault() -> None:
    def greedy(x: torch.Tensor, y: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        gpu.able({"greedy": greedy}, torch.ones(1), {"greedy": torch.ones(1)})


@needs_gpu
def test_engines_alternate_and_times_are_seconds() -> None:
    device = torch.device("cuda")
    x = torch.ones(1 << 20, device=device)
    outputs = {name: torch.empty_like(x) for name in "ab"}
    engines = {name: (lambda x, y: y.copy_(x)) for name in "ab"}
    took = gpu.alternated(engines, x, outputs)
    assert {len(t) for t in took.values()} == {50}
    assert all((t > 0).all() and (t < 1).all() for t in took.values())
    assert 1e9 < gpu.copy_bandwidth(device) < 1e14
    for y in outputs.values():
        np.testing.assert_array_equal(y.cpu(), x.cpu())

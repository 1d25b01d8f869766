"""The picture for the README: one PNG, small, also where a stage was not run."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from triggerforge.report.picture import main


def lay_out(run: Any) -> Path:
    root: Path = run.folders["data"].parent
    (root / "result.json").write_text(json.dumps(run.result))
    return root


def test_the_picture_is_small_and_sharp(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "demo.png"
    assert main([str(lay_out(run)), str(out)]) == 0
    with Image.open(out) as image:
        assert image.format == "PNG" and image.width >= 1400
    assert out.stat().st_size <= 300_000


def test_missing_stages_leave_their_panel_empty(run: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"version": run.result["version"]}))
    assert main([str(tmp_path), str(tmp_path / "out.png")]) == 0


@pytest.mark.parametrize("text", ["", "{", '{"version": 99}'])
def test_an_unusable_result_is_an_error(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(text)
    assert main([str(tmp_path), str(tmp_path / "out.png")]) == 1
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()

"""Parity at a glance: a 0 for each engine and kind of input, and what is no 0 in words."""

from typing import Any

from triggerforge.config.report import ReportConfig
from triggerforge.report.material import gather
from triggerforge.report.tables.parity import parity


def grid(run: Any) -> Any:
    return parity(gather(ReportConfig(), run.result, {}))


def texts(table: Any) -> list[dict[str, str]]:
    return [dict(zip(table.columns, (c.text for c in row), strict=True)) for row in table.rows]


def test_one_row_an_engine_and_one_column_a_kind_of_input(run: Any) -> None:
    table = grid(run)
    assert table.columns[:4] == ("engine", "verdict", "test", "corner")
    rows = texts(table)
    assert [r["engine"] for r in rows] == ["alir", "onnxruntime", "hls4ml", "rtl"]
    assert all(r["test"] == r["corner"] == "0" for r in rows)
    assert [r["verdict"] for r in rows] == ["✓ exact", "✓ within tolerance", "✓ exact", "✓ exact"]
    assert all(r["outputs compared"] == "600" for r in rows)
    assert "Events: test 100, corner 100." in table.caption


def test_only_exceptions_are_told_in_words(run: Any) -> None:
    run.result["parity"][-1] |= {"mismatches": 2, "max_lsb": 3.0}
    table = grid(run)
    cell = dict(zip(table.columns, table.rows[-1], strict=True))
    assert cell["corner"].text == "2 of 300" and cell["corner"].tone == "bad"
    assert cell["verdict"].tone == "bad" and cell["test"].text == "0"
    rtl = [note for note in table.notes if note.startswith("rtl")]
    assert rtl == [
        "rtl against hgq2, corner inputs: 2 of 300 outputs differ, by up to 3 LSB; allowed: none"
    ]
    assert sum("onnxruntime" in note for note in table.notes) == 2
    assert not any("alir" in note or "hls4ml" in note for note in table.notes)


def test_an_engine_without_a_kind_of_input_has_a_dash(run: Any) -> None:
    del run.result["parity"][-1]
    assert texts(grid(run))[-1]["corner"] == "–"
    run.result["parity"][0]["max_lsb"] = None
    assert texts(grid(run))[0]["largest difference [LSB]"] == "–"

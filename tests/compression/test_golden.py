"""A file of every format version loads for ever, and predicts the same bits."""

from pathlib import Path

import numpy as np
import pytest

from triggerforge.compression.quantized_model import FORMAT_VERSION, QuantizedModel

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_golden_file(version: int) -> None:
    events = np.load(GOLDEN / f"v{version}.npz")
    loaded = QuantizedModel.load(GOLDEN / f"v{version}.tfq")
    assert loaded.format_version == version
    assert loaded.contract.names == ("pt", "eta", "valid")
    np.testing.assert_array_equal(loaded.predict(events["x"]), events["y"])
    np.testing.assert_array_equal(loaded.reference(events["x"]), events["y"])

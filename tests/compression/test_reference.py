"""The reference's batches."""

from typing import Any

import numpy as np
import pytest

from triggerforge.compression import reference


@pytest.mark.parametrize("events", [0, 1, 4, 7, 8])
def test_the_last_batch_is_as_long_as_the_others(
    events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "_BATCH", 4)
    x = np.random.default_rng(1).normal(size=(events, 2, 3)).astype(np.float32)
    sizes = []

    def network(batch: Any, training: bool) -> Any:
        sizes.append(len(batch))
        return batch.sum(axis=1)

    network.output_shape = (None, 3)  # type: ignore[attr-defined]
    y = reference.predict_exact(network, x)  # type: ignore[arg-type]
    np.testing.assert_array_equal(y, x.sum(axis=1).astype(np.float64))
    assert y.shape == (events, 3) and set(sizes) <= {min(events, 4)}

"""What every test folder shares: a test process does not keep what earlier modules compiled."""

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_functions() -> Iterator[None]:
    """JAX and Keras keep every compiled function and graph: gigabytes over the whole suite."""
    yield
    if "keras" in sys.modules and "jax" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        sys.modules["jax"].clear_caches()
        gc.collect()

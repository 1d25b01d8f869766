"""How long `make bench` measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of calls, batches and seconds; the defaults are those of `make bench`."""

    calls: int = 20_000
    """of each engine and mode at each batch size, unless the time is over"""
    seconds: float = 240.0
    """most for batch 1, of which every engine and mode has the same share"""
    bulk: tuple[int, ...] = (16, 128, 1024, 16_384, 65_536)
    """batch sizes beside 1"""
    bulk_seconds: float = 6.0
    """most for each of them, but for 15 calls"""
    loop_rounds: int = 41
    """of the C++ loops and the core's limits"""
    worker_batch: int = 1024
    """events of a call of threads, processes and of those whose energy is counted"""
    worker_seconds: float = 0.5
    worker_rounds: int = 3
    limit_bytes: int | None = None
    """size of each array of the memory kernels; None: beyond the last cache"""


QUICK = Sizes(
    calls=200,
    seconds=0.5,
    bulk=(16, 1024),
    bulk_seconds=0.2,
    loop_rounds=3,
    worker_seconds=0.05,
    worker_rounds=1,
    limit_bytes=1 << 20,
)
"""for tests and a first look; its memory kernels stay in the caches"""

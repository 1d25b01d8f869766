"""Seeds of chunks: from the run's seed and the chunk's name, and from nothing else."""

import hashlib

_PYTHIA_SEEDS = 900_000_000


def derived_seed(*parts: object) -> int:
    """64 bits from `parts`, such as the run's seed, the name of a class and a number."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def pythia_seed(seed: int) -> int:
    """`seed` folded into the range that Pythia takes, 1..900,000,000."""
    return seed % _PYTHIA_SEEDS + 1

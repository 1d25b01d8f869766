"""Energy correlators of many jets at once.

Definitions: arXiv 1305.0007 (C), 1409.6298 (D2), 1609.07483 (M2, N2 and the generalised forms),
with z_i = pT_i / sum pT and theta_ij the distance in rapidity and azimuth. FastJet's own
(`exclusive_jets_energy_correlator`) gives the same numbers, one observable a pass and several
times slower; the tests compare the two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import Array
from triggerforge.data.generator.tracker import wrap

# jets a batch times constituents squared: large enough for numpy, small enough for the cache
_CELLS = 100_000


@dataclass(frozen=True)
class Correlators:
    """Sums over pairs and triples of constituents, (J,) each."""

    e2: dict[int, Array]
    """beta 0, 1, 2: sum of z_i z_j theta^beta"""
    e3_smallest: dict[int, Array]
    """beta 1, 2: of triples, with the smallest angle"""
    e3_two: dict[int, Array]
    """with the product of the two smallest angles"""
    e3: dict[int, Array]
    """with the product of all three"""


def correlators(counts: NDArray[np.int64], pt: Array, rapidity: Array, phi: Array) -> Correlators:
    """Correlators of J jets with `counts` (J,) constituents, given in a row, pT in GeV."""
    sums = np.zeros((9, len(counts)))
    starts = np.cumsum(counts) - counts
    for batch in _batches(counts):
        z, squared = _padded(starts[batch], counts[batch], pt, rapidity, phi)
        sums[:, batch] = _sums(z, squared)
    return Correlators(
        e2={0: sums[0], 1: sums[1], 2: sums[2]},
        e3_smallest={1: sums[3], 2: sums[4]},
        e3_two={1: sums[5], 2: sums[6]},
        e3={1: sums[7], 2: sums[8]},
    )


def _batches(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Indices of jets of similar size, so that little is padded."""
    order = np.argsort(counts, kind="stable")
    batches = []
    while len(order):
        take = 1
        while take < len(order) and (take + 1) * counts[order[take]] ** 2 <= _CELLS:
            take += 1
        batches.append(order[:take])
        order = order[take:]
    return batches


def _padded(
    starts: NDArray[np.int64], counts: NDArray[np.int64], pt: Array, rapidity: Array, phi: Array
) -> tuple[Array, Array]:
    """z (B, P) and theta^2 (B, P, P); padding has z = 0."""
    slot = np.arange(max(int(counts.max()), 1))
    there = slot < counts[:, None]
    index = np.where(there, starts[:, None] + slot, 0)
    weight = np.where(there, pt[index], 0.0) if len(pt) else np.zeros(there.shape)
    total = weight.sum(axis=1, keepdims=True)
    z = np.divide(weight, total, out=np.zeros(there.shape), where=total > 0)
    y, f = rapidity[index], phi[index]
    squared = (y[:, :, None] - y[:, None, :]) ** 2 + wrap(f[:, :, None] - f[:, None, :]) ** 2
    return z, squared


def _sums(z: Array, squared: Array) -> Array:
    """(9, B): the sums in the order of `correlators`.

    No matrix product: BLAS would start threads of its own in every process of the pool.
    """
    theta = np.sqrt(squared)
    e2 = [(z.sum(axis=1) ** 2 - (z**2).sum(axis=1)) / 2]
    e2 += [np.einsum("bj,bjk,bk->b", z, angle, z) / 2 for angle in (theta, squared)]
    return np.array([*e2, *_triples(z, theta)])


def _triples(z: Array, theta: Array) -> Array:
    """(6, B): smallest angle, product of the two smallest, of all three; each at beta 1 and 2.

    Pairs (i, j), i < j, stand in the order of j, so that those before constituent k are the first
    k (k - 1) / 2 of them.
    """
    j, i = np.tril_indices(z.shape[1], -1)
    between, pairs = theta[:, i, j], z[:, i] * z[:, j]
    result = np.zeros((6, len(z)))
    for k in range(2, z.shape[1]):
        before = slice(k * (k - 1) // 2)
        row = theta[:, k]
        to_i, to_j, across = row[:, i[before]], row[:, j[before]], between[:, before]
        near, far = np.minimum(to_i, to_j), np.maximum(to_i, to_j)
        smallest = np.minimum(near, across)
        two = smallest * np.maximum(near, np.minimum(far, across))
        three = near * far * across
        for power, angle in enumerate((smallest, two, three)):
            weighted = angle * pairs[:, before]
            result[2 * power] += z[:, k] * weighted.sum(axis=1)
            result[2 * power + 1] += z[:, k] * np.einsum("bp,bp->b", weighted, angle)
    return result

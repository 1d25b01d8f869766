"""Overlay adds collisions as a loop would; turns about the beam turn everything, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from triggerforge.data.generator.l1.collisions import Pool
from triggerforge.data.generator.l1.digitise import digitise, region_map
from triggerforge.data.generator.l1.egamma import find_egamma
from triggerforge.data.generator.l1.jetfinder import find_jets
from triggerforge.data.generator.l1.overlay import Draws, draw, overlay
from triggerforge.data.generator.l1.sums import jet_ht, missing_et, total_et
from triggerforge.data.generator.l1.towers import CELLS, COLUMNS, RINGS

CROSSINGS = 6


@pytest.fixture
def draws(pool: Pool) -> Draws:
    rng = np.random.default_rng(5)
    return draw(pool, rng.poisson(20, CROSSINGS), rng)


def by_loop(draws: Draws) -> np.ndarray:
    towers = np.zeros((CROSSINGS, 2, RINGS, COLUMNS))
    stored = draws.pool.towers
    ends = np.cumsum(stored.counts)
    columns = (draws.crossing, draws.collision, draws.turn, draws.mirrored)
    for crossing, collision, turn, mirrored in zip(*columns, strict=True):
        for entry in range(ends[collision] - stored.counts[collision], ends[collision]):
            layer, cell = divmod(int(stored.cell[entry]), CELLS)
            ring, column = divmod(cell, COLUMNS)
            ring = RINGS - 1 - ring if mirrored else ring
            towers[crossing, layer, ring, (column + turn) % COLUMNS] += stored.et[entry]
    return towers


def test_overlay_is_the_sum_of_turned_collisions(draws: Draws) -> None:
    np.testing.assert_allclose(overlay([draws], CROSSINGS).et, by_loop(draws), rtol=1e-12)


def test_several_pools_add(draws: Draws) -> None:
    once, twice = (overlay([draws] * n, CROSSINGS) for n in (1, 2))
    np.testing.assert_allclose(twice.et, 2 * once.et)
    assert len(twice.muons) == 2 * len(once.muons)


def test_muons_turn_with_their_collision(draws: Draws) -> None:
    plain = replace(draws, turn=draws.turn * 0, mirrored=draws.mirrored & False)
    before, after = (overlay([d], CROSSINGS).muons for d in (plain, draws))
    counts = draws.pool.muons.counts[draws.collision]
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    sign = np.repeat(np.where(draws.mirrored, -1, 1), counts)
    np.testing.assert_array_equal(before[:, 1] * sign, after[:, 1])
    turned = np.repeat(draws.turn * (2 * np.pi / COLUMNS), counts)
    np.testing.assert_allclose(after[:, 2] - before[:, 2], turned, atol=1e-12)


@pytest.mark.parametrize("turn", [2, 8, 36, 70])
def test_everything_that_level_1_finds_turns_with_the_towers(draws: Draws, turn: int) -> None:
    et = overlay([draws], CROSSINGS).et
    plain, turned = digitise(et), digitise(np.roll(et, turn, axis=-1))
    angle = turn * 2 * np.pi / COLUMNS
    for find in (find_jets, find_egamma):
        (crossing, objects), (other_crossing, others) = find(plain), find(turned)
        assert len(objects) > CROSSINGS
        expected = objects + [0, 0, angle]
        expected[:, 2] %= 2 * np.pi
        order = np.lexsort((*expected.T.round(6), crossing))
        other = np.lexsort((*others.T.round(6), other_crossing))
        np.testing.assert_array_equal(crossing[order], other_crossing[other])
        np.testing.assert_allclose(expected[order], others[other], atol=1e-9)
    before, after = missing_et(plain), missing_et(turned)
    np.testing.assert_allclose(before[:, 0], after[:, 0], rtol=1e-9)
    np.testing.assert_allclose(np.exp(1j * (before[:, 2] + angle)), np.exp(1j * after[:, 2]))
    np.testing.assert_array_equal(total_et(plain), total_et(turned))


def test_regions_turn_by_whole_regions(draws: Draws) -> None:
    et = overlay([draws], CROSSINGS).et
    regions, _ = region_map(digitise(et))
    turned, _ = region_map(digitise(np.roll(et, 12, axis=-1)))
    assert regions.shape == (CROSSINGS, 18, 14)
    np.testing.assert_array_equal(np.roll(regions, 3, axis=1), turned)


def test_leading_collisions_are_used_in_turn(pool: Pool) -> None:
    draws = draw(pool, np.array([1, 2, 0, 1]), np.random.default_rng(0), first=len(pool) - 1)
    assert draws.crossing.tolist() == [0, 1, 1, 3]
    assert draws.collision[[0, 1, 3]].tolist() == [len(pool) - 1, 0, 2]


def test_a_crossing_without_collisions_is_empty(pool: Pool) -> None:
    empty = overlay([draw(pool, np.zeros(2, np.int64), np.random.default_rng(0))], 2)
    primitives = digitise(empty.et)
    crossing, jets = find_jets(primitives)
    assert not empty.et.any() and not len(empty.muons) and not len(jets)
    assert not missing_et(primitives)[:, 0].any()
    assert jet_ht(crossing, jets, 2).tolist() == [0.0, 0.0]

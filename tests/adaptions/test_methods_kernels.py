"""Rewrites counted by pairs of codes are the rewrites counted cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xbarsim as xs
from xbarsim.adaptions import Adaption, change, switch
from xbarsim.kernels.cells import digit
from xbarsim.kernels.rewriting import cells_of_pairs, pair_times
from xbarsim.mapping import place
from xbarsim.network import load_network

CHIPS = (
    (),
    ("crossbar.encoding=differential",),
    ("crossbar.cell_bits=1",),
    ("crossbar.cell_bits=4", "crossbar.rows=36"),
)


@pytest.mark.parametrize("overrides", CHIPS)
@pytest.mark.parametrize("method", ["finetune", "piggyback", "xma2"])
def test_both_ways_count_the_same(monkeypatch: pytest.MonkeyPatch, method: str, overrides: tuple[str, ...]) -> None:
    chip, network = xs.load_chip("xbm_72", overrides), load_network("resnet20")
    adaption, placement = Adaption.named(method)(), place(chip, network)
    one, two = (network.task(name) for name in ("task1", "task2"))
    fast = switch(adaption, placement, one, two)
    monkeypatch.setattr(change, "PAIRED_BITS", 0)
    slow = switch(adaption, placement, one, two)
    assert fast.cells_written > 0
    for left, right in zip(fast.layers, slow.layers, strict=True):
        for field in ("histogram", "attempts", "crossbar_ps", "crossbar_lines"):
            assert np.array_equal(getattr(left, field), getattr(right, field)), field
        for field in ("cells_written", "failed_cells", "codes_changed", "weights_touched"):
            assert getattr(left, field) == getattr(right, field), field


@settings(max_examples=15)
@given(bits=st.integers(2, 5), cell_bits=st.integers(1, 3), differential=st.booleans(), seed=st.integers(0, 99))
def test_pairs_are_the_sum_of_their_cells(bits: int, cell_bits: int, differential: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    slices = -(-bits // cell_bits) * (2 if differential else 1)
    levels, codes = 1 << cell_bits, 1 << bits
    slots = random.integers(1, 100, (levels, levels))
    sets, resets = pair_times(slices, bits, cell_bits, differential, slots)
    pairs = random.integers(0, 3, (codes, codes))
    histogram = np.zeros((levels, levels), np.int64)
    cells_of_pairs(pairs, slices, bits, cell_bits, differential, histogram)
    expected = np.zeros_like(histogram)
    for before in range(codes):
        for after in range(codes):
            up, down = 0, 0
            for position in range(slices):
                was, level = (
                    int(digit(code - codes // 2, position, slices, bits, cell_bits, differential))
                    for code in (before, after)
                )
                if was != level:
                    expected[was, level] += pairs[before, after]
                up = max(up, int(slots[was, level])) if level > was else up
                down = max(down, int(slots[was, level])) if level < was else down
            assert (sets[before, after], resets[before, after]) == (up, down)
    assert np.array_equal(histogram, expected)

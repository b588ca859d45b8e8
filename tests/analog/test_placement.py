"""The arrays compute with the cells that the mapping placed and the adaptions wrote: same place, level, polarity."""

from __future__ import annotations

import numpy as np
from analog.naive import level_of, slices_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.naive import cells_of

from xbarsim.adaptions.change import polarity as written_polarity
from xbarsim.analog.encode import Coding
from xbarsim.analog.layout import Layout, polarity
from xbarsim.chip import Chip, load_chip
from xbarsim.kernels.cells import digit
from xbarsim.mapping import lay_out
from xbarsim.network import Layer


def linear(rows: int, channels: int) -> Layer:
    return Layer(
        "layer", "linear", rows, channels, (1, 1), (1, 1), (0, 0), (1, 1), 1, (1, 1), (1, 1), False, False
    )  # fmt: skip


@st.composite
def chips(draw: st.DrawFn) -> tuple[Chip, int]:
    encoding, slices = draw(st.sampled_from(["offset", "differential"])), draw(st.sampled_from(["adjacent", "arrays"]))
    keys = [
        f"crossbar.rows={draw(st.integers(3, 24))}", f"crossbar.cols={draw(st.integers(2, 18))}",
        f"crossbar.cell_bits={draw(st.integers(1, 4))}", f"crossbar.encoding={encoding}",
        f"crossbar.slices={slices}", f"adc.bits={draw(st.integers(2, 6))}", f"dac.bits={draw(st.integers(1, 2))}",
    ]  # fmt: skip
    return load_chip("xbm_72", keys), draw(st.integers(2, 9))


@settings(max_examples=150)
@given(chips(), st.integers(1, 60), st.integers(1, 12), st.integers(0, 1000))
def test_columns_stand_where_the_mapping_puts_them(
    chip_and_bits: tuple[Chip, int], rows: int, channels: int, seed: int
) -> None:
    chip, bits = chip_and_bits
    crossbar, layer = chip.file.crossbar, linear(rows, channels)
    coding = Coding(crossbar.encoding, bits, crossbar.cell_bits)
    layout, grid = Layout.of(chip, coding, channels), lay_out(layer, chip, bits)
    assert layout.slices == grid.slices
    assert (grid.strip_crossbars == layout.count).all()
    for (channel, row, at), cell in cells_of(layer, chip, bits).items():
        block = row // crossbar.rows
        assert cell.crossbar == block * layout.count + layout.crossbars[at, channel]
        assert cell.row == row % crossbar.rows
        assert cell.column == layout.positions[at, channel] % crossbar.cols

    weights = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), (rows, channels))
    flips = written_polarity(weights.T, grid, chip, bits)
    for block in range(grid.blocks):
        levels = coding.levels(weights[block * crossbar.rows : (block + 1) * crossbar.rows])
        np.testing.assert_array_equal(polarity(levels, coding, chip), flips[block].T)


@given(
    st.sampled_from(["offset", "differential", "twos_complement"]),
    st.integers(2, 16),
    st.integers(1, 8),
    st.integers(0, 99),
)
def test_levels_are_those_of_the_written_cells(encoding: str, bits: int, cell_bits: int, seed: int) -> None:
    half = 1 << (bits - 1)
    weights = np.random.default_rng(seed).integers(-half, half, (5, 3))
    weights.flat[:2] = -half, half - 1
    coding, slices = Coding(encoding, bits, cell_bits), slices_of(encoding, bits, cell_bits)
    levels = coding.levels(weights)
    assert levels.max(initial=0) <= coding.highest
    np.testing.assert_array_equal(np.einsum("s,rsc->rc", coding.worth, levels.astype(int)) - coding.offset, weights)
    for at, one in enumerate(slices):
        for row in range(5):
            for channel in range(3):
                weight, level = int(weights[row, channel]), int(levels[row, at, channel])
                assert level == level_of(weight, one, encoding, bits)
                if encoding != "twos_complement":
                    assert level == digit(weight, at, len(slices), bits, cell_bits, encoding == "differential")

"""Layers on crossbars: every weight stands in exactly one place, and the counts are those of the places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.naive import block_of, cells_of
from mapping.nets import chip

from xbarsim.adaptions.change import strip_table
from xbarsim.chip import Chip
from xbarsim.mapping import lay_out
from xbarsim.network import Layer, load_network


def conv(c_in: int, c_out: int, kernel: int = 3, groups: int = 1) -> Layer:
    return Layer(
        "layer", "conv", c_in, c_out, (kernel, kernel), (1, 1), (0, 0), (1, 1), groups, (8, 8), (8, 8), False, False
    )


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.sampled_from([1, 1, 2, 3, 6]))
    return conv(groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 6)), draw(st.integers(1, 3)), groups)


@st.composite
def chips(draw: st.DrawFn) -> tuple[Chip, int]:
    """A chip with small crossbars, and a width of weights."""
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 24)), crossbar__cols=draw(st.integers(2, 18)),
        crossbar__cell_bits=draw(st.integers(1, 4)), crossbar__encoding=draw(st.sampled_from(["offset", "differential"])),
        crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])), mapping__kernel_aligned=draw(st.booleans()),
    )  # fmt: skip
    return made, draw(st.integers(2, 9))


@settings(max_examples=200)
@given(layers(), chips())
def test_a_grid_counts_what_a_naive_placer_places(layer: Layer, chip_and_bits: tuple[Chip, int]) -> None:
    made, bits = chip_and_bits
    grid, cells = lay_out(layer, made, bits), cells_of(layer, made, bits)
    assert len(set(cells.values())) == len(cells)  # no two weights in one cell
    assert len(cells) == layer.weights * grid.slices  # every slice of every weight
    assert max(cell.row for cell in cells.values()) < made.file.crossbar.rows
    assert max(cell.column for cell in cells.values()) < made.file.crossbar.cols
    assert grid.cells == len(cells)
    assert grid.crossbars == len({cell.crossbar for cell in cells.values()})
    assert grid.physical_columns == len({(cell.crossbar, cell.column) for cell in cells.values()})
    logical = {(block_of(layer, made, row), channel) for channel, row, _ in cells}
    assert grid.logical_columns == len(logical)
    assert (
        grid.blocks
        == max(block for block, _ in logical) + 1
        == layer.blocks(made.file.crossbar.rows, made.file.mapping.kernel_aligned)
    )


@settings(max_examples=200)
@given(layers(), chips())
def test_rows_and_columns_of_every_crossbar(layer: Layer, chip_and_bits: tuple[Chip, int]) -> None:
    made, bits = chip_and_bits
    grid, cells = lay_out(layer, made, bits), cells_of(layer, made, bits)
    columns = np.zeros((grid.crossbars, made.file.crossbar.cols), bool)
    rows: list[set[int]] = [set() for _ in range(grid.crossbars)]
    for cell in cells.values():
        columns[cell.crossbar, cell.column] = True
        rows[cell.crossbar].add(cell.row)
    assert np.array_equal(np.concatenate(grid.columns_on(None)), columns)
    assert [set(range(height)) for height in np.repeat(grid.rows, grid.strip_crossbars)] == rows


@settings(max_examples=200)
@given(layers(), chips(), st.randoms(use_true_random=False))
def test_a_mask_switches_the_columns_of_its_weights(layer: Layer, chip_and_bits: tuple[Chip, int], random) -> None:  # type: ignore[no-untyped-def]
    made, bits = chip_and_bits
    grid, cells = lay_out(layer, made, bits), cells_of(layer, made, bits)
    mask = np.array([[random.random() < 0.5 for _ in range(layer.c_out)] for _ in range(grid.blocks)], np.uint8)
    wanted = np.zeros((grid.crossbars, made.file.crossbar.cols), bool)
    for (channel, row, _), cell in cells.items():
        wanted[cell.crossbar, cell.column] = mask[block_of(layer, made, row), channel]
    assert np.array_equal(np.concatenate(grid.columns_on(mask)), wanted)


@settings(max_examples=100)
@given(layers(), chips())
def test_the_strips_cover_every_weight_once(layer: Layer, chip_and_bits: tuple[Chip, int]) -> None:
    """What the cell kernels read of a grid: strips of (row block, rows, channels)."""
    made, bits = chip_and_bits
    grid = lay_out(layer, made, bits)
    seen = np.zeros((layer.c_out, layer.rows), int)
    for block, row, count, channel, channels, sharing, _ in strip_table(grid):
        seen[channel : channel + channels, row : row + count] += 1
        assert all(block_of(layer, made, r) == block for r in range(row, row + count))
        assert sharing == layer.c_out // layer.groups
    assert (seen == 1).all()


def totals(name: str, made: Chip, bits: int) -> tuple[int, int, int]:
    """(weights, logical columns, crossbars) of all layers but the classifier."""
    layers = [layer for layer in load_network(name).layers.values() if not layer.head]
    grids = [lay_out(layer, made, bits) for layer in layers]
    return (
        sum(layer.weights for layer in layers),
        sum(grid.logical_columns for grid in grids),
        sum(grid.crossbars for grid in grids),
    )


@pytest.mark.parametrize(
    ("cell_bits", "weight_bits", "crossbars"), [(2, 2, 5163), (2, 4, 9978), (2, 8, 19368), (1, 8, 38088)]
)
def test_resnet50_on_72_rows(cell_bits: int, weight_bits: int, crossbars: int) -> None:
    made = chip("xbm_72", crossbar__cell_bits=cell_bits)
    assert totals("resnet50", made, weight_bits) == (23_454_912, 339_968, crossbars)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "resnet20", "vgg8"])
def test_other_networks_follow_the_formula(name: str) -> None:
    made = chip("xbm_72")
    layers = [layer for layer in load_network(name).layers.values() if not layer.head]
    weights = sum(layer.c_in * layer.kernel[0] * layer.kernel[1] * layer.c_out for layer in layers)
    blocks = [-(-layer.c_in * layer.kernel[0] * layer.kernel[1] // 72) for layer in layers]
    columns = sum(block * layer.c_out for block, layer in zip(blocks, layers, strict=True))
    crossbars = sum(block * -(-4 * layer.c_out // 72) for block, layer in zip(blocks, layers, strict=True))
    assert totals(name, made, 8) == (weights, columns, crossbars)


@pytest.mark.parametrize(("rows", "crossbars"), [(72, 5163), (128, 1448)])
def test_columns_per_weight_of_resnet50(rows: int, crossbars: int) -> None:
    made = chip("xbm_72", crossbar__rows=rows, crossbar__cols=rows, crossbar__cell_bits=2)
    weights, columns, found = totals("resnet50", made, 2)
    assert found == crossbars
    assert columns / weights == pytest.approx({72: 0.01449, 128: 0.00784}[rows], rel=1e-3)


def test_kernel_alignment_matters_where_kernels_do_not_divide_the_rows() -> None:
    layer = conv(16, 8)  # 144 rows
    for rows, dense, aligned in ((72, 2, 2), (64, 3, 3), (128, 2, 2), (80, 2, 2), (71, 3, 3), (26, 6, 8)):
        for flag, blocks in ((False, dense), (True, aligned)):
            grid = lay_out(layer, chip(crossbar__rows=rows, mapping__kernel_aligned=flag), 8)
            assert grid.blocks == blocks == layer.blocks(rows, flag), (rows, flag)


def test_a_depthwise_layer_stands_on_the_diagonal() -> None:
    """72 rows take 8 groups of 3x3 kernels; their 4 slices fill 32 of 72 columns."""
    grid = lay_out(conv(32, 32, groups=32), chip(), 8)
    assert grid.crossbars == 4
    assert grid.rows.tolist() == [72] * 4
    assert grid.column_rows.tolist() == [9] * 4
    assert grid.channels.tolist() == [8] * 4
    assert grid.cells == 32 * 9 * 4


def test_a_depthwise_layer_may_be_short_of_columns_rather_than_rows() -> None:
    """Six columns of four slices hold one group each; so crossbars are many and their rows mostly idle."""
    grid = lay_out(conv(6, 6, groups=6), chip(crossbar__cols=7), 8)
    assert grid.crossbars == 6
    assert grid.rows.tolist() == [9] * 6


def test_slices_in_arrays_of_their_own() -> None:
    layer = conv(8, 100)
    adjacent, arrays = (lay_out(layer, chip(crossbar__slices=how), 8) for how in ("adjacent", "arrays"))
    assert adjacent.crossbars == -(-400 // 72) == 6
    assert arrays.crossbars == 4 * 2
    assert adjacent.cells == arrays.cells


def test_differential_pairs_take_twice_the_columns() -> None:
    layer = conv(8, 100)
    assert lay_out(layer, chip(crossbar__encoding="differential"), 8).physical_columns == 2 * 400

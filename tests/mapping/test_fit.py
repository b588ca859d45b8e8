"""Masks of another height: under every policy each mask group gates its own weights, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip

from xbarsim.chip import Chip
from xbarsim.mapping import Grid, lay_out
from xbarsim.mapping.fit import Fit, dense, resampling
from xbarsim.network import Layer, load_network


def conv(c_in: int, c_out: int, kernel: int = 3, groups: int = 1) -> Layer:
    return Layer(
        "layer", "conv", c_in, c_out, (kernel, kernel), (1, 1), (0, 0), (1, 1), groups, (8, 8), (8, 8), False, False
    )


def fit(made: Chip, policy: str, mask_rows: int, aligned: bool = False) -> Fit:
    here = dense(made)
    return Fit(policy, mask_rows, aligned, here.chip_rows, here.chip_aligned)  # type: ignore[arg-type]


def group_of(row: int, layer: Layer, rows: int, aligned: bool) -> int:
    """The mask group that a weight row was learned in, counted row by row."""
    area = layer.kernel[0] * layer.kernel[1]
    group = taken = 0
    for at in range(row + 1):
        kernel_ends_beyond = aligned and area <= rows and at % area == 0 and taken + area > rows
        if taken == rows or kernel_ends_beyond:
            group, taken = group + 1, 0
        taken += 1
    return group


@st.composite
def cases(draw: st.DrawFn) -> tuple[Layer, Chip, int, int, bool, np.ndarray]:
    """A layer on a chip, the width of its weights, and a mask of another height."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    layer = conv(groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 5)), draw(st.integers(1, 3)), groups)
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 30)), crossbar__cols=draw(st.integers(2, 18)),
        crossbar__cell_bits=draw(st.integers(1, 4)), crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])),
        crossbar__encoding=draw(st.sampled_from(["offset", "differential"])), mapping__kernel_aligned=draw(st.booleans()),
    )  # fmt: skip
    rows, aligned = draw(st.integers(3, 30)), draw(st.booleans())
    shape = (layer.blocks(rows, aligned), layer.c_out)
    mask = np.array(draw(st.lists(st.integers(0, 1), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    return layer, made, draw(st.integers(2, 9)), rows, aligned, mask.reshape(shape).astype(np.uint8)


def read_counts(grid: Grid, mask: np.ndarray, *, phased: bool) -> np.ndarray:
    """How often each slice of each weight is read for one input phase: its row active, its column on."""
    counts = np.zeros((grid.layer.c_out, grid.layer.rows, grid.slices), int)
    for strip, reads in enumerate(grid.readings(mask, phased=phased)):
        row = int(grid.first_row[strip])
        stacked = -(-int(grid.channels[strip]) // grid.group_channels) if grid.layer.groups > 1 else 1
        for active, on in reads:
            assert active % stacked == 0
            for number in range(int(grid.channels[strip])):
                for piece in range(grid.slices):
                    physical = number if grid.separate else number * grid.slices + piece
                    width = -(-int(grid.channels[strip]) // grid.cols)
                    place = piece * width + physical // grid.cols if grid.separate else physical // grid.cols
                    if on[place, physical % grid.cols]:
                        counts[int(grid.first_channel[strip]) + number, row : row + active // stacked, piece] += 1
            row += active // stacked
    return counts


def wanted(layer: Layer, mask: np.ndarray, rows: int, aligned: bool) -> np.ndarray:
    groups = [group_of(row, layer, rows, aligned) for row in range(layer.rows)]
    return np.array([[mask[group, channel] for group in groups] for channel in range(layer.c_out)])


@settings(max_examples=150)
@given(cases())
def test_repacked_columns_hold_one_mask_group(case: tuple[Layer, Chip, int, int, bool, np.ndarray]) -> None:
    layer, made, bits, rows, aligned, mask = case
    there = fit(made, "repack", rows, aligned)
    grid = lay_out(layer, made, bits, there)
    if not there.matches:
        assert all(len(pieces) == 1 for pieces in grid.pieces)
    assert grid.reads == 1
    assert max(grid.rows) <= made.file.crossbar.rows
    counts = read_counts(grid, mask, phased=False)
    assert np.array_equal(counts, np.repeat(wanted(layer, mask, rows, aligned)[:, :, None], grid.slices, axis=2))
    seen = np.zeros((layer.c_out, layer.rows), int)
    for first, count, channel, channels in zip(
        grid.first_row, grid.column_rows, grid.first_channel, grid.channels, strict=True
    ):
        seen[channel : channel + channels, first : first + count] += 1
        assert len({group_of(row, layer, rows, aligned) for row in range(first, first + count)}) == 1
    assert (seen == 1).all()
    assert [grid.row_block[row] for row in grid.first_row] == grid.block.tolist()


@settings(max_examples=150)
@given(cases())
def test_phases_read_every_weight_once_under_its_own_mask(
    case: tuple[Layer, Chip, int, int, bool, np.ndarray],
) -> None:
    layer, made, bits, rows, aligned, mask = case
    there = fit(made, "phased", rows, aligned)
    grid, plain = lay_out(layer, made, bits, there), lay_out(layer, made, bits)
    for name in ("block", "first_row", "rows", "first_channel", "channels"):
        assert np.array_equal(getattr(grid, name), getattr(plain, name)), name
    if there.matches:
        assert grid.reads == 1
        return
    counts = read_counts(grid, mask, phased=True)
    assert np.array_equal(counts, np.repeat(wanted(layer, mask, rows, aligned)[:, :, None], grid.slices, axis=2))
    most = 0
    for first, count in zip(grid.first_row, grid.column_rows, strict=True):
        most = max(most, len({group_of(row, layer, rows, aligned) for row in range(first, first + count)}))
    assert grid.reads == most


@settings(max_examples=50)
@given(cases())
def test_resampling_keeps_the_share_of_columns(case: tuple[Layer, Chip, int, int, bool, np.ndarray]) -> None:
    layer, made, bits, rows, aligned, mask = case
    there = fit(made, "resample", rows, aligned)
    assert lay_out(layer, made, bits, there).pieces == lay_out(layer, made, bits).pieces
    shape = (there.mask_groups(layer), layer.c_out)
    taken = resampling(mask != 0, shape, 7, "net", "task", "xbm", "layer")
    drawn = mask.ravel()[taken]
    assert drawn.shape == shape
    assert abs(drawn.sum() - mask.mean() * drawn.size) <= 1
    assert np.array_equal(taken, resampling(mask != 0, shape, 7, "net", "task", "xbm", "layer"))


def test_resampled_masks_differ_by_seed_and_address() -> None:
    mask = np.arange(400).reshape(10, 40) % 2 == 0
    drawn = [resampling(mask, (5, 40), *key) for key in ((0, "a"), (1, "a"), (0, "b"))]  # type: ignore[arg-type]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("rows", "policy", "heights", "reads", "bits_held"),
    [
        (128, "strict", [128, 16], 1, 2),
        (128, "repack", [72, 72], 1, 2),
        (128, "phased", [128, 16], 2, 3),
        (64, "strict", [64, 64, 16], 1, 3),
        (64, "repack", [64, 8, 64, 8], 1, 4),  # a group of 72 takes two columns that share its bit
        (64, "phased", [64, 64, 16], 2, 4),
        (72, "repack", [72, 72], 1, 2),
    ],
)
def test_a_layer_of_144_rows(rows: int, policy: str, heights: list[int], reads: int, bits_held: int) -> None:
    made = chip("xbm_72", crossbar__rows=rows)
    grid = lay_out(conv(16, 8), made, 8, fit(made, policy, 72))
    assert (grid.blocks, grid.column_rows.tolist(), grid.reads) == (len(heights), heights, reads)
    assert grid.mask_holders == bits_held * 8 * 4  # channels, slices


def test_most_columns_of_128_rows_straddle_two_groups_of_72() -> None:
    """Why a sweep over crossbar sizes that ignores the masks' height is silently wrong."""
    made = chip("xbm_72", crossbar__rows=128, crossbar__cols=128)
    layers = [layer for layer in load_network("resnet50").layers.values() if not layer.head]
    columns = straddling = 0
    for layer in layers:
        grid = lay_out(layer, made, 8, fit(made, "phased", 72))
        for pieces, channels in zip(grid.pieces, grid.channels, strict=True):
            columns += int(channels)
            straddling += int(channels) * (len(pieces) > 1)
    assert straddling / columns == pytest.approx(0.993, abs=1e-3)

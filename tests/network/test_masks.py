"""Masks: shapes, values, and the expansion of columns to weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.network.graph import Layer
from xbarsim.network.masks import OFF, Coding, Geometry, Mask, check_mask, mask_shape, unit_map


def layer(c_in: int = 6, c_out: int = 4, kernel: int = 3) -> Layer:
    sides = (kernel, kernel)
    return Layer("conv", "conv", c_in, c_out, sides, (1, 1), (0, 0), (1, 1), 1, (8, 8), (6, 6), False, False)


def naive_expansion(mask: Mask, layer: Layer) -> np.ndarray:
    """Cut each output channel into row blocks, weight by weight."""
    area = layer.kernel[0] * layer.kernel[1]
    height = mask.rows - mask.rows % area if mask.kernel_aligned and mask.rows >= area else mask.rows
    expanded = np.zeros((layer.c_out, layer.rows), np.uint8)
    for out in range(layer.c_out):
        for row in range(layer.rows):
            expanded[out, row] = mask.values[row // height, out]
    return expanded


@given(
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 80),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_column_mask_expands_to_its_rows(
    c_in: int, c_out: int, kernel: int, rows: int, aligned: bool, seed: int
) -> None:
    made = layer(c_in, c_out, kernel)
    shape = mask_shape(made, "column", Geometry(rows, aligned))
    values = np.random.default_rng(seed).integers(0, 2, shape).astype(np.uint8)
    mask = Mask("binary", "column", values, rows, kernel_aligned=aligned)
    assert check_mask(mask, made) == []
    assert np.array_equal(mask.expand(made), naive_expansion(mask, made))


def test_an_element_mask_is_its_own_expansion(rng: np.random.Generator) -> None:
    mask = Mask("binary", "element", rng.integers(0, 2, (4, 54)).astype(np.uint8))
    assert check_mask(mask, layer()) == []
    assert np.array_equal(mask.expand(layer()), mask.values)


def test_density_is_the_share_that_is_on() -> None:
    assert Mask("binary", "column", np.array([[1, 0, 1, 1]], np.uint8), 54).density == 0.75


GOOD = Mask("binary", "column", np.ones((6, 4), np.uint8), 9)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (replace(GOOD, values=np.ones((4, 6), np.uint8)), "shape (4, 6) is not (6, 4)"),
        (replace(GOOD, rows=54), "shape (6, 4) is not (1, 4)"),
        (
            replace(GOOD, values=np.full((6, 4), 3, np.uint8)),
            "holds the value 3; a binary mask holds (0, 1) only",
        ),
        (replace(GOOD, values=np.ones((6, 4), np.int64)), "holds int64, not uint8"),
        (replace(GOOD, rows=None), "state the crossbar rows"),
        (replace(GOOD, granularity="element"), "state the crossbar rows"),
        (replace(GOOD, granularity="row"), "no granularity 'row'"),
        (replace(GOOD, kind="ternay"), "no kind 'ternay'"),
        (replace(GOOD, row_order="kh,kw,c_in"), "row order 'kh,kw,c_in' is not 'c_in,kh,kw'"),
    ],
)
def test_a_wrong_mask_says_what_is_wrong(mask: Mask, message: str) -> None:
    [found] = check_mask(mask, layer())
    assert message in found


def units_one_by_one(made: Layer, rows: int, columns: int, crossbars: int) -> np.ndarray:
    """Fill crossbars column by column: blocks of a channel below each other need crossbars of their own."""
    per_group = made.c_out // made.groups
    together = 1
    if made.groups > 1 and made.rows <= rows:
        together = max(1, min(rows // made.rows, columns // per_group))
    blocks = -(-made.rows // rows)
    units = np.zeros((blocks, made.c_out), int)
    crossbar = 0
    for first in range(0, made.c_out, together * per_group):
        there = range(first, min(first + together * per_group, made.c_out))
        for block in range(blocks):
            for begin in range(0, len(there), columns):
                for channel in there[begin : begin + columns]:
                    units[block, channel] = crossbar // crossbars
                crossbar += 1
    return units


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40),
    st.integers(1, 9), st.integers(1, 4),
)  # fmt: skip
def test_units_are_crossbars_in_the_order_in_which_they_fill(
    groups: int, c_in: int, c_out: int, kernel: int, rows: int, columns: int, crossbars: int
) -> None:
    made = replace(layer(groups * c_in, groups * c_out, kernel), groups=groups)
    geometry = Geometry(rows, False, columns, crossbars)
    expected = units_one_by_one(made, rows, columns, crossbars)
    assert np.array_equal(unit_map(made, geometry), expected)
    assert mask_shape(made, "pe", geometry) == (expected.max() + 1,)


def test_kernel_and_unit_masks_expand(rng: np.random.Generator) -> None:
    made = layer()
    soft = Mask("soft", "kernel", rng.integers(-8, 8, (4, 6)).astype(np.int8), bits=4, step=0.25)
    assert check_mask(soft, made) == []
    assert np.array_equal(soft.expand(made).reshape(4, 6, 9), np.repeat(soft.values[:, :, None], 9, axis=2))
    unit = Mask("binary", "pe", np.array([0, 1, 1], np.uint8), 18, columns=2, crossbars=2)
    assert check_mask(unit, made) == []
    by_unit = units_one_by_one(made, 18, 2, 2)
    expected = np.array([[unit.values[by_unit[row // 18, out]] for row in range(54)] for out in range(4)])
    assert np.array_equal(unit.expand(made), expected)


def test_off_is_off() -> None:
    shift = Mask("shift", "column", np.array([[OFF, -1, 0, 1]], np.int8), 54, bits=2, levels=(-1, 0, 1))
    assert check_mask(shift, layer()) == []
    assert shift.on.tolist() == [[False, True, True, True]]
    assert shift.density == 0.75


@pytest.mark.parametrize(
    ("coding", "values", "owners", "bits"),
    [
        (Coding("binary", "column"), 1000, 2, 1000),
        (Coding("ternary", "element"), 1000, 2, 2000),
        (Coding("soft", "kernel", 6, step=1.0), 1000, 2, 6000),
        (Coding("shift", "column", 3, (-1, 0, 1)), 1000, 2, 3000),
        (Coding("shift", "column", None, (-1, 0)), 1000, 2, 1585),  # log2(3) = 1.58496
        (Coding("scale", "column", 8, step=1.0), 1000, 2, 8000),
        (Coding("owner", "element"), 1000, 2, 1000),
        (Coding("owner", "element"), 1000, 6, 3000),
        (Coding("owner", "column"), 1000, 9, 4000),
    ],
)
def test_stored_bits(coding: Coding, values: int, owners: int, bits: int) -> None:
    assert coding.stored_bits(values, owners) == bits

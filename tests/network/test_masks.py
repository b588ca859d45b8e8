"""Masks: shapes, values, and the expansion of columns to weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.network.graph import Layer
from xbarsim.network.masks import Mask, check_mask, mask_shape


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
    shape = mask_shape(made, "column", rows, aligned)
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
        (replace(GOOD, kind="ternary"), "no kind 'ternary'"),
        (replace(GOOD, row_order="kh,kw,c_in"), "row order 'kh,kw,c_in' is not 'c_in,kh,kw'"),
    ],
)
def test_a_wrong_mask_says_what_is_wrong(mask: Mask, message: str) -> None:
    [found] = check_mask(mask, layer())
    assert message in found

"""Quantisers: ties, range, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xbarsim.network.quantiser import Quantiser, integer_type

tensors = arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-4, 4, width=32))


def test_ties_go_to_the_even_integer() -> None:
    quantiser = Quantiser(8, np.array([0.5], np.float32))
    weights = np.array([[0.25, 0.75, 1.25, -0.25, -0.75, 1.0]], np.float32)
    assert quantiser.integers(weights).tolist() == [[0, 2, 2, 0, -2, 2]]


def test_integers_are_clipped_to_the_width() -> None:
    quantiser = Quantiser(4, np.array([1.0], np.float32))
    assert quantiser.integers(np.array([[-100.0, -8.4, 7.4, 100.0]])).tolist() == [[-8, -8, 7, 7]]


def test_scales_belong_to_output_channels() -> None:
    quantiser = Quantiser(8, np.array([1.0, 0.1], np.float32))
    assert quantiser.integers(np.ones((2, 1, 1, 1))).reshape(-1).tolist() == [1, 10]


@given(tensors, st.integers(2, 16), st.booleans())
def test_a_fitted_quantiser_is_symmetric_and_never_far_off(weights: np.ndarray, bits: int, per_channel: bool) -> None:
    quantiser = Quantiser.fit(weights, bits, per_channel)
    integers = quantiser.integers(weights)
    assert quantiser.scale.shape == ((len(weights),) if per_channel else (1,))
    assert (quantiser.scale > 0).all()
    assert np.abs(integers).max() <= 2 ** (bits - 1) - 1
    steps = quantiser.scale.reshape(-1, *[1] * (weights.ndim - 1))
    assert (np.abs(quantiser.values(integers) - weights) <= 0.5001 * steps).all()


@given(tensors, st.integers(2, 16))
def test_values_quantise_to_the_integers_they_came_from(weights: np.ndarray, bits: int) -> None:
    quantiser = Quantiser.fit(weights, bits)
    integers = quantiser.integers(weights)
    assert np.array_equal(quantiser.integers(quantiser.values(integers)), integers)


@pytest.mark.parametrize(("bits", "kind"), [(2, np.int8), (8, np.int8), (9, np.int16), (16, np.int16), (17, np.int32)])
def test_the_smallest_type_is_taken(bits: int, kind: type) -> None:
    assert integer_type(bits) == kind

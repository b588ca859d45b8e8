"""What was found wrong in other simulators by running them: it is right here, and stays so."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numba import config

from xbarsim.analog import calibrate, mvm, program
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError

COMPILED = not getattr(config, "DISABLE_JIT", False)


def chip(*keys: str) -> Chip:
    return load_chip("isaac", ["precision.weight_bits=8", "precision.input_bits=8", *keys])


def worst_case(rows: int, channels: int, bits: int) -> np.ndarray:
    """Weights whose columns are hard to hold: all cells at one end, at the other, and half and half."""
    half = 1 << (bits - 1)
    weights = np.full((rows, channels), half - 1)
    weights[:, 1::4] = -half
    weights[::2, 2::4] = -half
    weights[1::3, 3::4] = -half
    return weights


@pytest.mark.parametrize(("cell_bits", "dac_bits"), [*product((1, 2, 3, 4), (1, 2, 3))])
@pytest.mark.parametrize("encoding", ["offset", "differential", "twos_complement"])
def test_a_converter_with_enough_bits_is_exactly_lossless(
    encoding: str, cell_bits: int, dac_bits: int, rng: np.random.Generator
) -> None:
    """Ranges are aligned with levels: full-scale ranges in bit-sliced simulators are off by some 0.4 % (CrossSim)."""
    rows = 40
    largest = rows * (2**cell_bits - 1) * (2**dac_bits - 1)
    enough = chip(
        f"crossbar.cell_bits={cell_bits}", f"dac.bits={dac_bits}", f"adc.bits={largest.bit_length()}",
        f"crossbar.rows={rows}",
    )  # fmt: skip
    for weights in (rng.integers(-128, 128, (100, 9)), worst_case(100, 9, 8)):
        for inputs in (rng.integers(0, 256, (5, 100)), np.full((1, 100), 255)):
            arrays = program(weights, enough, encoding=encoding, shortcut=False)
            np.testing.assert_array_equal(arrays.multiply(inputs), inputs @ weights)
            assert program(weights, enough, encoding=encoding).lossless


def test_isaacs_converter_is_lossless_with_column_flipping_and_one_bit_less_is_not(rng: np.random.Generator) -> None:
    """ISAAC, ISCA 2016: 128 rows of 2-bit cells need 9 bits, and 8 if columns above half are stored flipped."""
    isaac, less = load_chip("isaac"), load_chip("isaac", ["adc.bits=7"])
    hardest = worst_case(300, 6, 16)
    for weights in (rng.integers(-(2**15), 2**15, (300, 6)), hardest):
        for inputs in (rng.integers(0, 2**16, (4, 300)), np.full((1, 300), 2**16 - 1)):
            for shortcut in (True, False):
                arrays = program(weights, isaac, shortcut=shortcut)
                assert arrays.lossless == shortcut
                np.testing.assert_array_equal(arrays.multiply(inputs), inputs @ weights)
    found = program(hardest, less)
    assert not found.lossless
    assert (found.multiply(np.full((1, 300), 2**16 - 1)) != np.full((1, 300), 2**16 - 1) @ hardest).any()


def test_without_column_flipping_isaacs_converter_would_clip() -> None:
    """As differential pairs, which are not flipped, a column of 128 largest cells takes 384 levels."""
    weights = np.full((128, 1), 127)
    found = mvm(np.full((1, 128), 255), weights, chip("crossbar.encoding=differential"))
    assert found[0, 0] < 128 * 127 * 255


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 200, 255, 257])
def test_the_last_row_block_counts_however_few_rows_it_has(rows: int, rng: np.random.Generator) -> None:
    """NeuroSim V1.4 drops the rows beyond a multiple of the array's height."""
    weights, inputs = rng.integers(-128, 128, (rows, 5)), rng.integers(0, 256, (3, rows))
    for keys in ([], ["device.read_noise.sigma_us=1e-9"]):
        np.testing.assert_array_equal(program(weights, chip(*keys), shortcut=False).multiply(inputs), inputs @ weights)
        changed = inputs.copy()
        changed[:, -1] ^= 255
        assert (program(weights, chip(*keys), shortcut=False).multiply(changed) != inputs @ weights).any()


@pytest.mark.parametrize(
    "keys", [[], ["adc.range=full"], ["adc.range=given", "adc.high_levels=60"], ["adc.range=calibrated"],
             ["device.variation.proportional=0.1"], ["device.read_noise.proportional=0.1"]],
)  # fmt: skip
def test_a_vectors_result_does_not_depend_on_the_batch(keys: list[str], rng: np.random.Generator) -> None:
    """NeuroSim V1.4 takes converter ranges from the extremes of the batch."""
    weights, inputs = rng.integers(-128, 128, (200, 7)), rng.integers(0, 256, (300 if COMPILED else 30, 200))
    inputs[0] = 255
    coarse = chip("adc.bits=5", *keys)
    ranges = calibrate(inputs[:20], weights, coarse) if "adc.range=calibrated" in keys else None
    arrays = program(weights, coarse, ranges=ranges, shortcut=False)
    whole = arrays.multiply(inputs)
    for cut in ((0, 1), (1, 2), (17, 211), (len(inputs) - 1, len(inputs))):
        np.testing.assert_array_equal(arrays.multiply(inputs[slice(*cut)], first=cut[0]), whole[slice(*cut)])


@pytest.mark.parametrize("keys", [[], ["device.variation.lognormal=0.2"], ["device.read_noise.proportional=0.1"]])
def test_results_are_the_same_for_any_number_of_threads(keys: list[str], rng: np.random.Generator) -> None:
    vectors, channels = (700, 20) if COMPILED else (140, 2)
    weights, inputs = rng.integers(-128, 128, (150, channels)), rng.integers(0, 256, (vectors, 150))
    arrays = program(weights, chip("adc.bits=5", *keys), shortcut=False)
    single = arrays.multiply(inputs, threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(arrays.multiply(inputs, threads=threads), single)


def test_noise_is_reproducible_and_follows_the_seed(rng: np.random.Generator) -> None:
    weights, inputs = rng.integers(-128, 128, (60, 8)), rng.integers(0, 256, (9, 60))
    noisy = chip("device.variation.proportional=0.1", "device.read_noise.proportional=0.1")
    first, again, other = (mvm(inputs, weights, noisy, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    arrays = program(weights, noisy)
    np.testing.assert_array_equal(arrays.multiply(inputs), arrays.multiply(inputs))
    assert (arrays.multiply(inputs) != arrays.multiply(inputs, first=9)).any()


def test_cells_have_their_error_whatever_stands_beside_them(rng: np.random.Generator) -> None:
    """The first channels of a layer are the same cells, whether others follow or are gated."""
    weights, inputs = rng.integers(-128, 128, (60, 12)), rng.integers(0, 256, (9, 60))
    noisy = chip("device.variation.proportional=0.1", "device.read_noise.proportional=0.1", "crossbar.cols=8")
    whole = mvm(inputs, weights, noisy)
    np.testing.assert_array_equal(mvm(inputs, weights[:, :6], noisy), whole[:, :6])
    on = np.array([[1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(mvm(inputs, weights, noisy, columns_on=on), whole * on)


@pytest.mark.parametrize(("weight_bits", "cell_bits"), [(7, 3), (5, 2), (9, 4), (3, 2), (8, 5), (2, 4), (16, 7)])
@pytest.mark.parametrize("encoding", ["offset", "differential", "twos_complement"])
def test_unequal_slices_and_odd_shapes_work(
    encoding: str, weight_bits: int, cell_bits: int, rng: np.random.Generator
) -> None:
    half = 1 << (weight_bits - 1)
    odd = load_chip(
        "isaac",
        [f"precision.weight_bits={weight_bits}", "precision.input_bits=5", f"crossbar.cell_bits={cell_bits}",
         "crossbar.rows=37", "crossbar.cols=11", "adc.bits=14", "dac.bits=2"],
    )  # fmt: skip
    for rows, channels, vectors in ((1, 1, 1), (83, 13, 3), (37, 1, 2), (38, 7, 1)):
        weights, inputs = rng.integers(-half, half, (rows, channels)), rng.integers(0, 32, (vectors, rows))
        arrays = program(weights, odd, encoding=encoding, shortcut=False)
        np.testing.assert_array_equal(arrays.multiply(inputs), inputs @ weights)


def test_a_device_without_an_on_off_ratio_is_refused() -> None:
    with pytest.raises(InputError, match=r"device\.g_max_us"):
        chip("device.g_max_us=1", "device.g_min_us=1")
    file = chip().file
    device = file.device.model_copy(update={"g_max_us": file.device.g_min_us})
    with pytest.raises(InputError, match="on/off ratio of 1 leaves no levels"):
        program([[1]], Chip(file.model_copy(update={"device": device})))

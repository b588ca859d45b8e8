"""The public function: what goes in, what comes out, what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from analog.cases import scales_of
from analog.naive import Naive, NaiveCells, as_lists

from xbarsim.analog import mvm, program
from xbarsim.analog.arrays import exact_product
from xbarsim.analog.columns import CellColumns
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("xbm_72")


@pytest.fixture(scope="module")
def noisy() -> Chip:
    return load_chip("xbm_72", ["device.variation.proportional=0.05"])


def test_enough_bits_give_the_product_in_whole_numbers(chip: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (6, 100)), rng.integers(-128, 128, (100, 9))
    found = mvm(inputs, weights, chip)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, inputs @ weights)


def test_signed_inputs(chip: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(-128, 128, (6, 100)), rng.integers(-128, 128, (100, 9))
    inputs[0], inputs[1] = -128, 127
    np.testing.assert_array_equal(mvm(inputs, weights, chip, inputs_signed=True), inputs @ weights)
    slow = program(weights, chip, inputs_signed=True, shortcut=False)
    np.testing.assert_array_equal(slow.multiply(inputs), inputs @ weights)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64, bool, list])
@pytest.mark.parametrize("shortcut", [True, False])
def test_whole_numbers_of_every_type(kind: Any, shortcut: bool, chip: Chip) -> None:
    numbers = np.arange(12).reshape(3, 4) % (2 if kind is bool else 128)
    inputs = numbers.tolist() if kind is list else numbers.astype(kind)
    weights = numbers.T.tolist() if kind is list else numbers.T.astype(kind)
    for signed in (False, True):
        arrays = program(weights, chip, inputs_signed=signed, shortcut=shortcut)
        np.testing.assert_array_equal(arrays.multiply(inputs), numbers @ numbers.T)


def test_arrays_in_any_layout_of_memory(chip: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (50, 6)).T, rng.integers(-128, 128, (18, 50))[::2].T
    for keys in ([], ["device.read_noise.sigma_us=1e-9"]):
        arrays = program(weights, chip.vary(keys), shortcut=False)
        np.testing.assert_array_equal(arrays.multiply(inputs), inputs @ weights)


def test_no_vectors_give_no_rows(chip: Chip, noisy: Chip) -> None:
    for some in (chip, noisy):
        assert mvm(np.zeros((0, 3), int), np.ones((3, 2), int), some).shape == (0, 2)
        assert program(np.ones((3, 2), int), some, shortcut=False).multiply(np.zeros((0, 3), int)).shape == (0, 2)


def test_cells_with_errors_give_floats_near_the_product(noisy: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (40, 144)), rng.integers(-128, 128, (144, 30))
    found = mvm(inputs, weights, noisy)
    assert found.dtype == np.float64
    assert np.corrcoef(found.ravel(), (inputs @ weights).ravel())[0, 1] > 0.98
    assert (found != inputs @ weights).any()


# ---- gates and shifts ------------------------------------------------------------------------


def test_a_gated_column_adds_nothing_not_even_its_offset_or_flip(chip: Chip) -> None:
    """72 largest weights: the columns are flipped, and their codes without cells would still be corrected."""
    weights, inputs = np.full((144, 3), 127), np.full((1, 144), 255)
    on = np.array([[1, 0, 0], [1, 1, 0]])
    for shortcut in (True, False):
        arrays = program(weights, chip, columns_on=on, shortcut=shortcut)
        assert arrays.multiply(inputs).tolist() == [[127 * 144 * 255, 127 * 72 * 255, 0]]


def test_gates_and_shifts_act_on_row_blocks(chip: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (5, 200)), rng.integers(-128, 128, (200, 7))
    on, shift = rng.integers(0, 2, (3, 7)), rng.integers(0, 5, (3, 7))
    blocks = [slice(0, 72), slice(72, 144), slice(144, 200)]
    partial = np.stack([inputs[:, rows] @ weights[rows] for rows in blocks])
    for shortcut in (True, False):
        arrays = program(weights, chip, columns_on=on, column_shift=shift, shortcut=shortcut)
        found = arrays.multiply(inputs)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, (partial * on[:, None] << shift[:, None]).sum(axis=0))


def test_negative_exponents_lose_nothing(chip: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (5, 200)), rng.integers(-128, 128, (200, 7))
    shift = rng.integers(-7, 3, (3, 7))
    blocks = [slice(0, 72), slice(72, 144), slice(144, 200)]
    found = mvm(inputs, weights, chip, column_shift=shift)
    assert found.dtype == np.float64
    for n in range(5):
        for channel in range(7):
            expected = sum(
                int(inputs[n, rows] @ weights[rows, channel]) * Fraction(2) ** int(shift[at, channel])
                for at, rows in enumerate(blocks)
            )
            assert Fraction(found[n, channel]) == expected


def test_exponents_of_columns_that_are_off_do_not_matter(chip: Chip) -> None:
    weights = np.ones((72, 2), int)
    found = mvm(np.ones((1, 72), int), weights, chip, columns_on=[[1, 0]], column_shift=[[1, -60]])
    assert found.dtype == np.int64
    assert found.tolist() == [[144, 0]]


def test_a_layer_with_all_columns_off_gives_zeros(chip: Chip, noisy: Chip) -> None:
    for some in (chip, noisy):
        for shortcut in (True, False):
            arrays = program(np.ones((100, 3), int), some, columns_on=np.zeros((2, 3), int), shortcut=shortcut)
            assert (arrays.multiply(np.ones((4, 100), int)) == 0).all()


def test_shifts_with_errors_scale_the_partial_sums(noisy: Chip, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 256, (5, 60)), rng.integers(-128, 128, (60, 7))
    plain = mvm(inputs, weights, noisy)
    np.testing.assert_array_equal(mvm(inputs, weights, noisy, column_shift=np.full((1, 7), -3)), plain / 8)


# ---- the circuit -----------------------------------------------------------------------------


def test_a_circuit_sees_whole_crossbars_with_the_unit_column_last(rng: np.random.Generator) -> None:
    chip = load_chip("xbm_72", ["crossbar.rows=8", "crossbar.cols=6", "device.g_min_us=1", "device.g_max_us=4"])
    weights, on = rng.integers(-128, 128, (12, 4)), np.array([[1, 0, 1, 1], [0, 1, 0, 0]])
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def circuit(cells: np.ndarray, columns_on: np.ndarray) -> np.ndarray:
        seen.append((cells.copy(), columns_on.copy()))
        return cells

    arrays = program(weights, chip, columns_on=on, circuit=circuit)
    assert all(cells.shape == (8, 7) and columns.shape == (7,) for cells, columns in seen)
    assert len(seen) == 5  # three crossbars hold four channels of four slices; in the second block, two are in use
    assert [columns[:6].tolist() for _, columns in seen[:3]] == [
        [True] * 4 + [False] * 2, [False] * 2 + [True] * 4, [True] * 4 + [False] * 2,
    ]  # fmt: skip
    assert all(columns[6] for _, columns in seen)
    assert (seen[0][0][:, 6] == 2).all()  # one level
    np.testing.assert_array_equal(seen[3][0][4:, :6], 1)  # rows without weights are at the lowest level
    inputs = rng.integers(0, 256, (3, 12))
    expected = program(weights, chip, columns_on=on).multiply(inputs)
    np.testing.assert_array_equal(arrays.multiply(inputs), expected)


def test_a_circuit_that_loses_half_of_the_current_halves_the_result() -> None:
    chip = load_chip("xbm_72", ["crossbar.off_current=kept", "crossbar.encoding=differential", "adc.bits=12"])
    weights, inputs = np.full((64, 3), 85), np.full((1, 64), 255)
    arrays = program(weights, chip, circuit=lambda cells, on: cells / 2)
    assert (arrays.multiply(inputs) == 85 * 64 * 255 / 2).all()


def test_a_circuit_must_answer_in_kind(chip: Chip) -> None:
    for wrong in (lambda cells, on: cells[:-1], lambda cells, on: cells * np.nan):
        with pytest.raises(InputError, match="circuit: expected"):
            program([[1]], chip, circuit=wrong)


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "weights", "options", "message"),
    [
        ([[256]], [[1]], {}, r"inputs: 256 at \[0, 0\] is outside 0 … 255 of 8-bit inputs"),
        ([[0, -1]], [[1], [1]], {}, r"inputs: -1 at \[0, 1\] is outside 0 … 255"),
        ([[128]], [[1]], {"inputs_signed": True}, r"inputs: 128 at \[0, 0\] is outside -128 … 127"),
        ([[1]], [[128]], {}, r"weights: 128 at \[0, 0\] is outside -128 … 127 of 8-bit weights"),
        ([[1]], [[-129]], {}, r"weights: -129"),
        ([[1.0]], [[1]], {}, r"inputs: float64 is no integer type; quantise first"),
        ([[1]], [[0.5]], {}, r"weights: float64 is no integer type"),
        ([1], [[1]], {}, r"inputs: 1 dimensions, expected 2"),
        ([[1]], [[[1]]], {}, r"weights: 3 dimensions, expected 2"),
        ([[1, 2]], [[1]], {}, r"inputs: 2 rows, but the weights have 1"),
        ([[1]], np.zeros((0, 3), int), {}, r"weights: shape \(0, 3\) holds none"),
        ([[1]], np.zeros((3, 0), int), {}, r"weights: shape \(3, 0\) holds none"),
        ([[1]], [[1]], {"columns_on": [[1, 1]]}, r"columns_on: shape \(1, 2\), expected \(1, 1\)"),
        ([[1]], [[1]], {"columns_on": [[2]]}, r"columns_on: a column is on \(1\) or off \(0\)"),
        ([[1]], [[1]], {"column_shift": [[0], [0]]}, r"column_shift: shape \(2, 1\), expected \(1, 1\)"),
        ([[1]], [[1]], {"column_shift": [[0.5]]}, r"column_shift: float64 is no integer type"),
        ([[1]], [[1]], {"column_shift": [[63]]}, r"column_shift: exponents from 63 to 63 are beyond 62 bits"),
        ([[1]], [[1]], {"column_shift": [[50]]}, r"column_shift: results may need more than 62 bits"),
        ([[1]], [[1, 1]], {"column_shift": [[-20, 20]]}, r"column_shift: results may need more than 53 bits"),
        ([[1]], [[1, 1]], {"column_shift": [[-40, 40]]}, r"column_shift: exponents from -40 to 40"),
        ([[1]], [[1]], {"seed": -1}, r"seed: -1 is outside"),
    ],
)
def test_bad_input_is_refused(inputs: Any, weights: Any, options: dict[str, Any], message: str, chip: Chip) -> None:
    with pytest.raises(InputError, match=message):
        mvm(inputs, weights, chip, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 73}, r"height: row blocks of 73 rows on crossbars of 72"),
        ({"weight_bits": 1}, r"weight_bits: 1 is outside 2 … 16"),
        ({"input_bits": 17}, r"input_bits: 17 is outside 1 … 16"),
        ({"input_bits": 1, "inputs_signed": True}, r"input_bits: 1 is outside 2 … 16"),
        ({"encoding": "ofset"}, r"no encoding 'ofset'; known: .*; did you mean 'offset'\?"),
    ],
)
def test_bad_programs_are_refused(options: dict[str, Any], message: str, chip: Chip) -> None:
    with pytest.raises(InputError, match=message):
        program([[1]], chip, **options)


def test_bad_reads_are_refused(chip: Chip) -> None:
    arrays = program([[1]], chip)
    for options, message in (({"first": -1}, "first"), ({"first": 2**32}, "first"), ({"threads": 0}, "threads: 0")):
        with pytest.raises(InputError, match=message):
            arrays.multiply([[1]], **options)


def test_a_driver_with_signs_has_no_most_negative_input() -> None:
    chip = load_chip("xbm_72", ["dac.signed=true"])
    with pytest.raises(InputError, match=r"-128 at \[0, 0\] is outside -127 … 127"):
        mvm([[-128]], [[1]], chip, inputs_signed=True)


def test_noise_beyond_any_converter_is_refused() -> None:
    chip = load_chip("xbm_72", ["device.read_noise.sigma_us=1e12"])
    with pytest.raises(InputError, match="column currents or their noise"):
        program([[1]], chip)


def test_weights_of_other_widths_than_the_chips(chip: Chip, rng: np.random.Generator) -> None:
    weights, inputs = rng.integers(-4, 4, (80, 3)), rng.integers(0, 2, (2, 80))
    found = program(weights, chip, weight_bits=3, input_bits=1).multiply(inputs)
    np.testing.assert_array_equal(found, inputs @ weights)


# ---- large numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys", [[], ["dac.signed=true"], ["crossbar.encoding=differential", "crossbar.subtract=analog"]]
)
def test_column_sums_beyond_sixteen_bits(keys: list[str], rng: np.random.Generator) -> None:
    """8-bit cells and 4-bit drivers on 128 rows: sums up to 489,600."""
    wide = load_chip("isaac", [
        "crossbar.cell_bits=8", "dac.bits=4", "adc.bits=12", "adc.range=full", "precision.weight_bits=9",
        "precision.input_bits=9", *keys,
    ])  # fmt: skip
    signed = "dac.signed=true" in keys
    weights = rng.integers(-256, 256, (150, 3))
    inputs = rng.integers(-255, 256, (2, 150)) if signed else rng.integers(0, 512, (2, 150))
    inputs[0] = 255 if signed else 511
    for more in ([], ["device.variation.proportional=0.02"]):
        arrays = program(weights, wide.vary(more), inputs_signed=signed, shortcut=False)
        columns = arrays.blocks[0].columns
        common = (wide.vary(more), as_lists(weights), wide.file.crossbar.encoding, 9, 9, signed)
        if isinstance(columns, CellColumns):
            twin: Naive = NaiveCells(*common, fraction=columns.fraction, variance_scales=scales_of(columns))
        else:
            twin = Naive(*common)
            assert columns.kind is np.int64
        expected = np.array(twin.multiply(as_lists(inputs)), float)
        np.testing.assert_allclose(arrays.multiply(inputs), expected, rtol=1e-9)


def test_conductances_that_need_more_than_32_bits(rng: np.random.Generator) -> None:
    """A hundredth of a level to a code: the sums of a column have 20 bits before, and 20 behind the point."""
    fine = load_chip("isaac", [
        "adc.bits=16", "adc.range=given", "adc.high_levels=655.35", "crossbar.rows=64", "precision.weight_bits=4",
        "precision.input_bits=6", "dac.bits=3", "crossbar.cell_bits=4", "device.read_noise.proportional=0.05",
        "device.variation.lognormal=0.3",
    ])  # fmt: skip
    weights, inputs = rng.integers(-8, 8, (70, 3)), rng.integers(0, 64, (3, 70))
    arrays = program(weights, fine)
    columns = arrays.blocks[0].columns
    assert isinstance(columns, CellColumns)
    assert columns.cells.conductances.dtype == np.int64
    twin = NaiveCells(
        fine, as_lists(weights), "offset", 4, 6, fraction=columns.fraction, variance_scales=scales_of(columns)
    )  # fmt: skip
    np.testing.assert_allclose(arrays.multiply(inputs), np.array(twin.multiply(as_lists(inputs)), float), rtol=1e-9)


@pytest.mark.parametrize("largest", [2**8, 2**20, 2**40])
def test_exact_products_take_the_precision_they_need(largest: int, rng: np.random.Generator) -> None:
    inputs, weights = rng.integers(0, 2**8, (4, 30)), rng.integers(-largest, largest, (30, 5))
    expected = [
        [sum(int(a) * int(b) for a, b in zip(row, column, strict=True)) for column in weights.T] for row in inputs
    ]
    assert exact_product(inputs, weights, 2**8).tolist() == expected

"""Converters: exact codes, arithmetic that has them all, ranges that are aligned, given or found from data."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from analog.naive import Naive, as_lists
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.analog import Range, Ranges, calibrate, program
from xbarsim.analog.converter import Converter, enclosing, spanning
from xbarsim.chip import load_chip
from xbarsim.errors import InputError
from xbarsim.kernels import popcount

fractions = st.fractions(Fraction(1, 8), 60, max_denominator=12)
errors = st.sampled_from([Fraction(0), Fraction(0), Fraction(1, 50), Fraction(-1, 20)])
converters = st.builds(
    Converter,
    st.integers(1, 10),
    st.builds(Range, st.fractions(-50, 50, max_denominator=8), fractions),
    errors,
    st.sampled_from([Fraction(0), Fraction(0), Fraction(3, 10), Fraction(-2)]),
)


def exact(converter: Converter, total: int) -> int:
    shifted = (1 + converter.gain) * total + converter.offset - converter.range.low
    return min(max(round(shifted / converter.range.step), 0), converter.top)


@given(converters, st.integers(-500, 0), st.integers(0, 2000))
def test_codes_are_rounded_half_to_even_and_clipped(converter: Converter, least: int, most: int) -> None:
    sums = np.arange(least, most + 1)
    assert converter.codes(sums).tolist() == [exact(converter, int(total)) for total in sums]


@given(converters, st.booleans(), st.integers(0, 2000))
def test_lanes_and_divisions_give_the_same_codes(converter: Converter, signed: bool, most: int) -> None:
    sums = np.arange(-most if signed else 0, most + 1)
    totals, expected = sums.astype(np.uint16), converter.codes(sums)
    by_division = np.zeros(len(sums), np.int32)
    quotient = np.array([*converter.quotient, converter.top], float)
    popcount.divide(totals, signed, quotient, np.int32(1), by_division)
    assert by_division.tolist() == expected.tolist()
    law = converter.law(int(sums[0]), most)
    if law is not None:
        by_law = np.zeros(len(sums), np.int32)
        popcount.convert(totals, np.array(law), np.int32(1), by_law)
        assert by_law.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "step", [Fraction(1), Fraction(2), Fraction(3), Fraction(7, 2), Fraction(1, 2), Fraction(100, 63)]
)
@pytest.mark.parametrize("low", [Fraction(0), Fraction(5), Fraction(9, 2)])
def test_common_ranges_have_a_law(step: Fraction, low: Fraction) -> None:
    for bits in (4, 6, 8):
        assert Converter(bits, Range(low, step)).law(0, 384) is not None
        assert Converter(bits, Range(-step * 2 ** (bits - 1), step)).law(-384, 384) is not None


@given(converters, st.integers(0, 300))
def test_faithful_means_that_logic_takes_every_code_for_the_sum(converter: Converter, most: int) -> None:
    held = all(
        converter.range.low + converter.range.step * exact(converter, total) == total for total in range(most + 1)
    )
    assert converter.faithful(0, most) <= held


@given(st.integers(1, 12), st.integers(1, 5000), st.booleans())
def test_spanning_ranges_hold_every_sum(bits: int, most: int, bipolar: bool) -> None:
    used = spanning(most, bits, bipolar)
    assert used.whole
    assert used.low <= (-most if bipolar and bits > 1 else 0)
    assert used.low + used.step * (2**bits - 1) >= (most if bits > 1 or not bipolar else 0)
    least_codes = (2 ** (bits - 1) - 1 if bipolar else 2**bits - 1) or 1
    assert used.step == 1 or (used.step - 1) * least_codes < most


@given(st.integers(-200, 200), st.integers(0, 400), st.integers(1, 10))
def test_enclosing_ranges_are_whole_and_begin_where_the_data_does(least: int, width: int, bits: int) -> None:
    used = enclosing(least, least + width, bits)
    assert used.low == least
    assert used.step >= 1
    assert used.low + used.step * (2**bits - 1) >= least + width


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        Range(Fraction(0), Fraction(0))
    with pytest.raises(InputError, match=r"adc\.high_levels: 4 is not above low_levels of 4"):
        load_chip("isaac", ["adc.range=given", "adc.low_levels=4", "adc.high_levels=4"])
    with pytest.raises(InputError, match=r"adc\.high_levels: missing"):
        load_chip("isaac", ["adc.range=given"])


def test_calibrated_ranges_must_be_given() -> None:
    chip = load_chip("isaac", ["adc.range=calibrated"])
    with pytest.raises(InputError, match="calibrate"):
        program([[1]], chip)
    assert program([[1]], chip, ranges=calibrate([[1]], [[1]], chip)).multiply([[3]]).tolist() == [[3]]


def test_errors_of_too_many_digits_are_refused() -> None:
    chip = load_chip("isaac", ["adc.errors.gain=0.123456789123456789123", "adc.bits=4"])
    with pytest.raises(InputError, match="fewer digits"):
        program([[1] * 20] * 20, chip, shortcut=False)


KEYS = ["precision.weight_bits=6", "precision.input_bits=5", "crossbar.rows=32", "adc.bits=4", "adc.range=calibrated"]


@pytest.mark.parametrize("more", [[], ["crossbar.encoding=differential", "crossbar.subtract=analog"], ["dac.bits=2"]])
@pytest.mark.parametrize("signed", [False, True])
def test_calibration_finds_the_least_and_largest_column_sum(
    more: list[str], signed: bool, rng: np.random.Generator
) -> None:
    chip = load_chip("isaac", [*KEYS, *more])
    weights, inputs = rng.integers(-31, 32, (50, 4)), rng.integers(0, 16, (6, 50))
    ranges = calibrate(inputs, weights, chip, inputs_signed=signed)
    twin = Naive(chip, as_lists(weights), chip.file.crossbar.encoding, 6, 5, signed)
    split = len(twin.slices) // (2 if twin.paired else 1)
    for at in range(split):
        sums = []
        for vector in as_lists(inputs):
            for block in twin.blocks:
                reads = {row: twin.digits(vector[row]) for row in block}
                for phase in range(len(twin.shares)):
                    digits = {row: reads[row][phase][1] for row in block}
                    for channel in range(4):
                        low = twin.column(block, channel, at + split, digits) if twin.paired else 0
                        sums.append(twin.column(block, channel, at, digits) - low)
        assert ranges.slices[at] == enclosing(min(sums), max(sums), 4)


def test_calibration_may_leave_a_share_outside(rng: np.random.Generator) -> None:
    chip = load_chip("isaac", KEYS)
    weights, inputs = rng.integers(-32, 32, (32, 30)), rng.integers(0, 32, (40, 32))
    every, most = (calibrate(inputs, weights, chip, outside=share) for share in (0, 0.05))
    for wide, narrow in zip(every.slices, most.slices, strict=True):
        assert wide.low < narrow.low
        assert narrow.low + narrow.step * 15 < wide.low + wide.step * 15
    with pytest.raises(InputError, match="outside"):
        calibrate(inputs, weights, chip, outside=0.5)


def test_calibration_sees_only_columns_that_are_on(rng: np.random.Generator) -> None:
    chip = load_chip("isaac", KEYS)
    weights = np.concatenate([np.full((32, 3), -32), rng.integers(-32, 32, (32, 3))], axis=1)
    inputs, on = rng.integers(0, 32, (20, 32)), np.array([[0, 0, 0, 1, 1, 1]])
    assert calibrate(inputs, weights, chip, columns_on=on) == calibrate(inputs, weights[:, 3:], chip)
    with pytest.raises(InputError, match="nothing to calibrate"):
        calibrate(inputs, weights, chip, columns_on=0 * on)


def test_calibration_refuses_what_it_cannot_use() -> None:
    chip = load_chip("isaac", KEYS)
    with pytest.raises(InputError, match="a vector at least"):
        calibrate(np.zeros((0, 2), int), [[1], [1]], chip)
    with pytest.raises(InputError, match="for weights of 2 rows"):
        calibrate([[1]], [[1], [1]], chip)
    huge = load_chip("isaac", ["crossbar.cell_bits=8", "dac.bits=16", "crossbar.rows=128"])
    with pytest.raises(InputError, match="counts column sums up to"):
        calibrate([[1]], [[1]], huge)


def test_ranges_must_be_one_per_slice() -> None:
    with pytest.raises(InputError, match="2 given for 8 converted bit slices"):
        program([[1]], load_chip("isaac"), ranges=Ranges((Range(), Range()), Range()))


def test_each_slice_may_have_a_range_of_its_own(rng: np.random.Generator) -> None:
    chip = load_chip("isaac", ["precision.weight_bits=4", "precision.input_bits=3", "adc.bits=3", "crossbar.rows=16"])
    weights, inputs = rng.integers(-8, 8, (16, 40)), rng.integers(0, 8, (9, 16))
    for steps in ((2, 3), (Fraction(5, 2), 3)):
        ranges = Ranges(tuple(Range(Fraction(at), Fraction(step)) for at, step in enumerate(steps)), Range())
        found = program(weights, chip, ranges=ranges, shortcut=False).multiply(inputs)
        expected = np.zeros(found.shape)
        codes = weights + 8
        for at, worth in enumerate((4, 1)):
            levels = (codes >> 2 * (1 - at)) & 3
            flips = (levels.sum(axis=0) > 7) & (48 - levels.sum(axis=0) < levels.sum(axis=0))
            stored = np.where(flips, 3 - levels, levels)
            for bit in range(3):
                applied = (inputs >> bit) & 1
                converter = Converter(3, ranges.slices[at])
                value = converter.codes(applied @ stored) * float(steps[at]) + at
                counted = np.minimum(applied.sum(axis=1), 7)[:, None]
                expected += 2**bit * worth * np.where(flips, 3 * counted - value, value)
                expected -= 2**bit * 8 * counted if at == 0 else 0
        np.testing.assert_array_equal(found, expected)
        assert np.issubdtype(found.dtype, np.integer) == isinstance(steps[0], int)

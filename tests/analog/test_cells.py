"""Cells: every law of error has the mean and the variance that it states, and faults the rate that was asked for."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from numba import config
from numpy.typing import NDArray

from xbarsim.analog import program
from xbarsim.analog.cells import Source, conductances_us, read_variance
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError

COMPILED = not getattr(config, "DISABLE_JIT", False)
pytestmark = pytest.mark.skipif(not COMPILED, reason="a hundred thousand cells take compiled kernels")

CELLS, SHARE = 100_000, 0.02
ROWS, COLUMNS = 250, 400
DEVICE = ("device.g_min_us=5", "device.g_max_us=50")
LEVELS = 4

Floats = NDArray[np.float64]


def chip(*keys: str) -> Chip:
    return load_chip("isaac", [*DEVICE, *keys])


def drawn(level: int, *keys: str, seed: int = 0, draw: int = 0, site: int = 0) -> Floats:
    """Conductances of CELLS cells that were written to one level."""
    levels = np.full((ROWS, COLUMNS), level, np.uint8)
    source = Source.of(seed, site, draw)
    return conductances_us(
        chip(*keys).file.device, LEVELS, levels, source, np.arange(COLUMNS, dtype=np.uint32), np.arange(ROWS)
    )


def assert_distributed(found: Floats, mean: float, variance: float) -> None:
    assert found.size == CELLS
    assert found.mean() == pytest.approx(mean, rel=SHARE)
    assert found.var() == pytest.approx(variance, rel=SHARE)


NOMINAL = [5.0, 20.0, 35.0, 50.0]


@pytest.mark.parametrize("level", range(LEVELS))
def test_proportional_error(level: int) -> None:
    g = NOMINAL[level]
    assert_distributed(drawn(level, "device.variation.proportional=0.1"), g, (0.1 * g) ** 2)


@pytest.mark.parametrize("s", [0.1, 0.5])
@pytest.mark.parametrize("level", range(LEVELS))
def test_lognormal_error(level: int, s: float) -> None:
    g, found = NOMINAL[level], drawn(level, f"device.variation.lognormal={s}")
    assert np.median(found) == pytest.approx(g, rel=SHARE)
    assert found.mean() == pytest.approx(g * exp(s * s / 2), rel=SHARE)
    assert found.var() == pytest.approx(g * g * (exp(s * s) - 1) * exp(s * s), rel=3 * SHARE if s > 0.4 else SHARE)


WAN = "device.variation.sigma_us=[0.348, 16.030, -43.853, 45.393, -16.815]"
"""aihwkit's fit of Wan et al., Nature 2022, one second after writing; of G / 40 uS."""


@pytest.mark.parametrize("level", range(LEVELS))
def test_polynomial_error_is_that_of_the_fit_whatever_the_devices_range(level: int) -> None:
    """The fit states microsiemens at its own conductance; it is not stretched to the device's largest one."""
    g = NOMINAL[level]
    x = g / 40
    sigma = 0.348 + 16.030 * x - 43.853 * x**2 + 45.393 * x**3 - 16.815 * x**4
    found = drawn(level, WAN, "device.variation.reference_us=40")
    assert_distributed(found, g, max(sigma, 0) ** 2)


def test_polynomials_count_as_zero_where_they_are_negative() -> None:
    assert (drawn(3, "device.variation.sigma_us=[1, -0.1]") == 50).all()


def test_conductances_are_never_negative() -> None:
    found = drawn(0, "device.variation.sigma_us=[20]")
    assert found.min() == 0
    assert (found == 0).mean() == pytest.approx(0.4013, abs=0.01)  # below -5/20 standard deviations


U = log(1000.0)
DRIFT = ("device.drift.time_s=1000", "device.drift.start_s=1")


@pytest.mark.parametrize("level", range(LEVELS))
def test_power_law_drift(level: int) -> None:
    g, n, spread = NOMINAL[level], 0.05, 0.01
    keys = (*DRIFT, f"device.drift.exponent={n}", f"device.drift.exponent_sigma={spread}")
    s = spread * U
    mean, variance = g * exp(-n * U + s * s / 2), g * g * exp(-2 * n * U + s * s) * (exp(s * s) - 1)
    assert_distributed(drawn(level, *keys), mean, variance)


@pytest.mark.parametrize("level", range(LEVELS))
def test_relaxation_shifts_and_spreads_with_the_logarithm_of_time(level: int) -> None:
    keys = ("device.drift.shift_us=-0.0890", "device.drift.spread_us=0.0420", "device.drift.spread_start_us=0.4118")
    found = drawn(level, *DRIFT, *keys)
    assert_distributed(found, NOMINAL[level] - 0.0890 * U, (0.0420 * U + 0.4118) ** 2)


def test_errors_of_writing_and_drift_are_independent() -> None:
    both = ("device.variation.proportional=0.05", *DRIFT, "device.drift.spread_start_us=2")
    assert_distributed(drawn(2, *both), 35, 1.75**2 + 4)


def test_levels_are_as_uneven_as_stated() -> None:
    a = 2.0
    for level in range(LEVELS):
        share = (1 - exp(-a * level / 3)) / (1 - exp(-a))
        assert drawn(level, f"device.nonlinearity={a}")[0, 0] == pytest.approx(5 + 45 * share, rel=1e-12)


def test_a_fit_is_refused_outside_its_conductances() -> None:
    keys = ("device.variation.sigma_us=[1]", "device.variation.fitted_us=[10, 60]")
    with pytest.raises(InputError, match=r"levels at 5 uS are outside the 10 … 60 uS"):
        program([[1]], chip(*keys))


@pytest.mark.parametrize(("lrs", "hrs"), [(0.0175, 0.0904), (0.001, 0.001), (0.05, 0.05), (0, 0.1), (0.3, 0.7)])
def test_realised_fault_rates_are_those_requested(lrs: float, hrs: float) -> None:
    """The first pair: Chen et al., IEEE Trans. Comput. 2015."""
    found = drawn(1, f"device.stuck_at.lrs={lrs}", f"device.stuck_at.hrs={hrs}", seed=11)
    for rate, g in ((lrs, 50.0), (hrs, 5.0)):
        realised = (found == g).mean()
        assert abs(realised - rate) <= 3 * sqrt(rate * (1 - rate) / CELLS)
    assert ((found == 50) | (found == 5) | (found == 20)).all()


def test_faults_stay_where_they_are_when_cells_are_written_again() -> None:
    keys = ("device.stuck_at.lrs=0.1", "device.variation.proportional=0.1")
    first, again = drawn(1, *keys), drawn(1, *keys, draw=1)
    assert ((first == 50) == (again == 50)).all()
    assert (first[first != 50] != again[first != 50]).all()
    assert not ((first == 50) == (drawn(1, *keys, seed=1) == 50)).all()
    assert not ((first == 50) == (drawn(1, *keys, site=1) == 50)).all()


FINE = ("adc.bits=16", "adc.range=given", "adc.low_levels=-100", "adc.high_levels=555.35", "precision.input_bits=1")
"""A converter with codes a hundredth of a level apart, and inputs of one read."""


@pytest.mark.parametrize("dac_bits", [1, 2])
def test_read_noise_has_the_variance_of_the_sum_of_its_cells(dac_bits: int) -> None:
    """10^5 reads, of ten columns, of a dozen cells in which levels and inputs of all sizes meet."""
    rng = np.random.default_rng(2)
    keys = [*DEVICE, *FINE, "crossbar.encoding=differential", f"dac.bits={dac_bits}", "precision.weight_bits=2"]
    noise = ["device.read_noise.proportional=0.04", "device.read_noise.sigma_us=0.5"]
    noisy = load_chip("isaac", [*keys, *noise, f"precision.input_bits={dac_bits}"])
    weights, inputs = rng.integers(-2, 2, (12, 10)), rng.integers(0, 1 << dac_bits, 12)
    found = program(weights, noisy).multiply(np.tile(inputs, (CELLS // 10, 1)))
    variance = np.zeros(10)
    for levels in (np.maximum(weights, 0), np.maximum(-weights, 0)):
        g = 5 + 45 * levels / 3
        variance += (inputs[:, None] ** 2 * ((0.04 * g) ** 2 + 0.5**2)).sum(axis=0) / 15**2
    np.testing.assert_allclose(found.mean(axis=0), inputs @ weights, atol=4 * np.sqrt(variance.max() / 1e4))
    standardised = (found - inputs @ weights) / np.sqrt(variance)
    assert standardised.size == CELLS
    assert standardised.var() == pytest.approx(1, rel=SHARE)
    np.testing.assert_allclose(standardised.var(axis=0), 1, rtol=0.06)
    apart = np.corrcoef(standardised.T) - np.eye(10)
    assert np.abs(apart).max() < 0.05  # columns have noise of their own
    assert abs(np.corrcoef(standardised[:-1].ravel(), standardised[1:].ravel())[0, 1]) < 0.02  # and so has every read


def test_reads_of_one_vector_have_noise_of_their_own() -> None:
    keys = [*DEVICE, *FINE[:4], "precision.input_bits=8", "crossbar.encoding=differential", "precision.weight_bits=2"]
    noisy = load_chip("isaac", [*keys, "device.read_noise.sigma_us=1"])
    found = program(np.ones((1, 4), int), noisy).multiply(np.full((20000, 1), 255))
    assert found.var() == pytest.approx(2 * sum(4**bit for bit in range(8)) / 15**2, rel=SHARE)


def test_the_variance_of_a_read_is_the_sum_of_both_parts() -> None:
    noisy = chip("device.read_noise.proportional=0.1", "device.read_noise.sigma_us=0.3")
    np.testing.assert_allclose(read_variance(noisy.file.device, np.array([0.0, 10.0])), [0.09, 1.09])


def test_converters_scatter_as_stated_and_neighbours_share_one() -> None:
    keys = [*FINE, "adc.errors.offset_sigma_levels=0.5", "crossbar.cols=8", "adc.per_crossbar=4"]
    scattered = load_chip("isaac", [*keys, "crossbar.encoding=differential", "precision.weight_bits=2"])
    found = program(np.zeros((1, 60_000), int), scattered).multiply([[1]])[0]
    assert found.var() == 0  # the two columns of a pair have the same converter
    single = load_chip(
        "isaac", [*keys, "crossbar.encoding=differential", "precision.weight_bits=2", "adc.per_crossbar=8"]
    )
    assert program(np.zeros((1, 60_000), int), single).multiply([[1]])[0].var() == pytest.approx(0.5, rel=3 * SHARE)

"""Change the design, and the answer changes as a calculation on paper says; all through mapping, graph and engine."""

from __future__ import annotations

import pytest

from xbarsim.chip import load_chip
from xbarsim.studies.bench import Bench, bench

PLAIN = ("crossbar.unit_column=false", "chip.count=1", "mapping.replicate=none")
WINDOWS = 20


def run(*overrides: str) -> Bench:
    """A layer of 1536 x 128 weights on one copy of its crossbars, 168 windows an image."""
    return bench(load_chip("isaac", [*PLAIN, *overrides]), "full_isaac", WINDOWS)


@pytest.fixture(scope="module")
def base() -> Bench:
    return run()


def conversions(one: Bench) -> float:
    return one.count("adc", "convert")


def crossbars(one: Bench) -> int:
    return next(iter(one.placement.sites.values())).grid.crossbars


def test_half_the_converter_rate(base: Bench) -> None:
    slow = run("adc.rate_gsps=0.64")
    assert slow.interval_ns == 2 * base.interval_ns
    assert conversions(slow) == conversions(base)
    assert slow.energy_pj("adc") == base.energy_pj("adc")


def test_twice_the_converters_at_half_the_rate(base: Bench) -> None:
    assert run("adc.rate_gsps=0.64", "adc.per_crossbar=2").interval_ns == base.interval_ns


def test_twice_the_input_bits(base: Bench) -> None:
    half = run("precision.input_bits=8")
    assert base.interval_ns == 2 * half.interval_ns
    assert conversions(base) == 2 * conversions(half)
    for part in ("crossbar", "dac", "sample_hold", "adc"):
        assert base.energy_pj(part) == pytest.approx(2 * half.energy_pj(part))


def test_twice_the_bits_of_a_drive(base: Bench) -> None:
    two = run("dac.bits=2")
    assert base.interval_ns == 2 * two.interval_ns
    assert conversions(base) == 2 * conversions(two)
    assert two.energy_pj("dac") == pytest.approx(base.energy_pj("dac"))  # half the drives, each twice the energy


def test_twice_the_cell_bits(base: Bench) -> None:
    four = run("crossbar.cell_bits=4")
    assert crossbars(base) == 2 * crossbars(four)
    assert conversions(base) == 2 * conversions(four)
    assert base.energy_pj("adc") == 2 * four.energy_pj("adc")
    assert base.energy_pj("crossbar") == pytest.approx(2 * four.energy_pj("crossbar"))
    assert base.energy_pj("dac") == 2 * four.energy_pj("dac")
    assert base.interval_ns == four.interval_ns


def test_twice_the_array(base: Bench) -> None:
    big = run("crossbar.rows=256", "crossbar.cols=256")
    assert crossbars(base) == 4 * crossbars(big)
    assert conversions(base) == 2 * conversions(big)  # a conversion sums twice the rows
    assert base.energy_pj("adc") == 2 * big.energy_pj("adc")
    assert base.energy_pj("dac") == 2 * big.energy_pj("dac")  # a row drives twice the columns
    assert base.energy_pj("crossbar") == pytest.approx(big.energy_pj("crossbar"))  # the same cells
    assert big.interval_ns == 2 * base.interval_ns  # one converter for twice the columns
    assert run("crossbar.rows=256", "crossbar.cols=256", "adc.rate_gsps=2.56").interval_ns == base.interval_ns


def test_twice_the_crossbar_cycle(base: Bench) -> None:
    assert run("crossbar.cycle_ns=200").interval_ns == 2 * base.interval_ns


def test_rows_that_are_not_in_use_cost_nothing_unless_they_are_driven() -> None:
    few = load_chip("isaac", ["crossbar.rows=256", "crossbar.unit_column=false"])
    every = load_chip("isaac", ["crossbar.rows=256", "crossbar.unit_column=false", "dac.drives=all"])
    assert bench(every, "one_window").count("dac", "drive") == 2 * bench(few, "one_window").count("dac", "drive")


def test_no_held_samples_add_read_and_conversion() -> None:
    held, waiting = (load_chip("isaac", [f"sample_hold.copies={n}", *PLAIN]) for n in (1, 0))
    assert bench(held, "one_window", 4).interval_ns == 1600
    assert bench(waiting, "one_window", 4).interval_ns == pytest.approx(3200, abs=0.1)


def test_read_energy_from_voltage_conductance_and_time() -> None:
    chip = load_chip("neurosim_22nm")
    levels = [float(g) for g in chip.file.device.conductances_us(4)]
    cell = 0.25 * sum(levels) / 4 * 10 / 1000  # V^2 x uS x ns in pJ
    one = bench(chip, "one_window")
    assert one.energy_pj("crossbar") == pytest.approx(one.count("crossbar", "read") * cell)

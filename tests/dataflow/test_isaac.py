"""ISAAC's window: 22 cycles, one every 16, as the sum of the stages that its chip file names."""

from __future__ import annotations

import pytest
from mapping.nets import chip

from xbarsim.network import load_network
from xbarsim.results import Run
from xbarsim.studies.simulate import simulate
from xbarsim.studies.validate import validate


def run(engine: str = "compiled", **overrides: object) -> Run:
    return simulate(chip("isaac", **overrides), load_network("one_window"), "finetune", "backbone:20", engine=engine)


def times(found: Run) -> tuple[float, float | None]:
    row = found.inferences[0].to_json()
    return row["first_latency_ns"], row["interval_ns"]


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_22_cycles_and_16(engine: str) -> None:
    first, interval = times(run(engine))
    assert (first, interval) == (2200, 1600)
    assert isinstance(first, int)
    assert isinstance(interval, int)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize(
    ("key", "value", "first", "interval"),
    [
        ("pipeline__fetch_cycles", 2, 2300, 1600),
        ("pipeline__adc_cycles", 2, 2300, 1600),
        ("pipeline__shift_add_cycles", 3, 2300, 1600),
        ("pipeline__activation_cycles", 4, 2500, 1600),
        ("pipeline__write_cycles", 2, 2300, 1600),
        ("dac__bits", 2, 1400, 800),
    ],
)
def test_the_figure_follows_from_the_stages(engine: str, key: str, value: int, first: int, interval: int) -> None:
    assert times(run(engine, **{key: value})) == (first, interval)


def test_a_shorter_cycle_with_a_converter_to_match_is_that_much_faster() -> None:
    found = run(crossbar__cycle_ns=50, adc__rate_gsps=2.56)
    assert times(found) == (1100, 800)


def test_a_converter_that_takes_longer_than_a_cycle_sets_the_pace() -> None:
    """128 columns at 0.64 GS/s take 200 ns: two cycles per phase, twice the interval."""
    first, interval = times(run(adc__rate_gsps=0.64))
    assert interval == 3200
    assert first == 100 + 100 + 16 * 200 + 200 + 100 + 100


def test_a_single_buffered_input_register_waits_for_its_read() -> None:
    assert times(run(registers__input_copies=1)) == (2200, 1700)


def test_the_host_brings_inputs_over_the_link() -> None:
    """128 inputs of 16 bits at 25.6 GB/s: 10 ns before the fetch, and a stage of the pipeline."""
    first, interval = times(run(offchip__inputs=True))
    assert (first, interval) == (2210, 1600)


def test_validation_reports_both_figures() -> None:
    rows = {row["id"]: row for row in validate("isaac")}
    for name in ("isaac-latency", "isaac-interval"):
        assert rows[name]["published"] == rows[name]["simulated"]
        assert rows[name]["holds"]

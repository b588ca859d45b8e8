"""Lifetimes against closed forms: one kind of cell, or two, under each distribution of endurance."""

from __future__ import annotations

import json
import subprocess
import sys
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from xbarsim.chip import load_chip
from xbarsim.chip.device import Endurance, FixedSpread, LogNormal, Weibull
from xbarsim.network import load_network
from xbarsim.results.lifetime import Ageing, ageing, failure_probability, lifetime
from xbarsim.results.wear import Wear
from xbarsim.studies.simulate import simulate

MEDIAN = 1.0e6


def wear(*rows: tuple[int, int, int, int, int], switches: int = 4) -> Wear:
    """(writes, pulses, writes and pulses of every further scenario, cells)."""
    return Wear(np.array(rows, np.int64), (), switches)


def age(found: Wear, endurance: Endurance, basis: str = "cycles") -> Ageing:
    return next(one for one in ageing(found, endurance) if one.basis == basis)


def test_fixed_endurance_ends_when_the_most_worn_cell_reaches_it() -> None:
    """3 writes at first, 2 with every further scenario: 1 + (10^6 - 3) / 2 scenarios."""
    points = age(wear((3, 300, 2, 200, 10), (1, 50, 0, 0, 90)), Endurance(cycles=MEDIAN)).points()
    wanted = 1 + (MEDIAN - 3) / 2
    assert [points[at] for at in ("first", "1%", "50%")] == pytest.approx([wanted] * 3)


def test_lognormal_quantiles() -> None:
    """n cells alike: the first fails where 1 - (1 - F)^n = 1/2, a share p of them where F = p."""
    sigma, cells, rate = 0.5, 1000, 2
    points = age(
        wear((2, 2, rate, 2, cells)), Endurance(cycles=MEDIAN, spread=LogNormal(kind="lognormal", sigma_ln=sigma))
    ).points()

    def at(probability: float) -> float:
        return MEDIAN * exp(sigma * NormalDist().inv_cdf(probability)) / rate

    assert points["first"] == pytest.approx(at(1 - 0.5 ** (1 / cells)), rel=1e-6)
    assert points["1%"] == pytest.approx(at(0.01), rel=1e-6)
    assert points["50%"] == pytest.approx(MEDIAN / rate, rel=1e-6)


def test_weibull_quantiles() -> None:
    shape, cells, rate = 2.5, 200, 3
    points = age(
        wear((3, 3, rate, 3, cells)), Endurance(cycles=MEDIAN, spread=Weibull(kind="weibull", shape=shape))
    ).points()
    scale = MEDIAN / log(2) ** (1 / shape)
    assert points["first"] == pytest.approx(scale * (log(2) / cells) ** (1 / shape) / rate, rel=1e-6)
    assert points["1%"] == pytest.approx(scale * (-log(0.99)) ** (1 / shape) / rate, rel=1e-6)
    assert points["50%"] == pytest.approx(MEDIAN / rate, rel=1e-6)


@pytest.mark.parametrize(
    "spread", [FixedSpread(), LogNormal(kind="lognormal", sigma_ln=0.7), Weibull(kind="weibull", shape=2.0)]
)
def test_expected_failures_are_the_sum_of_probabilities(spread: FixedSpread | LogNormal | Weibull) -> None:
    """Against cells drawn one by one."""
    endurance = Endurance(cycles=100, spread=spread)
    found = age(wear((10, 1, 10, 1, 30_000), (5, 1, 5, 1, 60_000), (1, 1, 0, 0, 10_000)), endurance)
    random = np.random.default_rng(5)
    drawn = {
        "fixed": lambda n: np.full(n, 100.0),
        "lognormal": lambda n: 100 * np.exp(0.7 * random.standard_normal(n)),
        "weibull": lambda n: 100 * (random.exponential(size=n) / log(2)) ** (1 / 2.0),
    }[spread.kind]
    for scenarios in (3, 8, 12, 25):
        failed = sum(
            int(np.count_nonzero(drawn(cells) <= first + rate * (scenarios - 1)))
            for first, rate, cells in ((10, 10, 30_000), (5, 5, 60_000), (1, 0, 10_000))
        )
        assert found.expected(scenarios) == pytest.approx(failed, abs=5 * sqrt(max(failed, 1)) + 1e-9)


def test_half_of_all_cells_have_failed_at_the_median() -> None:
    for spread in (LogNormal(kind="lognormal", sigma_ln=0.5), Weibull(kind="weibull", shape=3.0)):
        endurance = Endurance(pulses=50.0, spread=spread)
        assert failure_probability(endurance, 50.0, np.array([0.0, 50.0])).tolist() == pytest.approx([0.0, 0.5])


def test_both_readings_of_a_published_number_are_shown() -> None:
    """10^6 cycles: 43 pulses to a write last a 43rd as long if the number counted pulses."""
    rows = lifetime(wear((2, 86, 1, 43, 5)), load_chip("xbm_72").file.device, 100.0)["rows"]
    by = {(row["basis"], row["until"]): row for row in rows}
    assert (by["cycles", "50%"]["published"], by["pulses", "50%"]["published"]) == (True, False)
    assert by["cycles", "50%"]["scenarios"] / by["pulses", "50%"]["scenarios"] == pytest.approx(43, rel=1e-4)
    for row in rows:
        assert row["switches"] == pytest.approx(row["scenarios"] * 4)
        assert row["years"] == pytest.approx(row["switches"] / 100 / 365.25)


def test_cells_that_no_switch_writes_last_for_ever() -> None:
    found = lifetime(wear((1, 128, 0, 0, 100)), load_chip("xbm_72").file.device, 10.0)
    assert {row["scenarios"] for row in found["rows"]} == {None}
    assert found["failed"] == []


def test_a_device_without_endurance_says_so() -> None:
    device = load_chip("xbm_72").file.device.model_copy(update={"endurance": Endurance()})
    found = lifetime(wear((1, 1, 1, 1, 1)), device)
    assert found["rows"] == []
    assert "publishes no endurance" in found["assumptions"][0]


def test_failures_over_time_rise_to_all_that_are_written() -> None:
    run = simulate(load_chip("xbm_72"), load_network("digits"), "finetune", switches_per_day=1000.0)
    found = run.to_json()["lifetime"]
    for basis in ("cycles", "pulses"):
        rows = [row for row in found["failed"] if row["basis"] == basis]
        failed = [row["failed_cells"] for row in rows]
        assert failed == sorted(failed)
        assert failed[0] < 1
        assert 0.5 < rows[-1]["failed_share"] <= 1
        assert [row["years"] for row in rows] == sorted(row["years"] for row in rows)
    assert found["switches_per_scenario"] == 7  # the eighth starts from the last task, not from the backbone


def test_a_scenario_worn_out_in_its_first_round_counts_as_one() -> None:
    assert age(wear((10, 10, 5, 5, 1)), Endurance(cycles=8.0)).points()["first"] == 1.0


def test_the_command_takes_a_rate_of_switches() -> None:
    line = [sys.executable, "-m", "xbarsim", "run", "xbm_72", "digits", "--method", "finetune", "--format", "json"]
    done = subprocess.run([*line, "--switches-per-day", "1000"], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["lifetime"]["rows"]
    assert {row["basis"] for row in rows} == {"cycles", "pulses"}
    assert all(row["years"] == pytest.approx(row["switches"] / 365_250) for row in rows)
    refused = subprocess.run([*line, "--switches-per-day", "0"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (2, "")

"""Arrivals, mixes and durations: what is drawn is what was asked for, what is refused says why."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from conftest import Write
from scipy.stats import chisquare, kstest

from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.results.durations import parse_duration, parse_window
from xbarsim.studies.arrivals import parse_arrivals, parse_mix, read_trace

ONE = {"a": Fraction(1)}


@pytest.mark.parametrize(
    ("text", "ps"),
    [("10s", 10**13), ("500ms", 5 * 10**11), ("20us", 2 * 10**7), ("20µs", 2 * 10**7), ("1.5ns", 1500), ("7ps", 7),
     ("2 min", 12 * 10**13), ("0.001ns", 1)],
)  # fmt: skip
def test_durations_are_exact(text: str, ps: int) -> None:
    assert parse_duration(text, "--duration") == ps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", r"--duration: '10' has no unit; known: ps, ns"),
        ("10 sec", r"unknown unit 'sec'"),
        ("10S", r"unknown unit 'S'.*did you mean 's'"),
        ("-3s", r"is no duration"),
        ("1e3s", r"unknown unit|is no duration"),
        ("0s", r"no time at all"),
        ("0.5ps", r"no whole number of picoseconds"),
        ("99999999s", r"longer than simulated time"),
        ("", r"is no duration"),
        ("nans", r"is no duration"),
    ],
)
def test_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_duration(text, "--duration")


def test_windows() -> None:
    assert parse_window("10us..20us", "--trace-window") == (10**7, 2 * 10**7)
    assert parse_window("0..1ns", "--trace-window") == (0, 1000)
    for text, message in (("20us..10us", "is empty"), ("10us", "no span"), ("..10us", "no span"), ("1..2us", "unit")):
        with pytest.raises(InputError, match=message):
            parse_window(text, "--trace-window")


def test_even_arrivals_are_exact() -> None:
    requests = parse_arrivals("uniform:2000/s").requests(ONE, 10**12, 0)
    assert requests.times_ps.tolist() == [number * 5 * 10**8 for number in range(2000)]
    thirds = parse_arrivals("uniform:3/us").requests(ONE, 10**6, 0)
    assert thirds.times_ps.tolist() == [0, 333_333, 666_666]


def test_poisson_arrivals_are_a_poisson_process() -> None:
    requests = parse_arrivals("poisson:2000/s").requests(ONE, 20 * 10**12, 7)
    assert abs(len(requests) - 40_000) < 4 * 200
    assert requests.times_ps[-1] < 20 * 10**12
    gaps = np.diff(requests.times_ps, prepend=0)
    assert gaps.min() >= 0
    assert kstest(gaps, "expon", args=(0, 5e8)).pvalue > 0.001
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / 200


def test_tasks_are_drawn_with_their_shares_and_leave_the_arrivals_alone() -> None:
    coming = parse_arrivals("poisson:2000/s")
    mix = {"a": Fraction(7, 10), "b": Fraction(2, 10), "c": Fraction(1, 10)}
    requests = coming.requests(mix, 10**13, 3)
    counts = np.bincount(requests.tasks)
    assert chisquare(counts, len(requests) * np.array([0.7, 0.2, 0.1])).pvalue > 0.001
    assert coming.requests(ONE, 10**13, 3).times_ps.tolist() == requests.times_ps.tolist()
    again = coming.requests(mix, 10**13, 3)
    assert again.tasks.tolist() == requests.tasks.tolist()
    assert coming.requests(mix, 10**13, 4).times_ps[0] != requests.times_ps[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poison:2000/s", r"--arrivals: .*did you mean 'poisson'"),
        ("2000/s", r"write poisson:2000/s, uniform:2000/s or trace:FILE.csv"),
        ("poisson:2000", r"'2000' is no rate"),
        ("poisson:2000/h", r"no rate"),
        ("poisson:many/s", r"'many' is not a number"),
        ("poisson:0/s", r"more than 0"),
        ("poisson:-5/s", r"more than 0"),
        ("poisson:1e13/s", r"at most one per picosecond"),
        ("trace:day.txt", r"a trace is a CSV file"),
        ("trace:", r"is not understood"),
    ],
)
def test_what_are_no_arrivals(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_arrivals(text)


def test_too_many_requests_are_refused_with_their_number() -> None:
    with pytest.raises(InputError, match="makes 100,000,000 requests, at most 20,000,000"):
        parse_arrivals("poisson:10000000/s").requests(ONE, 10**13, 0)


def test_mixes() -> None:
    network = load_network("digits")
    first, second = list(network.task_info)[:2]
    assert parse_mix(f"{first}:0.7, {second}:0.3", network) == {first: Fraction(7, 10), second: Fraction(3, 10)}
    assert parse_mix(f"{second}", network) == {second: 1}
    assert parse_mix(None, network) == dict.fromkeys(network.task_info, Fraction(1, len(network.task_info)))
    assert sum(parse_mix(f"{first}:1/3,{second}:2/3", network).values()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotated:0.7,inverted:0.2", r"--mix: the shares add up to 0.9, not to 1"),
        ("rotatd:1", r"no task 'rotatd'; known: .*did you mean 'rotated'"),
        ("rotated:0.5,rotated:0.5", r"task 'rotated' stands in the mix twice"),
        ("rotated:lots", r"the share of 'rotated' is not a number"),
        ("rotated:1.5,inverted:-0.5", r"'rotated' is not above 0 and up to 1\n.*'inverted'"),
        ("rotated:1,", r"no task with a share"),
    ],
)
def test_what_is_no_mix(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_mix(text, load_network("digits"))


def test_a_trace_is_read_in_picoseconds(write: Write) -> None:
    write("day.csv", "time_ns,task\n0,rotated\n1.5,rotated\n1.5,inverted\n20,rotated\n")
    requests = read_trace("day.csv", load_network("digits"))
    assert requests.names == ("rotated", "inverted")
    assert requests.times_ps.tolist() == [0, 1500, 1500, 20_000]
    assert requests.tasks.tolist() == [0, 0, 1, 0]
    assert requests.until(1500).times_ps.tolist() == [0]


def test_a_wrong_trace_is_refused_at_its_line(write: Write) -> None:
    write("day.csv", "time_ns,task\n5,rotated\n1,inverted\n")
    with pytest.raises(InputError, match=r"day.csv:3:1: time_ns: 1 ns lies before the line above it"):
        read_trace("day.csv", load_network("digits"))

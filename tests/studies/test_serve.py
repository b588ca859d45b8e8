"""Serving against queueing theory, against the event engine, and against a naive replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xbarsim.chip import load_chip
from xbarsim.dataflow import plan
from xbarsim.dataflow.scenario import Entry
from xbarsim.engine import execute
from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.results.moments import Moments
from xbarsim.studies import serve_stats as stats
from xbarsim.studies.arrivals import Requests, parse_arrivals
from xbarsim.studies.policies import parse_policy
from xbarsim.studies.serve import serve
from xbarsim.studies.serve_queue import Served, ServiceTimes, serve_requests
from xbarsim.studies.service import Service, circuit, measure

SERVICE_PS = 10_000
ONE = ServiceTimes((SERVICE_PS,), (SERVICE_PS,), {})
PIPELINED = ServiceTimes((7 * SERVICE_PS,), (SERVICE_PS,), {})
NAMES = ("a", "b", "c")


def one_task(times: np.ndarray) -> Requests:
    return Requests(times.astype(np.int64), np.zeros(len(times), np.int64), ("a",))


def poisson(rho: float, count: int, seed: int = 0) -> Requests:
    """So many Poisson arrivals that keep a chip of :data:`SERVICE_PS` busy for the share ``rho`` of the time."""
    coming = parse_arrivals(f"poisson:{rho / SERVICE_PS * 1e12:.0f}/s")
    return coming.requests({"a": Fraction(1)}, int(count * SERVICE_PS / rho), seed)


def fifo(requests: Requests, times: ServiceTimes) -> Served:
    return serve_requests(requests, times, parse_policy("fifo", requests.names))


def waits(served: Served) -> np.ndarray:
    return served.entries_ps - served.requests.times_ps


# ---- theory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [ONE, PIPELINED], ids=["one at a time", "pipelined"])
@pytest.mark.parametrize(("rho", "count"), [(0.2, 150_000), (0.5, 150_000), (0.7, 250_000)])
def test_the_mean_wait_is_that_of_m_d_1(rho: float, count: int, times: ServiceTimes) -> None:
    """Pollaczek and Khinchine: rho S / 2 (1 - rho); a pipeline waits as if its interval were the service."""
    check_m_d_1(rho, count, times)


@pytest.mark.slow
def test_the_mean_wait_is_that_of_m_d_1_under_high_load() -> None:
    check_m_d_1(0.9, 3_000_000, ONE)


def check_m_d_1(rho: float, count: int, times: ServiceTimes) -> None:
    wait = waits(fifo(poisson(rho, count), times))
    theory = rho * SERVICE_PS / 2 / (1 - rho)
    batches = [float(part.mean()) for part in np.array_split(wait, 50)]
    error = float(np.std(batches, ddof=1)) / sqrt(len(batches))
    assert wait.mean() == pytest.approx(theory, rel=0.02)
    assert abs(wait.mean() - theory) < 4 * error
    assert 4 * error < 0.1 * theory  # the statistic could tell a wait that is a tenth off


def test_half_of_m_d_1_requests_wait_at_half_load() -> None:
    """Poisson arrivals see time averages: a share rho of them finds the chip busy."""
    wait = waits(fifo(poisson(0.5, 100_000), ONE))
    assert (wait > 0).mean() == pytest.approx(0.5, abs=4 * sqrt(0.25 / len(wait) * 3))


@pytest.mark.parametrize(
    ("apart", "wait_of"), [(10_000, lambda n: 0), (15_000, lambda n: 0), (8_000, lambda n: 2_000 * n)]
)
@pytest.mark.parametrize("times", [ONE, PIPELINED])
def test_even_arrivals_are_served_exactly(times: ServiceTimes, apart: int, wait_of: Callable[[int], int]) -> None:
    """D/D/1: nobody waits while the distance is at least the service; below it, each a constant longer."""
    served = fifo(one_task(np.arange(500) * apart), times)
    assert waits(served).tolist() == [wait_of(number) for number in range(500)]
    assert (served.answers_ps - served.entries_ps == times.latency_ps[0]).all()


# ---- any requests ------------------------------------------------------------------------------


def build(draw: Callable[..., int], tasks: int) -> ServiceTimes:
    intervals = [draw(st.integers(1, 30)) for _ in range(tasks)]
    latencies = [interval + draw(st.integers(0, 60)) for interval in intervals]
    pairs = {(i, j): draw(st.integers(0, 90)) for i in range(tasks) for j in range(tasks) if i != j}
    return ServiceTimes(tuple(latencies), tuple(intervals), pairs)


@st.composite
def cases(draw: Callable[..., int]) -> tuple[Requests, ServiceTimes]:
    """Requests for up to three tasks, several at one instant among them, and what they take."""
    gaps = draw(st.lists(st.sampled_from([0, 0, 1, 5, 13, 40, 200]), min_size=1, max_size=40))
    tasks = draw(st.lists(st.integers(0, 2), min_size=len(gaps), max_size=len(gaps)))
    return Requests(np.cumsum(gaps).astype(np.int64), np.array(tasks, np.int64), NAMES), build(draw, 3)


def naive(
    requests: Requests, times: ServiceTimes, choose: Callable[[list[int], int], int]
) -> list[tuple[int, int, int]]:
    """(number, entry, answer) in order of service, told step by step with whole lists."""
    arrivals, tasks = requests.times_ps.tolist(), requests.tasks.tolist()
    left, done, installed, free, answered = list(range(len(arrivals))), [], 0, 0, 0
    while left:
        now = max(free, min(arrivals[number] for number in left))
        number = choose([one for one in left if arrivals[one] <= now], installed)
        left.remove(number)
        entry = now
        if tasks[number] != installed:
            entry = max(now, answered) + times.switch_ps[installed, tasks[number]]
        installed = tasks[number]
        answered, free = entry + times.latency_ps[installed], entry + times.interval_ps[installed]
        done.append((number, entry, answered))
    return done


def rule(policy: str, requests: Requests) -> Callable[[list[int], int], int]:
    """The policies in one line each."""
    tasks, arrivals = requests.tasks.tolist(), requests.times_ps.tolist()
    if policy == "fifo":
        return lambda waiting, installed: min(waiting)
    if policy == "batch-by-task":
        return lambda waiting, installed: min(waiting, key=lambda one: (tasks[one] != installed, one))
    return lambda waiting, installed: min(waiting, key=lambda one: (arrivals[one] + (50, 20, 80)[tasks[one]], one))


@pytest.mark.parametrize("policy", ["fifo", "batch-by-task", "deadline"])
@given(case=cases())
@settings(max_examples=60)
def test_requests_are_served_as_in_a_naive_replay(policy: str, case: tuple[Requests, ServiceTimes]) -> None:
    """Work conservation included: the replay never lets a request wait that could enter."""
    requests, times = case
    text = "deadline:a=50ps,b=20ps,c=80ps" if policy == "deadline" else policy
    served = serve_requests(requests, times, parse_policy(text, NAMES))
    expected = naive(requests, times, rule(policy, requests))
    order = served.order.tolist()
    assert list(zip(order, served.entries_ps[order], served.answers_ps[order], strict=True)) == expected


@given(case=cases())
@settings(max_examples=60)
def test_littles_law_holds_to_the_picosecond(case: tuple[Requests, ServiceTimes]) -> None:
    """On one path: the integral of the number waiting is the sum of the waits; the same of the number inside."""
    served = fifo(*case)
    end = served.end_ps + 1
    assert stats.waiting(served).area(0, end) == int(waits(served).sum())
    inside = stats.Steps.between(served.requests.times_ps, served.answers_ps)
    assert inside.area(0, end) == int((served.answers_ps - served.requests.times_ps).sum())
    cut = end // 3
    assert inside.area(0, cut) + inside.area(cut, end) == inside.area(0, end)


@given(case=cases())
@settings(max_examples=60)
def test_time_is_inference_switching_or_idle(case: tuple[Requests, ServiceTimes]) -> None:
    served = fifo(*case)
    end = served.end_ps
    busy = np.zeros(end, np.int64)
    for first, last in zip(served.entries_ps, served.answers_ps, strict=True):
        busy[first:last] = 1
    for first, last, _, _ in served.switches.tolist():
        assert not busy[first:last].any()
        busy[first:last] = 2
    for begin, behind in ((0, end), (end // 4, end // 2)):
        shares = stats.time_shares(served, begin, behind)
        counts = np.bincount(busy[begin:behind], minlength=3).tolist()
        assert [shares["idle"], shares["inference"], shares["switching"]] == counts


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=3000))
@settings(max_examples=40)
def test_quantiles_are_those_of_the_sample(values: list[int]) -> None:
    row = stats.summary("x", np.array(values, np.int64))
    for key, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        value = row[f"x_{key}_ns"]
        if value is None:
            assert len(values) * (1 - share) < 1 + 1e-9
            continue
        ps = round(value * 1000)
        assert ps in values
        assert sum(one <= ps for one in values) >= share * len(values) - 1e-9
        assert sum(one < ps for one in values) < share * len(values)
    assert row["x_mean_ns"] == pytest.approx(sum(values) / len(values) / 1000)


def test_the_confidence_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    theory = 0.5 * SERVICE_PS / 2 / 0.5 / 1000
    found = [stats.confidence(waits(fifo(poisson(0.5, 6000, seed), ONE))) for seed in range(60)]
    covered = sum(low <= theory <= high for low, high in found if low is not None and high is not None)
    assert 50 <= covered <= 60  # 57 expected


def test_long_waits_add_up() -> None:
    """In 64 bits their sum would come out negative."""
    assert stats.summary("x", np.full(100_000, 10**15))["x_mean_ns"] == 10**12
    steps = stats.Steps(np.array([0, 10**15]), np.array([10**6, 0]))
    assert steps.area(0, 10**15) == 10**21


def test_few_requests_give_no_interval_and_no_far_quantile() -> None:
    row = stats.summary("x", np.arange(150))
    assert row["x_low_ns"] is row["x_high_ns"] is row["x_p999_ns"] is None
    assert row["x_p99_ns"] == 0.148


@pytest.mark.parametrize(("rho", "grows"), [(0.5, False), (0.9, False), (1.05, True), (3.0, True)])
def test_overload_is_told_from_load(rho: float, grows: bool) -> None:
    requests = poisson(rho, 30_000)
    steps = stats.waiting(fifo(requests, ONE))
    assert stats.overloaded(steps, int(requests.times_ps[0]), int(requests.times_ps[-1])) is grows


def test_a_queue_that_is_never_empty_is_no_overload() -> None:
    """Batches: while one task is served, the others wait, for ever, and never more of them."""
    requests = parse_arrivals("poisson:40000000/s").requests({"a": Fraction(1, 2), "b": Fraction(1, 2)}, 10**9, 0)
    times = ServiceTimes((10_000,) * 2, (10_000,) * 2, {(0, 1): 10**6, (1, 0): 10**6})
    batched = serve_requests(requests, times, parse_policy("batch-by-task", requests.names))
    assert stats.waiting(batched).least(5 * 10**8, 10**9) > 0
    assert not stats.overloaded(stats.waiting(batched), 0, 10**9)
    assert stats.overloaded(stats.waiting(fifo(requests, times)), 0, 10**9)


# ---- the chip ----------------------------------------------------------------------------------


@cache
def service(method: str, tasks: int = 3) -> Service:
    network = load_network("digits")
    return measure(load_chip("xbm_72"), network, method, list(network.task_info)[:tasks])


def by_engine(known: Service, times: Sequence[int], tasks: Sequence[int]) -> tuple[np.ndarray, int]:
    """Answers of requests by the event engine, and when the first task was on the chip."""
    entries = tuple(Entry(known.tasks[task], 1, (int(time),)) for time, task in zip(times, tasks, strict=True))
    flow = plan(known.run.placement, known.adaption, entries)
    moments = Moments(flow, execute(flow.graph))
    return np.array(moments.last_output), moments.switched[0]


SEQUENCES = ([0, 0, 1, 1, 0], [0, 1, 2, 0, 2, 1, 0], [0, 0, 0, 0, 2, 2, 2, 1])


@pytest.mark.parametrize("tasks", SEQUENCES)
@pytest.mark.parametrize("method", ["finetune", "piggyback", "xbm"])
def test_a_sequence_takes_as_long_as_on_the_event_engine(method: str, tasks: list[int]) -> None:
    """To the picosecond where all columns convert; where masks gate some, a follower may delay an answer a little."""
    known = service(method)
    answers, begin = by_engine(known, [0] * len(tasks), tasks)
    served = fifo(Requests(np.full(len(tasks), begin), np.array(tasks), known.tasks), known.times)
    slack = 0 if method != "xbm" else min(known.times.latency_ps) // 200
    assert np.abs(served.answers_ps - answers).max() <= slack


@pytest.mark.parametrize("intervals", [0.5, 1, 3])
@pytest.mark.parametrize("method", ["finetune", "xbm"])
def test_answers_to_arrivals_are_those_of_the_event_engine(
    method: str, intervals: float, rng: np.random.Generator
) -> None:
    known = service(method)
    tasks = [0, *np.repeat(rng.integers(0, 3, 6), rng.integers(1, 4, 6)).tolist()]
    gaps = rng.exponential(intervals * known.times.interval_ps[0], len(tasks) - 1)
    times = [0, *np.cumsum(gaps).astype(np.int64).tolist()]
    answers, begin = by_engine(known, times, tasks)
    served = fifo(Requests(np.maximum(times, begin), np.array(tasks), known.tasks), known.times)
    slack = 0 if method == "finetune" else min(known.times.latency_ps) // 200
    assert np.abs(served.answers_ps - answers).max() <= slack


def test_the_switches_are_those_of_a_run() -> None:
    known = service("finetune")
    row = known.pair(0, 2)
    run = {(one.moment.change.old, one.moment.change.new): one.to_json() for one in known.run.switches}
    same = run[row["from"], row["to"]]
    assert {key: row[key] for key in ("latency_ns", "cells_written", "pulses")} == {
        key: same[key] for key in ("latency_ns", "cells_written", "pulses")
    }
    power = known.standing_mw * row["latency_ns"]
    assert row["energy_pj"] + power == pytest.approx(same["energy_pj"], rel=1e-9)


def test_the_wear_is_that_of_a_run_of_the_same_switches() -> None:
    """0 1 0 2 and again: the scenario that is repeated ends where it began."""
    from xbarsim.studies.simulate import simulate

    known = service("finetune")
    a, b, c = known.tasks
    run = simulate(load_chip("xbm_72"), load_network("digits"), "finetune", f"{a},{b},{a},{c}")
    wear = known.wear(0, 2, {(0, 1): 1, (1, 0): 1, (0, 2): 1})
    assert wear.table.tolist() == run.wear.table.tolist()
    assert wear.switches == run.wear.switches


def test_wear_may_begin_with_any_task() -> None:
    from xbarsim.studies.simulate import simulate

    known = service("finetune")
    run = simulate(
        load_chip("xbm_72"), load_network("digits"), "finetune", ",".join(known.tasks[at] for at in (1, 2, 1))
    )
    assert known.wear(1, 1, {(1, 2): 1, (2, 1): 1}).table.tolist() == run.wear.table.tolist()


@pytest.mark.parametrize("count", range(1, 8))
def test_the_circuit_makes_every_switch_once(count: int) -> None:
    order = circuit([str(task) for task in range(count)])
    pairs = list(pairwise(order))
    assert len(pairs) == len(set(pairs)) == count * (count - 1)
    assert all(old != new for old, new in pairs)


def test_the_energy_of_requests_is_that_of_a_run() -> None:
    """Three requests at once: what a run of the same sequence needs between its first switch and its last output."""
    from xbarsim.studies.simulate import simulate

    chip, network = load_chip("xbm_72"), load_network("digits")
    a = next(iter(network.task_info))
    serving = serve(chip, network, "uniform:1000/s", mix=f"{a}:1", method="xbm", duration="3ms", warmup="0")
    energy = serving.to_json()["energy"]
    run = simulate(chip, network, "xbm", f"{a}:3")
    inference = run.ledger.energy_pj(phase="inference") - run.ledger.energy_pj(phase="inference", action="leakage")
    assert energy["inference_pj"] * 3 == pytest.approx(inference, rel=1e-12)
    assert energy["switch_pj"] == 0
    latency_ns = serving.to_json()["service"][0]["latency_ns"]
    assert energy["standing_pj"] == pytest.approx(serving.service.standing_mw * latency_ns)
    assert energy["idle_pj"] == pytest.approx(serving.service.standing_mw * (10**6 - latency_ns))


def test_masking_bears_a_load_that_rewriting_does_not() -> None:
    """Switches of microseconds against milliseconds, at 2000 requests per second of three tasks in turn."""
    chip, network = load_chip("xbm_72"), load_network("digits")
    mix = ",".join(f"{task}:1/3" for task in list(network.task_info)[:3])
    found = {
        method: serve(
            chip, network, "poisson:2000/s", mix=mix, method=method, duration="400ms", service=service(method)
        ).to_json()
        for method in ("xbm", "finetune")
    }
    assert not found["xbm"]["overloaded"]
    assert found["finetune"]["overloaded"]
    assert found["finetune"]["tasks"][0]["latency_p99_ns"] > 100 * found["xbm"]["tasks"][0]["latency_p99_ns"]
    assert found["finetune"]["energy"]["per_request_pj"] > 10 * found["xbm"]["energy"]["per_request_pj"]
    assert found["xbm"]["lifetime_years"] is None
    assert 0 < found["finetune"]["lifetime_years"] < 1


def test_one_inference_at_a_time_is_slower_under_load() -> None:
    chip, network = load_chip("xbm_72"), load_network("digits")
    first = next(iter(network.task_info))
    known = measure(chip, network, "xbm", [first])
    both = [
        serve(chip, network, "uniform:100000/s", mix=first, pipeline=on, duration="2ms", service=known)
        for on in (True, False)
    ]
    assert [one.overloaded for one in both] == [False, True]


def test_a_rolling_chip_is_refused() -> None:
    chip = load_chip("xbm_72", ["chip.switch=rolling"])
    with pytest.raises(InputError, match=r"chip\.switch: serving needs switches with a barrier"):
        serve(chip, load_network("digits"), "poisson:1/s", duration="1s")

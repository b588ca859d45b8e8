"""Write modes, verification, limits and power caps: no write is ever lost, no failure silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.dataflow.parcels import writers_at_once
from xbarsim.engine import execute
from xbarsim.kernels.cells import attempts_of

SCENARIO = "digits:1,rotated:1"


def run(*overrides, method="piggyback", scenario=SCENARIO):
    return xs.simulate(xs.load_chip("xbm_72", overrides), xs.load_bundle("digits"), method, scenario)


def switches(*overrides, **kwargs):
    return run(*overrides, **kwargs).to_json()["switches"]


@settings(deadline=None, max_examples=15)
@given(
    limit=st.one_of(
        st.integers(1, 300).map(lambda n: f"chip.programmed_at_once={n}"),
        st.integers(2, 400).map(lambda mw: f"chip.write_power_mw={mw}"),
        st.integers(1, 8).map(lambda n: f"tile.programmed_at_once={n}"),
        st.integers(1, 8).map(lambda n: f"pe.programmed_at_once={n}"),
    ),
    parallel=st.sampled_from(["row", "column"]),
)
def test_a_limit_stretches_the_schedule_and_loses_no_write(limit, parallel):
    free = switches(f"writer.parallel={parallel}", "pe.programmed_at_once=8")
    held = switches(f"writer.parallel={parallel}", "pe.programmed_at_once=8", limit)
    for one, other in zip(free, held, strict=True):
        for key in ("cells_written", "pulses", "moved"):
            assert one[key] == other[key]
        assert other["latency_ns"] >= one["latency_ns"] * 0.999


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_never_more_crossbars_are_written_at_once_than_the_limit(limit):
    chip, net = xs.load_chip("xbm_72", [f"chip.programmed_at_once={limit}"]), xs.load_bundle("digits")
    dataflow = plan(xs.place(chip, net), Adaption.named("finetune")(), parse_scenario(SCENARIO, net))
    times = execute(dataflow.graph, record=True)
    writes = [
        (start, end)
        for name, starts, ends in zip(times.actors, times.starts, times.ends, strict=True)
        if ".program." in name
        for start, end in zip(starts, ends, strict=True)
    ]
    events = sorted([(start, 1) for start, _ in writes] + [(end, -1) for _, end in writes])
    running = np.cumsum([step for _, step in events])
    assert running.max() == limit
    assert running[-1] == 0


def test_a_power_cap_is_a_number_of_crossbars():
    """72 cells of the costliest write: V^2 * G, with the harmonic mean of 4 and 7 or 7 and 10 uS and so on."""
    chip = xs.load_chip("xbm_72", ["chip.write_power_mw=20"])
    device = chip.file.device
    energy, pulses = device.write_energy_pj(4), device.write_pulses(4)
    cell_mw = max(energy[i, j] / (pulses[i, j] * 50) for i in range(4) for j in range(4) if i != j)
    assert writers_at_once(chip) == int(20 / (72 * cell_mw))
    with pytest.raises(xs.InputError, match="chip.write_power_mw: .* does not suffice to write one crossbar"):
        run("chip.write_power_mw=0.5")


def test_full_writes_go_through_the_lowest_level():
    full, part = switches("writer.mode=full"), switches()
    for one, other in zip(full, part, strict=True):
        assert one["cells_written"] > other["cells_written"]
        assert one["latency_ns"] > other["latency_ns"]
        assert one["codes_changed"] == other["codes_changed"]


def test_switching_there_and_back_costs_the_same_writes_full_or_not():
    for mode in ("full", "differential"):
        rows = switches(f"writer.mode={mode}", scenario="digits:1,rotated:1,digits:1,rotated:1")
        assert rows[1]["cells_written"] == rows[3]["cells_written"]
        assert rows[1]["pulses"] == rows[3]["pulses"]


VERIFY = "writer.verify={{read_ns: 10, energy_pj: 0.5, failure: {failure}, retries: {retries}, on_failure: {then}}}"


def test_verification_without_failures_adds_one_read_per_train():
    plain, verified = run(), run(VERIFY.format(failure=0, retries=0, then="error"))
    writes = sum(c for (k, a), c, _ in plain.ledger.totals("component", "action") if k == "cell")
    assert verified.ledger.count(component="cell", action="verify") == writes
    assert verified.ledger.energy_pj(component="cell", action="verify") == pytest.approx(0.5 * writes)
    for one, other in zip(plain.to_json()["switches"], verified.to_json()["switches"], strict=True):
        assert one["pulses"] == other["pulses"]
        assert one["latency_ns"] < other["latency_ns"]


def test_failures_are_retried_and_paid_for():
    sure, unsure = switches(), switches(VERIFY.format(failure=0.2, retries=60, then="error"))
    for one, other in zip(sure, unsure, strict=True):
        assert one["cells_written"] == other["cells_written"]
        assert other["pulses"] == pytest.approx(one["pulses"] / 0.8, rel=0.02)  # mean of a geometric law
        assert other["failed_cells"] == 0


def test_cells_beyond_all_retries_surface_by_choice():
    with pytest.raises(xs.XbarsimError, match="cells missed their level after 1 retries, .*on_failure=degrade"):
        run(VERIFY.format(failure=0.2, retries=1, then="error"))
    rows = switches(VERIFY.format(failure=0.2, retries=1, then="degrade"))
    for row in rows:
        assert row["failed_cells"] == pytest.approx(0.04 * row["cells_written"], rel=0.1)


def test_luck_is_counter_based():
    """The law is geometric, and the same cell has the same luck in any order."""
    seed = np.uint64(7)
    cells = range(4000)
    there = [attempts_of(seed, cell, 0.3, 1000) for cell in cells]
    back = [attempts_of(seed, cell, 0.3, 1000) for cell in reversed(cells)]
    assert there == back[::-1]
    assert np.mean(there) == pytest.approx(1 / 0.7, rel=0.03)
    assert np.mean(np.array(there) == 1) == pytest.approx(0.7, abs=0.025)
    assert [attempts_of(np.uint64(8), cell, 0.3, 1000) for cell in cells] != there

"""Rolling switches: never the wrong task, never slower without shared units, and measured where they are."""

import numpy as np
import pytest

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.engine import execute
from xbarsim.errors import XbarsimError
from xbarsim.results.moments import Moments

SCENARIO = "digits:3,rotated:2,inverted:4,digits:1"


def schedule(method, *overrides, scenario=SCENARIO):
    chip, net = xs.load_chip("xbm_72", overrides), xs.load_bundle("digits")
    dataflow = plan(xs.place(chip, net), Adaption.named(method)(), parse_scenario(scenario, net))
    return dataflow, execute(dataflow.graph, record=True)


@pytest.mark.parametrize("method", ["xbm", "piggyback", "finetune"])
@pytest.mark.parametrize("buffers", [1, 2])
def test_no_window_sees_the_wrong_task(method, buffers):
    """Checked start by start, layer by layer, from the recorded schedule."""
    dataflow, times = schedule(method, "chip.switch=rolling", f"mask_buffer.copies={buffers}")
    starts = dict(zip(times.actors, times.starts, strict=True))
    ends = dict(zip(times.actors, times.ends, strict=True))
    work = {actor.name: [segment.firings for segment in actor.work] for actor in dataflow.graph.actors}
    for effect in dataflow.switching:
        layer = dataflow.roles[effect].layer
        bounds = np.concatenate([[0], np.cumsum(work[effect])])
        for stage in ("fetch", "read", "convert", "activate"):
            name = f"{layer}.{stage}"
            first = np.concatenate([[0], np.cumsum(work[name])])
            for step in range(len(dataflow.steps)):
                if bounds[step] == bounds[step + 1]:
                    continue
                done = ends[effect][bounds[step] : bounds[step + 1]].max()
                assert starts[name][first[step] : first[step + 1]].min() >= done
                if step and effect not in dataflow.ahead:
                    begun = starts[effect][bounds[step] : bounds[step + 1]].min()
                    assert ends[name][first[step - 1] : first[step]].max() <= begun
                if step > 1 and effect in dataflow.ahead:  # the buffer written holds the task before the last
                    begun = starts[effect][bounds[step] : bounds[step + 1]].min()
                    assert ends[name][first[step - 2] : first[step - 1]].max() <= begun


@pytest.mark.parametrize("method", ["xbm", "piggyback", "finetune"])
def test_rolling_is_not_slower_where_nothing_is_shared(method):
    """A network of one layer per unit: every layer has links of its own, so no queue can reorder."""
    chip = xs.load_chip("xbm_72", ["chip.switch=rolling"])
    run = xs.simulate(chip, xs.load_bundle("digits"), method, SCENARIO)
    assert run.barrier_ps is not None
    assert run.makespan_ps <= run.barrier_ps


def test_the_gain_is_in_the_result():
    chip = xs.load_chip("xbm_72", ["chip.switch=rolling"])
    data = xs.simulate(chip, xs.load_bundle("digits"), "xbm", SCENARIO).to_json()
    barrier = xs.simulate(xs.load_chip("xbm_72"), xs.load_bundle("digits"), "xbm", SCENARIO).to_json()
    assert data["rolling"]["barrier_latency_ns"] == barrier["latency_ns"]
    assert data["rolling"]["gain_ns"] == pytest.approx(barrier["latency_ns"] - data["latency_ns"])
    assert "rolling" not in barrier


def test_counts_do_not_depend_on_when_the_switch_happens():
    barrier, rolling = (
        xs.simulate(xs.load_chip("xbm_72", [f"chip.switch={when}"]), xs.load_bundle("digits"), "piggyback", SCENARIO)
        for when in ("barrier", "rolling")
    )

    def counts(run):
        return {key: count for key, count, _ in run.ledger.totals("phase", "layer", "component", "action") if key[1]}

    assert counts(barrier) == counts(rolling)
    assert barrier.to_json()["wear"] == rolling.to_json()["wear"]


@pytest.mark.parametrize("when", ["barrier", "rolling"])
def test_a_schedule_with_a_wrong_window_is_refused(when):
    dataflow, times = schedule("finetune", f"chip.switch={when}")
    Moments(dataflow, times).check_tasks()
    at = times.actors.index("conv3.read")
    times.segments[at].first_start_ps.setflags(write=True)
    times.segments[at].first_start_ps[1] = 0
    with pytest.raises(XbarsimError, match="conv3.read works at step 1"):
        Moments(dataflow, times).check_tasks()

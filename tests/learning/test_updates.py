"""What training writes into the cells, against a cell-by-cell count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adaptions.naive import Board, Ints, polarity
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, network, op

from xbarsim import InputError, XbarsimError, load_bundle, load_chip, simulate
from xbarsim.chip import Chip
from xbarsim.chip.device import Endurance
from xbarsim.learning.updates import COLUMNS, Recorder, training_writes
from xbarsim.network import Network


def one_layer(groups: int = 1, out: int = 3, kernel: int = 2, bits: int = 8, seed: int = 0) -> Network:
    conv = op("conv", "layer", "input", out=groups * out, kernel=kernel, padding=1, groups=groups)
    return network((groups * 2, 3, 3), conv, tasks=0, weight_bits=bits, seed=seed)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Chip, Network, list[Ints]]:
    """A chip of any kind, a layer, and the integers after every step; narrow converters make columns flip."""
    bits = draw(st.integers(2, 9))
    net = one_layer(draw(st.sampled_from([1, 1, 2, 4])), draw(st.integers(1, 4)), draw(st.integers(1, 3)), bits,
                    draw(st.integers(0, 9)))  # fmt: skip
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 20)), crossbar__cols=draw(st.integers(2, 18)),
        crossbar__cell_bits=draw(st.integers(1, 4)), crossbar__encoding=draw(st.sampled_from(["offset", "differential"])),
        crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])), adc__bits=draw(st.integers(1, 8)),
        mapping__max_copies=draw(st.integers(1, 3)), tile__pes=4, chip__tiles=2000,
    )  # fmt: skip
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    held, most, states = net.integers("layer", bits).astype(np.int64), 2 ** (bits - 1) - 1, []
    for _ in range(draw(st.integers(1, 5))):
        moved = random.random(held.shape) < draw(st.sampled_from([0.0, 0.1, 1.0]))
        held = np.clip(held + moved * random.integers(-most, most + 1, held.shape), -most, most)
        states.append(held)
    return made, net, states


def places(board: Board) -> slice:
    """The cells that hold weights; unit columns stand behind them."""
    return slice(0, len(board.weights))


@settings(max_examples=60, deadline=None)
@given(runs())
def test_updates_write_what_cell_by_cell_counting_says(run: tuple[Chip, Network, list[Ints]]) -> None:
    made, net, states = run
    bits, layer = net.width(), net.layers["layer"]
    recorder = Recorder(made, net)
    for step, weights in enumerate(states):
        recorder.update(step, {"layer": weights})
    board, energies = Board(layer, made, bits), made.file.device.write_energy_pj(made.cell_levels)
    before = net.integers("layer", bits)
    flips = polarity(before, layer, made, bits)
    levels = board.levels(before, flips)[places(board)]
    cells = pulses = 0
    energy = 0.0
    writes, trains = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    for weights in states:
        flips = polarity(weights, layer, made, bits, flips)  # a column keeps its polarity where the converter allows
        after = board.levels(weights, flips)[places(board)]
        board.crossbar, board.row = board.crossbar[places(board)], board.row[places(board)]
        written = board.rewrite(levels, after)
        writes += written.writes
        trains += written.pulses
        cells, pulses, levels = cells + written.cells, pulses + written.trains, after
        energy += sum(count * energies[move] for move, count in written.histogram.items())
    [row] = recorder.rows
    copies = recorder.placement.sites["layer"].copies
    assert (row.cells_written, row.pulses) == (cells * copies, pulses * copies)
    assert row.energy_pj == pytest.approx(energy * copies, rel=1e-12)
    assert (row.copies, row.cells) == (copies, len(levels) * copies)
    assert (row.writes_max, row.pulses_max) == (writes.max(), trains.max())
    assert (row.writes_mean, row.pulses_mean) == pytest.approx((writes.mean(), trains.mean()))
    assert recorder.steps == len(states)


def test_one_update_is_one_switch() -> None:
    """Jumping from the backbone to a task's weights writes what a switch of fine-tuning to it writes."""
    machine, net = load_chip("xbm_72"), load_bundle("digits")
    task = net.task("rotated")
    recorder = Recorder(machine, net)
    own = {site.name: task.weights("finetune", site.name) for site in recorder.placement.backbone}
    recorder.update(0, {name: weights for name, weights in own.items() if weights is not None})
    run = simulate(machine, net, "finetune", "rotated:1")
    [switch] = run.to_json()["switches"]
    total = recorder.total
    assert total.cells_written == switch["cells_written"] > 0
    assert total.pulses == switch["pulses"]
    assert total.codes_changed == switch["codes_changed"]
    assert total.energy_pj == pytest.approx(run.ledger.energy_pj(phase="switch", component="cell"), rel=1e-12)


def test_what_stands_there_before_training_is_not_counted() -> None:
    net = one_layer()
    first = np.zeros_like(net.integers("layer"))
    recorder = Recorder(chip(), net, start={"layer": first})
    recorder.update(0, {"layer": first})
    recorder.update(1, {})
    assert recorder.total.cells_written == recorder.total.updates == recorder.total.pulses == 0
    changed = first.copy()
    changed[0, 0] = 1
    recorder.update(2, {"layer": changed})
    assert (recorder.total.cells_written, recorder.total.codes_changed) == (recorder.total.copies, 1)


def test_a_learner_may_write_into_its_own_array() -> None:
    net = one_layer()
    weights = net.integers("layer").copy()
    recorder = Recorder(chip(), net)
    for step in range(4):
        weights[0, 0] = step
        recorder.update(step, {"layer": weights})
    assert recorder.total.updates >= 3


def test_full_writes_and_retries_are_counted_alike_by_cell_and_by_level() -> None:
    net = one_layer(out=8)
    verify = {"read_ns": 10, "energy_pj": 0.5, "failure": 0.2, "retries": 50}
    plain, full, verified = (
        Recorder(chip(**more), net)
        for more in ({}, {"writer__mode": "full"}, {"writer__verify": verify})
    )  # fmt: skip
    random = np.random.default_rng(0)
    for step in range(5):
        weights = random.integers(-127, 128, net.integers("layer").shape)
        for recorder in (plain, full, verified):
            recorder.update(step, {"layer": weights})
    for recorder in (plain, full, verified):
        total = recorder.total
        assert total.pulses_mean * total.cells == pytest.approx(total.pulses)
        assert total.writes_mean * total.cells == pytest.approx(total.cells_written)
    assert plain.total.cells_written == verified.total.cells_written < full.total.cells_written
    ratio = verified.total.pulses / plain.total.pulses
    assert 1.1 < ratio < 1.4  # one train in five is repeated: 1 / (1 - 0.2)
    attempts = (verified.total.energy_pj - plain.total.energy_pj * ratio) / 0.5
    assert attempts == pytest.approx(1.25 * plain.total.cells_written, rel=0.3)


def test_cells_that_miss_their_level_are_never_silent() -> None:
    net = one_layer(out=8)
    verify = {"read_ns": 10, "failure": 0.5, "retries": 0}
    weights = np.full_like(net.integers("layer"), 3)
    with pytest.raises(XbarsimError, match=r"update 7 of layer 'layer': \d+ cells missed their level after 0 retries"):
        Recorder(chip(writer__verify=verify), net).update(7, {"layer": weights})
    degraded = Recorder(chip(writer__verify=verify | {"on_failure": "degrade"}), net)
    degraded.update(7, {"layer": weights})
    assert 0 < degraded.total.failed_cells < degraded.total.cells_written


def test_the_frame_has_a_row_per_layer_but_the_head() -> None:
    net = load_bundle("digits")
    recorder = Recorder("xbm_72", net)
    layer = net.integers("conv2").copy()
    layer[3] = 0
    recorder.update(0, {"conv2": layer})
    frame = recorder.frame
    assert list(frame.columns) == list(COLUMNS)
    assert frame.layer.tolist() == ["conv1", "conv2", "conv3", "conv4"]
    assert (frame.energy_pj > 0).tolist() == [False, True, False, False]
    assert recorder.total.energy_pj == pytest.approx(frame.energy_pj.sum())
    assert recorder.total.cells == frame.cells.sum()


def lasting(endurance: Endurance) -> Chip:
    made = chip()
    device = made.file.device.model_copy(update={"endurance": endurance})
    return replace(made, file=made.file.model_copy(update={"device": device}))


def test_wear_says_how_often_a_training_can_be_repeated() -> None:
    net = one_layer()
    recorder = Recorder(lasting(Endurance(cycles=1000)), net)
    assert recorder.trainings_until_first_failure is None
    weights = net.integers("layer").copy()
    for step in range(10):
        weights[0, 0] = -weights[0, 0] or 1  # at every step
        recorder.update(step, {"layer": weights})
    wear = recorder.wear
    assert (wear.writes_max, wear.cells) == (recorder.total.writes_max, recorder.total.cells) == (10, wear.cells)
    assert wear.writes_mean == pytest.approx(recorder.total.writes_mean)
    assert recorder.trainings_until_first_failure == pytest.approx(100)
    silent = Recorder(lasting(Endurance()), net)
    silent.update(0, {"layer": -weights})
    assert silent.total.cells_written
    assert silent.trainings_until_first_failure is None


def test_integers_that_do_not_belong_there_are_refused() -> None:
    net = load_bundle("digits")
    recorder = Recorder("xbm_72", net)
    weights = net.integers("conv1")
    with pytest.raises(InputError, match=r"layer 'conv' is not adapted.*did you mean 'conv\d'"):
        recorder.update(0, {"conv": weights})
    with pytest.raises(InputError, match=r"layer 'fc' is not adapted"):
        recorder.update(0, {"fc": weights})
    with pytest.raises(InputError, match=r"layer 'conv1': integers of shape \(9, 16\), the crossbars hold \(16, 9\)"):
        recorder.update(0, {"conv1": weights.T})
    with pytest.raises(InputError, match=r"layer 'conv1': the integer 128 does not fit 8 bits"):
        recorder.update(0, {"conv1": np.full(weights.shape, 128)})
    assert recorder.steps == 0


def few(name: str) -> Any:
    """A task of the digits with few samples."""
    for package in ("torch", "sklearn"):
        pytest.importorskip(package)
    from xbarsim.learning.images import image_task

    data = image_task(name)
    return replace(data, train=data.train[:128], train_labels=data.train_labels[:128])


def test_a_recorder_follows_a_learner() -> None:
    data = few("rotated")
    from xbarsim.learning.learn import learn

    network = load_bundle("digits")
    recorder = Recorder("xbm_72", network)
    found = learn(network, "finetune", data, "xbm_72", epochs=3, update=recorder.update)
    assert recorder.steps == 3 * 2  # two batches of 64
    for layer, held in recorder.held.items():
        own = np.asarray(found.content.weights[layer]).reshape(held.shape)
        assert np.array_equal(held, network.quantiser(layer).integers(own))
        assert not np.array_equal(held, network.integers(layer))
    assert 0 < recorder.total.writes_max <= recorder.steps
    assert 0 < recorder.total.cells_written <= recorder.total.cells * recorder.steps
    silent = Recorder("xbm_72", network)
    learn(network, "xbm", data, "xbm_72", epochs=2, update=silent.update)  # trains no cell
    assert silent.steps == silent.total.cells_written == 0


def test_training_is_compared_method_by_method() -> None:
    tasks = [few("rotated"), few("inverted")]
    network = load_bundle("digits")
    frame = training_writes("xbm_72", network, tasks, epochs=3)
    assert frame[["method", "task"]].to_numpy().tolist() == [
        [method, task] for method in ("finetune", "xst") for task in ("rotated", "inverted")
    ]
    assert (frame[["cells_written", "pulses", "energy_pj", "writes_max"]] > 0).all(axis=None)
    assert (
        frame["cells"] == sum(site.grid.cells * site.copies for site in Recorder("xbm_72", network).placement.backbone)
    ).all()
    alone = training_writes("xbm_72", network, tasks[1:], ["finetune"], epochs=3)
    mine = frame[(frame["method"] == "finetune") & (frame["task"] == "inverted")]
    assert mine.reset_index(drop=True).equals(alone)  # every task starts from the backbone

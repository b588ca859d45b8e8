"""Cells written, pulses and programming times of random layers, against the cell-by-cell twin."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from adaptions.naive import Board, Ints, Written, polarity
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chain, chip, network, op

from xbarsim.adaptions import Adaption, LayerChange, install, switch
from xbarsim.chip import Chip
from xbarsim.mapping import Placement, place


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """One layer, dense or grouped, on small crossbars of every kind; narrow converters make columns flip."""
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    net = network(
        (groups * draw(st.integers(1, 3)), 3, 3),
        op("conv", "layer", "input", out=groups * draw(st.integers(1, 4)), kernel=draw(st.integers(1, 3)),
           padding=1, groups=groups),
        tasks=2, weight_bits=draw(st.integers(2, 9)), seed=draw(st.integers(0, 99)),
        piggyback_on=draw(st.sampled_from([0.0, 0.5, 0.9])), finetune_sigma=draw(st.sampled_from([0.05, 0.5])),
    )  # fmt: skip
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 20)), crossbar__cols=draw(st.integers(2, 18)),
        crossbar__cell_bits=draw(st.integers(1, 4)), crossbar__encoding=draw(st.sampled_from(["offset", "offset", "differential"])),
        crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])), crossbar__unit_column=draw(st.booleans()),
        adc__bits=draw(st.integers(1, 8)), dac__bits=draw(st.sampled_from([1, 1, 2])), mapping__max_copies=2,
        mapping__kernel_aligned=draw(st.booleans()), tile__pes=4, chip__tiles=2000,
    )  # fmt: skip
    return place(made, net)


def integers(placement: Placement, method: str, task: str | None) -> Ints:
    """What the crossbars hold, by the definition of the method."""
    net, bits = placement.network, placement.weight_bits
    backbone = net.integers("layer", bits)
    if task is None:
        return backbone
    if method == "finetune":
        own = net.task(task).weights("finetune", "layer", bits)
        assert own is not None
        return own
    mask = net.task(task).mask("piggyback", "layer")
    assert mask is not None
    return np.where(mask.values == 1, backbone, 0)


def states(placement: Placement, method: str) -> tuple[Board, dict[str | None, Ints]]:
    """The levels of all cells of one copy under the backbone and under each task."""
    made, bits = placement.chip, placement.weight_bits
    layer = placement.network.layers["layer"]
    flips = polarity(integers(placement, method, None), layer, made, bits)
    board = Board(layer, made, bits)
    held: dict[str | None, Ints] = {}
    for name in (None, *placement.network.task_info):
        own = integers(placement, method, name)
        held[name] = board.levels(own, flips if name is None else polarity(own, layer, made, bits, flips))
    return board, held


def equal(found: LayerChange, wanted: Written, made: Chip) -> None:
    """Compare one layer's change with the twin's."""
    counted = {at: int(found.histogram[at]) for at in np.ndindex(found.histogram.shape) if found.histogram[at]}
    assert counted == dict(wanted.histogram)
    assert found.cells_written == wanted.cells
    assert found.pulses(made.file.device.write_pulses(made.cell_levels)) == wanted.trains
    assert found.crossbar_ps.tolist() == wanted.times_ps
    assert found.crossbar_lines.tolist() == wanted.lines


@settings(max_examples=150)
@given(placements(), st.sampled_from(["piggyback", "finetune"]))
def test_switches_write_what_the_twin_writes(placement: Placement, method: str) -> None:
    board, held = states(placement, method)
    made, net = placement.chip, placement.network
    for old, new in ((None, "task1"), ("task1", "task2"), ("task2", None)):
        change = switch(Adaption.named(method)(), placement, *(net.task(t) if t else None for t in (old, new)))
        wanted = board.rewrite(held[old], held[new])
        equal(change.layers[0], wanted, made)
        assert change.cells_written == wanted.cells * placement.sites["layer"].copies


@settings(max_examples=100)
@given(placements())
def test_installation_writes_an_erased_chip(placement: Placement) -> None:
    board, held = states(placement, "finetune")
    change = install(Adaption.named("finetune")(), placement)
    equal(change.layers[0], board.rewrite(None, held[None]), placement.chip)


@settings(max_examples=60)
@given(placements(), st.sampled_from(["piggyback", "finetune"]))
def test_there_and_back_restores_every_cell(placement: Placement, method: str) -> None:
    """The way back writes the same cells in the opposite direction."""
    net = placement.network
    there, back = (
        switch(Adaption.named(method)(), placement, net.task(old), net.task(new)).layers[0]
        for old, new in (("task1", "task2"), ("task2", "task1"))
    )
    assert np.array_equal(there.histogram, back.histogram.T)
    assert there.codes_changed == back.codes_changed
    assert there.weights_touched == back.weights_touched
    assert there.crossbar_lines.tolist() == back.crossbar_lines.tolist()
    again = switch(Adaption.named(method)(), placement, net.task("task1"), net.task("task1"))
    assert again.cells_written == 0


@settings(max_examples=60)
@given(placements(), st.sampled_from(["piggyback", "finetune"]))
def test_codes_that_change_are_integers_that_differ(placement: Placement, method: str) -> None:
    net = placement.network
    one, two = (integers(placement, method, task) for task in ("task1", "task2"))
    change = switch(Adaption.named(method)(), placement, net.task("task1"), net.task("task2")).layers[0]
    assert change.codes_changed == int(np.count_nonzero(one != two))
    if method == "piggyback":
        masks = [net.task(task).mask("piggyback", "layer").values for task in ("task1", "task2")]  # type: ignore[union-attr]
        assert change.weights_touched == int(np.count_nonzero(masks[0] != masks[1]))


def test_a_column_keeps_the_backbones_polarity_until_the_converter_clips() -> None:
    """Eight rows of levels 0 to 3: the converter takes sums up to 15 of 24."""
    made = chip("xbm_72", crossbar__rows=8, crossbar__cell_bits=2, adc__bits=4)
    layer = network((8, 1, 1), op("conv", "layer", "input", out=1, kernel=1)).layers["layer"]

    def of(level_sum: int, backbone: bool | None = None) -> bool:
        weights = np.full((1, 8), -2)
        for at in range(level_sum):
            weights[0, at % 8] += 1
        base = None if backbone is None else {(0, 0, 0): backbone}
        return polarity(weights, layer, made, 2, base)[0, 0, 0]

    assert [of(s) for s in (0, 12, 15, 16, 24)] == [False, False, False, True, True]
    assert [of(s, False) for s in (0, 12, 15, 16, 24)] == [False, False, False, True, True]
    assert [of(s, True) for s in (0, 8, 9, 12, 24)] == [False, False, True, True, True]


def test_unit_columns_are_written_once_and_never_again() -> None:
    net = network((4, 2, 2), op("conv", "layer", "input", out=3, kernel=1), tasks=1)
    placement = place(chip(mapping__replicate="none"), net)
    with_units = install(Adaption.named("xbm")(), placement).layers[0].histogram
    without = install(Adaption.named("xbm")(), place(chip(mapping__replicate="none", crossbar__unit_column=False), net))
    extra = with_units - without.layers[0].histogram
    assert Counter({(0, 1): 4}) == Counter({k: int(extra[k]) for k in np.ndindex(extra.shape) if extra[k]})


def test_a_head_without_tensors_of_its_own_repeats_the_backbones_columns() -> None:
    """A task with more classes than the backbone, and no tensors of the method: cells that exist, and no others."""
    net = chain((2, 3, 3), op("conv", "conv", out=8, kernel=3), op("linear", "fc", out=4), tasks={"wide": 9})
    net = replace(net, task_info={"wide": (9, ())})
    placement = place(chip(), net)
    heads = [change for change in install(Adaption.named("finetune")(), placement).layers if change.site.name == "fc"]
    assert [change.site.grid.layer.c_out for change in heads] == [4, 9]
    wide = heads[1].site.grid.layer
    board = Board(wide, placement.chip, 8)
    weights = net.integers("fc")[[0, 1, 2, 3, 0, 1, 2, 3, 0]]
    equal(heads[1], board.rewrite(None, board.levels(weights, {})), placement.chip)


def test_independent_masks_touch_two_p_q_of_the_weights() -> None:
    net = network(
        (64, 3, 3), op("conv", "layer", "input", out=128, kernel=3, padding=1), tasks=2, piggyback_on=0.7
    )  # fmt: skip
    change = switch(Adaption.named("piggyback")(), place(chip(), net), net.task("task1"), net.task("task2")).layers[0]
    share = change.weights_touched / net.layers["layer"].weights
    assert abs(share - 2 * 0.7 * 0.3) < 0.01
    zeros = np.count_nonzero(net.integers("layer") == 0)
    assert change.weights_touched - zeros <= change.codes_changed <= change.weights_touched

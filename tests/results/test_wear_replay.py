"""Wear equals a cell-by-cell replay: every cell's writes and pulses, step by step, repeats written out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from adaptions.naive import PULSES, Board, polarity
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, network, op

from xbarsim.adaptions import Adaption, install
from xbarsim.adaptions.change import BACKBONE, luck
from xbarsim.chip import load_chip
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.kernels.cells import attempts_of
from xbarsim.mapping import Placement, place
from xbarsim.network import load_network
from xbarsim.results import wear as wear_module
from xbarsim.results.wear import Wear, wear_of
from xbarsim.studies.simulate import simulate

TASKS = ("task1", "task2", "task3")


class Case:
    """A placement that hypothesis can print."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    def __repr__(self) -> str:
        return f"Case({self.placement.network.layers['layer']}, overrides={self.placement.chip.overrides})"


@st.composite
def cases(draw: st.DrawFn, mode: str = "differential", failure: float = 0.0) -> Case:
    """One layer on small crossbars of every kind; narrow converters make columns flip."""
    groups = draw(st.sampled_from([1, 1, 2]))
    net = network(
        (groups * draw(st.integers(1, 3)), 3, 3),
        op("conv", "layer", "input", out=groups * draw(st.integers(1, 4)), kernel=draw(st.integers(1, 3)),
           padding=1, groups=groups),
        tasks=3, weight_bits=draw(st.integers(2, 7)), seed=draw(st.integers(0, 99)), piggyback_on=0.5, finetune_sigma=0.4,
    )  # fmt: skip
    options: dict[str, object] = {"writer__mode": mode}
    if failure:
        options["writer__verify"] = {
            "read_ns": 10, "failure": failure, "retries": draw(st.integers(0, 3)), "on_failure": "degrade",
        }  # fmt: skip
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 20)), crossbar__cols=draw(st.integers(2, 18)),
        crossbar__cell_bits=draw(st.integers(1, 3)), crossbar__encoding=draw(st.sampled_from(["offset", "differential"])),
        crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])), crossbar__unit_column=draw(st.booleans()),
        adc__bits=draw(st.integers(2, 8)), mapping__max_copies=2, tile__pes=4, pe__crossbars=draw(st.integers(1, 4)),
        chip__tiles=2000, **options,
    )  # fmt: skip
    return Case(place(made, net))


walks = st.lists(st.sampled_from([BACKBONE, *TASKS]), min_size=1, max_size=4)


def held(placement: Placement, method: str) -> tuple[Board, dict[str, np.ndarray]]:
    """The level of every cell of one copy under the backbone and every task."""
    layer, made, bits, net = placement.network.layers["layer"], placement.chip, placement.weight_bits, placement.network
    board = Board(layer, made, bits)
    backbone = net.integers("layer", bits)
    flips = polarity(backbone, layer, made, bits)
    levels = {BACKBONE: board.levels(backbone, flips)}
    for name in TASKS:
        if method == "piggyback":
            own = backbone * net.task(name).mask("piggyback", "layer").values  # type: ignore[union-attr]
        else:
            own = net.task(name).weights("finetune", "layer", bits)  # type: ignore[assignment]
        levels[name] = board.levels(own, polarity(own, layer, made, bits, flips))
    return board, levels


class Replay:
    """Writes cells one by one and remembers it."""

    def __init__(self, placement: Placement, board: Board, levels: dict[str, np.ndarray]) -> None:
        self.chip, self.board, self.levels = placement.chip, board, levels
        self.writes = np.zeros(len(board.crossbar), np.int64)
        self.pulses = np.zeros_like(self.writes)
        self.rows, self.slices = placement.network.layers["layer"].rows, placement.sites["layer"].grid.slices
        self.task = ""

    def to(self, task: str) -> None:
        if task == self.task:
            return
        new = self.levels[task]
        old = self.levels[self.task] if self.task else np.zeros_like(new)
        full = self.chip.file.writer.mode == "full" and bool(self.task)
        weights = len(self.board.weights)  # unit columns stand behind them and are never written again
        for cell in range(len(new) if not self.task else weights):
            if old[cell] == new[cell] and not (full and new[cell] > 0):
                continue
            self.writes[cell] += 1
            way = [(old[cell], 0), (0, new[cell])] if full else [(old[cell], new[cell])]
            steps = self.chip.cell_levels - 1
            trains = sum(-(-int(abs(b - a)) * PULSES // steps) for a, b in way)
            self.pulses[cell] += trains * (self.tries(cell, task) if cell < weights else 1)
        self.task = task

    def tries(self, cell: int, task: str) -> int:
        verify = self.chip.file.writer.verify
        if not verify:
            return 1
        channel, row, piece = self.board.weights[cell]
        number = (channel * self.rows + row) * self.slices + piece
        seed = luck("layer", self.task, task)
        return min(attempts_of(seed, number, float(verify.failure), verify.retries), verify.retries + 1)


def measured(placement: Placement, method: str, scenario: str) -> Wear:
    adaption = Adaption.named(method)()
    dataflow = plan(placement, adaption, parse_scenario(scenario, placement.network))
    return wear_of(placement, adaption, dataflow, install(adaption, placement))


def check(placement: Placement, method: str, walk: list[str], repeats: int) -> None:
    """Compare the whole distribution, the summary, the histograms and the map, and that of a further scenario."""
    body = ",".join(f"{task}:1" for task in walk)
    found = measured(placement, method, f"{repeats}*({body})" if repeats > 1 else body)
    replay = Replay(placement, *held(placement, method))
    replay.to(BACKBONE)
    for task in walk * repeats:
        replay.to(task)
    writes, pulses = replay.writes.copy(), replay.pulses.copy()
    for task in walk * repeats:
        replay.to(task)
    copies = placement.sites["layer"].copies
    wanted = Counter(
        zip(writes.tolist(), pulses.tolist(), (replay.writes - writes).tolist(), (replay.pulses - pulses).tolist(),
            strict=True)
    )  # fmt: skip
    assert {tuple(row[:4]): row[4] for row in found.table.tolist()} == {k: n * copies for k, n in wanted.items()}
    summary = found.to_json()
    for name, worn in (("writes", writes), ("pulses", pulses)):
        assert summary[f"{name}_max"] == worn.max()
        assert summary[f"{name}_mean"] == pytest.approx(worn.mean())
        for percent in (50, 90, 99):
            assert summary[f"{name}_p{percent}"] == np.percentile(worn, percent, method="inverted_cdf")
        assert sum(row["cells"] for row in summary[f"{name}_histogram"]) == len(worn) * copies == summary["cells"]
        for row in summary[f"{name}_histogram"]:
            assert row["cells"] == copies * np.count_nonzero((worn >= row["from"]) & (worn <= row["to"]))
    pes = replay.board.crossbar // placement.chip.file.pe.crossbars
    for element in found.elements:
        mine = np.ones(len(pes), bool) if element.pe is None else pes == element.pe
        assert (element.cells, element.copies) == (mine.sum(), copies)
        assert (element.writes_max, element.pulses_max) == (writes[mine].max(), pulses[mine].max())
        assert element.writes_mean == pytest.approx(writes[mine].mean())
        assert element.pulses_mean == pytest.approx(pulses[mine].mean())


@settings(max_examples=50)
@given(cases(), st.sampled_from(["piggyback", "finetune"]), walks, st.integers(1, 7))
def test_wear_is_that_of_a_replay(case: Case, method: str, walk: list[str], repeats: int) -> None:
    check(case.placement, method, walk, repeats)


@settings(max_examples=20)
@given(cases(mode="full"), walks, st.integers(1, 3))
def test_full_writes_go_through_the_lowest_level(case: Case, walk: list[str], repeats: int) -> None:
    check(case.placement, "finetune", walk, repeats)


@settings(max_examples=20)
@given(cases(failure=0.3), walks, st.integers(1, 3))
def test_repeated_trains_wear_too(case: Case, walk: list[str], repeats: int) -> None:
    with np.errstate(over="ignore"):  # the luck of an attempt is modular arithmetic, which NumPy warns about
        check(case.placement, "finetune", walk, repeats)


@settings(max_examples=20)
@given(cases(), walks)
def test_cells_looked_at_one_by_one_wear_the_same(case: Case, walk: list[str]) -> None:
    """The way for many tasks: no counting by history."""
    scenario = ",".join(walk)
    with pytest.MonkeyPatch.context() as patch:
        by_history = measured(case.placement, "finetune", scenario)
        patch.setattr(wear_module, "MOST_COUNTERS", 0)
        one_by_one = measured(case.placement, "finetune", scenario)
    assert np.array_equal(by_history.table, one_by_one.table)
    assert by_history.elements == one_by_one.elements


@pytest.mark.parametrize("method", ["xbm", "piggyback", "finetune"])
def test_digits_wears_as_its_switches_say(method: str) -> None:
    """Totals agree with the writes of installation and switches, heads and copies included."""
    run = simulate(load_chip("xbm_72"), load_network("digits"), method, "3*(rotated:2,inverted:1),digits:1")
    result = run.to_json()
    wear = result["wear"]
    for name, key in (("writes", "cells_written"), ("pulses", "pulses")):
        total = result["install"][key] + sum(row[key] * row.get("times", 1) for row in result["switches"])
        assert wear[f"{name}_mean"] * wear["cells"] == pytest.approx(total)
    assert sum(row["cells"] * row["copies"] for row in wear["pes"]) == wear["cells"]
    if method == "xbm":
        assert wear["writes_max"] == 1
        assert {row["pe"] for row in wear["pes"]} == {None}


def test_long_repeats_cost_no_more_than_short_ones() -> None:
    short, long = (
        simulate(load_chip("xbm_72"), load_network("digits"), "finetune", f"{times}*(rotated:1,inverted:1)").wear
        for times in (20, 20_000)
    )
    assert len(long.table) == len(short.table)
    assert long.writes_max == 20_000 * 2 + 1

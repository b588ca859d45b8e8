"""Wear of the most worn cell and of all cells, against a replay of the scenario cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from adaptions.naive import Board, polarity
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, network, op

from xbarsim.studies.simulate import simulate


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["task1", "task2", "backbone"]), min_size=1, max_size=8), st.sampled_from([3, 5, 8]),
    st.integers(1, 3), st.sampled_from(["offset", "differential"]), st.integers(0, 50), st.sampled_from(["piggyback", "finetune"]),
)  # fmt: skip
def test_wear_is_that_of_a_replay(
    order: list[str], adc_bits: int, cell_bits: int, encoding: str, seed: int, method: str
) -> None:
    made = chip(
        crossbar__rows=12, crossbar__cols=12, crossbar__cell_bits=cell_bits, crossbar__encoding=encoding,
        adc__bits=adc_bits, mapping__max_copies=3, pe__crossbars=2,
    )  # fmt: skip
    net = network(
        (3, 3, 3), op("conv", "layer", "input", out=5, kernel=3, padding=1), tasks=2, weight_bits=4, seed=seed,
        finetune_sigma=0.5,
    )  # fmt: skip
    layer = net.layers["layer"]
    board, backbone = Board(layer, made, 4), net.integers("layer", 4)
    flips = polarity(backbone, layer, made, 4)
    states = {"backbone": board.levels(backbone, flips)}
    for name, task in net.tasks.items():
        mask = task.mask("piggyback", "layer")
        own = task.weights("finetune", "layer", 4) if method == "finetune" else None
        weights = np.where(mask.values == 1, backbone, 0) if own is None and mask else own
        assert weights is not None
        states[name] = board.levels(weights, polarity(weights, layer, made, 4, flips))
    run = simulate(made, net, method, ",".join(order))
    copies = run.placement.sites["layer"].copies
    now = states["backbone"]
    first = board.rewrite(None, now)
    writes, pulses = first.writes, first.pulses
    for name in order:
        step = board.rewrite(now, states[name])
        writes, pulses, now = writes + step.writes, pulses + step.pulses, states[name]
    wear = run.to_json()["wear"]
    assert wear["cells"] == len(now) * copies
    assert wear["writes_max"] == writes.max()
    assert wear["pulses_max"] == pulses.max()
    assert wear["writes_mean"] == pytest.approx(writes.mean(), rel=1e-12)
    assert wear["pulses_mean"] == pytest.approx(pulses.mean(), rel=1e-12)
    assert sum(row["cells"] for row in wear["writes_histogram"]) == wear["cells"]
    elements = {row["pe"]: row for row in wear["pes"] if row["pe"] is not None}
    for pe, row in elements.items():
        mine = board.crossbar // made.file.pe.crossbars == pe
        assert (row["cells"], row["writes_max"], row["pulses_max"]) == (
            mine.sum(),
            writes[mine].max(),
            pulses[mine].max(),
        )
        assert row["writes_mean"] == pytest.approx(writes[mine].mean(), rel=1e-12)

"""Actions of one window against a count column by column, and what gating may and may not do."""

from __future__ import annotations

from typing import Any

import numpy as np
from dataflow.naive import ARRAYS, array_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, network, op
from numpy.typing import NDArray

from xbarsim.dataflow.activity import window_activity
from xbarsim.mapping import Placement, place


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    net = network(
        (groups * draw(st.integers(1, 4)), 3, 3),
        op("conv", "layer", "input", out=groups * draw(st.integers(1, 8)), kernel=draw(st.integers(1, 3)),
           padding=1, groups=groups),
        weight_bits=draw(st.integers(2, 9)), input_bits=draw(st.integers(1, 9)),
    )  # fmt: skip
    cols = draw(st.integers(2, 18))
    made = chip(
        "xbm_72", crossbar__rows=draw(st.integers(3, 20)), crossbar__cols=cols,
        crossbar__cell_bits=draw(st.integers(1, 4)), crossbar__encoding=draw(st.sampled_from(["offset", "differential"])),
        crossbar__slices=draw(st.sampled_from(["adjacent", "arrays"])), crossbar__unit_column=draw(st.booleans()),
        adc__converts=draw(st.sampled_from(["used", "all"])), adc__per_crossbar=draw(st.integers(1, cols)),
        dac__drives=draw(st.sampled_from(["used", "all"])), dac__bits=draw(st.integers(1, 3)),
        mapping__kernel_aligned=draw(st.booleans()), chip__tiles=4000,
    )  # fmt: skip
    return place(made, net)


def mask_of(placement: Placement, seed: int) -> NDArray[np.uint8] | None:
    """None, nothing at all, or any share of the columns."""
    grid = placement.sites["layer"].grid
    rng = np.random.default_rng(seed)
    shape = (grid.blocks, grid.layer.c_out)
    return [None, np.zeros(shape, np.uint8), (rng.random(shape) < rng.random()).astype(np.uint8)][seed % 3]


@settings(max_examples=300)
@given(placements(), st.integers(0, 10**6))
def test_counts_are_those_of_every_column(placement: Placement, seed: int) -> None:
    site, mask = placement.sites["layer"], mask_of(placement, seed)
    activity = window_activity(placement, site, mask)
    wanted, fullest = array_counts(site.grid.layer, placement.chip, placement.weight_bits, placement.input_bits, mask)
    assert {key: activity.counts[key] for key in ARRAYS} == {key: wanted[key] for key in ARRAYS}
    assert activity.converter_columns == fullest


@settings(max_examples=300)
@given(placements(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_switching_columns_off_never_adds_work(placement: Placement, seed: int, off: int) -> None:
    site, mask = placement.sites["layer"], mask_of(placement, seed)
    shape = (site.grid.blocks, site.grid.layer.c_out)
    more: NDArray[Any] = np.ones(shape, np.uint8) if mask is None else mask
    fewer = more & (np.random.default_rng(off).random(shape) < 0.7)
    before, after = window_activity(placement, site, more), window_activity(placement, site, fewer)
    assert all(after.counts[key] <= before.counts[key] for key in before.counts | after.counts)
    assert after.converter_columns <= before.converter_columns
    assert after.fetch_ns == before.fetch_ns
    assert after.write_ns == before.write_ns


@settings(max_examples=50)
@given(placements())
def test_all_columns_on_is_no_mask(placement: Placement) -> None:
    site = placement.sites["layer"]
    ones = np.ones((site.grid.blocks, site.grid.layer.c_out), np.uint8)
    assert window_activity(placement, site, ones).counts == window_activity(placement, site, None).counts


def test_isaacs_window_by_hand() -> None:
    """128 rows, 16 channels of 8 slices fill 128 columns; the unit column comes on top; 16 one-bit phases."""
    placement = place(
        chip("isaac"), network((128, 1, 1), op("linear", "fc", "input", out=16), weight_bits=16, input_bits=16)
    )
    counts = window_activity(placement, placement.sites["fc"], None).counts
    assert counts["crossbar", "read"] == 16 * 128 * 129
    assert counts["dac", "drive"] == 16 * 128
    assert counts["adc", "convert"] == counts["shift_add", "add"] == 16 * 129
    assert counts["buffer", "read"] == 128 * 16 // 256
    assert counts["buffer", "write"] == 1
    assert counts["bus", "bit"] == (128 + 16) * 16
    assert (counts["activation", "cycle"], counts["requantise", "element"]) == (1, 16)


def test_every_tile_fetches_the_rows_it_holds() -> None:
    """Four row blocks of 72 rows in four tiles of one crossbar each: the copy's inputs come in four parts."""
    made = chip(tile__pes=1, pe__crossbars=1, chip__tiles=64)
    placement = place(made, network((32, 3, 3), op("conv", "c", "input", out=8, kernel=3), input_bits=8))
    site = placement.sites["c"]
    assert site.tiles_per_copy == 4
    counts = window_activity(placement, site, None).counts
    assert counts["buffer", "read"] == 4 * -(-72 * 8 // 256)
    assert counts["bus", "bit"] == (288 + 8) * 8
    phases = 8
    assert counts["registers", "tile"] == counts["shift_add", "tile"] == 4 * phases

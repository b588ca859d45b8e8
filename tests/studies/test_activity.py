"""Activity of rows from data: counted bit by bit, and what it does to the counts of a run."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.analog.activity import Driven, driven_rows
from xbarsim.analog.encode import Drive
from xbarsim.analog.executor import IntegerProduct, Windows, run
from xbarsim.analog.prepare import prepare
from xbarsim.chip import Chip, load_chip
from xbarsim.dataflow.driven import DRIVE, READ, driven_shares
from xbarsim.errors import InputError
from xbarsim.mapping import place
from xbarsim.network import Network, load_network

COUNT = 3
"""Samples that the naive counts look at."""


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def windows_of(chip: Chip, network: Network, task: str, method: str, count: int) -> dict[str, NDArray[Any]]:
    """Quantised windows ``(windows, rows)`` by layer."""
    inputs = network.task(task).samples().inputs[:count]
    kept = {}

    def keep(windows: Windows, outputs: NDArray[np.float64]) -> None:
        kept[windows.held.layer.name] = windows.inputs[:, 0].copy()

    run(prepare(chip, network, method, task, inputs).integers, inputs, IntegerProduct(), observe=keep)
    return kept


@pytest.mark.parametrize("method", ["xbm", "piggyback"])
@pytest.mark.parametrize("layer", ["conv1", "conv3", "fc"])
def test_shares_are_those_of_counting_bit_by_bit(digits: Network, layer: str, method: str) -> None:
    chip = load_chip("xbm_72")
    windows = windows_of(chip, digits, "rotated", method, COUNT)[layer]
    inputs = digits.task("rotated").samples().inputs[:COUNT]
    driven = driven_rows(chip, prepare(chip, digits, method, "rotated", inputs).integers, inputs)[layer]
    known = digits.layers[layer]
    mask = None if known.head else Adaption.named(method)().columns(chip, digits.task("rotated"), layer)
    drives = reads = all_drives = all_reads = zero = 0
    for block, first in enumerate(range(0, known.rows, 72)):
        rows = windows[:, first : first + 72]
        on = np.ones(known.c_out, bool) if mask is None else mask[block].astype(bool)
        for crossbar in range(-(-known.c_out // 18)):  # 18 channels of four slices to 72 columns
            columns = 4 * int(on[crossbar * 18 : (crossbar + 1) * 18].sum())
            for bit in range(8 if columns else 0):
                ones = int(((rows >> bit) & 1).sum())
                drives, reads = drives + ones, reads + ones * (columns + 1)
                all_drives, all_reads = all_drives + rows.size, all_reads + rows.size * (columns + 1)
        zero += sum(int((~((rows >> bit) & 1).any(axis=1)).sum()) for bit in range(8))
    site = place(chip, digits).sites[layer]
    shares = driven_shares(chip, site.grid, mask, driven.charges, driven.chances, 8)
    assert shares == {DRIVE: Fraction(drives, all_drives), READ: Fraction(reads, all_reads)}
    assert driven.zero_reads == zero
    assert driven.reads == len(windows) * 8 * -(-known.rows // 72)


def test_digits_of_several_bits_drive_a_row_once(digits: Network) -> None:
    levels, serial = (
        load_chip("xbm_72", ["dac.bits=4", "adc.bits=12", f"dac.kind={kind}"]) for kind in ("level", "serial")
    )
    inputs = digits.task("digits").samples().inputs[:COUNT]
    windows = windows_of(levels, digits, "digits", "finetune", COUNT)["conv2"]
    by_level, by_bit = (
        driven_rows(chip, prepare(chip, digits, "finetune", "digits", inputs).integers, inputs)["conv2"]
        for chip in (levels, serial)
    )
    wanted = ((windows & 15) > 0).sum(axis=0) + ((windows >> 4) > 0).sum(axis=0)
    assert np.array_equal(by_level.charges[0], wanted)
    assert by_level.chances == 2 * len(windows)
    assert np.array_equal(by_bit.charges[0], sum(((windows >> bit) & 1).sum(axis=0) for bit in range(8)))
    assert by_bit.chances == 8 * len(windows)


def test_negative_inputs_drive_rows_by_their_magnitude_where_drivers_take_a_sign(digits: Network) -> None:
    model = prepare(load_chip("xbm_72"), digits, "finetune", "digits", digits.task("digits").samples().inputs)
    held = model.integers.held["conv1"]
    inputs = np.array([[[-1, -128 + 1, 5, 0, 0, 0, 0, 0, 0]]], np.int8)
    for polar, wanted in ((True, [1, 7, 2]), (False, [8, 2, 2])):
        driven = Driven(np.zeros((1, 9), np.int64))
        signed = replace(held, drive=Drive(8, True, (1,) * (7 if polar else 8), polar))
        driven.add(signed, inputs, pulses=False)
        assert driven.charges[0, :3].tolist() == wanted


def test_a_run_counts_what_data_drive_and_nothing_else_changes(digits: Network) -> None:
    chip = load_chip("xbm_72")
    usual = xs.simulate(chip, digits, "xbm", "rotated:5,digits:2")
    data = xs.simulate(chip, digits, "xbm", "rotated:5,digits:2", activity="data")
    assert (usual.to_json()["activity"], data.to_json()["activity"]) == ("default", "data")
    assert data.makespan_ps == usual.makespan_ps
    assert any("not driven" in line for line in data.to_json()["assumptions"])
    shares = xs.activity(chip, digits, "xbm", ["rotated", "digits"]).set_index(["task", "layer"])["driven"]
    changed = set()
    for before, after in zip(usual.ledger.rows, data.ledger.rows, strict=True):
        assert (before.component, before.action, before.layer) == (after.component, after.action, after.layer)
        if before.count != after.count:
            changed.add((before.component, before.action))
            assert before.phase == "inference"
            # Row blocks differ in their activity, and in how many of their columns are on.
            assert after.count / before.count == pytest.approx(shares[before.task, before.layer], rel=0.1)
    assert changed == {DRIVE, READ}
    assert data.ledger.energy_pj() < usual.ledger.energy_pj()


def test_masks_read_in_phases_and_unused_rows_count_too(digits: Network) -> None:
    phased = load_chip("xbm_72", ["crossbar.rows=128", "mapping.mask_fit=phased"])
    driven = load_chip("xbm_72", ["dac.drives=all"])
    for chip in (phased, driven):
        usual, data = (
            xs.simulate(chip, digits, "xbm", "rotated:1", activity=activity).ledger for activity in ("default", "data")
        )
        share = data.count(component="dac") / usual.count(component="dac")
        assert 0.01 < share < 0.4
    rows = xs.simulate(load_chip("xbm_72"), digits, "xbm", "rotated:1", activity="data").ledger
    assert rows.count(component="dac") == pytest.approx(data.count(component="dac"), abs=5)


def test_conversions_that_saturate(digits: Network) -> None:
    shares = {
        bits: xs.activity(load_chip("xbm_72", [f"adc.bits={bits}"]), digits, "finetune", ["digits"], samples=20)
        for bits in (8, 5, 3)
    }
    assert not shares[8]["saturated"].any()
    few, many = (shares[bits].set_index("layer")["saturated"] for bits in (5, 3))
    assert (few <= many).all()
    assert 0 == few["conv1"] < many["conv1"]  # nine rows of at most 3 levels: 27 fit into 5 bits
    assert 0 < few["conv4"] < many["conv4"] < 1


@pytest.mark.parametrize(
    ("bundle", "scenario", "message"),
    [
        ("digits", "backbone:1,rotated:1", "the backbone by itself has none"),
        ("resnet20", None, "neither trained weights nor samples"),
    ],
)
def test_data_must_be_there(bundle: str, scenario: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        xs.simulate(load_chip("xbm_72"), load_network(bundle), "xbm", scenario, activity="data")


def test_an_unknown_activity_is_refused(digits: Network) -> None:
    with pytest.raises(InputError, match="no activity 'dat'; known: default, data; did you mean 'data'"):
        xs.simulate(load_chip("xbm_72"), digits, "xbm", activity="dat")

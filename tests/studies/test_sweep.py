"""Sweeps: one tidy row per point and method, failures as rows, bad grids refused before anything runs."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

import xbarsim as xs
from xbarsim.errors import InputError
from xbarsim.studies.grid import check_grid, chip_keys, parse_grid, points_of
from xbarsim.studies.sweep import Point, evaluate, failures


@pytest.fixture(scope="module")
def net() -> xs.Network:
    return xs.load_bundle("digits")


def test_masks_of_another_height_are_resampled_and_say_so(net: xs.Network) -> None:
    frame = xs.sweep("xbm_72", net, {"crossbar.rows": [64, 72, 128]}, methods=["xbm", "finetune"], mask_fit="resample")
    assert frame[["crossbar.rows", "method"]].values.tolist() == [
        [rows, method] for rows in (64, 72, 128) for method in ("xbm", "finetune")
    ]
    labels = frame[frame["method"] == "xbm"].set_index("crossbar.rows")["masks"].to_dict()
    assert labels == {64: "resampled", 72: "learned", 128: "resampled"}
    assert frame["error"].isna().all()
    assert frame["fits"].all()
    same = xs.compare(xs.load_chip("xbm_72"), net, ["xbm", "finetune"])
    here = frame[frame["crossbar.rows"] == 72][same.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(here, same, check_dtype=False)


def test_strict_points_fail_in_their_rows_and_the_others_go_on(net: xs.Network) -> None:
    frame = xs.sweep(xs.load_chip("xbm_72"), net, {"crossbar.rows": [64, 72]}, methods=["xbm", "finetune"])
    by = frame.set_index(["crossbar.rows", "method"])
    assert "mapping.mask_fit" in by.loc[(64, "xbm"), "error"]
    assert pd.isna(by.loc[(64, "xbm"), "switch_energy_pj"])
    assert by["error"].isna().sum() == 3
    assert failures(frame) == [(by.loc[(64, "xbm"), "error"], 1)]


@pytest.mark.parametrize("policy", ["repack", "phased", "resample"])
def test_all_methods_of_a_point_stand_on_the_same_crossbars(net: xs.Network, policy: str) -> None:
    frame = xs.sweep("xbm_72", net, {"crossbar.rows": [64, 128]}, methods=["xbm", "piggyback"], mask_fit=policy)
    for _, rows in frame.groupby("crossbar.rows"):
        assert rows["crossbars"].nunique() == 1
        assert rows["extra_cells"].nunique() == 1


def test_what_each_policy_costs(net: xs.Network) -> None:
    """128 rows: repacking takes columns, phases take reads and time, resampling takes neither."""
    rows = {}
    for policy in ("repack", "phased", "resample"):
        frame = xs.sweep("xbm_72", net, {"crossbar.rows": [128]}, methods=["xbm"], mask_fit=policy)
        rows[policy] = frame.iloc[0]
    assert rows["repack"]["extra_cells"] > 0 == rows["phased"]["extra_cells"] == rows["resample"]["extra_cells"]
    assert rows["phased"]["read_phases"] > 1 == rows["repack"]["read_phases"] == rows["resample"]["read_phases"]
    latency = {policy: row["latency_per_inference_ns"] for policy, row in rows.items()}
    assert latency["phased"] > max(latency["repack"], latency["resample"])


def test_a_chip_that_cannot_be_is_a_row(net: xs.Network) -> None:
    frame = xs.sweep("xbm_72", net, {"adc.bits": [8, 99]}, methods=["xbm"])
    assert frame["error"].isna().tolist() == [True, False]
    assert "99 is above the maximum" in frame["error"][1]
    assert frame["crossbars"].isna().tolist() == [False, True]


def test_a_network_that_does_not_fit_says_so(net: xs.Network) -> None:
    frame = xs.sweep("xbm_72", net, {"chip.tiles": [1, 168]}, methods=["xbm"])
    assert frame["fits"].tolist() == [True, True]  # as many chips as it needs
    start = xs.load_chip("xbm_72", {"chip.count": 1})
    frame = xs.sweep(start, net, {"chip.tiles": [1, 168]}, methods=["xbm"])
    assert frame["fits"].tolist() == [False, True]


def test_a_point_is_plain_data_and_its_row_a_pure_function(net: xs.Network) -> None:
    point = Point(xs.load_chip("xbm_72").origin, (), (("crossbar.cell_bits", 4),), "finetune")
    again = pickle.loads(pickle.dumps(point))  # noqa: S301
    assert again == point
    assert evaluate(again, net) == evaluate(point, net)


def test_ranges_and_values_of_a_grid() -> None:
    grid = parse_grid(["adc.bits=5..8", "crossbar.rows=64,72", "device=taox_hfox,puma_serial", "pipeline.clocked=true"])
    assert grid["adc.bits"] == [5, 6, 7, 8]
    assert grid["device"] == ["taox_hfox", "puma_serial"]
    assert len(points_of(grid)) == 4 * 2 * 2
    assert points_of({"a": [1, 2], "b": [3, 4]}) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["crossbar.row=64"], "crossbar.row: no such key in a chip file; did you mean 'crossbar.rows'"),
        (["crossbar.rows="], "write KEY=VALUE"),
        (["crossbar.rows"], "write KEY=VALUE"),
        (["crossbar.rows=64,,72"], "empty value"),
        (["adc.bits=9..5"], "9..5 is empty"),
        (["adc.bits=1..99999"], "more than 10000 values"),
        (["adc.bits=5", "adc.bits=6"], "twice"),
        (["gate.kind=on"], "could be text or a switch"),
        ([], "the grid is empty"),
    ],
)
def test_a_bad_grid(texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_grid(texts)


def test_a_grid_without_values_or_methods_is_refused(net: xs.Network) -> None:
    with pytest.raises(InputError, match="has no values"):
        xs.sweep("xbm_72", net, {"crossbar.rows": []}, methods=["xbm"])
    with pytest.raises(InputError, match="the grid is empty"):
        xs.sweep("xbm_72", net, {}, methods=["xbm"])
    with pytest.raises(InputError, match="did you mean 'piggyback'"):
        xs.sweep("xbm_72", net, {"crossbar.rows": [72]}, methods=["pigyback"])


def test_keys_of_the_chip_file_are_known() -> None:
    known = list(chip_keys())
    assert {"crossbar.rows", "adc.bits", "crossbar.read.energy_pj", "device.write.pulse_ns", "mapping.mask_fit"} <= set(
        known
    )
    check_grid({"device.write.row_ns": [10], "chip.switch": ["barrier"]})

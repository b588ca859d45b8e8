"""The comparison over devices: rows labelled, ranges that are those of the rows, masks that never depend on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pandas as pd
import pytest

from xbarsim.chip import load_chip
from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.studies.compare import compare, to_json

DEVICES = ["taox_hfox", "neurosim_rram", "puma_serial"]
METHODS = ["xbm", "piggyback", "finetune"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return compare(load_chip("xbm_72"), load_network("digits"), METHODS, devices=DEVICES)


def test_rows_are_labelled_by_device(frame: pd.DataFrame) -> None:
    labels = [(row.device, row.method) for row in frame.itertuples()]
    assert labels == [(device, method) for device in DEVICES for method in METHODS]
    assert {name.split("/")[0] for name in frame.attrs["runs"]} == set(DEVICES)


def test_each_device_alone_says_the_same(frame: pd.DataFrame) -> None:
    for name in DEVICES:
        alone = compare(load_chip("xbm_72", {"device": name}), load_network("digits"), METHODS)
        mine = frame[frame["device"] == name].drop(columns="device").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone, check_like=True)


def test_ranges_are_those_of_the_rows(frame: pd.DataFrame) -> None:
    found = {row["method"]: row for row in to_json(frame)["ranges"]}
    for method in METHODS:
        rows = frame[frame["method"] == method]
        for key in ("switch_energy", "switch_latency"):
            unit = {"switch_energy": "pj", "switch_latency": "ns"}[key]
            values = rows[f"{key}_{unit}"].tolist()
            assert found[method][f"{key}_min_{unit}"] == min(values)
            assert found[method][f"{key}_median_{unit}"] == median(values)
            assert found[method][f"{key}_max_{unit}"] == max(values)


def test_a_switch_of_masks_does_not_depend_on_the_device(frame: pd.DataFrame) -> None:
    """Sign and order hold on every device: masks cost nothing to write, rewriting costs more the more is rewritten."""
    found = {row["method"]: row for row in to_json(frame)["ranges"]}
    assert found["xbm"]["switch_energy_min_pj"] == found["xbm"]["switch_energy_max_pj"]
    assert found["finetune"]["switch_energy_max_pj"] > 1.5 * found["finetune"]["switch_energy_min_pj"]
    for device in DEVICES:
        energy = frame[frame["device"] == device].set_index("method")["switch_energy_pj"]
        assert energy["xbm"] < energy["piggyback"] < energy["finetune"]


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ([], "name at least one"),
        (["taox_hfox", "taox_hfox"], "stands there twice"),
        (["taox_hfx"], "did you mean 'taox_hfox'"),
        (["taox_hfox", ""], "an empty name"),
    ],
)
def test_a_bad_list_of_devices(devices: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare(load_chip("xbm_72"), load_network("digits"), ["xbm"], devices=devices)


def test_the_command_writes_rows_pairs_ranges_and_curves(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "xbarsim", "compare", "xbm_72", "digits", "--methods", "xbm,finetune", "--devices",
         "taox_hfox,puma_serial", "--pairs", "--format", "json", "--out", str(out)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert [(row["device"], row["method"]) for row in result["rows"]] == [
        (device, method) for device in ("taox_hfox", "puma_serial") for method in ("xbm", "finetune")
    ]
    assert [set(pair) for pair in result["pairs"]] == [{"device", "a", "b", "kind", "inferences", "cheaper"}] * 2
    table = pd.read_csv(out / "breakeven.csv")
    assert list(table) == ["device", "method", "inferences_per_switch", "energy_per_inference_pj"]
    for name in ("summary.json", "methods.csv", "pairs.csv", "ranges.csv", "breakeven.png", "breakeven.svg"):
        assert (out / name).stat().st_size > 0
    assert (out / "puma_serial" / "finetune" / "summary.json").is_file()

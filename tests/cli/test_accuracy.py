"""``xbarsim accuracy`` as a user gives it: JSON, table and CSV, a file, bad input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from cli.conftest import Xbarsim

SMALL = ("accuracy", "xbm_72", "digits", "--tasks", "digits", "--methods", "xbm,ksm", "--samples", "8", "-j", "1")
NOISY = (*SMALL, "--seeds", "2", "--set", "device.variation.proportional=0.05")


def test_json(asked: Xbarsim) -> None:
    found = asked(*NOISY, "--format", "json").json
    assert found["schema"] == "xbarsim.accuracy/1"
    assert (found["chip"], found["bundle"], found["seed"], found["seeds"]) == ("xbm_72", "digits", 0, 2)
    assert found["analog_layers"] == ["conv1", "conv2", "conv3", "conv4", "fc"]
    assert [(row["method"], row["stage"]) for row in found["rows"]] == [
        (method, stage) for method in ("xbm", "ksm") for stage in ("float", "quantised", "converters", "cells")
    ]
    for row in found["rows"]:
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1.2
    assert len(found["layers"]) == 2 * 2 * 5
    assert set(found["layers"][0]) >= {"task", "method", "stage", "layer", "snr_db", "exact", "lossless"}
    assert set(found["calibration"][0]) == {"task", "method", "layer", "input_scale", "range_levels"}
    assert "divisible by 5" in found["samples"]["digits"]


def test_table(asked: Xbarsim) -> None:
    said = asked(*NOISY)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "digits on xbm_72: accuracy; interval of the last stage"
    assert [line.split()[:2] for line in lines[-3:-1]] == [["digits", "xbm"], ["digits", "ksm"]]
    assert "2 seeds" in said.out
    assert " dB" in said.out
    assert "all exact" in asked(*SMALL).out


def test_csv(asked: Xbarsim) -> None:
    rows = list(csv.DictReader(io.StringIO(asked(*SMALL, "--format", "csv").out)))
    assert len(rows) == 8
    assert list(rows[0]) == "task method stage accuracy low high interval samples seeds worst best".split()


def test_a_file_holds_the_json_object(xbarsim: Xbarsim, tmp_path: Path) -> None:
    said = xbarsim(*SMALL, "--out", tmp_path / "a.json", "--format", "json")
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == said.json
    assert xbarsim(*SMALL, "--out", tmp_path / "no" / "a.json").code == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--tasks", "rotatd"), "did you mean 'rotated'"),
        (("--methods", "xbmm"), "did you mean 'xbm'"),
        (("--layers", "conv11"), "did you mean 'conv1'"),
        (("--layers", "conv1,,"), "names an empty one"),
        (("--seeds", "0"), "--seeds"),
        (("--samples", "-3"), "--samples"),
        (("--set", "adc.bits=40"), "adc.bits"),
    ],
)
def test_bad_input(asked: Xbarsim, more: tuple[str, ...], message: str) -> None:
    said = asked("accuracy", "xbm_72", "digits", *more)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


def test_a_run_says_whose_activity_it_counts(asked: Xbarsim) -> None:
    asking = ("run", "xbm_72", "digits", "--scenario", "rotated:1", "--format", "json")
    usual, data = asked(*asking).json, asked(*asking, "--activity", "data").json
    assert (usual["activity"], data["activity"]) == ("default", "data")
    assert data["latency_ns"] == usual["latency_ns"]
    assert data["energy_pj"] < usual["energy_pj"]
    assert asked("run", "xbm_72", "vgg8", "--activity", "data").code == 2
    assert "did you mean 'data'" in asked("run", "xbm_72", "digits", "--activity", "dta").err


def test_a_layer_table_is_refused(asked: Xbarsim) -> None:
    said = asked("accuracy", "xbm_72", "vgg8")
    assert said.code == 2
    assert "there is no accuracy to measure" in said.err

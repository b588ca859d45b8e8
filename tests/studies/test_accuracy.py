"""Accuracy step by step: figures, intervals, processes, and requests that cannot be meant."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log10, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network.rich import rich

from xbarsim.analog.executor import IntegerProduct, Windows, run
from xbarsim.analog.onchip import OnChip
from xbarsim.analog.prepare import prepare
from xbarsim.chip import load_chip
from xbarsim.errors import InputError
from xbarsim.network import Network, load_network
from xbarsim.network.bundle_writer import write_bundle
from xbarsim.studies.accuracy import MOST_WEIGHTS, STAGES, accuracy
from xbarsim.studies.intervals import of_mean, wilson
from xbarsim.studies.pool import cores, each

NOISY = ["device.variation.proportional=0.08"]
COARSE = ["adc.bits=5", "adc.range=calibrated", "adc.unit_bits=8"]


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def figures(result: Any) -> dict[str, float]:
    return {row["stage"]: row["accuracy"] for row in result.rows}


def test_an_ideal_chip_is_as_good_as_integers(digits: Network) -> None:
    result = accuracy(load_chip("xbm_72"), digits, tasks=["rotated"], methods=["xbm"])
    task = digits.task("rotated")
    wanted = task.accuracy("xbm")
    found = figures(result)
    assert list(found) == list(STAGES)
    assert found["float"] == pytest.approx(wanted["float"], abs=1.01 / 360)
    assert found["quantised"] == found["converters"] == found["cells"]
    assert abs(found["float"] - found["quantised"]) <= 0.01
    assert all(row["exact"] and row["snr_db"] is None for row in result.layers)
    assert [row["lossless"] for row in result.layers if row["stage"] == "converters"] == [True] * 5
    assert {row["seeds"] for row in result.rows} == {1}
    assert any("its cells are ideal" in line for line in result.assumptions)
    assert any("one run stands for all seeds" in line for line in result.assumptions)


def test_every_stage_can_only_lose_and_says_how_much(digits: Network) -> None:
    chip = load_chip("xbm_72", [*COARSE, *NOISY])
    result = accuracy(chip, digits, tasks=["digits"], methods=["xbm"], seeds=3, samples=60)
    rows = {row["stage"]: row for row in result.rows}
    assert [(row["seeds"], row["interval"]) for row in rows.values()] == [(1, "samples")] * 3 + [(3, "seeds")]
    assert {row["samples"] for row in result.rows} == {60}
    for row in result.rows:
        assert row["low"] <= row["worst"] <= row["accuracy"] <= row["best"] <= max(row["high"], row["best"])
    ratios = {(row["stage"], row["layer"]): row for row in result.layers}
    assert ratios["converters", "conv1"]["exact"]  # nine rows
    for layer in list(digits.layers)[1:]:
        assert ratios["cells", layer]["snr_db"] < ratios["converters", layer]["snr_db"]
        assert ratios["cells", layer]["low_db"] < ratios["cells", layer]["snr_db"] < ratios["cells", layer]["high_db"]
        assert ratios["converters", layer]["low_db"] is None
    calibrated = {row["layer"]: row["range_levels"] for row in result.to_json()["calibration"]}
    assert len(calibrated["conv2"]["slices"]) == 4
    assert all(one["step"] >= 1 for one in calibrated["conv2"]["slices"])


def test_the_mean_over_seeds_is_that_of_single_seeds(digits: Network) -> None:
    chip = load_chip("xbm_72", NOISY)
    asked: dict[str, Any] = {"tasks": ["inverted"], "methods": ["xma"], "samples": 40}
    together = accuracy(chip, digits, seeds=3, seed=5, **asked)
    alone = [accuracy(chip, digits, seeds=1, seed=seed, **asked) for seed in (5, 6, 7)]
    shares = [figures(one)["cells"] for one in alone]
    row = together.rows[-1]
    assert row["accuracy"] == pytest.approx(np.mean(shares), rel=1e-12)
    assert (row["worst"], row["best"]) == (min(shares), max(shares))
    assert (row["low"], row["high"]) == pytest.approx(of_mean(shares))
    single = alone[0].rows[-1]
    assert single["interval"] == "samples"
    assert (single["low"], single["high"]) == wilson(round(shares[0] * 40), 40)


def test_the_signal_to_noise_ratio_is_that_of_whole_outputs(digits: Network) -> None:
    chip = load_chip("xbm_72", NOISY)
    inputs = digits.task("digits").samples().inputs[:5]
    result = accuracy(chip, digits, tasks=["digits"], methods=["ksm"], seeds=1, samples=5)
    model = prepare(chip, digits, "ksm", "digits", inputs).integers
    outputs: list[dict[str, Any]] = [{}, {}]
    for kept, arithmetic in zip(outputs, (IntegerProduct(), OnChip.of(chip, model, 0)), strict=True):

        def keep(windows: Windows, found: Any, kept: dict[str, Any] = kept) -> None:
            kept[windows.held.layer.name] = found

        run(model, inputs, arithmetic, observe=keep)
    for row in result.layers:
        if row["stage"] == "cells":
            exact, found = (kept[row["layer"]] for kept in outputs)
            wanted = 10 * log10(np.sum(exact**2) / np.sum((found - exact) ** 2))
            assert row["snr_db"] == pytest.approx(wanted, rel=1e-9)


def test_the_number_of_processes_changes_nothing(digits: Network) -> None:
    chip = load_chip("xbm_72", NOISY)
    asked: dict[str, Any] = {"tasks": ["digits", "rotated"], "methods": ["xbm"], "seeds": 3, "samples": 12}
    one, two = (accuracy(chip, digits, jobs=jobs, **asked).to_json() for jobs in (1, 2))
    assert json.dumps(one) == json.dumps(two)


def test_seeds_one_by_one_give_the_same(digits: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large networks hold the crossbars of one seed at a time."""
    chip, asked = load_chip("xbm_72", NOISY), {"tasks": ["digits"], "methods": ["xbm"], "seeds": 3, "samples": 9}
    together = accuracy(chip, digits, **asked).to_json()
    monkeypatch.setattr("xbarsim.studies.accuracy.MOST_WEIGHTS", 1)
    assert accuracy(chip, digits, **asked).to_json() == together
    assert MOST_WEIGHTS > 1


def test_layers_can_be_chosen(digits: Network) -> None:
    chip = load_chip("xbm_72", NOISY)
    result = accuracy(chip, digits, tasks=["digits"], methods=["xbm"], seeds=1, samples=9, layers=["conv4"])
    ratios = {row["layer"]: row["snr_db"] for row in result.layers if row["stage"] == "cells"}
    assert [ratios[name] for name in ("conv1", "conv2", "conv3")] == [None] * 3
    assert ratios["conv4"] < 40
    assert result.to_json()["analog_layers"] == ["conv4"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"tasks": ["rotatd"]}, "no task 'rotatd'; known: digits, rotated, inverted.*; did you mean 'rotated'"),
        ({"methods": ["xmb"]}, "no adaption 'xmb'.*did you mean"),
        ({"methods": ["lorafusion"]}, "has no tensors 'lorafusion/…' of method 'lorafusion'"),
        ({"layers": ["conv9", "fc"]}, "no crossbar layer 'conv9'; known: conv1.*; did you mean 'conv"),
        ({"seeds": 0}, "seeds: 0 is below 1"),
        ({"samples": 0}, "samples: 0 is below 1"),
        ({"seed": -1}, "seed: -1 is not between 0 and"),
        ({"tasks": []}, "has no tasks"),
    ],
)
def test_requests_that_cannot_be_meant(digits: Network, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        accuracy(load_chip("xbm_72"), digits, **request_)


def test_all_faults_of_a_request_are_told_at_once(digits: Network) -> None:
    with pytest.raises(InputError) as caught:
        accuracy(load_chip("xbm_72"), digits, tasks=["rotatd", "digits"], methods=["xmb", "lorafusion"])
    assert len(caught.value.faults) == 3


def test_a_layer_table_has_nothing_to_measure() -> None:
    with pytest.raises(InputError, match="is a layer table: it has neither trained weights nor samples"):
        accuracy(load_chip("xbm_72"), load_network("resnet20"))


def test_a_chip_without_gates_leaves_out_what_it_cannot_do(digits: Network) -> None:
    chip = load_chip("isaac", ["crossbar.rows=72", "precision.weight_bits=8", "precision.input_bits=8"])
    result = accuracy(chip, digits, tasks=["digits"], samples=5, seeds=1)
    found = {row["method"] for row in result.rows}
    assert {"piggyback", "finetune"} <= found
    assert not {"xbm", "xma", "xst"} & found
    with pytest.raises(InputError, match="no column gates"):
        accuracy(chip, digits, tasks=["digits"], methods=["xbm"])


def test_a_bundle_without_samples_says_so(digits: Network) -> None:
    files = {name: replace(one, samples=None) for name, one in digits.store.tasks.items()}
    bare = replace(digits, store=replace(digits.store, tasks=files))
    with pytest.raises(InputError, match="task 'digits' has no samples in the bundle"):
        accuracy(load_chip("xbm_72"), bare)


@pytest.mark.parametrize(("right", "seen"), [(0, 10), (10, 10), (3, 7), (354, 360)])
def test_wilson_s_interval_solves_its_equation(right: int, seen: int) -> None:
    """Its ends are the shares from which the observed one is 1.96 standard deviations away."""
    for end in wilson(right, seen):
        if 0 < end < 1:
            assert abs(right / seen - end) == pytest.approx(1.959964 * sqrt(end * (1 - end) / seen), rel=1e-6)
    low, high = wilson(right, seen)
    assert 0 <= low <= right / seen <= high <= 1


def test_an_interval_over_seeds_is_student_s() -> None:
    low, high = of_mean([0.9, 0.92, 0.94])
    assert (low + high) / 2 == pytest.approx(0.92)
    assert (high - low) / 2 == pytest.approx(4.30265 * 0.02 / sqrt(3), rel=1e-5)  # t of 97.5 %, two degrees of freedom
    assert of_mean([0.5, 0.5]) == (0.5, 0.5)


def _plus(shared: int, piece: int) -> int:
    if piece == 13:
        raise InputError("13 is unlucky")
    return shared + piece


def test_work_comes_back_in_order_and_faults_come_through() -> None:
    seen: list[int] = []
    assert each(_plus, 100, [3, 1, 2], 1, seen.append) == [103, 101, 102]
    assert seen == [3, 1, 2]
    assert each(_plus, 100, [3, 1, 2], 2) == [103, 101, 102]
    with pytest.raises(InputError, match="unlucky"):
        each(_plus, 0, [1, 13, 2], 2)
    assert cores() >= 1


def test_a_layer_that_only_some_methods_have(tmp_path: Path) -> None:
    """The layers of a branch run on the chip where there is one."""
    network = write_bundle(tmp_path / "rich.xmn", rich())
    chip = load_chip("xbm_72", ["crossbar.rows=9", *NOISY])
    result = accuracy(chip, network, tasks=["red"], methods=["xbm", "lora"], seeds=1, layers=["conv1.lora_b", "fc"])
    noisy = {(row["method"], row["layer"]) for row in result.layers if row["stage"] == "cells" and not row["exact"]}
    assert noisy >= {("lora", "conv1.lora_b"), ("lora", "fc"), ("xbm", "fc")}
    assert ("lora", "conv1") not in noisy

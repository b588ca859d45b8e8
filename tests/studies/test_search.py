"""Search: spaces read strictly, fronts as the naive definition has them, trials through the store, the same again."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Write
from hypothesis import given
from hypothesis import strategies as st

import xbarsim as xs
from xbarsim.errors import InputError, XbarsimError
from xbarsim.studies import points as points_module
from xbarsim.studies.objectives import MEASURES, constraints_of, objectives_of
from xbarsim.studies.search import BATCH, _front, load_search
from xbarsim.studies.space import Choices, Range, Steps

pytest.importorskip("optuna")

SMALL = {"crossbar.cell_bits": Choices((1, 2, 4)), "adc.bits": Steps(7, 1, 2)}
"""Six chips."""


@pytest.fixture(scope="module")
def net() -> xs.Network:
    return xs.load_bundle("digits")


def found(net: xs.Network, trials: int = 24, **more: Any) -> Any:
    asked: dict[str, Any] = {"minimize": ["energy", "latency"], "methods": ["xbm"], **more}
    return xs.search("xbm_72", net, asked.pop("space", SMALL), trials=trials, **asked)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    measured = points_module.measured

    def count(chip: xs.Chip, network: xs.Network, method: str, *rest: Any) -> Any:
        done.append(method)
        return measured(chip, network, method, *rest)

    monkeypatch.setattr(points_module, "measured", count)
    return done


# ---- what comes out --------------------------------------------------------------------------------


def test_the_front_is_that_of_every_chip_of_the_space(net: xs.Network, counted: list[str]) -> None:
    """24 trials meet all six chips; the front is that of the whole space, each chip simulated once."""
    result = found(net)
    trials, keys = result.trials, list(SMALL)
    assert len(trials) == 24
    assert len(counted) == len(trials[keys].drop_duplicates()) == 6
    sweep = xs.sweep("xbm_72", net, {"crossbar.cell_bits": [1, 2, 4], "adc.bits": [7, 8]}, methods=["xbm"])
    values = sweep[["energy_per_inference_pj", "latency_per_inference_ns"]].to_numpy()
    best = [not any((other <= mine).all() and (other < mine).any() for other in values) for mine in values]
    assert 0 < sum(best) < 6
    assert {tuple(row) for row in result.front[keys].to_numpy()} == {tuple(row) for row in sweep[best][keys].to_numpy()}
    assert len(result.front) == sum(best)
    assert result.result["schema"] == "xbarsim.search/1"
    assert len(result.result["trials"]) == 24


@given(st.lists(st.none() | st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=3, max_size=3), max_size=12))
def test_a_front_is_what_its_definition_says(values: list[list[float] | None]) -> None:
    def dominated(mine: list[float]) -> bool:
        others = (other for other in values if other is not None)
        return any(all(np.less_equal(other, mine)) and any(np.less(other, mine)) for other in others)

    assert _front(values) == [value is not None and not dominated(value) for value in values]


def test_one_objective_gives_one_best_chip(net: xs.Network) -> None:
    result = found(net, trials=16, minimize=["switch_energy"])
    assert result.front["switch_energy_pj"].nunique() == 1
    assert result.front["switch_energy_pj"].iloc[0] == result.trials["switch_energy_pj"].min()


def test_constraints_bound_the_front(net: xs.Network) -> None:
    free = found(net)
    bound = float(free.trials["energy_per_inference_pj"].median())
    result = found(net, constraints=[f"energy>={bound}", "crossbars>=8"])
    kept = result.trials["energy_per_inference_pj"] >= bound
    assert kept.any()
    assert not kept.all()
    assert (result.trials["feasible"] == kept).all()
    assert (result.front["energy_per_inference_pj"] >= bound).all()
    assert len(result.front) > 0


def test_accuracy_is_measured_where_it_is_asked_for_and_kept(
    net: xs.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 bits are too few for 4-bit cells of 72 rows; with a bound on accuracy the best chip is another one."""
    asked: dict[str, Any] = {
        "space": {"crossbar.cell_bits": Choices((2, 4)), "adc.bits": Choices((7,))}, "minimize": ["energy"],
        "trials": 8, "samples": 12, "out": tmp_path / "a",
    }  # fmt: skip
    result = found(net, **asked, constraints=["accuracy>=0.8"])
    by_cell = result.trials.groupby("crossbar.cell_bits")["accuracy"].first()
    assert by_cell[4] < 0.5 < 0.8 < by_cell[2]
    assert result.front["crossbar.cell_bits"].tolist() == [2]
    direct = xs.accuracy(xs.load_chip("xbm_72", {"adc.bits": 7}), net, methods=["xbm"], seeds=1, samples=12).frame
    assert by_cell[2] == pytest.approx(direct[direct["stage"] == "cells"]["accuracy"].mean())
    assert any("accuracy: mean over tasks" in line for line in result.result["assumptions"])
    assert found(net, **{**asked, "out": None}).front["crossbar.cell_bits"].tolist() == [4]
    monkeypatch.setattr("xbarsim.studies.objectives.accuracy", None)  # all accuracies are there
    again = found(net, **asked, constraints=["accuracy>=0.8"])
    pd.testing.assert_frame_equal(again.trials, result.trials)


def test_methods_are_searched_over_too(net: xs.Network) -> None:
    result = found(net, methods=["xbm", "finetune"], minimize=["switch_energy"], trials=16)
    assert set(result.trials["method"]) == {"xbm", "finetune"}
    assert set(result.front["method"]) == {"xbm"}


def test_area_is_that_of_the_chips_in_use(net: xs.Network) -> None:
    result = found(net, trials=4, minimize=["area"], space={"chip.tiles": Choices((2, 4))})
    for row in result.trials.to_dict("records"):
        from xbarsim.chip.budget import budget_of

        chip = xs.load_chip("xbm_72", {"chip.tiles": row["chip.tiles"]})
        assert row["area_mm2"] == pytest.approx(budget_of(chip).area_um2() / 1e6 * xs.place(chip, net).chips)
    assert "area of requantise is not published: it counts zero" in result.result["assumptions"]


def test_chips_that_cannot_be_are_trials_with_their_message(net: xs.Network) -> None:
    result = found(net, trials=8, space={"crossbar.rows": Choices((64, 72)), "adc.bits": Choices((8, 99))})
    failed = result.trials[result.trials["error"].notna()]
    assert 0 < len(failed) < 8
    assert failed["error"].str.contains("mapping.mask_fit|above the maximum").all()
    assert not failed["front"].any()
    assert result.result["failed"] == len(failed)


# ---- the same again --------------------------------------------------------------------------------


def test_a_search_goes_on_where_it_was_ended(net: xs.Network, tmp_path: Path, counted: list[str]) -> None:
    """With some points and all tables gone; with more trials; and in two processes."""
    whole = tmp_path / "whole"
    found(net, trials=20, out=whole)
    reference = written(whole)
    assert len(counted) == sum(name.startswith("points/") for name in reference)
    assert set(reference) >= {"trials.csv", "front.csv", "search.json", "manifest.json"}
    lost = sorted((whole / "points").iterdir())[::2]
    for path in [*lost, whole / "trials.csv", whole / "front.csv", whole / "search.json"]:
        path.unlink()
    del counted[:]
    found(net, trials=20, out=whole)
    assert len(counted) == len(lost)
    assert written(whole) == reference
    found(net, trials=11, out=tmp_path / "grown")
    found(net, trials=20, out=tmp_path / "grown", jobs=2)
    assert written(tmp_path / "grown") == reference


def test_trials_do_not_depend_on_how_many_follow(net: xs.Network) -> None:
    long = found(net, trials=BATCH + 5).trials
    short = found(net, trials=BATCH + 2).trials
    shared = [column for column in long if column != "front"]
    pd.testing.assert_frame_equal(long[: BATCH + 2][shared], short[shared])


def test_another_seed_searches_elsewhere(net: xs.Network) -> None:
    space = {"crossbar.cycle_ns": Range(50, 200)}
    runs = [found(net, trials=4, seed=seed, space=space).trials["crossbar.cycle_ns"].tolist() for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_a_finished_search_is_read_again(net: xs.Network, tmp_path: Path) -> None:
    result = found(net, trials=8, out=tmp_path / "a")
    read = load_search(tmp_path / "a")
    pd.testing.assert_frame_equal(read.trials, result.trials)
    pd.testing.assert_frame_equal(read.front, result.front)
    front = pd.read_csv(tmp_path / "a/front.csv")
    assert front["trial"].tolist() == result.front["trial"].tolist()
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert (manifest["kind"], manifest["minimize"], manifest["trials"]) == ("search", ["energy", "latency"], 8)
    with pytest.raises(InputError, match="holds a search, no sweep"):
        xs.load_sweep(tmp_path / "a")


def test_another_search_in_the_folder_is_refused(net: xs.Network, tmp_path: Path) -> None:
    found(net, trials=2, out=tmp_path / "a")
    for more, said in (
        ({"minimize": ["energy"]}, "differs in minimize, sampler"),
        ({"seed": 1}, "differs in .*seed"),
        ({"constraints": ["energy<=1"]}, "differs in constraints"),
        ({"space": {"adc.bits": Choices((7, 8))}}, "differs in space"),
    ):
        with pytest.raises(InputError, match=said):
            found(net, trials=2, out=tmp_path / "a", **more)
    shutil.rmtree(tmp_path / "a")
    xs.sweep("xbm_72", net, {"adc.bits": [8]}, methods=["xbm"], out=tmp_path / "a")
    with pytest.raises(InputError, match="differs in kind of study"):
        found(net, trials=2, out=tmp_path / "a")


# ---- what cannot be meant --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"minimize": ["enegy"]}, "no measure 'enegy'.*did you mean 'energy'"),
        ({"constraints": ["enegy<=1"]}, "constraint 'enegy<=1': no measure 'enegy'.*did you mean 'energy'"),
        ({"constraints": ["accuracy>=95"]}, "an accuracy is from 0 to 1"),
        ({"minimize": ["energy", "energy"]}, "energy is there twice"),
        ({"minimize": []}, "name at least one"),
        ({"minimize": ["accuracy"]}, "accuracy is to be maximized"),
        ({"constraints": ["energy=1"]}, "write NAME<=VALUE"),
        ({"constraints": ["acuracy>=0.9"]}, "did you mean 'accuracy'"),
        ({"methods": ["xmb"]}, "did you mean"),
        ({"trials": 0}, "make at least one"),
    ],
)
def test_what_cannot_be_meant(net: xs.Network, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        found(net, **{"trials": 1, **asked})


def test_an_area_that_is_not_published_is_named(net: xs.Network) -> None:
    with pytest.raises(InputError, match=r"crossbar\.area_um2.*states no area of crossbar"):
        xs.search("pipelayer", net, SMALL, trials=1, minimize=["area"], methods=["finetune"])


def test_an_accuracy_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match="no accuracy to measure"):
        xs.search("isaac", xs.load_bundle("lenet5"), SMALL, trials=1, maximize=["accuracy"], methods=["finetune"])


def test_optuna_that_is_not_installed_is_named(net: xs.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(XbarsimError, match=r"pip install 'xbarsim\[search\]'"):
        found(net, trials=1)


def test_names_of_measures() -> None:
    one, two = objectives_of(["energy"], ["accuracy"])
    assert (one.column, one.maximize, two.column, two.maximize) == ("energy_per_inference_pj", False, "accuracy", True)
    (bound,) = constraints_of(["area <= 1e2"])
    assert (bound.column, bound.least, bound.bound, str(bound)) == ("area_mm2", False, 100.0, "area<=100")
    assert bound.excess({"area_mm2": 90}) == -10
    assert len(set(MEASURES.values())) == len(MEASURES)


def test_a_space_from_a_file(net: xs.Network, write: Write) -> None:
    path = write("space.yaml", "space:\n  crossbar.cell_bits: [1, 2]\n  adc.bits: {from: 7, to: 8}\n")
    result = xs.search("xbm_72", net, path, trials=8, minimize=["energy"])
    assert set(map(tuple, result.trials[["crossbar.cell_bits", "adc.bits"]].to_numpy())) <= set(product((1, 2), (7, 8)))

"""``xbarsim serve``: what it prints, what it writes, what it refuses; every key is on the page."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from cli.conftest import Xbarsim, files, refused

FORMATS = (Path(__file__).parents[2] / "docs/formats.md").read_text("utf-8")
SERVE = ("serve", "xbm_72", "digits", "--arrivals")
SHORT = (*SERVE, "poisson:2000/s", "--mix", "rotated:0.7,inverted:0.3", "--duration", "500ms")


def test_the_json(asked: Xbarsim) -> None:
    result = asked(*SHORT, "--format", "json").json
    assert result["schema"] == "xbarsim.serve/1"
    assert (result["chip"], result["bundle"], result["method"]) == ("xbm_72", "digits", "xbm")
    assert (result["arrivals"], result["policy"], result["pipeline"]) == ("poisson:2000/s", "fifo", True)
    assert result["mix"] == [{"task": "rotated", "share": 0.7}, {"task": "inverted", "share": 0.3}]
    assert (result["duration_ns"], result["warmup_ns"]) == (500_000_000, 50_000_000)
    assert [row["task"] for row in result["tasks"]] == ["all", "rotated", "inverted"]
    every, *each = result["tasks"]
    assert every["requests"] == sum(row["requests"] for row in each)
    assert every["latency_mean_ns"] * every["requests"] == pytest.approx(
        sum(row["latency_mean_ns"] * row["requests"] for row in each)
    )
    assert every["wait_mean_ns"] < every["latency_mean_ns"] < every["latency_p99_ns"] <= every["latency_max_ns"]
    assert every["latency_low_ns"] < every["latency_mean_ns"] < every["latency_high_ns"]
    assert result["utilisation"] == pytest.approx(result["inference_share"] + result["switching_share"])
    assert result["utilisation"] + result["idle_share"] == pytest.approx(1)
    assert result["switches_per_s"] * 0.45 == pytest.approx(sum(row["times"] for row in result["switches"]))
    energy = result["energy"]
    assert energy["per_request_pj"] == pytest.approx(
        energy["inference_pj"] + energy["switch_pj"] + energy["standing_pj"]
    )
    assert len(result["queue"]) == 20
    assert result["waiting_mean"] == pytest.approx(sum(row["waiting_mean"] for row in result["queue"]) / 20)
    assert len(result["switches"]) == 2
    assert result["lifetime_years"] is None
    assert abs(result["check"]["difference_ns"]) <= 1e-3 * result["check"]["engine_ns"]
    assert result["assumptions"]


def test_every_key_is_explained(asked: Xbarsim) -> None:
    def keys(value: object) -> set[str]:
        if isinstance(value, list):
            return set[str]().union(*map(keys, value))
        if isinstance(value, dict):
            return {*value, *set[str]().union(*(keys(item) for key, item in value.items() if key != "endurance"))}
        return set()

    section = FORMATS[FORMATS.index("## Graphs and times") :]
    said = set(re.findall(r"`(\w+)`", section))
    assert sorted(keys(asked(*SHORT, "--format", "json").json) - said) == []
    assert "xbarsim.serve/1" in section


def test_the_table_names_what_is_asked_first(asked: Xbarsim) -> None:
    answer = asked(*SHORT)
    assert answer.code == 0
    assert "digits on xbm_72, xbm, fifo: poisson:2000/s" in answer.out
    for word in ("latency, from arrival to answer", "p999", "switches", "energy of a request", "lifetime"):
        assert word in answer.out
    assert "assumptions" in answer.err


def test_the_csv_holds_the_tasks(asked: Xbarsim) -> None:
    rows = list(csv.DictReader(io.StringIO(asked(*SHORT, "--format", "csv").out)))
    assert [row["task"] for row in rows] == ["all", "rotated", "inverted"]
    assert float(rows[0]["latency_mean_ns"]) == asked(*SHORT, "--format", "json").json["tasks"][0]["latency_mean_ns"]


def test_the_same_seed_gives_the_same_result_on_either_engine(asked: Xbarsim) -> None:
    base = asked(*SHORT, "--format", "json").json
    other = asked(*SHORT, "--format", "json", "--engine", "reference").json
    assert other.pop("engine") != base.pop("engine")
    assert other == base
    assert asked(*SHORT, "--format", "json", "--seed", "1").json["tasks"] != base["tasks"]


def test_overload_is_said(asked: Xbarsim) -> None:
    answer = asked(*SHORT, "--method", "finetune", "--format", "json")
    assert answer.json["overloaded"] is True
    assert answer.json["tasks"][0]["served_per_s"] < 0.5 * answer.json["tasks"][0]["offered_per_s"]
    assert "overloaded: the queue grew all along" in answer.err
    assert answer.json["lifetime_years"] > 0


def test_deadlines(asked: Xbarsim) -> None:
    args = (*SHORT, "--policy", "deadline:rotated=16200ns,others=1ms", "--format", "json")
    every, rotated, inverted = asked(*args).json["tasks"]
    assert 0 < rotated["late_share"] < 1
    assert inverted["late_share"] == 0
    assert every["late_share"] == pytest.approx(rotated["late_share"] * rotated["requests"] / every["requests"])
    assert "late share" in re.sub(r"\s+", " ", asked(*args[:-2]).out) or "late" in asked(*args[:-2]).out


def test_a_trace_of_arrivals(xbarsim: Xbarsim, folder: Path) -> None:
    Path("day.csv").write_text("time_ns,task\n0,rotated\n0,rotated\n100000,inverted\n900000,rotated\n")
    result = xbarsim(*SERVE, "trace:day.csv", "--warmup", "0", "--format", "json").json
    service = {row["task"]: row for row in result["service"]}
    rotated, inverted = service["rotated"], service["inverted"]
    assert result["mix"] == [{"task": "rotated", "share": 0.75}, {"task": "inverted", "share": 0.25}]
    assert result["duration_ns"] == 900_000.001
    switch = next(row["latency_ns"] for row in result["switches"] if row["from"] == "inverted")
    waits = [row["wait_mean_ns"] for row in result["tasks"]]
    assert waits[1] == pytest.approx((rotated["interval_ns"] + switch) / 3)
    assert inverted["latency_ns"] + switch == pytest.approx(result["tasks"][2]["latency_max_ns"])


def test_a_folder_of_results(xbarsim: Xbarsim, folder: Path) -> None:
    answer = xbarsim(*SHORT, "--out", "day", "--format", "json")
    assert answer.code == 0
    found = files(folder / "day")
    tables = {"tasks.csv", "queue.csv", "service.csv", "switches.csv"}
    assert found >= {"summary.json", "requests.csv.gz", "service/provenance.json", *tables}
    assert json.loads((folder / "day/summary.json").read_text()) == answer.json
    requests = pd.read_csv(folder / "day/requests.csv.gz")
    counted = requests[(requests["arrival_ps"] >= 5e10) & (requests["arrival_ps"] < 5e11)]
    assert len(counted) == answer.json["tasks"][0]["requests"]
    latency = (counted["answer_ps"] - counted["arrival_ps"]).mean() / 1000
    assert latency == pytest.approx(answer.json["tasks"][0]["latency_mean_ns"])
    refused(xbarsim(*SHORT, "--out", "day"), r"--out day: exists already")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("poisson:2000/s",), r"--duration: say for how long requests arrive, as in 10s"),
        (("poisson:2000/s", "--duration", "10"), r"--duration: '10' has no unit"),
        (("poisson:2000/s", "--duration", "1s", "--warmup", "2s"), r"--warmup: 2s leaves nothing"),
        (("poisson:1/s", "--duration", "1us"), r"--duration: no request arrives"),
        (("poisson:2000/s", "--duration", "1s", "--mix", "rotated:0.5"), r"--mix: the shares add up to 0.5"),
        (("poisson:2000/s", "--duration", "1s", "--policy", "lifo"), r"no policy 'lifo'; known: batch-by-task"),
        (("poisson:2000/s", "--duration", "1s", "--method", "xbn"), r"no adaption 'xbn'.*did you mean"),
        (("trace:none.csv",), r"none.csv: no such file"),
        (("trace:none.csv", "--mix", "rotated:1"), r"--mix: a trace names the task"),
        (("poisson:1/s", "--duration", "1s", "--set", "chip.switch=rolling"), r"chip.switch: serving needs"),
    ],
)  # fmt: skip
def test_bad_input(xbarsim: Xbarsim, folder: Path, args: tuple[str, ...], message: str) -> None:
    refused(xbarsim(*SERVE, *args), message)
    refused(xbarsim(*SERVE, *args, "--out", "day"), message)
    assert not Path("day").exists()

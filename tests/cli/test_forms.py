"""Every command in every form: JSON one object, CSV one table, tables for people; notes never among them."""

from __future__ import annotations

import csv
import io

import pytest
from cli.conftest import Xbarsim

COMMANDS = {
    "run": ("run", "xbm_72", "digits", "--scenario", "rotated:2"),
    "run without a switch": ("run", "isaac", "one_window"),
    "compare": ("compare", "xbm_72", "digits", "--methods", "xbm,finetune", "--scenario", "rotated:2"),
    "show a network": ("show", "xbm_72", "digits"),
    "show a chip": ("show", "isaac"),
    "show facts": ("show", "isaac", "--facts"),
    "plan": ("plan", "xbm_72", "digits", "--scenario", "rotated:2"),
    "validate": ("validate", "isaac"),
    "check": ("check", "digits", "xbm_72", "taox_hfox", "resnet20"),
    "list": ("list",),
    "list one kind": ("list", "methods"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_object_with_a_schema(asked: Xbarsim, name: str) -> None:
    answer = asked(*COMMANDS[name], "--format", "json")
    assert answer.code == 0
    assert answer.json["schema"].startswith("xbarsim.")
    assert "NaN" not in answer.out
    assert "Infinity" not in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_csv_is_one_table(asked: Xbarsim, name: str) -> None:
    answer = asked(*COMMANDS[name], "--format", "csv")
    assert answer.code == 0
    head, *rows = csv.reader(io.StringIO(answer.out))
    assert rows
    assert all(head)
    assert len(set(head)) == len(head)
    assert {len(row) for row in rows} == {len(head)}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [80, 120])
def test_a_table_fits_the_terminal_and_cuts_nothing_off(
    asked: Xbarsim, monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    answer = asked(*COMMANDS[name], "--format", "table")
    assert answer.code == 0
    drawn = [line for line in answer.out.splitlines() if "─" in line]
    assert max((len(line) for line in drawn), default=0) <= width
    assert not any(line.endswith(" ") for line in answer.out.splitlines())
    if name != "show facts":
        assert "…" not in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_form_does_not_change_what_is_said_beside_it(asked: Xbarsim, name: str) -> None:
    """Standard output is the result only: assumptions are counted on standard error, in no other form."""
    table, data = asked(*COMMANDS[name], "--format", "table"), asked(*COMMANDS[name], "--format", "json")
    assert "assumptions" not in table.out
    assert data.err == "" or name in ("compare",)


def test_table_is_what_one_gets_without_asking(asked: Xbarsim) -> None:
    assert asked("list") == asked("list", "--format", "table")
    assert asked("plan", "xbm_72", "digits").json["schema"] == "xbarsim.graph/1"


def test_a_table_of_a_run_names_units_and_assumptions(asked: Xbarsim) -> None:
    answer = asked("run", "isaac", "one_window", "--scenario", "backbone:20")
    assert "2.200 us" in answer.out
    assert "1.600 us" in answer.out
    assert "synthetic" in answer.err
    assert "assumptions; --format json lists them" in answer.err


def test_a_table_of_a_comparison_has_a_column_per_method(asked: Xbarsim) -> None:
    answer = asked("compare", "xbm_72", "digits", "--methods", "xbm,finetune")
    lines = answer.out.splitlines()
    assert lines[1].split() == ["method", "xbm", "finetune"]
    written = next(line for line in lines if line.startswith("cells written"))
    assert written.split()[2] == "0"
    assert max(map(len, lines)) <= 120


def test_a_table_of_a_network_that_is_too_large_says_need_and_have(asked: Xbarsim) -> None:
    answer = asked("show", "xbm_72", "resnet50", "--set", "chip.count=1")
    assert answer.code == 0
    assert "does not fit" in answer.out
    assert "16,128" in answer.out


def test_compare_takes_the_methods_that_the_chip_is_built_for(asked: Xbarsim) -> None:
    answer = asked("compare", "isaac", "digits", "--format", "json")
    methods = [row["method"] for row in answer.json["rows"]]
    assert "xbm" not in methods
    assert {"piggyback", "finetune"} <= set(methods)
    assert "xbm" in answer.err
    assert "no column gates" in answer.err


def test_time_sums_up_each_actor(asked: Xbarsim, xbarsim: Xbarsim, tmp_path: object) -> None:
    path = f"{tmp_path}/plan.json"
    assert xbarsim("plan", "isaac", "one_window", "--method", "finetune", "--out", path).out == ""
    rows = list(csv.DictReader(io.StringIO(xbarsim("time", path, "--format", "csv").out)))
    assert [row["actor"] for row in rows][:2] == ["fc.fetch", "fc.read"]
    assert max(int(row["last_commit_ps"]) for row in rows) == 2_200_000
    assert "2.200 us" in xbarsim("time", path, "--format", "table").out


def test_time_reads_standard_input(asked: Xbarsim, xbarsim: Xbarsim, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = asked("plan", "isaac", "one_window", "--method", "finetune").out
    monkeypatch.setattr("sys.stdin", io.StringIO(plan))
    assert xbarsim("time", "-").json["stuck"] == []


def test_a_graph_that_gets_stuck_is_an_answer(xbarsim: Xbarsim, write: object) -> None:
    graph = (
        '{"schema":"xbarsim.graph/1","units":[{"name":"u","servers":1}],'
        '"actors":[{"name":"a","unit":"u","segments":[{"periods":1,"service_ps":[5],"latency_ps":[0]}]}],'
        '"channels":[{"from":"a","to":"a","capacity":1,"segments":[{"periods":1,"need":[1],"release":[1],"step":1}]}]}'
    )
    write("plan.json", graph)  # type: ignore[operator]
    answer = xbarsim("time", "plan.json")
    assert answer.code == 0
    assert answer.json["stuck"] == ["a"]
    assert "a firing 0 waits for 1 more token of a" in answer.err

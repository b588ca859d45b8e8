"""Scenarios as text: what they say, and every fault in one report."""

from __future__ import annotations

import pytest
from mapping.nets import network as build
from mapping.nets import op, tiny

from xbarsim.dataflow import parse_scenario
from xbarsim.dataflow.scenario import Entry
from xbarsim.errors import InputError


def test_tasks_in_order_with_their_inferences() -> None:
    assert [(e.task, e.inferences) for e in entries("task1:10, task2:5 ,task1")] == [
        ("task1", 10), ("task2", 5), ("task1", 1),
    ]  # fmt: skip


def entries(text: str | None) -> list[Entry]:
    items = parse_scenario(text, tiny())
    assert all(isinstance(item, Entry) for item in items)
    return [item for item in items if isinstance(item, Entry)]


def test_without_a_scenario_every_task_runs_once() -> None:
    assert [(e.task, e.inferences) for e in entries(None)] == [("task1", 1), ("task2", 1)]
    alone = build((1, 1, 1), op("conv", "c", "input", out=1, kernel=1))
    assert [(e.task, e.inferences) for e in parse_scenario(None, alone)] == [("backbone", 1)]  # type: ignore[union-attr]


def test_the_backbone_is_a_task_like_any_other() -> None:
    assert [e.task for e in entries("backbone:2,task1,backbone")] == ["backbone", "task1", "backbone"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("task1:0", "'?0'?"),
        ("task1:-3", "-3"),
        ("task1:x", "'x' is not a whole number"),
        ("task1:1.5", "1.5"),
        ("task1:1e4", "1e4"),
        ("task1:", "number|inferences"),
        ("task1:2:3", "entry|unexpected|task:inferences"),
        (",task1", "task"),
        ("task1,,task2", "task"),
        ("task1,", "task"),
        (":5", "task"),
        ("task1 task2", "task"),
        ("tsk1:3", "no task 'tsk1'; known: task1, task2, backbone; did you mean 'task1'"),
        ("task1:9999999999999", "10.12"),
        ("task1:٣", "whole number"),
    ],
)
def test_a_fault_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        parse_scenario(text, tiny())
    assert error.value.exit_code == 2
    assert len(error.value.faults) >= 1


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(InputError) as error:
        parse_scenario("tsk1:3,task2:3,taks2:4", tiny())
    assert len(error.value.faults) == 2

"""Numbers for people: a unit beside each, four digits, nothing rounded to zero."""

from __future__ import annotations

import pytest

from xbarsim.cli import tables


@pytest.mark.parametrize(
    ("value", "key", "shown"),
    [
        (2200, "latency_ns", "2.200 us"),
        (226.4, "latency_ns", "226.4 ns"),
        (999.96, "latency_ns", "1.000 us"),
        (7309083, "latency_ns", "7.309 ms"),
        (1, "start_ps", "1.000 ps"),
        (12e12, "latency_ns", "12,000 s"),
        (0, "latency_ns", "0"),
        (0.0013, "energy_pj", "1.300 fJ"),
        (1e-6, "energy_pj", "1.000 aJ"),
        (1e-12, "energy_pj", "0.000001000 aJ"),
        (30655049, "switch_energy_pj", "30.66 uJ"),
        (-5590, "energy_pj", "-5.590 nJ"),
        (0.001, "difference", "0.1 %"),
        (1e-6, "difference", "0.0001 %"),
        (-0.25, "difference", "-25 %"),
        (0, "tolerance", "0 %"),
        (0.862, "utilisation", "86.2 %"),
        (0.001, "value", "0.001"),
        (1e-6, "value", "1e-06"),
        (0.0018310546875, "value", "0.001831"),
        (60628033, "pulses", "60,628,033"),
        (64.14, "pulses_mean", "64.14"),
        (123456.7, "pulses_mean", "123,457"),
        (2.0, "writes_mean", "2"),
        (24.08, "power_mw", "24.08 mW"),
        (65808.08, "power_mw", "65.81 W"),
        (0.297, "unit_columns_w", "297.0 mW"),
        (627.4, "gops_per_w", "627.4"),
        (13120, "area_um2", "13,120 um2"),
        (372290.0, "area_um2", "0.3723 mm2"),
        (85.42, "area_mm2", "85.42 mm2"),
        (0.0, "area_um2", "0"),
        (0.08732, "tile_power_share", "8.732 %"),
        (None, "interval_ns", "-"),
        (True, "holds", "yes"),
        (False, "fits", "no"),
        ("finetune", "method", "finetune"),
        (float("inf"), "value", "inf"),
    ],
)
def test_a_value(value: object, key: str, shown: str) -> None:
    assert tables.text(value, key) == shown


@pytest.mark.parametrize("exponent", range(-30, 13))
def test_a_number_that_is_not_zero_is_not_shown_as_zero(exponent: int) -> None:
    for key in ("energy_pj", "latency_ns", "utilisation", "value"):
        shown = tables.text(3 * 10.0**exponent, key)
        assert any(digit in shown for digit in "123456789"), (key, shown)


@pytest.mark.parametrize(
    ("key", "heading"),
    [
        ("first_latency_ns", "first\nlatency"),
        ("energy_per_inference_pj", "energy per\ninference"),
        ("task", "task"),
        ("cells_written", "cells\nwritten"),
        ("row_blocks", "row\nblocks"),
        ("ns", "ns"),
        ("gops_per_w", "gops\nper w"),
        ("area_um2", "area"),
    ],
)
def test_a_heading_leaves_the_unit_to_the_numbers(key: str, heading: str) -> None:
    assert tables.two_lines(tables.label(key)) == heading


ROWS = [{"from": "backbone", "to": f"task{n}", **{f"quantity_{k}": 10**k for k in range(12)}} for n in range(3)]


def shown(capsys: pytest.CaptureFixture[str], width: int) -> list[str]:
    tables.show(ROWS, keys=2)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_columns_without_room_follow_below_behind_the_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width, blocks in ((200, 1), (120, 2), (80, 3), (40, 9)):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = shown(capsys, width)
        heads = [line for line in lines if line.startswith("from ")]
        assert len(heads) <= blocks
        assert (len(heads) == 1) == (blocks == 1)
        values = {word for line in lines for word in line.split() if word.replace(",", "").isdigit()}
        assert values >= {f"{10**k:,}" for k in range(12)}


def test_a_file_gets_every_row_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    tables.show([{"key": "a", "note": "word " * 100, "more": "text " * 100}])
    assert len(capsys.readouterr().out.rstrip().splitlines()) == 3


def test_long_text_is_folded_at_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    tables.show([{"key": "a", "note": "some words " * 20}])
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert len(lines) > 4
    assert all(len(line) <= 60 for line in lines)
    assert sum(line.count("words") for line in lines) == 20


def test_numbers_stand_on_the_right_and_words_on_the_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tables.show([{"word": "a", "n": 1, "part": "1 %", "x": 1}, {"word": "bb", "n": None, "part": "-20 %", "x": 2}])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()[2:4]] == [
        "a     1    1 %  1",
        "bb    -  -20 %  2",
    ]


def test_names_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show([{"name": "[bold]:smile:[/bold]"}], "[red]title")
    out = capsys.readouterr().out
    assert "[bold]:smile:[/bold]" in out
    assert "[red]title" in out


def test_rows_may_have_keys_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show([{"task": "a", "inferences": 1}, {"task": "b", "inferences": 2, "repeats": 3}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["a", "1", "-"]
    assert lines[3].split() == ["b", "2", "3"]


def test_nothing_is_shown_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show([])
    tables.show_turned([])
    assert capsys.readouterr().out == ""

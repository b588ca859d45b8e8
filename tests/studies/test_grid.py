"""Where the points of a sweep come from: lists in files, spaces, samples."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from conftest import Write
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.errors import InputError
from xbarsim.studies.grid import axes_of, check_points, parse_grid, shown
from xbarsim.studies.listed import read_points
from xbarsim.studies.space import Choices, Range, Steps, of_grid, read_space, sample

# ---- lists -----------------------------------------------------------------------------------------

CSV = "crossbar.rows, adc.bits,device\n64,7,taox_hfox\n\n72,8,puma_serial\n"
YAML = """
    points:
      - {crossbar.rows: 64, adc.bits: 7, device: taox_hfox}
      - {device: puma_serial, crossbar.rows: 72, adc.bits: 8}
    """


@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.yaml", YAML), ("a.YML", YAML)])
def test_points_from_files(write: Write, name: str, text: str) -> None:
    points = read_points(write(name, text))
    assert check_points(points) == [
        {"crossbar.rows": 64, "adc.bits": 7, "device": "taox_hfox"},
        {"crossbar.rows": 72, "adc.bits": 8, "device": "puma_serial"},
    ]
    assert list(check_points(points)[1]) == ["crossbar.rows", "adc.bits", "device"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "names no keys"),
        ("a.csv", "adc.bits\n", "holds no points"),
        ("a.csv", "adc.bit\n7\n", r"a\.csv:1:1: adc\.bit: no such key .*did you mean 'adc\.bits'"),
        ("a.csv", "adc.bits,adc.bits\n7,8\n", "is there twice"),
        ("a.csv", "adc.bits,crossbar.rows\n7\n", r"a\.csv:2:1: has 1 values, the header has 2"),
        ("a.csv", "adc.bits,crossbar.rows\n7,\n", r"a\.csv:2:1: crossbar\.rows: has no value"),
        ("a.csv", "adc.bits\n7\n8\n7\n", r"a\.csv:4:1: is the point of line 2 again"),
        ("a.csv", "adc.bits\n08\n", "octal or decimal"),
        ("a.csv", b"adc.bits\n\xff\n", "cannot be read"),
        ("a.yaml", "points: 3\n", "expected a list of points"),
        ("a.yaml", "point: [{adc.bits: 3}]\n", "did you mean 'points'"),
        ("a.yaml", "points: []\n", "holds no points"),
        ("a.yaml", "points: [7]\n", "expected keys and values"),
        ("a.yaml", "points: [{adc.bits: [7]}]\n", "expected a single value"),
        ("a.yaml", "points: [{adc.bits: 7}, {crossbar.rows: 7}]\n", "same keys as the first point: adc.bits, cross"),
        ("a.json", "[]", r"is a \.csv or a \.yaml file"),
    ],
)
def test_bad_lists(write: Write, name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_points(write(name, text))


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_points("nothing.csv")


def test_lists_in_python() -> None:
    for points, said in (
        ([], "is empty"),
        ([{}], "the grid is empty"),
        ([{"adc.bit": 7}], "did you mean"),
        ([{"adc.bits": 7}, {"crossbar.rows": 7}], "point 2 does not set the same keys"),
    ):
        with pytest.raises(InputError, match=said):
            check_points(points)
    points = check_points([{"adc.bits": np.int64(7)}, {"adc.bits": 8}])
    assert axes_of(points) == {"adc.bits": [7, 8]}
    assert type(shown(np.int64(7))) is int
    assert shown(Fraction(1, 4)) == 0.25


# ---- spaces ----------------------------------------------------------------------------------------


def test_a_space(write: Write) -> None:
    path = write(
        "space.yaml",
        """
        space:
          crossbar.rows: [64, 72]
          adc.bits: {from: 5, to: 9}
          crossbar.cycle_ns: {from: 0.1, to: 0.75, step: 0.1}
          device.g_max_us: {from: 10, to: 1e3, log: true}
          adc.per_crossbar: {from: 1, to: 64, log: true}
        """,
    )
    assert read_space(path) == {
        "crossbar.rows": Choices((64, 72)),
        "adc.bits": Steps(5, 1, 5),
        "crossbar.cycle_ns": Steps(0.1, 0.1, 7),
        "device.g_max_us": Range(10, 1000, log=True),
        "adc.per_crossbar": Range(1, 64, log=True, whole=True),
    }
    cycle = read_space(path)["crossbar.cycle_ns"]
    assert isinstance(cycle, Steps)
    assert [cycle.value(at) for at in range(7)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]  # exact decimals


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("space: {}", "is empty"),
        ("spice: {adc.bits: [1]}", "did you mean 'space'"),
        ("space: [1]", "expected keys of a chip"),
        ("space: {adc.bit: [7]}", r"space\.yaml:1:9: adc\.bit: no such key.*did you mean 'adc\.bits'"),
        ("space: {adc.bits: 7}", "expected a list of values"),
        ("space: {adc.bits: []}", "has no values"),
        ("space: {adc.bits: [7, 7]}", "7 is there twice"),
        ("space: {adc.bits: [[7]]}", "expected a single value"),
        ("space: {adc.bits: {from: 7}}", "needs 'to'"),
        ("space: {adc.bits: {from: 7, to: 6}}", "is empty: from must be below to"),
        ("space: {adc.bits: {from: 7, to: nine}}", r"adc\.bits\.to: expected a number"),
        ("space: {adc.bits: {from: 7, to: 9, step: 0}}", "step 0 must be above 0"),
        ("space: {adc.bits: {from: 7, to: 9, stp: 1}}", "did you mean 'step'"),
        ("space: {crossbar.cycle_ns: {from: 1, to: 9, step: 1, log: true}}", "step and log exclude each other"),
        ("space: {crossbar.cycle_ns: {from: 0, to: 9.5, log: true}}", "log needs a range above 0"),
        ("space: {crossbar.cycle_ns: {from: 1, to: 9, log: 1}}", "expected true or false"),
        ("space: {crossbar.cycle_ns: {from: 0, to: 9, step: 1e-9}}", "more than 1000000 steps"),
    ],
)
def test_bad_spaces(write: Write, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_space(write("space.yaml", text + "\n"))


SPACE: Mapping[str, Choices | Steps | Range] = {
    "crossbar.rows": Choices((64, 72, 128)), "adc.bits": Steps(5, 1, 5), "crossbar.cycle_ns": Range(50, 200),
    "device.g_max_us": Range(10, 1000, log=True), "adc.per_crossbar": Range(1, 64, log=True, whole=True),
}  # fmt: skip


@given(count=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_a_sample_meets_every_part_of_every_axis_once(count: int, seed: int) -> None:
    points = sample(SPACE, count, seed)
    assert points == sample(SPACE, count, seed)
    assert len(points) == count  # one axis is continuous
    cycles = np.array([point["crossbar.cycle_ns"] for point in points])
    parts = np.clip((cycles - 50) / 150 * count, 0, count - 1e-9)
    near = np.abs(parts - np.rint(parts)) < 1e-2 * count  # rounding to six digits may cross a border
    assert len(set(parts[~near].astype(int))) == (~near).sum()
    for point in points:
        assert point["crossbar.rows"] in (64, 72, 128)
        assert point["adc.bits"] in range(5, 10)
        assert 50 <= float(str(point["crossbar.cycle_ns"])) <= 200
        assert 10 <= float(str(point["device.g_max_us"])) <= 1000
        assert isinstance(point["adc.per_crossbar"], int)
    rows = [point["crossbar.rows"] for point in points]
    assert max(rows.count(value) for value in (64, 72, 128)) - min(rows.count(v) for v in (64, 72, 128)) <= 2


def test_equal_points_of_a_sample_are_there_once() -> None:
    points = sample(of_grid({"adc.bits": [7, 8]}), 10)
    assert sorted(map(str, points)) == ["{'adc.bits': 7}", "{'adc.bits': 8}"]
    with pytest.raises(InputError, match="take 1 to"):
        sample(SPACE, 0)


@pytest.mark.parametrize("text", ["adc.bits=7..x", "adc.bits=..9", "adc.bits=5...9"])
def test_half_a_range_is_no_value(text: str) -> None:
    with pytest.raises(InputError, match="is no range: write whole numbers, as in"):
        parse_grid([text])

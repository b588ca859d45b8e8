"""Wires that are not ideal: against Kirchhoff's laws written down node by node, closed forms and limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.analog.wires_naive import Crossbar, in_fractions, nodal, random_crossbar
from xbarsim.analog import wires
from xbarsim.analog.wires import ENDS, GATES, effective_conductance, estimated_conductance
from xbarsim.errors import InputError

INTERPRETED = bool(numba.config.DISABLE_JIT)
LARGE = 24 if INTERPRETED else 128
"""Rows and columns of the large cases: without the compiler only small ones end in time."""


def effective(bar: Crossbar, leaf: int = wires.LEAF) -> np.ndarray:
    """The effective conductance, the crossbar cut down to ``leaf`` x ``leaf`` cells on the way."""
    with mock.patch.object(wires, "LEAF", leaf):
        return effective_conductance(**bar.arguments())


def assert_same(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    """Every element alike, none hidden by a larger one unless that is 1e13 times as large; gated columns are 0."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-13 * expected.max())


# ---- the nodal equations

SMALL = [(1, 1), (1, 9), (9, 1), (3, 4), (8, 8), (9, 8), (17, 5), (13, 20)]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_small_crossbars_equal_the_sparse_solution(
    rng: np.random.Generator, shape: tuple[int, int], ends: str, gate: str
) -> None:
    bar = random_crossbar(rng, *shape, ends, gate, ohm=float(rng.choice([0.1, 2.0, 500.0])))
    assert_same(effective(bar), nodal(bar))


@pytest.mark.parametrize(
    ("rows", "columns", "ends", "gate"),
    [
        (LARGE, LARGE, "one", "disconnect"),
        (LARGE, LARGE, "both", "float"),
        (LARGE, 70, "rows", "disconnect"),
        (33, LARGE, "columns", "float"),
    ],
)
def test_large_crossbars_equal_the_sparse_solution(
    rng: np.random.Generator, rows: int, columns: int, ends: str, gate: str
) -> None:
    bar = random_crossbar(rng, min(rows, LARGE), min(columns, LARGE), ends, gate)
    assert_same(effective(bar), nodal(bar), 1e-9)


# cells in µS, Ω of a row segment, Ω of a column segment, and what badcrossbar 1.1.0 (PyPI; NumPy 2.4, SciPy 1.17)
# answered to badcrossbar.compute(np.eye(rows), 1e6 / cells, r_i_word_line=…, r_i_bit_line=…).currents.output * 1e6
BADCROSSBAR = [
    (
        [[62.884, 89.824, 77.793, 23.296], [30.716, 87.482, 1.521, 82.302], [79.91, 47.326, 31.0, 28.564]],
        50.0,
        80.0,
        [
            [60.51875448471, 84.58057448431, 74.16844497282, 22.20910255716],
            [29.78738303256, 83.24760025163, 1.480776633276, 78.65627605764],
            [78.10289717539, 45.84281877554, 30.20508235272, 27.74147552423],
        ],
    ),
    (
        [[26.232, 45.063, 50.95], [55.796, 99.555, 79.474], [62.596, 98.907, 22.316], [16.861, 61.641, 5.35]],
        2.0,
        500.0,
        [
            [21.62648475044, 32.43620378576, 40.69027878935],
            [46.59230109664, 73.24314547106, 65.05890975341],
            [54.40907903494, 78.00404822148, 19.45618474386],
            [15.69261213525, 54.28889691471, 5.001080599174],
        ],
    ),
]


@pytest.mark.parametrize("leaf", [1, wires.LEAF])
@pytest.mark.parametrize(("cells", "row", "column", "answer"), BADCROSSBAR, ids=["3x4", "4x3"])
def test_equals_the_stored_numbers_of_badcrossbar(
    cells: list[list[float]], row: float, column: float, answer: list[list[float]], leaf: int
) -> None:
    """Larger ones were compared once: 12 x 10, 64 x 64 and 128 x 128 cells of 0.1 to 100 µS with 2 and 3 Ω, all
    elements alike to 1e-14, 3e-13 and 9e-13."""
    with mock.patch.object(wires, "LEAF", leaf):
        assert_same(effective_conductance(cells, row, column), np.array(answer), 1e-12)


# ---- without rounding

OHM = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))
CELL = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))


@st.composite
def crossbars(draw: st.DrawFn, most: int = 4) -> Crossbar:
    """Crossbars of a few cells with any resistances, zeros among them, over nine decades."""
    rows, columns = draw(st.integers(1, most)), draw(st.integers(1, most))
    ends, gate = draw(st.sampled_from(sorted(ENDS))), draw(st.sampled_from(GATES))

    def drawn(shape: tuple[int, ...], elements: st.SearchStrategy[Any]) -> np.ndarray:
        return draw(arrays.arrays(np.float64, shape, elements=elements))

    return Crossbar(
        drawn((rows, columns), CELL),
        drawn((rows, columns + (ends in ("rows", "both"))), OHM),
        drawn((rows + (ends in ("columns", "both")), columns), OHM),
        drawn((rows,), OHM),
        drawn((columns,), OHM),
        draw(arrays.arrays(np.bool_, columns)),
        gate,
        ends,
    )


def nearly_ideal(bar: Crossbar) -> Crossbar:
    """The same with 1e-30 Ω for 0 Ω: fractions do not round, so it may be that small."""
    wire = {name: np.maximum(getattr(bar, name), 1e-30) for name in ("row", "column")}
    return replace(bar, **wire)


@settings(max_examples=150)
@given(crossbars(), st.integers(1, 4))
def test_equals_the_solution_in_fractions(bar: Crossbar, leaf: int) -> None:
    assert_same(effective(bar, leaf), in_fractions(nearly_ideal(bar)))


@pytest.mark.parametrize("leaf", [1, 3, 5, 20])
def test_the_cuts_do_not_matter(rng: np.random.Generator, leaf: int) -> None:
    bar = random_crossbar(rng, 11, 14, "both", "float")
    assert_same(effective(bar, leaf), effective(bar), 1e-13)


# ---- closed forms


def test_one_cell_is_in_series_with_its_wires() -> None:
    found = effective_conductance([[50.0]], 30.0, 70.0, driver_ohm=400.0, sense_ohm=500.0)
    assert_same(found, np.array([[1e6 / (1e6 / 50.0 + 30.0 + 70.0 + 400.0 + 500.0)]]), 1e-15)


def test_one_cell_between_four_ends() -> None:
    found = effective_conductance(
        [[50.0]], [[30.0, 60.0]], [[10.0], [20.0]], driver_ohm=40.0, sense_ohm=50.0, ends="both"
    )
    left, right, top, bottom = 70.0, 100.0, 60.0, 70.0
    series = 1e6 / 50.0 + 1.0 / (1.0 / left + 1.0 / right) + 1.0 / (1.0 / top + 1.0 / bottom)
    assert_same(found, np.array([[1e6 / series]]), 1e-15)


@pytest.mark.parametrize("cells", [1, 2, 7, 40])
@pytest.mark.parametrize("ends", ["one", "both"])
@pytest.mark.parametrize("ohm", [0.01, 300.0, 40e3])
def test_a_uniform_wire_is_a_hyperbolic_cosine(cells: int, ends: str, ohm: float) -> None:
    """V(k+1) - 2 V(k) + V(k-1) = g R V(k), k = 0 the source: V(k) = cosh((c - k) q) / cosh(c q) about c."""
    conductance = 80.0
    q = 2.0 * np.arcsinh(np.sqrt(conductance * 1e-6 * ohm) / 2.0)
    centre = cells + 0.5 if ends == "one" else (cells + 1) / 2.0
    voltage = np.cosh((centre - np.arange(1, cells + 1)) * q) / np.cosh(centre * q)
    one_row = effective_conductance(np.full((1, cells), conductance), ohm, 0.0, ends=ends)
    one_column = effective_conductance(np.full((cells, 1), conductance), 0.0, ohm, ends=ends)
    assert_same(one_row[0], conductance * voltage, 1e-13)
    assert_same(one_column[::-1, 0], conductance * voltage, 1e-13)
    estimate = estimated_conductance(np.full((1, cells), conductance), ohm, 0.0, ends=ends).conductance_us
    assert_same(estimate[0], conductance * voltage, 1e-11)


def test_a_shared_driver_is_a_voltage_divider() -> None:
    cells = np.array([[10.0, 20.0, 70.0]])
    found = effective_conductance(cells, 0.0, 0.0, driver_ohm=1000.0)
    assert_same(found, cells / (1.0 + 100.0 * 1e-3), 1e-15)


def test_a_floating_column_is_a_bridge_between_rows() -> None:
    """Row 0 drives column 1 through column 0: two cells in series, then the driver of row 1 in parallel."""
    cells = np.array([[50.0, 0.0], [50.0, 100.0]])
    ohm = 2000.0
    found = effective_conductance(cells, 0.0, 0.0, driver_ohm=[0.0, ohm], columns_on=[False, True], gate="float")
    bridge, driver = 25.0, 1e6 / ohm
    assert_same(
        found,
        np.array(
            [[0.0, bridge * 100.0 / (bridge + 100.0 + driver)], [0.0, 100.0 * driver / (bridge + 100.0 + driver)]]
        ),
        1e-14,
    )
    cut = effective_conductance(cells, 0.0, 0.0, driver_ohm=[0.0, ohm], columns_on=[False, True])
    assert_same(cut, np.array([[0.0, 0.0], [0.0, 100.0 * driver / (100.0 + driver)]]), 1e-15)


# ---- limits and laws


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("ends", ENDS)
def test_ideal_wires_leave_the_cells_as_they_are(rng: np.random.Generator, ends: str, gate: str) -> None:
    cells = np.where(rng.random((19, 23)) < 0.2, 0.0, rng.uniform(1e-6, 1e3, (19, 23)))
    on = rng.random(23) < 0.5
    options: dict[str, Any] = {"columns_on": on, "gate": gate, "ends": ends}
    np.testing.assert_array_equal(effective_conductance(cells, 0.0, 0.0, **options), cells * on)
    estimate = estimated_conductance(cells, 0.0, 0.0, **options)
    assert_same(estimate.conductance_us, cells * on, 1e-11)
    assert (estimate.bound_us <= 1e-10 * cells.sum(axis=0)).all()


@pytest.mark.parametrize("gate", GATES)
def test_nothing_conducts_and_nothing_is_on(gate: str) -> None:
    nothing = effective_conductance(np.zeros((9, 12)), 1.0, 2.0, driver_ohm=5.0, gate=gate)
    all_off = effective_conductance(np.ones((9, 12)), 1.0, 2.0, columns_on=np.zeros(12, bool), gate=gate)
    assert not nothing.any()
    assert not all_off.any()
    assert not estimated_conductance(np.ones((9, 12)), 1.0, 2.0, columns_on=[0] * 12, gate=gate)[0].any()


@given(crossbars(most=6))
def test_currents_are_positive_and_not_above_ideal_ones(bar: Crossbar) -> None:
    """With all rows at 1 V no node is outside 0 ... 1 V, so no cell carries more than between ideal wires."""
    found = effective(bar, 2)
    assert (found >= 0.0).all()
    slack = 1.0 + 1e-12
    assert (found.sum(axis=0) <= slack * bar.cells.sum(axis=0)).all()
    assert (found.sum(axis=1) <= slack * bar.cells.sum(axis=1)).all()


@given(crossbars(most=5), st.data())
def test_more_resistance_never_helps(bar: Crossbar, data: st.DataObject) -> None:
    """Rayleigh: the current that all rows at 1 V send into all columns falls with every resistance."""
    name = data.draw(st.sampled_from(["row", "column", "driver", "sense"]))
    more = getattr(bar, name).copy()
    more.flat[data.draw(st.integers(0, more.size - 1))] += data.draw(st.floats(0.1, 1e4))
    assert effective(replace(bar, **{name: more}), 2).sum() <= (1.0 + 1e-12) * effective(bar, 2).sum()


@given(crossbars(most=6))
def test_sources_and_senses_may_be_exchanged(bar: Crossbar) -> None:
    """Reciprocity: the crossbar turned over, its rows the columns, answers the same transposed."""

    def turned(array: np.ndarray) -> np.ndarray:
        return array[::-1, ::-1].T

    bar = replace(bar, on=np.ones_like(bar.on))
    ends = {"rows": "columns", "columns": "rows"}.get(bar.ends, bar.ends)
    other = Crossbar(
        turned(bar.cells), turned(bar.column), turned(bar.row), bar.sense[::-1], bar.driver[::-1],
        np.ones(len(bar.cells), bool), bar.gate, ends,
    )  # fmt: skip
    assert_same(effective(other, 2), turned(effective(bar, 3)))


def test_both_ends_may_be_exchanged(rng: np.random.Generator) -> None:
    bar = random_crossbar(rng, 10, 12, "both", "float")
    mirrored = replace(
        bar,
        cells=bar.cells[::-1, ::-1],
        row=bar.row[::-1, ::-1],
        column=bar.column[::-1, ::-1],
        driver=bar.driver[::-1],
        sense=bar.sense[::-1],
        on=bar.on[::-1],
    )
    assert_same(effective(mirrored), effective(bar)[::-1, ::-1], 1e-13)


def test_a_far_end_behind_a_large_resistance_is_no_end(rng: np.random.Generator) -> None:
    bar = random_crossbar(rng, 10, 12, "both")
    bar.row[:, -1] = bar.column[0] = 1e12
    one = replace(bar, row=bar.row[:, :-1], column=bar.column[1:], ends="one")
    assert_same(effective(bar), effective(one), 1e-7)


def test_ideal_wires_to_both_ends_are_as_good_as_to_one(rng: np.random.Generator) -> None:
    cells = rng.uniform(1.0, 100.0, (9, 10))
    one = effective_conductance(cells, 0.0, 30.0)
    both = effective_conductance(cells, 0.0, 30.0, ends="rows")
    np.testing.assert_array_equal(both, one)


@pytest.mark.parametrize("gate", GATES)
def test_a_gated_column_is_one_without_cells(rng: np.random.Generator, gate: str) -> None:
    bar = random_crossbar(rng, 12, 11)
    empty = replace(bar, cells=bar.cells * bar.on, on=np.ones_like(bar.on), gate=gate)
    assert_same(effective(empty), effective(bar), 1e-13)
    gated_and_empty = replace(empty, on=bar.on)
    assert_same(effective(gated_and_empty), effective(bar), 1e-13)


def test_how_a_column_is_gated_matters_only_through_the_rows(rng: np.random.Generator) -> None:
    bar = random_crossbar(rng, 12, 11)
    floating = replace(bar, gate="float")
    assert np.abs(effective(floating) / np.where(bar.on, effective(bar), 1.0) - bar.on).max() > 1e-4
    ideal_rows = {"row": np.zeros_like(bar.row), "driver": np.zeros_like(bar.driver)}
    assert_same(effective(replace(floating, **ideal_rows)), effective(replace(bar, **ideal_rows)), 1e-12)


def test_numbers_and_arrays_say_the_same(rng: np.random.Generator) -> None:
    cells = rng.uniform(1.0, 100.0, (9, 10))
    short = effective_conductance(cells, 2, 3.0, driver_ohm=4, sense_ohm=5.0)
    long = effective_conductance(
        cells.tolist(),
        np.full((9, 10), 2),
        np.full((9, 10), 3.0, np.float32),
        driver_ohm=[4.0] * 9,
        sense_ohm=np.full(10, 5.0),
        columns_on=[1] * 10,
    )
    np.testing.assert_array_equal(short, long)


def test_the_arguments_are_left_alone(rng: np.random.Generator) -> None:
    bar = random_crossbar(rng, 9, 10, gate="float")
    arguments = bar.arguments()
    before = {name: np.copy(value) for name, value in arguments.items()}
    effective_conductance(**arguments)
    estimated_conductance(**arguments)
    for name, value in arguments.items():
        np.testing.assert_array_equal(value, before[name])


# ---- the estimate


def worst_errors(estimate: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Per column, the largest error that driver voltages between 0 and 1 V can produce."""
    error = estimate - exact
    return np.maximum(np.maximum(error, 0.0).sum(axis=0), np.maximum(-error, 0.0).sum(axis=0))


@given(crossbars(most=6))
def test_the_bound_of_the_estimate_holds(bar: Crossbar) -> None:
    estimate, bound = estimated_conductance(**bar.arguments())
    assert (worst_errors(estimate, effective(bar)) <= bound).all()
    assert (estimate >= 0.0).all()
    assert not estimate[:, ~bar.on].any()


@pytest.mark.parametrize("ideal", ["row", "column"])
def test_the_estimate_is_exact_if_one_kind_of_wire_is_ideal(rng: np.random.Generator, ideal: str) -> None:
    bar = random_crossbar(rng, 14, 11, "both", ohm=100.0)
    ends = {"row": "driver", "column": "sense"}[ideal]
    bar = replace(bar, **{ideal: np.zeros_like(getattr(bar, ideal)), ends: np.zeros_like(getattr(bar, ends))})
    estimate, bound = estimated_conductance(**bar.arguments())
    assert_same(estimate, effective(bar), 1e-11)
    assert (bound <= 1e-10 * bar.cells.sum(axis=0)).all()


def test_the_estimate_is_exact_for_equal_voltages(rng: np.random.Generator) -> None:
    bar = random_crossbar(rng, 20, 22, "one", "float", ohm=20.0)
    with mock.patch.object(wires, "SETTLED", 0.0):
        estimate = estimated_conductance(**bar.arguments()).conductance_us
    assert_same(estimate.sum(axis=0), effective(bar).sum(axis=0), 1e-9)
    assert_same(estimate.sum(axis=1), effective(bar).sum(axis=1), 1e-9)


@pytest.mark.parametrize(
    ("ohm", "cost", "worst", "random"), [(0.5, 0.1, 2e-4, 2e-5), (2.5, 0.3, 2e-3, 2e-4), (10.0, 0.55, 1.5e-2, 1e-3)]
)
@pytest.mark.parametrize("levels", ["any", "two", "few"])
def test_the_estimate_is_as_good_as_documented(
    rng: np.random.Generator, ohm: float, cost: float, worst: float, random: float, levels: str
) -> None:
    size = 40
    share = {"any": rng.uniform(0.01, 1.0, (size, size)), "two": rng.random((size, size)) < 0.5}
    cells = 100.0 * np.maximum(share.get(levels, rng.random((size, size)) < 0.1), 0.01)
    exact = effective_conductance(cells, ohm, ohm)
    estimate, bound = estimated_conductance(cells, ohm, ohm)
    ideal = cells.sum(axis=0)
    assert (1.0 - exact.sum(axis=0) / ideal).max() <= cost
    error = worst_errors(estimate, exact) / ideal
    assert error.max() <= worst
    drawn = rng.random((200, size)) @ (estimate - exact) / ideal
    assert np.sqrt((drawn**2).mean()) <= random
    assert (error <= bound / ideal).all()


# ---- bad input


def call(**changed: Any) -> None:
    arguments: dict[str, Any] = {
        "conductance_us": np.ones((3, 4)),
        "row_segment_ohm": 1.0,
        "column_segment_ohm": 1.0,
    }
    effective_conductance(**{**arguments, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conductance_us": np.ones(3)}, "conductance_us has shape (3,); it needs (rows, columns), at least 1 x 1"),
        ({"conductance_us": np.ones((0, 4))}, "conductance_us has shape (0, 4); it needs (rows, columns), at least 1 x 1"),
        ({"conductance_us": "many"}, "conductance_us is not an array of numbers"),
        ({"conductance_us": [[1.0, 2.0], [3.0]]}, "conductance_us is not an array of numbers"),
        ({"conductance_us": [[1.0, -2.0]]}, "conductance_us[0, 1] is -2; it must be finite and not negative"),
        ({"conductance_us": [[np.inf]]}, "conductance_us[0, 0] is inf; it must be finite and not negative"),
        ({"row_segment_ohm": np.nan}, "row_segment_ohm is nan; it must be finite and not negative; an open wire"),
        ({"column_segment_ohm": -1.0}, "column_segment_ohm is -1; it must be finite and not negative"),
        (
            {"row_segment_ohm": np.where(np.arange(12).reshape(3, 4) == 6, np.inf, 1.0)},
            "row_segment_ohm[1, 2] is inf; it must be finite and not negative; an open wire leaves a node "
            "without a voltage; 1e8 Ω may stand for it",
        ),
        ({"sense_ohm": [1.0, 1.0, np.inf, 1.0]}, "sense_ohm[2] is inf"),
        ({"row_segment_ohm": np.ones((4, 3))}, "row_segment_ohm has shape (4, 3); it needs one number or shape (3, 4)"),
        ({"ends": "both", "row_segment_ohm": np.ones((3, 4))}, "row_segment_ohm has shape (3, 4); it needs one number or shape (3, 5)"),
        ({"ends": "columns", "column_segment_ohm": np.ones((3, 4))}, "column_segment_ohm has shape (3, 4); it needs one number or shape (4, 4)"),
        ({"driver_ohm": np.ones(4)}, "driver_ohm has shape (4,); it needs one number or shape (3,)"),
        ({"columns_on": [True] * 3}, "columns_on has shape (3,) and type bool; it needs 4 times true or false"),
        ({"columns_on": [0.0, 0.5, 1.0, 1.0]}, "columns_on has shape (4,) and type float64; it needs 4 times true or false"),
        ({"gate": "flaot"}, "gate='flaot' is not one of disconnect, float; did you mean 'float'?"),
        ({"ends": "two"}, "ends='two' is not one of one, rows, columns, both"),
        (
            {"conductance_us": np.full((2, 2), 1e6), "sense_ohm": 1e12},
            "the wire network is singular in double precision: a cell of 1e+06 µS and a wire of 1e+12 Ω; "
            "conductance times resistance must stay below 1e+09",
        ),
        ({"row_segment_ohm": 1e300, "conductance_us": [[1e300]]}, "the wire network is singular in double precision"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        call(**changed)
    assert message in str(refused.value)

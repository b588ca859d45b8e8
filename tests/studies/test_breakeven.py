"""Break-even points of pairs, the curves they are the crossings of, and the figure of the curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.results.figures import PALETTE, break_even_figure, save
from xbarsim.studies.breakeven import between, break_even, curves, pairs

energies = st.one_of(st.just(0.0), st.floats(1e-3, 1e9))


def row(method: str, switch_pj: float, inference_pj: float, **more: Any) -> dict[str, Any]:
    return {**more, "method": method, "switch_energy_pj": switch_pj, "energy_per_inference_pj": inference_pj}


def total(one: dict[str, Any], inferences: float) -> float:
    return float(one["switch_energy_pj"] + inferences * one["energy_per_inference_pj"])


@given(energies, energies, energies, energies)
def test_a_point_is_where_both_need_the_same(a_switch: float, a_run: float, b_switch: float, b_run: float) -> None:
    a, b = row("a", a_switch, a_run), row("b", b_switch, b_run)
    point = between(a, b)
    if point.kind == "at":
        assert point.inferences is not None
        assert total(a, point.inferences) == pytest.approx(total(b, point.inferences), rel=1e-6)
        below, above = point.inferences / 2, point.inferences * 2
        cheaper, dearer = (below, above) if point.cheaper == "below" else (above, below)
        assert total(a, cheaper) <= total(b, cheaper) * (1 + 1e-9)
        assert total(a, dearer) >= total(b, dearer) * (1 - 1e-9)
        return
    first, second = (a, b) if point.kind == "always" else (b, a)
    assert all(total(first, n) <= total(second, n) for n in (1e-3, 1, 10, 1e6))


def test_a_method_that_saves_inference_energy_pays_from_some_number_on() -> None:
    """A switch of 900 more is paid back by 3 per inference after 300 inferences."""
    point = break_even(1000, 7, 100, 10)
    assert (point.kind, point.inferences, point.cheaper) == ("at", 300, "above")
    point = break_even(100, 10, 1000, 7)
    assert (point.kind, point.inferences, point.cheaper) == ("at", 300, "below")


def test_every_pair_of_methods_stands_there_once() -> None:
    found = pairs([row("a", 1000, 7), row("b", 100, 10), row("c", 0, 5)])
    assert [(one["a"], one["b"], one["kind"]) for one in found] == [
        ("a", "b", "at"),
        ("a", "c", "never"),
        ("b", "c", "never"),
    ]
    assert found[0]["inferences"] == 300
    assert "device" not in found[0]


def test_pairs_are_made_on_each_device_by_itself() -> None:
    rows = [row(m, e * f, 5, device=d) for d, f in (("x", 1), ("y", 9)) for m, e in (("a", 1), ("b", 2))]
    assert [(one["device"], one["a"], one["b"]) for one in pairs(rows)] == [("x", "a", "b"), ("y", "a", "b")]


def test_curves_reach_from_one_to_a_million_inferences_and_cross_at_the_point() -> None:
    a, b = row("a", 1000, 7), row("b", 100, 10)
    table = pd.DataFrame(curves([a, b]))
    counts = sorted(table["inferences_per_switch"].unique())
    assert (counts[0], counts[-1]) == (1, 10**6)
    wide = table.pivot_table(index="inferences_per_switch", columns="method", values="energy_per_inference_pj")
    assert (wide.loc[wide.index < 300, "a"] > wide.loc[wide.index < 300, "b"]).all()
    assert (wide.loc[wide.index > 300, "a"] < wide.loc[wide.index > 300, "b"]).all()
    assert wide.loc[1, "a"] == 1007
    assert wide.loc[10**6, "a"] == pytest.approx(7, rel=1e-3)


def lines(methods: int, devices: int) -> pd.DataFrame:
    rows = [
        row(f"method{at}", 1e6 * (at + 1) * (place + 1), 1e5, device=f"device{place}")
        for place in range(devices)
        for at in range(methods)
    ]
    return pd.DataFrame(curves(rows))


@pytest.mark.parametrize(("methods", "devices"), [(3, 1), (14, 1), (4, 3)])
def test_the_figure_names_its_axes_with_units_and_every_method(tmp_path: Path, methods: int, devices: int) -> None:
    figure = break_even_figure(lines(methods, devices), "title")
    axes = figure.axes[0]
    assert axes.get_xlabel() == "inferences per task switch"
    assert "(µJ)" in axes.get_ylabel()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"method{at}" for at in range(methods)]
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()]
    assert {color for color, _, _ in looks} <= set(PALETTE)
    assert len({(style, marker) for _, style, marker in looks}) == methods  # lines differ also without colour
    assert len(axes.collections) == (methods if devices > 1 else 0)
    save(figure, tmp_path, "breakeven")
    assert (tmp_path / "breakeven.png").read_bytes().startswith(b"\x89PNG")
    assert "inferences per task switch" in (tmp_path / "breakeven.svg").read_text()


def test_many_methods_over_devices_get_a_panel_each(tmp_path: Path) -> None:
    figure = break_even_figure(lines(14, 3), "title")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"method{at}" for at in range(14)]
    assert all(len(axes.collections) == 1 for axes in shown)
    assert figure.get_supxlabel() == "inferences per task switch"
    assert "(µJ)" in figure.get_supylabel()
    save(figure, tmp_path, "breakeven")
    assert (tmp_path / "breakeven.png").stat().st_size > 0


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(break_even_figure(lines(3, 1), "title"), tmp_path, name)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()

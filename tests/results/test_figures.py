"""Figures: numbers behind the pictures against naive ones, labels with units, readable for everyone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, tiny
from results.folders import ONE, THREE, TWO, rows_of, run_of

from xbarsim.adaptions import Adaption
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.engine import execute
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.results.figures import busy, energy, methods, pareto, sweep
from xbarsim.results.figures.chip import chip_figure
from xbarsim.results.figures.mapping import layer_map, mapping_figure, wear_figure, wear_map
from xbarsim.results.figures.style import FORMATS, fills, ink, inline_svg, quantity, save, scaled, shades, short
from xbarsim.results.placed import placement_json
from xbarsim.results.usage import kind_of, usage_of

METHOD_ROWS = pd.DataFrame([
    {"method": "finetune", "masks": "none", "switch_latency_ns": 7e6, "switch_energy_pj": 3e7, "cells_written": 5e5,
     "mask_bits": 0, "norm_bits": 9216, "weight_bits": 259200, "energy_per_inference_pj": 1.1e6,
     "latency_per_inference_ns": 16000.0},
    {"method": "xbm", "masks": "resampled", "switch_latency_ns": 226.0, "switch_energy_pj": 5590.0, "cells_written": 0.0,
     "mask_bits": 464, "norm_bits": 9216, "weight_bits": 0, "energy_per_inference_pj": 9e5,
     "latency_per_inference_ns": 15800.0},
])  # fmt: skip


def words(figure: Any) -> str:
    """All text of a figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


# ---- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["rotated:3,inverted:2", "7*(rotated:2,inverted:1)"])
def test_busy_times_are_those_of_the_schedule(scenario: str) -> None:
    network, adaption = load_network("digits"), Adaption.named("piggyback")()
    placement = place(chip(), network)
    dataflow = plan(placement, adaption, parse_scenario(scenario, network))
    times = execute(dataflow.graph)
    frame = usage_of(dataflow, times).frame
    busy_ns = frame.groupby("unit")["busy_ns"].sum()
    expected = {
        unit.name: busy for unit, busy in zip(dataflow.graph.units, times.busy_ps.tolist(), strict=True) if busy
    }
    assert {name: round(value * 1000) for name, value in busy_ns.items()} == expected
    assert (frame["start_ns"] < frame["end_ns"]).all()
    assert (frame["busy_ns"] <= (frame["end_ns"] - frame["start_ns"]) * frame["servers"] + 1e-6).all()
    assert round(frame["end_ns"].max() * 1000) <= times.makespan
    assert set(frame["phase"]) == {"switch", "inference"}


def test_very_many_steps_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network, adaption = load_network("digits"), Adaption.named("xbm")()
    dataflow = plan(place(chip(), network), adaption, parse_scenario("rotated,inverted,rotated,digits", network))
    times = execute(dataflow.graph)
    whole = usage_of(dataflow, times).frame
    monkeypatch.setattr("xbarsim.results.usage.MOST_ROWS", 2 * len(dataflow.graph.actors))
    fewer = usage_of(dataflow, times).frame
    assert sorted(set(fewer["step"])) == [0, 1]
    assert fewer["task"].eq("").all()
    assert len(fewer) < len(whole)
    for key in ("unit", "layer", "phase"):
        pd.testing.assert_series_equal(fewer.groupby(key)["busy_ns"].sum(), whole.groupby(key)["busy_ns"].sum())


def test_units_are_called_by_their_kind() -> None:
    assert [kind_of(name) for name in ("layer1.0.conv1.crossbars", "link.12", "mask_store", "offchip.0")] == [
        "crossbars", "link", "mask_store", "offchip",
    ]  # fmt: skip


def test_use_over_time_keeps_the_busy_time() -> None:
    usage = run_of("piggyback").usage.frame
    kinds = sorted(set(usage["kind"]))
    shares, edges = busy.over_time(usage, kinds, bins=37)
    servers = usage.drop_duplicates("unit").groupby("kind")["servers"].sum()
    for at, kind in enumerate(kinds):
        total = shares[at].sum() * (edges[1] - edges[0]) * servers[kind]
        assert total == pytest.approx(usage[usage["kind"] == kind]["busy_ns"].sum(), rel=1e-9)
    assert shares.max() <= 1 + 1e-9


def test_busy_shares_count_repeats() -> None:
    rows = [("u.crossbars", "crossbars", 2, "u", "inference", 0, "a", 1, 0.0, 10.0, 12.0),
            ("u.crossbars", "crossbars", 2, "u", "inference", 1, "b", 3, 10.0, 20.0, 8.0)]  # fmt: skip
    usage = pd.DataFrame(rows, columns=["unit", "kind", "servers", "layer", "phase", "step", "task", "repeats",
                                        "start_ns", "end_ns", "busy_ns"])  # fmt: skip
    assert busy.shares(usage).loc["u", "crossbars"] == pytest.approx((12 + 3 * 8) / 2 / (20 + 2 * 10))


def naive_map(placed: Mapping[str, Any]) -> dict[tuple[int, int], tuple[int, int]]:
    """(tile, PE) -> (layer, PE within its copy), crossbar by crossbar."""
    counts = {row["level"]: row["count"] for row in placed["levels"]}
    found = {}
    for number, row in enumerate(placed["layers"]):
        for resident in range(row["residents"]):
            for copy in range(row["copies"]):
                for crossbar in range(row["crossbars"]):
                    start = (copy % row["together"]) * row["crossbars"] + crossbar
                    tile = row["first_tile"] + resident * row["tiles"] + copy // row["together"] * row["tiles_per_copy"]
                    per_tile = counts["pe"] * counts["crossbar"]
                    place_ = (tile + start // per_tile, start % per_tile // counts["crossbar"])
                    found[place_] = (number, crossbar // counts["crossbar"])
    return found


@pytest.mark.parametrize(("chip_name", "network"), [("xbm_72", "digits"), ("isaac", "resnet20")])
def test_the_map_is_that_of_the_placement(chip_name: str, network: str) -> None:
    placement = place(chip(chip_name), load_network(network))
    placed = placement_json(placement)
    layers, places = layer_map(placed)
    expected = naive_map(placed)
    there = {
        (int(t), int(p)): (int(layers[t, p]), int(places[t, p])) for t, p in zip(*np.nonzero(layers >= 0), strict=True)
    }
    assert there == expected
    assert layers.shape == (placed["chips"] * placement.chip.file.chip.tiles, placement.chip.file.tile.pes)
    assert (layers != -1).any(axis=1).sum() == placement.tiles == placed["tiles_used"]
    for number, site in enumerate(placement.sites.values()):
        tiles = np.flatnonzero(((layers == number) | (layers == -2 - number)).any(axis=1))
        assert tiles.tolist() == list(range(site.first_tile, site.first_tile + site.tiles * site.residents))


def test_wear_stands_where_the_layer_stands() -> None:
    run = run_of("piggyback")
    placed = placement_json(run.placement)
    wear = run.tables["wear"]
    values = wear_map(placed, wear)
    layers, _ = layer_map(placed)
    assert (np.isfinite(values) == (layers >= 0)).all()
    assert np.nanmax(values) == run.wear.writes_max
    for number, row in enumerate(placed["layers"]):
        most = wear[wear["layer"] == row["layer"]]["writes_max"].max()
        assert values[layers == number].max() == most


points = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=30)


@settings(max_examples=60)
@given(points)
def test_the_front_is_what_none_is_better_than(rows: list[tuple[int, int, int]]) -> None:
    values = np.array(rows, float)
    naive = [
        not any(all(o <= m for o, m in zip(other, mine, strict=True)) and other != mine for other in rows)
        for mine in rows
    ]
    assert pareto.on_front(values).tolist() == naive


def test_the_front_leaves_out_what_has_no_value() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, None, 3.0], "b": [3.0, 1.0, 0.0, 5.0]})
    assert pareto.front(frame, ["a", "b"]).index.tolist() == [0, 1]


@given(st.floats(1e-6, 1e18))
def test_units_bring_values_near_one(value: float) -> None:
    factor, unit = scaled(value, "energy_pj")
    assert unit.endswith("J")
    power = {"f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0}[unit[:-1]]
    assert value * factor == pytest.approx(value * 1e-12 / 10.0**power)
    if 1e-2 < value < 1e12:
        assert 1 - 1e-6 <= value * factor < 1000 + 1e-6


def test_quantities_are_said_in_words() -> None:
    said = [(226.4, "latency_ns"), (7.3e6, "latency_ns"), (0, "energy_pj"), (5590, "energy_pj"), (464, "mask_bits"),
            (99.9e6, "area_um2"), (12.0, "cells")]  # fmt: skip
    assert [quantity(*one) for one in said] == ["226 ns", "7.3 ms", "0", "5.59 nJ", "464 bit", "99.9 mm²", "12"]
    assert [short(value) for value in (12345.6, 0.5, 1e-5, 2e7, 537649)] == [
        "12,346",
        "0.5",
        "1.0e-5",
        "2.0e7",
        "537,649",
    ]


# ---- pictures ------------------------------------------------------------------------------------


def test_energy_figures_add_up_and_name_small_parts() -> None:
    run = run_of()
    figure = energy.component_figure(run.energy)
    assert figure is not None
    text = words(figure)
    assert "energy (µJ)" in text
    assert "task switches" in text
    assert re.search(r"\d+ others", text)
    total = run.ledger.energy_pj(phase="inference") / 1e6
    assert f"inference: {short(total)} µJ" in text
    drawn = sum(bar.get_width() for bar in figure.axes[0].patches)
    assert drawn == pytest.approx(total)
    layers = energy.layer_figure(run.energy)
    assert layers is not None
    named = [label.get_text() for label in layers.axes[0].get_yticklabels()]
    assert named == [row["layer"] for row in run.to_json()["layers"]]


def test_very_many_layers_are_drawn_together() -> None:
    rows = [{"phase": "inference", "layer": f"layer{at:03}", "component": "adc", "action": "convert", "energy_pj": 1.0 + at}
            for at in range(200)]  # fmt: skip
    figure = energy.layer_figure(pd.DataFrame(rows))
    assert figure is not None
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (len(named), named[-1], named[0]) == (48, "153 others", "layer153")
    drawn = sum(bar.get_width() for bar in figure.axes[0].patches)  # in nJ
    assert drawn == pytest.approx(sum(1 + at for at in range(200)) / 1000)


def test_a_ledger_without_energy_has_no_figure() -> None:
    empty = run_of().energy.assign(energy_pj=0.0)
    assert energy.component_figure(empty) is None
    assert energy.layer_figure(empty) is None
    assert busy.work_figure(run_of().usage.frame.head(0)) is None
    assert busy.usage_figure(run_of().usage.frame.head(0)) is None
    assert busy.share_figure(run_of().usage.frame.head(0)) is None
    assert busy.busy_time_figure(run_of().usage.frame.head(0)) is None


def test_figures_of_use_name_layers_tasks_and_units() -> None:
    usage = run_of("piggyback").usage.frame
    for draw in (busy.work_figure, busy.usage_figure, busy.share_figure, busy.busy_time_figure):
        figure = draw(usage)
        assert figure is not None
        text = words(figure)
        assert re.search(r"\((ns|µs|ms)\)|busy \(%", text), draw.__name__
    work = busy.work_figure(usage)
    assert work is not None
    assert {"rotated", "inverted", "conv1", "inference", "task switch"} <= set(words(work).split("\n"))


def test_chip_and_maps_say_how_many_there_are() -> None:
    run = run_of("piggyback")
    placed = placement_json(run.placement)
    text = words(chip_figure(placed))
    file = run.placement.chip.file
    for count, unit in ((file.chip.tiles, "per chip"), (file.tile.pes, "per tile"), (file.pe.crossbars, "per PE")):
        assert f"{count} {unit}" in text
    assert f"{file.crossbar.rows} rows × {file.crossbar.cols} columns" in text
    text = words(mapping_figure(placed))
    for at, row in enumerate(placed["layers"], start=1):
        assert f"{at} {row['layer']}" in text
    assert f"the {placed['tiles_used']} tiles in use" in text
    assert "writes of the most written cell" in words(wear_figure(placed, run.tables["wear"]))


def test_many_chips_are_cut_and_say_so() -> None:
    placed = placement_json(place(chip(), tiny()))
    placed["levels"][0]["count"] = placed["chips"] = 30
    text = words(mapping_figure(placed))
    assert "the first 12 of 30 chips" in text
    assert "chip 12 of 30" in text
    assert "chip 13 of 30" not in text


def test_methods_with_masks_that_nobody_learned_say_so() -> None:
    for draw in (methods.switch_figure, methods.kept_figure, methods.inference_figure):
        figure = draw(METHOD_ROWS)
        assert figure is not None
        assert "xbm (resampled masks)" in words(figure)
    assert {"226 ns", "7 ms", "5.59 nJ", "30 µJ", "0"} <= set(words(methods.switch_figure(METHOD_ROWS)).split("\n"))
    nothing = METHOD_ROWS.assign(mask_bits=0, norm_bits=0, weight_bits=0)
    assert methods.kept_figure(nothing) is None


def test_over_devices_the_range_is_drawn() -> None:
    rows = pd.concat([METHOD_ROWS.assign(device="a"), METHOD_ROWS.assign(device="b", switch_latency_ns=[14e6, 452.0])])
    figure = methods.switch_figure(rows)
    segments = [tuple(segment[:, 0]) for segment in figure.axes[0].collections[1].get_segments()]
    assert segments == [pytest.approx((226e-6, 452e-6)), pytest.approx((7.0, 14.0))]


def frame_of(grid: Mapping[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows_of(grid))


def test_axes_of_a_sweep_are_what_its_points_differ_in() -> None:
    assert sweep.axes_of(frame_of(TWO)) == ["crossbar.rows", "adc.bits"]
    assert sweep.axes_of(frame_of({**ONE, "crossbar.rows": [72]})) == ["adc.bits"]


def test_lines_say_units_hollow_points_and_failures() -> None:
    frame = frame_of({"crossbar.rows": [64, 72, 128], "adc.bits": [5]})
    figure = sweep.line_figure(frame, "crossbar.rows")
    assert figure is not None
    text = words(figure)
    for label in (
        "energy per inference (nJ)",
        "latency per task switch (ms)",
        "crossbar.rows",
        sweep.HOLLOW,
        sweep.FAILED,
    ):
        assert label in text
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["xbm"].get_xdata().tolist() == [64, 72]
    assert lines[sweep.HOLLOW].get_xdata().tolist() == [64]
    assert lines["xbm"].get_linestyle() != lines["finetune"].get_linestyle()
    assert lines["xbm"].get_marker() != lines["finetune"].get_marker()


def test_heat_maps_carry_values_labels_and_failures() -> None:
    figure = sweep.heat_figure(frame_of(TWO), ["crossbar.rows", "adc.bits"], "energy_per_inference_pj")
    assert figure is not None
    text = words(figure)
    assert "r: resampled masks (synthetic); crossed out: failed" in text
    assert "energy per inference (nJ)" in text
    assert text.count("\nr") >= 2
    xbm, finetune = figure.axes[:2]
    assert (xbm.get_title(), finetune.get_title()) == ("xbm", "finetune")
    assert sum(patch.get_hatch() is not None for patch in xbm.patches) == 2
    assert sum(patch.get_hatch() is not None for patch in finetune.patches) == 0
    shown = xbm.images[0].get_array()
    assert shown.shape == (2, 3)
    assert np.isnan(np.asarray(shown.filled(np.nan), float)).sum() == 2


def test_more_axes_have_panels_and_main_effects() -> None:
    frame = frame_of(THREE)
    axes = sweep.axes_of(frame)
    figure = sweep.heat_figure(frame, axes, "switch_energy_pj")
    assert figure is not None
    assert "xbm, device=puma_serial" in words(figure)
    effects = sweep.effects_figure(frame, axes)
    assert effects is not None
    assert {"crossbar.rows", "adc.bits", "device", "taox_hfox"} <= set(words(effects).split("\n"))
    sample = frame.sample(4, random_state=1)
    assert sweep.heat_figure(sample.assign(**{"adc.bits": [1, 2, 3, 4], "crossbar.rows": [5, 6, 7, 8]}), axes[:2],
                             "switch_energy_pj") is None  # fmt: skip


@pytest.mark.parametrize("label", [("resampled", 1, 0, "r"), ("synthetic", 4, 9, "spm"), ("learned", 1, 0, "")])
def test_letters_say_what_is_not_as_learned(label: tuple[str, int, int, str]) -> None:
    masks, phases, cells, letters = label
    assert sweep.label_of({"masks": masks, "read_phases": phases, "extra_cells": cells}) == letters
    assert sweep.label_of({"masks": masks, "read_phases": None, "extra_cells": pd.NA}) == letters[:1].strip("pm")


def test_pareto_figures_mark_the_front() -> None:
    frame = sweep.done(frame_of(TWO))
    figure = pareto.pareto_figure(frame)
    assert figure is not None
    text = words(figure)
    assert "Pareto front" in text
    assert "latency per inference (µs)" in text
    rings = next(line for line in figure.axes[0].get_lines() if line.get_markersize() == 12)
    best = pareto.front(frame, ["latency_per_inference_ns", "energy_per_inference_pj"])
    assert len(rings.get_xdata()) == len(best.drop_duplicates(["latency_per_inference_ns", "energy_per_inference_pj"]))
    assert pareto.pareto_figure(frame.head(1)) is None


def test_colours_and_patterns_tell_parts_apart_in_grey() -> None:
    looks = [next_ for next_, _ in zip(fills(), range(14), strict=False)]
    assert len({(one["facecolor"], one["hatch"]) for one in looks}) == 14
    assert len({one["hatch"] for one in looks[:7]}) == 7
    greys = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b, _ in shades(20)]
    assert greys == sorted(greys)
    assert (ink("white"), ink("#222222")) == ("black", "white")


def test_inline_pictures_have_ids_of_their_own() -> None:
    placed = placement_json(place(chip(), tiny()))
    one, two = inline_svg(mapping_figure(placed), "a"), inline_svg(mapping_figure(placed), "b")
    ids = re.findall(r'\bid="([^"]+)"', one + two)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', one)) <= set(ids)
    assert one == inline_svg(mapping_figure(placed), "a")
    assert "metadata" not in one
    assert "xmlns" not in one


def test_files_of_figures_are_the_same_again(tmp_path: Any) -> None:
    for name in ("one", "two"):
        figure = methods.switch_figure(METHOD_ROWS)
        save(figure, tmp_path, name, FORMATS)
    for form in FORMATS:
        assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")

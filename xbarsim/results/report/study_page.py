"""The page of a sweep or a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xbarsim.errors import InputError
from xbarsim.results.figures import sweep as drawn
from xbarsim.results.figures.pareto import PAIRS, front, pareto_figure, trials_figure
from xbarsim.results.report.folder import StudyFolder
from xbarsim.results.report.page import Item, Lines, Page, Section, items, plate, table, words
from xbarsim.results.report.parts import mask_warnings, provenance

MEASURES = {
    "switch_latency_ns": "switch latency", "switch_energy_pj": "switch energy", "cells_written": "cells written",
    "energy_per_inference_pj": "energy per inference", "latency_per_inference_ns": "latency per inference",
    "break_even": "no more energy than finetune", "break_even_inferences": "at inferences per switch",
}  # fmt: skip
ABOUT = {
    "method": "method", "mask_fit": "mask fit", "masks": "masks", "fits": "fits", "crossbars": "crossbars",
    "extra_cells": "extra cells", "read_phases": "read phases",
}  # fmt: skip
"""Headings of the table of points."""


def study_page(folder: StudyFolder) -> Page:
    """Everything about a sweep or a search."""
    return _search_page(folder) if folder.kind == "search" else _sweep_page(folder)


def _name(manifest: Mapping[str, Any], key: str) -> str:
    value = manifest.get(key)
    return str(value.get("name") if isinstance(value, Mapping) else value)


def _sweep_page(folder: StudyFolder) -> Page:
    frame, manifest = folder.frame, folder.manifest
    axes = drawn.axes_of(frame)
    good = drawn.done(frame)
    masks = good.get("masks", [])
    failed = len(frame) - len(good)
    sections = (
        Section("points", "The sweep", _over_axes(frame, axes)),
        _fronts(good, axes),
        Section("table", "All points", items(_points(frame, axes), *_failures(frame))),
        provenance({key: value for key, value in manifest.items() if key != "settings"}),
    )
    span = ", ".join(f"{name} ({frame[name].nunique(dropna=False)} values)" for name in axes) or "one point"
    warnings = mask_warnings(bool(folder.result.get("synthetic")), masks)
    warnings += [f"{failed} of {len(frame)} points failed; they are crossed out, and listed under all points."] \
        if failed else []  # fmt: skip
    return Page(
        title=f"{_name(manifest, 'bundle')} on {_name(manifest, 'chip')}: sweep over {_listed(axes) or 'one point'}",
        about=f"{len(frame)} points with {frame['method'].nunique()} methods over {span}; means per task switch and "
        "per inference, installation apart.",
        headline=(("points", f"{len(frame):,}"), ("failed", f"{failed:,}"),
                  ("masks", ", ".join(dict.fromkeys(str(one) for one in masks if isinstance(one, str))) or "–")),
        warnings=tuple(warnings),
        sections=tuple(section for section in sections if section.items),
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _over_axes(frame: pd.DataFrame, axes: Sequence[str]) -> tuple[Item, ...]:
    """Lines over one axis, heat maps over two, both views for more."""
    if len(axes) == 1:
        return items(plate(
            "lines", drawn.line_figure(frame, axes[0]), f"Every measure over {axes[0]}, a line per method. Hollow: "
            "masks that were not learned for this point. A cross at the foot: a method failed there.",
            f"Four panels of lines over {axes[0]}, one line per method; the table of points has the numbers.",
        ))  # fmt: skip
    found: list[Item | None] = []
    for key, name in drawn.metrics_of(frame).items() if len(axes) > 1 else ():
        found.append(plate(
            f"heat-{key}", drawn.heat_figure(frame, axes, key), f"{name.capitalize()} by method over "
            f"{_listed(axes)}. Letters in a cell: r resampled masks (synthetic), s synthetic masks, p phased "
            "reads, m more crossbar cells. Crossed out: failed.",
            f"Heat maps of {name}, a panel per method; the table of points has the numbers.",
        ))  # fmt: skip
    if len(axes) > 2 or (len(axes) > 1 and not any(found)):
        found.append(plate(
            "effects", drawn.effects_figure(frame, axes), "Every measure over every axis: the median over all values "
            "of the other axes; with few methods the band reaches from the smallest to the largest.",
            f"Panels of lines over {', '.join(axes)}; the table of points has the numbers.",
        ))  # fmt: skip
    return items(*found)


def _fronts(good: pd.DataFrame, axes: Sequence[str]) -> Section:
    """Pareto fronts of energy and latency, as a picture and as tables."""
    found: list[Item | None] = [plate(
        "pareto", pareto_figure(good), "Points by latency and energy; rings mark the Pareto front, the points that "
        "none is better than in both, numbered from the left as in the tables.",
        "Two panels of points by latency and energy with the Pareto front; the tables list the front.",
    )]  # fmt: skip
    for x, y, title in PAIRS:
        if {x, y} <= set(good) and len(good.dropna(subset=[x, y])) > 1:
            best = front(good, [x, y]).drop_duplicates([x, y])
            best = best.assign(number=range(1, len(best) + 1))
            headings = {"number": "no.", **{axis: axis for axis in axes}, "method": "method", "masks": "masks",
                        x: MEASURES[x], y: MEASURES[y]}  # fmt: skip
            found.append(table(f"front-{title.replace(' ', '-')}", f"Pareto front of the {title}; of equal points the "
                               "first.", best, headings))  # fmt: skip
    return Section("front", "Pareto fronts", items(*found))


def _points(frame: pd.DataFrame, axes: Sequence[str]) -> Item | None:
    shown = frame.assign(failed=frame["error"].notna()) if frame["error"].notna().any() else frame
    fixed = [name for name in frame.columns[: list(frame.columns).index("method")] if name not in axes]
    headings = {**{name: name for name in (*axes, *fixed)}, **ABOUT, **MEASURES, "failed": "failed"}
    return table("points", "Every point with every method; means per switch and per inference.", shown, headings)


def _failures(frame: pd.DataFrame) -> list[Item | None]:
    errors = frame["error"].dropna()
    if errors.empty:
        return []
    counts = errors.value_counts(sort=False)
    lines = tuple(f"{count} of {len(frame)} points: {message}" for message, count in counts.items())
    return [Lines(lines, "What failed:")]


# ---- search --------------------------------------------------------------------------------------


def _search_page(folder: StudyFolder) -> Page:
    frame, manifest, result = folder.frame, folder.manifest, folder.result
    names = [*result["minimize"], *result["maximize"]]
    columns = {name: _column(frame, name) for name in names}
    objectives, largest = list(columns.values()), [columns[name] for name in result["maximize"]]
    axes = [name for name in manifest["space"] if name in frame and name != "method"]
    failed = int(frame["error"].notna().sum())
    broken = int((~frame["feasible"].astype(bool)).sum()) - failed
    best = frame[frame["front"].astype(bool)].sort_values(objectives[0], kind="stable")
    best = best.assign(number=range(1, len(best) + 1))
    headings = {**{axis: axis for axis in axes}, "method": "method", "masks": "masks",
                **{column: words(column) for column in objectives}}  # fmt: skip
    bounds = f" Bounds: {', '.join(result['constraints'])}." if result["constraints"] else ""
    goals = "; ".join(f"to be {word}: {_listed(result[key])}" for key, word in
                      (("minimize", "small"), ("maximize", "large")) if result[key])  # fmt: skip
    front_items = items(
        plate("pareto", trials_figure(frame, objectives, largest), "Trials by their objectives; rings mark the Pareto "
              "front over all objectives, numbered as in its table. Hollow points break a bound.",
              "Points of all trials with the Pareto front; the table lists the front."),
        table("front", "The Pareto front: trials that none is better than in every objective.", best,
              {"number": "no.", "trial": "trial", **headings}),
    )  # fmt: skip
    trials = items(
        table("trials", "All trials in the order in which they were made.", frame.assign(failed=frame["error"].notna()),
              {"trial": "trial", **headings, "feasible": "keeps bounds", "front": "on the front", "failed": "failed"},
              main=False), *_failures(frame),
    )  # fmt: skip
    notes = tuple(str(line) for line in result["assumptions"])
    sections = (
        Section("front", "Pareto front", front_items),
        Section("trials", "All trials", trials),
        Section("assumptions", "Assumptions", items(Lines(notes) if notes else None)),
        provenance(manifest),
    )
    warnings = mask_warnings(bool(result["synthetic"]), frame["masks"].dropna() if "masks" in frame else [])
    return Page(
        title=f"{_name(manifest, 'bundle')} on {_name(manifest, 'chip')}: search for {_listed(names)}",
        about=f"{len(frame)} trials over {_listed(axes)}; {goals}.{bounds}",
        headline=(("trials", f"{len(frame):,}"), ("on the front", f"{len(best):,}"), ("failed", f"{failed:,}"),
                  ("break a bound", f"{broken:,}")),
        warnings=tuple([*warnings, f"{failed} of {len(frame)} trials failed; they are listed under all trials."]
                       if failed else warnings),
        sections=tuple(section for section in sections if section.items),
    )  # fmt: skip


def _column(frame: pd.DataFrame, name: str) -> str:
    """The column of an objective: of its name, or with its unit behind it."""
    found = [str(column) for column in frame if column == name or str(column).startswith(f"{name}_")]
    if not found:
        raise InputError(f"search.json: no column for the objective {name!r}")
    return found[0]

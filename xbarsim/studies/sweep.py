"""A grid of chips: every point with every method, one tidy row each.

A :class:`Point` says all that a row depends on, and :func:`evaluate` is a pure function of it and of
the network; so points can be done in any order and in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from xbarsim.chip import Chip, load_chip
from xbarsim.config.decimals import plain_number
from xbarsim.errors import DoesNotFit, InputError, XbarsimError
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.studies.compare import baseline, check_methods, measures, with_break_even
from xbarsim.studies.grid import Grid, check_grid, points_of
from xbarsim.studies.simulate import simulate

SCHEMA = "xbarsim.sweep/1"

ABOUT = ("mask_fit", "masks", "fits", "crossbars", "extra_cells", "read_phases")
"""Columns on the chip of a row, before those of a comparison."""

WHOLE = ("crossbars", "extra_cells", "read_phases")
"""Columns of whole numbers, missing where a point failed."""


@dataclass(frozen=True)
class Point:
    """One chip of the grid with one method."""

    chip: str
    """File that the chip was read from."""
    overrides: tuple[str, ...]
    """What is set over the file at every point."""
    settings: tuple[tuple[str, object], ...]
    """What the grid sets at this point."""
    method: str
    scenario: str | None = None
    engine: str = "compiled"
    seed: int = 0

    def build(self) -> Chip:
        """The chip of this point; raise :class:`InputError` if there is no such chip."""
        return load_chip(self.chip, self.overrides).vary(dict(self.settings))


Row = dict[str, Any]


def evaluate(point: Point, network: Network) -> Row:
    """The row of one point; one that fails says why under ``error`` and leaves the measures out."""
    row: Row = {key: plain_number(value) for key, value in point.settings}
    row |= {"method": point.method} | dict.fromkeys(ABOUT) | {"error": None}
    try:
        chip = point.build()
        row["mask_fit"] = chip.file.mapping.mask_fit
        row["fits"] = place(chip, network).fits
        run = simulate(chip, network, point.method, point.scenario, engine=point.engine, seed=point.seed)
    except XbarsimError as reason:
        fits = {"fits": False} if isinstance(reason, DoesNotFit) else {}
        return row | fits | {"error": str(reason)}
    row["crossbars"] = sum(site.crossbars for site in run.placement.sites.values())
    row |= {"extra_cells": run.mask_fit["extra_cells"], "read_phases": run.mask_fit["phases"]}
    return row | measures(run)


def sweep(
    chip: str | Chip,
    network: Network,
    grid: Grid,
    *,
    methods: Sequence[str] | None = None,
    mask_fit: str | None = None,
    scenario: str | None = None,
    engine: str = "compiled",
    seed: int = 0,
    progress: Callable[[str], None] = lambda point: None,
) -> pd.DataFrame:
    """Evaluate every combination of the grid's values with every method, one row each.

    ``methods``: by default those that every task has tensors of. ``mask_fit``: what happens to column
    masks of another crossbar height, at every point. ``crossbars`` counts those in use, copies and
    resident heads included; means are per switch, installation excluded. A point that fails is a row
    with its message. Raise :class:`InputError` for a grid or methods that cannot be meant.
    """
    check_grid(grid)
    start = load_chip(chip) if isinstance(chip, str) else chip
    start = start.vary({"mapping.mask_fit": mask_fit}) if mask_fit else start
    chosen = list(dict.fromkeys(methods if methods is not None else shared_methods(network)))
    check_methods(network, chosen, scenario)
    rows: list[Row] = []
    simulated = list(dict.fromkeys([*chosen, *baseline(network)]))
    for settings in points_of(grid):
        found = []
        for method in simulated:
            point = Point(start.origin, start.overrides, tuple(settings.items()), method, scenario, engine, seed)
            progress(_label(point))
            found.append(evaluate(point, network))
        rows += [row for row in _against_baseline(found) if row["method"] in chosen]
    frame = pd.DataFrame([{**row, "error": row.pop("error")} for row in rows])
    frame = frame.astype(dict.fromkeys(WHOLE, "Int64"))
    return frame[[*frame.columns.drop("error"), "error"]]


def _against_baseline(rows: Sequence[Row]) -> list[Row]:
    """The rows of one chip with their break-even points; those that failed have none."""
    done = iter(with_break_even([row for row in rows if row["error"] is None]))
    return [row if row["error"] is not None else next(done) for row in rows]


def _label(point: Point) -> str:
    return " ".join([*(f"{key}={value}" for key, value in point.settings), point.method])


def shared_methods(network: Network) -> list[str]:
    """Methods that every task has tensors of, in the order of the network."""
    tasks = list(network.tasks.values())
    shared = [name for name in tasks[0].methods if all(name in task.methods for task in tasks)] if tasks else []
    if not shared:
        raise InputError(f"{network.source}: no method that every task has; name some")
    return shared


def failures(frame: pd.DataFrame) -> list[tuple[str, int]]:
    """Messages of points that failed, and at how many rows each stands."""
    errors = sorted(error for error in frame["error"] if isinstance(error, str))
    return [(error, len(list(group))) for error, group in groupby(errors)]


def to_json(frame: pd.DataFrame, chip: str, network: Network) -> dict[str, Any]:
    """The ``xbarsim.sweep/1`` object."""
    rows = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in frame.to_dict("records")]
    resampled = "masks" in frame and bool((frame["masks"] == "resampled").any())
    return {
        "schema": SCHEMA,
        "chip": chip,
        "bundle": network.name,
        "synthetic": network.synthetic or resampled,
        "failed": sum(count for _, count in failures(frame)),
        "rows": rows,
    }

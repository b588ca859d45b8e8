"""Sweeps: many chips, each with every method, one tidy row each.

Chips are a grid of values, a list of points, or a sample (:mod:`xbarsim.studies.grid`, ``listed``, ``space``). Every
point is done once and stored (:mod:`xbarsim.studies.store`); tables are made from stored points in the order of the
grid, so they are the same however the points came about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from xbarsim.chip import Chip, load_chip
from xbarsim.errors import Fault, InputError, XbarsimError
from xbarsim.network import Network
from xbarsim.studies.compare import baseline, check_methods, with_break_even
from xbarsim.studies.grid import Axes, Grid, axes_of, check_points, grid_points
from xbarsim.studies.points import (
    Job,
    Point,
    Row,
    Settings,
    bare,
    chip_digest,
    evaluate,
    failed,
    key_of,
    method_digest,
    scenario_digest,
    shown,
)
from xbarsim.studies.runner import carry_out, crew
from xbarsim.studies.store import Store, base_manifest, open_store, read_manifest

__all__ = ["Point", "Stored", "Sweep", "evaluate", "load_sweep", "prepare", "sweep"]

SCHEMA = "xbarsim.sweep/1"
CSV, JSON = "sweep.csv", "sweep.json"

WHOLE = ("chips", "tiles", "crossbars", "extra_cells", "read_phases")
"""Columns of whole numbers, missing where a point failed."""


@dataclass(frozen=True)
class Entry:
    """One point of a sweep: where it stands, and what is to be done or known already."""

    settings: Settings
    method: str
    key: str
    job: Job | None
    """Nothing where there is no such chip."""
    row: Row | None = None
    """What is known without simulating."""

    @property
    def label(self) -> str:
        """The point in words."""
        return " ".join([*(f"{key}={value}" for key, value in shown(self.settings).items()), self.method])


@dataclass(frozen=True, eq=False)
class Sweep:
    """What is to be done: chips, methods, scenario. Make one with :func:`prepare`."""

    start: Chip
    network: Network
    settings: tuple[Settings, ...]
    """What each chip sets, in the order of the table."""
    methods: tuple[str, ...]
    scenario: str | None = None
    engine: str = "compiled"
    seed: int = 0
    axes: Axes | None = None
    """Values by key, where the points are a grid."""

    @property
    def simulated(self) -> list[str]:
        """The methods, and the one that they are compared with."""
        return list(dict.fromkeys([*self.methods, *baseline(self.network)]))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What identifies this sweep; the same for every shard and every way of carrying it out."""
        return {
            **base_manifest("sweep", self.start, self.network),
            "methods": list(self.methods),
            "scenario": self.scenario,
            "scenario_digest": scenario_digest(self.scenario, self.network),
            "seed": self.seed,
            "grid": self.axes is not None,
            "axes": axes_of(self.settings, self.axes),
            "points": len(self.settings),
            "rows": len(self.settings) * len(self.methods),
            **({} if self.axes is not None else {"settings": [shown(one) for one in self.settings]}),
        }  # fmt: skip

    @cached_property
    def entries(self) -> list[Entry]:
        """Every point with every method that is simulated, in the order of the table."""
        network = self.manifest["bundle"]["digest"], self.manifest["scenario_digest"]
        methods = {method: method_digest(method) for method in self.simulated}
        found: list[Entry] = []
        for settings in self.settings:
            chip, row = self._chip(settings)
            digest = chip_digest(chip) if chip else self._no_chip(settings)
            for method in self.simulated:
                key = key_of(digest, network[0], methods[method], network[1], self.seed)
                entry = Entry(settings, method, key, None, row)
                job = Job(key, chip, method, self.scenario, self.engine, self.seed, entry.label) if chip else None
                found.append(replace(entry, job=job))
        return found

    def _chip(self, settings: Settings) -> tuple[Chip | None, Row | None]:
        try:
            return bare(self.start.vary(settings)), None
        except XbarsimError as reason:
            return None, failed(reason)

    def _no_chip(self, settings: Settings) -> str:
        return f"{self.manifest['chip']['digest']} with {json.dumps(shown(settings))}"

    def part(self, shard: tuple[int, int] = (1, 1)) -> list[Entry]:
        """The ``I``-th of ``N`` parts; all methods of a chip are in the same one."""
        number, parts = shard
        each = len(self.simulated)
        return [entry for at, entry in enumerate(self.entries) if at // each % parts == number - 1]

    def missing(self, store: Store, shard: tuple[int, int] = (1, 1)) -> list[Entry]:
        """Points of a part that are not in the store."""
        return [entry for entry in self.part(shard) if store.get(entry.key) is None]

    def carry_out(
        self, store: Store, shard: tuple[int, int] = (1, 1), *, jobs: int = 1, cluster: str | None = None,
        progress: Callable[[str], None] = lambda point: None,
    ) -> None:  # fmt: skip
        """Do what is missing in a part; ``jobs`` and ``cluster`` as for :func:`sweep`."""
        left = self.missing(store, shard)
        for entry in left:
            if entry.row is not None:
                store.put(entry.key, entry.row, {"method": entry.method, "point": entry.label})
        work = [entry.job for entry in left if entry.job]
        if work:
            with crew(self.network, min(jobs, len(work)), cluster) as as_done:
                carry_out(work, store, as_done, progress)

    def rows(self, store: Store) -> list[Row]:
        """The rows of all chips whose points are there, in order."""
        rows: list[Row] = []
        each = len(self.simulated)
        for at in range(0, len(self.entries), each):
            group = [(entry, store.get(entry.key)) for entry in self.entries[at : at + each]]
            done = [shown(entry.settings) | {"method": entry.method} | row for entry, row in group if row is not None]
            if len(done) == each:
                rows += [row for row in _against_baseline(done) if row["method"] in self.methods]
        return rows

    def finish(self, store: Store) -> pd.DataFrame:
        """The table, as far as it goes; where all points are there, it is written into the store's folder."""
        rows = self.rows(store)
        frame = frame_of(rows)
        frame.attrs["complete"] = len(rows) == self.manifest["rows"]
        frame.attrs["notes"] = list(dict.fromkeys([*store.notes, *store.strange(e.key for e in self.entries)]))
        if frame.attrs["complete"]:
            result = to_json(frame, self.start.name, self.network)
            text = json.dumps(result, indent=1, allow_nan=False) + "\n"
            store.finish({CSV: frame.to_csv(index=False), JSON: text})
        return frame


def prepare(
    chip: str | Chip,
    network: Network,
    grid: Grid | Sequence[Settings],
    *,
    methods: Sequence[str] | None = None,
    mask_fit: str | None = None,
    scenario: str | None = None,
    engine: str = "compiled",
    seed: int = 0,
) -> Sweep:
    """Check what is asked for and return it as a sweep; see :func:`sweep`."""
    settings = grid_points(grid) if isinstance(grid, Mapping) else check_points(grid)
    start = load_chip(chip) if isinstance(chip, str) else chip
    start = start.vary({"mapping.mask_fit": mask_fit}) if mask_fit else start
    chosen = list(dict.fromkeys(methods if methods is not None else shared_methods(network)))
    check_methods(network, chosen, scenario)
    axes = {key: tuple(values) for key, values in grid.items()} if isinstance(grid, Mapping) else None
    return Sweep(start, network, tuple(settings), tuple(chosen), scenario, engine, seed, axes)


def sweep(
    chip: str | Chip,
    network: Network,
    grid: Grid | Sequence[Settings],
    *,
    methods: Sequence[str] | None = None,
    mask_fit: str | None = None,
    scenario: str | None = None,
    engine: str = "compiled",
    seed: int = 0,
    out: str | Path | None = None,
    shard: tuple[int, int] = (1, 1),
    jobs: int = 1,
    cluster: str | None = None,
    progress: Callable[[str], None] = lambda point: None,
) -> pd.DataFrame:
    """Evaluate every combination of the grid's values with every method, one row each.

    ``grid``: values by chip key; or a list of points, each with its values by key. ``methods``: by default those
    that every task has tensors of. ``mask_fit``: what happens to column masks of another crossbar height, at every
    point. ``out``: a folder that keeps every point; a sweep that was ended goes on there. ``shard``: only the
    ``I``-th of ``N`` parts, as ``(I, N)``; the table has the rows that are there. ``jobs``: processes; ``cluster``:
    a Dask scheduler, or ``local``; results depend on neither.

    ``crossbars`` counts those in use, copies and resident heads included; means are per switch, installation
    excluded. A point that fails is a row with its message. ``attrs`` of the table say whether it is ``complete``
    and what was found in the folder that is no result (``notes``). Raise :class:`InputError` for a grid or methods
    that cannot be meant, and for a folder that holds something else.
    """
    study = prepare(
        chip, network, grid, methods=methods, mask_fit=mask_fit, scenario=scenario, engine=engine, seed=seed
    )
    check_shard(shard)
    store = open_store(None if out is None else Path(out), study.manifest)
    study.carry_out(store, shard, jobs=jobs, cluster=cluster, progress=progress)
    return study.finish(store)


def check_shard(shard: tuple[int, int]) -> None:
    """Raise :class:`InputError` for a shard that there is not."""
    number, parts = shard
    if not 1 <= number <= parts:
        raise InputError(f"shard {number}/{parts}: the first number is from 1 to the second, as in 1/4 … 4/4")


@dataclass(frozen=True, eq=False)
class Stored:
    """A finished sweep as it stands in its folder."""

    folder: Path
    manifest: Mapping[str, Any]
    """``manifest.json``: chip, bundle, methods, ``axes``, …"""
    result: Mapping[str, Any]
    """``sweep.json``: ``synthetic``, ``failed``, ``rows``."""
    frame: pd.DataFrame
    """One row per point and method, as :func:`sweep` returned it."""


def load_sweep(folder: str | Path) -> Stored:
    """Read a finished sweep; raise :class:`InputError` for a folder that holds none."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["kind"] != "sweep":
        raise InputError(Fault(str(folder), f"holds a {manifest['kind']}, no sweep"))
    path = folder / JSON
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = "the sweep is not finished: there is no table yet; the command that began it goes on with it"
        raise InputError(Fault(str(folder), message)) from None
    except ValueError:
        raise InputError(Fault(str(path), "is damaged: it is not JSON text; run the sweep again to write it")) from None
    return Stored(folder, manifest, result, frame_of(result["rows"]))


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table; ``error`` stands last."""
    if not rows:
        return pd.DataFrame()
    columns = dict.fromkeys(key for row in rows for key in row)
    frame = pd.DataFrame([{key: row.get(key) for key in columns} for row in rows])
    frame = frame.astype(dict.fromkeys(WHOLE, "Int64"))
    return frame[[*frame.columns.drop("error"), "error"]]


def _against_baseline(rows: Sequence[Row]) -> list[Row]:
    """The rows of one chip with their break-even points; those that failed have none."""
    done = iter(with_break_even([row for row in rows if row["error"] is None]))
    return [row if row["error"] is not None else next(done) for row in rows]


def shared_methods(network: Network) -> list[str]:
    """Methods that every task has tensors of, in the order of the network."""
    tasks = list(network.tasks.values())
    shared = [name for name in tasks[0].methods if all(name in task.methods for task in tasks)] if tasks else []
    if not shared:
        raise InputError(f"{network.source}: no method that every task has; name some")
    return shared


def failures(frame: pd.DataFrame) -> list[tuple[str, int]]:
    """Messages of points that failed, and at how many rows each stands."""
    errors = sorted(error for error in frame["error"] if isinstance(error, str)) if "error" in frame else []
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

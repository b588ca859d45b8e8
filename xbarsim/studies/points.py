"""Points of a study: one chip with one method, what it gives, and the hash under which that is stored.

:func:`measured` is a pure function of chip, network, method, scenario and seed; :func:`key_of` is a hash of exactly
these, and of the code. So points can be done in any order, in any process, and once.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import xbarsim
from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip, load_chip
from xbarsim.config import digest
from xbarsim.dataflow import parse_scenario
from xbarsim.errors import DoesNotFit, XbarsimError
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.studies.compare import measures
from xbarsim.studies.grid import shown as plain
from xbarsim.studies.simulate import simulate

Row = dict[str, Any]
Settings = Mapping[str, object]
"""What a point sets: values by chip key."""

SCHEMA = "xbarsim.point/1"
"""Version of what is stored of a point."""

ABOUT = ("mask_fit", "masks", "fits", "chips", "tiles", "crossbars", "extra_cells", "read_phases")
"""Columns on the chip of a row, before those of a comparison."""

APART = ("__", "cli", "learning", "network/builders", "network/blueprint", "network/importers", "results", "studies")
"""Beginnings of paths in the package that no result depends on,"""
NEEDED = {
    "results": ("durations", "frames", "ledger", "lifetime", "moments", "run", "usage", "wear"),
    "studies": ("accuracy", "breakeven", "compare", "devices", "grid", "intervals", "points", "pool", "simulate"),
}
"""except these modules."""


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


@dataclass(frozen=True)
class Job:
    """A point that can be done: its chip, and the key its result is stored under."""

    key: str
    chip: Chip
    method: str
    scenario: str | None = None
    engine: str = "compiled"
    seed: int = 0
    label: str = ""
    """What progress shows."""

    def do(self, network: Network) -> Row:
        """The result, without the settings that led to the chip."""
        return measured(self.chip, network, self.method, self.scenario, self.engine, self.seed)


def evaluate(point: Point, network: Network) -> Row:
    """The row of one point; one that fails says why under ``error`` and leaves the measures out."""
    row = shown(dict(point.settings)) | {"method": point.method}
    try:
        chip = point.build()
    except XbarsimError as reason:
        return row | failed(reason)
    return row | measured(chip, network, point.method, point.scenario, point.engine, point.seed)


def shown(settings: Settings) -> Row:
    """Settings as a table holds them."""
    return {key: plain(value) for key, value in settings.items()}


def failed(reason: XbarsimError) -> Row:
    """What is known of a point whose chip cannot be."""
    return dict.fromkeys(ABOUT) | {"error": str(reason)}


def measured(
    chip: Chip, network: Network, method: str, scenario: str | None = None, engine: str = "compiled", seed: int = 0
) -> Row:
    """The columns of one chip with one method, ``error`` among them; means are per switch."""
    row: Row = dict.fromkeys(ABOUT) | {"error": None, "mask_fit": chip.file.mapping.mask_fit}
    try:
        run = simulate(chip, network, method, scenario, engine=engine, seed=seed)
    except XbarsimError as reason:
        return row | {"fits": _fits(chip, network, reason), "error": str(reason)}
    placement = run.placement
    row["fits"] = (placement if placement.network is network else place(chip, network)).fits
    row |= {"chips": placement.chips, "tiles": placement.tiles}
    row["crossbars"] = sum(site.crossbars for site in placement.sites.values())
    row |= {"extra_cells": run.mask_fit["extra_cells"], "read_phases": run.mask_fit["phases"]}
    return row | measures(run)


def _fits(chip: Chip, network: Network, reason: XbarsimError) -> bool | None:
    """Whether the backbone fits a chip that something else may be wrong with; unknown where it cannot be placed."""
    if isinstance(reason, DoesNotFit):
        return False
    try:
        return place(chip, network).fits
    except XbarsimError:
        return None


def bare(chip: Chip) -> Chip:
    """The chip without the origins of its figures: all that a simulation reads, and less to send."""
    return replace(chip, traced=(), resolved=None)


# ---- identity ------------------------------------------------------------------------------------


def key_of(chip: str, network: str, method: str, scenario: str, seed: int, **more: object) -> str:
    """The hash that a point is stored under, of digests of its chip, network and scenario; not of the engine."""
    return sha256({
        "schema": SCHEMA, "code": code(), "chip": chip, "network": network, "method": method, "scenario": scenario,
        "seed": seed, **more,
    })  # fmt: skip


def chip_digest(chip: Chip) -> str:
    """A hash of every figure of a chip: the typed file with parents, device, defaults, and foreign price tables."""
    energies = sorted([*key, value] for key, value in chip.tables.energies.items())
    return sha256([digest(chip.file), energies, sorted(chip.tables.areas.items())])


def network_digest(network: Network) -> str:
    """A hash of everything a network consists of: of a bundle every file, of a layer table its content and seed."""
    hashed = hashlib.sha256(f"{network.name} {network.fingerprint} {network.seed}".encode())
    folder = Path(network.source)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            hashed.update(f"\0{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                hashed.update(hashlib.file_digest(file, "sha256").digest())
    return hashed.hexdigest()


def scenario_digest(scenario: str | None, network: Network) -> str:
    """A hash of what a scenario asks for, whether it stands in a file or in words."""
    return sha256([[type(item).__name__, asdict(item)] for item in parse_scenario(scenario, network)])


def method_digest(method: str) -> str:
    """The name of a method; of one from outside this package also a hash of the file that it stands in."""
    home = inspect.getsourcefile(Adaption.named(method))
    if home is None or Path(home).is_relative_to(Path(xbarsim.__file__).parent):
        return method
    return f"{method}+{hashlib.sha256(Path(home).read_bytes()).hexdigest()[:12]}"


@lru_cache(maxsize=1)
def code() -> str:
    """Version and a hash of the sources and data that results depend on, as ``0.1.0+1f3a…``."""
    hashed = hashlib.sha256()
    for name, path in sorted(sources().items()):
        hashed.update(f"\0{name}\0".encode())
        hashed.update(path.read_bytes())
    return f"{xbarsim.__version__}+{hashed.hexdigest()[:12]}"


def sources() -> dict[str, Path]:
    """The files that results depend on, by their path in the package."""
    home = Path(xbarsim.__file__).parent
    every = {path.relative_to(home).as_posix(): path for end in ("py", "yaml") for path in home.rglob(f"*.{end}")}
    needed = {f"{room}/{name}.py" for room, names in NEEDED.items() for name in names}
    return {name: path for name, path in every.items() if name in needed or not name.startswith((*APART, "_share"))}


def sha256(value: object) -> str:
    """The hash of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: object) -> str:
    """JSON in which equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

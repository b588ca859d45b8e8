"""What a search looks at: measures of a point by short names, and constraints on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xbarsim.analog.prepare import samples_of
from xbarsim.chip import Chip
from xbarsim.chip.budget import budget_of
from xbarsim.errors import Fault, InputError, XbarsimError, did_you_mean
from xbarsim.network import Network
from xbarsim.studies.accuracy import CELLS, accuracy
from xbarsim.studies.points import Row

MEASURES = {
    "energy": "energy_per_inference_pj",
    "latency": "latency_per_inference_ns",
    "switch_energy": "switch_energy_pj",
    "switch_latency": "switch_latency_ns",
    "area": "area_mm2",
    "tile_area": "tile_area_mm2",
    "accuracy": "accuracy",
    "cells_written": "cells_written",
    "pulses": "pulses",
    "crossbars": "crossbars",
    "tiles": "tiles",
    "chips": "chips",
}
"""Short name -> column. ``area``: of the chips in use; ``tile_area``: of the tiles in use; ``accuracy``: mean over
tasks on the chip with its cells."""

SIZED = ("crossbar", "dac", "adc")
"""Parts without whose areas that of a chip says nothing about it."""

_CONSTRAINT = re.compile(r"\s*(\w+)\s*(<=|>=)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?)\s*")


@dataclass(frozen=True)
class Objective:
    """A measure that is to be small, or large."""

    name: str
    maximize: bool = False

    @property
    def column(self) -> str:
        """Where it stands in a row."""
        return MEASURES[self.name]


@dataclass(frozen=True)
class Constraint:
    """A bound on a measure."""

    name: str
    least: bool
    """Whether the bound is the least value, or else the largest."""
    bound: float

    @property
    def column(self) -> str:
        """Where it stands in a row."""
        return MEASURES[self.name]

    def excess(self, row: Row) -> float:
        """By how much a row breaks the bound; zero or less where it keeps it."""
        value = float(row[self.column])
        return self.bound - value if self.least else value - self.bound

    def __str__(self) -> str:
        return f"{self.name}{'>=' if self.least else '<='}{self.bound:g}"


def objectives_of(minimize: Sequence[str], maximize: Sequence[str] = ()) -> tuple[Objective, ...]:
    """Objectives by their names; raise :class:`InputError` for unknown ones, for the same one twice, and for none."""
    faults = [fault for name in (*minimize, *maximize) if (fault := _unknown(name))]
    every = [*minimize, *maximize]
    faults += [Fault("objectives", f"{name} is there twice") for name in dict.fromkeys(every) if every.count(name) > 1]
    if not every:
        faults.append(Fault("objectives", f"name at least one; known: {', '.join(MEASURES)}"))
    if "accuracy" in minimize:
        faults.append(Fault("objectives", "accuracy is to be maximized, or bounded with accuracy>=0.9"))
    if faults:
        raise InputError(faults)
    return (*(Objective(name) for name in minimize), *(Objective(name, True) for name in maximize))


def constraints_of(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """Constraints such as ``accuracy>=0.9``; raise :class:`InputError` with every fault."""
    found, faults = [], []
    for text in texts:
        parts = _CONSTRAINT.fullmatch(text)
        if parts is None:
            faults.append(Fault(f"constraint {text!r}", "write NAME<=VALUE or NAME>=VALUE, as in accuracy>=0.9"))
        elif fault := _unknown(parts[1], f"constraint {text!r}"):
            faults.append(fault)
        elif parts[1] == "accuracy" and not 0 <= float(parts[3]) <= 1:
            faults.append(Fault(f"constraint {text!r}", "an accuracy is from 0 to 1: write 0.95 for 95 %"))
        else:
            found.append(Constraint(parts[1], parts[2] == ">=", float(parts[3])))
    if faults:
        raise InputError(faults)
    return tuple(found)


def _unknown(name: str, place: str = "objectives") -> Fault | None:
    if name in MEASURES:
        return None
    return Fault(place, f"no measure {name!r}; known: {', '.join(MEASURES)}{did_you_mean(name, MEASURES)}")


def check_area(chip: Chip) -> list[str]:
    """What of a chip's area counts zero; raise :class:`InputError` if that leaves too little of it."""
    missing = [item.component for item in budget_of(chip).items if item.area_um2 is None]
    vital = [name for name in SIZED if name in missing]
    if vital:
        keys = ", ".join(f"{name}.area_um2" for name in vital)
        raise InputError(Fault(chip.origin, f"states no area of {', '.join(vital)}: there is none to minimize", keys))
    return [f"area of {name} is not published: it counts zero" for name in dict.fromkeys(missing)]


def check_samples(network: Network) -> None:
    """Raise :class:`InputError` without tasks, and if one has no samples to measure an accuracy on."""
    faults: list[Fault] = []
    if not network.task_info:
        faults.append(Fault(network.source, "has no tasks, so there is no accuracy to measure"))
    for task in network.tasks.values():
        try:
            samples_of(network, task)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)


def areas(chip: Chip, row: Row) -> Row:
    """Area of the chips and of the tiles that a point takes, in mm2."""
    budget = budget_of(chip)
    tile = budget.area_um2("tile") / 1e6
    return {"area_mm2": budget.area_um2() / 1e6 * row["chips"], "tile_area_mm2": tile * row["tiles"]}


@dataclass(frozen=True)
class AccuracyJob:
    """The accuracy of one chip with one method, to be measured and stored."""

    key: str
    chip: Chip
    method: str
    seeds: int
    samples: int | None
    seed: int
    label: str = ""

    def do(self, network: Network) -> Row:
        """Mean accuracy over the tasks on the chip with its cells, and that of each task."""
        how: dict[str, Any] = {"seeds": self.seeds, "seed": self.seed, "samples": self.samples}
        try:
            found = accuracy(self.chip, network, methods=[self.method], **how)
        except XbarsimError as reason:
            return {"accuracy": None, "tasks": {}, "error": str(reason)}
        tasks = {row["task"]: row["accuracy"] for row in found.rows if row["stage"] == CELLS}
        return {"accuracy": sum(tasks.values()) / len(tasks), "tasks": tasks, "error": None}

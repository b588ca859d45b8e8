"""The only place where energy appears: counts x prices, and standing power x time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum

import numpy as np
import pandas as pd

from xbarsim.adaptions import Change
from xbarsim.chip import Chip
from xbarsim.chip.prices import Action, Standing, prices, standing
from xbarsim.dataflow import Dataflow
from xbarsim.dataflow.draft import scaled

COLUMNS = ["phase", "entry", "task", "old", "layer", "component", "action", "count", "energy_pj"]
"""Columns of the ledger. ``phase``: install, switch, inference; ``entry``: number of the entry as the scenario
is written; ``old``: the task before, of a switch."""


@dataclass(frozen=True)
class Row:
    """So many actions in one phase, for one layer."""

    phase: str
    entry: int
    task: str
    old: str
    layer: str
    component: str
    action: str
    count: int
    """Actions; for standing power picoseconds x instances."""
    energy_pj: float


@dataclass(frozen=True, eq=False)
class Ledger:
    """All counts of a run with their energies."""

    rows: tuple[Row, ...]
    unpublished: tuple[str, ...]
    """Prices that were asked for and are not published; they count zero."""

    def energy_pj(self, **wanted: object) -> float:
        """Sum of the energies of all rows with these values, for example ``phase="switch", entry=0``."""
        return fsum(row.energy_pj for row in self._select(wanted))

    def count(self, **wanted: object) -> int:
        """Sum of the counts of all rows with these values."""
        return sum(row.count for row in self._select(wanted))

    def _select(self, wanted: Mapping[str, object]) -> Iterable[Row]:
        return (row for row in self.rows if all(getattr(row, key) == value for key, value in wanted.items()))

    def totals(self, *keys: str) -> list[tuple[tuple[object, ...], int, float]]:
        """(values of ``keys``, count, energy in pJ) summed over all else, in the order of first sight."""
        groups: dict[tuple[object, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(tuple(getattr(row, key) for key in keys), []).append(row)
        return [
            (group, sum(row.count for row in rows), fsum(row.energy_pj for row in rows))
            for group, rows in groups.items()
        ]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The ledger as a tidy table."""
        return pd.DataFrame([[getattr(row, key) for key in COLUMNS] for row in self.rows], columns=COLUMNS)


@dataclass(frozen=True)
class Span:
    """A stretch of time that belongs to one phase of one entry."""

    phase: str
    entry: int
    task: str
    old: str
    duration_ps: int


def keep_ledger(chip: Chip, chips: int, dataflow: Dataflow, installed: Change, spans: Sequence[Span]) -> Ledger:
    """Price everything that a run counted."""
    table = prices(chip)
    rows: list[Row] = []
    missing: dict[str, None] = {}

    def enter(phase: str, entry: int, task: str, old: str, layer: str, counts: Mapping[Action, int]) -> None:
        for (component, action), count in counts.items():
            price = table[component, action]
            if price is None:
                missing[f"energy of {component}.{action} is not published: it counts zero"] = None
            rows.append(Row(phase, entry, task, old, layer, component, action, count, count * (price or 0.0)))

    for layer, counts in install_counts(installed, bool(chip.file.writer.verify)).items():
        enter("install", -1, "backbone", "", layer, counts)
    for role in dataflow.roles.values():
        for at, (step, counts) in enumerate(zip(dataflow.steps, role.counts, strict=True)):
            moment = dataflow.moments[at] if role.phase == "switch" else None
            old = moment.change.old if moment else ""
            enter(role.phase, step.leaf, step.entry.task, old, role.layer, scaled(counts, step.weight))
    for power in standing(chip):
        if power.mw is None:
            missing[f"leakage of {power.component} is not published: it counts zero"] = None
        elif power.mw:
            rows += [_standing_row(power, chips, power.mw, span) for span in spans if span.duration_ps]
    return Ledger(tuple(rows), tuple(missing))


def _standing_row(power: Standing, chips: int, mw: float, span: Span) -> Row:
    count = power.instances * chips * span.duration_ps
    return Row(span.phase, span.entry, span.task, span.old, "", power.component, power.kind, count, count / 1000 * mw)


def install_counts(installed: Change, verify: bool) -> dict[str, Counter[Action]]:
    """Cells written at installation by layer and (old level, new level), all copies and resident heads."""
    counts: dict[str, Counter[Action]] = {}
    for change in installed.layers:
        into = counts.setdefault(change.site.name, Counter())
        for old, new in zip(*np.nonzero(change.attempts), strict=True):
            into["cell", f"write {old}>{new}"] += int(change.attempts[old, new]) * change.site.copies
        if verify:
            into["cell", "verify"] += int(change.attempts.sum()) * change.site.copies
    return counts

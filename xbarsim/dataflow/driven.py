"""Counts that depend on the data: which share of the rows that are counted as driven really is.

Everything is counted as if every row in use were driven in every read of a window. Where it is known how
often each row is, the drives of rows and the reads of cells shrink to that share: a row whose digit is 0
stays at 0 V, and its cells draw nothing. All else (conversions, samples, registers, time) is as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.dataflow.activity import Action, read_counts
from xbarsim.dataflow.plan import Dataflow
from xbarsim.mapping import Grid

DRIVE: Action = ("dac", "drive")
READ: Action = ("crossbar", "read")

Shares = Mapping[tuple[str, str], Mapping[Action, Fraction]]
"""By (task, layer) and action: the share of the counted actions that take place."""


def driven_shares(
    chip: Chip,
    grid: Grid,
    mask: NDArray[np.generic] | None,
    charges: NDArray[np.int64],
    chances: int,
    input_bits: int,
    *,
    phased: bool = False,
) -> dict[Action, Fraction]:
    """Return the shares of row drives and cell reads of one layer.

    charges: ``(groups, rows)`` times that each row is charged, of ``chances``. Crossbars that hold more
    columns that are on weigh more, as they do in :func:`~xbarsim.dataflow.activity.window_activity`.
    """
    counted: Counter[Action] = Counter()
    real: dict[Action, Fraction] = {DRIVE: Fraction(0), READ: Fraction(0)}
    spare = chip.file.dac.drives == "all"
    for strip, reads in enumerate(grid.readings(mask, phased=phased)):
        pieces = grid.pieces[strip]
        parts = [(piece,) for piece in pieces] if phased else [pieces]
        for part, (rows, on) in zip(parts, reads, strict=True):
            counts = read_counts(chip, grid, rows, on, input_bits)
            first, last = part[0].first, part[-1].first + part[-1].rows
            seen = charges[_groups(grid, strip), first:last]
            share = Fraction(int(seen.sum()), max(1, seen.size * chances))
            used = Fraction(rows, chip.file.crossbar.rows) if spare else Fraction(1)
            real[DRIVE] += counts[DRIVE] * share * used
            real[READ] += counts[READ] * share
            counted.update({action: counts[action] for action in real})
    return {action: count / counted[action] for action, count in real.items() if counted[action]}


def _groups(grid: Grid, strip: int) -> slice:
    """Groups of the layer whose columns stand in a strip."""
    first, count = int(grid.first_channel[strip]), int(grid.channels[strip])
    return slice(first // grid.group_channels, (first + count) // grid.group_channels)


def with_shares(dataflow: Dataflow, shares: Shares) -> Dataflow:
    """Return the same work with the counts of inferences scaled, each rounded half to even."""
    tasks = [step.entry.task for step in dataflow.steps]
    roles = {
        name: replace(role, counts=tuple(
            _scaled(counts, shares.get((task, role.layer), {}))
            for task, counts in zip(tasks, role.counts, strict=True)
        )) if role.phase == "inference" else role
        for name, role in dataflow.roles.items()
    }  # fmt: skip
    return replace(dataflow, roles=roles)


def _scaled(counts: Counter[Action], shares: Mapping[Action, Fraction]) -> Counter[Action]:
    return Counter({action: round(count * shares.get(action, 1)) for action, count in counts.items()})

"""Learning on the chip: what the updates of training themselves write into the cells.

    recorder = Recorder(chip, network)
    learned = learn(network, "finetune", data, chip, update=recorder.update)
    print(recorder.frame)

Every update rewrites the crossbars of every copy of a layer from the integers of the step before to those of
this one, by the same path as a task switch: same cells, same write law, same verification. What is programmed
before training starts is installation and not counted; neither are the passes forward and backward, the transfer
of gradients, nor the head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xbarsim.adaptions import Change, LayerChange
from xbarsim.adaptions.base import Integers
from xbarsim.adaptions.change import BACKBONE, Contents, layer_change, luck, polarity, strip_table
from xbarsim.chip import Chip, load_chip
from xbarsim.chip.prices import Action, prices
from xbarsim.errors import InputError, XbarsimError, did_you_mean
from xbarsim.kernels.wear import flip_words, strip_wear
from xbarsim.mapping import Placement, Site, place
from xbarsim.network import Network
from xbarsim.results.ledger import install_counts
from xbarsim.results.lifetime import ageing
from xbarsim.results.wear import Wear

if TYPE_CHECKING:
    from xbarsim.learning.data import TaskData

ONCE = np.array([[0, 1, 1, 0]], np.int64)
"""One move from the first to the second state."""


@dataclass(frozen=True)
class Written:
    """What training wrote into one layer; cells, pulses and energy of all copies together."""

    layer: str
    copies: int
    cells: int
    """Cells that hold weights, unit columns not counted."""
    updates: int
    """Steps that changed the layer."""
    codes_changed: int
    """Weights that got another integer, one copy counted."""
    cells_written: int
    failed_cells: int
    """Cells that missed their level after all retries."""
    pulses: int
    energy_pj: float
    """Of pulses and verification."""
    writes_max: int
    """Writes of the most written cell."""
    writes_mean: float
    pulses_max: int
    pulses_mean: float


COLUMNS = tuple(one.name for one in fields(Written))


class Recorder:
    """Counts what the updates of one training run write; see the module."""

    def __init__(
        self, chip: Chip | str, network: Network, start: Mapping[str, NDArray[np.signedinteger]] | None = None
    ) -> None:
        """Take the integers ``(c_out, rows)`` that stand in the crossbars before training.

        ``start``: by layer, where they are not the backbone's, such as those that the tasks of a sequence share.
        """
        machine = load_chip(chip) if isinstance(chip, str) else chip
        self.placement = place(machine, network)
        self._prices = prices(machine)
        self._tallies = {
            site.name: _Tally(self.placement, site, self._start(site, start)) for site in self.placement.backbone
        }
        self.steps = 0

    def update(self, step: int, integers: Mapping[str, NDArray[np.signedinteger]]) -> None:
        """Count the writes from the integers of the update before to these, ``(c_out, rows)`` by layer.

        Layers left out stay as they are. Raise :class:`InputError` for a layer that is not adapted.
        """
        self._check(integers)
        for name, new in integers.items():
            self._tallies[name].write(step, new)
        self.steps += 1

    @property
    def held(self) -> dict[str, Integers]:
        """The integers in the crossbars now, by layer."""
        return {name: tally.held.weights for name, tally in self._tallies.items()}

    @property
    def rows(self) -> list[Written]:
        """One row per layer, in graph order."""
        return [tally.written(self._prices) for tally in self._tallies.values()]

    @property
    def total(self) -> Written:
        """All layers together; maxima and means are of the single cells of all layers."""
        return together(self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a tidy table, units in the names."""
        return pd.DataFrame([asdict(row) for row in self.rows], columns=list(COLUMNS))

    @property
    def wear(self) -> Wear:
        """How many cells are how worn by this training, and by every further one like it."""
        tables = [tally.worn_cells() for tally in self._tallies.values()]
        return Wear(np.concatenate(tables), (), 1)

    @property
    def trainings_until_first_failure(self) -> float | None:
        """How often this training can be repeated until it is likely that a cell has failed.

        By the device's endurance, as published in cycles or in pulses; nothing where none is published, or where
        no cell is written.
        """
        ages = ageing(self.wear, self.placement.chip.file.device.endurance)
        return next((age.points()["first"] for age in ages if age.published), None)

    def _start(self, site: Site, start: Mapping[str, NDArray[np.signedinteger]] | None) -> Integers:
        own = (start or {}).get(site.name)
        return self.placement.network.integers(site.name, self.placement.weight_bits) if own is None else own

    def _check(self, integers: Mapping[str, NDArray[np.signedinteger]]) -> None:
        for name, new in integers.items():
            if name not in self._tallies:
                raise InputError(f"layer {name!r} is not adapted{did_you_mean(name, self._tallies)}")
            wanted = self._tallies[name].held.weights.shape
            if new.shape != wanted:
                raise InputError(f"layer {name!r}: integers of shape {new.shape}, the crossbars hold {wanted}")


def together(rows: Iterable[Written], name: str = "all") -> Written:
    """Add up layers: counts and energies summed, maxima over all cells, means weighted by cells."""
    parts = list(rows)
    cells = sum(row.cells for row in parts)
    summed = {
        key: sum(getattr(row, key) for row in parts)
        for key in ("codes_changed", "cells_written", "failed_cells", "pulses", "energy_pj")
    }
    most = {key: max(getattr(row, key) for row in parts) for key in ("copies", "updates", "writes_max", "pulses_max")}
    means = {key: sum(getattr(row, key) * row.cells for row in parts) / cells for key in ("writes_mean", "pulses_mean")}
    return Written(layer=name, cells=cells, **summed, **most, **means)


def training_writes(
    chip: Chip | str,
    network: Network,
    tasks: Sequence[TaskData],
    methods: Sequence[str] = ("finetune", "xst"),
    *,
    epochs: int = 30,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what learning every task on the chip writes, a row per method and task.

    Every training starts from the backbone in the crossbars; of methods whose tasks share the weights (xst, packnet,
    cpg) from those that the task before has left there. Columns: ``method``, ``task``, ``accuracy`` (quantised,
    held-out samples), the totals of :class:`Written` and ``trainings_until_first_failure``.
    """
    from xbarsim.learning.learn import LearnedTask, learn  # needs PyTorch

    rows = []
    for method in methods:
        before: LearnedTask | None = None
        left: Mapping[str, Integers] | None = None
        for data in tasks:
            recorder = Recorder(chip, network, left)
            update = recorder.update
            before_it = before if before is not None and before.sequence else None
            machine = recorder.placement.chip
            before = learn(network, method, data, machine, epochs=epochs, seed=seed, after=before_it, update=update)
            left = recorder.held if before.sequence else None
            total = {key: value for key, value in asdict(recorder.total).items() if key != "layer"}
            rows.append({
                "method": method, "task": data.name, "accuracy": before.accuracy["quantised"], **total,
                "trainings_until_first_failure": recorder.trainings_until_first_failure,
            })  # fmt: skip
    return pd.DataFrame(rows)


class _Tally:
    """What has been written into one layer so far."""

    def __init__(self, placement: Placement, site: Site, start: Integers) -> None:
        self.chip, self.bits, self.site = placement.chip, placement.weight_bits, site
        held = self._kept(start)
        self.held = Contents(held, polarity(held, site.grid, self.chip, self.bits))
        self.counts: Counter[Action] = Counter()
        self.strips = strip_table(site.grid)
        self.worn = [np.zeros((int(strip[2] * strip[4]) * site.grid.slices, 2), np.int64) for strip in self.strips]
        self.updates = self.codes = self.cells = self.failed = self.pulses = 0

    def write(self, step: int, weights: Integers) -> None:
        """Write other integers over those that the cells hold; a column keeps its polarity where it can."""
        if np.array_equal(weights, self.held.weights):
            return
        kept = self._kept(weights)
        new = Contents(kept, polarity(kept, self.site.grid, self.chip, self.bits, self.held.flips))
        names = ("training", str(step))
        change = layer_change(self.chip, self.site, self.bits, self.held, new, 0, names)
        self._check_failures(step, change)
        self._count(change)
        self._wear(new, luck(self.site.name, *names))
        self.held = new

    def written(self, table: Mapping[Action, float | None]) -> Written:
        """The layer so far, priced."""
        copies, cells = self.site.copies, self.site.grid.cells
        energy = sum(count * (table[action] or 0.0) for action, count in self.counts.items())
        worn = np.concatenate(self.worn)
        return Written(
            self.site.name, copies, cells * copies, self.updates, self.codes, self.cells * copies,
            self.failed * copies, self.pulses * copies, energy,
            int(worn[:, 0].max()), float(worn[:, 0].mean()), int(worn[:, 1].max()), float(worn[:, 1].mean()),
        )  # fmt: skip

    def worn_cells(self) -> NDArray[np.int64]:
        """Rows of :attr:`xbarsim.results.wear.Wear.table`, for all copies."""
        kinds, cells = np.unique(np.concatenate(self.worn), axis=0, return_counts=True)
        return np.column_stack([kinds, kinds, cells * self.site.copies])

    def _kept(self, weights: Integers) -> Integers:
        """A copy: the learner may write into its own."""
        limit = 1 << self.bits - 1
        if weights.min() < -limit or weights.max() >= limit:
            odd = int(weights.min() if weights.min() < -limit else weights.max())
            raise InputError(f"layer {self.site.name!r}: the integer {odd} does not fit {self.bits} bits")
        return np.array(weights, np.int8 if self.bits <= 8 else np.int16, order="C")

    def _count(self, change: LayerChange) -> None:
        self.updates += 1
        self.codes += change.codes_changed
        self.cells += change.cells_written
        self.failed += change.failed_cells
        self.pulses += change.pulses(self._trains)
        counts = install_counts(Change(BACKBONE, BACKBONE, (change,)), bool(self.chip.file.writer.verify))
        self.counts.update(counts[self.site.name])

    @property
    def _trains(self) -> NDArray[np.int64]:
        return self.chip.file.device.write_pulses(self.chip.cell_levels)

    def _wear(self, new: Contents, seed: np.uint64) -> None:
        """Add writes and pulses cell by cell."""
        grid, crossbar, writer = self.site.grid, self.chip.file.crossbar, self.chip.file.writer
        states = np.stack([self.held.weights, new.weights])
        flipped = flip_words(np.stack([self.held.flips, new.flips]), crossbar.cell_bits)
        failure, retries = (float(writer.verify.failure), writer.verify.retries) if writer.verify else (0.0, 0)
        for strip, worn in zip(self.strips, self.worn, strict=True):
            out = np.zeros((len(worn), 5), np.int64)
            strip_wear(
                states, flipped, strip, grid.cols, grid.separate, grid.slices, self.bits, crossbar.cell_bits,
                crossbar.encoding == "differential", self.chip.file.pe.crossbars, writer.mode == "full", ONCE,
                np.array([seed], np.uint64), self._trains, failure, retries, out,
            )  # fmt: skip
            worn += out[:, 1:3]

    def _check_failures(self, step: int, change: LayerChange) -> None:
        """Cells that failed are an error, or degraded cells in the result: never silent."""
        verify = self.chip.file.writer.verify
        if not change.failed_cells or not verify or verify.on_failure == "degrade":
            return
        raise XbarsimError(
            f"update {step} of layer {self.site.name!r}: {change.failed_cells} cells missed their level after "
            f"{verify.retries} retries; raise writer.verify.retries, or set writer.verify.on_failure=degrade"
        )

"""XMA2: chosen crossbars are rewritten (tier 1), columns of the others shifted or scaled (tier 2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Factors, Integers, Need, check_height, column_mask, geometry, values
from xbarsim.adaptions.xma import SHIFT_COST
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError
from xbarsim.network import Coding, Layer, Mask, Network, Task
from xbarsim.network.masks import unit_map


class Xma2(Adaption, name="xma2"):
    """Tier 1 by ``crossbar`` is the published sense; by ``pe`` a unit is all crossbars of a processing element.

    A scale needs the chip's ``scaler`` section, a shift the shift-and-add alone.
    """

    granularity = "crossbar or PE (rewritten), crossbar column (shifted or scaled)"
    rewrites = "cells of chosen crossbars or PEs whose level differs"
    stores = "1 bit per unit, weights of the chosen ones, 2 bits or a factor per logical column of the others"
    source = "Zhang et al., Front. Electron. 2022, doi 10.3389/felec.2022.1032485"
    gates = True
    needs = (
        Need("masks", Coding("shift", "column", 2, (-1, 0, 1)), kinds=("scale",)),
        Need("units", Coding("binary", "crossbar"), granularities=("pe",)),
        Need("weights"),
    )
    assumes = (SHIFT_COST, "the scale of a column's partial sum costs one multiplication per window (scaler), no time")

    def check(self, chip: Chip, task: Task) -> None:
        """A scale needs a multiplier; a logical column must not straddle crossbars."""
        super().check(chip, task)
        crossbar, faults = chip.file.crossbar, []
        scales = any(coding and coding.kind == "scale" for coding in task.tensors(self.name).values())
        if scales and chip.file.scaler is None:
            message = f"chip {chip.name!r} has no scaler for the column factors of method {self.name!r}; add one, "
            faults.append(Fault(chip.origin, message + "or learn shifts", "scaler"))
        bits = task.network.weight_bits or chip.file.precision.weight_bits
        if crossbar.slices == "adjacent" and crossbar.cols % chip.slices(bits):
            message = f"{chip.slices(bits)} slices of a column do not divide {crossbar.cols}: its crossbar is not one"
            faults.append(Fault(chip.origin, message, "crossbar.cols"))
        if faults:
            raise InputError(faults)

    def units(self, chip: Chip, task: Task, layer: str) -> Mask | None:
        """The mask of what is rewritten; it must have been learned for the chip's crossbars."""
        there = geometry(chip, task)
        mask = task.units(self.name, layer, there)
        if mask is None:
            return None
        check_height(self, chip, task, layer, mask)
        if mask.granularity == "crossbar":
            there = replace(there, crossbars=1)
        if mask.geometry != there:
            message = (
                f"the {self.name} mask of layer {layer!r} was learned for crossbars of {mask.columns} logical columns, "
                f"{mask.crossbars} to a unit; chip {chip.name!r} has {there.columns} and {there.crossbars}"
            )
            raise InputError(Fault(task.network.source, message, f"tasks.{task.name}"))
        return mask

    def chosen(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.bool_] | None:
        """Logical columns that stand in rewritten units, ``(row blocks, c_out)``; ``None``: none."""
        mask = self.units(chip, task, layer) if task else None
        if mask is None or task is None:
            return None
        return np.asarray(mask.values[unit_map(task.network.layer(layer), mask.geometry)].astype(bool))

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The task's weights in rewritten units, the backbone's elsewhere."""
        weights = network.integers(layer, bits)
        mask = self.units(chip, task, layer) if task else None
        own = task.weights(self.name, layer, bits) if task and mask else None
        if mask is None or own is None:
            return weights
        return np.where(mask.expand(network.layers[layer]).astype(bool), own, weights)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """Rewritten columns, and frozen ones that are not off."""
        mask, chosen = column_mask(self, chip, task, layer), self.chosen(chip, task, layer)
        if mask is None:
            return None
        return np.asarray(mask.on if chosen is None else mask.on | chosen).astype(np.uint8)

    def factors(self, chip: Chip, task: Task | None, layer: str) -> Factors | None:
        """The shift or scale of every frozen column that is on."""
        mask, chosen = column_mask(self, chip, task, layer), self.chosen(chip, task, layer)
        if mask is None:
            return None
        used = mask.on if chosen is None else mask.on & ~chosen
        return Factors(
            "shift" if mask.kind == "shift" else "scale", np.where(used, mask.values, 0), used, mask.step or 1.0
        )

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Weights that either task has rewritten."""
        chosen = [self.units(chip, task, layer) if task else None for task in (old, new)]
        expanded = [mask.expand(network.layers[layer]).astype(bool) for mask in chosen if mask]
        return int(np.count_nonzero(np.logical_or.reduce(expanded))) if expanded else 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Layers in which the task may choose crossbars."""
        return task is not None and f"units/{layer}" in task.tensors(self.name)

    def mask_bits(self, chip: Chip, layer: Layer, task: Task | None = None) -> int:
        """A bit per unit, and the shift or factor of every logical column of frozen ones."""
        masks, units = (self.coding(need, layer, task) for need in self.needs[:2])
        mask = task.units(self.name, layer.name, geometry(chip, task)) if task and units else None
        chosen = int(mask.values[unit_map(layer, mask.geometry)].sum()) if mask else 0
        tier1 = values(chip, layer, units, task) if units else 0
        return tier1 + (masks.stored_bits(values(chip, layer, masks, task) - chosen) if masks else 0)

    def weight_bits(self, chip: Chip, layer: Layer, bits: int, task: Task | None = None) -> int:
        """The weights of rewritten units; without a task none, as only a task says how many."""
        mask = task.units(self.name, layer.name, geometry(chip, task)) if task else None
        return int(mask.expand(layer).sum(dtype=int)) * bits if mask else 0

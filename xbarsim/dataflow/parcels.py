"""What a switch brings to every layer: masks, normalisation, new weights, and how long writing them takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption, Change, LayerChange, Stored, stored
from xbarsim.adaptions.stored import BIAS_BITS
from xbarsim.chip import Chip
from xbarsim.dataflow.activity import Action
from xbarsim.errors import Fault, InputError
from xbarsim.mapping import Placement, Site
from xbarsim.network import Network
from xbarsim.units import ceil_div

Packets = NDArray[np.int64]
"""Bits of each transfer."""


@dataclass(frozen=True, eq=False)
class Parcel:
    """What one switch brings to one layer."""

    site: Site
    mask_bits: int
    norm_bits: int
    weight_packets: Packets
    """Bits of new weights, one packet per crossbar with rows to write; replicas get the same packet."""
    program_ps: NDArray[np.int64]
    """Programming time of each of these crossbars."""
    writes: Counter[Action]
    """Cells written by (old level, new level), all copies."""
    gated: bool = True
    """The mask goes into mask buffers and sets gates; otherwise into registers of digital units."""

    @property
    def set_bits(self) -> int:
        """Bits of mask and normalisation."""
        return self.mask_bits + self.norm_bits

    @property
    def weight_bits(self) -> int:
        """Bits of new weights that travel."""
        return int(self.weight_packets.sum())


@dataclass(frozen=True, eq=False)
class Moment:
    """A switch before an entry of the scenario."""

    change: Change
    needs: Stored
    """What the new task keeps in memory."""
    parcels: tuple[Parcel, ...]
    from_store: bool
    """Masks and normalisation come from the chip's mask store."""

    @cached_property
    def moved(self) -> Stored:
        """Bits that travel at this switch; a resident head stays where it is."""
        return Stored(
            mask_bits=sum(parcel.mask_bits for parcel in self.parcels),
            norm_bits=sum(parcel.norm_bits for parcel in self.parcels),
            weight_bits=sum(parcel.weight_bits for parcel in self.parcels),
        )


def moment(placement: Placement, adaption: Adaption, change: Change) -> Moment:
    """Work out what a change brings to every layer."""
    chip, network = placement.chip, placement.network
    norms = norm_bits(network, chip.file.requantise.bits_per_channel)
    task = network.task(change.new) if change.new in network.task_info else None
    needs = stored(adaption, placement, task)
    store = chip.file.mask_store
    loaded = {
        site.name: adaption.loaded_bits(placement.stored_chip, site.grid.layer, task) for site in placement.backbone
    }
    own = sum(loaded.values())
    fits = store is not None and (own + needs.norm_bits) * len(network.task_info) <= store.bits
    parcels = []
    for site in placement.backbone:
        bits = loaded[site.name], norms.get(site.name, 0)
        parcels.append(_parcel(placement, site, *bits, change.by_layer.get(site.name), adaption.gates))
    return Moment(change, needs, tuple(parcels), fits)


def norm_bits(network: Network, bits_per_channel: int) -> dict[str, int]:
    """Bits of normalisation and biases per crossbar layer; a normalisation goes with the layer before it."""
    before: dict[str, str] = {}
    bits: dict[str, int] = {}
    first = next(iter(network.layers), "")
    for node in network.nodes:
        layer = network.layers.get(node.name)
        before[node.name] = node.name if layer else before[node.inputs[0]] if node.inputs else first
        home = before[node.name]
        if node.op in ("batch_norm", "layer_norm"):
            bits[home] = bits.get(home, 0) + node.shape[0] * bits_per_channel
        if layer and layer.bias and not layer.head:
            bits[home] = bits.get(home, 0) + layer.c_out * BIAS_BITS
    return bits


def _parcel(placement: Placement, site: Site, mask: int, norm: int, change: LayerChange | None, gated: bool) -> Parcel:
    if change is None:
        none = np.zeros(0, np.int64)
        return Parcel(site, mask, norm, none, none, Counter(), gated)
    chip, grid = placement.chip, site.grid
    written = np.flatnonzero(change.crossbar_lines)
    cell_share = ceil_div(placement.weight_bits, grid.slices)
    packets = change.crossbar_lines[written] * _line_cells(placement, site)[written] * cell_share
    program = change.crossbar_ps[written] * turns_of(placement, site)
    writes: Counter[Action] = Counter()
    for old, new in zip(*np.nonzero(change.attempts), strict=True):
        writes["cell", f"write {old}>{new}"] = int(change.attempts[old, new]) * site.copies
    if chip.file.writer.verify:
        writes["cell", "verify"] = int(change.attempts.sum()) * site.copies
    return Parcel(site, mask, norm, packets, program, writes, gated)


def _line_cells(placement: Placement, site: Site) -> NDArray[np.int64]:
    """Cells of one written line that hold weights, for each crossbar of one copy."""
    if placement.chip.file.writer.parallel == "column":
        return np.repeat(site.grid.rows, site.grid.strip_crossbars)
    return _columns(site)


def _columns(site: Site) -> NDArray[np.int64]:
    """Physical columns that hold weights, for each crossbar of one copy."""
    return np.concatenate([on.sum(axis=1) for on in site.grid.columns_on(None)]).astype(np.int64)


def writers_of(placement: Placement, site: Site) -> int:
    """Crossbars of all copies that may be written at the same time, by the limits of PEs and tiles."""
    file, crossbars = placement.chip.file, site.grid.crossbars * site.copies
    by_pe = ceil_div(crossbars, file.pe.crossbars) * file.pe.programmed_at_once
    by_tile = site.tiles * file.tile.programmed_at_once if file.tile.programmed_at_once else by_pe
    return max(1, min(by_pe, by_tile, crossbars))


def writers_at_once(chip: Chip) -> int | None:
    """Crossbars that all layers together may write at the same time, or nothing where there is no limit.

    Under a power cap a crossbar counts with a whole line of cells at the costliest write's power.
    """
    file = chip.file
    limits = [file.chip.programmed_at_once] if file.chip.programmed_at_once else []
    if file.chip.write_power_mw is not None:
        line = file.crossbar.rows if file.writer.parallel == "column" else file.crossbar.cols
        pulses = chip.file.device.write_pulses(chip.cell_levels)
        energy = chip.file.device.write_energy_pj(chip.cell_levels)
        cell_mw = float((energy / np.maximum(pulses, 1)).max() / float(file.device.pulse_ns))
        limits.append(int(float(file.chip.write_power_mw) / (cell_mw * line)))
        if limits[-1] < 1:
            message = f"{file.chip.write_power_mw} mW does not suffice to write one crossbar ({cell_mw * line:.3g} mW)"
            raise InputError(Fault(chip.origin, message, "chip.write_power_mw"))
    return min(limits) if limits else None


def turns_of(placement: Placement, site: Site) -> int:
    """Copies share processing elements: how often a crossbar's time passes until all copies have it."""
    return max(1, ceil_div(site.copies, writers_of(placement, site)))

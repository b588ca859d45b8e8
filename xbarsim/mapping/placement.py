"""Where the network sits: crossbars, copies, tiles and buffers.

A tile belongs to one crossbar layer. Digital operations run in the tiles of the last crossbar layer
before them. Replication depends on the network and the chip only, never on the adaption method, so
methods are compared on equal copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.errors import DoesNotFit, Fault
from xbarsim.mapping.buffers import Tables, least_tokens, token_bytes, window_tables
from xbarsim.mapping.crossbars import Grid, lay_out
from xbarsim.mapping.fit import Fit, fit_of, resampling
from xbarsim.mapping.replicate import Demand, balance, layer_tiles, tiles_of
from xbarsim.mapping.stages import Edge, Stage, stages_of
from xbarsim.network import Layer, Network, Task
from xbarsim.units import ceil_div, service_ps


@dataclass(frozen=True, eq=False)
class Site:
    """One crossbar layer in its tiles."""

    stage: Stage
    grid: Grid
    copies: int
    first_tile: int
    tiles: int
    """Tiles of all copies; of a head, of one resident head."""
    residents: int
    """Instances side by side, one in use at a time: the head of the backbone and of every task."""
    per_tile: int
    """Crossbars of a tile."""

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.stage.name

    @property
    def together(self) -> int:
        """Copies that share a tile; 1 if a copy fills one or more."""
        fitting = self.per_tile // self.grid.crossbars
        return max(1, min(fitting, self.copies))

    @property
    def groups(self) -> int:
        """Groups of tiles with buffers, buses and digital units of their own."""
        return ceil_div(self.copies, self.together)

    @property
    def tiles_per_copy(self) -> int:
        """Tiles that one copy reaches into."""
        return ceil_div(self.grid.crossbars, self.per_tile)

    @property
    def crossbars(self) -> int:
        """Crossbars of all copies and residents."""
        return self.grid.crossbars * self.copies * self.residents

    def of_task(self, task: Task | None, chip: Chip, weight_bits: int) -> Site:
        """The site as ``task`` uses it: a head has as many columns as its task has classes."""
        layer = self.grid.layer
        classes = task.classes if task else self.backbone_channels
        if not layer.head or classes == layer.c_out:
            return self
        return replace(self, grid=lay_out(replace(layer, c_out=classes), chip, weight_bits))

    @property
    def backbone_channels(self) -> int:
        """Output channels of the layer in the backbone."""
        return self.stage.channels


@dataclass(frozen=True, eq=False)
class Placement:
    """A network on a chip."""

    chip: Chip
    network: Network
    weight_bits: int
    input_bits: int
    stages: tuple[Stage, ...]
    tables: Tables
    sites: Mapping[str, Site]
    """Crossbar layers by name, in order."""
    homes: Mapping[str, str]
    """For every stage the crossbar layer in whose tiles it runs."""
    capacities: Mapping[tuple[str, int], int]
    """Tokens that the buffer before each edge (stage, position) holds."""
    chips: int
    """Chips in use."""
    tiles: int
    """Tiles the network takes."""
    least_tiles: int
    """Tiles it would take with one copy of each layer."""
    fit: Fit
    """The height that column masks were learned for beside the chip's, and what is done about it."""
    shortages: tuple[str, ...] = ()
    """Layers whose tiles have too little buffer for the network to run at all, in words."""

    @cached_property
    def mask_chip(self) -> Chip:
        """The chip whose crossbars the column masks were learned for, where ``mask_fit`` takes such."""
        return self.fit.view(self.chip)

    @cached_property
    def stored_chip(self) -> Chip:
        """The chip whose column masks are stored."""
        return self.fit.stored_view(self.chip)

    def taken(self, site: Site, mask: NDArray[np.generic] | None, *address: str) -> NDArray[np.int64] | None:
        """Where resampled masks take their values from, see :func:`~xbarsim.mapping.fit.resampling`; else nothing."""
        if mask is None or self.fit.acts != "resample":
            return None
        layer, network = site.grid.layer, self.network
        shape = (self.fit.mask_groups(layer), layer.c_out)
        return resampling(mask != 0, shape, network.seed, network.fingerprint, *address, layer.name)

    @property
    def tiles_available(self) -> int:
        """Tiles of all chips."""
        return self.chips * self.chip.file.chip.tiles

    @property
    def crossbars_available(self) -> int:
        """Crossbars that the network may use."""
        there = self.chips * self.chip.crossbars_per_chip
        return min(there, self.chip.file.mapping.max_crossbars or there)

    @property
    def crossbars_needed(self) -> int:
        """Crossbars of one copy of everything, resident heads included."""
        return sum(site.grid.crossbars * site.residents for site in self.sites.values())

    @property
    def fits(self) -> bool:
        """Whether the chips hold the network."""
        return self._room and not self.shortages

    @property
    def _room(self) -> bool:
        """Whether there are tiles and crossbars enough."""
        return self.least_tiles <= self.tiles_available and self.crossbars_needed <= self.crossbars_available

    @cached_property
    def backbone(self) -> tuple[Site, ...]:
        """The sites that tasks share: all but heads."""
        return tuple(site for site in self.sites.values() if not site.grid.layer.head)

    def check(self) -> None:
        """Raise :class:`DoesNotFit` with need and have if the chips do not hold the network."""
        faults = [Fault(self.chip.origin, shortage, "buffer.bytes") for shortage in self.shortages]
        if not self._room:
            faults.insert(0, Fault(self.network.source, self._too_large()))
        if faults:
            raise DoesNotFit(faults)

    def _too_large(self) -> str:
        return (
            f"network {self.network.name!r} needs {self.least_tiles} tiles and {self.crossbars_needed} crossbars, "
            f"{self.chips} chip(s) {self.chip.name!r} have {self.tiles_available} tiles and "
            f"{self.crossbars_available} crossbars; raise chip.count (or set it to auto), chip.tiles or "
            "mapping.max_crossbars"
        )


def place(chip: Chip, network: Network) -> Placement:
    """Place ``network`` on ``chip``. A network that does not fit is placed all the same: see :meth:`check`."""
    weight_bits = network.weight_bits or chip.file.precision.weight_bits
    input_bits = network.input_bits or chip.file.precision.input_bits
    stages = stages_of(network)
    tables = window_tables(stages)
    least = least_tokens(stages, tables)
    homes = _homes(stages)
    ops = {stage.name: stage.op for stage in stages}
    fit = fit_of(chip, network)
    grids = {s.name: _grid(s.layer, network, chip, weight_bits, fit) for s in stages if s.layer}
    sizes = {key: token_bytes(edge, ops, input_bits) for key, edge in _edges(stages).items()}
    held = _held_bytes(stages, homes, least, sizes)
    heads = 1 + len(network.task_info)
    residents = {s.name: heads if s.layer and s.layer.head else 1 for s in stages}
    demands = [_demand(chip, stage, grids[stage.name], held, residents, input_bits) for stage in stages if stage.layer]
    instances = [residents[name] for name in grids]
    if network.base is None:
        chips, copies, least_tiles = _copies(chip, demands, instances)
    else:
        layers = [stage for stage in stages if stage.layer]
        chips, copies, least_tiles = _beside(chip, place(chip, network.base), layers, demands, instances)
    sites = _settle(chip, stages, grids, demands, copies, residents)
    capacities, shortages = _capacities(chip, stages, homes, sites, least, sizes)
    return Placement(
        chip, network, weight_bits, input_bits, stages, tables, sites, homes, capacities, chips,
        sum(site.tiles * site.residents for site in sites.values()), least_tiles, fit, shortages,
    )  # fmt: skip


def _grid(layer: Layer, network: Network, chip: Chip, weight_bits: int, fit: Fit) -> Grid:
    """Heads and branches are never masked: they stand as densely as they can."""
    masked = not layer.head and layer.name in (network.base or network).layers
    return lay_out(_widest(layer, network), chip, weight_bits, fit if masked else None)


def _widest(layer: Layer, network: Network) -> Layer:
    """A head has room for the task with the most classes."""
    classes = [classes for classes, _ in network.task_info.values()]
    return replace(layer, c_out=max([layer.c_out, *classes])) if layer.head else layer


def _edges(stages: Sequence[Stage]) -> dict[tuple[str, int], Edge]:
    return {(stage.name, at): edge for stage in stages for at, edge in enumerate(stage.edges)}


def _homes(stages: Sequence[Stage]) -> dict[str, str]:
    """For every stage the last crossbar layer at or before it; before the first one, the first."""
    homes: dict[str, str] = {}
    order = {stage.name: at for at, stage in enumerate(stages)}
    first = next((stage.name for stage in stages if stage.layer), stages[0].name)
    for stage in stages:
        before = [homes[edge.source] for edge in stage.edges if edge.source in homes]
        homes[stage.name] = stage.name if stage.layer else max(before, key=order.__getitem__, default=first)
    return homes


def _held_bytes(
    stages: Sequence[Stage], homes: Mapping[str, str], least: Mapping[tuple[str, int], int],
    sizes: Mapping[tuple[str, int], int],
) -> dict[str, int]:  # fmt: skip
    """Bytes that the buffers in each layer's tiles must hold at least."""
    held: dict[str, int] = {}
    for stage in stages:
        for at in range(len(stage.edges)):
            home = homes[stage.name]
            held[home] = held.get(home, 0) + least[stage.name, at] * sizes[stage.name, at]
    return held


def _demand(
    chip: Chip,
    stage: Stage,
    grid: Grid,
    held: Mapping[str, int],
    residents: Mapping[str, int],
    input_bits: int,
) -> Demand:
    columns = min(chip.file.crossbar.cols, int((grid.channels * grid.slices).max()))
    interval_ns = chip.interval_ns(input_bits, ceil_div(columns, chip.file.adc.per_crossbar))
    window_ps = grid.reads * service_ps(interval_ns)
    spread = chip.file.mapping.spread_buffers
    tiles = Fraction(held.get(stage.name, 0) if spread else 0, chip.file.buffer.bytes)
    fixed = chip.file.mapping.replicate == "none" or residents[stage.name] > 1
    return Demand(stage.windows, window_ps, grid.crossbars, tiles, _readers(stage), fixed)


def _readers(stage: Stage) -> int:
    """Windows that read one pixel, and so the most groups of tiles that each keep it: the kernel's taps."""
    return stage.layer.kernel[0] * stage.layer.kernel[1] if stage.layer else 1


def _copies(chip: Chip, demands: Sequence[Demand], residents: Sequence[int]) -> tuple[int, list[int], int]:
    """Chips in use, copies of each layer, and the tiles that one copy of each would take."""
    per_tile, file = chip.crossbars_per_tile, chip.file
    ones = [1] * len(demands)
    extra = list(zip(demands, residents, strict=True))
    extra_tiles = sum((n - 1) * layer_tiles(d, 1, per_tile) for d, n in extra)
    extra_crossbars = sum((n - 1) * d.crossbars for d, n in extra)
    least = tiles_of(demands, ones, per_tile) + extra_tiles
    chips = ceil_div(least, file.chip.tiles) if file.chip.count == "auto" else file.chip.count
    crossbars = min(chips * chip.crossbars_per_chip, file.mapping.max_crossbars or chips * chip.crossbars_per_chip)
    budget = chips * file.chip.tiles - extra_tiles
    copies = balance(demands, per_tile, budget, crossbars - extra_crossbars, file.mapping.max_copies)
    return chips, copies, least


def _beside(
    chip: Chip, base: Placement, layers: Sequence[Stage], demands: Sequence[Demand], residents: Sequence[int]
) -> tuple[int, list[int], int]:
    """Copies of the backbone as without branches; a branch has those of the backbone's layer before it.

    Also returns the chips in use and the tiles that all of it takes.
    """
    before, copies = next(iter(base.sites.values())).copies, []
    for stage in layers:
        site = base.sites.get(stage.name)
        before = site.copies if site else before
        copies.append(min(before, stage.windows))
    whole = zip(demands, copies, residents, strict=True)
    tiles = sum(layer_tiles(demand, count, chip.crossbars_per_tile) * there for demand, count, there in whole)
    more = ceil_div(tiles, chip.file.chip.tiles) if chip.file.chip.count == "auto" else 0
    return max(base.chips, more), copies, tiles


def _settle(
    chip: Chip, stages: Sequence[Stage], grids: Mapping[str, Grid], demands: Sequence[Demand],
    copies: Sequence[int], residents: Mapping[str, int],
) -> dict[str, Site]:  # fmt: skip
    """Give every layer its tiles, in order."""
    sites: dict[str, Site] = {}
    tile = 0
    layers = [stage for stage in stages if stage.layer]
    for stage, demand, count in zip(layers, demands, copies, strict=True):
        tiles = layer_tiles(demand, count, chip.crossbars_per_tile)
        there = residents[stage.name]
        sites[stage.name] = Site(stage, grids[stage.name], count, tile, tiles, there, chip.crossbars_per_tile)
        tile += tiles * there
    return sites


def _capacities(
    chip: Chip, stages: Sequence[Stage], homes: Mapping[str, str], sites: Mapping[str, Site],
    least: Mapping[tuple[str, int], int], sizes: Mapping[tuple[str, int], int],
) -> tuple[dict[tuple[str, int], int], tuple[str, ...]]:  # fmt: skip
    """Share the buffers of each layer's tiles: the least that runs, then what is left in equal parts.

    A pixel is stored in every group of tiles whose windows read it. Also returns what is short.
    """
    capacities: dict[tuple[str, int], int] = {}
    shortages = []
    for home, site in sites.items():
        keys = [(s.name, at) for s in stages if homes[s.name] == home for at in range(len(s.edges))]
        there = site.tiles * chip.file.buffer.bytes // min(site.groups, _readers(site.stage))
        needed = sum(least[key] * sizes[key] for key in keys)
        for key in keys:
            spare = max(0, there - needed) // len(keys) // sizes[key] if sizes[key] else least[key]
            capacities[key] = least[key] + spare
        if needed > there:
            shortages.append(_too_small(home, needed, there))
    return capacities, tuple(shortages)


def _too_small(layer: str, needed: int, there: int) -> str:
    return (
        f"the buffers in the tiles of layer {layer!r} hold {there} bytes, the network needs {needed} there to run "
        "at all; raise buffer.bytes or set mapping.spread_buffers: true"
    )

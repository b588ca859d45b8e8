"""Where the network sits: crossbars, copies, tiles and buffers.

A tile belongs to one crossbar layer. Digital operations run in the tiles of the last crossbar layer
before them. Replication depends on the network and the chip only, never on the adaption method, so
methods are compared on equal copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from xbarsim.chip import Chip
from xbarsim.errors import DoesNotFit, Fault
from xbarsim.mapping.buffers import Tables, least_tokens, token_bytes, window_tables
from xbarsim.mapping.crossbars import Grid, lay_out
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
        return self.least_tiles <= self.tiles_available and self.crossbars_needed <= self.crossbars_available

    @cached_property
    def backbone(self) -> tuple[Site, ...]:
        """The sites that tasks share: all but heads."""
        return tuple(site for site in self.sites.values() if not site.grid.layer.head)

    def check(self) -> None:
        """Raise :class:`DoesNotFit` with need and have if the chips do not hold the network."""
        if self.fits:
            return
        message = (
            f"network {self.network.name!r} needs {self.least_tiles} tiles and {self.crossbars_needed} crossbars, "
            f"{self.chips} chip(s) {self.chip.name!r} have {self.tiles_available} tiles and "
            f"{self.crossbars_available} crossbars; raise chip.count (or set it to auto), chip.tiles or "
            "mapping.max_crossbars"
        )
        raise DoesNotFit(Fault(self.network.source, message))


def place(chip: Chip, network: Network) -> Placement:
    """Place ``network`` on ``chip``. A network that does not fit is placed all the same: see :meth:`check`."""
    weight_bits = network.weight_bits or chip.file.precision.weight_bits
    input_bits = network.input_bits or chip.file.precision.input_bits
    stages = stages_of(network)
    tables = window_tables(stages)
    least = least_tokens(stages, tables)
    homes = _homes(stages)
    ops = {stage.name: stage.op for stage in stages}
    grids = {s.name: lay_out(_widest(s.layer, network), chip, weight_bits) for s in stages if s.layer}
    sizes = {key: token_bytes(edge, ops, input_bits) for key, edge in _edges(stages).items()}
    held = _held_bytes(stages, homes, least, sizes)
    heads = 1 + len(network.task_info)
    residents = {s.name: heads if s.layer and s.layer.head else 1 for s in stages}
    demands = [_demand(chip, stage, grids[stage.name], held, residents, input_bits) for stage in stages if stage.layer]
    chips, copies, least_tiles = _copies(chip, demands, [residents[name] for name in grids])
    sites = _settle(chip, stages, grids, demands, copies, residents)
    return Placement(
        chip, network, weight_bits, input_bits, stages, tables, sites, homes,
        _capacities(chip, stages, homes, sites, least, sizes), chips,
        sum(site.tiles * site.residents for site in sites.values()), least_tiles,
    )  # fmt: skip


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
    convert_ns = ceil_div(columns, chip.file.adc.per_crossbar) * chip.sample_ns
    window_ps = chip.phases(input_bits) * max(service_ps(chip.cycle_ns), service_ps(convert_ns))
    buffer_tiles = ceil_div(held.get(stage.name, 0), chip.file.buffer.bytes)
    least = max(1, buffer_tiles if chip.file.mapping.spread_buffers else 1)
    fixed = chip.file.mapping.replicate == "none" or residents[stage.name] > 1
    return Demand(stage.windows, window_ps, grid.crossbars, least, fixed)


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
) -> dict[tuple[str, int], int]:  # fmt: skip
    """Share the buffers of each layer's tiles: the least that runs, then what is left in proportion.

    A pixel is stored in every group of tiles whose windows read it: at most one group per kernel tap.
    """
    capacities: dict[tuple[str, int], int] = {}
    for home, site in sites.items():
        keys = [(s.name, at) for s in stages if homes[s.name] == home for at in range(len(s.edges))]
        layer = site.stage.layer
        taps = layer.kernel[0] * layer.kernel[1] if layer else 1
        there = site.tiles * chip.file.buffer.bytes // min(site.groups, taps)
        needed = sum(least[key] * sizes[key] for key in keys)
        for key in keys:
            spare = max(0, there - needed) // len(keys) // sizes[key] if sizes[key] else least[key]
            capacities[key] = least[key] + spare
        if needed > there and not chip.file.mapping.spread_buffers:
            raise DoesNotFit(Fault(chip.origin, _too_small(home, needed, there), "buffer.bytes"))
    return capacities


def _too_small(layer: str, needed: int, there: int) -> str:
    return (
        f"the buffers in the tiles of layer {layer!r} hold {there} bytes, the network needs {needed} there to run "
        "at all; raise buffer.bytes or set mapping.spread_buffers: true"
    )

"""The actors of a task switch: the same links and buses as inference, masks and writes.

For each layer: new weights come from off the chip crossbar by crossbar, cross the network and are
programmed row by row; masks and normalisation parameters come from the mask store (or from off the
chip where the store does not hold all tasks) and are set in the tile. With ``switch: barrier`` all
of it starts when the last output of the old task is out, and the new task starts when it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption, Change, LayerChange, Stored, stored
from xbarsim.adaptions.stored import BIAS_BITS
from xbarsim.dataflow.activity import Action
from xbarsim.dataflow.draft import NO_WORK, Draft, Role, one_to_one, scaled, steady
from xbarsim.dataflow.graph import Flow, Work
from xbarsim.dataflow.routes import Leg, Link, Mesh
from xbarsim.mapping import Placement, Site
from xbarsim.network import Network
from xbarsim.units import ceil_div, service_ps

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
    needs = stored(adaption, placement)
    store = chip.file.mask_store
    own = needs.mask_bits if adaption.gates else 0
    fits = store is not None and (own + needs.norm_bits) * len(network.task_info) <= store.bits
    parcels = []
    for site in placement.backbone:
        masked = adaption.mask_bits(chip, site.grid.layer) if adaption.gates else 0
        parcels.append(_parcel(placement, site, masked, norms.get(site.name, 0), change.by_layer.get(site.name)))
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


def _parcel(placement: Placement, site: Site, mask: int, norm: int, change: LayerChange | None) -> Parcel:
    if change is None:
        none = np.zeros(0, np.int64)
        return Parcel(site, mask, norm, none, none, Counter())
    written = np.flatnonzero(change.crossbar_rows)
    cell_share = ceil_div(placement.weight_bits, site.grid.slices)
    packets = change.crossbar_rows[written] * _columns(site)[written] * cell_share
    turns = _turns(placement, site)
    pulse_ns = placement.chip.file.device.pulse_ns
    program = [service_ps(int(pulses) * pulse_ns * turns) for pulses in change.crossbar_pulses[written]]
    writes: Counter[Action] = Counter()
    for old, new in zip(*np.nonzero(change.histogram), strict=True):
        writes["cell", f"write {old}>{new}"] = int(change.histogram[old, new]) * site.copies
    return Parcel(site, mask, norm, packets, np.array(program, np.int64), writes)


def _columns(site: Site) -> NDArray[np.int64]:
    """Physical columns that hold weights, for each crossbar of one copy."""
    return np.concatenate([on.sum(axis=1) for on in site.grid.columns_on(None)]).astype(np.int64)


def _writers(placement: Placement, site: Site) -> int:
    """Crossbars of all copies that may be written at the same time."""
    pe = placement.chip.file.pe
    return ceil_div(site.grid.crossbars * site.copies, pe.crossbars) * pe.programmed_at_once


def _turns(placement: Placement, site: Site) -> int:
    """Copies share processing elements: how often a crossbar's time passes until all copies have it."""
    return max(1, ceil_div(site.copies, _writers(placement, site)))


class Switching:
    """Adds the actors of all switches to a draft; every actor has one segment per scenario entry."""

    def __init__(
        self, draft: Draft, placement: Placement, moments: Sequence[Moment | None],
        legs: Mapping[Hashable, Sequence[Leg]],
    ) -> None:  # fmt: skip
        self.draft, self.placement, self.moments, self.legs = draft, placement, moments, legs
        self.first: list[str] = []
        self.last: list[str] = []

    def build(self) -> None:
        """Add what each layer needs over all switches; layers that no switch touches get no actor."""
        for at, site in enumerate(self.placement.backbone):
            parcels = [moment.parcels[at] if moment else None for moment in self.moments]
            stores = [moment is not None and moment.from_store for moment in self.moments]
            if any(parcel is not None and parcel.set_bits for parcel in parcels):
                self._set(site, parcels, stores[-1] if any(stores) else False)
            if any(parcel is not None and len(parcel.weight_packets) for parcel in parcels):
                self._program(site, parcels)

    def _set(self, site: Site, parcels: Sequence[Parcel | None], from_store: bool) -> None:
        """Masks and normalisation: from the store or the host, to the tile, into buffers and registers."""
        name = site.name
        sizes = [np.array([p.set_bits] if p and p.set_bits else [], np.int64) for p in parcels]
        if from_store:
            end = self._load_store(name, sizes)
            way = [leg for leg in self.legs.get(("switch", name), ()) if not leg.offchip]
        else:
            end = self._load_host(f"{name}.load_mask", site, sizes)
            way = list(self.legs.get(("switch", name), ()))[1:]
        end = self._carry(f"{name}.mask", site, sizes, way, end)
        bus = self.placement.chip.file.bus
        counts = [self._set_counts(parcel) for parcel in parcels]
        works = [_work([service_ps(Fraction(int(s)) / bus.width_bits / bus.rate_ghz) for s in size]) for size in sizes]
        role = Role(name, "switch", tuple(counts))
        setter = self.draft.actor(f"{name}.set_mask", self.draft.unit(f"{name}.bus", site.groups), works, role)
        self._connect(end, setter, sizes)
        self.last.append(setter)

    def _set_counts(self, parcel: Parcel | None) -> Counter[Action]:
        """A mask bit is written and a gate set for every physical column of every copy."""
        if parcel is None or not parcel.set_bits:
            return Counter()
        site = parcel.site
        columns = parcel.mask_bits * site.grid.slices * site.copies
        counts = Counter({("bus", "bit"): parcel.set_bits * site.groups})
        if columns:
            counts["mask_buffer", "write"] = counts["gate", "set"] = columns
        return counts

    def _program(self, site: Site, parcels: Sequence[Parcel | None]) -> None:
        """New weights: from the host to the crossbars' drivers, then row by row into the cells."""
        name = site.name
        sizes = [p.weight_packets if p else np.zeros(0, np.int64) for p in parcels]
        end = self._load_host(f"{name}.load", site, sizes)
        end = self._carry(f"{name}.weights", site, sizes, list(self.legs.get(("switch", name), ()))[1:], end)
        works = [_work(p.program_ps.tolist() if p else []) for p in parcels]
        counts = tuple(Counter(p.writes) if p else Counter() for p in parcels)
        servers = min(site.grid.crossbars, max(1, _writers(self.placement, site) // site.copies))
        unit = self.draft.unit(f"{name}.writers", servers)
        writer = self.draft.actor(f"{name}.program", unit, works, Role(name, "switch", counts), copies=True)
        self._connect(end, writer, sizes)
        self.last.append(writer)

    def _load_store(self, name: str, sizes: Sequence[Packets]) -> str:
        store = self.placement.chip.file.mask_store
        assert store is not None
        accesses = [-(-size // store.width_bits) for size in sizes]
        works = [_work([service_ps(int(n) * store.access_ns) for n in number]) for number in accesses]
        counts = tuple(Counter({("mask_store", "read"): int(n.sum())}) if len(n) else Counter() for n in accesses)
        role = Role(name, "switch", counts)
        actor = self.draft.actor(f"{name}.load_mask", self.draft.unit("mask_store"), works, role)
        self.first.append(actor)
        return actor

    def _load_host(self, actor: str, site: Site, sizes: Sequence[Packets]) -> str:
        rate = self.placement.chip.file.offchip.gbytes_per_s
        unit = f"offchip.{site.first_tile // self.placement.chip.file.chip.tiles}"
        size_bytes = [-(-size // 8) for size in sizes]
        works = [_work([service_ps(int(n) / rate) for n in number]) for number in size_bytes]
        counts = tuple(Counter({("offchip", "byte"): int(n.sum())}) if len(n) else Counter() for n in size_bytes)
        self.draft.actor(actor, self.draft.unit(unit), works, Role(site.name, "switch", counts))
        self.first.append(actor)
        return actor

    def _carry(self, name: str, site: Site, sizes: Sequence[Packets], way: Sequence[Leg], end: str) -> str:
        """Over every contended link to the layer's tiles, and on to all of them."""
        noc = self.placement.chip.file.noc
        for number, leg in enumerate(way):
            flits = [-(-size // noc.flit_bits) for size in sizes]
            hops = leg.hops + (site.tiles - 1 if number == len(way) - 1 else 0)
            latency = int(leg.hops * noc.hop_cycles / noc.rate_ghz * 1000)
            works = [_work([service_ps(int(n) / noc.rate_ghz) for n in each], latency) for each in flits]
            counts = tuple(scaled(Counter({("noc", "flit_hop"): int(n.sum())}), hops) for n in flits)
            actor = f"{name}.{number}"
            self.draft.actor(actor, self.draft.unit(leg.unit), works, Role(site.name, "switch", counts))
            self._connect(end, actor, sizes)
            end = actor
        return end

    def _connect(self, source: str, target: str, sizes: Sequence[Packets]) -> None:
        """Packets one by one, with room for one under way."""
        self.draft.channel(source, target, 2, [one_to_one(sum(len(size) for size in sizes))])

    def hold(self, actors: Sequence[tuple[str, int]], last: str, outputs: Sequence[int]) -> None:
        """Barrier: switches wait for all outputs before them, the next task's first actors for the switch.

        ``actors``: the first actors of inference and their firings per image; ``last``: the actor that
        gives outputs; ``outputs``: output tokens before each entry.
        """
        firings = {actor.name: [work.firings for work in actor.work] for actor in self.draft.actors}
        everything = sum(firings[last]) + 1
        for actor in self.first:
            self.draft.channel(last, actor, everything, _gates(firings[actor], outputs))
        since = self._since(outputs)
        for actor, _ in actors:
            if any(since):
                self.draft.channel(last, actor, everything, _gates(firings[actor], since))
            for done in self.last:
                tokens = np.cumsum(firings[done]).tolist()
                self.draft.channel(done, actor, tokens[-1] + 1, _gates(firings[actor], tokens))

    def _since(self, outputs: Sequence[int]) -> list[int]:
        """For every entry the outputs before the last switch at or before it."""
        since, current = [], 0
        for moment, before in zip(self.moments, outputs, strict=True):
            current = before if moment else current
            since.append(current)
        return since


def switch_routes(placement: Placement) -> dict[Hashable, list[Link]]:
    """Routes from the host to every layer that a switch may touch."""
    mesh = Mesh(placement.chip)
    return {("switch", site.name): mesh.entry(site.first_tile) for site in placement.backbone}


def _work(services: Sequence[int], latency_ps: int = 0) -> Work:
    """A segment of one period: firings with these service times."""
    if not len(services):
        return NO_WORK
    if len(set(services)) == 1:
        return steady(len(services), services[0], latency_ps)
    return Work(1, np.array(services, np.int64), np.full(len(services), latency_ps, np.int64))


def _gates(firings: Sequence[int], tokens: Sequence[int]) -> list[Flow]:
    """For every segment of a target: no firing before so many tokens in all."""
    zero = np.zeros(1, np.int64)
    return [Flow(n, np.array([t], np.int64), zero, 0) for n, t in zip(firings, tokens, strict=True)]

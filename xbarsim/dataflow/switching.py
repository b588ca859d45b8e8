"""The actors of a task switch: the same links and buses as inference, masks and writes.

For each layer: new weights come from off the chip crossbar by crossbar, cross the network and are
programmed row by row; masks and normalisation parameters come from the mask store (or from off the
chip where the store does not hold all tasks) and are set in the tile. With ``switch: barrier`` all
of it starts when the last output of the old task is out, and the new task starts when it is done;
with ``switch: rolling`` every layer switches behind its own last window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from xbarsim.dataflow.activity import Action
from xbarsim.dataflow.draft import NO_WORK, Draft, Role, one_to_one, scaled, steady
from xbarsim.dataflow.graph import Flow, Work
from xbarsim.dataflow.parcels import Moment, Packets, Parcel, turns_of, writers_at_once, writers_of
from xbarsim.dataflow.routes import Leg, Link, Mesh
from xbarsim.mapping import Placement, Site
from xbarsim.units import service_ps

ARRIVALS = "arrivals"
"""Actor that lets inputs in when they arrive."""


class Switching:
    """Adds the actors of all switches to a draft; every actor has one segment per scenario entry."""

    def __init__(
        self, draft: Draft, placement: Placement, moments: Sequence[Moment | None],
        legs: Mapping[Hashable, Sequence[Leg]],
    ) -> None:  # fmt: skip
        self.draft, self.placement, self.moments, self.legs = draft, placement, moments, legs
        self.first: list[str] = []
        """Actors that bring what a switch needs."""
        self.effects: dict[str, list[str]] = {}
        """For every layer the actors that end its switch: programming, setting masks."""
        buffer = placement.chip.file.mask_buffer
        self.double = buffer is not None and buffer.copies == 2
        self.at_once = writers_at_once(placement.chip)
        self._known: dict[str, list[int]] = {}

    def build(self) -> None:
        """Add what each layer needs over all switches; layers that no switch touches get no actor."""
        for at, site in enumerate(self.placement.backbone):
            parcels = [moment.parcels[at] if moment else None for moment in self.moments]
            stores = [moment is not None and moment.from_store for moment in self.moments]
            if any(parcel is not None and parcel.set_bits for parcel in parcels):
                self._set(site, parcels, any(stores))
            if any(parcel is not None and len(parcel.weight_packets) for parcel in parcels):
                self._program(site, parcels)

    @property
    def last(self) -> list[str]:
        """Actors that end a switch."""
        return [actor for layer in self.effects.values() for actor in layer]

    @property
    def ahead(self) -> list[str]:
        """Actors of :attr:`last` that write the second of two mask buffers."""
        return [actor for actor in self.last if self.double and actor.endswith(".set_mask")]

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
        self.effects.setdefault(name, []).append(setter)

    def _set_counts(self, parcel: Parcel | None) -> Counter[Action]:
        """A mask bit is written and a gate set for every physical column of every copy."""
        if parcel is None or not parcel.set_bits:
            return Counter()
        site = parcel.site
        grid = site.grid
        counts = Counter({("bus", "bit"): parcel.set_bits * site.groups})
        if parcel.mask_bits and parcel.gated:
            values = self.placement.fit.mask_groups(grid.layer) * grid.layer.c_out
            counts["mask_buffer", "write"] = parcel.mask_bits * grid.mask_holders * site.copies // values
            counts["gate", "set"] = grid.physical_columns * site.copies
        return counts

    def _program(self, site: Site, parcels: Sequence[Parcel | None]) -> None:
        """New weights: from the host to the crossbars' drivers, then line by line into the cells."""
        name = site.name
        sizes = [p.weight_packets if p else np.zeros(0, np.int64) for p in parcels]
        end = self._load_host(f"{name}.load", site, sizes)
        end = self._carry(f"{name}.weights", site, sizes, list(self.legs.get(("switch", name), ()))[1:], end)
        counts = tuple(Counter(p.writes) if p else Counter() for p in parcels)
        role = Role(name, "switch", counts)
        if self.at_once is not None:
            self._program_limited(site, parcels, sizes, end, role)
            return
        works = [_work(p.program_ps.tolist() if p else []) for p in parcels]
        servers = min(site.grid.crossbars, max(1, writers_of(self.placement, site) // site.copies))
        unit = self.draft.unit(f"{name}.writers", servers)
        writer = self.draft.actor(f"{name}.program", unit, works, role, copies=True)
        self._connect(end, writer, sizes, 2 * servers)  # a writer keeps its packet until the crossbar is done
        self.effects.setdefault(name, []).append(writer)

    def _program_limited(
        self, site: Site, parcels: Sequence[Parcel | None], sizes: Sequence[Packets], end: str, role: Role
    ) -> None:
        """Programming under a limit that all layers share: as many lanes as the layer could use at once.

        Every crossbar of every copy is a firing of its own; lane ``j`` takes each ``lanes``-th of them.
        """
        assert self.at_once is not None  # _program() comes here only with a limit
        lanes = min(writers_of(self.placement, site), self.at_once)
        unit = self.draft.unit("writers", self.at_once)
        turns = turns_of(self.placement, site)
        none = tuple(Counter[Action]() for _ in parcels)
        for lane in range(lanes):
            works, flows, base = [], [], 0
            for parcel, size in zip(parcels, sizes, strict=True):
                mine = np.arange(lane, len(size) * site.copies, lanes) // site.copies
                times = (parcel.program_ps[mine] // turns).tolist() if parcel else []
                works.append(_work(times))
                flows.append(_takes(base, mine))
                base += len(size)
            writer = f"{site.name}.program.{lane}"
            self.draft.actor(writer, unit, works, role if lane == 0 else Role(site.name, "switch", none))
            self.draft.channel(end, writer, base + 1, flows)
            self.effects.setdefault(site.name, []).append(writer)

    def _load_store(self, name: str, sizes: Sequence[Packets]) -> str:
        store = self.placement.chip.file.mask_store
        assert store is not None  # moment() says "from the store" only for chips that have one
        accesses = [-(-size // store.width_bits) for size in sizes]
        works = [_work(_services(number, store.access_ns)) for number in accesses]
        counts = tuple(Counter({("mask_store", "read"): int(n.sum())}) if len(n) else Counter() for n in accesses)
        role = Role(name, "switch", counts)
        actor = self.draft.actor(f"{name}.load_mask", self.draft.unit("mask_store"), works, role)
        self.first.append(actor)
        return actor

    def _load_host(self, actor: str, site: Site, sizes: Sequence[Packets]) -> str:
        rate = self.placement.chip.file.offchip.gbytes_per_s
        unit = f"offchip.{site.first_tile // self.placement.chip.file.chip.tiles}"
        size_bytes = [-(-size // 8) for size in sizes]
        works = [_work(_services(number, 1 / rate)) for number in size_bytes]
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
            works = [_work(_services(each, 1 / noc.rate_ghz), latency) for each in flits]
            counts = tuple(scaled(Counter({("noc", "flit_hop"): int(n.sum())}), hops) for n in flits)
            actor = f"{name}.{number}"
            self.draft.actor(actor, self.draft.unit(leg.unit), works, Role(site.name, "switch", counts))
            self._connect(end, actor, sizes)
            end = actor
        return end

    def _connect(self, source: str, target: str, sizes: Sequence[Packets], capacity: int = 2) -> None:
        """Packets one by one; by default with room for one under way."""
        self.draft.channel(source, target, capacity, [one_to_one(sum(len(size) for size in sizes))])

    def hold(self, actors: Sequence[tuple[str, int]], ends: Sequence[tuple[str, int]], images: Sequence[int]) -> None:
        """Barrier: switches wait until the old task has drained, the next task's first actors for the switch.

        ``actors``: the first actors of inference and their firings per image; ``ends``: the actors that
        end inference and their tokens per image; ``images``: inferences of each entry.
        """
        before = np.concatenate([[0], np.cumsum(images)[:-1]])
        for end, tokens in ends:
            outputs = (before * tokens).tolist()
            for actor in self.first:
                self._gate(end, actor, outputs)
            if any(since := self._since(outputs)):
                for actor, _ in actors:
                    self._gate(end, actor, since)
        self._wait_for_requests(before)
        for actor, _ in actors:
            for layer in self.effects.values():
                for done in layer:
                    self._gate(done, actor, np.cumsum(self._firings(done)).tolist())

    def roll(self, actors: Sequence[tuple[str, int]], images: Sequence[int]) -> None:
        """Rolling: a layer switches when its own last window of the old task is through.

        Transfers start when the first layer has taken the old task's last input. A double mask buffer is
        written while the old task still runs; writes into cells and single buffers wait for the layer.
        """
        before = np.concatenate([[0], np.cumsum(images)[:-1]])
        self._wait_for_requests(before)
        for first, tokens in actors:
            for actor in self.first:
                self._gate(first, actor, self._since((before * tokens).tolist()))
        for layer, effects in self.effects.items():
            windows = self.placement.sites[layer].stage.windows
            drained = self._since((before * windows).tolist())
            for effect in effects:
                waits = self._previous(drained) if effect in self.ahead else drained
                self._gate(f"{layer}.activate", effect, waits)
                self._gate(effect, f"{layer}.fetch", np.cumsum(self._firings(effect)).tolist())

    def _wait_for_requests(self, before: NDArray[np.int64]) -> None:
        """Where inputs arrive, nobody knows the next task before its first input is there."""
        if ARRIVALS in self.draft.roles:
            for actor in self.first:
                self._gate(ARRIVALS, actor, self._since((before + 1).tolist()))

    def _gate(self, source: str, target: str, tokens: Sequence[int]) -> None:
        """Segment ``k`` of ``target`` waits for ``tokens[k]`` tokens of ``source`` in all."""
        capacity = sum(self._firings(source)) + 1
        self.draft.channel(source, target, capacity, _gates(self._firings(target), tokens))

    def _firings(self, name: str) -> list[int]:
        """Firings of each segment of an actor."""
        if name not in self._known:
            self._known = {actor.name: [work.firings for work in actor.work] for actor in self.draft.actors}
        return self._known[name]

    def _previous(self, since: Sequence[int]) -> list[int]:
        """For every entry what held at the switch before the last one."""
        last, current, found = 0, 0, []
        for moment, tokens in zip(self.moments, since, strict=True):
            if moment:
                last, current = current, tokens
            found.append(last)
        return found

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


def _services(amounts: NDArray[np.int64], each_ns: Fraction) -> list[int]:
    """Service times of transfers of so many parts; every distinct amount is worked out once."""
    known = {amount: service_ps(amount * each_ns) for amount in np.unique(amounts).tolist()}
    return [known[amount] for amount in amounts.tolist()]


def _work(services: Sequence[int], latency_ps: int = 0) -> Work:
    """A segment of one period: firings with these service times."""
    if not len(services):
        return NO_WORK
    if len(set(services)) == 1:
        return steady(len(services), services[0], latency_ps)
    return Work(1, np.array(services, np.int64), np.full(len(services), latency_ps, np.int64))


def _takes(base: int, packets: NDArray[np.int64]) -> Flow:
    """Firings that take certain packets of a segment, ``base`` packets after the start; all packets go by."""
    if not len(packets):
        return Flow(0, np.zeros(1, np.int64), np.zeros(1, np.int64), 0)
    return Flow(1, base + packets + 1, np.zeros(len(packets), np.int64), 0)


def _gates(firings: Sequence[int], tokens: Sequence[int]) -> list[Flow]:
    """For every segment of a target: no firing before so many tokens in all."""
    zero = np.zeros(1, np.int64)
    return [Flow(n, np.array([t], np.int64), zero, 0) for n, t in zip(firings, tokens, strict=True)]

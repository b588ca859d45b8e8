"""The actors of inference: every stage of the network as a pipeline over windows.

A crossbar layer fetches a window's inputs, reads and converts them phase by phase on the crossbars
of one copy, accumulates slices and phases, adds partial sums across tiles, activates and writes;
`send` actors carry its pixels over every contended link to the tiles that read them. Read, convert,
accumulate and activate of one window use the same copy; buffer and bus belong to a group of copies
in the same tiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption, Factors
from xbarsim.adaptions.change import BACKBONE
from xbarsim.dataflow.activity import FACTOR, Action, Activity, partial_sum_bits, window_activity
from xbarsim.dataflow.draft import Draft, Role, every, one_to_one, scaled, shared, steady
from xbarsim.dataflow.graph import Flow, Work
from xbarsim.dataflow.reading import conversions, merging, readings
from xbarsim.dataflow.routes import Leg, Mesh
from xbarsim.dataflow.scenario import Entry
from xbarsim.dataflow.switching import ARRIVALS
from xbarsim.mapping import Edge, Placement, Site, Stage
from xbarsim.network import Task
from xbarsim.units import ceil_div, service_ps

HOST = "host"
"""Actor of the host's transfer of inputs."""


class Inference:
    """Adds the inference actors of a scenario to a draft."""

    def __init__(
        self, draft: Draft, placement: Placement, adaption: Adaption, entries: Sequence[Entry],
        legs: Mapping[Hashable, Sequence[Leg]],
    ) -> None:  # fmt: skip
        self.draft, self.placement, self.adaption = draft, placement, adaption
        self.entries, self.legs = entries, legs
        self.images = [entry.inferences for entry in entries]
        self.total = sum(self.images)
        self.input = placement.network.nodes[0].name
        self.means = {stage.name: stage.op == "global_avg_pool" for stage in placement.stages}
        self.ends: dict[str, str] = {}
        self.first: list[tuple[str, int]] = []
        self.drains: list[tuple[str, int]] = []
        self._activities: dict[tuple[str, str], Activity] = {}

    def build(self) -> None:
        """Add all stages.

        Afterwards ``first`` holds (actor, firings per image) of those that start an image, and ``drains``
        (actor, tokens per image) of those that may still work when the output is out: nobody reads their
        last pixels.
        """
        if self.placement.chip.file.offchip.inputs:
            self._host()
        for stage in self.placement.stages:
            ends = self._crossbar(stage) if stage.crossbar else self._digital(stage)
            self.ends[stage.name] = ends

        if any(entry.arrivals_ps is not None for entry in self.entries):
            self._arrive()

    def _arrive(self) -> None:
        """Inputs that arrive at instants of their own: a clock that ticks at each, and nothing starts before."""
        works, now = [], 0
        for entry in self.entries:
            ticks = []
            for arrival in entry.arrivals_ps or (now,) * entry.inferences:
                ticks.append(max(1, arrival - now))
                now += ticks[-1]
            works.append(Work(1, np.array(ticks, np.int64), np.zeros(len(ticks), np.int64)))
        none = tuple(Counter[Action]() for _ in self.entries)
        self.draft.actor(ARRIVALS, self.draft.unit(ARRIVALS), works, Role("", "arrival", none))
        for actor, per_image in self.first:
            need, release = np.ones(per_image, np.int64), np.zeros(per_image, np.int64)
            release[-1] = 1
            self.draft.channel(ARRIVALS, actor, self.total + 1, [Flow(self.total, need, release, 1)])

    @property
    def last(self) -> str:
        """The actor whose tokens are the network's outputs."""
        return self.ends[self.placement.stages[-1].name]

    # ---- a crossbar layer -------------------------------------------------------------------

    def _crossbar(self, stage: Stage) -> str:
        place, draft, site = self.placement, self.draft, self.placement.sites[stage.name]
        chip, pipeline = place.chip, place.chip.file.pipeline
        cycle, name, windows = service_ps(chip.cycle_ns), stage.name, stage.windows
        used = [self._activity(entry, site) for entry in self.entries]
        reads = chip.phases(place.input_bits) * len(used[0].read_columns)
        bus = draft.unit(f"{name}.bus", site.groups)
        total = windows * self.total
        roles = self._roles(name, used, windows)

        def per_window(service: int, latency: int = 0) -> list[Work]:
            return [steady(n * windows, service, latency) for n in self.images]

        def timed(cycles: int, busy: Sequence[Fraction]) -> list[Work]:
            return [
                steady(n * windows, service_ps(b), max(0, chip.stage_ps(cycles, b) - service_ps(b)))
                for n, b in zip(self.images, busy, strict=True)
            ]

        fetch = draft.actor(
            f"{name}.fetch", bus, timed(pipeline.fetch_cycles, [a.fetch_ns for a in used]), roles["fetch"],
            copies=True, group=site.together,
        )  # fmt: skip
        read = draft.actor(
            f"{name}.read", draft.unit(f"{name}.crossbars", site.copies),
            [readings(chip, a, place.input_bits, n * windows) for a, n in zip(used, self.images, strict=True)],
            roles["read"], copies=True, group=reads,
        )  # fmt: skip
        convert = draft.actor(
            f"{name}.convert", draft.unit(f"{name}.converters", site.copies),
            [conversions(chip, a, place.input_bits, n * windows) for a, n in zip(used, self.images, strict=True)],
            roles["convert"], copies=True, group=reads,
        )  # fmt: skip
        accumulate = draft.actor(
            f"{name}.accumulate", draft.unit(f"{name}.shift_add", site.copies),
            [merging(chip, reads, n * windows) for n in self.images], roles["accumulate"], copies=True,
        )  # fmt: skip
        slots = 2 * site.copies
        draft.channel(fetch, read, _enough(chip.file.registers.input_copies, site.copies), [shared(total, reads)])
        held = 1 + chip.file.sample_hold.copies
        draft.channel(read, convert, held if site.copies == 1 else slots * reads, [one_to_one(total * reads)])
        draft.channel(convert, accumulate, slots * reads, [every(total, reads)])
        merged = self._reduce(site, accumulate, total, slots)
        activate = draft.actor(
            f"{name}.activate", draft.unit(f"{name}.activation", site.copies),
            per_window(cycle, (pipeline.activation_cycles - 1) * cycle), roles["activate"], copies=True,
        )  # fmt: skip
        draft.channel(merged, activate, slots, [one_to_one(total)])
        write = draft.actor(
            f"{name}.write", bus, timed(pipeline.write_cycles, [a.write_ns for a in used]), roles["write"],
            copies=True, group=site.together,
        )  # fmt: skip
        draft.channel(activate, write, slots, [one_to_one(total)])
        self._feed(stage, fetch)
        return write

    def _activity(self, entry: Entry, site: Site) -> Activity:
        """Counts of one window of the layer under the entry's task."""
        place, grid = self.placement, site.grid
        task = self._task(entry)
        key = (site.name, entry.task)
        if key not in self._activities:
            there = site.of_task(task, place.chip, place.weight_bits)
            phased = grid.reads > 1 and any(self._mask(other, site) is not None for other in self.entries)
            mask, factors = self._mask(entry, site), self._factors(entry, site)
            self._activities[key] = window_activity(place, there, mask, factors, phased=phased)
        return self._activities[key]

    def _task(self, entry: Entry) -> Task | None:
        return None if entry.task == BACKBONE else self.placement.network.task(entry.task)

    def _mask(self, entry: Entry, site: Site) -> NDArray[np.generic] | None:
        """Columns that are on under the entry's task; nothing where the method masks none."""
        if site.grid.layer.head:
            return None
        place = self.placement
        mask = self.adaption.columns(place.mask_chip, self._task(entry), site.name)
        taken = place.taken(site, mask, entry.task, self.adaption.name)
        return mask if mask is None or taken is None else mask.ravel()[taken]

    def _factors(self, entry: Entry, site: Site) -> Factors | None:
        """What the partial sums of columns that are on are multiplied by under the entry's task."""
        if site.grid.layer.head:
            return None
        place = self.placement
        factors = self.adaption.factors(place.mask_chip, self._task(entry), site.name)
        if factors is None:
            return None
        mask = self.adaption.columns(place.mask_chip, self._task(entry), site.name)
        taken = place.taken(site, factors.used if mask is None else mask, entry.task, self.adaption.name)
        if taken is None:
            return factors
        return replace(factors, values=factors.values.ravel()[taken], used=factors.used.ravel()[taken])

    def _roles(self, name: str, used: Sequence[Activity], windows: int) -> dict[str, Role]:
        """Give every action of a window to the stage that does it."""
        stages = {
            "fetch": (("buffer", "read"), ("bus", "bit"), ("registers", "input")),
            "read": (
                ("crossbar", "read"),
                ("crossbar", "array"),
                ("dac", "drive"),
                ("sample_hold", "sample"),
                ("sample_hold", "pulse"),
                ("gate", "set"),
            ),
            "convert": (("adc", "convert"), ("adc", "step")),
            "accumulate": (
                ("shift_add", "add"),
                ("registers", "output"),
                ("registers", "tile"),
                ("shift_add", "tile"),
                *FACTOR.values(),
            ),
            "activate": (("activation", "cycle"), ("requantise", "element")),
            "write": (("buffer", "write"),),
        }
        return {
            stage: Role(name, "inference", tuple(
                scaled(Counter({key: a.counts[key] for key in keys}), windows * n)
                for a, n in zip(used, self.images, strict=True)
            ))
            for stage, keys in stages.items()
        }  # fmt: skip

    def _reduce(self, site: Site, source: str, total: int, slots: int) -> str:
        """Partial sums of a layer that reaches over several tiles, added pairwise along a tree of tiles."""
        tiles = site.tiles_per_copy
        if tiles == 1 or site.grid.blocks == 1:
            return source
        noc, chip = self.placement.chip.file.noc, self.placement.chip
        bits = site.grid.layer.c_out * partial_sum_bits(self.placement, site)
        flits = ceil_div(bits, noc.flit_bits)
        hop, levels = noc.hop_cycles / noc.rate_ghz, ceil(log2(tiles))
        level_ps = service_ps(flits / noc.rate_ghz + hop)
        per_window = Counter({("noc", "flit_hop"): flits * (tiles - 1)})
        crossings = (
            site.first_tile // chip.file.chip.tiles,
            (site.first_tile + tiles - 1) // chip.file.chip.tiles,
        )
        if crossings[0] != crossings[1]:
            per_window["offchip", "byte"] += (crossings[1] - crossings[0]) * ceil_div(bits, 8)
        role = Role(site.name, "inference", tuple(scaled(per_window, n * site.stage.windows) for n in self.images))
        works = [steady(n * site.stage.windows, level_ps, (levels - 1) * level_ps) for n in self.images]
        unit = self.draft.unit(f"{site.name}.tree", site.copies)
        self.draft.actor(f"{site.name}.reduce", unit, works, role, copies=True)
        self.draft.channel(source, f"{site.name}.reduce", slots, [one_to_one(total)])
        return f"{site.name}.reduce"

    # ---- a digital operation ----------------------------------------------------------------

    def _digital(self, stage: Stage) -> str:
        """Pooling, addition, products of activations …: one firing per output pixel."""
        place, chip = self.placement, self.placement.chip
        site = place.sites[place.homes[stage.name]]
        counts, busy_ns, unit = self._operation(stage)
        servers = site.groups if unit == "vector" else site.copies
        role = Role(stage.name, "inference", tuple(scaled(counts, stage.windows * n) for n in self.images))
        works = [steady(stage.windows * n, chip.stage_ps(1, busy_ns)) for n in self.images]
        name = f"{stage.name}.compute"
        self.draft.actor(name, self.draft.unit(f"{site.name}.{unit}", servers), works, role, copies=True)
        self._feed(stage, name)
        return name

    def _operation(self, stage: Stage) -> tuple[Counter[Action], Fraction | None, str]:
        """Actions of one window, how long they take if that is more than a stage, and the unit that does them."""
        place, vector = self.placement, self.placement.chip.file.vector
        bits = sum(edge.channels * self._pixels(edge) for edge in stage.edges) * place.input_bits
        counts: Counter[Action] = Counter()
        access = place.chip.file.buffer.access_bits
        counts["buffer", "read"] += ceil_div(bits, access)
        counts["buffer", "write"] += ceil_div(stage.channels * place.input_bits, access)
        if stage.op == "matmul" and vector:
            counts["vector", "mac"] += stage.macs
            return counts, Fraction(stage.macs, vector.macs_per_cycle) * place.chip.cycle_ns, "vector"
        if "pool" in stage.op:
            counts["pool", "cycle"] += 1
            return counts, None, "pool"
        counts["shift_add", "tile"] += 1
        return counts, None, "adder"

    def _pixels(self, edge: Edge) -> int:
        """Pixels that one window reads; of a running mean there is one, however many it has seen."""
        mean = self.means.get(edge.source, False)
        return 1 if mean else edge.sliding.kernel[0] * edge.sliding.kernel[1]

    # ---- between stages ---------------------------------------------------------------------

    def _feed(self, stage: Stage, first: str) -> None:
        """Connect every source of ``stage`` to its first actor."""
        fed = False  # by a pixel before its first window; one that lies in the padding needs none
        for at, edge in enumerate(stage.edges):
            if edge.source == self.input and HOST not in self.ends:
                continue
            tokens = self._tokens(edge)
            need, release = self.placement.tables.of(edge)
            fed = fed or need[0] > 0
            source = self._send(stage, at, edge, tokens)
            if need[-1] < tokens and edge.source != self.input:
                self.drains.append((source, tokens))
            capacity = self.placement.capacities[stage.name, at]
            self.draft.channel(source, first, capacity, [Flow(self.total, need, release, tokens)])
        if not fed:
            self.first.append((first, stage.windows))

    def _tokens(self, edge: Edge) -> int:
        """Tokens of one image on an edge."""
        return edge.sliding.in_hw[0] * edge.sliding.in_hw[1]

    def _send(self, stage: Stage, at: int, edge: Edge, tokens: int) -> str:
        """Carry the pixels of an edge between tiles; returns the actor that gives them."""
        key = (stage.name, at)
        source = self.ends[HOST if edge.source == self.input else edge.source]
        noc, offchip = self.placement.chip.file.noc, self.placement.chip.file.offchip
        target = self.placement.sites[self.placement.homes[stage.name]]
        bits = edge.channels * self.placement.input_bits
        flits = ceil_div(bits, noc.flit_bits)
        slots = 2 * max(target.copies, self._copies_of(edge.source))
        for number, leg in enumerate(self.legs.get(key, ())):
            counts = Counter({("noc", "flit_hop"): flits * leg.hops})
            service = service_ps(flits / noc.rate_ghz)
            latency = int(leg.hops * noc.hop_cycles / noc.rate_ghz * 1000)
            if leg.offchip:
                counts = Counter({("offchip", "byte"): ceil_div(bits, 8)})
                service, latency = service_ps(Fraction(ceil_div(bits, 8)) / offchip.gbytes_per_s), 0
            elif number == len(self.legs[key]) - 1:  # pixels go on to every tile of the target
                counts["noc", "flit_hop"] += flits * (target.tiles - 1)
            role = Role(stage.name, "inference", tuple(scaled(counts, n * tokens) for n in self.images))
            works = [steady(n * tokens, service, latency) for n in self.images]
            name = f"{stage.name}.receive{at}.{number}"
            self.draft.actor(name, self.draft.unit(leg.unit), works, role)
            self.draft.channel(source, name, slots, [one_to_one(self.total * tokens)])
            source = name
        return source

    def _copies_of(self, source: str) -> int:
        home = self.placement.homes.get(source)
        return self.placement.sites[home].copies if home else 1

    def _host(self) -> None:
        """The host's transfer of input pixels over the off-chip link, where the chip says so."""
        chip, node = self.placement.chip, self.placement.network.nodes[0]
        pixels = node.shape[1] * node.shape[2]
        size = ceil_div(node.shape[0] * self.placement.input_bits, 8)
        service = service_ps(Fraction(size) / chip.file.offchip.gbytes_per_s)
        role = Role(
            node.name,
            "inference",
            tuple(Counter({("offchip", "byte"): size * pixels * n}) for n in self.images),
        )
        works = [steady(n * pixels, service) for n in self.images]
        self.draft.actor(HOST, self.draft.unit("offchip.0"), works, role)
        self.ends[HOST] = HOST
        self.first.append((HOST, pixels))


def _enough(hardware: int, copies: int) -> int:
    """Slots between stages with copies: those of the hardware for one copy; else so many that none waits."""
    return hardware if copies == 1 else 2 * max(hardware, 1) * copies


def flows_between(placement: Placement) -> dict[Hashable, list[tuple[int, int, int]]]:
    """Routes of all edges whose ends sit in different tiles."""
    mesh = Mesh(placement.chip)
    routes: dict[Hashable, list[tuple[int, int, int]]] = {}
    for stage in placement.stages:
        target = placement.sites[placement.homes[stage.name]]
        for at, edge in enumerate(stage.edges):
            home = placement.homes.get(edge.source)
            if home is None or home == target.name:
                continue
            source = placement.sites[home]
            routes[stage.name, at] = mesh.route(source.first_tile + source.tiles - 1, target.first_tile)
    return routes

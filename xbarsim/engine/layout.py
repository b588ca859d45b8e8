"""Lays a dataflow graph out as the one int64 array that the compiled event loop works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xbarsim.dataflow.graph import Flow, Graph, Table, Unit, Work
from xbarsim.kernels import events as ev

LARGEST_FIRST_RING = 1024
"""Commits of an actor without copies kept at first; a ring that proves too small is doubled."""


@dataclass
class Block:
    """``count`` records of ``words`` words each, from ``address``."""

    address: int
    count: int
    words: int

    def at(self, index: int) -> int:
        """Address of record ``index``."""
        return self.address + index * self.words

    def rows(self, memory: Table) -> Table:
        """Return the records as a two-dimensional view into ``memory``."""
        end = self.address + self.count * self.words
        return memory[self.address : end].reshape(self.count, self.words)


class Layout:
    """Where everything stands: built once per execution, together with the initial ``memory``."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.size = ev.HEADER_WORDS
        self._index()
        self._reserve()
        self.memory = np.zeros(self.size, np.int64)
        self._fill_header()
        self._fill_tables()
        self._fill_segments()
        self._fill_actors()
        self._fill_lanes()
        self._fill_channels()
        self._fill_units()

    def block(self, count: int, words: int = 1) -> Block:
        """Reserve ``count`` records of ``words`` words."""
        block = Block(self.size, count, words)
        self.size += count * words
        return block

    def _index(self) -> None:
        """Decide which lanes, servers and queues there are."""
        graph = self.graph
        number = {actor.name: index for index, actor in enumerate(graph.actors)}
        unit_number = {unit.name: index for index, unit in enumerate(graph.units)}
        self.unit_of = [unit_number[actor.unit] for actor in graph.actors]
        self.source = [number[channel.source] for channel in graph.channels]
        self.target = [number[channel.target] for channel in graph.channels]
        # Channels stand in the order of their targets, so that the inputs of an actor are neighbours.
        self.channel_order = sorted(range(len(self.target)), key=self.target.__getitem__)
        self.outputs: list[list[int]] = [[] for _ in graph.actors]
        self.inputs: list[list[int]] = [[] for _ in graph.actors]
        for place, channel in enumerate(self.channel_order):
            self.outputs[self.source[channel]].append(place)
            self.inputs[self.target[channel]].append(place)
        self.users = [_Users(unit) for unit in graph.units]
        for index, actor in enumerate(graph.actors):
            self.users[self.unit_of[index]].add(index, actor.copies, actor.firings, actor.group)
        self.lanes = [self.users[unit].lanes(index) for index, unit in enumerate(self.unit_of)]
        self.first_lane = np.concatenate(([0], np.cumsum(self.lanes, dtype=np.int64))).tolist()
        self.servers = [users.servers for users in self.users]
        self.first_server = np.concatenate(([0], np.cumsum(self.servers, dtype=np.int64))).tolist()

    def _reserve(self) -> None:
        graph = self.graph
        actors, servers = len(graph.actors), sum(self.servers)
        self.actor_block = self.block(actors, ev.ACTOR_WORDS)
        self.lane_block = self.block(sum(self.lanes), ev.LANE_WORDS)
        ports = [lanes * len(inputs) for lanes, inputs in zip(self.lanes, self.inputs, strict=True)]
        self.port_block = self.block(sum(ports), ev.PORT_WORDS)
        self.first_port = np.concatenate(([0], np.cumsum(ports, dtype=np.int64))).tolist()
        self.channel_block = self.block(len(graph.channels), ev.CHANNEL_WORDS)
        self.out_block = self.block(len(graph.channels))
        self.unit_block = self.block(len(graph.units), ev.UNIT_WORDS)
        self.server_block = self.block(servers, ev.SERVER_WORDS)
        self.leaves = 1 << max(0, (servers + actors - 1).bit_length())
        self.tree_block = self.block(2 * self.leaves)
        self.map_block = self.block(servers + actors)
        self.touched_block = self.block(servers + len(graph.units))
        self.work_blocks = [
            self.block(sum(work.periods > 0 for work in actor.work), ev.WORK_WORDS) for actor in graph.actors
        ]
        self.flow_blocks = [
            self.block(sum(flow.periods > 0 for flow in graph.channels[channel].flows), ev.FLOW_WORDS)
            for channel in self.channel_order
        ]
        self._reserve_tables()
        self._reserve_queues()
        self.rings = [self.block(self._ring_size(index)) for index in range(actors)]

    def _reserve_tables(self) -> None:
        """Reserve every distinct table once."""
        self.tables: dict[int, tuple[int, Table]] = {}
        for actor in self.graph.actors:
            for work in actor.work:
                self._reserve_table(work.service_ps)
                self._reserve_table(work.latency_ps)
        for channel in self.graph.channels:
            for flow in channel.flows:
                self._reserve_table(flow.need)
                self._reserve_table(flow.release)

    def _reserve_table(self, table: Table) -> None:
        if id(table) not in self.tables:
            self.tables[id(table)] = (self.block(len(table)).address, table)

    def _reserve_queues(self) -> None:
        self.unit_queues, self.server_queues, self.free_stacks = [], [], []
        for users in self.users:
            self.unit_queues.append(self.block(_power(users.queued), 2))
            queued = _power(users.queued_per_server)
            self.server_queues += [self.block(queued, 2) for _ in range(users.servers)]
            self.free_stacks.append(self.block(users.servers))
        self.token_heaps: list[Block] = []
        self.slot_heaps: list[Block] = []
        for channel in self.channel_order:
            for heaps, end in ((self.token_heaps, self.target), (self.slot_heaps, self.source)):
                lanes = self.lanes[end[channel]]
                heaps.append(self.block(lanes if lanes > 1 else 0, 2))

    def _ring_size(self, index: int) -> int:
        """Return how many firings between the oldest uncommitted and the newest started to keep at first."""
        actor = self.graph.actors[index]
        if self.lanes[index] > 1:
            return _power(min(actor.firings, 2 * self.lanes[index] * actor.group))
        held = 2
        for work in {id(work): work for work in actor.work}.values():
            held = max(held, 2 + int(work.latency_ps.max()) // int(work.service_ps.min()))
        return _power(min(held, LARGEST_FIRST_RING, max(actor.firings, 1)))

    def _fill_header(self) -> None:
        memory = self.memory
        memory[ev.H_TREE] = self.tree_block.address
        memory[ev.H_LEAVES] = self.leaves
        memory[ev.H_SERVERS] = sum(self.servers)
        memory[ev.H_MAP] = self.map_block.address
        memory[ev.H_TOUCHED] = self.touched_block.address
        memory[ev.H_UNTIL] = memory[ev.H_PAUSE_AT] = ev.NEVER
        memory[ev.H_PAUSE] = self.actor_block.address
        self.tree_block.rows(memory)[:] = ev.NEVER
        places = self.map_block.rows(memory)[:, 0]
        servers = sum(self.servers)
        places[:servers] = self.server_block.address + ev.SERVER_WORDS * np.arange(servers)
        actors = len(self.graph.actors)
        places[servers:] = self.actor_block.address + ev.ACTOR_WORDS * np.arange(actors)

    def _fill_tables(self) -> None:
        for address, table in self.tables.values():
            self.memory[address : address + len(table)] = table

    def _fill_segments(self) -> None:
        for actor, block in zip(self.graph.actors, self.work_blocks, strict=True):
            rows = block.rows(self.memory)
            works = [work for work in actor.work if work.periods > 0]
            _fill_firings(rows, works)
            rows[:, ev.W_SERVICE] = [self.tables[id(work.service_ps)][0] for work in works]
            rows[:, ev.W_LATENCY] = [self.tables[id(work.latency_ps)][0] for work in works]
            rows[:, ev.W_FIRST_START : ev.W_LAST_COMMIT + 1] = -1
        for channel, block in zip(self.channel_order, self.flow_blocks, strict=True):
            rows = block.rows(self.memory)
            flows = [flow for flow in self.graph.channels[channel].flows if flow.periods > 0]
            _fill_firings(rows, flows)
            rows[:, ev.F_NEED] = [self.tables[id(flow.need)][0] for flow in flows]
            rows[:, ev.F_RELEASE] = [self.tables[id(flow.release)][0] for flow in flows]
            rows[:, ev.F_STEP] = [flow.step for flow in flows]
            steps = [flow.step * flow.periods for flow in flows]
            rows[:, ev.F_BASE] = np.cumsum([0, *steps], dtype=np.int64)[:-1]

    def _fill_actors(self) -> None:
        rows = self.actor_block.rows(self.memory)
        out_list = self.out_block.rows(self.memory)[:, 0]
        outs = logged = 0
        for index, actor in enumerate(self.graph.actors):
            row, inputs, outputs = rows[index], self.inputs[index], self.outputs[index]
            works = self.work_blocks[index].rows(self.memory)
            out_list[outs : outs + len(outputs)] = [self.channel_block.at(place) for place in outputs]
            row[ev.A_FIRINGS] = actor.firings
            row[ev.A_LANES] = self.lanes[index]
            row[ev.A_LANE] = self.lane_block.at(self.first_lane[index])
            row[ev.A_IN] = self.channel_block.at(inputs[0] if inputs else 0)
            row[ev.A_INS] = len(inputs)
            row[ev.A_OUT] = self.out_block.at(outs)
            row[ev.A_OUTS] = len(outputs)
            row[ev.A_RING] = self.rings[index].address
            row[ev.A_MASK] = self.rings[index].count - 1
            row[ev.A_LEAF] = sum(self.servers) + index
            row[ev.A_LOG] = ev.LOG_WORDS * logged
            row[ev.A_MARK_WORK] = self.work_blocks[index].address
            row[ev.A_MARK] = works[0, ev.W_PHASES] if len(works) else ev.NEVER
            row[ev.A_GROUP] = ev.NEVER
            if self._pinned(index):
                row[ev.A_GROUP] = actor.group
                row[ev.A_JUMP] = actor.group * (self.graph.units[self.unit_of[index]].servers - 1)
            self.rings[index].rows(self.memory)[:] = -1
            outs += len(outputs)
            logged += actor.firings

    def _pinned(self, index: int) -> bool:
        return index in self.users[self.unit_of[index]].pinned

    def _fill_lanes(self) -> None:
        rows = self.lane_block.rows(self.memory)
        for index, actor in enumerate(self.graph.actors):
            unit = self.unit_of[index]
            mode, server = self.users[unit].mode(index)
            pinned = self._pinned(index)
            for copy in range(self.lanes[index]):
                row = rows[self.first_lane[index] + copy]
                row[ev.L_ACTOR] = self.actor_block.at(index)
                row[ev.L_MODE] = mode
                row[ev.L_SERVER] = self.server_block.at(self.first_server[unit] + server + copy)
                row[ev.L_UNIT] = self.unit_block.at(unit)
                row[ev.L_NEXT] = copy * actor.group
                row[ev.L_LEFT] = actor.group if pinned else ev.NEVER
                row[ev.L_WORK] = self.work_blocks[index].address
                row[ev.L_PORT] = self.port_block.at(self.first_port[index] + copy * len(self.inputs[index]))

    def _fill_channels(self) -> None:
        rows = self.channel_block.rows(self.memory)
        ports = self.port_block.rows(self.memory)
        for place, channel in enumerate(self.channel_order):
            row, source, target = rows[place], self.source[channel], self.target[channel]
            row[ev.C_CURSOR + ev.P_FLOW] = self.flow_blocks[place].address
            row[ev.C_SOURCE] = self.actor_block.at(source)
            row[ev.C_TARGET] = self.actor_block.at(target)
            row[ev.C_CAPACITY] = self.graph.channels[channel].capacity
            self._fill_gate(row[ev.C_TOKENS : ev.C_SLOTS], target, self.token_heaps[place])
            self._fill_gate(row[ev.C_SLOTS :], source, self.slot_heaps[place])
        for index, inputs in enumerate(self.inputs):
            first, last = self.first_port[index], self.first_port[index + 1]
            for offset, place in enumerate(inputs):
                ports[first + offset : last : len(inputs), ev.P_FLOW] = self.flow_blocks[place].address

    def _fill_gate(self, gate: Table, actor: int, heap: Block) -> None:
        gate[ev.G_WAIT] = ev.NEVER
        gate[ev.G_HEAP] = heap.address
        if self.lanes[actor] == 1:
            gate[ev.G_LANE] = self.lane_block.at(self.first_lane[actor])

    def _fill_units(self) -> None:
        rows = self.unit_block.rows(self.memory)
        servers = self.server_block.rows(self.memory)
        for index, users in enumerate(self.users):
            row, first = rows[index], self.first_server[index]
            row[ev.U_KIND] = users.kind
            row[ev.U_SERVER] = self.server_block.at(first)
            row[ev.U_SERVERS] = users.servers
            _fill_queue(row, self.unit_queues[index])
            stack = self.free_stacks[index]
            row[ev.U_FREE], row[ev.U_FREES] = stack.address, users.servers
            mine = range(first, first + users.servers)
            stack.rows(self.memory)[:, 0] = [self.server_block.at(server) for server in reversed(mine)]
            for server in mine:
                _fill_queue(servers[server], self.server_queues[server])
                servers[server, ev.S_LEAF] = server
                servers[server, ev.S_UNIT] = self.unit_block.at(index)


class _Users:
    """Who uses a unit: actors pinned to servers window by window, and actors that take any server."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.pinned: dict[int, int] = {}
        """Number of lanes of every pinned actor."""
        self.loose: list[int] = []

    def add(self, actor: int, copies: bool, firings: int, group: int) -> None:
        # On one server, or with one window, copies are no different from an actor in order.
        if copies and self.unit.servers > 1:
            self.pinned[actor] = max(1, min(self.unit.servers, -(-firings // group)))
        else:
            self.loose.append(actor)

    def lanes(self, actor: int) -> int:
        return self.pinned.get(actor, 1)

    @property
    def servers(self) -> int:
        """Servers that can ever be used; the lowest free one is taken first."""
        return min(self.unit.servers, max(self.pinned.values(), default=0) + len(self.loose))

    @property
    def kind(self) -> int:
        if not self.pinned:
            return ev.FREE
        return ev.MIXED if self.loose else ev.FIXED

    def mode(self, actor: int) -> tuple[int, int]:
        """Return how the actor's lanes take servers, and the server of its first lane."""
        if actor in self.pinned:
            return (ev.OWN if self.kind == ev.FIXED and len(self.pinned) == 1 else ev.PINNED), 0
        if self.kind == ev.FREE and len(self.loose) <= self.unit.servers:
            return ev.OWN, self.loose.index(actor)
        return ev.ANY, 0

    @property
    def queued(self) -> int:
        return len(self.loose)

    @property
    def queued_per_server(self) -> int:
        return len(self.pinned)


def _power(least: int) -> int:
    """Return the smallest power of two that is at least ``least`` and at least 1."""
    return 1 << max(0, (least - 1).bit_length())


def _fill_queue(row: Table, queue: Block) -> None:
    row[ev.Q_ENTRIES] = queue.address
    row[ev.Q_MASK] = queue.count - 1


def _fill_firings(rows: Table, segments: Sequence[Work] | Sequence[Flow]) -> None:
    """Fill first firing, end and number of phases, which work and flow segments begin with."""
    ends = np.cumsum([segment.firings for segment in segments], dtype=np.int64)
    rows[:, ev.W_FIRST] = np.concatenate(([0], ends))[:-1]
    rows[:, ev.W_END] = ends
    rows[:, ev.W_PHASES] = [segment.phases for segment in segments]


def grow_rings(layout: Layout, memory: Table) -> Table:
    """Return a memory in which every firing in flight has a place in its actor's ring."""
    lanes = layout.lane_block.rows(memory)
    rings: list[Table] = []
    size = len(memory)
    for index, row in enumerate(layout.actor_block.rows(memory)):
        mine = lanes[layout.first_lane[index] : layout.first_lane[index + 1], ev.L_NEXT]
        held = int(mine[mine < row[ev.A_FIRINGS]].max(initial=-1)) + 1 - int(row[ev.A_COMMITTED])
        old = int(row[ev.A_MASK]) + 1
        if held > old:
            address, ring = int(row[ev.A_RING]), np.full(_power(2 * held), -1, np.int64)
            firings = int(row[ev.A_COMMITTED]) + np.arange(old)
            ring[firings & (len(ring) - 1)] = memory[address + (firings & (old - 1))]
            row[ev.A_RING], row[ev.A_MASK] = size, len(ring) - 1
            size += len(ring)
            rings.append(ring)
    return np.concatenate([memory, *rings])

"""Skipping whole periods of the compiled executor once its state repeats.

The event loop is a function of its state alone, and it does not see absolute times or absolute counts: it
adds service times to the present, compares tokens with needs, and reads tables at a phase. So if the
complete state, taken relative to the present and to the counts, is the same at two instants, the loop
will do again what it did between them, later by the time that passed (``span``), and with counts higher
by the firings that took place (``fired``). That may be repeated as long as every lane and every channel
stays inside the table segment in which it was at both instants. Then ``k`` repetitions are applied at
once: times move by ``k * span``, counts by ``k * fired``.

States are looked at where the last actor ends an iteration of the graph (the smallest numbers of firings
that move all channels by whole periods), and compared in full; a hash only preselects. If no state
repeats, everything is executed, which shows as ``firings_executed == firings``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from xbarsim.dataflow.graph import Table
from xbarsim.engine.layout import Layout
from xbarsim.kernels import events as ev

FROM_FIRINGS = 20_000_000
"""Smaller graphs are executed firing by firing."""

FIRINGS_APART = 200_000
"""Started firings between two looks at the state, at least."""

REMEMBERED = 16
"""States kept for comparison; a longer cycle of iterations is not recognised."""


@dataclass
class State:
    """What the future of the event loop depends on, and where it stood."""

    relative: Table
    """Everything the loop reads, relative to the present and to the counts, as one vector."""
    key: int
    now_ps: int
    ended: Table
    busy_ps: Table
    started: int


class Skipper:
    """Watches one execution and moves its memory ahead when it can."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.skipped = 0
        """Firings that took place without being executed."""
        self.states: deque[State] = deque(maxlen=REMEMBERED)
        self.stride: tuple[int, int] | None = None
        """The actor that is watched, and how many of its firings lie between two looks."""
        graph = layout.graph
        self.lane_actor = np.repeat(np.arange(len(graph.actors)), layout.lanes)
        order = layout.channel_order
        self.source = np.array([layout.source[channel] for channel in order], np.int64)
        self.target = np.array([layout.target[channel] for channel in order], np.int64)
        port_lane: list[int] = []
        port_channel: list[int] = []
        for lane, actor in enumerate(self.lane_actor.tolist()):
            port_lane += [lane] * len(layout.inputs[actor])
            port_channel += layout.inputs[actor]
        self.port_lane = np.array(port_lane, np.int64)
        self.port_source = self.source[np.array(port_channel, np.int64)]
        self.any_server = self._units_with_equal_servers()

    def _units_with_equal_servers(self) -> list[slice]:
        """Return the servers of units where it does not matter which of them serves a lane."""
        first = self.layout.first_server
        return [
            slice(first[index], first[index + 1])
            for index, users in enumerate(self.layout.users)
            if users.kind == ev.FREE and users.servers > 1
        ]

    def watch(self, memory: Table) -> None:
        """Set the header so that the loop pauses at the next end of an iteration, or not at all."""
        memory[ev.H_PAUSE_AT] = ev.NEVER
        stride = self._stride(memory)
        if stride != self.stride:
            self.states.clear()
            self.stride = stride
        if stride is not None:
            actor, firings = stride
            row = self.layout.actor_block.at(actor)
            memory[ev.H_PAUSE] = row
            memory[ev.H_PAUSE_AT] = (int(memory[row + ev.A_ENDED]) // firings + 1) * firings

    def look(self, memory: Table) -> None:
        """Compare the state with earlier ones, and move ``memory`` ahead if one of them repeats."""
        state = self._state(memory)
        for earlier in reversed(self.states):
            if earlier.key == state.key and np.array_equal(earlier.relative, state.relative):
                times = self._repeats(memory, earlier, state)
                if times > 0:
                    self._move(memory, earlier, state, times)
                    self.states.clear()
                    return
                break
        self.states.append(state)

    # Where to look.

    def _stride(self, memory: Table) -> tuple[int, int] | None:
        """Return the last unfinished actor and its firings between two looks, None if there is no iteration."""
        actors = self.layout.actor_block.rows(memory)
        going = np.flatnonzero(actors[:, ev.A_ENDED] < actors[:, ev.A_FIRINGS]).tolist()
        if not going:
            return None
        last = going[-1]
        rates = self._rates(memory, last)
        if rates is None:
            return None
        least = Fraction(1)
        for actor, rate in rates.items():
            least = _least_multiple(least, self._cycle(memory, actor) / rate)
        firings, per_iteration = int(least), least * sum(rates.values())
        return last, firings * max(1, int(FIRINGS_APART / per_iteration))

    def _rates(self, memory: Table, last: int) -> dict[int, Fraction] | None:
        """Return firings per firing of ``last`` of all actors connected to it, None if they contradict."""
        channels = self.layout.channel_block.rows(memory)
        actors = self.layout.actor_block.rows(memory)
        done = actors[:, ev.A_ENDED] == actors[:, ev.A_FIRINGS]
        near: dict[int, list[tuple[int, int, int]]] = {}
        for place, (source, target) in enumerate(zip(self.source.tolist(), self.target.tolist(), strict=True)):
            if not done[source] and not done[target]:
                flow = int(channels[place, ev.C_CURSOR + ev.P_FLOW])
                step, phases = int(memory[flow + ev.F_STEP]), int(memory[flow + ev.F_PHASES])
                near.setdefault(target, []).append((source, step, phases))
                near.setdefault(source, []).append((target, phases, step))
        rates = {last: Fraction(1)}
        reached = [last]
        for actor in reached:
            for other, more, less in near.get(actor, []):
                if more == 0 or less == 0:
                    return None
                rate = rates[actor] * Fraction(more, less)
                if other not in rates:
                    reached.append(other)
                if rates.setdefault(other, rate) != rate:
                    return None
        return rates

    def _cycle(self, memory: Table, actor: int) -> int:
        """Return the firings after which an actor and its channels are at the same phase and server."""
        row = self.layout.actor_block.at(actor)
        lanes = self.layout.first_lane[actor]
        work = int(memory[self.layout.lane_block.at(lanes) + ev.L_WORK])
        cycle = int(memory[work + ev.W_PHASES])
        for place in self.layout.inputs[actor]:
            flow = int(memory[self.layout.channel_block.at(place) + ev.C_CURSOR + ev.P_FLOW])
            cycle = lcm(cycle, int(memory[flow + ev.F_PHASES]))
        jump = int(memory[row + ev.A_JUMP])
        return lcm(cycle, int(memory[row + ev.A_GROUP]) + jump) if jump else cycle

    # What to compare.

    def _state(self, memory: Table) -> State:
        layout = self.layout
        actors = layout.actor_block.rows(memory)
        now = int(memory[ev.H_NOW])
        parts = [
            *self._actor_parts(memory, now),
            *self._lane_parts(memory),
            *self._channel_parts(memory),
            *self._server_parts(memory, now),
            *self._queue_parts(memory, now),
        ]
        relative = np.concatenate([part.ravel() for part in parts])
        return State(
            relative,
            hash(relative.tobytes()),
            now,
            actors[:, ev.A_ENDED].copy(),
            layout.unit_block.rows(memory)[:, ev.U_BUSY].copy(),
            int(memory[ev.H_STARTED]),
        )

    def _actor_parts(self, memory: Table, now: int) -> list[Table]:
        actors = self.layout.actor_block.rows(memory)
        parts = [
            actors[:, ev.A_COMMITTED] - actors[:, ev.A_ENDED],
            # A commit in the past no longer holds back any later one.
            np.maximum(actors[:, ev.A_LAST_COMMIT] - now, 0),
            actors[:, [ev.A_MARK, ev.A_MARK_WORK]],
        ]
        for index in range(len(actors)):
            _, values = self._ring(memory, index)
            # Likewise an end plus latency in the past: its commit lies in the future, held up by another.
            parts += [np.array([len(values)]), np.where(values < 0, -1, np.maximum(values - now, 0))]
        return parts

    def _ring(self, memory: Table, index: int) -> tuple[Table, Table]:
        """Return firings and ring values from the oldest uncommitted firing to the newest in flight."""
        layout = self.layout
        row = layout.actor_block.rows(memory)[index]
        first, last = int(row[ev.A_COMMITTED]), int(row[ev.A_ENDED])
        if layout.lanes[index] > 1:
            lanes = layout.lane_block.rows(memory)
            ahead = lanes[layout.first_lane[index] : layout.first_lane[index + 1], ev.L_NEXT]
            last = min(max(last, int(ahead.max())), first + int(row[ev.A_MASK]) + 1)
        firings = np.arange(first, last)
        return firings, memory[int(row[ev.A_RING]) + (firings & int(row[ev.A_MASK]))]

    def _lane_parts(self, memory: Table) -> list[Table]:
        layout = self.layout
        actors, lanes = layout.actor_block.rows(memory), layout.lane_block.rows(memory)
        ports = layout.port_block.rows(memory)
        pinned = actors[self.lane_actor, ev.A_JUMP] > 0
        return [
            lanes[:, ev.L_NEXT] - actors[self.lane_actor, ev.A_ENDED],
            np.where(pinned, lanes[:, ev.L_LEFT], 0),
            lanes[:, [ev.L_MISSING, ev.L_WORK, ev.L_PHASE, ev.L_LATENCY]],
            ports[:, [ev.P_FLOW, ev.P_PHASE]],
            ports[:, ev.P_BASE] - actors[self.port_source, ev.A_COMMITTED],
        ]

    def _channel_parts(self, memory: Table) -> list[Table]:
        channels = self.layout.channel_block.rows(memory)
        ended = self.layout.actor_block.rows(memory)[self.source, ev.A_ENDED]
        parts = [
            channels[:, [ev.C_CURSOR + ev.P_FLOW, ev.C_CURSOR + ev.P_PHASE]],
            channels[:, ev.C_CURSOR + ev.P_BASE] - ended,
            channels[:, ev.C_RELEASED] - ended,
        ]
        for gate in (ev.C_TOKENS, ev.C_SLOTS):
            waits = channels[:, gate + ev.G_WAIT]
            parts += [np.where(waits == ev.NEVER, ev.NEVER, waits - ended), channels[:, gate + ev.G_COUNT]]
            for place in np.flatnonzero(channels[:, gate + ev.G_COUNT]).tolist():
                heap = _heap(memory, channels[place], gate).copy()
                heap[:, 0] -= ended[place]
                parts.append(heap[np.lexsort(heap.T)])
        return parts

    def _server_parts(self, memory: Table, now: int) -> list[Table]:
        layout = self.layout
        servers = layout.server_block.rows(memory)
        leaves = memory[layout.tree_block.address + layout.leaves :][: len(servers) + len(self.layout.lanes)]
        events = np.where(leaves == ev.NEVER, ev.NEVER, leaves - now)
        serving = np.stack([servers[:, ev.S_LANE], events[: len(servers)]], axis=1)
        for place in self.any_server:
            serving[place] = serving[place][np.lexsort(serving[place].T)]
        return [serving, events[len(servers) :]]

    def _queue_parts(self, memory: Table, now: int) -> list[Table]:
        parts = []
        for block in (self.layout.unit_block, self.layout.server_block):
            rows = block.rows(memory)
            parts.append(rows[:, ev.Q_COUNT])
            for place in np.flatnonzero(rows[:, ev.Q_COUNT]).tolist():
                entries = memory[_queue(rows[place])]
                entries[:, 0] -= now
                parts.append(entries)
        return parts

    # How to go on.

    def _repeats(self, memory: Table, earlier: State, state: State) -> int:
        """Return how often the stretch between two equal states may be repeated without leaving a segment."""
        layout = self.layout
        fired = state.ended - earlier.ended
        actors, lanes = layout.actor_block.rows(memory), layout.lane_block.rows(memory)
        ports, channels = layout.port_block.rows(memory), layout.channel_block.rows(memory)
        following, moved = lanes[:, ev.L_NEXT], fired[self.lane_actor]
        limits = [
            (moved, following, memory[lanes[:, ev.L_WORK] + ev.W_END]),
            (
                moved[self.port_lane],
                following[self.port_lane],
                memory[ports[:, ev.P_FLOW] + ev.F_END],
            ),
            (
                fired[self.target],
                state.ended[self.target],
                memory[channels[:, ev.C_CURSOR + ev.P_FLOW] + ev.F_END],
            ),
            (fired, state.ended, actors[:, ev.A_MARK]),
        ]
        times = (ev.LATEST - state.now_ps) // (state.now_ps - earlier.now_ps)
        for step, here, end in limits:
            moving = step > 0
            if moving.any():
                times = min(times, int(((end[moving] - 1 - here[moving]) // step[moving]).min()))
        return max(times, 0)

    def _move(self, memory: Table, earlier: State, state: State, times: int) -> None:
        """Let ``times`` repetitions of the stretch between two equal states pass."""
        layout = self.layout
        later = times * (state.now_ps - earlier.now_ps)
        more = times * (state.ended - earlier.ended)
        actors, lanes = layout.actor_block.rows(memory), layout.lane_block.rows(memory)
        channels = layout.channel_block.rows(memory)
        rings = [self._ring(memory, index) for index in range(len(actors))]
        memory[ev.H_NOW] += later
        tree = layout.tree_block.rows(memory)
        tree[tree != ev.NEVER] += later
        self._move_queues(memory, later)
        self._move_gates(memory, more)
        actors[:, ev.A_ENDED] += more
        actors[:, ev.A_COMMITTED] += more
        actors[more > 0, ev.A_LAST_COMMIT] += later
        for row, (firings, values), moved in zip(actors, rings, more.tolist(), strict=True):
            ring, mask = int(row[ev.A_RING]), int(row[ev.A_MASK])
            held = np.where(values < 0, -1, values + later)
            memory[ring + (firings & mask)] = -1
            memory[ring + ((firings + moved) & mask)] = held
        lanes[:, ev.L_NEXT] += more[self.lane_actor]
        works = np.unique(lanes[more[self.lane_actor] > 0, ev.L_WORK])
        memory[works + ev.W_LAST_END] += later
        layout.port_block.rows(memory)[:, ev.P_BASE] += more[self.port_source]
        channels[:, ev.C_CURSOR + ev.P_BASE] += more[self.source]
        channels[:, ev.C_RELEASED] += more[self.source]
        layout.unit_block.rows(memory)[:, ev.U_BUSY] += times * (
            layout.unit_block.rows(memory)[:, ev.U_BUSY] - earlier.busy_ps
        )
        self.skipped += times * (state.started - earlier.started)

    def _move_queues(self, memory: Table, later: int) -> None:
        for block in (self.layout.unit_block, self.layout.server_block):
            rows = block.rows(memory)
            for place in np.flatnonzero(rows[:, ev.Q_COUNT]).tolist():
                memory[_queue(rows[place])[:, 0]] += later

    def _move_gates(self, memory: Table, more: Table) -> None:
        channels = self.layout.channel_block.rows(memory)
        for gate in (ev.C_TOKENS, ev.C_SLOTS):
            waiting = channels[:, gate + ev.G_WAIT] != ev.NEVER
            channels[waiting, gate + ev.G_WAIT] += more[self.source[waiting]]
            for place in np.flatnonzero(channels[:, gate + ev.G_COUNT]).tolist():
                _heap(memory, channels[place], gate)[:, 0] += more[self.source[place]]


def _heap(memory: Table, channel: Table, gate: int) -> Table:
    """Return the (threshold, lane) pairs waiting at a gate, as a view."""
    address, count = int(channel[gate + ev.G_HEAP]), int(channel[gate + ev.G_COUNT])
    return memory[address : address + 2 * count].reshape(count, 2)


def _queue(row: Table) -> Table:
    """Return the addresses of the (ready, lane) pairs of a queue, in order."""
    places = int(row[ev.Q_HEAD]) + np.arange(int(row[ev.Q_COUNT]))
    return int(row[ev.Q_ENTRIES]) + 2 * (places & int(row[ev.Q_MASK]))[:, None] + np.arange(2)


def _least_multiple(one: Fraction, other: Fraction) -> Fraction:
    """Return the smallest number that both go into a whole number of times."""
    return Fraction(lcm(one.numerator, other.numerator), gcd(one.denominator, other.denominator))

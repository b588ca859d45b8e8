"""Requests against one chip as SimPy processes, in whole picoseconds.

One process lets requests arrive, one serves them. The chip is a pipeline that holds one task:

* An inference of the installed task enters at the earliest its *interval* after the one before it, and is
  answered its *latency* after it entered. Without pipelining it enters when the one before it is answered.
* For another task the chip waits for the last answer (barrier), switches, and the inference enters.
* The next request is chosen when the next inference could enter, after all arrivals of that instant. A
  choice stands: who arrives while the chip drains or switches waits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from xbarsim.engine.reference import LAST
from xbarsim.studies.arrivals import Requests
from xbarsim.studies.policies import Policy, Request

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ServiceTimes:
    """What tasks (by position) take, in picoseconds."""

    latency_ps: tuple[int, ...]
    """From entering the empty chip to the answer."""
    interval_ps: tuple[int, ...]
    """Between inferences of one task that follow each other."""
    switch_ps: Mapping[tuple[int, int], int]
    """(old, new): from the last answer of the old task to the first inference of the new one."""

    def sequence_ps(self, tasks: Sequence[int]) -> int:
        """How long inferences take that are all there from the start; the first one's task is on the chip."""
        total = self.latency_ps[tasks[0]]
        for old, task in pairwise(tasks):
            total += self.interval_ps[task] if old == task else self.switch_ps[old, task] + self.latency_ps[task]
        return total

    def back_to_back(self) -> ServiceTimes:
        """The same without pipelining: one inference at a time."""
        return ServiceTimes(self.latency_ps, self.latency_ps, self.switch_ps)


@dataclass(frozen=True, eq=False)
class Served:
    """What became of all requests, in their order of arrival, and when the chip switched."""

    requests: Requests
    entries_ps: Integers
    """When each request entered the chip."""
    answers_ps: Integers
    order: Integers
    """Numbers of the requests in the order in which they entered."""
    switches: Integers
    """Rows of (begin, end, old task, new task), in order."""
    deadlines_ps: Integers | None
    """When each request had to be answered, where the policy knows deadlines."""

    @property
    def end_ps(self) -> int:
        """The last answer; 0 without requests."""
        return int(self.answers_ps.max(initial=0))


def serve_requests(requests: Requests, times: ServiceTimes, policy: Policy, installed: int = 0) -> Served:
    """Serve every request; the chip starts empty with task ``installed`` on it."""
    env = simpy.Environment(initial_time=0)
    desk = _Desk(env, requests, times, policy, installed)
    env.process(desk.arrive())
    env.process(desk.serve())
    env.run()
    deadlines = None
    if len(requests) and policy.deadline_ps(desk.request(0)) is not None:
        deadlines = np.array([policy.deadline_ps(desk.request(number)) for number in range(len(requests))], np.int64)
    return Served(
        requests, np.array(desk.entries, np.int64), np.array(desk.answers, np.int64), np.array(desk.order, np.int64),
        np.array(desk.switches, np.int64).reshape(-1, 4), deadlines,
    )  # fmt: skip


class _Desk:
    """The two processes and what they share."""

    def __init__(
        self, env: simpy.Environment, requests: Requests, times: ServiceTimes, policy: Policy, installed: int
    ) -> None:
        self.env, self.times, self.policy, self.installed = env, times, policy, installed
        self.arrivals, self.tasks = requests.times_ps.tolist(), requests.tasks.tolist()
        self.entries, self.answers = [0] * len(requests), [0] * len(requests)
        self.order: list[int] = []
        self.switches: list[tuple[int, int, int, int]] = []
        self.bell: simpy.Event | None = None

    def request(self, number: int) -> Request:
        return Request(number, self.tasks[number], self.arrivals[number])

    def arrive(self) -> Generator[simpy.Event, Any, None]:
        """Let requests wait from their arrival on, and wake the chip if it has nothing to do."""
        env = self.env
        for number, at in enumerate(self.arrivals):
            if at > env.now:
                yield env.timeout(at - env.now)
            self.policy.add(self.request(number))
            if self.bell is not None:
                self._last(self.bell)
                self.bell = None

    def serve(self) -> Generator[simpy.Event, Any, None]:
        """Take one request after the other."""
        env, times, policy = self.env, self.times, self.policy
        drained = 0
        for _ in self.arrivals:
            if not len(policy):
                self.bell = env.event()
                yield self.bell
            request = policy.take(self.installed, int(env.now))
            if request.task != self.installed:
                if drained > env.now:
                    yield env.timeout(drained - env.now)
                yield env.timeout(self._switch(request.task))
            self.order.append(request.number)
            self.entries[request.number] = int(env.now)
            drained = self.answers[request.number] = int(env.now) + times.latency_ps[request.task]
            yield self._last(env.event(), times.interval_ps[request.task])

    def _switch(self, task: int) -> int:
        """Note a switch that begins now; returns how long it takes."""
        took = self.times.switch_ps[self.installed, task]
        self.switches.append((int(self.env.now), int(self.env.now) + took, self.installed, task))
        self.installed = task
        return took

    def _last(self, event: simpy.Event, delay: int = 0) -> simpy.Event:
        """Let an event happen after ``delay``, after all else of that instant."""
        event._ok, event._value = True, None
        self.env.schedule(event, priority=LAST, delay=delay)
        return event

"""Which waiting request is served next? One small class per policy.

A policy holds the requests that wait. Whenever the chip could take another one, it is asked for the next;
a request of another task than the installed one means a switch. Other packages add policies through the
entry point group ``xbarsim.policies``::

    class Newest(Policy, name="newest"):
        def __init__(self, tasks, options):
            super().__init__(tasks, options)
            self.stack = []

        def add(self, request): self.stack.append(request)
        def take(self, installed, now_ps): return self.stack.pop()
        def __len__(self): return len(self.stack)
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.registry import Registered
from xbarsim.results.durations import parse_duration

OTHERS = "others"
"""Option that stands for all tasks that are not named."""


class Request(NamedTuple):
    """One inference that is asked for."""

    number: int
    """Position in the order of arrival."""
    task: int
    """Position of the task among those that are served."""
    arrival_ps: int


class Policy(Registered, group="xbarsim.policies"):
    """The requests that wait, and which of them comes next."""

    about: ClassVar[str] = ""
    """One line for people."""
    keys: ClassVar[tuple[str, ...]] = ()
    """Options that the policy takes, beside the names of tasks where :attr:`per_task`."""
    per_task: ClassVar[bool] = False
    """Whether tasks, and ``others``, are options too."""

    def __init__(self, tasks: Sequence[str], options: Mapping[str, str]) -> None:
        """Raise :class:`InputError` for options that the policy does not have."""
        self.tasks, self.options = tuple(tasks), dict(options)
        known = [*self.keys, *((*tasks, OTHERS) if self.per_task else ())]
        wrong = [key for key in options if key not in known]
        listed = f"it has: {', '.join(known)}" if known else "it has none"
        if wrong:
            raise InputError(
                Fault("--policy", f"{self.name!r} has no option {key!r}; {listed}{did_you_mean(key, known)}")
                for key in wrong
            )

    def add(self, request: Request) -> None:
        """Let a request wait; they come in order of arrival."""
        raise NotImplementedError

    def take(self, installed: int, now_ps: int) -> Request:
        """Remove the next request and return it; one at least waits, task ``installed`` is on the chip."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Number of requests that wait."""
        raise NotImplementedError

    def deadline_ps(self, request: Request) -> int | None:
        """When a request must be answered; nothing if the policy knows no deadlines."""
        return None


class Fifo(Policy, name="fifo"):
    """First come, first served, whatever that means for switches."""

    about = "in order of arrival"

    def __init__(self, tasks: Sequence[str], options: Mapping[str, str]) -> None:
        super().__init__(tasks, options)
        self.line: deque[Request] = deque()

    def add(self, request: Request) -> None:
        """Queue up."""
        self.line.append(request)

    def take(self, installed: int, now_ps: int) -> Request:
        """The oldest."""
        return self.line.popleft()

    def __len__(self) -> int:
        return len(self.line)


class BatchByTask(Policy, name="batch-by-task"):
    """Requests of the installed task first, then the oldest of all.

    ``limit``: how many requests in a row may overtake an older one of another task; then the oldest comes.
    With a limit of 0 this is first come, first served. On the same arrivals it never switches more often
    than that: two switches never lead to the same run of neighbouring requests of one task.
    """

    about = "the installed task's requests first, then the oldest; limit=N: at most N in a row overtake older ones"
    keys = ("limit",)

    def __init__(self, tasks: Sequence[str], options: Mapping[str, str]) -> None:
        super().__init__(tasks, options)
        self.limit = _whole(options["limit"]) if "limit" in options else None
        self.lines: list[deque[Request]] = [deque() for _ in tasks]
        self.waiting = self.overtaken = 0

    def add(self, request: Request) -> None:
        """Queue up with the others of its task."""
        self.lines[request.task].append(request)
        self.waiting += 1

    def take(self, installed: int, now_ps: int) -> Request:
        """The oldest of the installed task while it may overtake, else the oldest of all."""
        oldest = min(line[0] for line in self.lines if line)
        own = self.lines[installed]
        self.waiting -= 1
        if own and own[0] != oldest and (self.limit is None or self.overtaken < self.limit):
            self.overtaken += 1
            return own.popleft()
        self.overtaken = 0
        return self.lines[oldest.task].popleft()

    def __len__(self) -> int:
        return self.waiting


class Deadline(Policy, name="deadline"):
    """Earliest deadline first; the deadline of a request is its arrival and so much, by task."""

    about = "earliest deadline first; TASK=5ms,others=20ms: time from arrival to answer"
    per_task = True

    def __init__(self, tasks: Sequence[str], options: Mapping[str, str]) -> None:
        super().__init__(tasks, options)
        missing = [task for task in tasks if task not in options and OTHERS not in options]
        if missing:
            message = f"no deadline of {', '.join(missing)}; write for example deadline:{missing[0]}=5ms,{OTHERS}=20ms"
            raise InputError(Fault("--policy", message))
        times = {key: parse_duration(text, f"--policy deadline:{key}") for key, text in options.items()}
        self.allowed_ps = [times[task] if task in times else times[OTHERS] for task in tasks]
        self.heap: list[tuple[int, Request]] = []

    def add(self, request: Request) -> None:
        """Queue up by deadline; at equal ones by arrival."""
        heapq.heappush(self.heap, (self.deadline_ps(request), request))

    def take(self, installed: int, now_ps: int) -> Request:
        """The most urgent."""
        return heapq.heappop(self.heap)[1]

    def __len__(self) -> int:
        return len(self.heap)

    def deadline_ps(self, request: Request) -> int:
        """Arrival and what the task is allowed."""
        return request.arrival_ps + self.allowed_ps[request.task]


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError(Fault("--policy", f"limit {text!r} is not a whole number of 0 or more"))
    return int(text)


def parse_policy(text: str, tasks: Sequence[str]) -> Policy:
    """Read ``NAME`` or ``NAME:KEY=VALUE,…`` and make the policy for these tasks."""
    name, colon, rest = text.strip().partition(":")
    policy = Policy.named(name)
    options: dict[str, str] = {}
    faults: list[Fault] = []
    for part in rest.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key or not equals or not value:
            faults.append(Fault("--policy", f"{part.strip()!r} is no option; write {name}:KEY=VALUE,KEY=VALUE"))
        elif key in options:
            faults.append(Fault("--policy", f"option {key!r} stands there twice"))
        options[key] = value
    if faults:
        raise InputError(faults)
    return policy(tasks, options)

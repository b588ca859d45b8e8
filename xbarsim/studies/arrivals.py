"""When requests arrive and for which task: drawn from a seed, evenly spaced, or from a trace.

* ``poisson:2000/s``: independent exponential times between arrivals, 2000 per second on average;
* ``uniform:2000/s``: one exactly every 500 us, the first at 0;
* ``trace:FILE.csv``: as recorded, columns ``time_ns`` and ``task``, in order of time.

Except in a trace every request's task is drawn with the shares of the mix. Times and tasks come from
streams of their own, so that another mix meets the same arrivals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.change import BACKBONE
from xbarsim.config.decimals import exact
from xbarsim.dataflow import parse_scenario
from xbarsim.dataflow.scenario import leaves
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Network

MOST_REQUESTS = 20_000_000
"""Most requests of one study."""

SECOND_PS = 10**12
KINDS = ("poisson", "uniform", "trace")
EXAMPLES = "poisson:2000/s, uniform:2000/s or trace:FILE.csv"

_RATE = re.compile(r"([^/]+)/(s|ms|us)")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}


@dataclass(frozen=True, eq=False)
class Requests:
    """What is asked of the chip, in order of arrival."""

    times_ps: NDArray[np.int64]
    """Arrivals, never falling."""
    tasks: NDArray[np.int64]
    """Of every request the position of its task in ``names``."""
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.times_ps)

    def until(self, end_ps: int) -> Requests:
        """Those that arrive before ``end_ps``."""
        count = int(np.searchsorted(self.times_ps, end_ps))
        return Requests(self.times_ps[:count], self.tasks[:count], self.names)


@dataclass(frozen=True)
class Arrivals:
    """How requests arrive."""

    kind: str
    """``poisson``, ``uniform`` or ``trace``."""
    per_s: Fraction | None = None
    """Mean arrivals per second; nothing for a trace."""
    file: str | None = None
    """The trace."""

    def __str__(self) -> str:
        return f"trace:{self.file}" if self.per_s is None else f"{self.kind}:{float(self.per_s):g}/s"

    def requests(self, mix: Mapping[str, Fraction], duration_ps: int, seed: int) -> Requests:
        """Draw the requests of ``duration_ps``; not for a trace, which :func:`read_trace` reads."""
        assert self.per_s is not None  # a trace has no rate, and is not drawn
        expected = self.per_s * duration_ps / SECOND_PS
        if expected > MOST_REQUESTS:
            message = f"makes {float(expected):,.0f} requests, at most {MOST_REQUESTS:,} are simulated"
            raise InputError(Fault("--arrivals", f"{self} {message}; lower the rate or shorten --duration"))
        draw_times, draw_tasks = (np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(2))
        times = _even(self.per_s, duration_ps) if self.kind == "uniform" else _poisson(
            draw_times, float(self.per_s), duration_ps
        )  # fmt: skip
        shares = np.array([float(share) for share in mix.values()])
        tasks = draw_tasks.choice(len(shares), len(times), p=shares / shares.sum())
        return Requests(times, tasks.astype(np.int64), tuple(mix))


def _even(per_s: Fraction, duration_ps: int) -> NDArray[np.int64]:
    """Times of exact distances, rounded down one by one."""
    apart = SECOND_PS / per_s
    count = -(-duration_ps * apart.denominator // apart.numerator)
    times = [number * apart.numerator // apart.denominator for number in range(count)]
    return np.array(times, np.int64)


def _poisson(draw: np.random.Generator, per_s: float, duration_ps: int) -> NDArray[np.int64]:
    """Times of a Poisson process, rounded to picoseconds."""
    apart, parts, last = SECOND_PS / per_s, list[NDArray[np.float64]](), 0.0
    block = max(16, int(1.1 * duration_ps / apart))
    while last < duration_ps:
        times = last + np.cumsum(draw.exponential(apart, block))
        last = float(times[-1])
        parts.append(times)
    found = np.rint(np.concatenate(parts)).astype(np.int64)
    return found[found < duration_ps]


def parse_arrivals(text: str) -> Arrivals:
    """Read ``poisson:RATE/s``, ``uniform:RATE/s`` or ``trace:FILE.csv``."""
    kind, colon, rest = text.strip().partition(":")
    if kind not in KINDS or not colon or not rest:
        hint = did_you_mean(kind, KINDS) if kind not in KINDS else ""
        raise InputError(Fault("--arrivals", f"{text!r} is not understood; write {EXAMPLES}{hint}"))
    if kind == "trace":
        if not rest.endswith(".csv"):
            raise InputError(Fault("--arrivals", f"a trace is a CSV file with time_ns and task, not {rest!r}"))
        return Arrivals(kind, file=rest)
    found = _RATE.fullmatch(rest.replace(" ", ""))
    if not found:
        raise InputError(Fault("--arrivals", f"{rest!r} is no rate; write a number per s, ms or us, as in 2000/s"))
    try:
        rate = exact(found[1]) * _PER_SECOND[found[2]]
    except ValueError:
        raise InputError(Fault("--arrivals", f"{found[1]!r} is not a number")) from None
    if not 0 < rate <= SECOND_PS:
        raise InputError(Fault("--arrivals", f"{rest!r}: a rate is more than 0 and at most one per picosecond"))
    return Arrivals(kind, rate)


def parse_mix(text: str | None, network: Network) -> dict[str, Fraction]:
    """Read ``a:0.7,b:0.3``: shares of tasks that add up to 1. Without text all tasks have equal shares."""
    known = [*network.task_info, BACKBONE]
    if text is None:
        tasks = known[:-1] or known
        return dict.fromkeys(tasks, Fraction(1, len(tasks)))
    mix: dict[str, Fraction] = {}
    faults: list[Fault] = []
    for part in text.split(","):
        name, colon, share = (piece.strip() for piece in part.partition(":"))
        faults += _part(part, name, share if colon else "1", known, mix)
    total = sum(mix.values())
    if not faults and total != 1:
        faults.append(Fault("--mix", f"the shares add up to {float(total):g}, not to 1"))
    if faults:
        raise InputError(faults)
    return mix


def _part(part: str, name: str, text: str, known: Sequence[str], mix: dict[str, Fraction]) -> list[Fault]:
    """Enter one task; returns what is wrong with it."""
    if not name or not text:
        return [Fault("--mix", f"{part.strip()!r} is no task with a share; write for example {known[0]}:0.5")]
    if name not in known:
        return [Fault("--mix", f"no task {name!r}; known: {', '.join(known)}{did_you_mean(name, known)}")]
    try:
        share = exact(text)
    except ValueError:
        return [Fault("--mix", f"the share of {name!r} is not a number: {text!r}")]
    twice = [Fault("--mix", f"task {name!r} stands in the mix twice")] if name in mix else []
    mix[name] = share
    return twice if 0 < share <= 1 else [*twice, Fault("--mix", f"the share of {name!r} is not above 0 and up to 1")]


def read_trace(path: str, network: Network) -> Requests:
    """Read the requests of a CSV trace: columns ``time_ns`` and ``task``, in order of time."""
    entries = leaves(parse_scenario(path, network))
    names = tuple(dict.fromkeys(entry.task for entry in entries))
    times = [time for entry in entries for time in entry.arrivals_ps or ()]
    tasks = [names.index(entry.task) for entry in entries for _ in entry.arrivals_ps or ()]
    return Requests(np.array(times, np.int64), np.array(tasks, np.int64), names)

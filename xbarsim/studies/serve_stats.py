"""Statistics of served requests: quantiles, confidence, queue lengths, shares of time.

Quantiles are those of the sample itself: the smallest value that at least so many of the requests do not
exceed. A quantile that lies beyond the sample (p99.9 of fewer than 1,000) is not given. Confidence
intervals of means are by batch means, since waiting times of neighbours depend on each other: Student's t
over the means of :data:`BATCHES` stretches of equal numbers of requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.results.moments import mean_ns
from xbarsim.studies.intervals import of_mean
from xbarsim.studies.serve_queue import Served
from xbarsim.units import ceil_div, ns

Integers = NDArray[np.int64]

BATCHES = 20
LEAST_PER_BATCH = 10
"""Fewer requests per batch give no interval."""

QUANTILES = {"p50": Fraction(1, 2), "p99": Fraction(99, 100), "p999": Fraction(999, 1000)}
GROWTH = 1.5
"""How much longer a queue is in the last quarter than in the second one if that counts as growing."""

SLOTS = 20
"""Stretches of the window for which the queue is summed up."""


def summary(name: str, values_ps: Integers) -> dict[str, Any]:
    """Mean with its 95 % interval, quantiles and maximum in nanoseconds, under keys that begin with ``name``."""
    low, high = confidence(values_ps)
    total_ps = sum(values_ps.tolist())  # of a long overload it is more than 64 bits hold
    row = {"mean": mean_ns(total_ps, len(values_ps)) if len(values_ps) else None, "low": low, "high": high}
    ordered = np.sort(values_ps)
    row |= {key: quantile(ordered, share) for key, share in QUANTILES.items()}
    row["max"] = ns(int(ordered[-1])) if len(ordered) else None
    return {f"{name}_{key}_ns": value for key, value in row.items()}


def quantile(ordered: Integers, share: Fraction) -> float | int | None:
    """The quantile of ordered values in nanoseconds; nothing where the sample does not reach so far."""
    if len(ordered) * (1 - share) < 1:
        return None
    return ns(int(ordered[ceil_div(len(ordered) * share.numerator, share.denominator) - 1]))


def confidence(values_ps: Integers) -> tuple[float | None, float | None]:
    """95 % interval of the mean in nanoseconds by batch means; nothing for few values."""
    if len(values_ps) < BATCHES * LEAST_PER_BATCH:
        return None, None
    low, high = of_mean([float(part.mean()) / 1000 for part in np.array_split(values_ps, BATCHES)])
    return low, high


@dataclass(frozen=True, eq=False)
class Steps:
    """A whole number that changes at instants: how many requests are somewhere."""

    times_ps: Integers
    """Instants of change, rising."""
    values: Integers
    """From each instant on; before the first it is 0."""

    @classmethod
    def between(cls, entering_ps: Integers, leaving_ps: Integers) -> Steps:
        """How many have entered and not yet left."""
        times, where = np.unique(np.concatenate([entering_ps, leaving_ps]), return_inverse=True)
        change = np.zeros(len(times), np.int64)
        np.add.at(change, where.ravel()[: len(entering_ps)], 1)
        np.add.at(change, where.ravel()[len(entering_ps) :], -1)
        return cls(times, np.cumsum(change))

    def area(self, begin_ps: int, end_ps: int) -> int:
        """Sum over time, in units x picoseconds."""
        times, values = self._cut(begin_ps, end_ps)
        return sum((np.diff(times).astype(object) * values).tolist())

    def _cut(self, begin_ps: int, end_ps: int) -> tuple[Integers, Integers]:
        """Borders and values of the pieces of a span."""
        first, last = (int(np.searchsorted(self.times_ps, at, "right")) for at in (begin_ps, end_ps))
        before = self.values[first - 1] if first else 0
        times = np.concatenate([[begin_ps], self.times_ps[first:last], [end_ps]]).astype(np.int64)
        return times, np.concatenate([[before], self.values[first:last]]).astype(np.int64)

    def most(self, begin_ps: int, end_ps: int) -> int:
        """Largest value that lasted any time in a span."""
        times, values = self._cut(begin_ps, end_ps)
        return int(values[np.diff(times) > 0].max(initial=0))

    def least(self, begin_ps: int, end_ps: int) -> int:
        """Smallest value that lasted any time in a span."""
        times, values = self._cut(begin_ps, end_ps)
        return int(values[np.diff(times) > 0].min())


def waiting(served: Served) -> Steps:
    """Requests that have arrived and not yet entered the chip."""
    return Steps.between(served.requests.times_ps, served.entries_ps)


def queue_rows(steps: Steps, begin_ps: int, end_ps: int) -> list[dict[str, Any]]:
    """Mean and most requests waiting, over equal stretches of the window."""
    borders = [begin_ps + (end_ps - begin_ps) * slot // SLOTS for slot in range(SLOTS + 1)]
    return [
        {
            "begin_ns": ns(begin),
            "end_ns": ns(end),
            "waiting_mean": steps.area(begin, end) / (end - begin),
            "waiting_max": steps.most(begin, end),
        }
        for begin, end in pairwise(borders)
        if end > begin
    ]


def overloaded(steps: Steps, begin_ps: int, end_ps: int) -> bool:
    """Whether the queue grew all along: never empty in the second half, and :data:`GROWTH` times longer at its end.

    A chip that cannot keep up has a queue in proportion to time, 7/3 times as long in the last quarter as in
    the second one. One that can has about the same in both, even where batches never let it run empty.
    """
    quarters = [begin_ps + (end_ps - begin_ps) * at // 4 for at in range(5)]
    if min(np.diff(quarters)) <= 0 or not steps.least(quarters[2], end_ps):
        return False
    second, last = (steps.area(quarters[at], quarters[at + 1]) for at in (1, 3))
    return last > GROWTH * second


def covered_ps(begins_ps: Integers, ends_ps: Integers, begin_ps: int, end_ps: int) -> int:
    """How much of a span is covered by stretches that begin and end in rising order."""
    before = np.concatenate([[begin_ps], np.maximum(ends_ps[:-1], begin_ps)]) if len(ends_ps) else ends_ps
    pieces = np.minimum(ends_ps, end_ps) - np.maximum(begins_ps, before)
    return int(np.maximum(pieces, 0).sum())


def time_shares(served: Served, begin_ps: int, end_ps: int) -> dict[str, int]:
    """Picoseconds of a span with inferences on the chip, with a switch under way, and with neither."""
    entered = served.order
    inference = covered_ps(served.entries_ps[entered], served.answers_ps[entered], begin_ps, end_ps)
    switching = covered_ps(served.switches[:, 0], served.switches[:, 1], begin_ps, end_ps)
    return {"inference": inference, "switching": switching, "idle": end_ps - begin_ps - inference - switching}


def in_window(times_ps: Integers, begin_ps: int, end_ps: int) -> NDArray[np.bool_]:
    """Which instants lie in a span."""
    return np.asarray((times_ps >= begin_ps) & (times_ps < end_ps))


def late_share(served: Served, chosen: NDArray[np.bool_]) -> float | None:
    """Share of requests that were answered after their deadline; nothing without deadlines."""
    if served.deadlines_ps is None or not chosen.any():
        return None
    return float((served.answers_ps > served.deadlines_ps)[chosen].mean())


def per_second(count: int, window_ps: int) -> float:
    """A rate."""
    return count * 1e12 / window_ps


def rows_by_task(served: Served, begin_ps: int, end_ps: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for all requests that arrive in the window, and one per task."""
    arrivals = served.requests.times_ps
    counted, answered = in_window(arrivals, begin_ps, end_ps), in_window(served.answers_ps, begin_ps, end_ps)
    groups = {"all": np.ones(len(arrivals), bool)}
    if len(names) > 1:
        groups |= {name: served.requests.tasks == at for at, name in enumerate(names)}
    rows = []
    for name, mine in groups.items():
        chosen = counted & mine
        rows.append({
            "task": name,
            "requests": int(chosen.sum()),
            "offered_per_s": per_second(int(chosen.sum()), end_ps - begin_ps),
            "served_per_s": per_second(int((answered & mine).sum()), end_ps - begin_ps),
            **summary("latency", (served.answers_ps - arrivals)[chosen]),
            **summary("wait", (served.entries_ps - arrivals)[chosen]),
            "late_share": late_share(served, chosen),
        })  # fmt: skip
    return rows

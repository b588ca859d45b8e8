"""How long cells last when a scenario is repeated: scenarios, switches, years.

After ``s`` scenarios a cell has seen ``w(s) = w1 + r (s - 1)`` writes (or pulses): ``w1`` over
installation and the first scenario, ``r`` over every further one. It has failed with probability
``F(w)``, where ``m`` is the device's median endurance:

* ``fixed``: 0 below ``m``, 1 from there on;
* ``lognormal``: ``Phi(ln(w / m) / sigma_ln)``, Phi the standard normal distribution;
* ``weibull``: ``1 - exp(-ln 2 (w / m)^shape)``.

Cells fail independently. The *first* failure is the median of the first of all cells,
``product of (1 - F) = 1/2``; 1 % and 50 % are shares of the cells with the largest ``r``. Publications
give endurance in cycles or in pulses; the number is read both ways, and the row says which way is the
published one. A write of any size counts as one cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from xbarsim.chip.device import Device, Endurance, LogNormal, Weibull
from xbarsim.results.wear import Wear

Floats = NDArray[np.float64]

DAYS_PER_YEAR = 365.25
SHARES = (0.01, 0.5)
"""Shares of the most worn cells whose failure is reported."""

POINTS = 13
"""Instants of the table of expected failures."""

ASSUMED = (
    "lifetime: the scenario repeats for ever, cells fail independently, none is spared or replaced",
    "lifetime: a write of any size counts as one cycle",
)


def failure_probability(endurance: Endurance, median: float, worn: Floats) -> Floats:
    """Probability that a cell has failed after so many writes or pulses, of a median ``median``."""
    spread, share = endurance.spread, worn / median
    if isinstance(spread, LogNormal):
        with np.errstate(divide="ignore"):
            return np.asarray(ndtr(np.log(share) / spread.sigma_ln), np.float64)
    if isinstance(spread, Weibull):
        return np.asarray(-np.expm1(-log(2) * share**spread.shape), np.float64)
    return (share >= 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Ageing:
    """The cells of a run under one reading of the published endurance."""

    basis: str
    """``cycles`` or ``pulses``."""
    published: bool
    """Whether the publication counts these."""
    median: float
    endurance: Endurance
    first: Floats
    """Writes or pulses after the first scenario, for every kind of cell."""
    further: Floats
    """Writes or pulses of every further scenario."""
    cells: Floats

    def failed(self, scenarios: float) -> Floats:
        """Probability of failure after so many scenarios, at least one, for every kind of cell."""
        return failure_probability(self.endurance, self.median, self.first + self.further * (scenarios - 1))

    def expected(self, scenarios: float) -> float:
        """Expected number of failed cells."""
        return float(self.failed(scenarios) @ self.cells)

    def _any(self, scenarios: float) -> bool:
        """Whether it is more likely than not that a cell has failed."""
        with np.errstate(divide="ignore"):
            return bool(self.cells @ np.log1p(-self.failed(scenarios)) <= -log(2))

    def _have_failed(self, share: float, scenarios: float) -> bool:
        """Whether this share of the most worn cells is expected to have failed."""
        worst = self.further == self.further.max()
        return bool(self.failed(scenarios)[worst] @ self.cells[worst] >= share * self.cells[worst].sum())

    def points(self) -> dict[str, float | None]:
        """Scenarios until the first cell, and until shares of the most worn ones, have failed; none: never."""
        points = {"first": self._until(self._any)}
        for share in SHARES:
            points[f"{share:.0%}"] = self._until(partial(self._have_failed, share))
        return points

    def _until(self, reached: Callable[[float], bool]) -> float | None:
        """Fewest scenarios after which something holds that goes on holding, to a relative 1e-9."""
        if reached(1.0):
            return 1.0
        if not self.further.max():
            return None
        low, high = 1.0, 1.0 + 2 * self.median / float(self.further.max())
        while not reached(high):
            low, high = high, 2 * high
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return high


def lifetime(wear: Wear, device: Device, switches_per_day: float | None = None) -> dict[str, Any]:
    """The ``lifetime`` object of a run; years where a rate of switches is given."""
    endurance = device.endurance
    ages = ageing(wear, endurance)
    pace = Pace(wear.switches, switches_per_day)
    assumed = list(ASSUMED) if ages else [f"device {device.name!r} publishes no endurance: no lifetime"]
    return {
        "device": device.name,
        "endurance": endurance.model_dump(mode="json"),
        "switches_per_scenario": wear.switches,
        "switches_per_day": switches_per_day,
        "rows": [
            {"basis": age.basis, "published": age.published, "until": until, **pace.of(scenarios)}
            for age in ages
            for until, scenarios in age.points().items()
        ],
        "failed": [row for age in ages for row in _over_time(age, pace)],
        "assumptions": assumed,
    }


def ageing(wear: Wear, endurance: Endurance) -> list[Ageing]:
    """The published number read as cycles and as pulses; nothing where none is published."""
    stated = {"cycles": endurance.cycles, "pulses": endurance.pulses}
    known = endurance.cycles or endurance.pulses
    if known is None:
        return []
    table = wear.table.astype(np.float64)
    return [
        Ageing(basis, median is not None, median or known, endurance, table[:, at], table[:, at + 2], table[:, 4])
        for at, (basis, median) in enumerate(stated.items())
    ]


@dataclass(frozen=True)
class Pace:
    """How scenarios become switches and years."""

    switches: int
    """Task switches of a scenario."""
    per_day: float | None

    def of(self, scenarios: float | None) -> dict[str, float | None]:
        """Scenarios, switches and years; nothing where it never comes to that."""
        switches = None if scenarios is None else scenarios * self.switches
        years = None if switches is None or not self.per_day else switches / self.per_day / DAYS_PER_YEAR
        return {"scenarios": scenarios, "switches": switches, "years": years}


def _over_time(age: Ageing, pace: Pace) -> list[dict[str, Any]]:
    """Expected failures from well before the first to well after half of the most worn cells."""
    points = age.points()
    first, half = points["first"], points[f"{SHARES[-1]:.0%}"]
    if first is None or half is None:
        return []
    total = float(age.cells.sum())
    rows = []
    for scenarios in np.geomspace(max(1.0, first / 10), max(half * 10, 2.0), POINTS).tolist():
        failed = age.expected(scenarios)
        rows.append({
            "basis": age.basis, "published": age.published, **pace.of(scenarios), "failed_cells": failed,
            "failed_share": failed / total,
        })  # fmt: skip
    return rows

"""Published figures and how each is simulated: the registry behind ``xbarsim validate``.

Targets stand in modules ``xbarsim.studies.targets_*``, which are found by name: adding a file adds its rows. What
was published is a fact (``xbarsim/data/facts``); a target says how the same figure comes out of xbarsim. A figure
about behaviour runs through mapping, graph and engine, or through the analog arrays, and names one chip key
whose change makes the row fail: a row that copied its number would not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

from xbarsim.chip import Chip, load_chip
from xbarsim.facts import Fact, load_facts

How = Literal["engine", "arrays", "sum", "statistics", "calibrated", "trend"]
"""``engine``: mapping, graph and engine; ``arrays``: analog arrays; ``sum``: parts added up; ``statistics``: cells
drawn; ``calibrated``: the model was fitted to this figure; ``trend``: sign and order alone."""

Measure = Literal["relative", "absolute", "at_least", "at_most", "more_than"]
"""What a tolerance is about: the relative or absolute difference; nothing, where the published figure is a bound;
the value itself, which is to be more than it, where only a sign is claimed."""

Load = Callable[..., Chip]
"""Loads a chip by name with overrides, ``load("isaac", "adc.bits=6")``; a test slips in one more."""


@dataclass(frozen=True)
class Target:
    """One published figure and how it is simulated."""

    name: str
    chip: str
    fact: Fact
    published: float
    quantity: str
    tier: int
    """1: must hold; 2: reported with its evidence; 3: sign and order only."""
    how: How
    tolerance: float
    """Largest deviation that holds; 0: exactly."""
    measure: Measure
    """What the tolerance is about."""
    breaks: str
    """Chip keys with values that make the row fail; empty where there is no behaviour."""
    simulate: Callable[[Load], float]

    @property
    def evidence(self) -> str:
        """How the published figure is known, and what the simulated one is."""
        return f"{self.fact.how}; {self.how}"

    @property
    def source(self) -> str:
        """Publication and place of the published figure."""
        return f"{self.fact.publication}, {self.fact.place}"

    def run(self, *overrides: str) -> float:
        """Simulate, with further overrides on every chip that is loaded."""
        return self.simulate(lambda name, *own: load_chip(name, [*own, *overrides]))

    def broken(self) -> float:
        """Simulate with the change that makes the row fail."""
        return self.run(*self.breaks.split())

    def difference(self, simulated: float) -> float:
        """Relative difference, or difference in the figure's unit where the tolerance is absolute."""
        apart = simulated - self.published
        return apart if self.measure != "relative" or not self.published else apart / abs(self.published)

    def holds(self, simulated: float) -> bool:
        """Whether the simulated figure is within the tolerance."""
        difference = self.difference(simulated)
        if self.measure == "more_than":
            return simulated > self.tolerance
        if self.measure == "at_least":
            return difference >= 0
        return difference <= 0 if self.measure == "at_most" else abs(difference) <= self.tolerance


_TARGETS: dict[str, Target] = {}


def target(
    name: str, fact: str, quantity: str, *, tolerance: float = 0.0, tier: int = 1, how: How = "engine",
    measure: Measure = "relative", breaks: str = "",
    chip: str = "", at: int | None = None,
) -> Callable[[Callable[[Load], float]], Callable[[Load], float]]:  # fmt: skip
    """Register the function below as the simulation of a published fact; ``at``: which number of a table.

    The chip is the first word of the name, unless it is stated.
    """

    def register(simulate: Callable[[Load], float]) -> Callable[[Load], float]:
        known = load_facts()[fact]
        value = known.value if at is None else _entry(known, at)
        if isinstance(value, tuple):
            raise TypeError(f"{fact} is a table: say at=")
        _TARGETS[name] = Target(
            name, chip or name.partition("-")[0], known, float(value), quantity, tier, how, tolerance, measure,
            breaks, simulate,
        )  # fmt: skip
        return simulate

    return register


def _entry(fact: Fact, at: int) -> float:
    if not isinstance(fact.value, tuple):
        raise TypeError(f"{fact.key} is one number: leave at= out")
    return float(fact.value[at])


@lru_cache(maxsize=1)
def targets() -> tuple[Target, ...]:
    """Every target, by tier and in the order of its file."""
    import xbarsim.studies as here

    for module in sorted(found.name for found in iter_modules(here.__path__) if found.name.startswith("targets_")):
        import_module(f"{here.__name__}.{module}")
    return tuple(sorted(_TARGETS.values(), key=lambda one: one.tier))

"""Published figure | simulated | difference. Simulated means through mapping, graph and engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xbarsim.chip import load_chip
from xbarsim.errors import InputError, did_you_mean
from xbarsim.network import load_network
from xbarsim.studies.simulate import simulate

SCHEMA = "xbarsim.validate/1"


@dataclass(frozen=True)
class Target:
    """One published figure and how it is simulated."""

    name: str
    chip: str
    source: str
    quantity: str
    published: float
    tolerance: float
    """Relative; 0: exactly."""
    tier: int
    """1: must hold; 2: reported with its evidence; 3: trend only."""
    simulate: Callable[[], float]


def _one_window(quantity: str) -> float:
    run = simulate(load_chip("isaac"), load_network("one_window"), "finetune", "backbone:20").to_json()
    return float(run["tasks"][0][quantity])


TARGETS = (
    Target(
        "isaac-latency", "isaac", "ISAAC, ISCA 2016, Sec. VI", "latency of one window, ns: 22 cycles of 100 ns",
        2200, 0.0, 1, lambda: _one_window("first_latency_ns"),
    ),
    Target(
        "isaac-interval", "isaac", "ISAAC, ISCA 2016, Sec. VI", "interval between windows, ns: 16 cycles of 100 ns",
        1600, 0.0, 1, lambda: _one_window("interval_ns"),
    ),
)  # fmt: skip
"""All targets, by chip."""


def validate(chip: str | None = None) -> list[dict[str, Any]]:
    """Simulate every published figure, of one chip or of all; one row each."""
    chips = list(dict.fromkeys(target.chip for target in TARGETS))
    if chip is not None and chip not in chips:
        raise InputError(
            f"no published figures for chip {chip!r}; known: {', '.join(chips)}{did_you_mean(chip, chips)}"
        )
    return [_row(target) for target in TARGETS if chip in (None, target.chip)]


def _row(target: Target) -> dict[str, Any]:
    simulated = target.simulate()
    difference = (simulated - target.published) / target.published
    return {
        "id": target.name,
        "source": target.source,
        "quantity": target.quantity,
        "published": target.published,
        "simulated": simulated,
        "difference": difference,
        "tolerance": target.tolerance,
        "tier": target.tier,
        "holds": abs(difference) <= target.tolerance,
    }

"""Published figure | simulated | difference. Simulated means through mapping, graph and engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xbarsim.errors import InputError, did_you_mean
from xbarsim.studies.targets import Target, targets

SCHEMA = "xbarsim.validate/1"


def validate(chip: str | None = None) -> list[dict[str, Any]]:
    """Simulate every published figure, of one chip or of all; one row each."""
    return [row_of(target) for target in chosen(chip)]


def chosen(chip: str | None = None) -> Iterable[Target]:
    """The targets of one chip or of all, tier 1 first."""
    chips = list(dict.fromkeys(target.chip for target in targets()))
    if chip is not None and chip not in chips:
        raise InputError(
            f"no published figures for chip {chip!r}; known: {', '.join(chips)}{did_you_mean(chip, chips)}"
        )
    return (target for target in targets() if chip in (None, target.chip))


def row_of(target: Target) -> dict[str, Any]:
    """One row of the table."""
    simulated = target.run()
    return {
        "id": target.name,
        "chip": target.chip,
        "source": target.source,
        "quantity": target.quantity,
        "published": target.published,
        "simulated": simulated,
        "difference": target.difference(simulated),
        "tolerance": target.tolerance,
        "measure": target.measure,
        "tier": target.tier,
        "holds": target.holds(simulated),
        "evidence": target.evidence,
        "breaks": target.breaks,
    }

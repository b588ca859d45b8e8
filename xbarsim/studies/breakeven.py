"""From how many inferences per switch does one method need less energy than another?

With ``n`` inferences per task switch an inference and its share of the switch take
``E_inference + E_switch / n``. Two methods need the same where
``n = (E_switch,a - E_switch,b) / (E_inference,b - E_inference,a)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

import numpy as np

Row = Mapping[str, Any]
"""A row of a comparison: ``method``, ``switch_energy_pj``, ``energy_per_inference_pj`` and maybe ``device``."""

MOST_INFERENCES = 10**6
"""Right end of the curves."""

PER_DECADE = 8
"""Points of a curve in every decade."""


@dataclass(frozen=True)
class BreakEven:
    """When a method needs no more energy than another."""

    kind: str
    """``always``, ``never`` or ``at``."""
    inferences: float | None = None
    """Inferences per switch at which both need the same; only for ``at``."""
    cheaper: str | None = None
    """On which side of that point the method is the cheaper one: ``below`` or ``above``."""


def break_even(switch_pj: float, inference_pj: float, base_switch_pj: float, base_inference_pj: float) -> BreakEven:
    """Compare ``switch + n * inference`` energies of a method and a baseline over n inferences per switch."""
    switch, inference = switch_pj - base_switch_pj, inference_pj - base_inference_pj
    if switch <= 0 and inference <= 0:
        return BreakEven("always")
    if switch >= 0 and inference >= 0:
        return BreakEven("never")
    return BreakEven("at", -switch / inference, "below" if switch < 0 else "above")


def between(a: Row, b: Row) -> BreakEven:
    """When the method of row ``a`` needs no more than that of row ``b``."""
    energies = [row[key] for row in (a, b) for key in ("switch_energy_pj", "energy_per_inference_pj")]
    return break_even(*energies)


def pairs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every pair of methods, on every device by itself: when ``a`` needs no more energy than ``b``."""
    found = []
    for device, group in groupby(rows, key=lambda row: row.get("device")):
        for a, b in combinations(group, 2):
            point = between(a, b)
            found.append({
                **({"device": device} if device else {}), "a": a["method"], "b": b["method"], "kind": point.kind,
                "inferences": point.inferences, "cheaper": point.cheaper,
            })  # fmt: skip
    return found


def curves(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Energy per inference with its share of a switch, against inferences per switch, 1 to a million."""
    decades = int(np.log10(MOST_INFERENCES))
    counts = np.unique(np.rint(np.logspace(0, decades, decades * PER_DECADE + 1)).astype(np.int64)).tolist()
    return [
        {
            **({"device": row["device"]} if "device" in row else {}),
            "method": row["method"],
            "inferences_per_switch": count,
            "energy_per_inference_pj": row["energy_per_inference_pj"] + row["switch_energy_pj"] / count,
        }
        for row in rows
        for count in counts
    ]

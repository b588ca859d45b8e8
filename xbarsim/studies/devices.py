"""The same comparison over several devices: published write energies per cell span a factor of 400.

A result of one device is a statement about that device. Over several, the smallest, the middle and the
largest stand side by side, and none of them pretends to be the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from xbarsim.chip import Chip
from xbarsim.config import known
from xbarsim.errors import InputError
from xbarsim.studies.breakeven import Row

QUANTITIES = ("switch_energy_pj", "switch_latency_ns")
"""What depends on the device, with its unit."""


def on_devices(chip: Chip, devices: Sequence[str]) -> dict[str, Chip]:
    """The chip with each of some devices; raise :class:`InputError` for a list with a fault."""
    if not devices:
        raise InputError(f"devices: name at least one; known: {', '.join(known('devices'))}")
    twice = [name for name in dict.fromkeys(devices) if devices.count(name) > 1]
    if twice:
        raise InputError(f"devices: {twice[0]!r} stands there twice")
    if not all(name.strip() for name in devices):
        raise InputError("devices: an empty name; write for example taox_hfox,puma_serial")
    return {name: chip.vary({"device": name}) for name in devices}


def ranges(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For every method the range over devices of what a switch takes."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        line: dict[str, Any] = {"method": method, "devices": len(mine)}
        for key in QUANTITIES:
            name, _, unit = key.rpartition("_")
            values = [row[key] for row in mine]
            for label, value in (("min", min(values)), ("median", median(values)), ("max", max(values))):
                line[f"{name}_{label}_{unit}"] = value
        found.append(line)
    return found

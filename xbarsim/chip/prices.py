"""What an action costs on a chip, and what leaks: tables for the ledger, nothing is multiplied here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xbarsim.chip.chip import Chip
from xbarsim.chip.sections import Part

Action = tuple[str, str]
"""(component, action)."""


@dataclass(frozen=True)
class Standing:
    """Power that flows whether anything happens or not."""

    component: str
    kind: str
    """``leakage`` or ``static``."""
    instances: int
    """On one chip."""
    mw: float | None
    """Of one instance; ``None``: not published."""


def prices(chip: Chip) -> Mapping[Action, float | None]:
    """Energy of every action in pJ; ``None`` where nothing is published."""
    file = chip.file
    offchip = file.offchip.energy_pj if file.offchip.energy == "per_byte" else 0.0
    table: dict[Action, float | None] = {
        ("crossbar", "read"): file.crossbar.read.energy_pj,
        ("dac", "drive"): file.dac.energy_pj,
        ("sample_hold", "sample"): file.sample_hold.energy_pj,
        ("adc", "convert"): file.adc.energy_pj,
        ("shift_add", "add"): file.shift_add.energy_pj,
        ("shift_add", "tile"): file.shift_add.tile_energy_pj,
        ("registers", "input"): file.registers.input_energy_pj,
        ("registers", "output"): file.registers.output_energy_pj,
        ("registers", "tile"): file.registers.tile_energy_pj,
        ("activation", "cycle"): file.activation.energy_pj,
        ("pool", "cycle"): file.pool.energy_pj,
        ("requantise", "element"): file.requantise.energy_pj,
        ("buffer", "read"): file.buffer.read_energy_pj,
        ("buffer", "write"): file.buffer.write_energy_pj,
        ("bus", "bit"): file.bus.energy_pj,
        ("noc", "flit_hop"): file.noc.energy_pj,
        ("offchip", "byte"): offchip,
    }
    for name, action in (
        ("gate", "set"),
        ("mask_buffer", "write"),
        ("mask_store", "read"),
        ("vector", "mac"),
    ):
        part = getattr(file, name)
        table[name, action] = part.energy_pj if part else None
    energies = file.device.write_energy_pj(chip.cell_levels)
    for old in range(chip.cell_levels):
        for new in range(chip.cell_levels):
            table["cell", f"write {old}>{new}"] = float(energies[old, new])
    return table


def instances(chip: Chip) -> dict[str, int]:
    """How many instances of each part one chip has."""
    file, crossbars = chip.file, chip.crossbars_per_chip
    tiles, pes = file.chip.tiles, file.chip.tiles * file.tile.pes
    lines = file.crossbar.cols + (1 if chip.has_unit_column else 0)
    counts = {
        "crossbar": crossbars,
        "dac": crossbars * file.crossbar.rows,
        "adc": crossbars * file.adc.per_crossbar,
        "sample_hold": crossbars * lines,
        "shift_add": pes,
        "gate": crossbars * file.crossbar.cols,
        "mask_buffer": crossbars,
        "mask_store": 1,
        "registers": pes,
        "activation": tiles,
        "pool": tiles,
        "requantise": tiles,
        "vector": tiles,
        "buffer": tiles,
        "bus": tiles,
        "noc": -(-tiles // file.noc.tiles_per_router),
        "offchip": 1,
    }
    return {name: count for name, count in counts.items() if getattr(file, name) is not None}


def standing(chip: Chip) -> list[Standing]:
    """Leakage of every part, and the constant power of the off-chip links where the chip says so."""
    file = chip.file
    rows = []
    for name, count in instances(chip).items():
        part: Part = getattr(file, name)
        rows.append(Standing(name, "leakage", count, part.leakage_mw))
    if file.offchip.energy == "static":
        rows.append(Standing("offchip", "static", 1, file.offchip.static_mw))
    return rows

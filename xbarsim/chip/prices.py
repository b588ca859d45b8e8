"""What an action costs on a chip, and what leaks: tables for the ledger, nothing is multiplied here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from xbarsim.chip.array import Part
from xbarsim.chip.chip import Chip

Action = tuple[str, str]
"""(component, action)."""


BLOCKS = ("registers_output", "registers_tile", "shift_add_tile")
"""Blocks of a section that have areas of their own."""


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
        ("crossbar", "read"): read_pj(chip),
        ("crossbar", "array"): file.crossbar.read.array_energy_pj,
        ("dac", "drive"): file.dac.drive_pj,
        ("sample_hold", "sample"): file.sample_hold.energy_pj,
        ("sample_hold", "pulse"): file.sample_hold.pulse_energy_pj,
        ("adc", "convert"): convert_pj(chip),
        ("adc", "step"): file.adc.step_energy_pj,
        ("shift_add", "add"): file.shift_add.energy_pj,
        ("shift_add", "shift"): file.shift_add.energy_pj,
        ("shift_add", "tile"): file.shift_add.tile_energy_pj,
        ("registers", "input"): file.registers.input_energy_pj,
        ("registers", "output"): file.registers.output_energy_pj,
        ("registers", "tile"): file.registers.tile_energy_pj,
        ("activation", "cycle"): file.activation.action_pj,
        ("pool", "cycle"): file.pool.action_pj,
        ("requantise", "element"): file.requantise.action_pj,
        ("buffer", "read"): file.buffer.read_pj,
        ("buffer", "write"): file.buffer.write_pj,
        ("bus", "bit"): file.bus.energy_pj,
        ("noc", "flit_hop"): file.noc.energy_pj,
        ("offchip", "byte"): offchip,
    }
    for name, action in (
        ("gate", "set"),
        ("mask_buffer", "write"),
        ("scaler", "scale"),
        ("vector", "mac"),
    ):
        part = getattr(file, name)
        table[name, action] = part.action_pj if part else None
    table["mask_store", "read"] = file.mask_store.read_pj if file.mask_store else None
    table["cell", "verify"] = file.writer.verify.energy_pj if file.writer.verify else None
    energies = file.device.write_energy_pj(chip.cell_levels)
    for old in range(chip.cell_levels):
        for new in range(chip.cell_levels):
            table["cell", f"write {old}>{new}"] = float(energies[old, new])
    return table | dict(chip.tables.energies)


def read_pj(chip: Chip) -> float | None:
    """Energy of reading a cell once; nothing more where a read of the whole array is priced."""
    read = chip.file.crossbar.read
    if read.volts is not None and read.pulse_ns is not None:
        levels = chip.file.device.conductances_us(chip.cell_levels)
        mean = sum(levels, Fraction(0)) / len(levels)
        return float(read.volts**2 * mean * read.pulse_ns) / 1000
    return 0.0 if read.energy_pj is None and read.array_energy_pj is not None else read.energy_pj


def convert_pj(chip: Chip) -> float | None:
    """Energy of a conversion; nothing more where its steps are priced, or where there is no converter."""
    adc = chip.file.adc
    free = adc.kind == "none" or (adc.kind == "step" and adc.step_energy_pj is not None)
    return 0.0 if adc.convert_pj is None and free else adc.convert_pj


def instances(chip: Chip) -> dict[str, int]:
    """How many instances of each part one chip has."""
    file, crossbars = chip.file, chip.crossbars_per_chip
    tiles, pes = file.chip.tiles, file.chip.tiles * file.tile.pes
    lines = file.crossbar.cols + (1 if chip.has_unit_column else 0)
    counts = {
        "crossbar": crossbars,
        "dac": crossbars // _sharing(chip) * file.crossbar.rows,
        "adc": crossbars * file.adc.per_crossbar,
        "sample_hold": crossbars * lines,
        "shift_add": pes * file.shift_add.per_pe,
        "gate": crossbars * file.crossbar.cols,
        "mask_buffer": crossbars * file.crossbar.cols * (file.mask_buffer.copies if file.mask_buffer else 0),
        "mask_store": 1,
        "registers": pes,
        "activation": tiles,
        "pool": tiles,
        "requantise": tiles,
        "scaler": pes,
        "vector": tiles,
        "buffer": tiles,
        "bus": tiles,
        "noc": -(-tiles // file.noc.tiles_per_router),
        "offchip": 1,
    }
    return {name: count for name, count in counts.items() if getattr(file, name) is not None}


def _sharing(chip: Chip) -> int:
    """Crossbars that have one set of row drivers in common."""
    file = chip.file
    return chip.slices(file.precision.weight_bits) if file.dac.serves == "slices" else 1


def supports(chip: Chip) -> dict[str, int]:
    """How many instances of each supporting part one chip has."""
    tiles = chip.file.chip.tiles
    places = {"pe": tiles * chip.file.tile.pes, "tile": tiles, "chip": 1}
    return {name: places[part.per] * part.count for name, part in chip.file.support.items()}


def standing(chip: Chip) -> list[Standing]:
    """Leakage of every part, and the constant power of the off-chip links where the chip says so."""
    file = chip.file
    rows = []
    for name, count in instances(chip).items():
        part: Part = getattr(file, name)
        rows.append(Standing(name, "leakage", count, part.leak_mw))
    for name, count in supports(chip).items():
        rows.append(Standing(f"support.{name}", "leakage", count, file.support[name].leak_mw))
    if file.offchip.energy == "static":
        rows.append(Standing("offchip", "static", 1, file.offchip.static_mw))
    return rows

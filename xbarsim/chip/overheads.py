"""What tasks cost in silicon: column gates, mask buffers and shifters as a share of the chip, and its range.

The publications call it minimal and give no area. The least is one access transistor per column, a bit of SRAM per
mask bit and no shifter beside the shift-and-add; the most is an AND gate, a flip-flop and a second shift-and-add.
"""

from __future__ import annotations

from dataclasses import dataclass

from xbarsim.chip.budget import budget_of
from xbarsim.chip.chip import Chip
from xbarsim.chip.laws import digital_area, numbers


@dataclass(frozen=True)
class Overhead:
    """One part that tasks need, on one chip."""

    part: str
    count: int
    stated_um2: float | None
    """Area of one as the chip file has it."""
    low_um2: float
    high_um2: float
    low: str
    """What the least area assumes."""
    high: str


def overheads(chip: Chip) -> list[Overhead]:
    """The parts that tasks need, with the range of their areas; none on a chip without column gates."""
    file = chip.file
    if file.gate is None or file.mask_buffer is None:
        return []
    here = float(file.chip.tech_nm or numbers("isaac_isca16.node")[0])
    columns = chip.crossbars_per_chip * file.crossbar.cols
    adders = file.chip.tiles * file.tile.pes * file.shift_add.per_pe
    transistor = numbers("neurosim_v13.cell_f2")[0] * (here / 1e3) ** 2
    bit = numbers("cacti7.least_area")[0] / numbers("cacti7.least_bits")[0]
    return [
        Overhead(
            "gate", columns, file.gate.footprint_um2, transistor, _logic("mnsim.and2", here),
            "an access transistor of a 1T1R cell", "an AND gate of two inputs",
        ),
        Overhead(
            "mask_buffer", columns * file.mask_buffer.copies, file.mask_buffer.footprint_um2,
            bit * digital_area(numbers("isaac_isca16.node")[0], here), _logic("accelergy_library.register", here),
            "a bit of SRAM, its share of the periphery included", "a flip-flop",
        ),
        Overhead(
            "shifter", adders, None, 0.0, file.shift_add.footprint_um2 or 0.0,
            "the shift-and-add shifts by another amount", "a second shift-and-add behind every one",
        ),
    ]  # fmt: skip


def _logic(fact: str, nm: float) -> float:
    """Area of a digital part at the chip's node."""
    return numbers(f"{fact}_area")[0] * digital_area(numbers(f"{fact}_node")[0], nm)


def share(chip: Chip, which: str) -> float:
    """Share of all these parts in the chip's area: ``low``, ``high`` or, where the file says so, ``stated``."""
    parts = overheads(chip)
    rest = budget_of(chip).area_um2() - sum(one.count * (one.stated_um2 or 0.0) for one in parts)
    mine = sum(one.count * (getattr(one, f"{which}_um2") or 0.0) for one in parts)
    return mine / (rest + mine) if mine else 0.0

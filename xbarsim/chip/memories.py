"""Memories: their sections of a chip file, and their law by size: the table of a CACTI 7 run, interpolated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xbarsim.chip.array import Count, Energy, Part, Positive
from xbarsim.chip.laws import Figure, interpolate, moved, numbers
from xbarsim.config import Section

Table = Literal["sram_32nm_lstp", "sram_32nm_hp", "sram_22nm_lstp", "sram_22nm_hp", "edram_32nm"]
Quantity = Literal["read", "write", "leakage", "area"]
ABSENT: dict[tuple[str, str], str] = {
    ("edram_32nm", "write"): "read",
    ("sram_32nm_hp", "area"): "sram_32nm_lstp",
    ("sram_22nm_hp", "area"): "sram_22nm_lstp",
}
"""What a table lacks, and the quantity or table in whose proportions it moves: CACTI's eDRAM writes are an artefact."""


def memory(table: Table, quantity: Quantity, size_bytes: int, access_bits: int) -> float:
    """A quantity of a memory; energies go with the width of an access, leakage and area do not."""
    family = table.split("_")[0]
    sizes, widths = (numbers(f"cacti7.{family}_{axis}") for axis in ("bytes", "width"))
    values = numbers(f"cacti7.{table}_{quantity}")
    if quantity in ("leakage", "area"):
        return interpolate(size_bytes, sizes, values)
    per_bit = tuple(value / width for value, width in zip(values, widths, strict=True))
    return interpolate(size_bytes, sizes, per_bit) * access_bits


class Cacti(Section):
    """Energy, leakage and area in the proportions of CACTI 7, straight between its sizes on logarithmic axes."""

    kind: Literal["cacti"]
    """Table of a CACTI 7 run."""
    table: Table
    """Memory technology and node."""
    bytes: Annotated[int, Field(ge=1)] | None = None
    """Capacity that the figures below were published for; none: CACTI's own figures."""
    access_bits: Annotated[int, Field(ge=1)] | None = None
    """Bits of an access of theirs."""
    read_energy_pj: Figure = None
    """Published energy of a read."""
    write_energy_pj: Figure = None
    """Published energy of a write."""
    leakage_mw: Figure = None
    """Published leakage."""
    area_um2: Figure = None
    """Published area."""

    def figure(self, quantity: Quantity, size_bytes: int, access_bits: int) -> float | None:
        """A quantity of a memory of that size."""
        lacks = ABSENT.get((self.table, quantity))
        if self.bytes is None:
            return None if lacks else memory(self.table, quantity, size_bytes, access_bits)
        there = (self.bytes, self.access_bits or access_bits)
        published = self._published(quantity)
        if there == (size_bytes, access_bits):
            return published
        table, like = self._like(quantity, lacks)
        return moved(published, lambda: memory(table, like, size_bytes, access_bits) / memory(table, like, *there))

    def _published(self, quantity: Quantity) -> float | None:
        figures = {
            "read": self.read_energy_pj,
            "write": self.write_energy_pj,
            "leakage": self.leakage_mw,
            "area": self.area_um2,
        }
        return figures[quantity]

    def _like(self, quantity: Quantity, lacks: str | None) -> tuple[Table, Quantity]:
        """Table and quantity in whose proportions a figure moves."""
        if lacks == "read":
            return self.table, "read"
        if lacks is not None:
            return ("sram_32nm_lstp" if "32nm" in self.table else "sram_22nm_lstp"), quantity
        return self.table, quantity

    def scaled(self, size_bytes: int) -> list[str]:
        """What moved away from the anchor."""
        return [] if self.bytes in (None, size_bytes) else [f"scaled from {self.bytes} to {size_bytes} bytes"]

    def outside(self, size_bytes: int) -> list[str]:
        """What is outside the table."""
        sizes = numbers(f"cacti7.{self.table.split('_')[0]}_bytes")
        if size_bytes == self.bytes or sizes[0] <= size_bytes <= sizes[-1]:
            return []
        return [f"{size_bytes} bytes are outside the law's {sizes[0]:g} to {sizes[-1]:g} bytes"]


class Buffer(Part):
    """A tile's buffer for activations."""

    kind: Literal["edram", "sram"]
    """Memory technology."""
    bytes: Count
    """Capacity."""
    access_bits: Count
    """Bits of one access."""
    access_ns: Positive
    """Time of one access with all banks busy."""
    read_energy_pj: Energy = None
    """Energy of one read access."""
    write_energy_pj: Energy = None
    """Energy of one write access."""
    law: Cacti | None = None
    """What energies, leakage and area follow from where they are not stated."""

    @property
    def read_pj(self) -> float | None:
        """Energy of one read access, by law where the file states none."""
        return self.read_energy_pj if self.read_energy_pj is not None else self._by_law("read")

    @property
    def write_pj(self) -> float | None:
        """Energy of one write access, by law where the file states none."""
        return self.write_energy_pj if self.write_energy_pj is not None else self._by_law("write")

    @property
    def leak_mw(self) -> float | None:
        """Leakage, by law where the file states none."""
        return self.leakage_mw if self.leakage_mw is not None else self._by_law("leakage")

    @property
    def footprint_um2(self) -> float | None:
        """Area, by law where the file states none."""
        return self.area_um2 if self.area_um2 is not None else self._by_law("area")

    @property
    def peak_mw(self) -> float | None:
        """Published power at full activity; nothing for a buffer of another size."""
        return None if self.law and self.law.scaled(self.bytes) else self.peak_power_mw

    def _by_law(self, quantity: Quantity) -> float | None:
        return self.law.figure(quantity, self.bytes, self.access_bits) if self.law else None


class MaskStore(Part):
    """Memory on the chip for the masks and normalisation parameters of its tasks."""

    bits: Count
    """Capacity."""
    width_bits: Count
    """Bits of one access."""
    access_ns: Positive
    """Time of one access."""
    energy_pj: Energy = None
    """Energy of reading one access."""
    law: Cacti | None = None
    """What energy, leakage and area follow from where they are not stated."""

    @property
    def read_pj(self) -> float | None:
        """Energy of reading one access, by law where the file states none."""
        return self.energy_pj if self.energy_pj is not None else self._by_law("read")

    @property
    def leak_mw(self) -> float | None:
        """Leakage, by law where the file states none."""
        return self.leakage_mw if self.leakage_mw is not None else self._by_law("leakage")

    @property
    def footprint_um2(self) -> float | None:
        """Area, by law where the file states none."""
        return self.area_um2 if self.area_um2 is not None else self._by_law("area")

    def _by_law(self, quantity: Quantity) -> float | None:
        return self.law.figure(quantity, -(-self.bits // 8), self.width_bits) if self.law else None

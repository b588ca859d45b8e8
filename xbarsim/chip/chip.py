"""A chip: the typed file, what follows from it, and where each of its figures comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from xbarsim.chip.sections import ChipFile
from xbarsim.config import find, read_document
from xbarsim.errors import Fault, InputError
from xbarsim.facts import Traced, trace
from xbarsim.units import ceil_div, service_ps


@dataclass(frozen=True)
class Chip:
    """A chip as it is configured. Frozen; a sweep replaces a field by loading again."""

    file: ChipFile
    traced: tuple[Traced, ...] = ()
    resolved: Mapping[str, object] | None = None
    origin: str = ""

    @property
    def name(self) -> str:
        """Name of the chip."""
        return self.file.name

    @property
    def cell_levels(self) -> int:
        """Levels of one cell."""
        return 1 << self.file.crossbar.cell_bits

    @property
    def has_unit_column(self) -> bool:
        """Whether each crossbar has a unit column."""
        return self.file.crossbar.encoding == "offset" and self.file.crossbar.unit_column

    @property
    def crossbars_per_tile(self) -> int:
        """Crossbars in one tile."""
        return self.file.tile.pes * self.file.pe.crossbars

    @property
    def crossbars_per_chip(self) -> int:
        """Crossbars on one chip."""
        return self.file.chip.tiles * self.crossbars_per_tile

    @property
    def cycle_ns(self) -> Fraction:
        """Crossbar cycle in nanoseconds."""
        return self.file.crossbar.cycle_ns

    @property
    def sample_ns(self) -> Fraction:
        """Time of one conversion in nanoseconds."""
        return 1 / self.file.adc.rate_gsps

    def slices(self, weight_bits: int) -> int:
        """Physical columns of one logical column: bit slices, twice for differential pairs."""
        one_sided = ceil_div(weight_bits, self.file.crossbar.cell_bits)
        return one_sided * (2 if self.file.crossbar.encoding == "differential" else 1)

    def phases(self, input_bits: int) -> int:
        """Reads of one window: input bits, ``dac.bits`` at a time."""
        return ceil_div(input_bits, self.file.dac.bits)

    def stage_ps(self, cycles: int, busy_ns: Fraction) -> int:
        """Length of a pipeline stage of ``cycles`` cycles whose work takes ``busy_ns``.

        A clocked pipeline rounds longer work up to whole cycles; otherwise the work sets the time.
        """
        if not self.file.pipeline.clocked:
            return service_ps(busy_ns) if busy_ns else service_ps(cycles * self.cycle_ns)
        return service_ps(max(cycles, ceil_div_exact(busy_ns, self.cycle_ns)) * self.cycle_ns)

    def column_sum_bound(self) -> int:
        """Largest worst-case column sum that the converter takes without clipping."""
        return (1 << self.file.adc.bits) - 1


def ceil_div_exact(dividend: Fraction, divisor: Fraction) -> int:
    """Smallest whole number not below ``dividend / divisor``, exactly."""
    ratio = Fraction(dividend) / Fraction(divisor)
    return -(-ratio.numerator // ratio.denominator)


def load_chip(name_or_path: str, overrides: Mapping[str, object] | Sequence[str] = ()) -> Chip:
    """Read a chip file, by name (``arch_configs/``) or path, with overrides such as ``adc.bits=6``.

    Raise :class:`InputError` with every fault of the file.
    """
    path = find("arch_configs", name_or_path)
    document = read_document(
        path,
        ChipFile,
        overrides=overrides,
        parents=lambda name: find("arch_configs", name),
        expand={"device": lambda name: find("devices", name)},
    )
    faults = [Fault(str(path), message, key) for key, message in inconsistencies(document.value)]
    if faults:
        raise InputError(faults)
    return Chip(document.value, tuple(trace(document)), document.resolved, str(path))


def inconsistencies(file: ChipFile) -> list[tuple[str, str]]:
    """Keys that are fine alone and wrong together: (path, what is wrong and the way out)."""
    found = []
    if file.adc.per_crossbar > file.crossbar.cols:
        found.append(("adc.per_crossbar", f"{file.adc.per_crossbar} converters for {file.crossbar.cols} columns"))
    if file.noc.topology == "mesh" and file.noc.tiles_per_router != 1:
        found.append(("noc.tiles_per_router", "a mesh has one tile per router; use topology: cmesh"))
    if file.offchip.energy == "static" and file.offchip.static_mw is None:
        found.append(("offchip.static_mw", "missing, but offchip.energy is static"))
    if file.gate is not None and file.mask_buffer is None:
        found.append(("mask_buffer", "missing, but the chip has column gates"))
    return found

"""A chip: the typed file, what follows from it, and where each of its figures comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from xbarsim.chip.accelergy import Tables, read_tables
from xbarsim.chip.consistency import inconsistencies, law_remarks, law_warnings
from xbarsim.chip.reads import Read, convert_ns, interval_ns, read_ns, reads_of
from xbarsim.chip.sections import ChipFile
from xbarsim.config import decimal, find, read_document
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
    overrides: tuple[str, ...] = ()
    """What was set over the file, as ``KEY=VALUE``."""
    tables: Tables = field(default_factory=Tables)
    """Prices from elsewhere, which lie over the file's."""

    def vary(self, overrides: Mapping[str, object] | Sequence[str]) -> Chip:
        """Return the chip with further keys set; checked like the file."""
        if not self.origin:
            raise InputError(f"chip {self.name!r} was not read from a file: its keys cannot be set by name")
        return load_chip(self.origin, [*self.overrides, *_texts(overrides)])

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
        """Time of one conversion, or of one step of it, in nanoseconds."""
        adc = self.file.adc
        if adc.kind == "none":
            return Fraction(0)
        return 1 / adc.rate_gsps if adc.rate_gsps else adc.step_ns or Fraction(0)

    def slices(self, weight_bits: int) -> int:
        """Physical columns of one logical column: bit slices, twice for differential pairs."""
        one_sided = ceil_div(weight_bits, self.file.crossbar.cell_bits)
        return one_sided * (2 if self.file.crossbar.encoding == "differential" else 1)

    def phases(self, input_bits: int) -> int:
        """Reads of one window: input bits, ``dac.bits`` at a time."""
        return len(self.reads(input_bits))

    def reads(self, input_bits: int) -> tuple[Read, ...]:
        """The reads of one window, the first one first."""
        return reads_of(self.file, input_bits)

    def read_ns(self, read: Read) -> Fraction:
        """Time that a read keeps its crossbars busy."""
        return read_ns(self.file, read)

    def convert_ns(self, read: Read, columns: int) -> Fraction:
        """Time that converting ``columns`` columns takes one converter."""
        return convert_ns(self.file, read, columns)

    def interval_ns(self, input_bits: int, columns: int) -> Fraction:
        """Time between two windows on one copy whose fullest converter takes ``columns`` columns."""
        return interval_ns(self.file, input_bits, columns)

    def stage_ps(self, cycles: int, busy_ns: Fraction | None = None) -> int:
        """Length of a pipeline stage of ``cycles`` cycles whose work takes ``busy_ns``, if that is known.

        A clocked pipeline rounds longer work up to whole cycles; otherwise the work sets the time.
        """
        if busy_ns is None:
            return service_ps(cycles * self.cycle_ns)
        if not self.file.pipeline.clocked:
            return service_ps(busy_ns)
        return service_ps(max(cycles, ceil_div_exact(busy_ns, self.cycle_ns)) * self.cycle_ns)

    @property
    def remarks(self) -> list[str]:
        """What the laws of this chip say of themselves: figures that are scaled, and what is outside their validity."""
        return law_remarks(self.file)

    @property
    def warnings(self) -> list[str]:
        """Laws of this chip that are used outside their validity."""
        return law_warnings(self.file)

    def column_sum_bound(self) -> int:
        """Largest sum of a column's levels that the converter takes without clipping, all inputs at their most."""
        return ((1 << self.file.adc.bits) - 1) // ((1 << self.file.dac.bits) - 1)


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
    chip = Chip(document.value, tuple(trace(document)), document.resolved, str(path), _texts(overrides))
    if document.value.accelergy is None:
        return chip
    from xbarsim.chip.prices import BLOCKS, prices

    return replace(chip, tables=read_tables(chip.file, str(path), prices(chip), BLOCKS))


def _texts(overrides: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    """Overrides as ``KEY=VALUE``; JSON is YAML, so values read back as they are."""
    if isinstance(overrides, str):
        return (overrides,)
    if isinstance(overrides, Mapping):
        return tuple(f"{key}={json.dumps(value, default=_plain)}" for key, value in overrides.items())
    return tuple(overrides)


def _plain(value: object) -> object:
    """Exact numbers and NumPy's as JSON has them."""
    return decimal(value) if isinstance(value, Fraction) else getattr(value, "item", lambda: str(value))()

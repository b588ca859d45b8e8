"""The reads that one window takes: which input bits go together, and how long each is driven and converted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from xbarsim.chip.sections import ChipFile
from xbarsim.units import ceil_div


@dataclass(frozen=True)
class Read:
    """One read of a window, of all rows at once."""

    bits: int
    """Input bits that it applies."""
    pulses: int
    """Crossbar cycles that the rows are driven."""
    steps: int
    """Steps of a step converter; the earlier reads of a window have given the bits above."""
    charges: int
    """How often rows and columns are charged for it."""


def reads_of(file: ChipFile, input_bits: int) -> tuple[Read, ...]:
    """Return the reads of one window, the first one first."""
    dac = file.dac
    bits = max(1, input_bits - 1) if dac.signed else input_bits
    count = ceil_div(bits, dac.bits)
    if dac.split_above is not None and bits > dac.split_above:
        count = max(2, count)
    if dac.kind == "level":
        return (Read(dac.bits, 1, file.adc.bits, 1),) * count
    shares = [bits // count + (at < bits % count) for at in range(count)]
    given = [sum(shares[:at]) for at in range(count)]
    steps = [max(file.adc.bits - before, 1) for before in given]
    pulses = [share if dac.kind == "serial" else (1 << share) - 1 for share in shares]
    return tuple(Read(*each) for each in zip(shares, pulses, steps, shares, strict=True))


def read_ns(file: ChipFile, read: Read) -> Fraction:
    """Time that a read keeps its crossbars busy."""
    return read.pulses * file.crossbar.cycle_ns + (file.dac.settle_ns or 0)


def convert_ns(file: ChipFile, read: Read, columns: int) -> Fraction:
    """Time that converting ``columns`` columns takes one converter."""
    adc = file.adc
    if file.crossbar.encoding == "differential" and file.crossbar.subtract == "analog":
        columns = ceil_div(columns, 2)
    if adc.kind == "none":
        return Fraction(0)
    if adc.kind == "step":
        return columns * (read.steps * (adc.step_ns or Fraction(0)) + (adc.settle_ns or 0))
    return columns / (adc.rate_gsps or Fraction(1))


def interval_ns(file: ChipFile, input_bits: int, columns: int) -> Fraction:
    """Time between two windows on one copy whose fullest converter takes ``columns`` columns."""
    busy = [(read_ns(file, read), convert_ns(file, read, columns)) for read in reads_of(file, input_bits)]
    if not file.sample_hold.copies:
        return sum((read + convert for read, convert in busy), Fraction(0))
    return sum((max(pair) for pair in busy), Fraction(0))

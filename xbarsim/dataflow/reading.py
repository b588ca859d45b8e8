"""How long the reads of a window, their conversions and their merging take: the work of three actors.

A window takes all its reads for one mask group, then for the next (see :mod:`xbarsim.mapping.fit`). Where no
samples are held (``sample_hold.copies: 0``), a crossbar is busy until its columns are converted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xbarsim.chip import Chip
from xbarsim.dataflow.activity import Activity
from xbarsim.dataflow.draft import steady
from xbarsim.dataflow.graph import Work
from xbarsim.units import service_ps


def readings(chip: Chip, activity: Activity, input_bits: int, windows: int) -> Work:
    """One firing per read of a window."""
    busy = []
    for columns in activity.read_columns:
        for read in chip.reads(input_bits):
            waits = 0 if chip.file.sample_hold.copies else chip.convert_ns(read, columns)
            busy.append(service_ps(chip.read_ns(read) + waits))
    return _work(windows, busy, [0] * len(busy))


def conversions(chip: Chip, activity: Activity, input_bits: int, windows: int) -> Work:
    """One firing per read of a window, as long as the fullest converter's active columns need.

    In a clocked pipeline conversions that outlast a crossbar cycle hold up the reads by whole cycles.
    """
    held = chip.file.sample_hold.copies > 0
    busy = [
        chip.convert_ns(read, columns if held else 0)
        for columns in activity.read_columns
        for read in chip.reads(input_bits)
    ]
    service = [service_ps(each) for each in busy]
    stages = [chip.stage_ps(chip.file.pipeline.adc_cycles, each) for each in busy]
    if chip.file.pipeline.clocked:
        cycle = service_ps(chip.cycle_ns)
        service = [stage if part > cycle else part for stage, part in zip(stages, service, strict=True)]
    return _work(windows, service, [max(0, stage - part) for stage, part in zip(stages, service, strict=True)])


def merging(chip: Chip, reads: int, windows: int) -> Work:
    """Merging the slices and reads of a window."""
    stage, cycles = service_ps(chip.cycle_ns), chip.file.pipeline.shift_add_cycles
    if chip.file.shift_add.add_ns is None:
        return steady(windows, stage, (cycles - 1) * stage)
    busy = reads * chip.file.shift_add.add_ns
    return steady(windows, service_ps(busy), max(0, chip.stage_ps(cycles, busy) - service_ps(busy)))


def _work(windows: int, service: Sequence[int], latency: Sequence[int]) -> Work:
    """The firings of a window, again and again; one table entry if they are all alike."""
    if len({*zip(service, latency, strict=True)}) == 1:
        return steady(windows * len(service), service[0], latency[0])
    return Work(windows, np.array(service, np.int64), np.array(latency, np.int64))

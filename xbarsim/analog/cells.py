"""Conductances of single cells: error of writing, drift, faults; and what a read adds.

Random numbers are counted, not drawn in turn: a cell's depend on the seed, on its place (layer, row, physical
column) and on how often it was written, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Device
from xbarsim.chip.imperfect import Drift, StuckAt, Variation
from xbarsim.errors import InputError
from xbarsim.kernels import philox
from xbarsim.kernels.conductances import READ_NOISE

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]
Addresses = NDArray[np.uint32]

WRITE, FAULT, CONVERTER = READ_NOISE + 1, READ_NOISE + 2, READ_NOISE + 3
"""Purposes of random numbers: the fourth word of a counter."""
UNIT_COLUMNS = 1 << 31
"""Addresses of unit columns begin here; other columns have channel * slices + slice."""
WORD = 1 << 32


@dataclass(frozen=True)
class Source:
    """Where the random numbers of one layer's crossbars come from."""

    key: tuple[int, int]
    draw: int
    """How often the crossbars have been written before."""

    @classmethod
    def of(cls, seed: int, site: int, draw: int) -> Source:
        """Return the source of a seed, a site (the number of the layer and its copy) and a write."""
        if not 0 <= seed < 1 << 64:
            raise InputError(f"seed: {seed} is outside 0 … 2^64 - 1")
        if not 0 <= site < WORD or not 0 <= draw < WORD:
            raise InputError(f"site {site} and draw {draw} must be in 0 … 2^32 - 1")
        counter = (seed % WORD, seed >> 32, site, 0, 0x78626172, 0x73696D)
        first, second, _, _ = philox.philox(*(np.uint64(word) for word in counter))
        return cls((int(first), int(second)), draw)

    def words(self, purpose: int, columns: Addresses, rows: NDArray[np.integer]) -> NDArray[np.uint32]:
        """Random words of cells, ``(4, rows, columns)``."""
        addresses = np.tile(columns, len(rows))
        indices = np.repeat(rows.astype(np.uint32), len(columns))
        out = np.empty((4, len(addresses)), np.uint32)
        place = self.draw if purpose == WRITE else 0
        philox.words(addresses, indices, place, purpose, *self.key, out)
        return out.reshape(4, len(rows), len(columns))

    def normals(
        self, purpose: int, columns: Addresses, rows: NDArray[np.integer], count: int = 4
    ) -> NDArray[np.float32]:
        """Standard normal numbers of cells, ``(count, rows, columns)``; 2 or 4."""
        drawn = self.words(purpose, columns, rows).reshape(4, -1)
        out = np.empty((count, drawn.shape[1]), np.float32)
        philox.normals(drawn, out)
        return out.reshape(count, len(rows), len(columns))


def ideal(device: Device) -> bool:
    """Whether cells have exactly the conductances of evenly spaced levels; cells that are stuck may."""
    noise, drift = device.read_noise, device.drift
    return not (
        device.nonlinearity or spread(device.variation) or noise.proportional or noise.sigma_us or drifts(drift)
    )


def spread(variation: Variation) -> bool:
    """Whether writing misses its level."""
    return bool(variation.proportional or variation.lognormal or variation.sigma_us)


def drifts(drift: Drift) -> bool:
    """Whether conductances change between writing and reading."""
    moving = drift.exponent or drift.exponent_sigma or drift.shift_us or drift.spread_us
    return bool(drift.spread_start_us or (moving and drift.time_s > drift.start_s))


def check(device: Device, levels: int) -> None:
    """Refuse devices without a conductance range, and levels outside a fit of their spread."""
    low, high = float(device.g_min_us), float(device.g_max_us)
    if not high > low:
        ratio = f"an on/off ratio of {high / low:g} leaves no levels; it must be above 1"
        raise InputError(f"device {device.name!r}: {ratio}")
    fitted = device.variation.fitted_us
    outside = [] if fitted is None else [
        float(g) for g in device.conductances_us(levels) if not fitted[0] <= g <= fitted[1]
    ]  # fmt: skip
    if fitted and outside:
        raise InputError(
            f"device {device.name!r}: levels at {', '.join(f'{g:g}' for g in outside)} uS are outside the "
            f"{fitted[0]:g} … {fitted[1]:g} uS that variation.sigma_us was fitted for"
        )


def stuck(levels: Levels, faults: StuckAt, highest: int, drawn: NDArray[np.uint32]) -> tuple[Levels, NDArray[np.bool_]]:
    """Levels with the cells that are stuck, and which ones they are."""
    number = drawn.astype(np.int64)
    high, low = number < round(faults.lrs * WORD), number >= WORD - round(faults.hrs * WORD)
    return np.where(high, highest, np.where(low, 0, levels)).astype(np.uint8), high | low


def written(nominal: Floats, variation: Variation, normal: NDArray[np.float32]) -> Floats:
    """Conductances in uS after writing levels of conductance ``nominal``."""
    if variation.lognormal:
        return np.asarray(nominal * np.exp(variation.lognormal * normal.astype(np.float64)))
    return np.maximum(nominal + deviation_us(nominal, variation) * normal, 0)


def deviation_us(nominal: Floats, variation: Variation) -> Floats:
    """Standard deviation of writing in uS, for the laws of normal distribution."""
    if variation.sigma_us:
        polynomial = np.polynomial.Polynomial(variation.sigma_us)
        return np.asarray(np.maximum(polynomial(nominal / variation.reference_us), 0))
    return variation.proportional * nominal


def drifted(conductance: Floats, drift: Drift, normal: NDArray[np.float32]) -> Floats:
    """Conductances in uS at the time of reading; normal: (2, …), for the exponent and for the relaxation."""
    if not drifts(drift):
        return conductance
    u = log(drift.time_s / drift.start_s)
    exponent = drift.exponent + drift.exponent_sigma * normal[0].astype(np.float64)
    moved = drift.shift_us * u + (drift.spread_start_us + drift.spread_us * u) * normal[1]
    return np.asarray(np.maximum(conductance * np.exp(-u * exponent) + moved, 0))


def conductances_us(
    device: Device, count: int, levels: Levels, source: Source, columns: Addresses, rows: NDArray[np.integer]
) -> Floats:
    """Conductances in uS of cells that were written to ``levels``, ``(rows, columns)``; of ``count`` levels.

    ``rows``: number of each row within the layer.
    """
    table = np.array([float(g) for g in device.conductances_us(count)])
    fixed = None
    if device.stuck_at.lrs or device.stuck_at.hrs:
        drawn = source.words(FAULT, columns, rows)[0]
        levels, fixed = stuck(levels, device.stuck_at, count - 1, drawn)
    nominal = table[levels]
    if not spread(device.variation) and not drifts(device.drift):
        return nominal
    normal = source.normals(WRITE, columns, rows, 4 if drifts(device.drift) else 2)
    moved = drifted(written(nominal, device.variation, normal[0]), device.drift, normal[1:3])
    return moved if fixed is None else np.where(fixed, nominal, moved)


def read_variance(device: Device, conductance: Floats) -> Floats:
    """Variance of a read of each cell in uS^2."""
    noise = device.read_noise
    return np.asarray((noise.proportional * conductance) ** 2 + noise.sigma_us**2)

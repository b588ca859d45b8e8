"""Programmed crossbars of one layer, and products of input vectors with them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xbarsim.analog.checks import whole_numbers
from xbarsim.analog.columns import CellColumns, LevelColumns, Workspace, zeros
from xbarsim.analog.encode import Drive
from xbarsim.errors import InputError
from xbarsim.kernels.merge import merge
from xbarsim.units import ceil_div

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL_TILE, CELL_TILE = 128, 128
"""Input vectors that are read together: what a core's caches hold."""
SINGLE, DOUBLE = 1 << 24, 1 << 53
"""Whole numbers up to here are exact in single and in double precision."""


@dataclass(frozen=True, eq=False)
class Block:
    """One row block: what a read of its columns gives, and what logic makes of it."""

    number: int
    columns: LevelColumns | CellColumns
    channels: Ints
    """Output channels that are on; empty if all are."""
    scales: npt.NDArray[Any]
    """What a code of each converted column adds, in units of ``step``, ``(slices, channels that are on)``."""
    step: np.int64 | np.float64
    unit_at: int
    """First unit column."""
    units: Numbers
    """What a code of each unit column adds, ``(unit columns, channels that are on)``."""
    base: Numbers
    """What is added to every result, ``(channels that are on,)``."""
    weights: Numbers
    """Column shift of a channel's partial sum, as a factor, ``(channels that are on,)``."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """The crossbars of one layer, programmed; made by :func:`xbarsim.analog.program`."""

    rows: int
    channels: int
    drive: Drive
    height: int
    """Rows of a row block."""
    blocks: tuple[Block, ...]
    """Row blocks of which some column is on."""
    guard: int
    """Guard bits: results are in units of 2^-guard until the last step."""
    integer: bool
    """Results are whole numbers, apart from guard bits."""
    product: Ints | None
    """Weights ``(rows, channels)`` whose product with the inputs is the result, if that has been proved."""

    @property
    def lossless(self) -> bool:
        """Whether the result is proved to be a product of whole numbers; it is then computed as one."""
        return self.product is not None

    def multiply(self, inputs: npt.ArrayLike, *, first: int = 0, threads: int = 1) -> Numbers:
        """Return ``(n, channels)`` for input vectors ``(n, rows)``: int64, or float64 if not :attr:`integer`.

        ``first`` is the number of the first vector: read noise depends on a vector's number, so that a batch may
        be cut anywhere. Neither ``threads`` nor the cuts change a result.
        """
        vectors = whole_numbers("inputs", inputs, self.drive.range, f"{self.drive.bits}-bit inputs")
        if vectors.shape[1] != self.rows:
            raise InputError(f"inputs: {vectors.shape[1]} rows, but the weights have {self.rows}")
        if first < 0 or first + len(vectors) > 1 << 32:
            raise InputError(f"first: vectors {first} to {first + len(vectors)} are outside 0 … 2^32")
        if threads < 1:
            raise InputError(f"threads: {threads} is below 1")
        if self.product is not None:
            out: Numbers = exact_product(vectors, self.product, max(map(abs, self.drive.range)))
        else:
            out = zeros((len(vectors), self.channels), np.int64 if self.integer else np.float64)
            self._read(vectors, first, threads, out)
        return np.ldexp(out.astype(np.float64), -self.guard) if self.guard else out

    def _read(self, vectors: npt.NDArray[np.integer], first: int, threads: int, out: Numbers) -> None:
        tiles = list(self._tiles(len(vectors), threads))

        def read_tile(tile: slice) -> None:
            self._read_tile(vectors[tile], first + tile.start, out[tile])

        if threads == 1 or len(tiles) == 1:
            for tile in tiles:
                read_tile(tile)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(read_tile, tiles))

    def _tiles(self, vectors: int, threads: int) -> Iterator[slice]:
        individual = any(isinstance(block.columns, CellColumns) for block in self.blocks)
        size = min(CELL_TILE if individual else LEVEL_TILE, max(1, ceil_div(vectors, threads)))
        for begin in range(0, vectors, size):
            yield slice(begin, min(begin + size, vectors))

    def _read_tile(self, vectors: npt.NDArray[np.integer], first: int, out: Numbers) -> None:
        work = Workspace()
        noisy = any(isinstance(block.columns, CellColumns) and block.columns.noisy for block in self.blocks)
        doubled = any(isinstance(block.columns, CellColumns) for block in self.blocks)
        words = self.drive.pack(vectors, self.height, doubled)
        squares = self.drive.pack_squares(vectors, self.height) if noisy and self.drive.most > 1 else words
        for block in self.blocks:
            columns, at = block.columns, block.number
            if isinstance(columns, CellColumns):
                sums = columns.read(words[at], squares[at], first, work)
            else:
                sums = columns.read(words[at], work)
            scratch = work.get("scratch", block.base.shape, block.scales.dtype)
            tables = (block.unit_at, block.units, block.base, block.weights, block.channels, scratch)
            merge(sums, block.scales, block.step, *tables, out)


def exact_product(inputs: npt.NDArray[np.integer], weights: Ints, largest: int) -> Ints:
    """Product of whole numbers, by floating point where that is exact; no input is above ``largest``."""
    bound = largest * int(np.abs(weights).sum(axis=0).max(initial=0))
    if bound >= DOUBLE:
        return np.asarray(inputs.astype(np.int64) @ weights)
    kind = np.float32 if bound < SINGLE else np.float64
    return np.asarray((inputs.astype(kind) @ weights.astype(kind)).astype(np.int64))

"""Mask fit: what a chip does with column masks that were learned for crossbars of another height.

One value of a column mask covers one *mask group*: the weight rows of one output channel that stood in
one column of the crossbars it was learned for. Where the chip's crossbars are as tall, a mask group is
a row block. Elsewhere ``mapping.mask_fit`` says what happens:

* ``strict``: nothing; methods with column masks are refused.
* ``repack``: one mask group per physical column. A group taller than the crossbar is cut into several
  columns that share the bit; a shorter one leaves rows empty. More columns, every read as before.
* ``phased``: the dense layout. The rows of one mask group are activated at a time, so that a window
  takes as many reads per input phase as the fullest column block holds groups, each with its own
  conversions, and a column is on only while the rows of a group are active that keeps it.
* ``resample``: the dense layout and masks drawn anew for it, of equal density per layer. Energy and
  latency only: nobody has learned such a mask.

The layout follows from network and chip alone, so it is the same for all methods compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.network import Layer, Network

Policy = Literal["strict", "repack", "phased", "resample"]


@dataclass(frozen=True)
class Piece:
    """Weight rows of one output channel that share a column and a mask value."""

    group: int
    """Mask group: the row of a column mask."""
    first: int
    """First weight row of the channel."""
    rows: int
    """Number of weight rows."""


@dataclass(frozen=True)
class Block:
    """Weight rows of one output channel that stand in one column."""

    first: int
    rows: int
    pieces: tuple[Piece, ...]
    """The mask groups in it, top to bottom; one by one where they are read in phases."""


@dataclass(frozen=True)
class Fit:
    """The height that masks were learned for beside the chip's, and what is done about it."""

    policy: Policy
    mask_rows: int
    """Crossbar height that the column masks were learned for; the chip's where there are none."""
    mask_aligned: bool
    chip_rows: int
    chip_aligned: bool

    @property
    def matches(self) -> bool:
        """Whether the masks were learned for such crossbars."""
        return (self.mask_rows, self.mask_aligned) == (self.chip_rows, self.chip_aligned)

    @property
    def acts(self) -> Policy | None:
        """What is done, nothing where the masks fit."""
        return None if self.matches else self.policy

    def view(self, chip: Chip) -> Chip:
        """The chip whose crossbars the masks in use belong to: methods answer for this one."""
        if self.acts in (None, "strict"):
            return chip
        return _with_rows(chip, self.mask_rows, self.mask_aligned)

    def stored_view(self, chip: Chip) -> Chip:
        """The chip whose masks are stored: resampled ones are the real chip's."""
        return chip if self.acts == "resample" else self.view(chip)

    def mask_groups(self, layer: Layer) -> int:
        """Mask groups of one output channel: the first axis of the column masks in use."""
        if self.acts in ("repack", "phased"):
            return layer.blocks(self.mask_rows, self.mask_aligned)
        return layer.blocks(self.chip_rows, self.chip_aligned)

    def blocks(self, layer: Layer) -> list[Block]:
        """The row blocks of one output channel, top to bottom."""
        height = layer.block_rows(self.chip_rows, self.chip_aligned)
        if self.acts == "repack":
            pieces = list(_cut(layer, self.mask_rows, self.mask_aligned, height))
            return [Block(piece.first, piece.rows, (piece,)) for piece in pieces]
        spans = [(first, min(height, layer.rows - first)) for first in range(0, layer.rows, height)]
        if self.acts != "phased":
            return [Block(first, rows, (Piece(at, first, rows),)) for at, (first, rows) in enumerate(spans)]
        return [Block(first, rows, tuple(self._overlapping(layer, first, rows))) for first, rows in spans]

    def _overlapping(self, layer: Layer, first: int, rows: int) -> Iterator[Piece]:
        """The parts of mask groups within some rows."""
        height = layer.block_rows(self.mask_rows, self.mask_aligned)
        begin = first
        while begin < first + rows:
            end = min((begin // height + 1) * height, first + rows)
            yield Piece(begin // height, begin, end - begin)
            begin = end


def _with_rows(chip: Chip, rows: int, aligned: bool) -> Chip:
    """The same chip with crossbars of another height."""
    file = chip.file
    sections = {
        "crossbar": file.crossbar.model_copy(update={"rows": rows}),
        "mapping": file.mapping.model_copy(update={"kernel_aligned": aligned}),
    }
    return replace(chip, file=file.model_copy(update=sections))


def _cut(layer: Layer, mask_rows: int, aligned: bool, height: int) -> Iterator[Piece]:
    """Mask groups of one channel, those taller than ``height`` in several pieces."""
    group_rows = layer.block_rows(mask_rows, aligned)
    for group, start in enumerate(range(0, layer.rows, group_rows)):
        stop = min(start + group_rows, layer.rows)
        for first in range(start, stop, height):
            yield Piece(group, first, min(height, stop - first))


def dense(chip: Chip) -> Fit:
    """The fit of masks that were learned for this chip, or of none."""
    rows, aligned = chip.file.crossbar.rows, chip.file.mapping.kernel_aligned
    return Fit(chip.file.mapping.mask_fit, rows, aligned, rows, aligned)


def fit_of(chip: Chip, network: Network) -> Fit:
    """Set the masks of ``network`` against the crossbars of ``chip``."""
    fit = dense(chip)
    if network.mask_rows is None:
        return fit
    return Fit(fit.policy, network.mask_rows, network.mask_aligned, fit.chip_rows, fit.chip_aligned)


def resampling(on: NDArray[np.bool_], shape: tuple[int, int], seed: int, *address: str) -> NDArray[np.int64]:
    """For every mask value of another shape the one, counted row by row, that it takes over.

    The share of columns that are on stays the same to within one column; the places are random, keyed by
    ``seed`` and ``address`` (network, task, method, layer), so that no order matters.
    """
    count = shape[0] * shape[1]
    ordered = np.argsort(on, axis=None, kind="stable")
    taken = ordered[(2 * np.arange(count) + 1) * ordered.size // (2 * count)]
    word = int.from_bytes(hashlib.sha256("\0".join(address).encode()).digest()[:8], "little")
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, word], np.uint64)))
    return generator.permutation(taken).reshape(shape)

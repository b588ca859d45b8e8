"""The hardware term of a loss: what an inference costs on a chip as a function of the column masks.

The prices are the run's own. One schedule of the network with every column on is counted and priced by the
ledger; what a gated column, or a crossbar whose columns are all gated, would save is counted by
:func:`~xbarsim.dataflow.activity.read_counts` and priced from the same table. With ``p`` the probability that a
column is on, and columns independent of each other, the expected energy of one inference is

    fixed + sum over columns of price x p + sum over crossbars of price x (1 - product over their columns of (1 - p))

A column saves its cells' currents, samples, conversions and additions; a crossbar saves its row drivers, input
registers and unit column, only where all its columns are off. For masks of 0 and 1 that is the energy that a run
counts, but for two things: leakage is held at the time that an inference takes with everything on, though gated
columns make conversions shorter; and what a method does to the partial sums of columns that are on (the shift of
XMA, the scale of XMA2) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbarsim.adaptions import Adaption, Change
from xbarsim.adaptions.change import BACKBONE
from xbarsim.chip import Chip, load_chip
from xbarsim.chip.prices import Action, prices
from xbarsim.dataflow import Entry, plan
from xbarsim.dataflow.activity import read_counts
from xbarsim.engine import execute
from xbarsim.errors import InputError, did_you_mean
from xbarsim.mapping import Grid, Placement, Site, place
from xbarsim.network import Layer, Network, Node
from xbarsim.network.drawn import Synthetic
from xbarsim.network.graph import derive_layers
from xbarsim.network.synthetic import SyntheticStore
from xbarsim.results import keep_ledger
from xbarsim.results.moments import Moments

INFERENCES = 100
"""Inferences of the schedule that is priced: they share its leakage."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerPrices:
    """What the columns of one layer cost in one inference, all windows together."""

    column_pj: Floats
    """Energy of each logical column that is on, ``(row blocks, c_out)``."""
    members: Ints
    """For each crossbar the logical columns in it, numbered ``row block * c_out + channel`` and filled up with -1:
    ``(crossbars, most columns of one)``. Crossbars that hold the slices of the same weights count as one."""
    crossbar_pj: Floats
    """Energy of each of these crossbars, on top of its columns, where any of them is on."""

    @property
    def full_pj(self) -> float:
        """Energy with every column on."""
        return float(self.column_pj.sum() + self.crossbar_pj.sum())


@dataclass(frozen=True, eq=False)
class Prices:
    """Where the energy of one inference on a chip goes, in pJ."""

    layers: Mapping[str, LayerPrices]
    """Layers whose columns can be gated: all but the head."""
    standing_pj: float
    """Leakage and constant power, for the time that an inference takes with everything on."""
    full_pj: float
    """Energy of one inference with everything on, ``standing_pj`` included."""

    @property
    def fixed_pj(self) -> float:
        """Energy that no mask saves, leakage left out."""
        return self.full_pj - self.standing_pj - sum(layer.full_pj for layer in self.layers.values())

    @property
    def shares(self) -> dict[str, float]:
        """Shares of ``full_pj``: saved column by column, saved crossbar by crossbar, fixed, standing."""
        columns = sum(float(layer.column_pj.sum()) for layer in self.layers.values())
        crossbars = sum(float(layer.crossbar_pj.sum()) for layer in self.layers.values())
        parts = {"columns": columns, "crossbars": crossbars, "fixed": self.fixed_pj, "standing": self.standing_pj}
        return {name: part / self.full_pj for name, part in parts.items()}


class EnergyTerm:
    """Expected energy of one inference over the energy with everything on: differentiable, from 0 to 1."""

    def __init__(self, found: Prices) -> None:
        self.prices = found
        self._tensors = {
            name: (torch.from_numpy(one.column_pj), torch.from_numpy(one.members), torch.from_numpy(one.crossbar_pj))
            for name, one in found.layers.items()
        }

    @classmethod
    def of(
        cls,
        chip: Chip | str,
        network: Network | Sequence[Node],
        *,
        weight_bits: int | None = None,
        input_bits: int | None = None,
    ) -> EnergyTerm:
        """The term of a network on a chip; see :func:`expected_energy`."""
        return cls(expected_energy(chip, network, weight_bits=weight_bits, input_bits=input_bits))

    def __call__(self, on: Mapping[str, Tensor]) -> Tensor:
        """Return the share for the probabilities ``(row blocks, c_out)`` that columns are on, by layer.

        Layers left out are fully on. Raise :class:`InputError` for a layer that has no gated columns, or another
        shape.
        """
        self._check(on)
        full = self.prices.full_pj
        always = sum(one.full_pj for name, one in self.prices.layers.items() if name not in on)
        parts = [self._layer(name, probabilities) for name, probabilities in on.items()]
        rest = (self.prices.fixed_pj + self.prices.standing_pj + always) / full
        return torch.stack(parts).sum() + rest if parts else torch.tensor(rest)

    def energy_pj(self, on: Mapping[str, NDArray[np.generic] | None]) -> float:
        """Energy of one inference for column masks, not zero where a column is on; ``None``: all of them."""
        given = {
            name: torch.from_numpy((mask != 0).astype(np.float64)) for name, mask in on.items() if mask is not None
        }
        return float(self(given)) * self.prices.full_pj

    def _layer(self, name: str, probabilities: Tensor) -> Tensor:
        """The layer's part of the share."""
        columns, members, crossbars = (tensor.to(probabilities.device) for tensor in self._tensors[name])
        off = torch.cat([1 - probabilities.reshape(-1), probabilities.new_ones(1)])
        scaled = (part / self.prices.full_pj for part in (columns, crossbars))
        per_column, per_crossbar = (part.to(probabilities.dtype) for part in scaled)
        return (per_column * probabilities).sum() + (per_crossbar * (1 - off[members].prod(dim=1))).sum()

    def _check(self, on: Mapping[str, Tensor]) -> None:
        known = self.prices.layers
        for name, probabilities in on.items():
            if name not in known:
                raise InputError(f"layer {name!r} has no column gates{did_you_mean(name, known)}")
            wanted = known[name].column_pj.shape
            if tuple(probabilities.shape) != wanted:
                have = tuple(probabilities.shape)
                raise InputError(f"layer {name!r}: probabilities of shape {have}, the chip's columns are {wanted}")


def expected_energy(
    chip: Chip | str,
    network: Network | Sequence[Node],
    *,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    inferences: int = INFERENCES,
) -> Prices:
    """Return what one inference of ``network`` costs on ``chip``, and which part of it columns can save.

    ``network`` may be the nodes of a graph alone, with weights and inputs of ``weight_bits`` and ``input_bits``
    bits, or else of the chip's. Masks that it brings are left out: the columns are those of the chip. The schedule
    runs ``inferences`` times, which share its leakage.
    """
    machine = load_chip(chip) if isinstance(chip, str) else chip
    whole = network if isinstance(network, Network) else _network(network, weight_bits, input_bits)
    placement = place(machine, replace(whole, mask_rows=None))
    total, standing = _everything_on(placement, inferences)
    table = prices(machine)
    layers = {site.name: _layer_prices(machine, site, placement.input_bits, table) for site in placement.backbone}
    return Prices(layers, standing, total)


def _network(nodes: Sequence[Node], weight_bits: int | None, input_bits: int | None) -> Network:
    """A network of these nodes, for its shapes alone."""
    layers: Mapping[str, Layer] = derive_layers(tuple(nodes))
    store = SyntheticStore(0, tuple(nodes), layers, (), Synthetic(), len(layers))
    return Network("graph", tuple(nodes), layers, weight_bits, input_bits, True, None, "graph", "", {}, store)


def _everything_on(placement: Placement, inferences: int) -> tuple[float, float]:
    """Energy of one inference with every column on, and the standing part of it, in pJ."""
    dataflow = plan(placement, Adaption.named("xbm")(), (Entry(BACKBONE, inferences),))
    spans = Moments(dataflow, execute(dataflow.graph)).spans
    ledger = keep_ledger(placement.chip, placement.chips, dataflow, Change("", BACKBONE, ()), spans)
    standing = sum(ledger.energy_pj(action=kind) for kind in ("leakage", "static"))
    return ledger.energy_pj(phase="inference") / inferences, standing / inferences


def _layer_prices(chip: Chip, site: Site, input_bits: int, table: Mapping[Action, float | None]) -> LayerPrices:
    """Price the columns and crossbars of one layer."""
    grid, windows = site.grid, site.stage.windows
    column_pj = np.zeros((1 + max(piece.group for pieces in grid.pieces for piece in pieces), grid.layer.c_out))
    members: list[Ints] = []
    crossbar_pj: list[float] = []
    known: dict[int, tuple[float, float]] = {}
    for rows, group, channels in _standing(grid):
        if rows not in known:
            known[rows] = _read_prices(chip, grid, rows, input_bits, table)
        of_column, of_crossbar = known[rows]
        column_pj[group, np.unique(channels[channels >= 0])] += windows * of_column
        members += [group * grid.layer.c_out + np.unique(held[held >= 0]) for held in channels]
        crossbar_pj += [windows * of_crossbar] * len(channels)
    return LayerPrices(column_pj, _padded(members), np.array(crossbar_pj))


def _standing(grid: Grid) -> Iterator[tuple[int, int, Ints]]:
    """For every read of every strip: its rows, its mask group, and the channel in each physical column or -1.

    Channels are ``(crossbars, cols)``, of the first slice alone where each slice has crossbars of its own. They are
    found from the columns that are on when the channels' numbers, bit by bit, are the mask.
    """
    numbers = np.arange(1, grid.layer.c_out + 1)
    groups = 1 + max(piece.group for pieces in grid.pieces for piece in pieces)
    bits = range(int(grid.layer.c_out).bit_length())
    masks = [np.tile(numbers >> bit & 1, (groups, 1)) for bit in bits]
    phased = grid.reads > 1
    planes = [grid.readings(mask, phased=phased) for mask in masks]
    for strip, pieces in enumerate(grid.pieces):
        for at, piece in enumerate(pieces):
            rows = planes[0][strip][at][0]
            words = np.stack([plane[strip][at][1].astype(np.int64) << bit for bit, plane in enumerate(planes)])
            channels = words.sum(axis=0) - 1
            yield rows, piece.group, channels[: len(channels) // grid.slices] if grid.separate else channels


def _read_prices(
    chip: Chip, grid: Grid, rows: int, input_bits: int, table: Mapping[Action, float | None]
) -> tuple[float, float]:
    """Energy in pJ of one window for a logical column, and for a crossbar in which any column is on.

    Counts are linear in columns that are on and in crossbars that have one: two patterns of as many columns on
    differ by their crossbars alone.
    """
    sharing = grid.slices if grid.separate else 1
    width = max(2, grid.cols)
    together, apart = np.zeros((sharing, width), bool), np.zeros((2 * sharing, width), bool)
    together[:, :2] = True
    apart[:, 0] = True

    def energy_pj(on: NDArray[np.bool_]) -> float:
        counts = read_counts(chip, grid, rows, on, input_bits)
        return float(sum(count * (table[action] or 0.0) for action, count in counts.items()))

    of_crossbar = energy_pj(apart) - energy_pj(together)
    return (energy_pj(together) - of_crossbar) * grid.slices / (2 * sharing), of_crossbar


def _padded(members: Sequence[Ints]) -> Ints:
    """Rows of equal length, filled up with -1."""
    table = np.full((len(members), max(len(held) for held in members)), -1, np.int64)
    for row, held in zip(table, members, strict=True):
        row[: len(held)] = held
    return table

"""A network as one task runs it with one method: parameters, what the crossbars hold, which columns are on.

:func:`build` asks the adaption method, so that no method has a numerical path of its own. An analog column
of a weight matrix is read in *pieces*: the rows of a row block or, where column masks of another height are
kept (``mapping.mask_fit``), of a mask group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.analog.encode import Drive
from xbarsim.analog.ops import Floats, signed_nodes
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError
from xbarsim.mapping.fit import Fit, Piece, fit_of
from xbarsim.network import Layer, Network, Node, Task
from xbarsim.network.unrounded import unrounded
from xbarsim.network.validation import INPUT_SCALE

Ints = NDArray[np.signedinteger[Any]] | NDArray[np.unsignedinteger[Any]]

LEAST_SIGNED_BITS = 2
"""A sign and something to go with it."""

SINGLE = 1 << 24
"""Whole numbers up to here are exact in single precision."""


@dataclass(frozen=True, eq=False)
class Held:
    """One crossbar layer under one task."""

    layer: Layer
    weights: NDArray[Any]
    """``(c_out, rows)`` integers; of the float network quotients weight / scale."""
    scale: Floats
    """What a weight of 1 stands for: ``(1,)`` or one per output channel, ``(c_out,)``."""
    pieces: tuple[Piece, ...]
    """Rows that are read at once, top to bottom."""
    drive: Drive
    """Inputs as integers: their width, and whether they can be negative."""
    weight_bits: int
    bias: Floats | None = None
    """``(c_out,)``, added digitally."""
    columns: NDArray[np.bool_] | None = None
    """Columns that are on, ``(mask groups, c_out)``; ``None``: all."""
    factors: Floats | None = None
    """What corrected partial sums are multiplied by, ``(mask groups, c_out)``; ``None``: nothing."""
    shifts: NDArray[np.int64] | None = None
    """The exponents, where all factors are powers of two."""
    step: float | None = None
    """What an input of 1 stands for; ``None`` where it is not known yet."""

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest integer that an input may be."""
        return self.drive.range

    @property
    def input_type(self) -> np.dtype[Any]:
        """The smallest type that holds the inputs."""
        signed = self.drive.signed
        return np.dtype(f"{'i' if signed else 'u'}{1 if self.drive.bits <= 8 else 2}")

    @property
    def exact(self) -> bool:
        """Whether the order of sums does not matter: factors, if there are any, are powers of two."""
        return self.factors is None or self.shifts is not None

    def quantised(self, values: Floats) -> Ints:
        """Return inputs as integers: rounded half to even and clipped."""
        if self.step is None:
            raise InputError(f"layer {self.layer.name!r} has no input scale; calibrate the model first")
        low, high = self.limits
        return np.clip(np.rint(values / self.step), low, high).astype(self.input_type)

    @cached_property
    def effective(self) -> NDArray[Any]:
        """``(c_out, rows)`` weights with gates and factors in them, in a float type that holds every sum exactly.

        Of the float network, and of factors that are no powers of two, sums are not exact.
        """
        held = self.weights.astype(np.float64)
        for piece in self.pieces:
            rows = slice(piece.first, piece.first + piece.rows)
            held[:, rows] *= self.multiplier(piece.group)[:, None]
        whole = self.weights.dtype.kind == "i" and (self.shifts is None or int(self.shifts.min()) >= 0)
        largest = max(abs(limit) for limit in self.limits) * float(np.abs(held).sum(axis=1).max(initial=0.0))
        return held.astype(np.float32) if whole and self.exact and largest < SINGLE else held

    def multiplier(self, group: int) -> Floats:
        """Gate and factor of every column of a mask group, ``(c_out,)``."""
        on = np.ones(self.layer.c_out) if self.columns is None else self.columns[group].astype(np.float64)
        return on if self.factors is None else on * self.factors[group]

    def on(self, group: int) -> NDArray[np.bool_]:
        """Columns of a mask group that are on, ``(c_out,)``."""
        return np.ones(self.layer.c_out, bool) if self.columns is None else self.columns[group]

    def channels(self, group: int) -> slice:
        """Output channels of one group of a grouped layer."""
        count = self.layer.c_out // self.layer.groups
        return slice(group * count, (group + 1) * count)


@dataclass(frozen=True, eq=False)
class Model:
    """All that it takes to compute a network for one task and method."""

    network: Network
    task: str
    method: str
    held: Mapping[str, Held]
    """Crossbar layers by name, in graph order."""
    state: Mapping[str, Floats]
    """Parameters of all other nodes by state-dict name."""
    notes: tuple[str, ...] = ()
    """What was assumed."""
    remaining: Mapping[str, int] = field(default_factory=dict)
    """How many nodes read each node."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The graph in topological order."""
        return self.network.nodes

    def parameters(self, node: Node) -> dict[str, Floats]:
        """Parameters of one node by role."""
        return {role: self.state[f"{node.name}.{role}"] for role in node.parameters}

    @property
    def uncalibrated(self) -> list[str]:
        """Layers whose input scale is not known."""
        return [name for name, held in self.held.items() if held.step is None]

    def with_steps(self, steps: Mapping[str, float], notes: Sequence[str] = ()) -> Model:
        """The same model with input scales for some layers."""
        held = {name: replace(one, step=steps.get(name, one.step)) for name, one in self.held.items()}
        return replace(self, held=held, notes=(*self.notes, *notes))


def build(
    chip: Chip, network: Network, method: str, task: str | None, *, rounded: bool = True, signed_input: bool = False
) -> Model:
    """Return the model of one task, or of the backbone; ``rounded=False``: with float weights.

    ``signed_input``: the network's own input can be negative. Raise :class:`InputError` if chip, network,
    method and task do not go together.
    """
    adaption = Adaption.named(method)()
    whole = adaption.extend(network)
    chosen = whole.task(task) if task is not None else None
    fit = fit_of(chip, whole)
    _check(chip, adaption, chosen, fit)
    source = whole if rounded else unrounded(whole)
    own = source.task(task) if task is not None else None
    state = source.state() | (own.state(method) if own else {})
    tensors = {name: np.asarray(value, np.float64) for name, value in state.items()}
    signed = signed_nodes(whole.nodes, signed_input)
    reads = {node.name: signed[node.inputs[0]] for node in whole.nodes if node.name in whole.layers}
    builder = _Builder(chip, source, own, adaption, fit, tensors)
    held = {name: builder.held(layer, reads[name]) for name, layer in source.layers.items()}
    readers = [name for node in whole.nodes for name in node.inputs]
    remaining = {name: readers.count(name) for name in readers}
    return Model(source, task or "", method, held, tensors, (), remaining)


def _check(chip: Chip, adaption: Adaption, task: Task | None, fit: Fit) -> None:
    """Refuse what cannot be computed."""
    if task is None:
        return
    faults: list[Fault] = []
    if adaption.gates and chip.file.gate is None:
        message = f"chip {chip.name!r} has no column gates, which method {adaption.name!r} needs; add a gate section"
        faults.append(Fault(chip.origin, message, "gate"))
    if adaption.gates and fit.acts == "resample":
        message = "resampled masks say nothing about accuracy: nobody has learned them; use repack or phased"
        faults.append(Fault(chip.origin, message, "mapping.mask_fit"))
    try:
        adaption.check(fit.view(chip), task)
    except InputError as error:
        faults += error.faults
    if faults:
        raise InputError(faults)


@dataclass(frozen=True, eq=False)
class _Builder:
    """Asks a method what the layers of one task hold."""

    chip: Chip
    network: Network
    task: Task | None
    adaption: Adaption
    fit: Fit
    state: Mapping[str, Floats]

    def held(self, layer: Layer, signed: bool) -> Held:
        """One layer."""
        name, view = layer.name, self.fit.view(self.chip)
        bits = self.network.weight_bits or self.chip.file.precision.weight_bits
        input_bits = self.network.input_bits or self.chip.file.precision.input_bits
        if signed and input_bits < LEAST_SIGNED_BITS:
            raise InputError(f"{self.network.source}: inputs of layer {name!r} can be negative: 1 bit is too few")
        weights = self._weights(layer, bits)
        own = self._own(layer)
        columns = self.adaption.columns(view, self.task, name) if self.task else None
        factors = self.adaption.factors(view, self.task, name) if self.task else None
        shifted = factors is not None and factors.kind == "shift"
        step = self.state.get(f"{name}.{INPUT_SCALE}")
        return Held(
            layer=own,
            weights=weights,
            scale=self._scale(layer, bits),
            pieces=self._pieces(own, columns is not None),
            drive=Drive.of(self.chip, input_bits, signed),
            weight_bits=bits,
            bias=self.state[f"{name}.bias"] if layer.bias else None,
            columns=None if columns is None else columns.astype(bool),
            factors=factors.multipliers() if factors else None,
            shifts=np.where(factors.used, factors.values, 0).astype(np.int64) if factors and shifted else None,
            step=None if step is None else float(step[0]),
        )

    def _own(self, layer: Layer) -> Layer:
        """A head has as many columns as the task has classes."""
        return replace(layer, c_out=self.task.classes) if layer.head and self.task else layer

    def _weights(self, layer: Layer, bits: int) -> NDArray[Any]:
        if layer.head and self.task:
            own = self.task.weights(self.adaption.name, layer.name, bits)
            if own is not None:
                return own
        return self.adaption.contents(self.fit.view(self.chip), self.network, self.task, layer.name, bits)

    def _scale(self, layer: Layer, bits: int) -> Floats:
        if self.task:
            return self.task.quantiser(self.adaption.name, layer.name, bits).scale.astype(np.float64)
        return self.network.quantiser(layer.name, bits).scale.astype(np.float64)

    def _pieces(self, layer: Layer, masked: bool) -> tuple[Piece, ...]:
        """Row blocks; mask groups where they are read one by one."""
        pieces: list[Piece] = []
        for at, block in enumerate(self.fit.blocks(layer)):
            pieces += block.pieces if masked else [Piece(at, block.first, block.rows)]
        return tuple(pieces)

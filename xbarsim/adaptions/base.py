"""The questions that an adaption method answers. It says what changes, never what it costs.

A method is one file: subclass :class:`Adaption` with ``name=…``, declare the tensors it needs and
answer what differs from the defaults. Writes, pulses, time, energy, wear and gating follow from
:mod:`xbarsim.adaptions.change`. Other packages add methods through the entry point group
``xbarsim.adaptions``.

``task is None`` stands for the backbone as it was installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Coding, Geometry, Layer, Mask, Network, Task
from xbarsim.network.masks import mask_shape
from xbarsim.registry import Registered

Integers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Need:
    """Tensors that every task of a method must have, of one layer at least."""

    role: Literal["masks", "units", "weights", "owners", "shared"]
    """``METHOD/masks/LAYER``, ``METHOD/units/LAYER`` and ``METHOD/weights/LAYER`` in the task's file;
    owners and weights that the tasks share (``shared``) in the method's."""
    coding: Coding | None = None
    """What the values of a mask mean; its bits where no task says otherwise."""
    kinds: tuple[str, ...] = ()
    """Further kinds that may stand there."""
    granularities: tuple[str, ...] = ()
    """Further granularities."""
    optional: bool = False
    """A task may do without."""

    def admits(self, coding: Coding | None) -> bool:
        """Whether a tensor of this coding may stand there."""
        if self.coding is None or coding is None:
            return coding is self.coding
        return coding.kind in (self.coding.kind, *self.kinds) and coding.granularity in (
            self.coding.granularity,
            *self.granularities,
        )

    def __str__(self) -> str:
        if self.coding is None:
            return "weights"
        kinds = "|".join((self.coding.kind, *self.kinds))
        return f"{kinds} masks by {'|'.join((self.coding.granularity, *self.granularities))}"


@dataclass(frozen=True, eq=False)
class Factors:
    """What the corrected partial sums of a layer are multiplied by, before row blocks are added."""

    kind: Literal["shift", "scale"]
    values: NDArray[np.signedinteger[Any]] | NDArray[np.unsignedinteger[Any]]
    """``(row blocks, c_out)``: exponents of 2 of a shift, whole multiples of ``step`` of a scale."""
    used: NDArray[np.bool_]
    """Columns whose partial sum passes the shifter or multiplier."""
    step: float = 1.0

    def multipliers(self) -> NDArray[np.float64]:
        """The factors themselves; 1 where none is used."""
        values = self.values.astype(np.float64)
        return np.where(self.used, np.exp2(values) if self.kind == "shift" else values * self.step, 1.0)


class Adaption(Registered, group="xbarsim.adaptions"):
    """An adaption method of a frozen or tuned backbone."""

    granularity: ClassVar[str] = ""
    """What one value covers, for `xbarsim list methods`."""
    rewrites: ClassVar[str] = "nothing"
    """Which cells a switch writes."""
    stores: ClassVar[str] = ""
    """What is kept per task, beside normalisation and head."""
    source: ClassVar[str] = ""
    """Publication."""
    gates: ClassVar[bool] = False
    """Whether the chip must have column gates and mask buffers, which a switch sets."""
    needs: ClassVar[tuple[Need, ...]] = ()
    """Tensors that every task must have."""
    assumes: ClassVar[tuple[str, ...]] = ()
    """What the model of the method takes for granted without a source; every run lists it."""

    def check(self, chip: Chip, task: Task) -> None:
        """Raise :class:`InputError`, with every fault, if a task cannot run with this method on ``chip``."""
        task.needs(self.name)
        faults = list(self.missing(task))
        if faults:
            raise InputError(faults)

    def missing(self, task: Task) -> Iterator[Fault]:
        """Yield what the task lacks of :attr:`needs`, and what does not belong there."""
        found, place = task.tensors(self.name), f"tasks.{task.name}.methods.{self.name}"
        for need in self.needs:
            there = {name: coding for name, coding in found.items() if name.startswith(f"{need.role}/")}
            if not there and not need.optional:
                wanted = f"{need.role}/LAYER"
                roles = list(dict.fromkeys(name.split("/")[0] for name in found))
                have = f"{', '.join(roles) or 'none'}{did_you_mean(need.role, roles)}"
                message = f"method {self.name!r} needs {need}, tensors '{self.name}/{wanted}'; the task has: {have}"
                yield Fault(task.network.source, message, f"{place}.{need.role}")
            for name, coding in there.items():
                if not need.admits(coding):
                    what = f"a {coding.kind} mask by {coding.granularity}" if coding else "weights"
                    message = f"method {self.name!r} needs {need}; tensor '{self.name}/{name}' is {what}"
                    yield Fault(task.network.source, message, f"{place}.{name.replace('/', '.', 1)}")

    def extend(self, network: Network) -> Network:
        """The network with the branches of the method beside the backbone. Default: none."""
        return network

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """Integer weights that the crossbars must hold, ``(c_out, rows)``. Default: the backbone's."""
        return network.integers(layer, bits)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """Columns that are on, ``(row blocks, c_out)``; ``None``: all. Default: all."""
        return None

    def factors(self, chip: Chip, task: Task | None, layer: str) -> Factors | None:
        """What partial sums are multiplied by. Default: nothing."""
        return None

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Weights that the method changes between two tasks, whether or not their codes differ."""
        return 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Whether :meth:`contents` may differ from those without a task."""
        return False

    def mask_bits(self, chip: Chip, layer: Layer, task: Task | None = None) -> int:
        """Bits stored per task as masks of one layer; without a task, of a layer that is masked as usual."""
        codings = [self.coding(need, layer, task) for need in self.needs if need.role in ("masks", "units")]
        return sum(coding.stored_bits(values(chip, layer, coding, task)) for coding in codings if coding)

    def loaded_bits(self, chip: Chip, layer: Layer, task: Task | None = None) -> int:
        """Bits of these that travel to the layer's tiles at a switch. Default: all, where columns are gated."""
        return self.mask_bits(chip, layer, task) if self.gates else 0

    def weight_bits(self, chip: Chip, layer: Layer, bits: int, task: Task | None = None) -> int:
        """Bits stored per task as weights of one layer; without a task, of a layer that is retrained as usual."""
        return 0

    def index_bits(self, chip: Chip, layer: Layer, owners: int) -> int:
        """Bits stored once for all tasks: which of so many owners (backbone included) has what."""
        codings = [need.coding for need in self.needs if need.role == "owners" and need.coding]
        return sum(coding.stored_bits(values(chip, layer, coding), owners) for coding in codings)

    def coding(self, need: Need, layer: Layer, task: Task | None) -> Coding | None:
        """How a task's tensor of one layer is coded; nothing where it has none."""
        return task.tensors(self.name).get(f"{need.role}/{layer.name}") if task else need.coding


def geometry(chip: Chip, task: Task | None = None) -> Geometry:
    """The crossbars of a chip as masks see them; logical columns at the width of the task's weights.

    A logical column that is wider than a crossbar counts as a crossbar of its own.
    """
    file = chip.file
    bits = (task.network.weight_bits if task else None) or file.precision.weight_bits
    width = max(1, file.crossbar.cols // (1 if file.crossbar.slices == "arrays" else chip.slices(bits)))
    return Geometry(file.crossbar.rows, file.mapping.kernel_aligned, width, file.pe.crossbars)


def values(chip: Chip, layer: Layer, coding: Coding, task: Task | None = None) -> int:
    """Number of values that a mask of ``layer`` has on ``chip``."""
    there = geometry(chip, task)
    if coding.granularity == "crossbar":
        there = Geometry(there.rows, there.kernel_aligned, there.columns, 1)
    return int(np.prod(mask_shape(layer, coding.granularity, there)))


def column_mask(adaption: Adaption, chip: Chip, task: Task | None, layer: str) -> Mask | None:
    """The column mask of a task; it must have been learned for the chip's crossbar height."""
    there = geometry(chip)
    mask = task.mask(adaption.name, layer, there.rows, there.kernel_aligned) if task else None
    if mask is not None and task is not None:
        check_height(adaption, chip, task, layer, mask)
    return mask


def check_height(adaption: Adaption, chip: Chip, task: Task, layer: str, mask: Mask) -> None:
    """Raise :class:`InputError` if ``mask`` was learned for other columns than the chip's."""
    rows, aligned = chip.file.crossbar.rows, chip.file.mapping.kernel_aligned
    if (mask.rows, mask.kernel_aligned) == (rows, aligned):
        return
    message = (
        f"the {adaption.name} mask of layer {layer!r} was learned for columns of {mask.rows} rows"
        f"{' (kernel-aligned)' if mask.kernel_aligned else ''}, chip {chip.name!r} has {rows}"
        f"{' (kernel-aligned)' if aligned else ''}; set mapping.mask_fit to repack (more columns), phased (more reads) "
        "or resample (synthetic masks; energy and latency only), learn the mask for this chip, or set crossbar.rows="
        f"{mask.rows} and mapping.kernel_aligned={str(mask.kernel_aligned).lower()}"
    )
    raise InputError(Fault(task.network.source, message, f"tasks.{task.name}"))

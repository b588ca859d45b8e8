"""Methods whose tasks share one set of weights, one task after another: PackNet, CPG and XST.

Weights or columns have owners. The backbone keeps the largest; what it frees is given to the tasks. A task first
trains all that is free, then keeps its part, the largest of what it has trained, and trains that again. It uses
its own beside what older owners left (PackNet), or beside what it picks of that (CPG, XST). All stand on the
backbone's grid. Retraining the backbone after it is cut down, as the publications do, is left out: it is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.errors import InputError
from xbarsim.learning.masks import ColumnMask, Columns, ElementMask, Parametrisation
from xbarsim.learning.methods import SETTLED, Method, Setting, Stage, Stored, Weights, matrix, shares
from xbarsim.network.bundle_writer import SharedContent
from xbarsim.network.masks import Mask

if TYPE_CHECKING:
    from xbarsim.learning.training import Run

FREE = -1
"""Owner of what nobody owns yet."""


class Sequence(Method):
    """One task of a sequence."""

    settling_rate = 1e-2
    column: ClassVar[bool] = False
    """Columns have owners, not weights."""
    picks: ClassVar[bool] = False
    """A task chooses among what older owners left."""
    resets: ClassVar[bool] = True
    """What is not in use is written to zero; otherwise it is switched off."""

    def __init__(self, setting: Setting, keep: float, tasks: int, weight_rate: float, rate: float) -> None:
        super().__init__(setting)
        self.tasks, self.weight_rate, self.rate = tasks, weight_rate, rate
        after = setting.after
        self.number = 1 if after is None else len(after.sequence) + 1
        self.names = list(setting.frozen)
        self.columns = {name: Columns(tuple(one.shape), **setting.columns()) for name, one in setting.frozen.items()}
        for at, name in enumerate(self.names):
            owners, shared = self._start(name, keep) if after is None else self._from(name)
            self.register_buffer(f"owners_{at}", owners)
            self.register_buffer(f"shared_{at}", shared)
        self.own = {name: nn.Parameter(self._first(name)) for name in self.names}
        self.listed = nn.ParameterList(self.own.values())
        self.parts = self._parts()
        self.masks_listed = nn.ModuleList(self.parts.values())

    def _start(self, name: str, keep: float) -> tuple[Tensor, Tensor]:
        """Return owners before the first task, and the backbone's weights."""
        weight = self.setting.frozen[name]
        magnitude = self._magnitude(name, weight)
        owners = torch.full(magnitude.shape, FREE)
        _give(owners, magnitude, 0, keep)
        return owners, weight.clone()

    def _from(self, name: str) -> tuple[Tensor, Tensor]:
        """Return owners and weights as the task before left them; what is free holds zeros."""
        after = self.setting.after
        quantiser = self.setting.grids[name].quantiser
        return torch.from_numpy(after.owned[name].copy()), torch.from_numpy(
            quantiser.values(after.shared.weights[name])
        )

    def _first(self, name: str) -> Tensor:
        """Return what a task's weights start from: the backbone's where they are free."""
        return self.setting.frozen[name].clone()

    def _parts(self) -> dict[str, Parametrisation]:
        """Return the picks of every layer."""
        shapes = {name: tuple(one.shape) for name, one in self.setting.frozen.items()}
        if not self.picks:
            return {}
        if self.column:
            return {name: ColumnMask(shape, **self.setting.columns()) for name, shape in shapes.items()}
        return {name: ElementMask(shape) for name, shape in shapes.items()}

    def owners(self, name: str) -> Tensor:
        """Return who owns what in one layer."""
        return self.get_buffer(f"owners_{self.names.index(name)}")

    def older(self, name: str) -> Tensor:
        """Return the weights that older owners left in one layer; others are not to be used."""
        return self.get_buffer(f"shared_{self.names.index(name)}")

    def owned(self) -> dict[str, NDArray[np.int64]]:
        """Return who owns what by layer, :data:`FREE` where nobody does."""
        return {name: self.owners(name).numpy().astype(np.int64) for name in self.names}

    def _magnitude(self, name: str, weight: Tensor) -> Tensor:
        size = weight.abs()
        return self.columns[name].mean(size) if self.column else size

    def _per_weight(self, name: str, values: Tensor) -> Tensor:
        return self.columns[name].spread(values) if self.column else values

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """All that is free, then the task's part, then normalisation and head alone."""
        grow, train, settle = shares(epochs, 0.4, 0.6 - SETTLED / 2, SETTLED / 2)
        return Stage("grow", grow), Stage("train", train), Stage("settle", settle, fixed=True, rate=0.3)

    @torch.no_grad()
    def enter(self, stage: Stage, run: Run) -> None:
        """Give the task its part of what is free: the largest of what it has trained."""
        if stage.name != "train":
            return
        share = 1 / max(2 if self.number > self.tasks else 1, self.tasks - self.number + 1)
        for name in self.names:
            trained = self._magnitude(name, self.setting.grids[name].snapped(self.own[name]))
            _give(self.owners(name), trained, self.number, share)

    def anneal(self, stage: Stage, share: float) -> None:
        """Draws of columns cool down over all stages; see ``xbm``."""
        for part in self.parts.values():
            if isinstance(part, ColumnMask):
                part.temperature = 1.0 if stage.name == "grow" else 0.3**share

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """Picks and weights learn at different rates."""
        if stage.fixed:
            return []
        weights = {"params": list(self.own.values()), "lr": self.weight_rate}
        picks = {"params": [part.scores for part in self.parts.values()], "lr": self.rate}
        return [weights, picks] if self.parts else [weights]

    def _mine(self, name: str) -> Tensor:
        """Where the task trains: what it owns, or as long as it owns nothing, all that is free."""
        owners = self.owners(name)
        own = owners == self.number
        return self._per_weight(name, own if bool(own.any()) else owners == FREE)

    def _left(self, name: str) -> Tensor:
        """Where older owners left something."""
        owners = self.owners(name)
        return self._per_weight(name, (owners >= 0) & (owners < self.number))

    def drawn(self, stage: Stage) -> Weights:
        """The task's own weights on their grid, beside older ones as they are picked."""
        weights = {}
        for name, own in self.own.items():
            left = self.older(name) * self._left(name)
            used = self.parts[name](left) if self.parts else left
            weights[name] = torch.where(self._mine(name), self.setting.grids[name](own), used)
        return weights

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """The same after training, exactly on the grid."""
        weights = {}
        for name, own in self.own.items():
            left = self.older(name) * self._left(name) * self._picked(name)
            weights[name] = torch.where(self._mine(name), self.setting.grids[name].snapped(own), left)
        return weights

    def _picked(self, name: str) -> Tensor:
        """Which older weights are used, one value per weight."""
        if not self.parts:
            return torch.ones(())
        values = torch.from_numpy(self.parts[name].mask().values.astype(np.float32))
        return self._per_weight(name, values) if self.column else values.reshape(self.older(name).shape)

    def stored(self) -> Stored:
        """The picks, where the method has any."""
        return Stored({name: self._pick(name, part) for name, part in self.parts.items()})

    def _pick(self, name: str, part: Parametrisation) -> Mask:
        owners = self.owners(name).numpy()
        older = (owners >= 0) & (owners < self.number)
        mask = part.mask()
        values = (mask.values & older.reshape(mask.values.shape)).astype(np.uint8)
        return Mask("pick", mask.granularity, values, mask.rows, kernel_aligned=mask.kernel_aligned)

    @torch.no_grad()
    def shared(self) -> SharedContent | None:
        """Owners and integers of all tasks so far. What is still free counts as the backbone's and holds zeros."""
        owners, weights = {}, {}
        for name, own in self.own.items():
            grid, who = self.setting.grids[name], self.owners(name)
            kept = torch.where(self._per_weight(name, who == self.number), own, self.older(name))
            weights[name] = grid.integers(kept * self._per_weight(name, who != FREE))
            stored = who.clamp_min(0).numpy().astype(np.uint8 if self.number < 2**8 else np.uint16)
            there = self.setting.geometry
            if self.column:
                owners[name] = Mask("owner", "column", stored, there.rows, kernel_aligned=there.kernel_aligned)
            else:
                owners[name] = Mask("owner", "element", stored.reshape(len(own), -1))
        return SharedContent(owners, weights)

    @torch.no_grad()
    def integers(self) -> dict[str, NDArray[np.signedinteger[Any]]] | None:
        """What stands in the crossbars while this task is trained.

        Weights that are not in use are zero (PackNet, CPG); columns are switched off and keep what they hold (XST).
        """
        held = self.final({})
        if not self.resets:
            held = {name: torch.where(self._left(name), self.older(name), own) for name, own in self.own.items()}
        return {name: matrix(self.setting.grids[name].integers(weight)) for name, weight in held.items()}


def _give(owners: Tensor, magnitude: Tensor, owner: int, share: float) -> None:
    """Give the largest ``share`` of what is free to ``owner``, one at least where anything is."""
    free = owners == FREE
    order = torch.where(free, magnitude, -1.0).flatten().argsort(descending=True, stable=True)
    count = int(free.sum())
    owners.view(-1)[order[: min(count, max(1, round(share * count)))]] = owner


def check_sequence(method: type[Method], task: str, after: Any, backbone: str) -> None:
    """Raise :class:`InputError` unless ``task`` can be learned after another one."""
    if after is None:
        return
    if not issubclass(method, Sequence):
        raise InputError(f"after: tasks of method {method.name!r} are learned each for itself; leave it out")
    if after.method != method.name:
        raise InputError(f"after: was learned with {after.method!r}, not with {method.name!r}")
    if after.backbone != backbone:
        raise InputError(f"after: task {after.task!r} was learned on another backbone")
    if task in after.sequence:
        raise InputError(f"after: task {task!r} is in the sequence already: {', '.join(after.sequence)}")


class Packnet(Sequence, name="packnet"):
    """Weights have owners; a task uses those of all older ones."""

    def __init__(self, setting: Setting, *, keep: float = 0.4, tasks: int = 6, weight_rate: float = 1e-3) -> None:
        """Take the share that the backbone keeps, the number of tasks that share the rest, and a rate. Ours."""
        super().__init__(setting, keep, tasks, weight_rate, 0.0)


class Cpg(Sequence, name="cpg"):
    """Weights have owners; a task picks from those of older ones by thresholded scores, as Piggyback."""

    picks = True

    def __init__(
        self, setting: Setting, *, keep: float = 0.4, tasks: int = 6, weight_rate: float = 1e-3, rate: float = 3e-4
    ) -> None:
        """As PackNet, with the rate of the picks."""
        super().__init__(setting, keep, tasks, weight_rate, rate)


class Xst(Sequence, name="xst"):
    """Columns have owners; a task picks from those of older ones by hard Gumbel-Sigmoid, as XBM."""

    column = picks = True
    resets = False

    def __init__(
        self, setting: Setting, *, keep: float = 0.4, tasks: int = 6, weight_rate: float = 1e-3, rate: float = 0.05
    ) -> None:
        """As CPG, with columns in place of weights."""
        super().__init__(setting, keep, tasks, weight_rate, rate)

    def on(self) -> dict[str, Tensor] | None:
        """The task's own columns are on, others not; older ones as they are picked."""
        found = {}
        for name, part in self.parts.items():
            owners = self.owners(name)
            own = owners == self.number
            mine = own if bool(own.any()) else owners == FREE
            chances = torch.sigmoid(part.scores)
            older = (owners >= 0) & (owners < self.number)
            found[name] = torch.where(mine, torch.ones_like(chances), chances * older)
        return found

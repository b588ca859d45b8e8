"""The adaption methods of ``make_digits.py`` whose tasks share one set of weights, task after task, in PyTorch.

The backbone keeps the weights or columns of largest magnitude; what it frees is given to the tasks in
equal parts. A task trains what is its own, on the backbone's grid, beside what older owners left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from digits_methods import THRESHOLD, Method, Xbm
from digits_net import CONVS, LAYERS, ROWS, fit, on_grid, spread_columns, steps
from torch import Tensor, nn

from xbarsim.network.bundle_writer import SharedContent
from xbarsim.network.masks import Mask

KEPT = 0.4
"""Share that the backbone keeps."""
FREE = 255
"""Owner of what nobody owns yet."""


class Sequence:
    """What the tasks of one method share: weights on their grid, and who owns them."""

    column = False
    picks = False

    def __init__(self, backbone: Mapping[str, Tensor], tasks: int) -> None:
        self.weights = {name: weight.detach().clone() for name, weight in backbone.items()}
        self.steps = {name: steps(weight) for name, weight in backbone.items()}
        self.quantisers = {name: fit(weight) for name, weight in backbone.items()}
        self.tasks, self.number = tasks, 0
        self.owners = {name: torch.full(self._magnitude(name).shape, FREE) for name in CONVS}
        for name in CONVS:
            self._take(name, 0, KEPT)

    def _magnitude(self, name: str) -> Tensor:
        """Return the magnitude of every weight, or the mean one of every column."""
        size = self.weights[name].abs()
        if not self.column:
            return size
        flat = size.reshape(len(size), -1)
        return torch.stack([flat[:, first : first + ROWS].mean(dim=1) for first in range(0, flat.shape[1], ROWS)])

    def _take(self, name: str, owner: int, share: float) -> None:
        """Give the largest ``share`` of what is free to ``owner``."""
        free = self.owners[name] == FREE
        order = torch.where(free, self._magnitude(name), -1.0).flatten().argsort(descending=True, stable=True)
        self.owners[name].view(-1)[order[: round(share * int(free.sum()))]] = owner

    def per_weight(self, name: str, values: Tensor) -> Tensor:
        """Return one value per weight."""
        return spread_columns(name, values) if self.column else values

    def next(self) -> Part:
        """Return the method of the next task."""
        self.number += 1
        return Part(self)

    def share(self, part: Part) -> None:
        """Give the current task its part of what is free, the largest of the trained weights first."""
        for name, weight in part.trained().items():
            free = self.per_weight(name, self.owners[name] == FREE)
            self.weights[name] = torch.where(free, weight, self.weights[name])
            self._take(name, self.number, 1 / (self.tasks - self.number + 1))

    def keep(self, part: Part) -> None:
        """Fix the weights that the current task has trained."""
        for name, weight in part.trained().items():
            mine = self.per_weight(name, self.owners[name] == self.number)
            self.weights[name] = torch.where(mine, weight, self.weights[name])

    def shared(self) -> SharedContent:
        """Return owners and integers of all tasks."""
        kind = "column" if self.column else "element"
        rows = ROWS if self.column else None
        owners = {name: owner.to(torch.uint8).numpy() for name, owner in self.owners.items()}
        shaped = {name: value if self.column else value.reshape(len(value), -1) for name, value in owners.items()}
        return SharedContent(
            {name: Mask("owner", kind, value, rows) for name, value in shaped.items()},
            {name: q.integers(self.weights[name].numpy()).astype(np.int8) for name, q in self.quantisers.items()},
        )


class Packnet(Sequence):
    """Weights have owners; a task uses those of all older ones."""


class Cpg(Sequence):
    """Weights have owners; a task picks from those of older ones."""

    picks = True


class Xst(Sequence):
    """Columns have owners; a task picks from those of older ones."""

    column = picks = True


class Part(Method):
    """One task of a sequence; until it has its share, it trains all that is free."""

    def __init__(self, sequence: Sequence) -> None:
        super().__init__(sequence.weights, rate=0.05 if sequence.column else 3e-4)
        self.sequence, self.number = sequence, sequence.number
        self.own_weights = {name: nn.Parameter(weight.clone()) for name, weight in sequence.weights.items()}
        if sequence.picks:
            start = 1.0 if sequence.column else 1e-2
            self.scores = {
                name: nn.Parameter(torch.full(owner.shape, start)) for name, owner in sequence.owners.items()
            }

    def groups(self) -> list[dict[str, object]]:  # type: ignore[override]
        """Picks and weights learn at different rates."""
        return [*super().groups(), {"params": list(self.own_weights.values()), "lr": 1e-3}]

    def _sets(self, name: str) -> tuple[Tensor, Tensor]:
        """Return where the task trains, and what older owners left."""
        owners = self.sequence.owners[name]
        free = owners == FREE
        mine = owners == self.number
        return (mine if mine.any() else free), owners < self.number

    def _picked(self, name: str, random: torch.Generator | None) -> Tensor:
        """Return which older weights or columns are used; with ``random``, for training."""
        if not self.sequence.picks:
            return torch.ones(self.sequence.owners[name].shape)
        scores = self.scores[name]
        if not self.sequence.column:
            hard = (scores.detach() > THRESHOLD).float()
            return hard if random is None else hard + (scores - scores.detach())
        return (scores.detach() > 0).float() if random is None else Xbm.drawn(self, name, random)  # type: ignore[arg-type]

    def training(self, random: torch.Generator | None) -> dict[str, Tensor]:
        """Return the task's own weights on their grid, and picked older ones."""
        weights = {}
        for name in CONVS:
            mine, older = (self.sequence.per_weight(name, where) for where in self._sets(name))
            picked = self.sequence.per_weight(name, self._picked(name, random))
            own = on_grid(self.own_weights[name], self.sequence.steps[name])
            weights[name] = own * mine + self.backbone[name] * picked * older
        return weights

    @torch.no_grad()
    def final(self) -> dict[str, Tensor]:
        """Return the weights in use after training."""
        return self.training(None)

    @torch.no_grad()
    def trained(self) -> dict[str, Tensor]:
        """Return the task's own weights on their grid."""
        return {name: on_grid(weight, self.sequence.steps[name]) for name, weight in self.own_weights.items()}

    @torch.no_grad()
    def masks(self) -> dict[str, Mask]:
        """The picks, where the method has any."""
        if not self.sequence.picks:
            return {}
        masks = {}
        for name in CONVS:
            picked = (self._picked(name, None).bool() & self._sets(name)[1]).to(torch.uint8).numpy()
            if self.sequence.column:
                masks[name] = Mask("pick", "column", picked, ROWS)
            else:
                masks[name] = Mask("pick", "element", picked.reshape(LAYERS[name].c_out, -1))
        return masks


SEQUENCES = {"packnet": Packnet, "cpg": Cpg, "xst": Xst}
"""Methods whose tasks share weights."""

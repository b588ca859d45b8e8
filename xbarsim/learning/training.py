"""The training loop: stages of epochs, quantised inputs, checkpoints after every epoch.

All that a run is made of stands in :class:`Run`; a checkpoint holds it between two epochs, so that a run that was
cut off goes on as if it had not been.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as f

from xbarsim.errors import Fault, InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.methods import Method, Stage, Weights

BATCH = 64
"""Samples of a training step. Ours."""

DECAY = 0.99
"""What is left after a step of the largest input seen, where none as large comes again. Ours."""

LEAST_SCALE = 1e-12
"""Smallest step of an input: layers whose inputs are all zero have one too."""

RAMP = 0.6
"""Share of a stage over which the expected energy comes in: at full weight from the start it switches layers off
before the task is known. Ours."""

CHUNK = 512
"""Samples that are computed at once where nothing is trained."""

Row = Mapping[str, float | int | str]
"""One epoch: ``epoch`` and ``epochs``, ``stage``, ``loss`` and training ``accuracy``, for column masks ``density``."""

Progress = Callable[[Row], None]
Update = Callable[[int, Mapping[str, NDArray[np.signedinteger[Any]]]], None]
"""Called after every optimiser step with its number and the integers that would stand in the crossbars."""

Limits = Mapping[str, tuple[int, int]]
"""Least and largest integer of every crossbar layer's input."""


@dataclass(eq=False)
class InputGrid:
    """Rounds the inputs of crossbar layers to a step that follows the largest value; gradients pass through."""

    limits: Limits
    tops: dict[str, Tensor] = field(default_factory=dict)
    """Largest magnitude by layer, which decays."""
    zero: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.int32))

    def __call__(self, name: str, inputs: Tensor) -> Tensor:
        """Return what the layer sees in training."""
        low, high = self.limits[name]
        seen = inputs.detach()
        top = (seen.abs() if low else seen).amax().reshape(1)
        if name in self.tops:
            top = torch.maximum(top, self.tops[name] * DECAY)
        self.tops[name] = top
        scale = (top / high).clamp_min(LEAST_SCALE)
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(inputs, scale, self.zero, low, high)
        return rounded


@dataclass(eq=False)
class Run:
    """One task being learned with one method."""

    net: Backbone
    method: Method
    inputs: Tensor
    labels: Tensor
    random: torch.Generator
    grid: InputGrid
    stages: tuple[Stage, ...]
    batch: int = BATCH
    energy: Callable[[Mapping[str, Tensor]], Tensor] | None = None
    """Expected energy over that with everything on."""
    energy_weight: float = 0.0
    history: list[Row] = field(default_factory=list)
    at: tuple[int, int] = (0, 0)
    """Stage, and epochs of it that are over."""
    steps: int = 0

    def go(self, key: str, checkpoint: Path | None, progress: Progress | None, update: Update | None) -> None:
        """Train through all stages; ``key`` says what is trained, so that no other run goes on from its checkpoint."""
        saved = _read(checkpoint, key)
        if saved is not None:
            self._restore(saved)
        for number in range(self.at[0], len(self.stages)):
            stage, done = self.stages[number], self.at[1] if number == self.at[0] else 0
            if not done:
                self.method.enter(stage, self)
            optimiser = self._optimiser(stage)
            if saved is not None and done:
                optimiser.load_state_dict(saved["optimiser"])
            fixed = self.method.final(self.method.setting.frozen) if stage.fixed else None
            for epoch in range(done, stage.epochs):
                self._epoch(stage, epoch, optimiser, fixed, update)
                self.at = (number, epoch + 1)
                if checkpoint is not None:
                    _write(checkpoint, {"key": key, "optimiser": optimiser.state_dict(), **self._state()})
                if progress is not None:
                    progress(self.history[-1])
        self.net.eval()
        self.method.eval()

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        groups = [*self.method.groups(stage), {"params": list(self._rest()), "lr": self.method.settling_rate}]
        for group in groups:
            group["lr"] *= stage.rate
            group["peak"] = group["lr"]
        return torch.optim.Adam(groups, fused=True)

    def _rest(self) -> Iterator[torch.nn.Parameter]:
        """Normalisation, biases and head: all that is not the weight of an adapted layer."""
        adapted = {f"{name}.weight" for name in self.net.adapted}
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name not in adapted)
            if name not in adapted:
                yield parameter

    def _epoch(
        self, stage: Stage, epoch: int, optimiser: torch.optim.Optimizer, fixed: Weights | None, update: Update | None
    ) -> None:
        """Train one epoch and write its row of the history."""
        self.net.train()
        self.method.train()
        self.method.anneal(stage, epoch / max(1, stage.epochs - 1))
        order = torch.randperm(len(self.inputs), generator=self.random)
        parts = order.chunk(max(1, math.ceil(len(order) / self.batch)))
        losses, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for number, picked in enumerate(parts):
            share = (epoch + number / len(parts)) / stage.epochs
            _set_rates(optimiser, share)
            labels = self.labels[picked]
            logits = self.net(self.inputs[picked], self.method.drawn(stage) if fixed is None else fixed, self.grid)
            loss = f.cross_entropy(logits, labels)
            losses += loss.detach() * len(picked)
            right += (logits.detach().argmax(1) == labels).sum()
            extra = None if stage.fixed else self._extra(share)
            optimiser.zero_grad()
            torch.autograd.backward(loss if extra is None else loss + extra)
            optimiser.step()
            if update is not None and fixed is None and (integers := self.method.integers()) is not None:
                update(self.steps, integers)
            self.steps += 1
        self._note(stage, losses / len(order), right / len(order))

    def _extra(self, share: float) -> Tensor | None:
        """The method's own penalty, or in its place the expected energy; ``share`` of the stage is over."""
        chances = self.method.on() if self.energy is not None and self.energy_weight else None
        if self.energy is None or chances is None:
            return self.method.penalty()
        return self.energy_weight * min(1.0, share / RAMP) * self.energy(chances)

    def _note(self, stage: Stage, loss: Tensor, accuracy: Tensor) -> None:
        row: dict[str, float | int | str] = {
            "epoch": len(self.history) + 1,
            "epochs": sum(one.epochs for one in self.stages),
            "stage": stage.name,
            "loss": float(loss),
            "accuracy": float(accuracy),
        }
        with torch.no_grad():
            chances = self.method.on()
        if chances:
            row["density"] = float(torch.cat([one.flatten() for one in chances.values()]).mean())
        self.history.append(row)

    def gradients(self, weights: Mapping[str, Tensor]) -> Weights:
        """Return the gradient of the loss on all training samples with respect to ``weights``, statistics fixed."""
        self.net.eval()
        leaves = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
        total = torch.zeros(())
        for inputs, labels in zip(torch.split(self.inputs, CHUNK), torch.split(self.labels, CHUNK), strict=True):
            logits = self.net(inputs, leaves)
            loss = f.cross_entropy(logits, labels, reduction="sum") / len(self.labels)
            grads = torch.autograd.grad(loss, list(leaves.values()))
            for leaf, grad in zip(leaves.values(), grads, strict=True):
                leaf.grad = grad if leaf.grad is None else leaf.grad + grad
            total += loss.detach()
        return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}

    def _state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "method": self.method.state_dict(),
            "tops": self.grid.tops,
            "random": self.random.get_state(),
            "history": [dict(row) for row in self.history],
            "at": list(self.at),
            "steps": self.steps,
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.net.load_state_dict(saved["net"])
        self.method.load_state_dict(saved["method"])
        self.grid.tops = dict(saved["tops"])
        self.random.set_state(saved["random"])
        self.history[:] = saved["history"]
        self.at, self.steps = (saved["at"][0], saved["at"][1]), saved["steps"]


def _set_rates(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Let all rates fall along half a cosine."""
    factor = 0.5 * (1 + math.cos(math.pi * share))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def _read(checkpoint: Path | None, key: str) -> dict[str, Any] | None:
    """Read a checkpoint; raise :class:`InputError` for one of another run, and for what is none."""
    if checkpoint is None or not checkpoint.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        found = saved["key"]
    except Exception as error:  # torch.load raises whatever its zip reader and unpickler do
        raise InputError(Fault(str(checkpoint), f"is not a checkpoint of this learner: {error}")) from error
    if found != key:
        message = f"is of another run ({found}), not of this one ({key}); remove it or name another file"
        raise InputError(Fault(str(checkpoint), message))
    return saved


def _write(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write beside its place, then rename: a run that is cut off leaves the checkpoint before."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    beside = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}.tmp")
    torch.save(dict(state), beside)
    os.replace(beside, checkpoint)

"""How often a network is right, and how far the sums of its layers are from the exact ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.executor import (
    Arithmetic,
    FloatProduct,
    IntegerProduct,
    Observer,
    Windows,
    check_inputs,
    chunks_of,
    forward,
)
from xbarsim.analog.model import Model
from xbarsim.analog.ops import Floats
from xbarsim.analog.prepare import Prepared
from xbarsim.errors import InputError

FLOAT, QUANTISED = "float", "quantised"
"""Stages that every measurement has; the others are the caller's."""


@dataclass
class Tally:
    """One stage on some samples."""

    right: int = 0
    seen: int = 0
    signal: dict[str, float] = field(default_factory=dict)
    """By layer: sum of the squares of the exact outputs."""
    noise: dict[str, float] = field(default_factory=dict)
    """By layer: sum of the squares of their differences from this stage's outputs."""

    @property
    def accuracy(self) -> float:
        """Share of the samples that are classified as labelled."""
        return self.right / self.seen

    def snr_db(self, layer: str) -> float | None:
        """Signal-to-noise ratio of a layer's outputs in dB; ``None`` where they are exact."""
        noise = self.noise[layer]
        return 10 * log10(self.signal[layer] / noise) if noise and self.signal[layer] else None

    def count(self, outputs: Floats, labels: NDArray[np.integer[Any]]) -> None:
        """Count the samples whose highest output stands at their label."""
        self.right += int(np.count_nonzero(outputs.reshape(len(outputs), -1).argmax(axis=1) == labels))
        self.seen += len(labels)

    def against(self, exact: Mapping[str, Floats]) -> Observer:
        """An observer that compares every layer with its exact outputs."""

        def compare(windows: Windows, outputs: Floats) -> None:
            name = windows.held.layer.name
            self.signal[name] = self.signal.get(name, 0.0) + _energy(exact[name])
            self.noise[name] = self.noise.get(name, 0.0) + _energy(outputs - exact[name])

        return compare


def _energy(values: Floats) -> float:
    """Sum of squares, in an order that does not depend on threads."""
    return float(np.square(values).sum())


def measure(
    prepared: Prepared,
    inputs: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    stages: Mapping[str, Mapping[str, Arithmetic]],
    *,
    floats: bool = True,
) -> dict[str, Tally]:
    """Return a tally of the float network, of the integer network, and of every stage.

    stages: by name, the arithmetic of the layers that are not computed in integers. All run side by side, a
    few samples at a time: memory does not grow with the number of samples. ``floats=False`` leaves out the
    float network.
    """
    model = prepared.integers
    check_inputs(model, inputs)
    check_labels(model, inputs, labels)
    tallies = {name: Tally() for name in (*([FLOAT] if floats else []), QUANTISED, *stages)}
    for first, some in chunks_of(model, inputs):
        wanted = labels[first : first + len(some)]
        if floats:
            tallies[FLOAT].count(forward(prepared.floats, some, first, FloatProduct()), wanted)
        exact: dict[str, Floats] = {}

        def keep(windows: Windows, outputs: Floats, exact: dict[str, Floats] = exact) -> None:
            exact[windows.held.layer.name] = outputs

        tallies[QUANTISED].count(forward(model, some, first, IntegerProduct(), keep), wanted)
        for name, table in stages.items():
            tallies[name].count(forward(model, some, first, table, tallies[name].against(exact)), wanted)
    return tallies


def check_labels(model: Model, inputs: NDArray[Any], labels: NDArray[Any]) -> None:
    """Refuse labels that do not belong to the samples or to the outputs, and networks without class scores."""
    last, source = model.nodes[-1], model.network.source
    if last.shape[1:] != (1, 1):
        raise InputError(f"{source}: the output {last.name!r} is a map of features, not one score per class")
    head = next((held.layer for held in model.held.values() if held.layer.head), None)
    classes = head.c_out if head else last.shape[0]
    if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu":
        message = f"labels have shape {labels.shape} and type {labels.dtype}, for {len(inputs)} samples"
        raise InputError(f"{source}: {message}: give one whole number per sample")
    odd = labels[(labels < 0) | (labels >= classes)]
    if odd.size:
        raise InputError(f"{source}: label {odd[0]}, but task {model.task!r} has the classes 0 to {classes - 1}")

"""Input scales of layers that the bundle has none for: found once from data, then fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.executor import FloatProduct, Windows, run
from xbarsim.analog.model import Model
from xbarsim.analog.ops import Floats

MOST_SAMPLES = 128
"""Samples that are looked at: the first ones."""


def largest_inputs(model: Model, inputs: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return the largest magnitude of the inputs of every crossbar layer in the float network ``model``."""
    largest = dict.fromkeys(model.held, 0.0)

    def note(windows: Windows, outputs: Floats) -> None:
        name = windows.held.layer.name
        largest[name] = max(largest[name], float(np.abs(windows.inputs).max(initial=0.0)))

    run(model, inputs, FloatProduct(), observe=note)
    return largest


def with_scales(model: Model, floats: Model, inputs: NDArray[np.floating[Any]]) -> Model:
    """Return ``model`` with input scales for all layers, and a note on those that the bundle does not bring.

    The largest magnitude that ``floats``, the same network in floats, shows for the first
    :data:`MOST_SAMPLES` samples of ``inputs`` becomes the largest integer. Scales are of single precision,
    as those of bundles.
    """
    missing = model.uncalibrated
    if not missing:
        return model
    seen = inputs[:MOST_SAMPLES]
    largest = largest_inputs(floats, seen)
    steps = {name: float(np.float32((largest[name] or 1.0) / model.held[name].limits[1])) for name in missing}
    names = ", ".join(missing)
    note = f"input scales of {names}: not in the bundle, the largest value of {len(seen)} samples in floats"
    return model.with_steps(steps, [note])

"""Everything that must be known before a network can be measured on samples: models, scales, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.converter import Ranges
from xbarsim.analog.executor import check_inputs
from xbarsim.analog.model import Model, build
from xbarsim.analog.ranging import ranges_from
from xbarsim.analog.scales import with_scales
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError
from xbarsim.network import Network, Samples, Task


@dataclass(frozen=True, eq=False)
class Prepared:
    """One task and method, ready to run."""

    floats: Model
    """With float weights."""
    integers: Model
    """With integer weights and an input scale for every crossbar layer."""
    ranges: Mapping[str, Ranges]
    """Converter ranges by layer, where the chip leaves them to data."""


def prepare(chip: Chip, network: Network, method: str, task: str | None, inputs: NDArray[np.floating[Any]]) -> Prepared:
    """Return both models; scales and converter ranges that nobody states are found from the first of ``inputs``."""
    negative = bool(len(inputs)) and float(inputs.min()) < 0
    floats = build(chip, network, method, task, rounded=False, signed_input=negative)
    check_inputs(floats, inputs)
    integers = with_scales(build(chip, network, method, task, signed_input=negative), floats, inputs)
    return Prepared(floats, integers, ranges_from(chip, integers, inputs))


def samples_of(network: Network, task: Task, count: int | None = None) -> Samples:
    """Return the first ``count`` held-out samples of a task, or all; raise :class:`InputError` without any."""
    found = task.samples()
    if found is None:
        if network.synthetic:
            message = "is a layer table: it has neither trained weights nor samples, so there is no accuracy to measure"
        else:
            message = f"task {task.name!r} has no samples in the bundle; put held-out ones into samples/{task.name}"
        raise InputError(Fault(network.source, message))
    if count is None or count >= len(found.labels):
        return found
    return replace(found, inputs=found.inputs[:count], labels=found.labels[:count])

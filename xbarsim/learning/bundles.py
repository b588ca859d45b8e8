"""What several tasks have learned with several methods, as one bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xbarsim.analog.encode import Drive
from xbarsim.analog.ops import signed_nodes
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import Fault, InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.data import TaskData
from xbarsim.learning.learn import LearnedTask, input_scales, quantisers_of
from xbarsim.network import entries_of
from xbarsim.network.bundle_writer import BundleContent, SharedContent, TaskContent
from xbarsim.network.masks import Mask
from xbarsim.network.tensors import fingerprint
from xbarsim.network.validation import INPUT_SCALE


def bundle_content(
    name: str,
    backbone: Backbone,
    learned: Sequence[LearnedTask],
    generator: str,
    *,
    backbone_data: TaskData | None = None,
    chip: Chip | str | None = None,
) -> BundleContent:
    """Put what was learned on one backbone together, for :func:`xbarsim.network.bundle_writer.write_bundle`.

    Tasks stand in the order in which they first appear in ``learned``. With ``backbone_data`` and ``chip`` the
    backbone gets input scales of its own. Raises :class:`InputError`, with all faults, if the tasks do not go
    together: another backbone, other widths or crossbars, one method twice for a task, or a broken sequence.
    """
    faults = list(_faults(backbone, learned))
    if faults:
        raise InputError(faults)
    order = list(dict.fromkeys(one.task for one in learned))
    weight_bits, input_bits = learned[0].weight_bits, learned[0].input_bits
    state: dict[str, NDArray[Any]] = {key: value.astype(np.float32) for key, value in backbone.arrays().items()}
    if backbone_data is not None:
        state |= _scales(backbone, backbone_data, load_chip(chip or "xbm_72") if not isinstance(chip, Chip) else chip)
    return BundleContent(
        name=name,
        generator=generator,
        entries=entries_of(backbone.nodes),
        backbone=state,
        quantisers=quantisers_of(backbone, weight_bits),
        tasks={task: _task([one for one in learned if one.task == task]) for task in order},
        weight_bits=weight_bits,
        input_bits=input_bits,
        shared=dict(_shared(learned, order)),
    )


def _task(learned: Sequence[LearnedTask]) -> TaskContent:
    samples = next((one.samples for one in learned if one.samples is not None), None)
    return TaskContent(learned[0].classes, {one.method: one.content for one in learned}, samples)


def _shared(learned: Sequence[LearnedTask], order: Sequence[str]) -> Iterator[tuple[str, SharedContent]]:
    """Yield what tasks share: of a sequence what its last task leaves, its owners numbered as in the bundle."""
    for method in dict.fromkeys(one.method for one in learned if one.shared is not None):
        last = max((one for one in learned if one.method == method), key=lambda one: len(one.sequence))
        if last.shared is None:
            continue
        numbers = np.array([0, *(order.index(task) + 1 for task in last.sequence)])
        yield method, replace(last.shared, owners=dict(_renumbered(last.shared.owners, numbers)))


def _renumbered(owners: Mapping[str, Mask], numbers: NDArray[np.int64]) -> Iterator[tuple[str, Mask]]:
    for layer, mask in owners.items():
        yield layer, replace(mask, values=numbers[mask.values].astype(mask.values.dtype))


def _faults(backbone: Backbone, learned: Sequence[LearnedTask]) -> Iterator[Fault]:
    if not learned:
        yield Fault("bundle", "nothing has been learned")
        return
    there, first = fingerprint(backbone.arrays()), learned[0]
    seen: set[tuple[str, str]] = set()
    for one in learned:
        place = f"{one.method} of {one.task}"
        if one.backbone != there:
            yield Fault(place, "was learned on another backbone")
        if (one.weight_bits, one.input_bits) != (first.weight_bits, first.input_bits):
            yield Fault(place, f"{one.weight_bits}-bit weights and {one.input_bits}-bit inputs, others have others")
        if one.geometry != first.geometry:
            yield Fault(place, f"was learned for other crossbars than {first.method} of {first.task}")
        if (one.task, one.method) in seen:
            yield Fault(place, "is there twice")
        if one.classes != next(other.classes for other in learned if other.task == one.task):
            yield Fault(place, f"has {one.classes} classes, the same task with another method has others")
        seen.add((one.task, one.method))
    yield from _broken(learned)


def _broken(learned: Sequence[LearnedTask]) -> Iterator[Fault]:
    """Sequences must be whole and in the order of the bundle's tasks: older tasks have smaller numbers."""
    order = list(dict.fromkeys(one.task for one in learned))
    for method in dict.fromkeys(one.method for one in learned if one.sequence):
        parts = [one for one in learned if one.method == method]
        longest = max(parts, key=lambda one: len(one.sequence)).sequence
        for one in parts:
            if one.sequence != longest[: len(one.sequence)]:
                yield Fault(f"{method} of {one.task}", f"is not part of the sequence {', '.join(longest)}")
        missing = [task for task in longest if task not in {one.task for one in parts}]
        if missing:
            yield Fault(method, f"tasks of the sequence are missing: {', '.join(missing)}")
        elif [task for task in order if task in longest] != list(longest):
            yield Fault(method, f"was learned in the order {', '.join(longest)}; give the tasks in this order")


def _scales(backbone: Backbone, data: TaskData, chip: Chip) -> dict[str, NDArray[np.float32]]:
    """Return the backbone's own input scales."""
    inputs = data.inputs("train")
    signed = signed_nodes(backbone.nodes, bool(inputs.min() < 0))
    bits = backbone.input_bits or chip.file.precision.input_bits
    reads = {node.name: signed[node.inputs[0]] for node in backbone.nodes if node.name in backbone.layers}
    limits = {name: Drive.of(chip, bits, negative).range for name, negative in reads.items()}
    weights = {name: torch.as_tensor(backbone.weight(name)).detach() for name in backbone.layers}
    found = input_scales(backbone, weights, inputs, limits)
    return {f"{name}.{INPUT_SCALE}": scale for name, scale in found.items()}

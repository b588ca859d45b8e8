"""Accuracy of a bundle or a PyTorch module on a chip, on samples that a PyTorch loader gives."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.measure import FLOAT, QUANTISED, Tally, measure
from xbarsim.analog.onchip import OnChip
from xbarsim.analog.prepare import prepare
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError, did_you_mean
from xbarsim.network import Network, load_network
from xbarsim.studies.accuracy import STAGES, stages_of

Batch = Sequence[Any]
"""Inputs ``(n, channels, height, width)`` and labels ``(n,)``: tensors or arrays."""


@dataclass(frozen=True)
class Evaluation:
    """How one task does on a chip."""

    accuracy: dict[str, float]
    """By stage, from 0 to 1: ``float``, ``quantised`` (integer weights and inputs), ``converters`` (those of the
    chip, with ideal cells) and ``cells`` (mean over the seeds)."""
    by_seed: tuple[float, ...]
    """Accuracy with the cells of every seed."""
    snr_db: dict[str, float | None]
    """By layer, with the cells of the first seed; ``None`` where the outputs are exact."""
    samples: int
    """Samples that the loader gave."""
    notes: tuple[str, ...]
    """What was assumed."""


def evaluate(
    model_or_bundle: Any,
    chip: Chip | str,
    loader: Iterable[Batch],
    *,
    task: str | None = None,
    method: str | None = None,
    seeds: int = 1,
    seed: int = 0,
    layers: Sequence[str] | None = None,
) -> Evaluation:
    """Return the accuracy of one task of a bundle on ``chip``, for batches of (inputs, labels).

    ``model_or_bundle`` is a network, the name or path of a bundle, or a module of PyTorch. ``task`` and ``method``
    may be left out where there is only one. The labels are the task's class numbers. ``layers`` run on the chip, by
    default all; the others are computed in integers. Input scales and converter ranges that the bundle or the chip
    leave to data are found from the first samples.

    A module is captured with the first sample, with the weights that it has in ``eval()``, at the chip's weight and
    input bits; its masks are then part of its weights: columns that they switch off are not gated.
    """
    machine = load_chip(chip) if isinstance(chip, str) else chip
    if seeds < 1:
        raise InputError(f"seeds: {seeds} is below 1")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model_or_bundle, torch.nn.Module):
        return _of_module(
            model_or_bundle, machine, loader, task=task, method=method, seeds=seeds, seed=seed, layers=layers
        )
    network = _network(model_or_bundle)
    name = _only("task", task, list(network.task_info), network)
    way = _only("method", method, list(network.task(name).methods), network)
    inputs, labels = _gathered(loader)
    prepared = prepare(machine, network, way, name, inputs)
    converters, cells = stages_of(machine)
    numbers = range(seed, seed + seeds) if cells.random else [seed]
    machines = [(converters.chip, seed), *((machine, number) for number in numbers)]
    on = [OnChip.of(one, prepared.integers, number, prepared.ranges) for one, number in machines]
    chosen = _layers(network, layers, list(prepared.integers.held))
    tallies = measure(prepared, inputs, labels, {str(at): dict.fromkeys(chosen, one) for at, one in enumerate(on)})
    found = [tallies[str(at)] for at in range(len(on))]
    shares = tuple(tally.accuracy for tally in found[1:])
    stages = (tallies[FLOAT].accuracy, tallies[QUANTISED].accuracy, found[0].accuracy, float(np.mean(shares)))
    accuracy = dict(zip(STAGES, stages, strict=True))
    return Evaluation(accuracy, shares, _ratios(found[1]), len(labels), prepared.integers.notes)


def _of_module(module: Any, chip: Chip, loader: Iterable[Batch], **options: Any) -> Evaluation:
    """Write the module to a bundle that lives as long as the evaluation, and evaluate that."""
    import torch

    from xbarsim.learning.export import export_bundle
    from xbarsim.learning.export_tasks import TaskExport

    inputs, labels = _gathered(loader)
    with tempfile.TemporaryDirectory() as folder:
        one = {"model": TaskExport(method="finetune-partial")}
        path = Path(folder) / f"{type(module).__name__}.xmn"
        network = export_bundle(path, module, torch.from_numpy(inputs[:1]), one, chip=chip)
        return evaluate(network, chip, [(inputs, labels)], **options)


def _ratios(tally: Tally) -> dict[str, float | None]:
    return {layer: tally.snr_db(layer) for layer in tally.noise}


def _network(model_or_bundle: object) -> Network:
    if isinstance(model_or_bundle, Network):
        return model_or_bundle
    if isinstance(model_or_bundle, str | Path):
        return load_network(model_or_bundle)
    raise InputError(f"{type(model_or_bundle).__name__} is neither a network nor the name or path of a bundle")


def _only(what: str, name: str | None, known: Sequence[str], network: Network) -> str:
    """The name given, or the only one there is."""
    if name is not None:
        return name
    if len(known) != 1:
        raise InputError(f"{network.source}: name the {what}; known: {', '.join(known) or 'none'}")
    return known[0]


def _layers(network: Network, layers: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    odd = [name for name in layers or () if name not in known]
    if odd:
        raise InputError(f"{network.source}: no crossbar layer {odd[0]!r}{did_you_mean(odd[0], known)}")
    return list(known if layers is None else layers)


def _gathered(loader: Iterable[Batch]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """All batches as arrays."""
    inputs, labels = [], []
    for number, batch in enumerate(loader):
        if not isinstance(batch, Sequence) or len(batch) != 2:
            raise InputError(f"loader: batch {number} is not a pair of inputs and labels")
        inputs.append(_array(batch[0]).astype(np.float32, copy=False))
        labels.append(_array(batch[1]).reshape(-1))
        if inputs[-1].shape[1:] != inputs[0].shape[1:]:
            raise InputError(f"loader: batch {number} has samples of shape {inputs[-1].shape[1:]}, others have another")
    if not inputs:
        raise InputError("loader: gives no batches")
    return np.concatenate(inputs), np.concatenate(labels)


def _array(value: Any) -> NDArray[Any]:
    """An array of a tensor, wherever it lives."""
    tensor = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(tensor)

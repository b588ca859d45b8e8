"""What a task needs in memory: mask, normalisation, head and weights, kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xbarsim.adaptions.base import Adaption
from xbarsim.chip import Chip
from xbarsim.mapping import Placement
from xbarsim.network import Network, Task

BIAS_BITS = 32
"""Bits of one bias, as normalisation offsets."""

NORM_VECTORS = 4
"""Numbers per channel in a model file: weight, bias, running mean and variance."""


@dataclass(frozen=True)
class Stored:
    """Bits per task."""

    mask_bits: int = 0
    norm_bits: int = 0
    """A factor and an offset per channel of every normalisation, biases of other layers."""
    head_bits: int = 0
    """The task's classifier: weights and biases."""
    weight_bits: int = 0
    index_bits: int = 0
    """Once for all tasks: which task owns what."""


def stored(adaption: Adaption, placement: Placement, task: Task | None = None) -> Stored:
    """Return what a task of ``adaption`` stores on this placement; without one, the network's first."""
    network, chip, bits = placement.network, placement.stored_chip, placement.weight_bits
    layers = [layer for layer in network.layers.values() if not layer.head]
    task = task or _first(network, adaption.name)
    head = task.head_layer if task else network.head
    biases = sum(layer.c_out * BIAS_BITS for layer in layers if layer.bias)
    per_channel = chip.file.requantise.bits_per_channel
    owners = 1 + len(network.task_info)
    return Stored(
        mask_bits=sum(adaption.mask_bits(chip, layer, task) for layer in layers),
        norm_bits=sum(network.norm_channels().values()) * per_channel + biases,
        head_bits=(head.weights * bits + head.bias * head.c_out * BIAS_BITS) if head else 0,
        weight_bits=sum(adaption.weight_bits(chip, layer, bits, task) for layer in layers),
        index_bits=sum(adaption.index_bits(chip, layer, owners) for layer in layers if not network.branch(layer.name)),
    )


def _first(network: Network, method: str) -> Task | None:
    """The first task that has tensors of a method."""
    return next((task for task in network.tasks.values() if method in task.methods), None)


def model_bits(adaption: Adaption, chip: Chip, network: Network, classes: Sequence[int], word_bits: int = 32) -> int:
    """Bits of a model file for a backbone of ``classes[0]`` classes and a task for each further number.

    Everything trained is a word of ``word_bits``, masks and owners are as the method stores them on
    ``chip``. Every task has normalisation and a head (with bias) of its own. This is how the tables of
    PackNet, Piggyback and CPG count.
    """
    layers = [layer for layer in network.layers.values() if not layer.head]
    head, tasks = network.head, len(classes) - 1
    norms = sum(network.norm_channels().values()) * NORM_VECTORS + sum(layer.c_out for layer in layers if layer.bias)
    heads = sum((head.rows + head.bias) * count for count in classes) if head else 0
    words = sum(layer.weights for layer in layers) + norms * len(classes) + heads
    masks = sum(adaption.mask_bits(chip, layer) + adaption.weight_bits(chip, layer, word_bits) for layer in layers)
    return words * word_bits + masks * tasks + sum(adaption.index_bits(chip, layer, len(classes)) for layer in layers)

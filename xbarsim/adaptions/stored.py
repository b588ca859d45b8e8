"""What a task needs in memory: mask, normalisation, head and weights, kept apart."""

from __future__ import annotations

from dataclasses import dataclass

from xbarsim.adaptions.base import Adaption
from xbarsim.mapping import Placement

BIAS_BITS = 32
"""Bits of one bias, as normalisation offsets."""


@dataclass(frozen=True)
class Stored:
    """Bits per task."""

    mask_bits: int = 0
    norm_bits: int = 0
    """A factor and an offset per channel of every normalisation, biases of other layers."""
    head_bits: int = 0
    """The task's classifier: weights and biases."""
    weight_bits: int = 0


def stored(adaption: Adaption, placement: Placement) -> Stored:
    """Return what any task of ``adaption`` stores on this placement."""
    network, chip = placement.network, placement.chip
    layers = [layer for layer in network.layers.values() if not layer.head]
    head = network.head
    biases = sum(layer.c_out * BIAS_BITS for layer in layers if layer.bias)
    per_channel = chip.file.requantise.bits_per_channel
    return Stored(
        mask_bits=sum(adaption.mask_bits(chip, layer) for layer in layers),
        norm_bits=sum(network.norm_channels().values()) * per_channel + biases,
        head_bits=(head.weights * placement.weight_bits + head.bias * head.c_out * BIAS_BITS) if head else 0,
        weight_bits=sum(adaption.weight_bits(layer, placement.weight_bits) for layer in layers),
    )

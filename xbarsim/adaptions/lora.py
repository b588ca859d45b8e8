"""LoRA: beside a frozen layer a pair of low rank, rewritten for every task."""

from __future__ import annotations

from collections.abc import Mapping

from xbarsim.adaptions.base import Need
from xbarsim.adaptions.branches import SIGNED, Branch, Branched, beside, down, up
from xbarsim.network import Entry, Layer, Network


class Lora(Branched, name="lora"):
    """``NAME.lora_a`` goes down to the rank with the windows of layer ``NAME``, ``NAME.lora_b`` up again.

    The pair's scale (alpha / rank) belongs to the quantiser of ``lora_b``.
    """

    granularity = "layer"
    rewrites = "cells of the pairs whose level differs"
    stores = "the weights of the pairs"
    source = "Hu et al., ICLR 2022, arXiv 2106.09685"
    needs = (Need("weights"),)
    assumes = (SIGNED,)

    def grow(self, network: Network) -> Mapping[str, Branch]:
        """A pair beside every layer that ``synthetic.lora_layers`` names."""
        rank = network.drawn["lora_rank"]

        def pair(layer: Layer, source: str) -> Branch:
            a, b, total = (f"{layer.name}.lora_{end}" for end in ("a", "b", "add"))
            return down(layer, a, source, rank), up(layer, b, a), Entry(total, "add", (layer.name, b), {})

        return beside(network, pair)

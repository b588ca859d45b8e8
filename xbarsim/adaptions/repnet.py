"""Rep-Net: small side modules that add to the activations of a frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping

from xbarsim.adaptions.base import Need
from xbarsim.adaptions.branches import Branch, Branched
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Entry, Network, Node


class Repnet(Branched, name="repnet"):
    """Average pool of 2, grouped 5x5 convolution, 1x1 convolution, upsampling; added to an activation.

    Both convolutions are normalised. Parts and places are those of the public code. That a module reads
    the activation that it adds to is our reading, and so is the width of its 5x5 convolution: the
    published one is as wide as the activation (16 to 320 channels there, 2048 in a ResNet-50).
    """

    granularity = "layer"
    rewrites = "cells of the side modules whose level differs"
    stores = "the weights and normalisation of the side modules"
    source = "Yang et al., CVPR 2022, 12277-12286"
    needs = (Need("weights"),)

    def grow(self, network: Network) -> Mapping[str, Branch]:
        """A module behind each of ``synthetic.repnet_after``."""
        nodes = {node.name: node for node in network.nodes}
        chosen = network.drawn["repnet_after"] or _stages(network)
        for name in chosen:
            if name not in nodes or min(nodes[name].shape[1:]) < 2:
                message = f"no feature map {name!r} to add a side module to{did_you_mean(name, nodes)}"
                raise InputError(Fault(network.source, message, "synthetic.repnet_after"))
        return {name: side_module(nodes[name], network.drawn["repnet_channels"]) for name in chosen}


def side_module(node: Node, width: int) -> Branch:
    """The side module that reads ``node`` and adds to it."""
    channels, size = node.shape[0], node.shape[1:]
    parts = ("pool", "conv", "norm1", "point", "norm2", "up", "add")
    pool, conv, norm1, point, norm2, up, total = (f"{node.name}.rep_{part}" for part in parts)
    groups = 2 if channels % 2 == 0 and width % 2 == 0 else 1
    return (
        Entry(pool, "avg_pool", (node.name,), {"kernel": 2}),
        Entry(conv, "conv", (pool,), {"out": width, "kernel": 5, "padding": 2, "groups": groups}),
        Entry(norm1, "batch_norm", (conv,), {}),
        Entry(point, "conv", (norm1,), {"out": channels, "kernel": 1}),
        Entry(norm2, "batch_norm", (point,), {}),
        Entry(up, "upsample", (norm2,), {"size": size}),
        Entry(total, "add", (node.name, up), {}),
    )


def _stages(network: Network) -> list[str]:
    """The last node of every size of feature map: of residual networks the last sum, with its activation."""
    sums: dict[str, None] = {}
    for node in network.nodes:
        if node.op == "add" or (node.inputs and node.inputs[0] in sums and node.op == "relu"):
            sums[node.name] = None
    last: dict[tuple[int, int], str] = {}
    started = False
    for node in network.nodes:
        started = started or node.name in network.layers
        if started and min(node.shape[1:]) > 1 and (node.name in sums or not sums):
            last[node.shape[1], node.shape[2]] = node.name
    return list(last.values())

"""What is computed: the layer graph, its tasks, and the files they come from."""

from xbarsim.network.graph import Entry, Layer, Node, build_graph, derive_layers, entries_of, matmul_macs
from xbarsim.network.load import load_network
from xbarsim.network.masks import Coding, Geometry, Mask
from xbarsim.network.network import Network, Samples, Task
from xbarsim.network.quantiser import Quantiser

__all__ = [
    "Coding",
    "Entry",
    "Geometry",
    "Layer",
    "Mask",
    "Network",
    "Node",
    "Quantiser",
    "Samples",
    "Task",
    "build_graph",
    "derive_layers",
    "entries_of",
    "load_network",
    "matmul_macs",
]

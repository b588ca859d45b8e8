"""Networks from elsewhere: ONNX files become bundles; NeuroSim's and SCALE-Sim's tables become layer tables.

Checkpoints of adaption methods need PyTorch and are read in :mod:`xbarsim.learning.checkpoints`.
"""

from xbarsim.network.importers.content import Imported, content_of
from xbarsim.network.importers.neurosim import read_neurosim
from xbarsim.network.importers.onnx_graph import read_onnx
from xbarsim.network.importers.rows import Tabled
from xbarsim.network.importers.scalesim import read_scalesim

__all__ = ["Imported", "Tabled", "content_of", "read_neurosim", "read_onnx", "read_scalesim"]

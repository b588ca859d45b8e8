"""The questions that an adaption method answers. It says what changes, never what it costs.

A method is one file: subclass :class:`Adaption` with ``name=…``, answer what differs from the
defaults. Writes, pulses, time, energy, wear and gating follow from :mod:`xbarsim.adaptions.change`.
Other packages add methods through the entry point group ``xbarsim.adaptions``.

``task is None`` stands for the backbone as it was installed.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.network import Layer, Network, Task
from xbarsim.registry import Registered

Integers = NDArray[np.signedinteger[Any]]


class Adaption(Registered, group="xbarsim.adaptions"):
    """An adaption method of a frozen or tuned backbone."""

    granularity: ClassVar[str] = ""
    """What one mask value covers, for `xbarsim list methods`."""
    rewrites: ClassVar[str] = "nothing"
    """Which cells a switch writes."""
    stores: ClassVar[str] = ""
    """What is kept per task, beside normalisation and head."""
    source: ClassVar[str] = ""
    """Publication."""
    gates: ClassVar[bool] = False
    """Whether the chip must have column gates."""

    def contents(self, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """Integer weights that the crossbars must hold, ``(c_out, rows)``. Default: the backbone's."""
        return network.integers(layer, bits)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """Columns that are on, ``(row blocks, c_out)``; ``None``: all. Default: all."""
        return None

    def touched(self, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Weights that the method changes between two tasks, whether or not their codes differ."""
        return 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Whether :meth:`contents` may differ from the backbone's."""
        return False

    def mask_bits(self, chip: Chip, layer: Layer) -> int:
        """Bits stored per task as a mask of one layer."""
        return 0

    def weight_bits(self, layer: Layer, bits: int) -> int:
        """Bits stored per task as weights of one layer."""
        return 0

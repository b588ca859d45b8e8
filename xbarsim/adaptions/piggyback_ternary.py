"""Piggyback with ternary masks: weights are kept, turned or set to 0."""

from __future__ import annotations

from xbarsim.adaptions.base import Need
from xbarsim.adaptions.piggyback import Piggyback
from xbarsim.network import Coding


class PiggybackTernary(Piggyback, name="piggyback-ternary"):
    """As Piggyback, with -1 as a third value; log2 of 3 takes 2 bits (a bundle holds int8)."""

    rewrites = "cells of weights whose mask value changes"
    stores = "2 bits per weight"
    source = "Mallya et al., ECCV 2018, arXiv 1801.06519 (ternariser of the public code)"
    needs = (Need("masks", Coding("ternary", "element")),)

"""Figures of runs, comparisons, sweeps and searches."""

from xbarsim.results.figures.breakeven import break_even_figure
from xbarsim.results.figures.style import PALETTE, save

__all__ = ["PALETTE", "break_even_figure", "save"]

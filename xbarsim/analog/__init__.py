"""What do the arrays compute? Bit-sliced products through cells and converters; wire resistance."""

from xbarsim.analog.arrays import Arrays
from xbarsim.analog.calibrate import calibrate
from xbarsim.analog.converter import Range, Ranges
from xbarsim.analog.mvm import mvm
from xbarsim.analog.program import program

__all__ = ["Arrays", "Range", "Ranges", "calibrate", "mvm", "program"]

"""What is the hardware? Chip › Tile › PE › Crossbar, their converters, gates, buffers, links, writers; cell devices."""

from xbarsim.chip.chip import Chip, load_chip
from xbarsim.chip.device import Device

__all__ = ["Chip", "Device", "load_chip"]

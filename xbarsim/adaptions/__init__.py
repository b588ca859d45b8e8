"""What changes between tasks? One file per method; what a change costs follows from one shared path."""

from xbarsim.adaptions.base import Adaption
from xbarsim.adaptions.change import Change, LayerChange, install, switch
from xbarsim.adaptions.finetune import Finetune
from xbarsim.adaptions.piggyback import Piggyback
from xbarsim.adaptions.stored import Stored, stored
from xbarsim.adaptions.xbm import Xbm

__all__ = [
    "Adaption",
    "Change",
    "Finetune",
    "LayerChange",
    "Piggyback",
    "Stored",
    "Xbm",
    "install",
    "stored",
    "switch",
]

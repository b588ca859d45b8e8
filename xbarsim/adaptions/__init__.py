"""What changes between tasks? One file per method; what a change costs follows from one shared path."""

from importlib import import_module
from pkgutil import iter_modules

from xbarsim.adaptions.base import Adaption, Factors, Need
from xbarsim.adaptions.change import Change, LayerChange, install, switch
from xbarsim.adaptions.stored import Stored, model_bits, stored

for _module in iter_modules(__path__):  # importing a method's file registers it
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Adaption",
    "Change",
    "Factors",
    "LayerChange",
    "Need",
    "Stored",
    "install",
    "model_bits",
    "stored",
    "switch",
]

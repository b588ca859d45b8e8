"""Where do masks come from, and what are they worth? The bridge to PyTorch, which nothing else here needs.

It stands as ``xs.torch`` at the top of the package. Names are imported when they are first used: those that need
PyTorch, the extra ``torch``, say so where it is missing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xbarsim.errors import XbarsimError

if TYPE_CHECKING:
    from xbarsim.learning import masks, networks
    from xbarsim.learning.backbone import Backbone
    from xbarsim.learning.bundles import bundle_content
    from xbarsim.learning.capture import backbone_of, capture
    from xbarsim.learning.data import TaskData
    from xbarsim.learning.energy import EnergyTerm, expected_energy
    from xbarsim.learning.evaluate import Evaluation, evaluate
    from xbarsim.learning.export import export_bundle, load_module
    from xbarsim.learning.export_tasks import TaskExport
    from xbarsim.learning.images import image_task
    from xbarsim.learning.learn import LearnedTask, learn
    from xbarsim.learning.updates import Recorder, training_writes

_HOMES = {
    "Backbone": "backbone",
    "bundle_content": "bundles",
    "backbone_of": "capture",
    "capture": "capture",
    "TaskData": "data",
    "EnergyTerm": "energy",
    "expected_energy": "energy",
    "Evaluation": "evaluate",
    "evaluate": "evaluate",
    "export_bundle": "export",
    "image_task": "images",
    "load_module": "export",
    "TaskExport": "export_tasks",
    "LearnedTask": "learn",
    "learn": "learn",
    "Recorder": "updates",
    "training_writes": "updates",
}

_MODULES = ("masks", "networks")
"""Modules of many public names."""

__all__ = [
    "Backbone",
    "EnergyTerm",
    "Evaluation",
    "LearnedTask",
    "Recorder",
    "TaskData",
    "TaskExport",
    "backbone_of",
    "bundle_content",
    "capture",
    "evaluate",
    "expected_energy",
    "export_bundle",
    "image_task",
    "learn",
    "load_module",
    "masks",
    "networks",
    "training_writes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _MODULES:
        raise AttributeError(f"module 'xbarsim.learning' has no attribute {name!r}")
    try:
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise XbarsimError(f"xbarsim.learning.{name} needs PyTorch: pip install 'xbarsim[torch]'") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """A package whose names stay what they are when a module of the same name (``learn``) is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

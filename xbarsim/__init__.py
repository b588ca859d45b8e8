"""xbarsim: what does it cost to switch tasks on a ReRAM accelerator?

    import xbarsim as xs
    chip, net = xs.load_chip("xbm_72"), xs.load_bundle("digits")
    run = xs.simulate(chip, net, method="xbm", scenario="rotated:100,inverted:100")
    table = xs.compare(chip, net, ["xbm", "piggyback", "finetune"])
    found = xs.accuracy(chip, net, methods=["xbm"]).frame

``xs.torch`` is the bridge to PyTorch.

Names are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xbarsim.analog.mvm import mvm
    from xbarsim.analog.wires import effective_conductance
    from xbarsim.chip import Chip, load_chip
    from xbarsim.errors import CheckFailed, Deadlock, DoesNotFit, InputError, XbarsimError
    from xbarsim.mapping import Placement, place
    from xbarsim.network import Network, Task
    from xbarsim.network import load_network as load_bundle
    from xbarsim.results import Run
    from xbarsim.studies.accuracy import accuracy
    from xbarsim.studies.activity import activity
    from xbarsim.studies.compare import compare
    from xbarsim.studies.search import load_search, search
    from xbarsim.studies.serve import serve
    from xbarsim.studies.show import show
    from xbarsim.studies.simulate import simulate
    from xbarsim.studies.sweep import load_sweep, sweep
    from xbarsim.studies.validate import validate

__version__ = "0.1.0"

_HOMES = {
    "effective_conductance": "analog.wires",
    "mvm": "analog.mvm",
    "Chip": "chip",
    "load_chip": "chip",
    "CheckFailed": "errors",
    "Deadlock": "errors",
    "DoesNotFit": "errors",
    "InputError": "errors",
    "XbarsimError": "errors",
    "Placement": "mapping",
    "place": "mapping",
    "Network": "network",
    "Task": "network",
    "Run": "results",
    "accuracy": "studies.accuracy",
    "activity": "studies.activity",
    "compare": "studies.compare",
    "load_search": "studies.search",
    "load_sweep": "studies.sweep",
    "search": "studies.search",
    "serve": "studies.serve",
    "show": "studies.show",
    "simulate": "studies.simulate",
    "sweep": "studies.sweep",
    "validate": "studies.validate",
}

__all__ = [
    "CheckFailed",
    "Chip",
    "Deadlock",
    "DoesNotFit",
    "InputError",
    "Network",
    "Placement",
    "Run",
    "Task",
    "XbarsimError",
    "accuracy",
    "activity",
    "compare",
    "effective_conductance",
    "load_bundle",
    "load_chip",
    "load_search",
    "load_sweep",
    "mvm",
    "place",
    "search",
    "serve",
    "show",
    "simulate",
    "sweep",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name == "load_bundle":
        return import_module("xbarsim.network").load_network
    if name == "torch":
        return import_module("xbarsim.learning")
    if name in _HOMES:
        return getattr(import_module(f"xbarsim.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'xbarsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

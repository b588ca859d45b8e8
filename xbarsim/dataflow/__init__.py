"""What happens, after what? The work as a cyclo-static dataflow graph: inference and switching."""

from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.dataflow.parcels import Moment
from xbarsim.dataflow.plan import Dataflow, plan
from xbarsim.dataflow.scenario import Entry, parse_scenario

__all__ = [
    "Actor",
    "Channel",
    "Dataflow",
    "Entry",
    "Flow",
    "Graph",
    "Moment",
    "Unit",
    "Work",
    "parse_scenario",
    "plan",
]

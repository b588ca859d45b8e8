"""Where does it sit? Layer -> row blocks x columns -> crossbars -> PEs -> tiles; replication; buffers."""

from xbarsim.mapping.crossbars import Grid, lay_out
from xbarsim.mapping.placement import Placement, Site, place
from xbarsim.mapping.stages import Edge, Stage, stages_of
from xbarsim.mapping.windows import Sliding, tables

__all__ = ["Edge", "Grid", "Placement", "Site", "Sliding", "Stage", "lay_out", "place", "stages_of", "tables"]

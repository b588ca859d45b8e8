"""Results as tidy tables: one row per thing, units in the names of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from xbarsim.results.run import Run


def tables_of(run: Run) -> dict[str, pd.DataFrame]:
    """All tables of a run by name.

    ``inferences`` and ``switches``: a row per entry and per switch of the scenario; ``layers``; ``components``:
    energy by component and action; ``wear``: a row per processing element; ``lifetime``; ``energy``: the ledger;
    ``usage``: busy times by unit and step; ``facts``: every figure of the chip with its source.
    """
    result = run.to_json()
    rows = {
        "inferences": result["tasks"], "switches": result["switches"], "layers": result["layers"],
        "components": result["components"], "wear": result["wear"]["pes"], "lifetime": result["lifetime"]["rows"],
    }  # fmt: skip
    tables = {name: frame_of(lines) for name, lines in rows.items()}
    return tables | {"energy": run.energy, "usage": run.usage.frame, "facts": facts_of(run)}


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table; a section becomes columns of its own, as in ``moved_mask_bits``."""
    return pd.DataFrame([dict(pair for key, value in row.items() for pair in _pairs(key, value)) for row in rows])


def _pairs(key: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{key}_{inner}", item) for inner, item in value.items()] if isinstance(value, dict) else [(key, value)]


def facts_of(run: Run) -> pd.DataFrame:
    """Every figure of the chip and where it comes from."""
    return pd.DataFrame([
        {"key": t.path, "value": float(t.value), "unit": t.unit, "publication": t.publication, "place": t.place,
         "how": t.how, "note": t.note}
        for t in run.placement.chip.traced
    ])  # fmt: skip

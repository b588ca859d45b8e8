"""Sections that several pages have: the chip and its map, assumptions, facts, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from xbarsim.results.figures.chip import chip_figure
from xbarsim.results.figures.mapping import mapping_figure, wear_figure
from xbarsim.results.report.folder import OLDER, RunFolder
from xbarsim.results.report.page import Item, Lines, Section, Table, Text, items, number, plate, table

SYNTHETIC = (
    "weights or masks are synthetic: drawn from the seed, not learned. Energies and times are those of such a "
    "network; nothing is said about accuracy."
)
RESAMPLED = (
    "masks are resampled: they were learned for another crossbar height and are drawn anew with equal density per "
    "layer. Energy and latency only; nobody has learned them."
)

MEANING = {
    "rows": "rows", "columns": "columns", "windows": "windows per inference", "crossbars": "crossbars of a copy",
    "copies": "copies", "residents": "resident heads", "first_tile": "first tile", "tiles": "tiles",
    "used_share": "cells in use",
}  # fmt: skip
"""Headings of the table of layers."""


def mask_warnings(synthetic: bool, masks: Iterable[object]) -> list[str]:
    """What must be said where weights or masks were not learned."""
    found = {str(one) for one in masks}
    if "resampled" in found:
        return [f"The {RESAMPLED}" if found <= {"resampled", "none"} else f"At some points {RESAMPLED}"]
    return [SYNTHETIC[0].upper() + SYNTHETIC[1:]] if synthetic or "synthetic" in found else []


def what_was_run(folder: RunFolder, title: str = "What was run") -> Section:
    """Chip by level, map of layers, table of layers, the chip file."""
    placed = folder.placement
    if placed is None:
        found = items(Lines((f"placement.json is missing: {OLDER}",)), Text("The chip as a file", folder.chip))
        return Section("what", title, found)
    levels = " > ".join(f"{row['count']} {_named(row)}" for row in placed["levels"])
    return Section("what", title, items(
        plate("chip", chip_figure(placed), f"The chip by level, each box opened in the next panel: {levels}. Area and "
              "power are those of one of the level with everything in it and everything busy; what is not published "
              "counts zero.", f"Drawing of the chip in four panels from chip to crossbar: {levels}."),
        plate("mapping", mapping_figure(placed), "Tiles (between thick lines) with their processing elements, coloured "
              "by layer from dark (first) to light (last); the number of a layer stands in its first tile. Pale: "
              "processing elements of a layer's tiles without weights. Grey: not in use.",
              f"Map of {placed['tiles_used']} tiles in use on {placed['chips']} chips, coloured by the "
              f"{len(placed['layers'])} layers that they hold; the table of layers says the same."),
        _layers(placed),
        Text("The chip as a file (chip.yaml)", folder.chip),
    ))  # fmt: skip


def _named(row: Mapping[str, Any]) -> str:
    word = {"pe": "processing element"}.get(row["level"], row["level"])
    return word if row["count"] == 1 else f"{word}es" if word.endswith("s") else f"{word}s"


def _layers(placed: Mapping[str, Any]) -> Table | None:
    rows = [
        {
            "number": at,
            "layer": row["layer"],
            **{key: row.get(key) for key in MEANING},
            "used_share": row["utilisation"],
        }
        for at, row in enumerate(placed["layers"], start=1)
    ]
    return table("layers", "Layers on crossbars: size, copies, and the tiles they take.", rows,
                 {"number": "no.", "layer": "layer", **MEANING})  # fmt: skip


def wear_items(folder: RunFolder) -> tuple[Item, ...]:
    """The map of wear, how cells are worn, and how long they last."""
    summary, wear = folder.summary, folder.summary["wear"]
    picture = None
    if folder.placement is not None and len(folder.wear):
        picture = plate(
            "wear", wear_figure(folder.placement, folder.wear),
            "The same map, coloured by the writes of the most written cell of every processing element, installation "
            "included.", f"Map of tiles coloured by writes; the most written cell has {wear['writes_max']}.",
        )  # fmt: skip
    rows = [
        {"of": name, **{title: wear[f"{name}_{key}"] for key, title in WORN.items()}} for name in ("writes", "pulses")
    ]
    lifetime = summary["lifetime"]
    return items(
        picture,
        table("wear", f"Wear per cell over the scenario, {wear['cells']:,} cells, installation included.", rows,
              {"of": "counted", **{title: title for title in WORN.values()}}),
        table("lifetime", f"Lifetime of {lifetime['device']} if the scenario is repeated for ever.",
              [_until(row) for row in lifetime["rows"]], LASTS),
        Lines(tuple(lifetime["assumptions"])) if lifetime["assumptions"] else None,
    )  # fmt: skip


def _until(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the lifetime in words; years only where a rate of switches is known."""
    counted = {key: "never" if row[key] is None else number(row[key]) for key in ("scenarios", "switches")}
    years = {} if row["years"] is None else {"years": row["years"]}
    return {**row, **counted, "years": None, **years}


LASTS = {
    "basis": "endurance read as", "published": "published so", "until": "until failure of",
    "scenarios": "scenarios", "switches": "task switches", "years": "years",
}  # fmt: skip
WORN = {"max": "most", "mean": "mean", "p50": "median", "p90": "90 %", "p99": "99 %"}
"""Headings of the tables of wear."""


def assumptions(lines: Sequence[str], facts: pd.DataFrame, chip: str = "") -> Section:
    """What is assumed, and the figures of the chip with their publications."""
    known = f"Figures of the chip{chip} and where they come from; publications are listed below."
    publications = list(dict.fromkeys(facts["publication"].dropna()))
    marks = {text: f"[{at}]" for at, text in enumerate(publications, start=1)}
    rows = facts.assign(publication=facts["publication"].map(marks))
    columns = {"key": "key", "value": "value", "unit": "unit", "publication": "publication", "place": "place",
               "how": "how known", "note": "note"}  # fmt: skip
    assumed = (facts["how"] == "assumed").sum()
    return Section("assumptions", "Assumptions and facts", items(
        Lines(tuple(lines), f"{len(lines)} statements that are no sourced fact; {assumed} of the {len(facts)} figures "
              "of the chip are assumed.") if lines else None,
        table("facts", known, rows, columns, main=False),
        Lines(tuple(f"{mark} {text}" for text, mark in marks.items()), "Publications:") if marks else None,
    ))  # fmt: skip


def provenance(value: Mapping[str, Any]) -> Section:
    """What the results were made from and with."""
    rows = [{"what": key, "is": said} for key, said in _flat(value)]
    found = table("provenance", "What these results were made from and with.", rows, main=False)
    return Section("provenance", "Provenance", items(found))


def _flat(value: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{before}{key}"
        if isinstance(item, Mapping):
            found += _flat(item, f"{name}.")
        elif isinstance(item, list):
            found.append((name, ", ".join(map(str, item))))
        else:
            found.append((name, "none" if item is None else str(item)))
    return found

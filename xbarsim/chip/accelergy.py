"""Accelergy's energy and area reference tables (ERT, ART), read as prices and written from them.

A table names components by their path (``system.chip.adc``, ``adc[1..128]``) and gives energies in picojoules per
action, areas in um2 per instance. A component is ours if the last step of its path is; ``accelergy.names`` of the
chip file says so for others. What the tables hold beyond our actions is left aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xbarsim.chip.sections import ChipFile, EnergyTables
from xbarsim.errors import Fault, InputError, did_you_mean

VERSION = "0.4"
_RANGE = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Tables:
    """Prices that lie over the chip file's own."""

    energies: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Energy in pJ by (component, action)."""
    areas: Mapping[str, float] = field(default_factory=dict)
    """Area in um2 of one instance by component."""


def read_tables(file: ChipFile, path: str, actions: Mapping[tuple[str, str], object], blocks: Sequence[str]) -> Tables:
    """Read the tables that a chip file names; ``actions`` are those that we price, ``blocks`` further areas."""
    asked = file.accelergy
    if asked is None:
        return Tables()
    components = {component for component, _ in actions} | set(blocks)
    _check_names(asked, path, {f"{component}.{action}" for component, action in actions} | components)
    folder = Path(path).parent
    energies = {
        key: energy
        for component, action, energy in (_energies(folder / asked.ert) if asked.ert else ())
        if (key := _ours(asked, component, action)) in actions
    }
    areas = {
        name: area
        for component, area in (_areas(folder / asked.art) if asked.art else ())
        if (name := asked.names.get(component, component)) in components
    }
    return Tables(energies, areas)


def _check_names(asked: EnergyTables, path: str, known: set[str]) -> None:
    faults = [
        Fault(path, f"no component or action {ours!r}{did_you_mean(ours, known)}", f"accelergy.names.{theirs}")
        for theirs, ours in asked.names.items()
        if ours not in known
    ]
    if faults:
        raise InputError(faults)


def _ours(asked: EnergyTables, component: str, action: str) -> tuple[str, str]:
    """Our name of an action of theirs."""
    whole = asked.names.get(f"{component}.{action}")
    if whole is not None:
        ours, _, what = whole.partition(".")
        return ours, what
    return asked.names.get(component, component), action


def _energies(path: Path) -> Iterator[tuple[str, str, float]]:
    for number, table in enumerate(_tables(path, "ERT")):
        for action in table.get("actions", ()):
            place = f"ERT.tables.{number}.{action.get('name')}"
            yield _component(table), str(action.get("name")), _number(path, place, action.get("energy"))


def _areas(path: Path) -> Iterator[tuple[str, float]]:
    for number, table in enumerate(_tables(path, "ART")):
        yield _component(table), _number(path, f"ART.tables.{number}", table.get("area"))


def _tables(path: Path, kind: str) -> list[dict[str, Any]]:
    """The tables of a file; its version may be any."""
    try:
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise InputError(Fault(str(path), f"cannot be read: {reason}")) from None
    tables = (
        whole.get(kind, {}).get("tables") if isinstance(whole, dict) and isinstance(whole.get(kind), dict) else None
    )
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(Fault(str(path), f"is no {kind} of Accelergy: no list {kind}.tables"))
    return tables


def _component(table: Mapping[str, Any]) -> str:
    """Last step of a component's path, without ranges as in ``adc[1..128]``."""
    return _RANGE.sub("", str(table.get("name", ""))).rpartition(".")[2]


def _number(path: Path, place: str, value: object) -> float:
    """Energy or area; Accelergy writes numbers, and nothing else is taken for one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InputError(Fault(str(path), f"{value!r} is not a number of at least 0", place))
    return float(value)


def ert(energies: Mapping[tuple[str, str], float | None]) -> dict[str, Any]:
    """Prices as an energy reference table; what is not published is left out."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for (component, action), energy in energies.items():
        if energy is not None:
            tables.setdefault(component, []).append({"name": action, "arguments": {}, "energy": energy})
    return {"ERT": {"version": VERSION, "tables": [{"name": name, "actions": rows} for name, rows in tables.items()]}}


def art(areas: Mapping[str, float | None]) -> dict[str, Any]:
    """Areas of one instance each as an area reference table."""
    tables = [{"name": name, "area": area} for name, area in areas.items() if area is not None]
    return {"ART": {"version": VERSION, "tables": tables}}

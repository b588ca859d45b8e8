"""Folders of results as they lie on disk, read with every fault named; nothing is simulated again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xbarsim.errors import Fault, InputError
from xbarsim.results.placed import SCHEMA as PLACEMENT
from xbarsim.results.run import SCHEMA as RUN

COMPARE, SWEEP, SEARCH, STUDY = "xbarsim.compare/1", "xbarsim.sweep/1", "xbarsim.search/1", "xbarsim.store/1"
"""Schemas of what is read beside runs."""

LEDGER = ("phase", "layer", "component", "action", "energy_pj")
USAGE = ("unit", "kind", "servers", "layer", "phase", "step", "task", "repeats", "start_ns", "end_ns", "busy_ns")
WEAR = ("layer", "pe", "writes_max")
FACTS = ("key", "value", "unit", "publication", "place", "how", "note")
CURVES = ("method", "inferences_per_switch", "energy_per_inference_pj")
ROWS = ("method", "switch_latency_ns", "switch_energy_pj", "energy_per_inference_pj", "latency_per_inference_ns")
"""Columns that a page needs of tables."""

OLDER = "it was written by an earlier version of xbarsim; run the command again for pictures of chip, map and use"


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run: summary, provenance and tables."""

    summary: Mapping[str, Any]
    provenance: Mapping[str, Any]
    chip: str
    """Text of the resolved chip file."""
    ledger: pd.DataFrame
    facts: pd.DataFrame
    wear: pd.DataFrame
    placement: Mapping[str, Any] | None
    """``xbarsim.placement/1``; missing in folders of earlier versions, like ``usage``."""
    usage: pd.DataFrame | None


@dataclass(frozen=True, eq=False)
class CompareFolder:
    """A comparison with the runs of its methods."""

    summary: Mapping[str, Any]
    rows: pd.DataFrame
    curves: pd.DataFrame | None
    runs: Mapping[str, RunFolder]
    """By method, or ``device/method``."""


@dataclass(frozen=True, eq=False)
class StudyFolder:
    """A sweep or a search: what was studied, and its table."""

    kind: str
    """``sweep`` or ``search``."""
    manifest: Mapping[str, Any]
    result: Mapping[str, Any]
    frame: pd.DataFrame
    """A row per point, or per trial."""


Folder = RunFolder | CompareFolder | StudyFolder


def read_folder(path: Path) -> Folder:
    """Read a folder of results; raise :class:`InputError` with every fault, or saying what the folder is not."""
    reader = Reader()
    found = _read(path, reader)
    if reader.faults:
        raise InputError(reader.faults)
    return found


def _read(path: Path, reader: Reader) -> Folder:
    if not path.is_dir():
        there = "is a file, not a folder of results" if path.exists() else "there is no such folder"
        raise InputError(Fault(str(path), f"{there}; {WANTED}"))
    if (path / "manifest.json").is_file():
        return _study(path, reader)
    if not (path / "summary.json").is_file():
        raise InputError(Fault(str(path), _nothing_here(path)))
    summary = reader.json(path / "summary.json", RUN, COMPARE)
    if summary.get("schema") == COMPARE:
        return _comparison(path, summary, reader)
    return _run(path, summary, reader)


WANTED = "name one that run, compare, sweep or search wrote with --out"


def _nothing_here(path: Path) -> str:
    """What to name instead of a folder without results."""
    inside = sorted(
        one.name for one in path.iterdir() if any((one / name).is_file() for name in ("summary.json", "manifest.json"))
    )
    hint = f"; did you mean {str(path / inside[0])!r}?" if inside else f"; {WANTED}"
    return f"holds no results: there is neither summary.json nor manifest.json{hint}"


def _run(path: Path, summary: Mapping[str, Any], reader: Reader) -> RunFolder:
    placed, usage = path / "placement.json", path / "usage.csv"
    return RunFolder(
        summary=summary,
        provenance=reader.json(path / "provenance.json"),
        chip=reader.text(path / "chip.yaml") or "",
        ledger=reader.table(path / "ledger.csv", LEDGER),
        facts=reader.table(path / "facts.csv", FACTS),
        wear=reader.table(path / "wear_pes.csv", WEAR),
        placement=reader.json(placed, PLACEMENT) if placed.exists() else None,
        usage=reader.table(usage, USAGE) if usage.exists() else None,
    )


def _comparison(path: Path, summary: Mapping[str, Any], reader: Reader) -> CompareFolder:
    rows = pd.DataFrame(list(summary.get("rows", [])))
    reader.check(path / "summary.json", rows, ROWS)
    order = {str(name): at for at, name in enumerate(rows.get("method", []))}
    folders = [found.parent for found in sorted(path.glob("*/**/summary.json"))]
    folders.sort(key=lambda folder: order.get(folder.name, len(order)))
    curves = path / "breakeven.csv"
    return CompareFolder(
        summary=summary,
        rows=rows,
        curves=reader.table(curves, CURVES) if curves.exists() else None,
        runs={
            folder.relative_to(path).as_posix(): _run(folder, reader.json(folder / "summary.json", RUN), reader)
            for folder in folders
        },
    )


def _study(path: Path, reader: Reader) -> StudyFolder:
    manifest = reader.json(path / "manifest.json", STUDY)
    kind = str(manifest.get("kind"))
    if kind not in ("sweep", "search"):
        known = f"is of kind {kind!r}; a page can be made of a sweep or a search"
        raise InputError([*reader.faults, Fault(str(path / "manifest.json"), known, "kind")])
    schema, rows, wanted = {"sweep": (SWEEP, "rows", ()), "search": (SEARCH, "trials", ("feasible", "front"))}[kind]
    table = path / f"{kind}.json"
    if not table.exists():
        message = f"the {kind} is not finished: there is no table yet; the command that began it goes on with it"
        raise InputError(Fault(str(path), message))
    result = reader.json(table, schema)
    frame = pd.DataFrame(list(result.get(rows, [])))
    reader.check(table, frame, ("method", "error", *wanted))
    return StudyFolder(kind, manifest, result, frame)


@dataclass
class Reader:
    """Reads files and remembers what is wrong with them."""

    faults: list[Fault] = field(default_factory=list)

    def text(self, path: Path) -> str | None:
        """The text of a file; nothing, with a fault, where it cannot be read."""
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self.faults.append(Fault(str(path), "is missing; run the command that writes the folder again"))
        except (OSError, UnicodeDecodeError) as reason:
            said = reason.strerror if isinstance(reason, OSError) else "it is not UTF-8 text"
            self.faults.append(Fault(str(path), f"cannot be read: {(said or str(reason)).lower()}"))
        return None

    def json(self, path: Path, *schemas: str) -> dict[str, Any]:
        """A JSON object of one of these schemas."""
        text = self.text(path)
        if text is None:
            return {}
        try:
            value = json.loads(text)
        except ValueError as reason:
            self.faults.append(Fault(str(path), f"is damaged: it is not JSON text ({reason})"))
            return {}
        found = value.get("schema") if isinstance(value, dict) else None
        if not isinstance(value, dict) or (schemas and found not in schemas):
            message = f"is of schema {found!r}; this version of xbarsim reads {' and '.join(schemas) or 'an object'}"
            self.faults.append(Fault(str(path), message, "schema"))
            return {}
        return value

    def table(self, path: Path, columns: Sequence[str]) -> pd.DataFrame:
        """A CSV table that has these columns."""
        if self.text(path) is None:
            return pd.DataFrame(columns=list(columns))
        try:
            frame = pd.read_csv(path, keep_default_na=True)
        except pd.errors.EmptyDataError:
            frame = pd.DataFrame(columns=list(columns))
        except (ValueError, pd.errors.ParserError) as reason:
            self.faults.append(Fault(str(path), f"is damaged: {str(reason).splitlines()[0]}"))
            return pd.DataFrame(columns=list(columns))
        self.check(path, frame, columns)
        return frame

    def check(self, path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
        """Note the columns that a table lacks."""
        lacking = [name for name in columns if name not in frame]
        if lacking:
            self.faults.append(Fault(str(path), f"lacks the column {', '.join(lacking)}"))

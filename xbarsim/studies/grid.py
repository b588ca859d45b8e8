"""The grid of a sweep: chip keys and the values that each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

from pydantic import BaseModel

from xbarsim.chip.sections import ChipFile
from xbarsim.config.scalars import Doubtful, plain
from xbarsim.errors import Fault, InputError, did_you_mean

Grid = Mapping[str, Sequence[object]]
"""Values by chip key, as in ``{"crossbar.rows": [64, 72, 128]}``."""

_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
LONGEST_RANGE = 10_000


def parse_grid(texts: Sequence[str]) -> dict[str, list[object]]:
    """Read ``KEY=A,B,C`` and ``KEY=A..B`` (whole numbers, both ends included).

    Raise :class:`InputError` with every fault.
    """
    grid: dict[str, list[object]] = {}
    faults: list[Fault] = []
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        place = f"--grid {text}"
        if not equals or not key or not values:
            faults.append(Fault(place, "write KEY=VALUE,VALUE,… or KEY=FIRST..LAST, as in crossbar.rows=64,72,128"))
        elif key in grid:
            faults.append(Fault(place, f"{key} stands in the grid twice"))
        else:
            grid[key] = list(_values(values, place, faults))
    if faults:
        raise InputError(faults)
    check_grid(grid)
    return grid


def _values(text: str, place: str, faults: list[Fault]) -> Iterator[object]:
    for part in text.split(","):
        part = part.strip()
        bounds = _RANGE.fullmatch(part)
        if bounds:
            yield from _range(int(bounds[1]), int(bounds[2]), place, faults)
        elif not part:
            faults.append(Fault(place, "has an empty value"))
        else:
            try:
                yield plain(part)
            except Doubtful as reason:
                faults.append(Fault(place, str(reason)))


def _range(first: int, last: int, place: str, faults: list[Fault]) -> Iterator[int]:
    if first > last:
        faults.append(Fault(place, f"{first}..{last} is empty: the first is above the last"))
    elif last - first >= LONGEST_RANGE:
        faults.append(Fault(place, f"{first}..{last} has more than {LONGEST_RANGE} values"))
    else:
        yield from range(first, last + 1)


def check_grid(grid: Grid) -> None:
    """Raise :class:`InputError` for an empty grid, a key without values and keys that no chip file has."""
    if not grid:
        raise InputError("the grid is empty; give at least one key, as in crossbar.rows=64,72,128")
    known = list(chip_keys())
    faults = []
    for key, values in grid.items():
        if key not in known:
            faults.append(Fault("grid", f"no such key in a chip file{did_you_mean(key, known)}", key))
        if not len(values):
            faults.append(Fault("grid", "has no values", key))
    if faults:
        raise InputError(faults)


def points_of(grid: Grid) -> list[dict[str, object]]:
    """Every combination of values; the last key runs fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def chip_keys(model: type[BaseModel] = ChipFile, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every key that a chip file may have, sections included."""
    for name, field in model.model_fields.items():
        key = path + (field.alias or name)
        yield key
        for section in _sections(field.annotation):
            yield from chip_keys(section, f"{key}.")


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]

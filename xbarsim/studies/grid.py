"""The grid of a sweep: chip keys and the values that each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

from pydantic import BaseModel

from xbarsim.chip.sections import ChipFile
from xbarsim.config.decimals import plain_number
from xbarsim.config.scalars import Doubtful, plain
from xbarsim.errors import Fault, InputError, did_you_mean

Grid = Mapping[str, Sequence[object]]
"""Values by chip key, as in ``{"crossbar.rows": [64, 72, 128]}``."""

Axes = Mapping[str, tuple[object, ...]]
"""The same, of a grid that was asked for."""

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
        elif ".." in part:
            faults.append(Fault(place, f"{part!r} is no range: write whole numbers, as in 5..9"))
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


def grid_points(grid: Grid) -> list[dict[str, object]]:
    """Every combination of a grid that has been checked."""
    check_grid(grid)
    return points_of(grid)


def check_points(points: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return the points of a list; all set the same keys.

    Raise :class:`InputError` for an empty list, a point that is there twice, and keys that no chip file has.
    """
    if not points:
        raise InputError("the list of points is empty; give at least one")
    keys = list(points[0])
    check_grid({key: [None] for key in keys})
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for number, point in enumerate(points, 1):
        if set(point) != set(keys):
            differing = ", ".join(sorted(set(point) ^ set(keys)))
            faults.append(Fault("points", f"point {number} does not set the same keys as the first: {differing}"))
        first = seen.setdefault(repr(sorted((key, shown(value)) for key, value in point.items())), number)
        if first != number:
            faults.append(Fault("points", f"point {number} is point {first} again"))
    if faults:
        raise InputError(faults)
    return [{key: point[key] for key in keys} for point in points]


def axes_of(points: Sequence[Mapping[str, object]], axes: Axes | None = None) -> dict[str, list[object]]:
    """The values that each key takes, in order of their first appearance."""
    if axes is not None:
        return {key: [shown(value) for value in values] for key, values in axes.items()}
    columns = {key: [shown(point[key]) for point in points] for key in points[0]}
    return {key: list({repr(value): value for value in values}.values()) for key, values in columns.items()}


def shown(value: object) -> object:
    """A value of a key as tables and JSON hold it: no exact number, none of NumPy's."""
    tolist = getattr(value, "tolist", None)
    return plain_number(value if tolist is None else tolist())


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

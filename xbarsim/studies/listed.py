"""Points of a sweep from a file: a CSV table with chip keys above its columns, or a YAML list.

CSV: a header line such as ``crossbar.rows,adc.bits`` and one line per point. YAML:
``points: [{crossbar.rows: 64, adc.bits: 7}, …]``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from xbarsim.config.parse import parse_file
from xbarsim.config.scalars import Doubtful, plain
from xbarsim.config.tree import Listing, Place, Scalar, Table
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.studies.grid import chip_keys, shown

Points = list[dict[str, object]]


def read_points(path: str | Path) -> Points:
    """Return the points of a ``.csv`` or ``.yaml`` file, in order; raise :class:`InputError` with every fault."""
    path = Path(path)
    if not path.is_file():
        raise InputError(Fault(str(path), "no such file"))
    faults: list[Fault] = []
    read = {".csv": _read_csv, ".yaml": _read_yaml, ".yml": _read_yaml}.get(path.suffix.lower())
    if read is None:
        raise InputError(Fault(str(path), "a list of points is a .csv or a .yaml file"))
    points = read(path, faults)
    seen: dict[str, Place] = {}
    for place, point in points:
        before = seen.setdefault(repr(sorted((key, shown(value)) for key, value in point.items())), place)
        if before is not place:
            faults.append(place.fault(f"is the point of line {before.line} again"))
    if not points and not faults:
        faults.append(Fault(str(path), "holds no points"))
    if faults:
        raise InputError(faults)
    return [point for _, point in points]


def _read_csv(path: Path, faults: list[Fault]) -> list[tuple[Place, dict[str, object]]]:
    points: list[tuple[Place, dict[str, object]]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            keys = [key.strip() for key in next(reader, [])]
            _check_keys(keys, Place(str(path), 1, 1), faults)
            for cells in reader:
                place = Place(str(path), reader.line_num, 1)
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(keys):
                    faults.append(place.fault(f"has {len(cells)} values, the header has {len(keys)}"))
                    continue
                pairs = zip(keys, cells, strict=True)
                points.append((place, {key: _value(cell.strip(), key, place, faults) for key, cell in pairs}))
    except (OSError, UnicodeDecodeError, csv.Error) as reason:
        raise InputError(Fault(str(path), f"cannot be read: {reason}")) from None
    return points


def _value(text: str, key: str, place: Place, faults: list[Fault]) -> object:
    if not text:
        faults.append(place.fault("has no value", key))
        return None
    try:
        return plain(text)
    except Doubtful as reason:
        faults.append(place.fault(str(reason), key))
        return None


def _read_yaml(path: Path, faults: list[Fault]) -> list[tuple[Place, dict[str, object]]]:
    tree, found = parse_file(path)
    faults += found
    listed = tree.entries.get("points")
    faults += [
        tree.keys.get(key, node.place).fault(f"unknown key{did_you_mean(key, ['points'])}", key)
        for key, node in tree.entries.items()
        if key != "points"
    ]
    if not isinstance(listed, Listing):
        place = listed.place if listed is not None else tree.place
        faults.append(place.fault("expected a list of points", "points"))
        return []
    points: list[tuple[Place, dict[str, object]]] = []
    first: list[str] = []
    for item in listed.items:
        if not isinstance(item, Table):
            faults.append(item.place.fault(f"expected keys and values, found {item.describe()}", "points"))
            continue
        first = first or list(item.entries)
        if not points:
            _check_keys(first, item.place, faults)
        elif set(first) != set(item.entries):
            differing = ", ".join(sorted(set(first) ^ set(item.entries)))
            faults.append(item.place.fault(f"does not set the same keys as the first point: {differing}"))
        point = {key: node.value if isinstance(node, Scalar) else None for key, node in item.entries.items()}
        faults += [
            node.place.fault("expected a single value", key)
            for key, node in item.entries.items()
            if not isinstance(node, Scalar)
        ]
        points.append((item.place, point))
    return points


def _check_keys(keys: list[str], place: Place, faults: list[Fault]) -> None:
    """Refuse keys that no chip file has, and those that are there twice."""
    known = list(chip_keys())
    if not keys:
        faults.append(place.fault("names no keys"))
    for at, key in enumerate(keys):
        if key not in known:
            faults.append(place.fault(f"no such key in a chip file{did_you_mean(key, known)}", key))
        elif key in keys[:at]:
            faults.append(place.fault("is there twice", key))

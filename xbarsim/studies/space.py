"""A space of chips: for each key a list of values or a range. Sampled here, searched in ``search``.

As a file::

    space:
      crossbar.rows: [64, 72, 128]
      adc.bits: {from: 5, to: 9}
      crossbar.cycle_ns: {from: 50, to: 200, step: 12.5}
      device.g_max_us: {from: 10, to: 100, log: true}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any

from xbarsim.config.decimals import decimal, exact, plain_number
from xbarsim.config.parse import parse_file
from xbarsim.config.tree import Listing, Node, Scalar, Table
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.studies.grid import Grid, check_grid, chip_keys, shown

DIGITS = 6
"""Significant digits of a value drawn from a continuous range."""
MOST_STEPS = 10**6
MOST_SAMPLES = 10**6

_WORDS = ("from", "to", "step", "log")


@dataclass(frozen=True)
class Choices:
    """One of a few values."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """The value at a share of the list, from 0 to below 1."""
        return self.values[int(share * len(self.values))]

    def described(self) -> object:
        """The axis as a file says it."""
        return [shown(value) for value in self.values]


@dataclass(frozen=True)
class Steps:
    """Numbers a step apart: ``first + k * step`` for k from 0 to ``count - 1``, as exact decimals."""

    first: Any
    step: Any
    count: int

    def value(self, index: int) -> Any:
        """The number after so many steps."""
        return plain_number(exact(self.first) + index * exact(self.step))

    def at(self, share: float) -> Any:
        """The number at a share of the range, from 0 to below 1."""
        return self.value(int(share * self.count))

    def described(self) -> object:
        """The axis as a file says it."""
        return {"from": self.value(0), "to": self.value(self.count - 1), "step": self.step}


@dataclass(frozen=True)
class Range:
    """Every number between two, evenly or by their logarithm; or every whole number."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> float:
        """The number at a share of the range, from 0 to below 1."""
        if self.log:
            return self.rounded(exp(log(self.low) + share * (log(self.high) - log(self.low))))
        return self.rounded(self.low + share * (self.high - self.low))

    def rounded(self, value: float) -> float:
        """The number as it is used: whole or with few digits, and inside the range."""
        if self.whole:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def described(self) -> object:
        """The axis as a file says it."""
        return {"from": self.rounded(self.low), "to": self.rounded(self.high), **({"log": True} if self.log else {})}


Axis = Choices | Steps | Range
Space = Mapping[str, Axis]
"""What each chip key may be."""


def of_grid(grid: Grid) -> dict[str, Axis]:
    """The values of a grid as a space."""
    check_grid(grid)
    return {key: Choices(tuple(values)) for key, values in grid.items()}


def sample(space: Space, count: int, seed: int = 0) -> list[dict[str, object]]:
    """A Latin-hypercube sample: ``count`` points, every axis cut into ``count`` equal parts and each part met once.

    Points that come out equal, as they do where axes have few values, are there once; so there may be fewer.
    """
    if not 1 <= count <= MOST_SAMPLES:
        raise InputError(f"a sample of {count} points: take 1 to {MOST_SAMPLES}")
    from scipy.stats import qmc

    shares = qmc.LatinHypercube(len(space), rng=seed).random(count)
    points = [{key: axis.at(share) for (key, axis), share in zip(space.items(), row, strict=True)} for row in shares]
    return list({repr(point): point for point in points}.values())


def read_space(path: str | Path, extra: tuple[str, ...] = ()) -> dict[str, Axis]:
    """Read a space file; raise :class:`InputError` with every fault.

    ``extra``: keys that are allowed beside those of a chip file.
    """
    tree, found = parse_file(Path(path))
    faults = list(found)
    for key, node in tree.entries.items():
        if key != "space":
            message = f"unknown key{did_you_mean(key, ['space'])}"
            faults.append(tree.keys.get(key, node.place).fault(message, key))
    axes = tree.entries.get("space")
    if not isinstance(axes, Table):
        place = axes.place if axes is not None else tree.place
        raise InputError([*faults, place.fault("expected keys of a chip, each with its values", "space")])
    if not axes.entries:
        faults.append(axes.place.fault("is empty; name at least one key of a chip", "space"))
    known = [*chip_keys(), *extra]
    space: dict[str, Axis] = {}
    for key, node in axes.entries.items():
        if key not in known:
            message = f"no such key in a chip file{did_you_mean(key, known)}"
            faults.append(axes.keys.get(key, node.place).fault(message, key))
            continue
        axis = _axis(key, node, faults)
        if axis is not None:
            space[key] = axis
    if faults:
        raise InputError(faults)
    return space


def _axis(key: str, node: Node, faults: list[Fault]) -> Axis | None:
    if isinstance(node, Listing):
        return _choices(key, node, faults)
    if isinstance(node, Table):
        return _range(key, node, faults)
    message = f"expected a list of values, or {{from: …, to: …}}; found {node.describe()}"
    faults.append(node.place.fault(message, key))
    return None


def _choices(key: str, node: Listing, faults: list[Fault]) -> Choices | None:
    before = len(faults)
    values = []
    for item in node.items:
        if not isinstance(item, Scalar):
            faults.append(item.place.fault("expected a single value", key))
        elif plain_number(item.value) in values:
            faults.append(item.place.fault(f"{item.describe()} is there twice", key))
        else:
            values.append(plain_number(item.value))
    if not node.items:
        faults.append(node.place.fault("has no values", key))
    return Choices(tuple(values)) if len(faults) == before else None


def _range(key: str, node: Table, faults: list[Fault]) -> Axis | None:
    before = len(faults)
    for word, value in node.entries.items():
        if word not in _WORDS:
            message = f"unknown key; known: {', '.join(_WORDS)}{did_you_mean(word, _WORDS)}"
            faults.append(node.keys.get(word, value.place).fault(message, f"{key}.{word}"))
    low, high, step = (_number(key, word, node, faults) for word in ("from", "to", "step"))
    logarithmic = node.entries.get("log")
    by_log = getattr(logarithmic, "value", False)
    if logarithmic is not None and not isinstance(by_log, bool):
        faults.append(logarithmic.place.fault("expected true or false", f"{key}.log"))
    if len(faults) > before or low is None or high is None:
        return None
    wrong = _wrong(low, high, step, bool(by_log))
    if wrong:
        faults.append(node.place.fault(wrong, key))
        return None
    whole = isinstance(low, int) and isinstance(high, int)
    if step is None and (by_log or not whole):
        return Range(float(low), float(high), bool(by_log), whole)
    distance = exact(step if step is not None else 1)
    count = int((exact(high) - exact(low)) / distance) + 1
    if count > MOST_STEPS:
        faults.append(node.place.fault(f"has more than {MOST_STEPS} steps", key))
        return None
    return Steps(plain_number(low), decimal(distance), count)


def _number(key: str, word: str, node: Table, faults: list[Fault]) -> Any:
    """A number as it was written; nothing where there is none."""
    value = node.entries.get(word)
    if value is None:
        if word != "step":
            faults.append(node.place.fault(f"needs {word!r}", key))
        return None
    number = getattr(value, "value", None)
    if isinstance(number, bool) or not isinstance(number, int | float):
        faults.append(value.place.fault(f"expected a number, found {value.describe()}", f"{key}.{word}"))
        return None
    return number


def _wrong(low: Any, high: Any, step: Any, by_log: bool) -> str:
    """What is wrong with a range, in words."""
    if low >= high:
        return f"from {low} to {high} is empty: from must be below to"
    if step is not None and step <= 0:
        return f"step {step} must be above 0"
    if by_log and step is not None:
        return "step and log exclude each other"
    if by_log and low <= 0:
        return f"log needs a range above 0, this one begins at {low}"
    return ""

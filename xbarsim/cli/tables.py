"""Tables for people: units beside the numbers, nothing cut off, nothing rounded to zero.

JSON and CSV carry the exact values under keys that end in their unit (``latency_ns``); here such a key becomes
a heading (``latency``) and its value four digits with the prefix that fits (``15.78 us``).
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

UNITS = {"ps": ("s", -12), "ns": ("s", -9), "pj": ("J", -12), "mw": ("W", -3), "w": ("W", 0)}
"""Last word of a key -> unit and power of ten of its values."""

AREAS = {"um2": 1.0, "mm2": 1e6}
"""Last word of a key -> um2 of its values."""

SHARES = ("utilisation", "difference", "tolerance", "share")
"""Last words of keys of shares of one, shown in per cent."""

PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: ""}
NARROWEST = 28
"""Columns of text are folded at words to this many characters before the table is continued below."""

NUMBER = re.compile(r"-$|[-+]?[0-9.,]+(e[-+][0-9]+)?( \S+)?$")
"""A cell that stands on the right: a number with its unit, or nothing."""

LONGEST_HEADING = 9
"""Headings longer than this stand on two lines."""


def label(key: str) -> str:
    """A key as a heading: its unit left out, it stands beside the numbers."""
    words = key.split("_")
    measured = len(words) > 1 and words[-1] in {*UNITS, *AREAS} and words[-2] != "per"
    return " ".join(words[:-1] if measured else words)


def text(value: object, key: str = "") -> str:
    """A value for people: a dash for nothing, yes and no, thousands apart, four digits and a unit."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    before, _, last = key.rpartition("_")
    if last in SHARES:
        return f"{number(100 * value)} %"
    if before.endswith("_per"):
        return number(value)
    if last in UNITS:
        return engineering(value, *UNITS[last])
    return area(value * AREAS[last]) if last in AREAS else number(value)


def number(value: float) -> str:
    """A plain number: whole ones in full with thousands apart, others to four digits."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def engineering(value: float, unit: str, power: int = 0) -> str:
    """``value`` times ten to ``power`` as four digits with a unit prefix: ``226.4 ns``; zero is plain ``0``."""
    if not value:
        return "0"
    digits, exponent = f"{value:.3e}".split("e")
    scale = min(max((int(exponent) + power) // 3 * 3, min(PREFIXES)), 0)
    shift = int(exponent) + power - scale
    return f"{float(digits) * 10.0**shift:,.{max(0, 3 - shift)}f} {PREFIXES[scale]}{unit}"


def area(value_um2: float) -> str:
    """An area in um2, a large one in mm2."""
    if value_um2 >= 1e5:
        return f"{number(value_um2 / 1e6)} mm2"
    return f"{number(value_um2)} um2" if value_um2 else "0"


@dataclass(frozen=True)
class Column:
    """One column of a table, its cells already text."""

    heading: str
    cells: Sequence[str]
    right: bool

    @property
    def least(self) -> int:
        """Width below which something would be cut off."""
        natural = widest([*self.heading.split("\n"), *self.cells])
        return natural if self.right else min(natural, max(NARROWEST, widest(self.heading.split("\n"))))


def show(rows: Sequence[Mapping[str, Any]], title: str = "", keys: int = 1) -> None:
    """Print rows as a table; columns for which there is no room follow below, behind the first ``keys`` ones."""
    if not rows:
        return
    keys_of_all = dict.fromkeys(key for row in rows for key in row)
    columns = [_column(key, [row.get(key) for row in rows]) for key in keys_of_all]
    _print(columns, title, keys)


def show_turned(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows as columns, one line per key: for few things with many properties. The first key is the head."""
    if not rows:
        return
    first, *others = rows[0]
    columns = [Column(label(first), [label(key) for key in others], False)]
    columns += [Column(str(row[first]), [text(row[key], key) for key in others], True) for row in rows]
    _print(columns, title, 1)


def show_facts(facts: Mapping[str, str], title: str = "") -> None:
    """Print labels and values, one per line."""
    width = widest(facts)
    lines = [f"{name:<{width}}  {value}" for name, value in facts.items()]
    click.echo("\n".join([*([title] if title else []), *lines, ""]))


def numbered(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows with numbers such as ``[1]`` in place of long texts under ``key``, and the texts by number."""
    cited = dict.fromkeys(row[key] for row in rows if row[key])
    marks = {text: f"[{number}]" for number, text in enumerate(cited, start=1)}
    return [{**row, key: marks.get(row[key], "")} for row in rows], {mark: text for text, mark in marks.items()}


def _column(key: str, values: Sequence[Any]) -> Column:
    cells = [text(value, key) for value in values]
    numeric = all(isinstance(value, bool) or NUMBER.match(cell) for value, cell in zip(values, cells, strict=True))
    return Column(two_lines(label(key)), cells, numeric)


def _print(columns: Sequence[Column], title: str, keys: int) -> None:
    console = _console()
    if title:
        click.echo(title)
    for block in _blocks(columns, console.width, keys):
        with console.capture() as drawn:
            console.print(_drawn(block))
        click.echo("\n".join(line.rstrip() for line in drawn.get().split("\n")))


def _blocks(columns: Sequence[Column], width: int, keys: int) -> Iterable[Sequence[Column]]:
    """Cut the columns into groups that fit the width, each behind the first ``keys`` columns."""
    head, rest = list(columns[:keys]), list(columns[keys:])
    while True:
        block = list(head)
        while rest and (block == head or _width([*block, rest[0]]) <= width):
            block.append(rest.pop(0))
        yield block
        if not rest:
            return


def _width(columns: Sequence[Column]) -> int:
    return sum(column.least for column in columns) + 2 * (len(columns) - 1)


def _drawn(columns: Sequence[Column]) -> Any:
    """The columns as a table; one-line headings stand on the lower line of two."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    lines = max(column.heading.count("\n") for column in columns)
    for column in columns:
        above = "\n" * (lines - column.heading.count("\n"))
        table.add_column(
            above + column.heading,
            justify="right" if column.right else "left",
            no_wrap=column.right,
            min_width=column.least,
            overflow="fold",
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _console() -> Any:
    """A console on standard output: a terminal's width, or ``COLUMNS``, or as wide as it must be in a file."""
    from rich.console import Console

    bounded = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if bounded else 10_000, highlight=False, markup=False, emoji=False)


def two_lines(heading: str) -> str:
    """Break a long heading at the space that leaves the shorter lines."""
    words = heading.split(" ")
    if len(heading) <= LONGEST_HEADING or len(words) == 1:
        return heading
    splits = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return "\n".join(min(splits, key=widest))


def widest(texts: Iterable[str]) -> int:
    """Number of characters of the longest text, 0 for none."""
    return max((len(text) for text in texts), default=0)

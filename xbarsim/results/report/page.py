"""What a page is made of: sections of figures, tables and lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from xbarsim.results.figures.style import scaled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 200
"""Rows of a table on a page; the rest stands in the folder."""

UNITS = ("pj", "ns", "ps", "um2", "mm2", "bits")
"""Last words of keys that are units."""


@dataclass(frozen=True, eq=False)
class Plate:
    """A figure with its caption."""

    name: str
    """File name without its suffix, and id on the page."""
    caption: str
    alt: str
    """What the figure shows, for people who cannot see it."""
    figure: Figure


@dataclass(frozen=True)
class Column:
    """A column of a table, its cells already text."""

    heading: str
    unit: str
    cells: tuple[str, ...]
    number: bool

    @property
    def title(self) -> str:
        """Heading with its unit."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


@dataclass(frozen=True)
class Table:
    """A table with its caption; units stand in the headings."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    left_out: int = 0
    """Rows that have no room here."""
    main: bool = True
    """Whether it is one that papers print."""

    @property
    def rows(self) -> list[tuple[tuple[str, bool], ...]]:
        """(text, whether it is a number) of every cell, line by line."""
        kinds = [column.number for column in self.columns]
        cells = zip(*(column.cells for column in self.columns), strict=True)
        return [tuple(zip(line, kinds, strict=True)) for line in cells]


@dataclass(frozen=True)
class Lines:
    """A list of sentences."""

    lines: tuple[str, ...]
    intro: str = ""


@dataclass(frozen=True)
class Text:
    """A file, as it is, folded away."""

    title: str
    text: str


Item = Plate | Table | Lines | Text


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it."""

    name: str
    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    about: str
    """One line under the title."""
    headline: tuple[tuple[str, str], ...]
    """(label, value) of the figures that matter most."""
    warnings: tuple[str, ...]
    """What must be known before any figure is read: synthetic or resampled masks, failed points."""
    sections: tuple[Section, ...]

    def plates(self) -> Iterator[Plate]:
        """All figures."""
        return (item for section in self.sections for item in section.items if isinstance(item, Plate))

    def tables(self) -> Iterator[Table]:
        """All tables."""
        return (item for section in self.sections for item in section.items if isinstance(item, Table))


def table(
    name: str, caption: str, rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    columns: Mapping[str, str] | None = None, *, main: bool = True,
) -> Table | None:  # fmt: skip
    """Make a table of rows; ``columns``: heading by key, in order. Nothing where there are no rows.

    Values whose key ends in a unit (``energy_pj``) are brought to a readable one; columns without values are
    left out.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if frame.empty:
        return None
    shown = {key: title for key, title in (columns or {key: words(str(key)) for key in frame}).items() if key in frame}
    kept = frame.head(MOST_ROWS)
    made = [_column(str(key), title, kept[key]) for key, title in shown.items() if frame[key].notna().any()]
    return Table(name, caption, tuple(made), len(frame) - len(kept), main)


def words(key: str) -> str:
    """A key as a heading, without its unit."""
    before, _, last = key.rpartition("_")
    return (before if before and last in UNITS else key).replace("_", " ")


def _column(key: str, heading: str, values: pd.Series) -> Column:
    entries = [None if _missing(value) else value for value in values.tolist()]
    numeric = all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in entries
    )
    if not numeric:
        return Column(heading, "", tuple(_word(value) for value in entries), False)
    factor, unit = 100.0 if key.endswith("share") else 1.0, "%" if key.endswith("share") else ""
    sizes = [abs(value) for value in entries if value]
    if key.rpartition("_")[2] in UNITS and sizes:
        factor, unit = scaled(_readable(sizes), key)
    cells = tuple("–" if value is None else number(value * factor if factor != 1 else value) for value in entries)
    return Column(heading, unit, cells, True)


def _readable(sizes: Sequence[float]) -> float:
    """The value that the unit of a column is chosen for: small ones must not vanish beside large ones."""
    small, large = min(sizes), max(sizes)
    return large if large / small < 1e3 else max(small, large / 1e8)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _word(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else str(value)


def number(value: float) -> str:
    """A number in a table: whole ones in full with thousands apart, others to four digits."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e3:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.3e}"
    return f"{value:.4g}"


def items(*found: Item | None) -> tuple[Item, ...]:
    """What there is of a section."""
    return tuple(item for item in found if item is not None)


def plate(name: str, figure: Figure | None, caption: str, alt: str) -> Plate | None:
    """A figure with its texts, if there is one."""
    return None if figure is None else Plate(name, caption, alt, figure)

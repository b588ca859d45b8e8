"""A YAML file as a tree of values that know their place: file, line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xbarsim.config.decimals import plain_number
from xbarsim.config.scalars import describe
from xbarsim.errors import Fault


@dataclass(frozen=True)
class Place:
    """Where a value was written; ``line`` is 0 where there are no lines, as in an override ``--set …``."""

    file: str
    line: int = 0
    column: int = 0

    @property
    def overridden(self) -> bool:
        """Whether the value came with the call instead of from a file."""
        return self.file.startswith("--set ")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def fault(self, message: str, path: str = "") -> Fault:
        """Return a fault that points here."""
        return Fault(self.file, message, path, self.line, self.column)


@dataclass(frozen=True)
class Scalar:
    """A single value and how it was written."""

    place: Place
    value: object
    text: str = ""

    def describe(self) -> str:
        """Return the value as a message calls it."""
        return describe(self.value, self.text)


@dataclass(frozen=True)
class Listing:
    """A list of values."""

    place: Place
    items: tuple[Node, ...]

    def describe(self) -> str:
        """Return the value as a message calls it."""
        return "a list"


@dataclass(frozen=True)
class Table:
    """Keys and values. ``named`` is the name it was written as, where a name stood for a whole file."""

    place: Place
    entries: Mapping[str, Node]
    keys: Mapping[str, Place] = field(default_factory=dict)
    named: str = ""

    def describe(self) -> str:
        """Return the value as a message calls it."""
        return "a mapping of keys and values"

    def with_entry(self, key: str, value: Node) -> Table:
        """Return a copy in which ``key`` has ``value``."""
        place = self.keys.get(key, value.place)
        return Table(self.place, {**self.entries, key: value}, {**self.keys, key: place}, self.named)

    def without(self, key: str) -> Table:
        """Return a copy that has no ``key``."""
        entries = {name: node for name, node in self.entries.items() if name != key}
        return Table(self.place, entries, self.keys, self.named)


Node = Scalar | Listing | Table


def merge(parent: Table, child: Table) -> Table:
    """Return the child laid over the parent: mappings merge, every other value replaces.

    A mapping that the child wrote as a name replaces too: another device is not a mixture of two.
    """
    merged = dict(parent.entries)
    for key, value in child.entries.items():
        below = merged.get(key)
        mixes = isinstance(below, Table) and isinstance(value, Table) and not value.named
        merged[key] = merge(below, value) if mixes else value  # type: ignore[arg-type]
    return Table(child.place, merged, {**parent.keys, **child.keys}, parent.named)


def to_python(node: Node, exact: bool = False) -> Any:
    """Return dicts, lists and scalars; ``exact`` keeps numbers as written, else they are made plain."""
    if isinstance(node, Table):
        return {key: to_python(value, exact) for key, value in node.entries.items()}
    if isinstance(node, Listing):
        return [to_python(item, exact) for item in node.items]
    return node.value if exact else plain_number(node.value)


def from_python(value: object, place: Place) -> Node:
    """Return the tree of a Python value, every part of it at ``place``."""
    if hasattr(value, "tolist"):
        value = value.tolist()  # NumPy, as sweeps produce it
    if isinstance(value, Mapping):
        entries = {str(key): from_python(item, place) for key, item in value.items()}
        return Table(place, entries, dict.fromkeys(entries, place))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Listing(place, tuple(from_python(item, place) for item in value))
    return Scalar(place, value, "" if isinstance(value, str) else str(value))


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every dotted path below ``node`` with its value, sections before what they hold."""
    if path:
        yield path, node
    inner: Iterator[tuple[str, Node]] = iter(())
    if isinstance(node, Table):
        inner = iter(node.entries.items())
    elif isinstance(node, Listing):
        inner = ((str(index), item) for index, item in enumerate(node.items))
    for key, value in inner:
        yield from walk(value, f"{path}.{key}" if path else key)

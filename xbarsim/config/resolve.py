"""One tree out of several sources: parents, sections given by name, overrides.

The order: a file lies over its parent (``extends``), a section given by name is replaced by the file that
the name stands for, overrides come last and in the order given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from xbarsim.config.parse import parse, parse_file
from xbarsim.config.tree import Listing, Node, Place, Scalar, Table, from_python, merge
from xbarsim.errors import Fault, InputError

Finder = Callable[[str], Path]
Overrides = Mapping[str, object] | Sequence[str]


@dataclass
class Reader:
    """Reads a file with everything it names.

    ``faults`` collects what did not stop the reading, ``lost`` the paths of sections whose names led nowhere.
    """

    parents: Finder
    expand: Mapping[str, Finder]
    faults: list[Fault] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def read(self, path: Path, overrides: Overrides = ()) -> Table:
        """Return the tree of a file with its parents, names and overrides."""
        try:
            tree = self._over_parent(self._load(path), self.parents, (path.resolve(),), self._expand_all)
        except InputError as reason:
            raise InputError([*self.faults, *reason.faults]) from None
        for key, value in self._parsed(overrides):
            tree = self._override(tree, key, value)
        return self._expand_all(tree)

    def _load(self, path: Path) -> Table:
        tree, faults = parse_file(path)
        self.faults += faults
        return tree

    def _over_parent(
        self, child: Table, finder: Finder, chain: tuple[Path, ...], prepare: Callable[[Table], Table]
    ) -> Table:
        """Return ``child`` laid over what its ``extends`` names; ``chain`` are the files on the way."""
        child = prepare(child)
        extends = child.entries.get("extends")
        if extends is None:
            return child
        path = _found(extends, finder, "extends")
        if path.resolve() in chain:
            loop = " -> ".join(step.stem for step in (*chain, path))
            raise InputError(extends.place.fault(f"parents go round in a circle: {loop}", "extends"))
        parent = self._over_parent(self._load(path), finder, (*chain, path.resolve()), prepare)
        return merge(parent, child.without("extends"))

    def _expand_all(self, tree: Table) -> Table:
        for key in self.expand:
            tree = self._expand(tree, key)
        return tree

    def _expand(self, tree: Table, key: str) -> Table:
        """Replace the name that stands at ``key``, or the one that a section there ``extends``.

        A name that leads nowhere is noted, and the section is left out of all further complaints.
        """
        node = _at(tree, key)
        if isinstance(node, Table) and "extends" in node.entries:
            section, name = node, node.entries["extends"]
        elif isinstance(node, Scalar) and isinstance(node.value, str):
            section, name = Table(node.place, {"extends": node}), node
        else:
            return tree
        try:
            whole = self._over_parent(section, self.expand[key], (), _as_it_is)
        except InputError as reason:
            self.faults += (replace(fault, path=key) if fault.path == "extends" else fault for fault in reason.faults)
            self.lost.add(key)
            whole = section.without("extends")
        label = name.value if isinstance(name, Scalar) else ""
        return _put(tree, key, Table(whole.place, whole.entries, whole.keys, named=str(label)))

    def _override(self, tree: Table, key: str, value: Node) -> Table:
        """Return the tree with ``value`` at ``key``; names above ``key`` are resolved first."""
        for section in self.expand:
            if key.startswith(f"{section}."):
                tree = self._expand(tree, section)
        try:
            return _put(tree, key, value)
        except InputError as reason:
            self.faults += reason.faults
            return tree

    def _parsed(self, overrides: Overrides) -> Iterator[tuple[str, Node]]:
        if isinstance(overrides, Mapping):
            for key, value in overrides.items():
                yield key, from_python(value, Place(f"--set {key}={value}"))
            return
        for text in [overrides] if isinstance(overrides, str) else overrides:
            try:
                yield self._setting(text)
            except InputError as reason:
                self.faults += reason.faults

    def _setting(self, text: str) -> tuple[str, Node]:
        """Return the key and the value of a ``KEY=VALUE``."""
        place = Place(f"--set {text}")
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise InputError(place.fault("write KEY=VALUE, as in adc.bits=6"))
        if not value:
            return key, Scalar(place, None)
        try:
            parsed = parse(value, place.file)
        except InputError as reason:
            raise InputError(_moved(reason, place, key)) from None
        self.faults += [place.fault(fault.message, key) for fault in parsed.faults]
        return key, _placed(parsed.tree, place)


def _as_it_is(tree: Table) -> Table:
    return tree


def _placed(node: Node, place: Place) -> Node:
    """Return the tree with every part at ``place``, numbers keeping how they were written."""
    placed = partial(_placed, place=place)
    if isinstance(node, Table):
        entries = {key: placed(value) for key, value in node.entries.items()}
        return Table(place, entries, dict.fromkeys(entries, place))
    if isinstance(node, Listing):
        return Listing(place, tuple(placed(item) for item in node.items))
    return Scalar(place, node.value, node.text)


def _moved(reason: InputError, place: Place, path: str) -> list[Fault]:
    """Return what went wrong as faults of another place."""
    return [place.fault(fault.message if isinstance(fault, Fault) else str(fault), path) for fault in reason.faults]


def _found(name: Node, finder: Finder, path: str) -> Path:
    """Return the file that a name stands for; a fault points at the name."""
    if not isinstance(name, Scalar) or not isinstance(name.value, str):
        raise InputError(name.place.fault(f"expected a name, found {name.describe()}", path))
    try:
        found = finder(name.value)
    except InputError as reason:
        raise InputError(_moved(reason, name.place, path)) from None
    if not found.is_file():
        raise InputError(name.place.fault(f"no file {str(found)!r}", path))
    return found


def _at(tree: Node, key: str) -> Node | None:
    node: Node | None = tree
    for step in key.split("."):
        node = node.entries.get(step) if isinstance(node, Table) else None
    return node


def _put(tree: Table, key: str, value: Node) -> Table:
    """Return the tree with ``value`` at the dotted path, making the sections on the way."""
    first, _, rest = key.partition(".")
    inner = tree.entries.get(first, Table(value.place, {}))
    return tree.with_entry(first, _replaced(inner, rest.split(".") if rest else [], value, key))


def _replaced(node: Node, steps: Sequence[str], value: Node, key: str) -> Node:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(node, Listing) and step.isdigit() and int(step) < len(node.items):
        items = list(node.items)
        items[int(step)] = _replaced(items[int(step)], rest, value, key)
        return Listing(node.place, tuple(items))
    if isinstance(node, Scalar) and node.value is None:
        node = Table(value.place, {})
    if not isinstance(node, Table):
        raise InputError(value.place.fault(f"{node.describe()} has no key {step!r}", key))
    inner = node.entries.get(step, Table(value.place, {}))
    return node.with_entry(step, _replaced(inner, rest, value, key))

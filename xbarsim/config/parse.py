"""YAML text to a tree, strictly: every fault that can be seen without knowing the keys.

Refused, each with its place: keys given twice, anchors, aliases and merge keys, tags, several documents,
text that is not UTF-8, and the doubtful scalars of :mod:`xbarsim.config.scalars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from xbarsim.config.scalars import Doubtful, plain
from xbarsim.config.tree import Listing, Node, Place, Scalar, Table
from xbarsim.errors import Fault, InputError


@dataclass(frozen=True)
class Parsed:
    """A document as far as it can be read, and what is wrong with it."""

    tree: Node
    faults: tuple[Fault, ...] = ()


def parse_file(path: Path) -> tuple[Table, tuple[Fault, ...]]:
    """Return the mapping in a file and its faults; raise :class:`InputError` if there is no mapping."""
    name = _shown(path)
    parsed = parse(_text(path, name), name)
    tree = parsed.tree
    if not isinstance(tree, Table):
        fault = tree.place.fault(f"expected keys and values at the top, found {tree.describe()}")
        raise InputError([*parsed.faults, fault])
    return tree, parsed.faults


def _text(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as reason:
        raise InputError(Fault(name, f"cannot be read: {(reason.strerror or str(reason)).lower()}")) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        before = data[: reason.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise InputError(Fault(name, "the file is not UTF-8 text", "", line, column)) from None


def _shown(path: Path) -> str:
    """Return the path as messages show it: relative where the file lies below the current folder."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@lru_cache(maxsize=128)
def parse(text: str, name: str) -> Parsed:
    """Return the tree of one YAML document; ``name`` stands for the file in messages.

    What is not YAML at all raises :class:`InputError`.
    """
    faults: list[Fault] = []
    try:
        loader = _Loader(text, name, faults)
        root = loader.get_single_root()
        tree = _Builder(name, faults).node(root) if root else None
    except yaml.MarkedYAMLError as reason:
        raise InputError([*faults, _syntax_fault(name, reason)]) from None
    except yaml.reader.ReaderError as reason:
        raise InputError(_character_fault(name, text, reason)) from None
    except RecursionError:
        raise InputError(Fault(name, "nested too deeply")) from None
    if tree is None:
        raise InputError(Fault(name, "the file is empty", "", 1, 1))
    return Parsed(tree, tuple(faults))


class _Loader(yaml.SafeLoader):
    """PyYAML's composer with its own opinion switched off: no implicit types, no aliases, no tags."""

    see_event: Any = yaml.SafeLoader.peek_event
    take_event: Any = yaml.SafeLoader.get_event

    def __init__(self, text: str, name: str, faults: list[Fault]) -> None:
        super().__init__(text)
        self.file, self.faults = name, faults

    def get_single_root(self) -> Any:
        """Return the only document's root node, or None if there is none."""
        self.take_event()  # the stream starts
        if self.check_event(yaml.StreamEndEvent):
            return None
        root = self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            self._refuse(self.see_event(), "a second document starts here; one file holds one document")
        return root

    def resolve(self, kind: Any, value: Any, implicit: Any) -> None:
        """Leave the tag open: the builder decides what a scalar means."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node, noting what is not allowed here."""
        event = self.see_event()
        if self.check_event(yaml.AliasEvent):
            event = self.take_event()
            self._refuse(event, f"alias *{event.anchor}: not allowed; write the value out, or use extends")
            return yaml.ScalarNode("", "", event.start_mark, event.end_mark, style='"')
        if event.anchor is not None:
            self._refuse(event, f"anchor &{event.anchor}: not allowed; write the value out, or use extends")
            event.anchor = None
        if event.tag is not None:
            self._refuse(event, f"tag {_short(event.tag)}: not allowed; write the plain value")
            event.tag = None
        return super().compose_node(parent, index)

    def _refuse(self, event: Any, message: str) -> None:
        mark = event.start_mark
        self.faults.append(Fault(self.file, message, "", mark.line + 1, mark.column + 1))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


class _Builder:
    """Turn PyYAML's nodes into our tree, noting every fault on the way."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        self.name, self.faults = name, faults

    def node(self, node: Any, path: str = "") -> Node:
        place = self._place(node)
        if isinstance(node, yaml.MappingNode):
            return self._table(node, place, path)
        if isinstance(node, yaml.SequenceNode):
            items = (self.node(item, _join(path, str(index))) for index, item in enumerate(node.value))
            return Listing(place, tuple(items))
        return self._scalar(node, place, path)

    def _place(self, node: Any) -> Place:
        return Place(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _scalar(self, node: Any, place: Place, path: str) -> Scalar:
        if node.style is not None:
            return Scalar(place, node.value, repr(node.value))
        try:
            return Scalar(place, plain(node.value), node.value)
        except Doubtful as reason:
            self.faults.append(place.fault(str(reason), path))
            return Scalar(place, node.value, node.value)

    def _table(self, node: Any, place: Place, path: str) -> Table:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            value = self.node(value_node, _join(path, key or "?"))
            at = self._place(key_node)
            if key in keys:
                first = keys[key]
                message = f"key given twice; first at line {first.line}, column {first.column}"
                self.faults.append(at.fault(message, _join(path, key)))
            elif key is not None:
                entries[key], keys[key] = value, at
        return Table(place, entries, keys)

    def _key(self, node: Any, path: str) -> str | None:
        """Return a key's name, or None after noting why there can be no such key."""
        if not isinstance(node, yaml.ScalarNode):
            self.faults.append(self._place(node).fault("a key must be a plain word", path))
            return None
        if node.value == "<<" and node.style is None:
            message = "merge key <<: not allowed; write the keys out, or use extends"
            self.faults.append(self._place(node).fault(message, path))
            return None
        return str(node.value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _syntax_fault(name: str, reason: yaml.MarkedYAMLError) -> Fault:
    mark = reason.problem_mark or reason.context_mark
    problem = reason.problem or reason.context or "not YAML"
    if r"'\t'" in problem:
        problem = "tab character; indent with spaces"
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Fault(name, f"not valid YAML: {problem}", "", line, column)


def _character_fault(name: str, text: str, reason: yaml.reader.ReaderError) -> Fault:
    before = text[: reason.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Fault(name, f"character #x{ord(text[reason.position]):04x} is not allowed in YAML", "", line, column)

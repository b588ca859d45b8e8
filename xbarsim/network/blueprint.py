"""Networks written down step by step, and the layer tables that they become.

A :class:`Draft` collects entries, each reading the one before unless it says otherwise; a :class:`Blueprint`
is the finished network, as graph and as the text of a layer table (see :mod:`xbarsim.network.layer_table`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap

import yaml

from xbarsim.errors import Fault, InputError
from xbarsim.network.graph import Entry, Node, build_graph
from xbarsim.network.layer_table import INPUT
from xbarsim.network.ops import Shape

COMMENT_WIDTH = 110
"""Longest line of a table's comment."""


@dataclass(frozen=True)
class Blueprint:
    """A network without weights."""

    name: str
    comment: str
    """What it is and where it comes from; stands at the head of the file, a paragraph per line of it."""
    input: Shape
    """Channels, height and width."""
    entries: tuple[Entry, ...]
    """The operations behind the input, in topological order."""
    bits: Mapping[str, int] = field(default_factory=dict)
    """``weight_bits`` and ``input_bits``, where the network states them."""
    synthetic: Mapping[str, object] = field(default_factory=dict)
    """What is drawn."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The graph; raises :class:`xbarsim.network.graph.GraphError`."""
        return build_graph([Entry(INPUT, "input", (), {"shape": self.input}), *self.entries])

    def text(self) -> str:
        """Return the layer table as YAML."""
        lines = [f"# {line}" for part in self.comment.splitlines() for line in wrap(part, COMMENT_WIDTH)]
        lines += ["schema: 1", f"name: {self.name}", f"input: {_flow(list(self.input))}"]
        lines += [f"{key}: {value}" for key, value in self.bits.items()]
        lines.append("layers:")
        previous = INPUT
        for entry in self.entries:
            lines.append(f"  - {_flow(_row(entry, previous))}")
            previous = entry.name
        if self.synthetic:
            lines.append(f"synthetic: {_flow(dict(self.synthetic))}")
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Write the layer table to a new file, whole or not at all; raises :class:`InputError`."""
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            draft.write_text(self.text(), "utf-8")
            os.link(draft, path)
        except FileExistsError:
            raise InputError(Fault(str(path), "exists already; nothing was written")) from None
        except OSError as error:
            raise InputError(Fault(str(path), f"cannot be written: {(error.strerror or str(error)).lower()}")) from None
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


class Draft:
    """Entries in the making."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def last(self) -> str:
        """Name of the entry that the next one reads."""
        return self.entries[-1].name if self.entries else INPUT

    def add(self, op: str, name: str, *inputs: str, **attrs: object) -> str:
        """Append an operation and return its name; without ``inputs`` it reads the one before."""
        self.entries.append(Entry(name, op, inputs or (self.last,), attrs))
        return name


def _row(entry: Entry, previous: str) -> dict[str, object]:
    """An entry as a table writes it."""
    row: dict[str, object] = {entry.op: entry.name}
    row |= {key: list(value) if isinstance(value, tuple) else value for key, value in entry.attrs.items()}
    if entry.inputs != (previous,):
        row["inputs"] = entry.inputs[0] if len(entry.inputs) == 1 else list(entry.inputs)
    return row


def _flow(value: Mapping[str, object] | Sequence[object]) -> str:
    """Return a value in YAML's one-line style."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**20).strip()

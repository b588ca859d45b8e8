"""Reading a dataflow graph from a file or from standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xbarsim.errors import Fault, InputError

if TYPE_CHECKING:
    from xbarsim.dataflow import Graph

STANDARD_INPUT = "-"


def read_graph(name: str) -> Graph:
    """Return the graph in a file, or on standard input for ``-``; raise :class:`InputError` with every fault."""
    from xbarsim.dataflow import Graph

    return Graph.from_json(_parsed(_text(name), name), name)


def _text(name: str) -> str:
    try:
        if name == STANDARD_INPUT:
            return sys.stdin.read()
        return Path(name).read_text(encoding="utf-8")
    except OSError as reason:
        raise InputError(Fault(name, f"cannot be read: {(reason.strerror or str(reason)).lower()}")) from None
    except UnicodeDecodeError:
        raise InputError(Fault(name, "the file is not UTF-8 text")) from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as reason:
        raise InputError(Fault(name, f"not valid JSON: {reason.msg}", "", reason.lineno, reason.colno)) from None
    except ValueError as reason:
        raise InputError(Fault(name, str(reason))) from None
    except RecursionError:
        raise InputError(Fault(name, "nested too deeply")) from None
    if not isinstance(data, dict):
        raise InputError(Fault(name, "is not a JSON object with schema xbarsim.graph/1"))
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} given twice")
    return table


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not a finite number")

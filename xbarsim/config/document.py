"""Read a configuration file: resolve parents and names, lay the overrides over it, check it, type it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from xbarsim.config.resolve import Finder, Overrides, Reader
from xbarsim.config.tree import Place, Table, to_python, walk
from xbarsim.config.words import explain
from xbarsim.errors import Fault, InputError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Document(Generic[Model]):
    """A checked configuration and where each part of it came from.

    ``places`` gives the origin of every dotted path that was written (sections too), ``resolved`` the
    merged content as plain Python, ``digest`` a hash of the typed value with its defaults.
    """

    value: Model
    places: Mapping[str, Place]
    digest: str
    resolved: dict[str, Any]


def read(
    path: str | Path,
    model: type[Model],
    *,
    overrides: Overrides = (),
    parents: Finder | None = None,
    expand: Mapping[str, Finder] | None = None,
) -> Model:
    """Return the file as ``model``; see :func:`read_document`."""
    return read_document(path, model, overrides=overrides, parents=parents, expand=expand).value


def read_document(
    path: str | Path,
    model: type[Model],
    *,
    overrides: Overrides = (),
    parents: Finder | None = None,
    expand: Mapping[str, Finder] | None = None,
) -> Document[Model]:
    """Return the file as ``model``, with its places; raise :class:`InputError` with every fault.

    ``overrides`` are ``"a.b=value"`` texts, read by the rules of the file, or a mapping of dotted paths to
    Python values; the later wins. ``parents`` finds the file that ``extends: NAME`` names, by default the
    sibling ``NAME.yaml``. ``expand`` maps a dotted path to the finder of the files that a text there names.
    """
    path = Path(path)
    reader = Reader(parents or (lambda name: path.parent / f"{name}.yaml"), expand or {})
    tree = reader.read(path, overrides)
    return check(tree, model, reader.faults, reader.lost)


def check(tree: Table, model: type[Model], faults: Iterable[Fault] = (), lost: Iterable[str] = ()) -> Document[Model]:
    """Return the typed value of a tree, or raise :class:`InputError` with every fault in it.

    ``faults`` were found before; no complaint about the sections ``lost`` is added to them.
    """
    known = list(faults)
    try:
        value = model.model_validate(to_python(tree, exact=True))
    except ValidationError as problem:
        raise InputError(_in_order(known + _news(explain(problem, tree, model), known, lost))) from None
    if known:
        raise InputError(_in_order(known))
    places = {path: node.place for path, node in walk(tree)}
    return Document(value, places, digest(value), to_python(tree))


def _news(complaints: Iterable[Fault], known: Iterable[Fault], lost: Iterable[str]) -> list[Fault]:
    """Return the complaints that no known fault explains."""
    noted = {(fault.file, fault.line, fault.column): fault.path for fault in known}
    sections = tuple(f"{section}." for section in lost)

    def new(fault: Fault) -> bool:
        path = noted.get((fault.file, fault.line, fault.column))
        return not f"{fault.path}.".startswith(sections) and (path is None or path not in ("", fault.path))

    return list(filter(new, complaints))


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults as a reader meets them: file by file from the top, overrides last."""
    return sorted(
        faults, key=lambda fault: (not fault.line, fault.file if fault.line else "", fault.line, fault.column)
    )


def digest(value: BaseModel) -> str:
    """Return the SHA-256 of a typed value's canonical JSON, defaults included."""
    content = value.model_dump(mode="json", by_alias=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

"""The tables of keys in docs/formats.md, made from the classes that read the files.

``python docs/keys.py`` writes them anew; a test says when that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from xbarsim.chip import Device
from xbarsim.chip.sections import ChipFile, Part
from xbarsim.learning.spec import LearnSpec
from xbarsim.network.layer_table import LayerTable
from xbarsim.network.manifest import GraphFile, Manifest, MaskInfo, Quantisation
from xbarsim.network.masks import KINDS
from xbarsim.network.ops import OPS, Attr

PAGE = Path(__file__).with_name("formats.md")
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
PLAIN = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    Fraction: "number",
    str: "text",
    NoneType: "null",
}
ELSEWHERE: dict[type[BaseModel], str] = {
    Device: "name of a device, or its file's keys",
    MaskInfo: "mask",
    Quantisation: "quantiser",
}
"""Sections that have a table of their own, and what they are called elsewhere."""


def page(text: str) -> str:
    """Return the page with every table between its marks made anew."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        table = "\n".join(make())
        text = re.sub(f"{begin}.*?{end}", lambda found, new=f"{begin}\n{table}\n{end}": new, text, flags=re.DOTALL)
    return text


def table(model: type[BaseModel]) -> list[str]:
    """Return a table of every key of a file, the sections inside it included."""
    rows = [f"| `{path}` | {value} | {absent} | {meaning} |" for path, value, absent, meaning in keys(model, "")]
    return ["| key | value | left out | meaning |", "|---|---|---|---|", *rows]


def keys(model: type[BaseModel], head: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield path, value, default and meaning of every key."""
    for name, field in model.model_fields.items():
        if name in Part.model_fields and issubclass(model, Part) and model is not Part:
            continue
        path = f"{head}{field.alias or name}"
        inner = list(sections(field.annotation))
        meaning = field.description or (inner[0].__doc__ or "" if inner else "")
        value = words(field.annotation, field.metadata)
        yield path, value if field.default is not None else without_null(value), default(field), one_line(meaning)
        step = {"dict": ".*.", "list": ".N."}.get(getattr(get_origin(field.annotation), "__name__", ""), ".")
        for section in inner:
            if section not in ELSEWHERE:
                yield from labelled(section, path + step, of_several=len(inner) > 1)


def without_null(value: str) -> str:
    """Leave out what the next column says."""
    return value.removesuffix(" or null")


def labelled(section: type[BaseModel], head: str, of_several: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield the keys of a section; of one among several, each says to which ``kind`` it belongs."""
    kind = section.model_fields.get("kind")
    label = f"{words(kind.annotation)}: " if of_several and kind else ""
    for path, value, absent, meaning in keys(section, head):
        yield path, value, absent, label + meaning


def one_line(text: str) -> str:
    """Return the first paragraph of a text as Markdown in a table."""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`").replace("|", "/")


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a value may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from sections(part)


def words(annotation: Any, bounds: Any = ()) -> str:
    """Return what a value may be, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(parts[0], [*bounds, *parts[1:]])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(words(part, bounds) for part in parts))
    if origin is Literal:
        return ", ".join(f"`{str(word).lower() if isinstance(word, bool) else word}`" for word in parts)
    if origin in (list, tuple):
        size = f"list of {len(parts)} " if origin is tuple and Ellipsis not in parts else "list of "
        return size + many(words(parts[0]))
    if origin is dict:
        return "table of " + many(words(parts[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ELSEWHERE.get(annotation, "section")
    return PLAIN.get(annotation, "anything") + limits(bounds)


def many(word: str) -> str:
    """Return the plural of what :func:`words` gives."""
    first, _, rest = word.partition(" ")
    if first == "whole":
        return word.replace("number", "numbers", 1)
    return f"{first}s {rest}".strip() if first in ("number", "section") else word


def limits(bounds: Any) -> str:
    """Return the bounds of a number, such as `` from 1 to 16``."""
    flat = [one for bound in bounds for one in (bound.metadata if isinstance(bound, FieldInfo) else [bound])]
    found = {name: getattr(one, name) for one in flat for name in BOUNDS if getattr(one, name, None) is not None}
    if "ge" in found and "le" in found:
        return f" from {found['ge']} to {found['le']}"
    return "".join(f" {BOUNDS[name]} {value}" for name, value in found.items())


def default(field: FieldInfo) -> str:
    """Return what stands for a key that is left out."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "defaults"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, tuple | list | dict):
        return f"`[{', '.join(map(repr, value))}]`" if value else "empty"
    return f"`{value}`"


def operations() -> list[str]:
    """Return a table of the operations of networks."""
    rows = []
    for name, op in OPS.items():
        attrs = ", ".join(attribute(key, attr) for key, attr in op.attrs.items()) or "-"
        least, most = op.inputs
        inputs = str(least) if least == most else f"{least} to {most}"
        rows.append(f"| `{name}` | {inputs} | {attrs} | {', '.join(f'`{role}`' for role in op.parameters) or '-'} |")
    return ["| operation | inputs | attributes | parameters |", "|---|---|---|---|", *rows]


def attribute(key: str, attr: Attr) -> str:
    """Return one attribute with its default."""
    if attr.default is None:
        return f"`{key}`" + (" (optional)" if attr.optional else "")
    value = attr.default
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    return f"`{key}` = {str(value).lower()}"


def masks() -> list[str]:
    """Return a table of the kinds of masks."""
    rows = [
        f"| `{name}` | {', '.join(kind.granularities)} | {', '.join(kind.types)} | "
        f"{', '.join(map(str, kind.values)) or 'as the coding says'} |"
        for name, kind in KINDS.items()
    ]
    return ["| kind | granularity | type | values |", "|---|---|---|---|", *rows]


TABLES: dict[str, Callable[[], list[str]]] = {
    "keys of a chip file": lambda: table(ChipFile),
    "keys of every part": lambda: table(Part),
    "keys of a device file": lambda: table(Device),
    "keys of a layer table": lambda: table(LayerTable),
    "keys of manifest.json": lambda: table(Manifest),
    "keys of a mask": lambda: table(MaskInfo),
    "keys of a quantiser": lambda: table(Quantisation),
    "keys of graph.json": lambda: table(GraphFile),
    "operations": operations,
    "kinds of masks": masks,
    "keys of a learning spec": lambda: table(LearnSpec),
}
"""Every generated part of the page."""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")

"""Sourced constants: where every number of a configuration comes from.

One publication is one file in ``xbarsim/data/facts``; the file's name is the publication's key:

    publication: "A. Shafiee et al., ISAAC, ISCA 2016"
    doi: 10.1109/ISCA.2016.12
    facts:
      adc_energy: {value: 1.5625, unit: pJ, place: Table I, how: derived, note: 2 mW / 1.28 GS/s}

A configuration says under ``sources`` which fact is behind which number, as in
``adc.energy_pj: isaac_isca16.adc_energy``, or that it is an assumption, as in
``adc: {assumed: one reason for every number of the section}``. A section that was given by name brings its
own ``sources``, with paths relative to the section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, model_validator

from xbarsim.config import Document, Exact, Place, Section, decimal, exact, read
from xbarsim.errors import Fault, InputError, did_you_mean

How = Literal["measured", "published", "simulated", "derived", "assumed"]
FOLDER = Path(__file__).parent / "data" / "facts"
_NOT_QUANTITIES = {"schema"}


class _Entry(Section):
    """One fact as its file states it."""

    value: Exact | tuple[Exact, ...]
    """The number, or the numbers of a table."""
    unit: str
    """The unit, as in the publication; ``1`` for a pure number."""
    place: str
    """Where the publication says so: table, figure, section."""
    how: How
    """How the number is known."""
    note: str = ""
    """The arithmetic of a derived number, or what it includes."""


class _Publication(Section):
    """One publication and the facts taken from it."""

    publication: str
    """Authors, title, venue, year."""
    doi: str = ""
    """Digital object identifier."""
    url: str = ""
    """Address, where there is no identifier."""
    note: str = ""
    """What to know about the publication as a source."""
    facts: dict[str, _Entry]
    """The facts by name."""


class Assumption(Section):
    """The source of numbers that no publication states, as a configuration's ``sources`` gives it."""

    assumed: str = ""
    """Why the number is what it is."""
    source: str = ""
    """Where the number comes from, in words, when no facts file holds it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Assumption:
        if bool(self.assumed) == bool(self.source):
            raise ValueError("say either assumed or source")
        return self


Sources = dict[str, str | Assumption]
"""Type of the ``sources`` field of a configuration: dotted path -> ``publication.fact`` or assumption."""


@dataclass(frozen=True)
class Fact:
    """A sourced constant."""

    key: str
    value: Fraction | tuple[Fraction, ...]
    unit: str
    publication: str
    place: str
    how: str
    note: str = ""


@dataclass(frozen=True)
class Traced:
    """A number of a configuration and what is behind it."""

    path: str
    value: Fraction
    unit: str
    publication: str
    place: str
    how: str
    note: str


@lru_cache(maxsize=8)
def load_facts(folder: Path = FOLDER) -> Mapping[str, Fact]:
    """Return every fact by its ``publication.fact`` key; raise :class:`InputError` with all faults."""
    found: dict[str, Fact] = {}
    faults: list[Fault] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found |= _facts(path.stem, read(path, _Publication))
        except InputError as reason:
            faults += reason.faults
    if faults:
        raise InputError(faults)
    return found


def _facts(stem: str, source: _Publication) -> dict[str, Fact]:
    cited = source.publication + (f", doi {source.doi}" if source.doi else "")
    return {
        f"{stem}.{name}": Fact(f"{stem}.{name}", fact.value, fact.unit, cited, fact.place, fact.how, fact.note)
        for name, fact in source.facts.items()
    }


def trace(document: Document[Any], facts: Mapping[str, Fact] | None = None) -> list[Traced]:
    """Return what is behind every number of a configuration, defaults included.

    Raises :class:`InputError` with every source that names no key or no fact, and every number that is not
    what its fact says.
    """
    tracer = _Tracer(document, load_facts() if facts is None else facts)
    traced = [tracer.number(path, value) for path, value in tracer.numbers.items()]
    if tracer.faults:
        ordered: list[Fault] = sorted(tracer.faults, key=lambda fault: (fault.file, fault.line, fault.column))
        raise InputError(ordered)
    return traced


class _Tracer:
    """The sources of one document, checked, and the answer for each of its numbers."""

    def __init__(self, document: Document[Any], facts: Mapping[str, Fact]) -> None:
        self.places, self.facts = document.places, facts
        self.faults: list[Fault] = []
        self.numbers = dict(_numbers(document.value))
        self.paths = set(_paths(document.value))
        absent = set(_absent(document.value))
        self.sources = {
            path: self._checked(path, origin, at)
            for path, origin, at in _sources(document.value)
            if not absent.intersection(_upwards(path))  # a number of the parent file that this one leaves out
        }

    def number(self, path: str, value: Fraction) -> Traced:
        """Return what is behind one number; notes a fault where its fact has another value."""
        place = self.places.get(path)
        if place is None:
            return _assumed(path, value, "the default of the model")
        if place.overridden:
            return _assumed(path, value, "set by the user")
        above = next((step for step in _upwards(path) if step in self.sources), None)
        origin = self.sources[above] if above is not None else None
        if isinstance(origin, Fact):
            self._compare(path, value, origin, place, path.removeprefix(f"{above}."))
            return Traced(path, value, origin.unit, origin.publication, origin.place, origin.how, origin.note)
        if origin is None:
            return _assumed(path, value, "no source stated")
        if origin.source:
            return Traced(path, value, "", origin.source, "", "published", "")
        return _assumed(path, value, origin.assumed)

    def _compare(self, path: str, value: Fraction, fact: Fact, place: Place, rest: str) -> None:
        stated = _part(fact.value, rest)
        if stated != value:
            said = "no such number" if stated is None else f"{decimal(stated)} {fact.unit}"
            message = f"{decimal(value)} is not what {fact.key} says: {said} ({fact.publication}, {fact.place})"
            self.faults.append(place.fault(message, path))
        elif not _same_unit(path, fact.unit):
            self.faults.append(place.fault(f"the unit of {fact.key} is {fact.unit}", path))

    def _checked(self, path: str, origin: object, at: str) -> Fact | Assumption | None:
        """Return the fact or assumption that ``sources`` gives for a path, or None after noting a fault."""
        wrong = None
        source = self.facts.get(origin) if isinstance(origin, str) else _assumption(origin)
        if path not in self.paths:
            wrong = f"names no key{did_you_mean(path, self.paths)}"
        elif source is None and isinstance(origin, str):
            wrong = f"no fact {origin!r}{did_you_mean(origin, self.facts)}"
        elif source is None:
            wrong = "expected PUBLICATION.FACT, {assumed: why} or {source: where from}"
        elif isinstance(source, Fact) and not self._holds(path, source):
            wrong = "one fact is behind one number; name it, or say {assumed: …} of the section"
        if wrong:
            self.faults.append(self.places.get(at, Place("sources")).fault(wrong, at))
        return None if wrong else source

    def _holds(self, path: str, fact: Fact) -> bool:
        return path in self.numbers or (isinstance(fact.value, tuple) and f"{path}.0" in self.numbers)


def _assumption(origin: object) -> Assumption | None:
    try:
        return Assumption.model_validate(origin)
    except ValidationError:
        return None


def _assumed(path: str, value: Fraction, note: str) -> Traced:
    return Traced(path, value, "", "", "", "assumed", note)


def _part(value: Fraction | tuple[Fraction, ...], index: str) -> Fraction | None:
    """Return the number, or the one of a table that ``index`` counts; None where there is none."""
    if isinstance(value, Fraction):
        return value
    return value[int(index)] if index.isdigit() and int(index) < len(value) else None


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Yield the keys or indices of a section or a list with their values, ``sources`` left out."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        value = {field.alias or name: getattr(value, name) for name, field in fields.items()}
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items() if key != "sources")
    elif isinstance(value, list | tuple):
        yield from ((str(index), item) for index, item in enumerate(value))


def _paths(value: object, path: str = "") -> Iterator[str]:
    for key, item in _items(value):
        yield path + key
        yield from _paths(item, f"{path}{key}.")


def _absent(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every key that holds nothing."""
    for key, item in _items(value):
        if item is None:
            yield path + key
        yield from _absent(item, f"{path}{key}.")


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, Fraction]]:
    for key, item in _items(value):
        is_number = isinstance(item, int | float | Fraction) and not isinstance(item, bool)
        if is_number and key not in _NOT_QUANTITIES:
            yield path + key, exact(item)
        yield from _numbers(item, f"{path}{key}.")


def _sources(value: object, path: str = "") -> Iterator[tuple[str, object, str]]:
    """Yield the path that each ``sources`` entry is about, the entry, and the path of the entry itself."""
    entries = getattr(value, "sources", None) or {}
    for key, origin in entries.items():
        yield path + key, origin, f"{path}sources.{key}"
    for key, item in _items(value):
        yield from _sources(item, f"{path}{key}.")


def _upwards(path: str) -> Iterator[str]:
    """Yield the path and every section that holds it, the innermost first."""
    while path:
        yield path
        path = path.rpartition(".")[0]


_UNITS = {
    "fj",
    "pj",
    "nj",
    "uj",
    "ps",
    "ns",
    "us",
    "ms",
    "nw",
    "uw",
    "mw",
    "um2",
    "mm2",
    "mv",
    "gsps",
    "ghz",
    "mhz",
}


def _same_unit(path: str, unit: str) -> bool:
    """Whether a fact's unit is the one that the key ends in; true where the key names none."""
    suffix = next((step for step in reversed(path.split(".")) if not step.isdigit()), "").rpartition("_")[2]
    said = unit.lower().replace("µ", "u").replace("/", "p").replace("^", "")
    return suffix not in _UNITS or said.startswith(suffix)

"""A scenario: which task runs how many inferences, in which order, how often.

Written as text (``"a:100,b:50"``, ``"3*(a:10,b:5)"``, also nested), as a YAML list, or as a CSV trace of
arrivals; see :mod:`xbarsim.dataflow.scenario_files`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xbarsim.adaptions.change import BACKBONE
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Network

MOST = 10**12
"""Most inferences of an entry, and most repeats of a group."""


DEEPEST = 20
"""Deepest nesting of groups."""


@dataclass(frozen=True)
class Entry:
    """So many inferences of one task."""

    task: str
    inferences: int
    arrivals_ps: tuple[int, ...] | None = None
    """When each inference's input arrives; ``None``: they are all there from the start."""


@dataclass(frozen=True)
class Repeat:
    """A group of entries, several times over."""

    times: int
    items: tuple[Entry | Repeat, ...]


Scenario = tuple[Entry | Repeat, ...]


def parse_scenario(text: str | None, network: Network) -> Scenario:
    """Read a scenario from text, or from the ``.yaml`` or ``.csv`` file that ``text`` names.

    A task without a count runs once. ``None`` runs every task once, in order; a network without tasks
    runs its backbone once. Raise :class:`InputError` with every fault.
    """
    if text is None:
        return tuple(Entry(task, 1) for task in network.task_info) or (Entry(BACKBONE, 1),)
    if text.endswith((".yaml", ".yml", ".csv")):
        from xbarsim.dataflow.scenario_files import read_scenario

        items, faults = read_scenario(Path(text))
    else:
        items, faults = _Parser(text).parse()
    faults = [*faults, *_check_tasks(items, network, text if "." in text[-5:] else "--scenario")]
    if faults:
        raise InputError(faults)
    if not items:
        raise InputError(Fault("--scenario", f"is empty; write task:inferences, for example {_example(network)}"))
    return items


def _check_tasks(items: Scenario, network: Network, place: str) -> list[Fault]:
    """Every task must be one of the network's, or its backbone."""
    known = [*network.task_info, BACKBONE]
    return [
        Fault(place, f"no task {task!r}; known: {', '.join(known)}{did_you_mean(task, known)}", f"task {task!r}")
        for task in dict.fromkeys(entry.task for entry in leaves(items))
        if task and task not in known
    ]


def leaves(items: Scenario) -> list[Entry]:
    """The entries as they are written, repeats not expanded."""
    found: list[Entry] = []
    for item in items:
        found += leaves(item.items) if isinstance(item, Repeat) else [item]
    return found


def flatten(items: Sequence[Entry | Repeat], limit: int) -> list[tuple[int, Entry]]:
    """All entries in order, repeats expanded: (number of the leaf, entry).

    Raise :class:`InputError` where that makes more than ``limit`` entries.
    """
    flat, _ = _flatten(items, 0, limit)
    return flat


def _flatten(items: Sequence[Entry | Repeat], leaf: int, limit: int) -> tuple[list[tuple[int, Entry]], int]:
    flat: list[tuple[int, Entry]] = []
    for item in items:
        if isinstance(item, Entry):
            flat.append((leaf, item))
            leaf += 1
            continue
        body, leaf = _flatten(item.items, leaf, limit)
        if len(flat) + len(body) * item.times > limit:
            message = f"expands to more than {limit} entries; keep inner repeats smaller"
            raise InputError(Fault("--scenario", message))
        flat += body * item.times
    return flat, leaf


def _example(network: Network) -> str:
    return f"'{next(iter(network.task_info), BACKBONE)}:10'"


class _Parser:
    """``item (',' item)*`` with ``item = [times '*'] '(' items ')' | task [':' count]``."""

    _TOKEN = re.compile(r"\s*([^,:*()\s]+|[,:*()])")

    def __init__(self, text: str) -> None:
        self.text, self.faults = text, list[Fault]()
        self.tokens = [(match.start(1) + 1, match[1]) for match in self._TOKEN.finditer(text)]
        self.at = self.depth = 0

    def parse(self) -> tuple[Scenario, list[Fault]]:
        """Return the items and every fault."""
        if not self.tokens:
            return (), []
        items = self._items()
        if self.at < len(self.tokens) and not self.faults:
            self._fault(f"unexpected {self._peek()!r}")
        return items, self.faults

    def _items(self) -> Scenario:
        items: list[Entry | Repeat] = [self._item()]
        while self._peek() == "," and not self._broken():
            self.at += 1
            items.append(self._item())
        return tuple(items)

    def _item(self) -> Entry | Repeat:
        if self._peek() == "(":
            return self._group(1)
        word = self._word()
        if self._peek() == "*":
            times = self._number(word, "repeats")
            self.at += 1
            if self._peek() != "(":
                self._fault(f"after {word}* a group in parentheses must follow, such as 3*(a:10,b:5)")
                return Entry(BACKBONE, 1)
            return self._group(times)
        if self._peek() != ":":
            return Entry(word, 1)
        self.at += 1
        return Entry(word, self._number(self._word(), f"inferences of {word!r}"))

    def _group(self, times: int) -> Repeat:
        self.at += 1
        self.depth += 1
        if self.depth > DEEPEST:
            self._fault(f"groups are nested more than {DEEPEST} deep")
            self.at = len(self.tokens)
            return Repeat(times, (Entry(BACKBONE, 1),))
        items = self._items()
        self.depth -= 1
        if self._peek() != ")":
            self._fault("a parenthesis is not closed")
        self.at += 1
        return Repeat(times, items)

    def _word(self) -> str:
        word = self._peek()
        if word == "" or word in ",:*()":
            self._fault(f"expected a task or a number, found {word or 'the end'!r}; write task:inferences")
            return ""
        self.at += 1
        return word

    def _number(self, word: str, what: str) -> int:
        if not re.fullmatch(r"[0-9]{1,13}", word) or not 1 <= int(word) <= MOST:
            if word:
                self._fault(f"{word[:20]!r} is not a whole number of {what} from 1 to 10^12")
            return 1
        return int(word)

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _broken(self) -> bool:
        return self.at >= len(self.tokens)

    def _fault(self, message: str) -> None:
        at = min(self.at, len(self.tokens) - 1)
        place = f"column {self.tokens[at][0]} of {self.text[:60]!r}"
        self.faults.append(Fault("--scenario", message, place))

"""Ways between tiles: XY routes over a mesh of routers, and which of their links are contended."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isqrt

from xbarsim.chip import Chip
from xbarsim.units import ceil_div

Link = tuple[int, int, int]
"""(chip, router from, router to); routers -1 stand for the chip's off-chip port."""

PORT = 0
"""The router that the off-chip links are at."""


@dataclass(frozen=True)
class Leg:
    """A run of links of a flow that the same flows share: one unit of the graph."""

    unit: str
    hops: int
    offchip: bool = False


class Mesh:
    """The routers of a chip in a square, tiles numbered row by row."""

    def __init__(self, chip: Chip) -> None:
        self.tiles = chip.file.chip.tiles
        self.per_router = chip.file.noc.tiles_per_router
        routers = ceil_div(self.tiles, self.per_router)
        self.side = isqrt(routers - 1) + 1 if routers > 1 else 1

    def route(self, source: int, target: int) -> list[Link]:
        """Links from tile ``source`` to tile ``target``, over the off-chip ports between chips."""
        from_chip, to_chip = source // self.tiles, target // self.tiles
        start, end = self._router(source), self._router(target)
        if from_chip == to_chip:
            return self._walk(from_chip, start, end)
        crossing = [(min(from_chip, to_chip), -1, -1)]
        return self._walk(from_chip, start, PORT) + crossing + self._walk(to_chip, PORT, end)

    def entry(self, target: int) -> list[Link]:
        """Links from the host to tile ``target``."""
        chip = target // self.tiles
        return [(chip, -1, -1), *self._walk(chip, PORT, self._router(target))]

    def _router(self, tile: int) -> int:
        return tile % self.tiles // self.per_router

    def _walk(self, chip: int, start: int, end: int) -> list[Link]:
        """First along x, then along y."""
        links, at = [], start
        while at % self.side != end % self.side:
            step = at + (1 if end % self.side > at % self.side else -1)
            links.append((chip, at, step))
            at = step
        while at != end:
            step = at + (self.side if end > at else -self.side)
            links.append((chip, at, step))
            at = step
        return links


def legs(routes: Mapping[Hashable, Sequence[Link]]) -> dict[Hashable, list[Leg]]:
    """Split every route into legs: links that are shared become units, named by what shares them.

    Links that a flow has for itself delay it but are no unit; a flow without shared links has one
    unit of its own. The off-chip links of a chip are always one unit, shared or not.
    """
    users: dict[Link, list[int]] = {}
    numbers = {flow: number for number, flow in enumerate(routes)}
    for flow, links in routes.items():
        for link in links:
            users.setdefault(link, []).append(numbers[flow])
    names: dict[tuple[object, ...], str] = {}
    return {flow: _legs(f"link.{numbers[flow]}", links, users, names) for flow, links in routes.items()}


def _legs(
    own: str, links: Sequence[Link], users: Mapping[Link, list[int]], names: dict[tuple[object, ...], str]
) -> list[Leg]:
    found: list[Leg] = []
    private = 1  # the router at the start
    for key, run in groupby(links, key=lambda link: _sharing(link, users)):
        leg = list(run)
        hops = len(leg)
        if not key:
            private += hops
        elif key[0] == "offchip":
            found.append(Leg(f"offchip.{key[1]}", 0, offchip=True))
        else:
            name = names.setdefault((key, leg[0]), f"noc.{len(names)}")  # the same users may meet again further on
            found.append(Leg(name, hops + private))
            private = 0
    if private or not found:
        if found and not found[-1].offchip:
            last = found[-1]
            found[-1] = Leg(last.unit, last.hops + private)
        else:
            found.append(Leg(own, private))
    return found


def _sharing(link: Link, users: Mapping[Link, list[int]]) -> tuple[object, ...]:
    """Who shares a link: nothing if one flow has it alone."""
    if link[1] < 0:
        return "offchip", link[0]
    return tuple(users[link]) if len(users[link]) > 1 else ()

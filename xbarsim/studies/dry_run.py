"""What a sweep would do: how many points, which of them are impossible, about how long it takes."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

from xbarsim.adaptions import Adaption
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.dataflow.scenario import Entry as Item
from xbarsim.dataflow.scenario import leaves
from xbarsim.errors import XbarsimError
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.studies.points import Job, shown
from xbarsim.studies.store import Store, read_store
from xbarsim.studies.sweep import Entry, Sweep

SCHEMA = "xbarsim.survey/1"


def survey(study: Sweep, out: Path | None = None, shard: tuple[int, int] = (1, 1), jobs: int = 1) -> dict[str, Any]:
    """The ``xbarsim.survey/1`` object; one point is simulated (twice, timed the second time), nothing is written.

    Chips are built, and each task's work is planned on them once, so masks that do not fit and networks that are too
    large are found.
    The time is an estimate: every point is taken to last as long as the one that was timed.
    """
    store = read_store(out, study.manifest)
    entries = study.part(shard)
    left = [entry for entry in entries if store.get(entry.key) is None]
    impossible = [(entry, reason) for entry in entries if (reason := _impossible(study.network, entry, store))]
    bad = {id(entry) for entry, _ in impossible}
    possible = [entry for entry in left if id(entry) not in bad]
    seconds = _seconds(study.network, possible[0].job) if possible and possible[0].job else None
    return {
        "schema": SCHEMA,
        "chip": study.start.name,
        "bundle": study.network.name,
        "chips": len({id(entry.settings) for entry in entries}),
        "points": len(entries),
        "stored": len(entries) - len(left),
        "to_do": len(left),
        "seconds_per_point": seconds,
        "estimated_seconds": None if seconds is None else seconds * len(possible) / jobs,
        "jobs": jobs,
        "impossible": [
            {**shown(entry.settings), "method": entry.method, "point": entry.label, "error": reason}
            for entry, reason in impossible
        ],
    }


def _impossible(network: Network, entry: Entry, store: Store) -> str | None:
    """Why a point cannot be simulated, as far as its plan tells; of a stored one, what it failed with."""
    row = entry.row or store.get(entry.key)
    if row is not None:
        error: str | None = row["error"]
        return error
    if entry.job is None:
        return None
    tasks = dict.fromkeys(item.task for item in leaves(parse_scenario(entry.job.scenario, network)))
    try:
        adaption = Adaption.named(entry.method)()
        plan(place(entry.job.chip, adaption.extend(network)), adaption, tuple(Item(task, 1) for task in tasks))
    except XbarsimError as reason:
        return str(reason)
    return None


def _seconds(network: Network, job: Job) -> float:
    """How long a point takes where everything has been loaded."""
    job.do(network)
    begun = perf_counter()
    job.do(network)
    return perf_counter() - begun

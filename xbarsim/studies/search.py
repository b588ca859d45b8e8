"""Search for good chips: Optuna proposes points of a space, the store keeps what they gave, a Pareto front comes out.

Trials follow from the space, the seed and the results alone, a fixed number of them at a time; so a search that was
ended is made again from its stored points up to where it was, and goes on. Without Optuna: ``pip install
'xbarsim[search]'``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from xbarsim.chip import Chip, load_chip
from xbarsim.errors import Fault, InputError, XbarsimError
from xbarsim.network import Network
from xbarsim.studies.compare import check_methods
from xbarsim.studies.objectives import (
    AccuracyJob,
    Constraint,
    Objective,
    areas,
    check_area,
    check_samples,
    constraints_of,
    objectives_of,
)
from xbarsim.studies.points import (
    Job,
    Row,
    bare,
    chip_digest,
    failed,
    key_of,
    method_digest,
    scenario_digest,
    shown,
)
from xbarsim.studies.proposals import Proposals, optuna
from xbarsim.studies.runner import Task, carry_out, crew
from xbarsim.studies.space import Choices, Space, read_space
from xbarsim.studies.store import Store, base_manifest, open_store, read_manifest

SCHEMA = "xbarsim.search/1"
TRIALS, FRONT, JSON = "trials.csv", "front.csv", "search.json"
METHOD = "method"

BATCH = 8
"""Trials that are proposed before any of them is known; results must not depend on the number of processes."""


@dataclass(frozen=True, eq=False)
class Search:
    """What is searched for; make one with :func:`prepare`."""

    start: Chip
    network: Network
    space: Space
    methods: tuple[str, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    scenario: str | None = None
    engine: str = "compiled"
    seed: int = 0
    seeds: int = 1
    """How often cells are drawn for an accuracy."""
    samples: int | None = None
    """Samples of each task for an accuracy."""
    assumptions: tuple[str, ...] = ()

    @property
    def axes(self) -> Space:
        """The space, with the method where there are several."""
        return {**self.space, **({METHOD: Choices(self.methods)} if len(self.methods) > 1 else {})}

    @property
    def asked(self) -> set[str]:
        """Measures that objectives and constraints name."""
        return {one.name for one in self.objectives} | {one.name for one in self.constraints}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What identifies this search; it may go on with more trials."""
        return {
            **base_manifest("search", self.start, self.network),
            "space": {key: axis.described() for key, axis in self.axes.items()},
            "methods": list(self.methods),
            "minimize": [one.name for one in self.objectives if not one.maximize],
            "maximize": [one.name for one in self.objectives if one.maximize],
            "constraints": [str(one) for one in self.constraints],
            "scenario": self.scenario,
            "scenario_digest": scenario_digest(self.scenario, self.network),
            "seed": self.seed,
            "accuracy": {"seeds": self.seeds, "samples": self.samples} if "accuracy" in self.asked else None,
            "sampler": f"{'NSGA-II' if len(self.objectives) > 1 else 'TPE'}, Optuna {optuna().__version__}",
        }  # fmt: skip

    def trial(self, values: Mapping[str, Any]) -> Trial:
        """A proposed point as a trial, its chip built."""
        settings = {key: value for key, value in values.items() if key != METHOD}
        method = values.get(METHOD, self.methods[0])
        try:
            chip = bare(self.start.vary(settings))
        except XbarsimError as reason:
            return Trial(settings, method, None, error=failed(reason))
        network, scenario = self.manifest["bundle"]["digest"], self.manifest["scenario_digest"]
        digest, label = chip_digest(chip), " ".join([*(f"{k}={v}" for k, v in settings.items()), method])
        key = key_of(digest, network, method_digest(method), scenario, self.seed)
        job = Job(key, chip, method, self.scenario, self.engine, self.seed, label)
        if "accuracy" not in self.asked:
            return Trial(settings, method, job)
        key = key_of(
            digest, network, method_digest(method), "", self.seed,
            what="accuracy", seeds=self.seeds, samples=self.samples,
        )  # fmt: skip
        return Trial(settings, method, job, AccuracyJob(key, chip, method, self.seeds, self.samples, self.seed, label))

    def row(self, trial: Trial, store: Store) -> Row:
        """What a trial gave, as far as it went."""
        about = shown(trial.settings) | {METHOD: trial.method}
        row = trial.error if trial.job is None else store.get(trial.job.key)
        row = dict(row or {"error": "was not done"})
        if trial.job is not None and row["error"] is None:
            row |= areas(trial.job.chip, row) if self.asked & {"area", "tile_area"} else {}
            if trial.accuracy is not None:
                found = store.get(trial.accuracy.key) or {"error": "was not done"}
                row |= {"accuracy": found.get("accuracy"), "error": found["error"]}
        return about | row


@dataclass(frozen=True)
class Trial:
    """A point that was proposed."""

    settings: Mapping[str, Any]
    method: str
    job: Job | None
    accuracy: AccuracyJob | None = None
    error: Row | None = field(default=None, hash=False)


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a search."""

    trials: pd.DataFrame
    """One row per trial, in order: settings, method, measures, ``feasible``, ``front``, ``error``."""
    result: Mapping[str, Any]
    """The ``xbarsim.search/1`` object."""

    @property
    def front(self) -> pd.DataFrame:
        """The trials that no other one is better than in everything; equal points once."""
        return self.trials[self.trials["front"]].reset_index(drop=True) if len(self.trials) else self.trials


def prepare(
    chip: str | Chip,
    network: Network,
    space: Space | str | Path,
    *,
    minimize: Sequence[str] = (),
    maximize: Sequence[str] = (),
    constraints: Sequence[str] = (),
    methods: Sequence[str] = ("xbm",),
    mask_fit: str | None = None,
    scenario: str | None = None,
    engine: str = "compiled",
    seed: int = 0,
    seeds: int = 1,
    samples: int | None = None,
) -> Search:
    """Check what is asked for; see :func:`search`."""
    optuna()
    objectives, bounds = objectives_of(minimize, maximize), constraints_of(constraints)
    axes = space if isinstance(space, Mapping) else read_space(space)
    start = load_chip(chip) if isinstance(chip, str) else chip
    start = start.vary({"mapping.mask_fit": mask_fit}) if mask_fit else start
    chosen = tuple(dict.fromkeys(methods))
    check_methods(network, chosen, scenario)
    asked = {one.name for one in objectives} | {one.name for one in bounds}
    notes = check_area(start) if asked & {"area", "tile_area"} else []
    if "accuracy" in asked:
        check_samples(network)
        notes.append(f"accuracy: mean over tasks, {seeds} draw(s) of the cells, {samples or 'all'} samples of each")
    return Search(
        start, network, axes, chosen, objectives, bounds, scenario, engine, seed, seeds, samples, tuple(notes)
    )


def search(
    chip: str | Chip,
    network: Network,
    space: Space | str | Path,
    *,
    trials: int = 100,
    out: str | Path | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Callable[[str], None] = lambda point: None,
    **asked: Any,
) -> Found:
    """Search a space of chips for the best ones; several objectives give a Pareto front.

    ``space``: axes by chip key, or a file (:mod:`xbarsim.studies.space`). ``minimize``, ``maximize``: names of
    measures (:data:`~xbarsim.studies.objectives.MEASURES`); ``constraints`` such as ``accuracy>=0.9``. ``methods``:
    by default ``xbm``; several are searched over too. ``seeds`` and ``samples`` are those of an accuracy, which is
    measured only where it is asked for. ``out``: a folder that keeps every point; the same search goes on there,
    also with more ``trials``. ``mask_fit``, ``scenario``, ``engine``, ``seed``, ``jobs``, ``cluster``: see
    :func:`~xbarsim.studies.sweep.sweep`; results do not depend on the last two.

    Raise :class:`InputError` for what cannot be meant, :class:`XbarsimError` where Optuna is missing.
    """
    study = prepare(chip, network, space, **asked)
    store = open_store(None if out is None else Path(out), {**study.manifest, "trials": trials}, grows=["trials"])
    return carry_on(study, store, trials, jobs=jobs, cluster=cluster, progress=progress)


def carry_on(
    study: Search, store: Store, trials: int, *, jobs: int = 1, cluster: str | None = None,
    progress: Callable[[str], None] = lambda point: None,
) -> Found:  # fmt: skip
    """Make so many trials from the first on; those in the store are not simulated again."""
    if trials < 1:
        raise InputError(f"{trials} trials: make at least one")
    with crew(study.network, jobs, cluster) as as_done:
        rows = list(_rows(study, store, trials, lambda work: carry_out(work, store, as_done, progress)))
    better = _front([[_signed(one, row) for one in study.objectives] if row["feasible"] else None for row in rows])
    seen: set[str] = set()
    for row, in_front in zip(rows, better, strict=True):
        point = repr([row[key] for key in (*study.space, METHOD)])
        row["front"] = in_front and point not in seen
        seen |= {point} if in_front else set()
    found = _found(study, rows)
    store.finish({
        TRIALS: found.trials.to_csv(index=False),
        FRONT: found.front.to_csv(index=False),
        JSON: json.dumps(found.result, indent=1, allow_nan=False) + "\n",
    })  # fmt: skip
    return found


def _rows(study: Search, store: Store, trials: int, carry_out: Callable[[Sequence[Task]], None]) -> Iterator[Row]:
    """Propose, carry out, and tell, a batch at a time."""
    proposals = Proposals(study.axes, study.objectives, study.constraints, study.seed)
    for begin in range(0, trials, BATCH):
        asked = [proposals.ask() for _ in range(BATCH)][: trials - begin]
        batch = [study.trial(values) for values in asked]
        carry_out([trial.job for trial in batch if trial.job])
        done = [trial for trial in batch if trial.job and (store.get(trial.job.key) or {}).get("error") is None]
        good = [trial.accuracy for trial in done if trial.accuracy]
        carry_out(good)
        rows = [study.row(trial, store) for trial in batch]
        for row in rows:
            row["feasible"] = row["error"] is None and all(one.excess(row) <= 0 for one in study.constraints)
        proposals.tell(rows)
        yield from ({"trial": begin + at} | row for at, row in enumerate(rows))


def _signed(objective: Objective, row: Row) -> float:
    value = float(row[objective.column])
    return -value if objective.maximize else value


def _front(values: Sequence[Sequence[float] | None]) -> list[bool]:
    """Which points no other one is at least as good as in everything and better than in something."""
    order = sorted((tuple(value), at) for at, value in enumerate(values) if value is not None)
    front: list[tuple[float, ...]] = []
    chosen = [False] * len(values)
    for value, at in order:
        dominated = any(other != value and all(map(float.__le__, other, value)) for other in front)
        if not dominated and not any(math.isnan(part) for part in value):
            chosen[at] = True
            front.append(value)
    return chosen


def _found(study: Search, rows: Sequence[Row]) -> Found:
    columns = dict.fromkeys(key for row in rows for key in row if key != "error")
    table = [{**{key: row.get(key) for key in columns}, "error": row["error"]} for row in rows]
    resampled = any(row.get("masks") == "resampled" for row in rows)
    result = {
        "schema": SCHEMA,
        "chip": study.start.name,
        "bundle": study.network.name,
        "synthetic": study.network.synthetic or resampled,
        "minimize": study.manifest["minimize"],
        "maximize": study.manifest["maximize"],
        "constraints": study.manifest["constraints"],
        "failed": sum(row["error"] is not None for row in rows),
        "assumptions": list(study.assumptions),
        "front": [row for row in table if row["front"]],
        "trials": table,
    }
    return Found(pd.DataFrame(table), result)


def load_search(folder: str | Path) -> Found:
    """Read a finished search; raise :class:`InputError` for a folder that holds none."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["kind"] != "search":
        raise InputError(Fault(str(folder), f"holds a {manifest['kind']}, no search"))
    try:
        result = json.loads((folder / JSON).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(Fault(str(folder), "the search is not finished; the same command goes on with it")) from None
    except ValueError:
        raise InputError(Fault(str(folder / JSON), "is damaged; run the search again to write it")) from None
    return Found(pd.DataFrame(result["trials"]), result)

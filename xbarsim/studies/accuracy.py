"""Accuracy step by step: floats, integers, a chip's converters, its cells; per task and adaption method.

Cells differ from seed to seed: they are drawn anew for each, and the mean over seeds stands with its interval.
A :class:`Job` says all that a figure depends on, so that jobs can be done in any order and in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum
from typing import Any, TypeVar

import pandas as pd

from xbarsim.adaptions import Adaption
from xbarsim.analog.converter import Ranges
from xbarsim.analog.measure import FLOAT, QUANTISED, Tally, measure
from xbarsim.analog.onchip import OnChip, random, with_ideal_cells
from xbarsim.analog.prepare import Prepared, prepare, samples_of
from xbarsim.analog.ranging import described
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Network
from xbarsim.studies.intervals import of_mean, wilson
from xbarsim.studies.pool import each

SCHEMA = "xbarsim.accuracy/1"

CONVERTERS, CELLS = "converters", "cells"
STAGES = (FLOAT, QUANTISED, CONVERTERS, CELLS)
"""What is measured, in this order."""

MOST_WEIGHTS = 1 << 22
"""Weights that stand in crossbars at the same time, seeds side by side."""
LARGEST_SEED = 1 << 64

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage that runs on the chip, or on a better one."""

    name: str
    chip: Chip
    random: bool
    """Its results depend on the seed."""


@dataclass(frozen=True)
class Job:
    """One task and method with some seeds."""

    task: str
    method: str
    seeds: tuple[int, ...]
    """Seeds of the stages whose results depend on them."""
    first: bool
    """Also measure what depends on no seed."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What all jobs share."""

    chip: Chip
    network: Network
    layers: tuple[str, ...] | None
    """Layers that run on the chip; the others are computed in integers. ``None``: all."""
    samples: int | None
    """So many samples of each task; ``None``: all."""
    seed: int


@dataclass(frozen=True, eq=False)
class Found:
    """What a job has measured."""

    job: Job
    tallies: dict[str, dict[int, Tally]]
    """By stage, and by seed where the stage depends on it."""
    steps: dict[str, float]
    ranges: Mapping[str, Ranges]
    lossless: dict[str, bool]
    notes: tuple[str, ...]
    split: str


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The result of a study."""

    subject: Subject
    seeds: tuple[int, ...]
    found: tuple[Found, ...]
    """One for each task and method, all seeds together."""

    @property
    def frame(self) -> pd.DataFrame:
        """One row per task, method and stage."""
        return pd.DataFrame(self.rows)

    @property
    def rows(self) -> list[Row]:
        """Accuracy by task, method and stage, with an interval of 95 %."""
        return [_row(one, stage) for one in self.found for stage in STAGES]

    @property
    def layers(self) -> list[Row]:
        """Signal-to-noise ratio by task, method, stage and layer; the signal is the exact output of the layer."""
        return [row for one in self.found for stage in (CONVERTERS, CELLS) for row in _layer_rows(one, stage)]

    def to_json(self) -> dict[str, Any]:
        """The ``xbarsim.accuracy/1`` object."""
        network, chip = self.subject.network, self.subject.chip
        return {
            "schema": SCHEMA,
            "chip": chip.name,
            "bundle": network.name,
            "seed": self.subject.seed,
            "seeds": len(self.seeds),
            "analog_layers": list(self.subject.layers if self.subject.layers is not None else network.layers),
            "rows": self.rows,
            "layers": self.layers,
            "calibration": [row for one in self.found for row in _calibration(one)],
            "samples": {one.job.task: one.split for one in self.found},
            "assumptions": self.assumptions,
        }

    @property
    def assumptions(self) -> list[str]:
        """What the figures rest on."""
        lines = dict.fromkeys(f"{one.job.task}, {one.job.method}: {note}" for one in self.found for note in one.notes)
        return [*lines, *_chip_notes(self.subject.chip)]


def accuracy(
    chip: Chip,
    network: Network,
    *,
    tasks: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int = 10,
    seed: int = 0,
    layers: Sequence[str] | None = None,
    samples: int | None = None,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda step: None,
) -> Accuracy:
    """Measure the accuracy of tasks and methods on the tasks' held-out samples.

    tasks, methods: by default all that there are. seeds: how often cells are drawn, from ``seed`` on. layers:
    those that run on the chip, the others are computed in integers; by default all. samples: the first so many
    of each task; by default all. jobs: processes; results do not depend on it. Raise :class:`InputError` with
    every fault of the request.
    """
    pairs = _pairs(chip, network, tasks, methods)
    subject = Subject(chip, network, None if layers is None else tuple(dict.fromkeys(layers)), samples, seed)
    _check(subject, [method for _, method in pairs], seeds)
    varies = any(stage.random for stage in stages_of(chip))
    numbers = tuple(range(seed, seed + seeds)) if varies else (seed,)
    work = [job for pair in pairs for job in _jobs(*pair, numbers, parts=-(-2 * jobs // len(pairs)))]
    found = each(run_job, subject, work, jobs, lambda job: progress(f"{job.task} {job.method}"))
    return Accuracy(subject, numbers, tuple(_together(found)))


def stages_of(chip: Chip) -> tuple[Stage, Stage]:
    """The stages on the chip: its converters with ideal cells, and all of it."""
    ideal = with_ideal_cells(chip)
    return Stage(CONVERTERS, ideal, random(ideal)), Stage(CELLS, chip, random(chip))


def _jobs(task: str, method: str, seeds: tuple[int, ...], parts: int) -> list[Job]:
    """The work on one task and method, its seeds in about so many parts."""
    size = -(-len(seeds) // max(1, min(parts, len(seeds))))
    return [Job(task, method, seeds[at : at + size], at == 0) for at in range(0, len(seeds), size)]


def run_job(subject: Subject, job: Job) -> Found:
    """Measure one job."""
    network = subject.network
    whole = samples_of(network, network.task(job.task))
    prepared = prepare(subject.chip, network, job.method, job.task, whole.inputs)
    tallies: dict[str, dict[int, Tally]] = {stage: {} for stage in STAGES}
    lossless: dict[str, bool] = {}
    chosen = [name for name in prepared.integers.held if subject.layers is None or name in subject.layers]
    samples = whole.inputs[: subject.samples], whole.labels[: subject.samples]
    floats = job.first
    for some in _batches(subject, job, prepared):
        machines = {key: OnChip.of(key[0].chip, prepared.integers, key[1], prepared.ranges) for key in some}
        tables = {str(at): dict.fromkeys(chosen, machine) for at, machine in enumerate(machines.values())}
        counted = measure(prepared, *samples, tables, floats=floats)
        for at, ((stage, seed), machine) in enumerate(machines.items()):
            tallies[stage.name][seed] = counted[str(at)]
            if stage.name == CONVERTERS:
                lossless = {name: machine.lossless(prepared.integers.held[name]) for name in chosen}
        for name in (FLOAT, QUANTISED) if floats else ():
            tallies[name][subject.seed] = counted[name]
        floats = False
    if not tallies[CELLS]:
        tallies[CELLS] = tallies[CONVERTERS]
    steps = {name: held.step or 0.0 for name, held in prepared.integers.held.items()}
    return Found(job, tallies, steps, prepared.ranges, lossless, prepared.integers.notes, whole.split)


def _batches(subject: Subject, job: Job, prepared: Prepared) -> Iterator[list[tuple[Stage, int]]]:
    """Stages and seeds, as many side by side as memory is meant for; ideal cells need no stage of their own."""
    wanted: list[tuple[Stage, int]] = []
    converters, cells = stages_of(subject.chip)
    for stage in (converters, cells) if cells.chip.file != converters.chip.file else (converters,):
        seeds = job.seeds if stage.random else (subject.seed,) if job.first else ()
        wanted += [(stage, seed) for seed in seeds]
    weights = sum(held.weights.size for held in prepared.integers.held.values())
    size = max(1, MOST_WEIGHTS // weights)
    for at in range(0, len(wanted), size):
        yield wanted[at : at + size]


def _together(found: Sequence[Found]) -> Iterator[Found]:
    """Put the jobs of each task and method together."""
    for _, group in groupby(found, lambda one: (one.job.task, one.job.method)):
        first, *others = group
        for other in others:
            for stage, tallies in other.tallies.items():
                first.tallies[stage].update(tallies)
        yield first


def _row(found: Found, stage: str) -> Row:
    """Accuracy of one stage: of a single run with its sampling error, of several seeds with their scatter."""
    tallies = list(found.tallies[stage].values())
    shares = [tally.accuracy for tally in tallies]
    several = len(shares) > 1
    low, high = of_mean(shares) if several else wilson(tallies[0].right, tallies[0].seen)
    return {
        "task": found.job.task,
        "method": found.job.method,
        "stage": stage,
        "accuracy": fsum(shares) / len(shares),
        "low": low,
        "high": high,
        "interval": "seeds" if several else "samples",
        "samples": tallies[0].seen,
        "seeds": len(shares),
        "worst": min(shares),
        "best": max(shares),
    }


def _layer_rows(found: Found, stage: str) -> Iterator[Row]:
    """Signal-to-noise ratios of one stage; over several seeds the mean of the decibels and its interval."""
    tallies = list(found.tallies[stage].values())
    for layer in tallies[0].noise:
        ratios = [ratio for tally in tallies if (ratio := tally.snr_db(layer)) is not None]
        low, high = of_mean(ratios) if len(ratios) > 1 else (None, None)
        yield {
            "task": found.job.task,
            "method": found.job.method,
            "stage": stage,
            "layer": layer,
            "snr_db": fsum(ratios) / len(ratios) if ratios else None,
            "low_db": low,
            "high_db": high,
            "exact": not ratios,
            "lossless": found.lossless.get(layer, False) if stage == CONVERTERS else None,
        }


def _calibration(found: Found) -> Iterator[Row]:
    """Input scales and converter ranges in use, by layer."""
    for layer, step in found.steps.items():
        row = {"task": found.job.task, "method": found.job.method, "layer": layer, "input_scale": step}
        yield row | {"range_levels": described(found.ranges[layer]) if layer in found.ranges else None}


def _pairs(
    chip: Chip, network: Network, tasks: Sequence[str] | None, methods: Sequence[str] | None
) -> list[tuple[str, str]]:
    """Tasks with methods; without a choice every method that a task has tensors of and the chip can do."""
    chosen = list(dict.fromkeys(tasks if tasks is not None else network.task_info))
    if not chosen:
        raise InputError(Fault(network.source, "has no tasks, so there is no accuracy to measure"))
    faults: list[Fault] = []
    pairs: list[tuple[str, str]] = []
    for method in dict.fromkeys(methods or ()):
        _gathered(faults, Adaption.named, method)
    for name in chosen:
        task = _gathered(faults, network.task, name)
        if task is not None and _gathered(faults, samples_of, network, task) is not None:
            wanted = dict.fromkeys(methods if methods is not None else able(chip, task.methods))
            for method in (one for one in wanted if one in Adaption.known()):
                _gathered(faults, task.needs, method)
                pairs.append((name, method))
    if faults:
        raise InputError(dict.fromkeys(faults))
    if not pairs:
        raise InputError(Fault(network.source, f"no method that chip {chip.name!r} can do; see --methods"))
    return pairs


Answer = TypeVar("Answer")


def _gathered(faults: list[Fault], ask: Callable[..., Answer], *about: Any) -> Answer | None:
    """What ``ask`` answers; where it raises, its faults are kept instead."""
    try:
        return ask(*about)
    except InputError as error:
        faults.extend(error.faults)
        return None


def able(chip: Chip, methods: Sequence[str]) -> list[str]:
    """Methods that are known here and that the chip has the hardware for."""
    known = [name for name in methods if name in Adaption.known()]
    return [name for name in known if chip.file.gate is not None or not Adaption.named(name).gates]


def _check(subject: Subject, methods: Sequence[str], seeds: int) -> None:
    """Refuse layers that no method has, and numbers that are not above zero."""
    network, faults = subject.network, []
    known = {name for method in methods for name in Adaption.named(method)().extend(network).layers}
    for name in subject.layers or ():
        if name not in known:
            message = f"no crossbar layer {name!r}; known: {', '.join(sorted(known))}{did_you_mean(name, known)}"
            faults.append(Fault(network.source, message))
    for what, number in (("seeds", seeds), ("samples", subject.samples)):
        if number is not None and number < 1:
            faults.append(Fault(what, f"{number} is below 1"))
    if not 0 <= subject.seed <= LARGEST_SEED - seeds:
        faults.append(Fault("seed", f"{subject.seed} is not between 0 and 2^64 - {seeds}"))
    if faults:
        raise InputError(faults)


def _chip_notes(chip: Chip) -> list[str]:
    """What a chip's cells are taken to be."""
    stages = stages_of(chip)
    lines = [f"device {chip.file.device.name!r}"]
    if stages[0].chip.file == stages[1].chip.file:
        lines = [f"device {chip.file.device.name!r} states neither variation nor noise nor faults: its cells are ideal"]
    if not any(stage.random for stage in stages):
        lines.append("nothing on this chip depends on the seed: one run stands for all seeds")
    return lines

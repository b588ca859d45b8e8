"""Requests for mixed tasks against one chip: at which load and mix does masking beat rewriting?

Service and switch times, energies and wear come from the event engine (:mod:`xbarsim.studies.service`),
requests wait and are served in SimPy (:mod:`xbarsim.studies.serve_queue`), and what became of them is
summed up here. A request counts if it arrives in the window: after the warm-up, before the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError
from xbarsim.network import Network
from xbarsim.results.durations import parse_duration
from xbarsim.results.store import new_folder, write_run, write_text
from xbarsim.studies import serve_stats as stats
from xbarsim.studies.arrivals import Arrivals, Requests, parse_arrivals, parse_mix, read_trace
from xbarsim.studies.policies import Policy, parse_policy
from xbarsim.studies.serve_queue import Served, ServiceTimes, serve_requests
from xbarsim.studies.service import Service, check_barrier, measure, pair_counts
from xbarsim.units import ns

SCHEMA = "xbarsim.serve/1"
WARMUP = Fraction(1, 10)
"""Share of the duration that is cut where no warm-up is given."""

ENERGIES = ("per_request_pj", "inference_pj", "switch_pj", "standing_pj", "switch_share", "idle_pj")
"""Energy of a request: total, its parts, the share of switches; idle standing power is not in the total."""

MODEL = (
    "serving: an inference enters an interval after the one before it and is answered a latency later; both are "
    "measured on full runs, and a request that enters between two of them is taken to be as fast",
    "serving: a switch waits for the last answer; a choice of the policy stands, also while the chip drains",
    "serving: the first task of the mix is on the chip when the clock starts",
    "serving: the host's own work (queueing, choosing) takes no time and no energy",
)
"""What the model of serving takes for granted."""


@dataclass(frozen=True)
class Load:
    """What is asked of the chip, and how it is served."""

    arrivals: Arrivals
    mix: Mapping[str, Fraction] | None
    """Shares of tasks; nothing for a trace."""
    policy: str
    duration_ps: int
    warmup_ps: int
    pipelined: bool
    seed: int


@dataclass(frozen=True, eq=False)
class Serving:
    """The result of a study of requests. Times inside are picoseconds."""

    service: Service
    load: Load
    served: Served

    @property
    def _window(self) -> tuple[int, int]:
        return self.load.warmup_ps, self.load.duration_ps

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """Latency, wait and throughput of all requests and by task."""
        return pd.DataFrame(stats.rows_by_task(self.served, *self._window, self.service.tasks))

    @cached_property
    def overloaded(self) -> bool:
        """Whether requests came faster than the chip answers them, from the first one on."""
        begin = int(self.served.requests.times_ps[0])
        return stats.overloaded(stats.waiting(self.served), begin, self.load.duration_ps)

    def to_json(self) -> dict[str, Any]:
        """The ``xbarsim.serve/1`` object."""
        run, (begin, end) = self.service.run, self._window
        steps = stats.waiting(self.served)
        lasting = self._lifetime()
        return {
            "schema": SCHEMA,
            "chip": run.placement.chip.name,
            "bundle": run.placement.network.name,
            "method": run.method,
            "engine": run.engine,
            "seed": self.load.seed,
            "synthetic": run.synthetic,
            "arrivals": str(self.load.arrivals),
            "mix": [{"task": task, "share": float(share)} for task, share in (self.load.mix or self._seen()).items()],
            "policy": self.load.policy,
            "pipeline": self.load.pipelined,
            "duration_ns": ns(end),
            "warmup_ns": ns(begin),
            "overloaded": self.overloaded,
            "load": self._offered_load(),
            **self._shares(),
            "switches_per_s": stats.per_second(sum(self._pairs().values()), end - begin),
            "tasks": stats.rows_by_task(self.served, begin, end, self.service.tasks),
            "energy": self._energy(),
            "lifetime_years": _years(lasting),
            "lifetime": lasting,
            "waiting_mean": steps.area(begin, end) / (end - begin),
            "waiting_max": steps.most(begin, end),
            "queue": stats.queue_rows(steps, begin, end),
            "service": self._service_rows(),
            "switches": self._switch_rows(),
            "check": self.service.check,
            "assumptions": [*run.to_json()["assumptions"], *MODEL],
        }

    def _seen(self) -> dict[str, Fraction]:
        """Shares of tasks in a trace."""
        tasks = self.served.requests.tasks
        return {name: Fraction(int((tasks == at).sum()), len(tasks)) for at, name in enumerate(self.service.tasks)}

    def _offered_load(self) -> float:
        """Share of time that the requests of the window would take without a single switch."""
        times, (begin, end) = self._times, self._window
        chosen = self.served.requests.tasks[stats.in_window(self.served.requests.times_ps, begin, end)]
        return int(np.array(times.interval_ps)[chosen].sum()) / (end - begin)

    @property
    def _times(self) -> ServiceTimes:
        return self.service.times if self.load.pipelined else self.service.times.back_to_back()

    def _shares(self) -> dict[str, float]:
        begin, end = self._window
        shares = {key: part / (end - begin) for key, part in stats.time_shares(self.served, begin, end).items()}
        return {
            "utilisation": 1 - shares["idle"],
            "inference_share": shares["inference"],
            "switching_share": shares["switching"],
            "idle_share": shares["idle"],
        }

    def _pairs(self) -> dict[tuple[int, int], int]:
        """Switches that begin in the window, by old and new task."""
        switches = self.served.switches
        return pair_counts(switches[stats.in_window(switches[:, 0], *self._window)])

    def _energy(self) -> dict[str, float | None]:
        """What the chip needs in the window, per request that enters it there; idle standing power apart.

        Picoseconds x milliwatts are femtojoules.
        """
        begin, end = self._window
        tasks = self.served.requests.tasks[stats.in_window(self.served.entries_ps, begin, end)]
        if not len(tasks):
            return dict.fromkeys(ENERGIES)
        spans = stats.time_shares(self.served, begin, end)
        inference = fsum(self.service.inference_pj[task] for task in tasks.tolist()) / len(tasks)
        switch = fsum(self.service.switch_pj[pair] * times for pair, times in self._pairs().items()) / len(tasks)
        power = self.service.standing_mw / 1000 / len(tasks)
        standing = (spans["inference"] + spans["switching"]) * power
        total = inference + switch + standing
        share = switch / total if total else 0.0
        return dict(zip(ENERGIES, (total, inference, switch, standing, share, spans["idle"] * power), strict=True))

    def _lifetime(self) -> dict[str, Any]:
        """Lifetime if the window repeats for ever."""
        begin, end = self._window
        rows = self.served.switches
        first = int(rows[rows[:, 0] < begin][-1, 3]) if (rows[:, 0] < begin).any() else 0
        inside = rows[stats.in_window(rows[:, 0], begin, end)]
        last = int(inside[-1, 3]) if len(inside) else first
        return self.service.lifetime(first, last, self._pairs(), end - begin)

    def _service_rows(self) -> list[dict[str, Any]]:
        service, times = self.service, self._times
        return [
            {
                "task": task,
                "latency_ns": ns(times.latency_ps[at]),
                "latency_low_ns": ns(service.latencies_ps[at][0]),
                "latency_high_ns": ns(service.latencies_ps[at][1]),
                "interval_ns": ns(times.interval_ps[at]),
                "energy_pj": service.inference_pj[at],
            }
            for at, task in enumerate(service.tasks)
        ]

    def _switch_rows(self) -> list[dict[str, Any]]:
        counts = self._pairs()
        return [{**self.service.pair(*pair), "times": counts.get(pair, 0)} for pair in self.service.times.switch_ps]


def serve(
    chip: Chip,
    network: Network,
    arrivals: str,
    *,
    mix: str | None = None,
    policy: str = "fifo",
    method: str = "xbm",
    duration: str | None = None,
    warmup: str | None = None,
    pipeline: bool = True,
    engine: str = "compiled",
    seed: int = 0,
    service: Service | None = None,
) -> Serving:
    """Serve requests such as ``"poisson:2000/s"`` of a mix of tasks such as ``"a:0.7,b:0.3"``.

    ``duration``: how long requests arrive (a trace: to its last request); all of them are answered.
    ``warmup``: what is cut, by default a tenth. ``pipeline=False``: one inference at a time.
    ``seed`` draws arrivals and tasks. ``service``: what :func:`~xbarsim.studies.service.measure` gave for
    the same chip, network, method and tasks. Raise :class:`InputError` for what does not go together.
    """
    coming = parse_arrivals(arrivals)
    Adaption.named(method)
    check_barrier(chip)
    if coming.file is not None and mix is not None:
        raise InputError(Fault("--mix", "a trace names the task of every request; leave the mix out"))
    shares = None if coming.file is not None else parse_mix(mix, network)
    tasks = tuple(shares) if shares is not None else ()
    trace = read_trace(coming.file, network) if coming.file is not None else None
    desk = parse_policy(policy, trace.names if trace else tasks)
    end, begin = _span(duration, warmup, trace)
    if trace:
        requests = trace.until(end)
    else:
        assert shares is not None  # no trace, so a mix
        requests = coming.requests(shares, end, seed)
    if not stats.in_window(requests.times_ps, begin, end).any():
        message = f"no request arrives from {begin / 1e9:g} ms to {end / 1e9:g} ms; take a longer one"
        raise InputError(Fault("--duration", message))
    load = Load(coming, shares, policy, end, begin, pipeline, seed)
    service = service or measure(chip, network, method, requests.names, engine, seed)
    return _served(service, load, requests, desk)


def _served(service: Service, load: Load, requests: Requests, desk: Policy) -> Serving:
    times = service.times if load.pipelined else service.times.back_to_back()
    return Serving(service, load, serve_requests(requests, times, desk))


def _span(duration: str | None, warmup: str | None, trace: Requests | None) -> tuple[int, int]:
    """(end, end of the warm-up) in picoseconds."""
    if duration is not None:
        end = parse_duration(duration, "--duration")
    elif trace is not None:
        end = int(trace.times_ps[-1]) + 1
    else:
        raise InputError(Fault("--duration", "say for how long requests arrive, as in 10s"))
    if warmup is None:
        return end, int(end * WARMUP)
    begin = 0 if warmup.strip() in ("0", "0s") else parse_duration(warmup, "--warmup")
    if begin >= end:
        raise InputError(Fault("--warmup", f"{warmup} leaves nothing of the duration"))
    return end, begin


def _years(lasting: Mapping[str, Any]) -> float | None:
    """Years to the first failure, as the publication counts endurance; nothing where no switch wears a cell."""
    years = [row["years"] for row in lasting["rows"] if row["published"] and row["until"] == "first"]
    return min((one for one in years if one is not None), default=None)


def write_serving(serving: Serving, path: Path) -> None:
    """Write summary, tables, every request, and the run that the service times were measured with."""
    import json

    result = serving.to_json()
    served = serving.served
    names = pd.Series(served.requests.names).take(served.requests.tasks).to_numpy()
    table = pd.DataFrame({
        "task": names, "arrival_ps": served.requests.times_ps, "entry_ps": served.entries_ps,
        "answer_ps": served.answers_ps,
    })  # fmt: skip
    with new_folder(path) as folder:
        write_text(folder / "summary.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
        for name in ("tasks", "queue", "service", "switches"):
            pd.DataFrame(result[name]).to_csv(folder / f"{name}.csv", index=False)
        table.to_csv(folder / "requests.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})
        write_run(serving.service.run, folder / "service")

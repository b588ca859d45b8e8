"""A run: what a scenario took, per inference, per switch, by component and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from math import fsum
from typing import Any

import numpy as np
import pandas as pd

from xbarsim.adaptions import Adaption, Change, Stored, install, stored
from xbarsim.adaptions.owned import cells_by_owner
from xbarsim.dataflow import Dataflow
from xbarsim.engine.times import Times
from xbarsim.errors import Deadlock
from xbarsim.mapping import Placement
from xbarsim.mapping.fit_cost import fit_cost, masks_of, remarks
from xbarsim.results.frames import tables_of
from xbarsim.results.ledger import Ledger, keep_ledger
from xbarsim.results.lifetime import lifetime
from xbarsim.results.moments import Inferences, Moments, Switched
from xbarsim.results.usage import Usage, usage_of
from xbarsim.results.wear import Wear, wear_of
from xbarsim.units import ceil_div, ns, rounding_error

SCHEMA = "xbarsim.run/1"

ACTIVITY_NOTES = {
    "default": "activity default: every row in use is driven in every read, whatever the input",
    "data": "activity data: a row whose input digit is 0 is not driven and its cells draw nothing, as in the held-out "
    "samples of each task; conversions and times are as with every row driven",
}
"""What the counts of row drives and cell reads assume."""


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a simulation. Times inside are picoseconds; tables carry units in their names."""

    placement: Placement
    method: str
    engine: str
    seed: int
    inferences: tuple[Inferences, ...]
    switches: tuple[Switched, ...]
    ledger: Ledger
    wear: Wear
    stored: Stored
    installed: dict[str, Any]
    makespan_ps: int
    firings: int
    firings_executed: int
    plan_seconds: float
    engine_seconds: float
    assumptions: tuple[str, ...]
    barrier_ps: int | None = None
    """What a rolling scenario would have taken with a barrier at every switch."""
    masked: bool = False
    """Whether the method has column masks."""
    switches_per_day: float | None = None
    """Rate that turns a lifetime into years."""
    usage: Usage = field(default_factory=lambda: Usage(()))
    """How busy the units were, and when."""
    activity: str = "default"
    """``default``: every row is driven in every read; ``data``: row drives and cell reads by the tasks' samples."""

    @property
    def synthetic(self) -> bool:
        """Whether weights or masks were drawn from a seed."""
        return self.placement.network.synthetic or masks_of(self.placement, masked=self.masked) == "resampled"

    @cached_property
    def lifetime(self) -> dict[str, Any]:
        """How long cells last when the scenario is repeated."""
        return lifetime(self.wear, self.placement.chip.file.device, self.switches_per_day)

    @cached_property
    def mask_fit(self) -> dict[str, Any]:
        """Masks of another crossbar height: what is done about them, and its cost."""
        return fit_cost(self.placement, masked=self.masked)

    @cached_property
    def energy(self) -> pd.DataFrame:
        """The ledger as a tidy table."""
        return self.ledger.frame

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tidy tables by name, see :func:`~xbarsim.results.frames.tables_of`."""
        return tables_of(self)

    def _repr_html_(self) -> str:
        """The summary that notebooks show."""
        from xbarsim.results.brief import run_html

        return run_html(self)

    def to_json(self) -> dict[str, Any]:
        """The ``xbarsim.run/1`` object."""
        return {
            "schema": SCHEMA,
            "chip": self.placement.chip.name,
            "bundle": self.placement.network.name,
            "method": self.method,
            "engine": self.engine,
            "seed": self.seed,
            "synthetic": self.synthetic,
            "latency_ns": ns(self.makespan_ps),
            "energy_pj": self.ledger.energy_pj(phase="inference") + self.ledger.energy_pj(phase="switch"),
            "firings": self.firings,
            "firings_executed": self.firings_executed,
            "plan_seconds": self.plan_seconds,
            "engine_seconds": self.engine_seconds,
            "tasks": [entry.to_json() for entry in self.inferences],
            "switches": [switch.to_json() for switch in self.switches],
            "install": self.installed,
            "stored": asdict(self.stored),
            "components": self._components(),
            "layers": self._layers(),
            "wear": self.wear.to_json(),
            "lifetime": self.lifetime,
            "mask_fit": self.mask_fit,
            "activity": self.activity,
            "assumptions": [*self.assumptions, ACTIVITY_NOTES[self.activity]],
            **self._rolling(),
        }

    def _rolling(self) -> dict[str, Any]:
        """The gain of rolling switches, measured; shared queues can make it negative."""
        if self.barrier_ps is None:
            return {}
        gain = self.barrier_ps - self.makespan_ps
        return {"rolling": {"barrier_latency_ns": ns(self.barrier_ps), "gain_ns": ns(gain)}}

    def _components(self) -> list[dict[str, Any]]:
        """Energy by component and action, installation left out."""
        merged: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.ledger.rows:
            if row.phase != "install":
                merged.setdefault((row.component, row.action), {"count": 0, "parts": []})
                merged[row.component, row.action]["count"] += row.count
                merged[row.component, row.action]["parts"].append(row.energy_pj)
        return [
            {"component": component, "action": action, "count": one["count"], "energy_pj": fsum(one["parts"])}
            for (component, action), one in merged.items()
        ]

    def _layers(self) -> list[dict[str, Any]]:
        """Energy by layer, and what each layer occupies."""
        inference = {key[0]: energy for key, _, energy in self.ledger.totals("layer", "phase") if key[1] == "inference"}
        switching = {key[0]: energy for key, _, energy in self.ledger.totals("layer", "phase") if key[1] == "switch"}
        host = self.placement.network.nodes[0]  # its transfer of inputs, where that is a stage
        rows: list[dict[str, Any]] = []
        if host.name in inference:
            rows.append({
                "layer": host.name, "op": host.op, "windows": host.shape[1] * host.shape[2], "crossbars": 0,
                "copies": 0, "inference_energy_pj": inference[host.name], "switch_energy_pj": 0.0,
            })  # fmt: skip
        for stage in self.placement.stages:
            site = self.placement.sites.get(stage.name)
            rows.append({
                "layer": stage.name,
                "op": stage.op,
                "windows": stage.windows,
                "crossbars": site.crossbars if site else 0,
                "copies": site.copies if site else 0,
                "inference_energy_pj": inference.get(stage.name, 0.0),
                "switch_energy_pj": switching.get(stage.name, 0.0),
            })  # fmt: skip
        return rows


def gather(
    placement: Placement, adaption: Adaption, dataflow: Dataflow, times: Times, seed: int, engine: str,
    plan_seconds: float, engine_seconds: float,
) -> Run:  # fmt: skip
    """Turn a schedule into a run. Raise :class:`Deadlock` if the graph stopped before its end."""
    if times.stuck:
        raise Deadlock("the dataflow graph stopped before its end:\n" + "\n".join(times.waits))
    moments = Moments(dataflow, times)
    moments.check_tasks()
    chip = placement.chip
    installed = install(adaption, placement)
    pulses = chip.file.device.write_pulses(chip.cell_levels)
    ledger = keep_ledger(chip, placement.chips, dataflow, installed, moments.spans)
    return Run(
        placement=placement,
        method=adaption.name,
        engine=engine,
        seed=seed,
        inferences=tuple(moments.inferences(ledger)),
        switches=tuple(moments.switches(ledger, pulses)),
        ledger=ledger,
        wear=wear_of(placement, adaption, dataflow, installed),
        stored=stored(adaption, placement),
        installed=_install_row(placement, installed, ledger, pulses) | _owned(adaption, placement),
        makespan_ps=moments.total_ps,
        firings=dataflow.firings,
        firings_executed=int(times.firings_executed),
        plan_seconds=plan_seconds,
        engine_seconds=engine_seconds,
        assumptions=tuple(_assumptions(placement, adaption, ledger)),
        masked=adaption.gates,
        usage=usage_of(dataflow, times),
    )


def _install_row(placement: Placement, installed: Change, ledger: Ledger, pulses: np.ndarray) -> dict[str, Any]:
    """Programming the erased chip; the transfer of the weights is not counted."""
    pe = placement.chip.file.pe
    longest = 0
    for change in installed.layers:
        trains = np.tile(change.crossbar_ps, change.site.copies)
        servers = ceil_div(len(trains), pe.crossbars) * pe.programmed_at_once
        rounds = np.zeros(ceil_div(len(trains), servers) * servers, np.int64)
        rounds[: len(trains)] = trains
        longest = max(longest, int(rounds.reshape(-1, servers).sum(axis=0).max()))
    return {
        "cells_written": installed.cells_written,
        "pulses": installed.pulses(pulses),
        "energy_pj": ledger.energy_pj(phase="install"),
        "latency_ns": ns(longest),
    }


def _owned(adaption: Adaption, placement: Placement) -> dict[str, Any]:
    """Of methods that keep the columns of all tasks resident: what was programmed for whom."""
    cells = cells_by_owner(adaption, placement)
    return {"cells_by_owner": cells} if cells else {}


MODEL = (
    "installation counts programming alone, not the transfer of the weights to the chip",
    "a write costs what its cell device says; drivers, lines and charge pumps on top of it are not published and "
    "count zero",
    "adders, activation, pooling and requantisation keep pace with one window per crossbar cycle and copy",
    "pixels that go on to further tiles of a layer cost energy per hop, and no time on the links",
)
"""What the model itself takes for granted."""


def _assumptions(placement: Placement, adaption: Adaption, ledger: Ledger) -> Sequence[str]:
    """Everything in the result that is not a sourced fact."""
    chip, network = placement.chip, placement.network
    lines = [f"{t.path} = {_plain(t.value)}: assumed, {t.note}" for t in chip.traced if t.how == "assumed"]
    lines += [*chip.file.device.remarks(chip.cell_levels), *chip.remarks, *chip.file.notes]
    lines += [*ledger.unpublished, *remarks(placement, adaption.name, masked=adaption.gates)]
    lines += adaption.assumes
    lines += MODEL
    if network.synthetic:
        lines.append(f"network {network.name!r} is a layer table: weights and masks are synthetic, drawn from the seed")
    for name, value in (("crossbar.cycle_ns", chip.cycle_ns), ("adc.rate_gsps", chip.sample_ns)):
        if rounding_error(value) > 1e-3:
            lines.append(f"rounding {name} to picoseconds changes it by more than 0.1 %")
    return lines


def _plain(value: Any) -> str:
    return f"{float(value):g}" if isinstance(value, Fraction | int | float) else str(value)

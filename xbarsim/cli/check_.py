"""``xbarsim check``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common
from xbarsim.cli.kinds import kind_of
from xbarsim.errors import Fault, InputError

SCHEMA = "xbarsim.check/1"


@dataclass
class Checked:
    """What was found out about one file."""

    file: str
    kind: str | None = None
    """``chip``, ``device``, ``network``, ``bundle``, ``scenario``, ``graph``; nothing where it is none of them."""
    summary: str = ""
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The row of ``files``."""
        return {"file": self.file, "kind": self.kind, "ok": not self.faults, **asdict(self)}


@click.command("check")
@click.argument("files", nargs=-1, required=True)
@common.options(common.overrides, common.seed, common.form())
def command(files: tuple[str, ...], overrides: tuple[str, ...], seed: int, form: str) -> None:
    """Check chip, device and network FILES, bundles and graphs: every fault of each, at its file, line and column.

    --set lays its keys over the chips among them.
    """
    found = [_checked(name, overrides, seed) for name in files]
    if overrides and not any(one.kind in ("chip", None) for one in found):
        raise InputError("--set: there is no chip among the files")
    if form == "json":
        common.emit_json({"schema": SCHEMA, "files": [one.to_json() for one in found]})
    elif form == "csv":
        common.emit_csv([row for one in found for row in _rows(one)])
    else:
        for one in found:
            if not one.faults:
                click.echo(f"{one.file}: ok, {one.summary}")
    for warning in (line for one in found for line in one.warnings):
        click.echo(warning, err=True)
    faults = [fault for one in found for fault in one.faults]
    if faults:
        raise InputError(faults)


def _rows(one: Checked) -> list[dict[str, Any]]:
    """One row per fault, or one for a file that has none."""
    return [
        {
            "file": one.file,
            "kind": one.kind or "",
            "ok": not one.faults,
            "fault_file": fault.file,
            "line": fault.line,
            "column": fault.column,
            "path": fault.path,
            "message": fault.message,
        }
        for fault in one.faults or [Fault("", "")]
    ]


def _checked(name: str, overrides: tuple[str, ...], seed: int) -> Checked:
    one = Checked(name)
    try:
        one.kind = kind_of(name)
        one.summary = _LOOK[one.kind](one, overrides, seed)
    except InputError as error:
        one.faults = list(error.faults)
    return one


def _chip(one: Checked, overrides: tuple[str, ...], seed: int) -> str:
    from xbarsim.chip import load_chip
    from xbarsim.units import rounding_error

    chip = load_chip(one.file, overrides)
    for key, value in (("crossbar.cycle_ns", chip.cycle_ns), ("adc.rate_gsps", chip.sample_ns)):
        if rounding_error(value) > 1e-3:
            one.warnings.append(f"{one.file}: {key}: rounding to picoseconds changes it by more than 0.1 %")
    one.warnings += [f"{one.file}: {warning}" for warning in chip.warnings]
    assumed = sum(traced.how == "assumed" for traced in chip.traced)
    return f"chip {chip.name!r}, {len(chip.traced)} figures, {assumed} of them assumed"


def _device(one: Checked, overrides: tuple[str, ...], seed: int) -> str:
    from xbarsim.chip import Device
    from xbarsim.config import find, read_document
    from xbarsim.facts import trace

    document = read_document(find("devices", one.file), Device)
    return f"device {document.value.name!r}, {len(trace(document))} figures"


def _network(one: Checked, overrides: tuple[str, ...], seed: int) -> str:
    from xbarsim.network import load_network

    network = load_network(one.file, seed=seed)
    weights = sum(layer.weights for layer in network.layers.values())
    tasks = f"tasks {', '.join(network.task_info)}" if network.task_info else "no tasks"
    return f"network {network.name!r}, {len(network.layers)} crossbar layers, {weights:,} weights, {tasks}"


def _scenario(one: Checked, overrides: tuple[str, ...], seed: int) -> str:
    from xbarsim.dataflow.scenario import leaves
    from xbarsim.dataflow.scenario_files import read_scenario

    items, faults = read_scenario(Path(one.file))
    if faults:
        raise InputError(faults)
    tasks = dict.fromkeys(entry.task for entry in leaves(items))
    return f"scenario of {len(leaves(items))} entries, tasks {', '.join(tasks)}"


def _graph(one: Checked, overrides: tuple[str, ...], seed: int) -> str:
    from xbarsim.cli.graphs import read_graph

    graph = read_graph(one.file)
    firings = sum(actor.firings for actor in graph.actors)
    return f"graph, {len(graph.actors)} actors, {len(graph.channels)} channels, {firings:,} firings"


_LOOK = {
    "chip": _chip,
    "device": _device,
    "network": _network,
    "bundle": _network,
    "scenario": _scenario,
    "graph": _graph,
}

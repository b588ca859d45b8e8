"""``xbarsim plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common

if TYPE_CHECKING:
    from xbarsim.dataflow import Graph


@click.command("plan")
@click.argument("chip")
@click.argument("bundle")
@click.option("--method", default="xbm", show_default=True, help="Adaption method.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON to this file.")
@common.options(common.scenario, common.overrides, common.seed, common.form("json"))
def command(
    chip: str, bundle: str, method: str, out: Path | None, scenario: str | None, overrides: tuple[str, ...],
    seed: int, form: str,
) -> None:  # fmt: skip
    """The dataflow graph of a scenario of BUNDLE on CHIP.

    The JSON is "xbarsim.graph/1", which `xbarsim time` executes; table and CSV list its actors.
    """
    if out is not None:
        common.check_writable(out)
    from xbarsim.adaptions import Adaption
    from xbarsim.chip import load_chip
    from xbarsim.dataflow import parse_scenario, plan
    from xbarsim.mapping import place
    from xbarsim.network import load_network
    from xbarsim.results.store import write_text

    machine, network = load_chip(chip, overrides), load_network(bundle, seed=seed)
    entries = parse_scenario(scenario, network)
    adaption = Adaption.named(method)()
    graph = plan(place(machine, adaption.extend(network)), adaption, entries).graph
    if out is not None:
        write_text(out, json.dumps(graph.to_json()) + "\n")
    if form == "csv":
        common.emit_csv(_rows(graph))
    elif form == "table":
        from xbarsim.cli import tables

        tables.show(
            _rows(graph), f"{len(graph.actors)} actors, {len(graph.units)} units, {len(graph.channels)} channels"
        )
    elif out is None:
        click.echo(json.dumps(graph.to_json()))


def _rows(graph: Graph) -> list[dict[str, Any]]:
    """Actors with their units, numbers of firings and total service times."""
    servers = {unit.name: unit.servers for unit in graph.units}
    return [
        {
            "actor": actor.name,
            "unit": actor.unit,
            "servers": servers[actor.unit],
            "firings": actor.firings,
            "service_ps": sum(work.periods * int(work.service_ps.sum()) for work in actor.work),
        }
        for actor in graph.actors
    ]

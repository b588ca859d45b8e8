"""``xbarsim plan``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from xbarsim.cli import common


@click.command("plan")
@click.argument("chip")
@click.argument("bundle")
@click.option("--method", default="xbm", show_default=True, help="Adaption method.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the graph to a file.")
@common.options(common.scenario, common.overrides, common.seed)
def command(
    chip: str,
    bundle: str,
    method: str,
    out: Path | None,
    scenario: str | None,
    overrides: tuple[str, ...],
    seed: int,
) -> None:
    """The dataflow graph of a scenario of BUNDLE on CHIP, as JSON ("xbarsim.graph/1")."""
    from xbarsim.adaptions import Adaption
    from xbarsim.chip import load_chip
    from xbarsim.dataflow import parse_scenario, plan
    from xbarsim.mapping import place
    from xbarsim.network import load_network
    from xbarsim.results.store import write_text

    network = load_network(bundle, seed=seed)
    entries = parse_scenario(scenario, network)
    graph = plan(place(load_chip(chip, overrides), network), Adaption.named(method)(), entries).graph.to_json()
    if out is None:
        click.echo(json.dumps(graph))
    else:
        write_text(out, json.dumps(graph) + "\n")

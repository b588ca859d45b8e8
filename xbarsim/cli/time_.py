"""``xbarsim time``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common
from xbarsim.errors import Fault, InputError


@click.command("time")
@click.argument("plan", type=click.Path(path_type=Path))
@common.engine
def command(plan: Path, engine: str) -> None:
    """Execute the dataflow graph in PLAN: start, end and commit of every firing, as JSON ("xbarsim.times/1").

    A graph that stops before its end is an answer too: `stuck` names the actors, and who waits for
    what is said on standard error.
    """
    from xbarsim.dataflow import Graph
    from xbarsim.engine import execute

    times = execute(Graph.from_json(_read(plan), str(plan)), engine=engine, record=True)
    click.echo(json.dumps(times.to_json()))
    for line in times.waits:
        click.echo(line, err=True)


def _read(plan: Path) -> dict[str, Any]:
    try:
        text = plan.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(Fault(str(plan), f"cannot be read: {fault}")) from fault
    try:
        data = json.loads(text)
    except ValueError as fault:
        line, column = getattr(fault, "lineno", 0), getattr(fault, "colno", 0)
        raise InputError(Fault(str(plan), f"is not JSON: {fault}", "", line, column)) from fault
    if not isinstance(data, dict):
        raise InputError(Fault(str(plan), "is not a JSON object with schema xbarsim.graph/1"))
    return data

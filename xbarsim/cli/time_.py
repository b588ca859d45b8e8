"""``xbarsim time``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common, traces
from xbarsim.cli.graphs import read_graph

if TYPE_CHECKING:
    from xbarsim.engine import Times


@click.command("time")
@click.argument("plan")
@common.options(*traces.options, common.engine, common.form("json"))
def command(plan: str, trace: Path | None, trace_window: str | None, engine: str, form: str) -> None:
    """Execute the dataflow graph in PLAN ("-": standard input): start, end and commit of every firing.

    The JSON is "xbarsim.times/1"; table and CSV sum up each actor. A graph that stops before its end is
    an answer too: `stuck` names the actors, and who waits for what is said on standard error.
    """
    window = traces.checked(trace, trace_window)
    from xbarsim.engine import execute

    graph = read_graph(plan)
    with common.progress(1, "execute") as step:
        step(plan)
        times = execute(graph, engine=engine, record=form == "json" or trace is not None)
    if trace is not None:
        from xbarsim.results.trace import timeline
        from xbarsim.results.trace_files import write_trace

        write_trace(timeline(graph, times, window, title=plan), trace)
    if form == "json":
        click.echo(json.dumps(times.to_json()))
    elif form == "csv":
        common.emit_csv(_rows(times))
    else:
        _table(times)
    for line in times.waits:
        click.echo(line, err=True)


def _table(times: Times) -> None:
    from xbarsim.cli import tables

    latency, firings = tables.text(times.makespan, "latency_ps"), tables.number(times.firings)
    tables.show(_rows(times), f"{latency}, {firings} firings, {'stuck' if times.stuck else 'complete'}")


def _rows(times: Times) -> list[dict[str, Any]]:
    """First start, last end and last commit of every actor; nothing where it was not reached."""
    rows = []
    for name, segments in zip(times.actors, times.segments, strict=True):
        starts = segments.first_start_ps[segments.first_start_ps >= 0]
        row: dict[str, Any] = {"actor": name, "first_start_ps": int(starts.min()) if starts.size else None}
        for key, ends in (("last_end_ps", segments.last_end_ps), ("last_commit_ps", segments.last_commit_ps)):
            row[key] = int(ends.max()) if ends.size and ends.max() >= 0 else None
        rows.append({**row, "stuck": name in times.stuck})
    return rows

"""``xbarsim sweep``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common
from xbarsim.errors import InputError, XbarsimError

if TYPE_CHECKING:
    import pandas as pd

    from xbarsim.studies.grid import Grid
    from xbarsim.studies.points import Settings
    from xbarsim.studies.store import Store
    from xbarsim.studies.sweep import Sweep

Shard = tuple[int, int]


@click.command("sweep")
@click.argument("chip")
@click.argument("bundle")
@click.option("--grid", multiple=True, metavar="KEY=A,B,…", help="Values of a chip key; or KEY=A..B.")
@click.option("--points", metavar="FILE", help="Points from a .csv or .yaml file instead of a grid.")
@click.option("--sample", type=int, metavar="N", help="N points spread over --grid or --space (Latin hypercube).")
@click.option("--space", metavar="FILE", help="Values and ranges that --sample draws from, as for search.")
@click.option("--methods", metavar="A,B,…", help="Methods; default: all that every task has.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder that keeps every point; go on in it later.")
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts, into --out.")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786; or local.")
@click.option("--dry-run", is_flag=True, help="Count points, name impossible ones, estimate the time.")
@common.options(
    common.mask_fit, common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form()
)
def command(
    chip: str, bundle: str, grid: tuple[str, ...], points: str | None, sample: int | None, space: str | None,
    methods: str | None, out: Path | None, shard: str | None, cluster: str | None, dry_run: bool,
    mask_fit: str | None, scenario: str | None, overrides: tuple[str, ...], engine: str, seed: int, jobs: int,
    form: str,
) -> None:  # fmt: skip
    """Many chips, each with every method: one row each. A grid of values, a list of points, or a sample.

    A point that cannot be simulated is a row with its message, and makes the exit code 1. With --out every
    point is stored when it is done: the same command goes on where it was ended.
    """
    part = _shard(shard, out)
    _check_out(out)
    from xbarsim.chip import load_chip
    from xbarsim.cli.compare_ import able
    from xbarsim.network import load_network
    from xbarsim.studies.store import open_store
    from xbarsim.studies.sweep import prepare

    where = _points(grid, points, sample, space, seed)
    machine, network = load_chip(chip, overrides), load_network(bundle, seed=seed)
    chosen = common.split_names(methods, "methods") if methods is not None else able(machine, network)
    study = prepare(
        machine, network, where, methods=chosen, mask_fit=mask_fit, scenario=scenario, engine=engine, seed=seed
    )
    if dry_run:
        _survey(study, out, part, jobs, form)
        return
    store = open_store(out, study.manifest)
    frame = _carry_out(study, store, part, jobs, cluster)
    for note in frame.attrs["notes"]:
        click.echo(note, err=True)
    _report(study, store, part, frame, form)


def _check_out(out: Path | None) -> None:
    """Refuse a file, and a folder that cannot be made, before any work is done."""
    if out is None:
        return
    if out.suffix == ".csv":
        raise InputError(f"--out {out}: is a folder of points; for the rows alone write --format csv > {out}")
    if not out.exists():
        common.check_writable(out)


def _shard(text: str | None, out: Path | None) -> Shard:
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if found is None:
        raise InputError(f"--shard {text!r}: write I/N, as in 1/4")
    if out is None:
        raise InputError("--shard: needs --out, the folder in which the parts come together")
    from xbarsim.studies.sweep import check_shard

    part = int(found[1]), int(found[2])
    check_shard(part)
    return part


def _points(
    grid: tuple[str, ...], points: str | None, sample: int | None, space: str | None, seed: int
) -> Grid | list[Settings]:
    """What the options say about points; they say it in one way only."""
    from xbarsim.studies.grid import parse_grid
    from xbarsim.studies.listed import read_points
    from xbarsim.studies.space import of_grid, read_space
    from xbarsim.studies.space import sample as drawn

    given = [name for name, value in (("--grid", grid), ("--points", points), ("--space", space)) if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other")
    if points is not None and sample is not None:
        raise InputError("--sample draws from --grid or --space, not from --points")
    if space is not None and sample is None:
        raise InputError("--space: say with --sample how many points to draw from it")
    if points is not None:
        return list(read_points(points))
    if space is not None and sample is not None:
        return list(drawn(read_space(space), sample, seed))
    values = parse_grid(grid)
    return values if sample is None else list(drawn(of_grid(values), sample, seed))


def _carry_out(study: Sweep, store: Store, part: Shard, jobs: int, cluster: str | None) -> pd.DataFrame:
    """Do what is missing; an interrupt says what is there already."""
    left = len(study.missing(store, part))
    try:
        with common.progress(left, "sweep") as step:
            study.carry_out(store, part, jobs=jobs, cluster=cluster, progress=step)
    except (KeyboardInterrupt, XbarsimError):
        if store.folder is not None:
            there = sum(store.get(entry.key) is not None for entry in study.entries)
            done = f"{there} of {len(study.entries)} points are in {store.folder}"
            click.echo(f"{done}: the same command goes on from there", err=True)
        raise
    return study.finish(store)


def _report(study: Sweep, store: Store, part: Shard, frame: pd.DataFrame, form: str) -> None:
    """The table; of a shard that leaves points to others, a word on the way it stands."""
    from xbarsim.studies.sweep import failures, to_json

    if frame.attrs["complete"]:
        _emit(to_json(frame, study.start.name, study.network), frame, form)
    else:
        there = sum(store.get(entry.key) is not None for entry in study.entries)
        click.echo(f"{there} of {len(study.entries)} points are in {store.folder}; tables follow the last", err=True)
    mine = [row for entry in study.part(part) if (row := store.get(entry.key)) and row["error"] is not None]
    failed = failures(frame)
    if failed and (mine or frame.attrs["complete"]):
        lines = [f"{count} of {len(frame)} rows: {message}" for message, count in failed]
        raise XbarsimError("some points failed:\n" + "\n".join(lines))


def _survey(study: Sweep, out: Path | None, part: Shard, jobs: int, form: str) -> None:
    """What a sweep would do."""
    from xbarsim.studies.dry_run import survey

    result = survey(study, out, part, jobs)
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["impossible"])
    else:
        click.echo(f"{result['chips']} chips, {result['points']} points; {result['stored']} are stored")
        if result["to_do"]:
            each, total = result["seconds_per_point"], result["estimated_seconds"]
            timed = f"{each:.3g} s" if each is not None else "unknown: no point can be simulated"
            click.echo(f"{result['to_do']} to do; time per point {timed}")
            if total is not None:
                click.echo(f"estimate: {total:.3g} s in {jobs} processes, as if all points took as long as the first")
        for row in result["impossible"]:
            click.echo(f"impossible: {row['point']}: {row['error']}")
    if result["impossible"]:
        raise XbarsimError(f"{len(result['impossible'])} points cannot be simulated")


def _emit(result: dict[str, Any], frame: pd.DataFrame, form: str) -> None:
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["rows"])
    else:
        from xbarsim.cli import tables

        rows = [{**row, "error": "failed" if row["error"] else None} for row in result["rows"]]
        keys = list(frame).index("method") + 1
        tables.show(rows, f"{result['bundle']} on {result['chip']}, means per task switch", keys=keys)
        common.notes([], synthetic=result["synthetic"])

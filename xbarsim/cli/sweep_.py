"""``xbarsim sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common
from xbarsim.errors import XbarsimError

if TYPE_CHECKING:
    import pandas as pd


@click.command("sweep")
@click.argument("chip")
@click.argument("bundle")
@click.option("--grid", multiple=True, required=True, metavar="KEY=A,B,…", help="Values of a chip key; or KEY=A..B.")
@click.option("--methods", metavar="A,B,…", help="Methods; default: all that every task has.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this CSV file.")
@common.options(
    common.mask_fit, common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form()
)
def command(
    chip: str, bundle: str, grid: tuple[str, ...], methods: str | None, out: Path | None, mask_fit: str | None,
    scenario: str | None, overrides: tuple[str, ...], engine: str, seed: int, jobs: int, form: str,
) -> None:  # fmt: skip
    """Every combination of values of chip keys, with every method: one row each.

    A combination that cannot be simulated is a row with its message, and makes the exit code 1.
    """
    if out is not None:
        common.check_writable(out)
    from xbarsim.chip import load_chip
    from xbarsim.cli.compare_ import able
    from xbarsim.network import load_network
    from xbarsim.results.store import write_text
    from xbarsim.studies.grid import parse_grid, points_of
    from xbarsim.studies.sweep import failures, sweep, to_json

    values = parse_grid(grid)
    machine, network = load_chip(chip, overrides), load_network(bundle, seed=seed)
    chosen = common.split_names(methods, "methods") if methods is not None else able(machine, network)
    with common.progress(len(points_of(values)) * len(chosen), "sweep") as step:
        frame = sweep(
            machine, network, values, methods=chosen, mask_fit=mask_fit, scenario=scenario, engine=engine, seed=seed,
            progress=step,
        )  # fmt: skip
    if out is not None:
        write_text(out, frame.to_csv(index=False))
    result = to_json(frame, machine.name, network)
    _emit(result, frame, form)
    failed = failures(frame)
    if failed:
        lines = [f"{count} of {len(frame)} rows: {message}" for message, count in failed]
        raise XbarsimError("some points failed:\n" + "\n".join(lines))


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

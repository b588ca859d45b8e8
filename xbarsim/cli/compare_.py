"""``xbarsim compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common
from xbarsim.errors import InputError

if TYPE_CHECKING:
    from xbarsim.chip import Chip
    from xbarsim.network import Network


@click.command("compare")
@click.argument("chip")
@click.argument("bundle")
@click.option("--methods", metavar="A,B,…", help="Methods; default: all that every task and the chip can do.")
@click.option("--devices", metavar="A,B,…", help="The whole comparison on each of these devices, and its range.")
@click.option("--pairs", "pairwise", is_flag=True, help="Break-even inferences per switch of every pair of methods.")
@common.options(
    common.mask_fit, common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form(),
    common.out,
)  # fmt: skip
def command(
    chip: str, bundle: str, methods: str | None, devices: str | None, pairwise: bool, mask_fit: str | None,
    scenario: str | None, overrides: tuple[str, ...], engine: str, seed: int, jobs: int, form: str, out: Path | None,
) -> None:  # fmt: skip
    """Adaption methods side by side on CHIP for the tasks of BUNDLE: means per switch, installation apart.

    The folder of --out also holds the energy per inference, its share of the switch included, over
    inferences per switch: breakeven.csv, breakeven.png and breakeven.svg.
    """
    common.check_new(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.results.store import write_comparison
    from xbarsim.studies.breakeven import curves
    from xbarsim.studies.compare import compare, to_json

    machine = load_chip(chip, common.with_mask_fit(overrides, mask_fit))
    network = load_network(bundle, seed=seed)
    chosen = common.split_names(methods, "methods") if methods is not None else able(machine, network)
    named = common.split_names(devices, "devices") if devices is not None else None
    with common.progress(len(chosen) * len(named or [1]), "compare") as step:
        frame = compare(machine, network, chosen, scenario, devices=named, engine=engine, seed=seed, progress=step)
    result = to_json(frame)
    if out is not None:
        write_comparison(frame, result, out, scenario, curves(result["rows"]))
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["pairs" if pairwise else "rows"])
    else:
        _tables(result, pairwise)
        common.notes(result["assumptions"], synthetic=result["synthetic"])


def able(chip: Chip, network: Network) -> list[str]:
    """Methods that every task has and that the chip is built for, in the order of the bundle."""
    from xbarsim.adaptions import Adaption

    tasks = list(network.tasks.values())
    if not tasks:
        raise InputError(f"{network.source}: network {network.name!r} has no tasks to switch between")
    shared = [name for name in tasks[0].methods if all(name in task.methods for task in tasks)]
    known = [name for name in shared if name in Adaption.known()]
    gated = [name for name in known if Adaption.named(name).gates and chip.file.gate is None]
    if gated:
        click.echo(f"left out: {', '.join(gated)}; chip {chip.name!r} has no column gates", err=True)
    found = [name for name in known if name not in gated]
    if not found:
        raise InputError(f"{network.source}: no method that every task has and the chip can do; see --methods")
    return found


def _tables(result: dict[str, Any], pairwise: bool) -> None:
    """One column per method, one line per quantity; over devices one row per device and method, and ranges."""
    from xbarsim.cli import tables

    title = f"{result['bundle']} on {result['chip']}, means per task switch"
    if "ranges" in result:
        tables.show(result["rows"], title, keys=2)
        tables.show(result["ranges"], "range over devices")
    else:
        tables.show_turned(_verdicts(result), title)
    if pairwise:
        tables.show(result["pairs"], "when a needs no more energy than b, in inferences per switch", keys=2)


def _verdicts(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows with the break-even point in words."""
    from xbarsim.studies.compare import BASELINE

    verdict, point = f"less energy than {BASELINE}", "… inferences per switch"
    rows = []
    for row in result["rows"]:
        shown = {key: value for key, value in row.items() if not key.startswith("break_even") and key != "cheaper"}
        kind = "-" if row["method"] == BASELINE else row["cheaper"] or row["break_even"]
        rows.append({**shown, verdict: kind, point: row["break_even_inferences"]})
    if all(row[point] is None for row in rows):
        rows = [{key: value for key, value in row.items() if key != point} for row in rows]
    return rows

"""``xbarsim compare``."""

from __future__ import annotations

from pathlib import Path

import click

from xbarsim.cli import common


@click.command("compare")
@click.argument("chip")
@click.argument("bundle")
@click.option("--methods", metavar="A,B,…", help="Methods; default: all that every task has tensors of.")
@common.options(common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form, common.out)
def command(
    chip: str, bundle: str, methods: str | None, scenario: str | None, overrides: tuple[str, ...], engine: str,
    seed: int, jobs: int, form: str, out: Path | None,
) -> None:  # fmt: skip
    """Adaption methods side by side on CHIP for the tasks of BUNDLE: means per switch, installation apart."""
    common.check_new(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.results.store import write_comparison
    from xbarsim.studies.compare import compare, to_json

    machine, network = load_chip(chip, overrides), load_network(bundle, seed=seed)
    chosen = [name.strip() for name in methods.split(",")] if methods is not None else _all(network)
    with common.progress(len(chosen), "compare") as step:
        frame = compare(machine, network, chosen, scenario, engine=engine, seed=seed, progress=step)
    result = to_json(frame)
    if out is not None:
        write_comparison(frame, result, out)
    if form == "json":
        common.emit_json(result)
        return
    common.emit_rows(result["rows"], form, f"{result['bundle']} on {result['chip']}, means per task switch")
    if form == "table":
        common.notes(result["assumptions"], synthetic=result["synthetic"])


def _all(network) -> list[str]:  # type: ignore[no-untyped-def]
    """Methods that every task has; in the order of the bundle."""
    from xbarsim.errors import InputError

    tasks = list(network.tasks.values())
    shared = [name for name in tasks[0].methods if all(name in task.methods for task in tasks)] if tasks else []
    if not shared:
        raise InputError(f"{network.source}: no method that every task has; name some with --methods")
    return shared

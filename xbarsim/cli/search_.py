"""``xbarsim search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common
from xbarsim.errors import InputError, XbarsimError

if TYPE_CHECKING:
    from xbarsim.studies.search import Found, Search
    from xbarsim.studies.store import Store


@click.command("search")
@click.argument("chip")
@click.argument("bundle")
@click.option("--space", metavar="FILE", required=True, help="Chip keys with their values or ranges, as YAML.")
@click.option("--minimize", metavar="A,B,…", help="Measures to be small: energy, latency, area, switch_energy, …")
@click.option("--maximize", metavar="A,B,…", help="Measures to be large: accuracy.")
@click.option("--constraint", "constraints", multiple=True, metavar="NAME>=VALUE", help="Bound; or NAME<=VALUE.")
@click.option("--trials", type=click.IntRange(1), default=100, show_default=True, help="Points to propose, in all.")
@click.option("--methods", metavar="A,B,…", default="xbm", show_default=True, help="Methods; several are searched too.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder that keeps every point; go on in it later.")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786; or local.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="For accuracy: draws of the cells.")
@click.option("--samples", type=click.IntRange(1), help="For accuracy: samples of each task; default: all.")
@common.options(
    common.mask_fit, common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form()
)
def command(
    chip: str, bundle: str, space: str, minimize: str | None, maximize: str | None, constraints: tuple[str, ...],
    trials: int, methods: str, out: Path | None, cluster: str | None, seeds: int, samples: int | None,
    mask_fit: str | None, scenario: str | None, overrides: tuple[str, ...], engine: str, seed: int, jobs: int,
    form: str,
) -> None:  # fmt: skip
    """The best chips of a space for the tasks of BUNDLE: a Pareto front where there are several objectives.

    With --out every point is stored when it is done: the same command goes on where it was ended, also with
    more --trials.
    """
    if out is not None and not out.exists():
        common.check_writable(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.studies.search import prepare
    from xbarsim.studies.store import open_store

    goals = {
        option: common.split_names(text, option) if text is not None else []
        for option, text in (("minimize", minimize), ("maximize", maximize), ("methods", methods))
    }
    if not goals["minimize"] and not goals["maximize"]:
        raise InputError("name at least one measure with --minimize or --maximize, as in --minimize energy,latency")
    study = prepare(
        load_chip(chip, overrides), load_network(bundle, seed=seed), space, **goals, constraints=constraints,
        mask_fit=mask_fit, scenario=scenario, engine=engine, seed=seed, seeds=seeds, samples=samples,
    )  # fmt: skip
    store = open_store(out, {**study.manifest, "trials": trials}, grows=["trials"])
    found = _carry_on(study, store, trials, jobs, cluster)
    for note in store.notes:
        click.echo(note, err=True)
    _emit(found, form)


def _carry_on(study: Search, store: Store, trials: int, jobs: int, cluster: str | None) -> Found:
    from xbarsim.studies.search import carry_on

    try:
        with common.progress(trials, "search") as step:
            return carry_on(study, store, trials, jobs=jobs, cluster=cluster, progress=step)
    except (KeyboardInterrupt, XbarsimError):
        if store.folder is not None:
            click.echo(f"what was done is in {store.folder}: the same command goes on from there", err=True)
        raise


def _emit(found: Found, form: str) -> None:
    result: dict[str, Any] = dict(found.result)
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["front"])
    else:
        from xbarsim.cli import tables

        hidden = {"front", "feasible", "error", "mask_fit", "fits", "extra_cells", "read_phases"}
        rows = [{key: value for key, value in row.items() if key not in hidden} for row in result["front"]]
        title = f"{result['bundle']} on {result['chip']}: best of {len(result['trials'])} trials"
        if rows:
            tables.show(rows, title)
        common.notes(result["assumptions"], synthetic=result["synthetic"])
    if not result["front"]:
        errors = dict.fromkeys(row["error"] for row in result["trials"] if row["error"])
        why = f"none of {len(result['trials'])} trials keeps every constraint and can be simulated"
        raise XbarsimError("\n".join([why, *errors]))

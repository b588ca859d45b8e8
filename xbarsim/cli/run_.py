"""``xbarsim run``."""

from __future__ import annotations

from pathlib import Path

import click

from xbarsim.cli import common


@click.command("run")
@click.argument("chip")
@click.argument("bundle")
@click.option("--method", default="xbm", show_default=True, help="Adaption method.")
@common.options(common.scenario, common.overrides, common.engine, common.seed, common.jobs, common.form, common.out)
def command(
    chip: str, bundle: str, method: str, scenario: str | None, overrides: tuple[str, ...], engine: str, seed: int,
    jobs: int, form: str, out: Path | None,
) -> None:  # fmt: skip
    """Latency, energy and endurance of a scenario of BUNDLE on CHIP."""
    common.check_new(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.results.store import write_run
    from xbarsim.studies.simulate import simulate

    with common.progress(1, "simulate") as step:
        step(bundle)
        run = simulate(
            load_chip(chip, overrides),
            load_network(bundle, seed=seed),
            method,
            scenario,
            engine=engine,
            seed=seed,
        )
    if out is not None:
        write_run(run, out)
    result = run.to_json()
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_rows(run.energy.to_dict("records"), "csv")
    else:
        _tables(result)


def _tables(result: dict) -> None:  # type: ignore[type-arg]
    title = f"{result['bundle']} on {result['chip']}, {result['method']}"
    latency, energy = result["latency_ns"] / 1e3, result["energy_pj"] / 1e6
    click.echo(f"{title}: {common.text(latency)} us, {common.text(energy)} uJ (installation apart)")
    common.emit_rows(result["tasks"], "table", "inference")
    hidden = {"moved"}
    switches = [{key: value for key, value in row.items() if key not in hidden} for row in result["switches"]]
    if switches:
        common.emit_rows(switches, "table", "task switches")
    common.emit_rows(sorted(result["components"], key=lambda row: -row["energy_pj"]), "table", "energy by component")
    common.emit_rows([result["install"]], "table", "installation")
    common.emit_rows([result["wear"]], "table", "wear, installation included")
    common.notes(result["assumptions"], synthetic=result["synthetic"])

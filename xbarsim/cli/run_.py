"""``xbarsim run``."""

from __future__ import annotations

from math import fsum
from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common, traces


@click.command("run")
@click.argument("chip")
@click.argument("bundle")
@click.option("--method", default="xbm", show_default=True, help="Adaption method.")
@click.option(
    "--switches-per-day", type=click.FloatRange(0, min_open=True), default=None,
    help="Rate of task switches that turns a lifetime into years.",
)  # fmt: skip
@click.option(
    "--activity", type=common.Choice(["default", "data"]), default="default", show_default=True,
    help="Rows driven: all in every read, or as the tasks' held-out samples drive them.",
)  # fmt: skip
@common.options(
    *traces.options, common.mask_fit, common.scenario, common.overrides, common.engine, common.seed, common.jobs,
    common.form(), common.out,
)  # fmt: skip
def command(
    chip: str, bundle: str, method: str, switches_per_day: float | None, activity: str, trace: Path | None,
    trace_window: str | None, mask_fit: str | None, scenario: str | None, overrides: tuple[str, ...], engine: str,
    seed: int, jobs: int, form: str, out: Path | None,
) -> None:  # fmt: skip
    """Latency, energy and endurance of a scenario of BUNDLE on CHIP."""
    common.check_new(out)
    window = traces.checked(trace, trace_window)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.results.store import write_run
    from xbarsim.studies.simulate import simulate

    machine = load_chip(chip, common.with_mask_fit(overrides, mask_fit))
    network = load_network(bundle, seed=seed)
    with common.progress(1, "simulate") as step:
        step(network.name)
        run = simulate(
            machine, network, method, scenario, engine=engine, seed=seed, switches_per_day=switches_per_day,
            activity=activity,
        )  # fmt: skip
    if trace is not None:
        from xbarsim.results.trace_files import write_trace
        from xbarsim.studies.timeline import trace as recorded

        found = recorded(machine, network, method, scenario, window, engine=engine, activity=activity)
        write_trace(found, trace)
    if out is not None:
        write_run(run, out, scenario)
    result = run.to_json()
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(run.energy.to_dict("records"))
    else:
        _tables(result)
        common.notes(result["assumptions"], synthetic=result["synthetic"])


def _tables(result: dict[str, Any]) -> None:
    from xbarsim.cli import tables

    latency, energy = (tables.text(result[key], key) for key in ("latency_ns", "energy_pj"))
    title = f"{result['bundle']} on {result['chip']}, {result['method']}: {latency}, {energy} (installation apart)"
    if result["activity"] != "default":
        title += f"; rows driven: {result['activity']}"
    click.echo(title + "\n")
    tables.show(result["tasks"], "inference")
    switches = [{key: value for key, value in row.items() if key != "moved"} for row in result["switches"]]
    tables.show(switches, "task switches", keys=2)
    tables.show(_shares(result["components"]), "energy by component", keys=2)
    tables.show([result["install"]], "installation")
    tables.show([_plain(result["wear"])], "wear, installation included")
    lifetime = result["lifetime"]
    tables.show(lifetime["rows"], f"lifetime of {lifetime['device']}, the scenario repeated", keys=3)
    if not result["mask_fit"]["fits"]:
        tables.show([result["mask_fit"]], "masks of another crossbar height")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """What fits into one line."""
    return {key: value for key, value in row.items() if not isinstance(value, list)}


def _shares(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Components with their share of the energy, the hungriest first."""
    total = fsum(row["energy_pj"] for row in components)
    rows = sorted(components, key=lambda row: -row["energy_pj"])
    return [
        {
            "component": row["component"],
            "action": row["action"],
            "energy_pj": row["energy_pj"],
            "share": row["energy_pj"] / total if total else 0.0,
            "count": row["count"],
        }
        for row in rows
    ]

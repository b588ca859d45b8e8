"""``xbarsim serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common

COUNTS = ("task", "requests", "offered_per_s", "served_per_s")
"""Columns of the tasks that stand in front of both latency and wait."""


@click.command("serve")
@click.argument("chip")
@click.argument("bundle")
@click.option(
    "--arrivals", required=True, metavar="KIND:…",
    help="poisson:2000/s, uniform:2000/s (evenly spaced) or trace:FILE.csv (columns time_ns, task).",
)  # fmt: skip
@click.option("--mix", metavar="TASK:SHARE,…", help="Shares of the tasks, adding up to 1; default: equal.")
@click.option(
    "--policy", default="fifo", show_default=True, metavar="NAME[:KEY=VALUE,…]",
    help="Which request comes next: fifo, batch-by-task[:limit=N], deadline:TASK=5ms,others=20ms.",
)  # fmt: skip
@click.option("--method", default="xbm", show_default=True, help="Adaption method.")
@click.option("--duration", metavar="TIME", help="How long requests arrive, as in 10s; a trace: to its last one.")
@click.option("--warmup", metavar="TIME", help="How much of that is not counted; default: a tenth.")
@click.option(
    "--pipeline", type=common.Choice(["on", "off"]), default="on", show_default=True,
    help="Inferences of one task behind each other, or one at a time.",
)  # fmt: skip
@common.options(common.mask_fit, common.overrides, common.engine, common.seed, common.form(), common.out)
def command(
    chip: str, bundle: str, arrivals: str, mix: str | None, policy: str, method: str, duration: str | None,
    warmup: str | None, pipeline: str, mask_fit: str | None, overrides: tuple[str, ...], engine: str, seed: int,
    form: str, out: Path | None,
) -> None:  # fmt: skip
    """Requests for the tasks of BUNDLE against one CHIP: latency, throughput, switches, energy, lifetime.

    The seed also draws arrivals and tasks. The folder of --out holds every request too.
    """
    common.check_new(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.studies.serve import serve, write_serving

    machine = load_chip(chip, common.with_mask_fit(overrides, mask_fit))
    network = load_network(bundle, seed=seed)
    with common.progress(1, "serve") as step:
        step(network.name)
        serving = serve(
            machine, network, arrivals, mix=mix, policy=policy, method=method, duration=duration, warmup=warmup,
            pipeline=pipeline == "on", engine=engine, seed=seed,
        )  # fmt: skip
    if out is not None:
        write_serving(serving, out)
    result = serving.to_json()
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["tasks"])
    else:
        _tables(result)
        common.notes(result["assumptions"], synthetic=result["synthetic"])
    if result["overloaded"]:
        click.echo("overloaded: the queue grew all along; latencies depend on the duration", err=True)


def _tables(result: dict[str, Any]) -> None:
    from xbarsim.cli import tables

    span = tables.text(result["duration_ns"] - result["warmup_ns"], "_ns").strip()
    title = f"{result['bundle']} on {result['chip']}, {result['method']}, {result['policy']}: {result['arrivals']}"
    tables.show(_columns(result["tasks"], "latency"), f"{title}, {span}\n\nlatency, from arrival to answer")
    tables.show(_columns(result["tasks"], "wait"), "wait, from arrival to entering the chip")
    chip = ("utilisation", "switching_share", "switches_per_s", "waiting_mean", "waiting_max", "lifetime_years")
    tables.show([{key: result[key] for key in chip}], "chip")
    tables.show([result["energy"]], "energy of a request; idle: standing power while nothing is to do, apart")
    tables.show(result["service"], "an inference")
    tables.show([row for row in result["switches"] if row["times"]], "switches", keys=2)


def _columns(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Counts and the columns that begin with ``name``, which is left out; missed deadlines where there are any."""
    more = ("late_share",) if name == "latency" and rows[0]["late_share"] is not None else ()
    return [
        {
            **{key: row[key] for key in COUNTS},
            **{key.removeprefix(f"{name}_"): value for key, value in row.items() if key.startswith(f"{name}_")},
            **{key: row[key] for key in more},
        }
        for row in rows
    ]

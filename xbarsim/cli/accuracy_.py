"""``xbarsim accuracy``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common


@click.command("accuracy")
@click.argument("chip")
@click.argument("bundle")
@click.option("--tasks", metavar="A,B,…", help="Tasks; default: all.")
@click.option("--methods", metavar="A,B,…", help="Methods; default: all that a task has and the chip can do.")
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="How often cells are drawn.")
@click.option("--seed", type=int, default=0, show_default=True, help="The first of these seeds.")
@click.option("--layers", metavar="A,B,…", help="Layers on the chip, the others in integers; default: all.")
@click.option("--samples", type=click.IntRange(1), help="So many samples of each task; default: all held-out ones.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON object to this file.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes; results do not depend on it; default: all cores")
@common.options(common.mask_fit, common.overrides, common.form())
def command(
    chip: str, bundle: str, tasks: str | None, methods: str | None, seeds: int, seed: int, layers: str | None,
    samples: int | None, out: Path | None, jobs: int | None, mask_fit: str | None, overrides: tuple[str, ...],
    form: str,
) -> None:  # fmt: skip
    """Accuracy of the tasks of BUNDLE: in floats, in integers, through the converters of CHIP, with its cells.

    The first three are single runs, with the sampling error of the samples as interval; cells are drawn for
    every seed, and the mean over seeds has the interval of its scatter. All intervals are of 95 %.
    """
    if out is not None:
        common.check_writable(out)
    from xbarsim.chip import load_chip
    from xbarsim.network import load_network
    from xbarsim.results.store import write_text
    from xbarsim.studies.accuracy import accuracy
    from xbarsim.studies.pool import cores

    named = {
        option: common.split_names(text, option) if text is not None else None
        for option, text in (("tasks", tasks), ("methods", methods), ("layers", layers))
    }
    machine = load_chip(chip, common.with_mask_fit(overrides, mask_fit))
    network = load_network(bundle)
    with common.progress(1, "accuracy") as step:
        found = accuracy(
            machine, network, seeds=seeds, seed=seed, samples=samples, jobs=jobs or cores(), progress=step, **named
        )
    result = found.to_json()
    if out is not None:
        write_text(out, json.dumps(result, indent=1, allow_nan=False) + "\n")
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["rows"])
    else:
        _table(result)
        common.notes(result["assumptions"], synthetic=False)


def _table(result: dict[str, Any]) -> None:
    """One line per task and method."""
    from xbarsim.cli import tables

    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in result["rows"]:
        line = lines.setdefault((row["task"], row["method"]), {"task": row["task"], "method": row["method"]})
        line[row["stage"]] = _percent(row["accuracy"])
    for row in result["rows"]:
        line = lines[row["task"], row["method"]]
        line["95 % from"], line["to"] = _percent(row["low"]), _percent(row["high"])
        line["over"] = f"{row['seeds']} seeds" if row["interval"] == "seeds" else f"{row['samples']} samples"
    for (task, method), line in lines.items():
        line["noisiest layer"] = _noisiest(result["layers"], task, method)
    title = f"{result['bundle']} on {result['chip']}: accuracy; interval of the last stage"
    tables.show(list(lines.values()), title, keys=2)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _noisiest(layers: list[dict[str, Any]], task: str, method: str) -> str:
    """The layer with the least signal-to-noise ratio in the last stage."""
    noisy = [
        (row["snr_db"], row["layer"])
        for row in layers
        if (row["task"], row["method"], row["stage"]) == (task, method, "cells") and row["snr_db"] is not None
    ]
    return "{1} {0:.1f} dB".format(*min(noisy)) if noisy else "all exact"

"""``xbarsim learn``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xbarsim.cli import common
from xbarsim.errors import InputError


@click.command("learn")
@click.argument("chip")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle to write, NAME.xmn.")
@click.option("--overwrite", is_flag=True, help="Put the new bundle in the place of an older one.")
@click.option("--keep", is_flag=True, help="Keep the folder of checkpoints beside the bundle.")
@click.option("--tasks", metavar="A,B,…", help="Some tasks of the file; default: all.")
@click.option("--methods", metavar="A,B,…", help="Some methods of the file; default: all.")
@click.option(
    "--epochs", type=click.IntRange(1), help="Epochs of the backbone and of every method, in place of the file's."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of everything that is drawn, in place of the file's."
)
@common.options(common.overrides, common.jobs, common.form())
def command(
    chip: str, spec: Path, out: Path, overwrite: bool, keep: bool, tasks: str | None, methods: str | None,
    epochs: int | None, seed: int | None, overrides: tuple[str, ...], jobs: int, form: str,
) -> None:  # fmt: skip
    """Learn every method of SPEC.yaml on every task for the crossbars of CHIP, and write them as one bundle.

    What is learned is kept beside the bundle, in NAME.xmn.learning: a command that was killed goes on from there
    when it is given again, to the same bytes. The folder is removed once the bundle is written.
    """
    _check_out(out, overwrite)
    from xbarsim.chip import load_chip
    from xbarsim.learning.spec import read_spec

    named = {
        option: common.split_names(text, option) if text is not None else None
        for option, text in (("tasks", tasks), ("methods", methods))
    }
    machine = load_chip(chip, overrides)
    wanted = read_spec(spec, epochs=epochs, seed=seed, **named)
    try:
        from xbarsim.learning.workload import accuracies, learn_workload, pieces_of
    except ModuleNotFoundError as missing:
        raise InputError(f"xbarsim learn needs {missing.name}: pip install 'xbarsim[learn]'") from None
    with common.progress(len(pieces_of(wanted)), "learn") as step:
        network = learn_workload(machine, wanted, out, jobs=jobs, overwrite=overwrite, keep=keep, progress=step)
    result: dict[str, Any] = {
        "schema": "xbarsim.learn/1",
        "chip": machine.name,
        "bundle": network.name,
        "path": str(out),
        "seed": wanted.value.seed,
        "rows": accuracies(network),
    }
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["rows"])
    else:
        _table(result)


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuse a place that cannot take the bundle, before anything is learned."""
    if out.suffix != ".xmn":
        raise InputError(f"--out {out}: the name of a bundle ends in .xmn")
    if not overwrite:
        common.check_new(out)
    common.check_writable(out)


def _table(result: dict[str, Any]) -> None:
    """One line per method, one column per task: accuracy with integer weights and inputs."""
    from xbarsim.cli import tables

    lines: dict[str, dict[str, Any]] = {}
    for row in result["rows"]:
        line = lines.setdefault(row["method"], {"method": row["method"]})
        line[row["task"]] = f"{100 * row['quantised']:.2f} %"
    tables.show(list(lines.values()), f"{result['bundle']}: accuracy with integer weights and inputs")

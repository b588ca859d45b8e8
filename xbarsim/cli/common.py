"""What the commands share: options, JSON and CSV, progress."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from xbarsim.errors import InputError, did_you_mean

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Choice(click.Choice[str]):
    """One of a few words; says which one was probably meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or fail naming the nearest one."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as fault:
            self.fail(fault.message.rstrip(".") + did_you_mean(str(value), self.choices), param, ctx)


overrides = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the chip.")
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of synthetic weights and masks.")
scenario = click.option(
    "--scenario", metavar="TASK:N,…", help="Tasks and inferences, in order; default: each task once."
)
engine = click.option(
    "--engine", type=Choice(["compiled", "reference"]), default="compiled", show_default=True,
    help="Executor of the dataflow graph; both agree to the picosecond.",
)  # fmt: skip
out = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a run directory; it must not exist yet.",
)
mask_fit = click.option(
    "--mask-fit", type=Choice(["strict", "repack", "phased", "resample"]), default=None,
    help="What to do with column masks that were learned for another crossbar height (mapping.mask_fit).",
)  # fmt: skip
jobs = click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True,
    help="Processes for studies of several runs; results do not depend on it.",
)  # fmt: skip


def form(default: str = "table") -> Callable[[Decorated], Decorated]:
    """Return the option ``--format`` with this default."""
    return click.option(
        "--format", "form", type=Choice(["table", "json", "csv"]), default=default, show_default=True,
        help="Form of the result on standard output.",
    )  # fmt: skip


def options(*decorators: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    """Several options as one decorator."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def with_mask_fit(overrides: tuple[str, ...], mask_fit: str | None) -> tuple[str, ...]:
    """Overrides of the chip with what ``--mask-fit`` says."""
    return overrides if mask_fit is None else (*overrides, f"mapping.mask_fit={mask_fit}")


def split_names(text: str, option: str) -> list[str]:
    """Names between commas; an empty one is a fault."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"--{option} {text!r}: names an empty one; write for example --{option} a,b")
    return names


def check_new(path: Path | None) -> None:
    """Refuse an output folder that exists or cannot be made, before any work is done."""
    if path is None:
        return
    if os.path.lexists(path):
        raise InputError(f"--out {path}: exists already; name a new folder or remove it")
    check_writable(path)


def check_writable(path: Path) -> None:
    """Refuse a path whose folder is missing or takes no files, before any work is done."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {parent}")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".xbarsim.", dir=parent))
    except OSError as reason:
        raise InputError(f"--out {path}: cannot be written: {(reason.strerror or str(reason)).lower()}") from None


def emit_json(value: Any) -> None:
    """Print a JSON object."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))


def emit_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as CSV, with the columns of all of them."""
    import csv

    if rows:
        columns = dict.fromkeys(key for row in rows for key in row)
        writer = csv.DictWriter(sys.stdout, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def notes(lines: Sequence[str], *, synthetic: bool) -> None:
    """Say under a table what is assumed."""
    if synthetic:
        click.echo("synthetic: weights or masks are drawn from the seed, not learned", err=True)
    if lines:
        click.echo(f"{len(lines)} assumptions; --format json lists them", err=True)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error where somebody watches; call it with what is being done."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    several = [BarColumn(), MofNCompleteColumn()] if total > 1 else []
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), *several, TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        first = True

        def step(name: str) -> None:
            nonlocal first
            bar.update(task, advance=0 if first else 1, description=f"{what}: {name}")
            first = False

        yield step

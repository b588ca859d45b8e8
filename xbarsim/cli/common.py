"""What the commands share: options, output forms, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from xbarsim.errors import InputError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

overrides = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the chip.")
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of synthetic weights and masks.")
scenario = click.option(
    "--scenario", metavar="TASK:N,…", help="Tasks and inferences, in order; default: each task once."
)
engine = click.option(
    "--engine", type=click.Choice(["compiled", "reference"]), default="compiled", show_default=True,
    help="Executor of the dataflow graph; both agree to the picosecond.",
)  # fmt: skip
form = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="Form of the result on standard output.",
)  # fmt: skip
out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a run directory; it must not exist yet.",
)
jobs = click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True,
    help="Processes for studies of several runs; results do not depend on it.",
)  # fmt: skip


def options(*decorators: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    """Several options as one decorator."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def check_new(path: Path | None) -> None:
    """Refuse an output folder that exists, before any work is done."""
    if path is not None and path.exists():
        raise InputError(f"--out {path}: exists already; name a new folder or remove it")
    if path is not None and not path.absolute().parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.absolute().parent}")


def emit_json(value: Any) -> None:
    """Print a JSON object."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))


def emit_rows(rows: Sequence[Mapping[str, Any]], form: str, title: str = "") -> None:
    """Print rows as a table or as CSV."""
    if form == "csv":
        import csv

        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for name in rows[0] if rows else ():
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text(value) for value in row.values()))
    console().print(table)


def console() -> Any:
    """A console on standard output, as wide as it must be where nobody looks at a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def text(value: Any) -> str:
    """A value for people: six digits, thousands apart, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def notes(lines: Sequence[str], *, synthetic: bool) -> None:
    """Say under a table what is assumed."""
    if synthetic:
        click.echo("synthetic: weights and masks are drawn from the seed, not learned", err=True)
    if lines:
        click.echo(f"{len(lines)} assumptions; --format json lists them", err=True)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error where somebody watches; call it with what is being done."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        first = True

        def step(name: str) -> None:
            nonlocal first
            bar.update(task, advance=0 if first else 1, description=f"{what}: {name}")
            first = False

        yield step

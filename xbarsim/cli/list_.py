"""``xbarsim list``."""

from __future__ import annotations

import click

from xbarsim.cli import common

KINDS = ("chips", "devices", "workloads", "methods")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@common.form
def command(kind: str | None, form: str) -> None:
    """What there is, by name: chips, devices, workloads, methods."""
    found = {name: _rows(name) for name in ([kind] if kind else KINDS)}
    if form == "json":
        common.emit_json({"schema": "xbarsim.list/1", **found})
        return
    for name, rows in found.items():
        common.emit_rows(rows, form, name)


def _rows(kind: str) -> list[dict[str, str]]:
    from xbarsim.config import known

    if kind != "methods":
        folder = {"chips": "arch_configs"}.get(kind, kind)
        return [{"name": name} for name in known(folder)]
    from xbarsim.adaptions import Adaption

    methods = [Adaption.named(name) for name in Adaption.known()]
    return [
        {
            "name": m.name,
            "granularity": m.granularity,
            "rewrites": m.rewrites,
            "stores": m.stores,
            "source": m.source,
        }
        for m in methods
    ]

"""``xbarsim list``."""

from __future__ import annotations

import click

from xbarsim.cli import common

KINDS = ("chips", "devices", "workloads", "methods")


@click.command("list")
@click.argument("kind", type=common.Choice(KINDS), required=False)
@common.form()
def command(kind: str | None, form: str) -> None:
    """What there is, by name: chips, devices, workloads, methods."""
    found = {name: _rows(name) for name in ([kind] if kind else KINDS)}
    if form == "json":
        common.emit_json({"schema": "xbarsim.list/1", **found})
    elif form == "csv":
        common.emit_csv([{"kind": name, **row} for name, rows in found.items() for row in rows])
    else:
        _tables(found)


def _tables(found: dict[str, list[dict[str, str]]]) -> None:
    from xbarsim.cli import tables

    plain = {name: ", ".join(row["name"] for row in rows) for name, rows in found.items() if name != "methods"}
    if plain:
        tables.show_facts(plain)
    tables.show(found.get("methods", []), "methods")


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

"""``xbarsim show``."""

from __future__ import annotations

import click

from xbarsim.cli import common


@click.command("show")
@click.argument("chip")
@click.argument("network", required=False)
@click.option("--facts", is_flag=True, help="Where every figure of the chip comes from.")
@common.options(common.overrides, common.seed, common.form)
def command(chip: str, network: str | None, facts: bool, overrides: tuple[str, ...], seed: int, form: str) -> None:
    """CHIP itself, or how NETWORK sits on it: need against have, never a refusal."""
    from xbarsim.chip import load_chip

    machine = load_chip(chip, overrides)
    if network is None:
        _chip(machine, facts, form)
        return
    from xbarsim.network import load_network
    from xbarsim.studies.show import show

    result = show(machine, load_network(network, seed=seed))
    if form == "json":
        common.emit_json(result)
        return
    layers = result.pop("layers")
    if form == "table":
        plain = {key: value for key, value in result.items() if not isinstance(value, dict)}
        common.emit_rows([{"what": key, "value": value} for key, value in plain.items()], form)
        common.emit_rows([{"method": k, "mask_bits": v} for k, v in result["mask_bits"].items()], form)
    common.emit_rows(layers, form, "layers")


def _chip(machine, facts: bool, form: str) -> None:  # type: ignore[no-untyped-def]
    """The figures of a chip, with their sources."""
    rows = [
        {
            "key": traced.path,
            "value": float(traced.value),
            "unit": traced.unit,
            "how": traced.how,
            "source": traced.publication,
            "place": traced.place,
            "note": traced.note,
        }
        for traced in machine.traced
    ]
    if not facts:
        rows = [{key: row[key] for key in ("key", "value", "unit", "how")} for row in rows]
    if form == "json":
        common.emit_json({"schema": "xbarsim.chip/1", "chip": machine.name, "notes": machine.file.notes, "facts": rows})
        return
    common.emit_rows(rows, form, machine.name)

"""``xbarsim show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common

if TYPE_CHECKING:
    from xbarsim.chip import Chip


@click.command("show")
@click.argument("chip")
@click.argument("network", required=False)
@click.option("--facts", is_flag=True, help="Where every figure of the chip comes from; without NETWORK.")
@click.option(
    "--accelergy", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Write the chip's prices and areas as Accelergy's ERT.yaml and ART.yaml; without NETWORK.",
)  # fmt: skip
@common.options(common.overrides, common.seed, common.form())
def command(
    chip: str,
    network: str | None,
    facts: bool,
    accelergy: Path | None,
    overrides: tuple[str, ...],
    seed: int,
    form: str,
) -> None:
    """CHIP itself (power, area, throughput by component), or how NETWORK sits on it: need against have."""
    if network is not None and (facts or accelergy):
        raise click.UsageError("--facts and --accelergy are about a chip alone; leave NETWORK out")
    common.check_new(accelergy)
    from xbarsim.chip import load_chip

    machine = load_chip(chip, overrides)
    if network is None:
        if accelergy:
            _write_tables(machine, accelergy)
        _chip(machine, facts, form)
        return
    from xbarsim.network import load_network
    from xbarsim.studies.show import show

    result = show(machine, load_network(network, seed=seed))
    if form == "json":
        common.emit_json(result)
    elif form == "csv":
        common.emit_csv(result["layers"])
    else:
        _tables(result)


def _tables(result: dict[str, Any]) -> None:
    from xbarsim.cli import tables

    need = [
        {"what": what, "need": result[f"{what}_needed"], "have": result[f"{what}_available"]}
        for what in ("crossbars", "tiles")
    ]
    verdict = "fits" if result["fits"] else "does not fit"
    chips = "1 chip" if result["chips"] == 1 else f"{result['chips']} chips"
    tables.show(need, f"{result['network']} on {chips} {result['chip']}: {verdict}; copies and heads included")
    keys = "weights weight_bits input_bits logical_columns physical_columns crossbars utilisation".split()
    facts = {tables.label(key): tables.text(result[key], key) for key in keys}
    masks = result["mask_bits"].items()
    facts |= {f"{name} mask bits per task": tables.text(bits) for name, bits in masks}
    tables.show_facts(facts, "one copy of the backbone")
    tables.show(result["layers"], "layers")


def _write_tables(machine: Chip, folder: Path) -> None:
    """Accelergy's tables of a chip."""
    import yaml

    from xbarsim.chip.accelergy import art, ert
    from xbarsim.chip.budget import budget_of
    from xbarsim.chip.prices import prices

    areas = {item.component: item.area_um2 for item in budget_of(machine).items}
    folder.mkdir()
    for name, table in (("ERT", ert(prices(machine))), ("ART", art(areas))):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")


def _chip(machine: Chip, facts: bool, form: str) -> None:
    """What a chip takes at full activity, or its figures with their sources."""
    from xbarsim.studies.describe import describe

    rows = _figures(machine, facts)
    result = describe(machine)
    if form == "json":
        common.emit_json({**result, "facts": rows})
    elif form == "csv":
        common.emit_csv(rows if facts else result["components"])
    elif facts:
        _facts_tables(machine, rows)
    else:
        _chip_tables(result)


def _figures(machine: Chip, facts: bool) -> list[dict[str, Any]]:
    """Every figure of a chip; with ``facts`` where it comes from."""
    return [
        {"key": traced.path, "value": float(traced.value), "unit": traced.unit, "how": traced.how}
        | ({"source": traced.publication, "place": traced.place, "note": traced.note} if facts else {})
        for traced in machine.traced
    ]


def _chip_tables(result: dict[str, Any]) -> None:
    """Power, area, throughput and density of a busy chip, by level and by component."""
    from xbarsim.cli import tables

    summary = result["summary"]
    facts = {
        "power": f"{tables.number(summary['power_w'])} W",
        "area": f"{tables.number(summary['area_mm2'])} mm2",
        "peak throughput": f"{tables.number(summary['peak_tops'])} TOPS at {summary['weight_bits']}-bit weights, "
        f"{summary['input_bits']}-bit inputs, a product being two operations",
        "efficiency": f"{tables.text(summary['tops_per_w'])} TOPS/W, {tables.text(summary['gops_per_mm2'])} GOPS/mm2",
        "weights": f"{tables.number(summary['weights_mib'])} MiB, {tables.text(summary['mib_per_mm2'])} MiB/mm2",
        "crossbars": f"{summary['crossbars']:,} in {summary['tiles']} tiles",
    }
    if summary["unit_columns_w"]:
        facts["unit columns"] = f"left out; their reads and conversions would add {summary['unit_columns_w']:.3g} W"
    tables.show_facts(facts, f"{result['chip']}, everything busy")
    tables.show(result["levels"], "by level")
    tables.show(result["components"], "by component")
    if result["task_hardware"]:
        _task_tables(result["task_hardware"])
    for line in (*result["assumptions"], *result["notes"]):
        click.echo(line)


def _task_tables(hardware: dict[str, Any]) -> None:
    """Gates, mask buffers and shifters."""
    from xbarsim.cli import tables

    shares = (f"{100 * hardware[key]:.2g} %" for key in ("share", "share_least", "share_most"))
    title = "what tasks need: {} of the chip's area as stated, {} to {} over assumptions".format(*shares)
    tables.show(hardware["parts"], title)


def _facts_tables(machine: Chip, rows: list[dict[str, Any]]) -> None:
    """The figures, each publication as a number that is spelt out below."""
    from xbarsim.cli import tables

    plain = [{**row, "unit": "" if row["unit"] == "1" else row["unit"]} for row in rows]
    shown, sources = tables.numbered(plain, "source")
    tables.show(shown, machine.name)
    tables.show_facts(sources)
    for note in machine.file.notes:
        click.echo(note)

"""``xbarsim validate``."""

from __future__ import annotations

from typing import Any

import click

from xbarsim.cli import common
from xbarsim.errors import CheckFailed

RULES = {"at_most": "at most", "at_least": "at least", "more_than": "more than"}
"""Measures that are bounds."""


@click.command("validate")
@click.argument("chip", required=False)
@common.form()
def command(chip: str | None, form: str) -> None:
    """Published figures against simulated ones, of CHIP or of all chips; exit code 3 if a tier-1 row fails."""
    from xbarsim.studies.validate import SCHEMA, chosen, row_of

    targets = list(chosen(chip))
    rows = []
    with common.progress(len(targets), "validate") as step:
        for target in targets:
            step(target.name)
            rows.append(row_of(target))
    if form == "json":
        common.emit_json({"schema": SCHEMA, "rows": rows})
    elif form == "csv":
        common.emit_csv(rows)
    else:
        _table(rows)
    failed = [row["id"] for row in rows if row["tier"] == 1 and not row["holds"]]
    if failed:
        raise CheckFailed(f"does not hold: {', '.join(failed)}")


def _table(rows: list[dict[str, Any]]) -> None:
    """The rows, each source as a number that is spelt out below."""
    from xbarsim.cli import tables

    shown, sources = tables.numbered([_shown(row) for row in rows], "source")
    holding = sum(row["holds"] for row in rows if row["tier"] == 1)
    must = sum(row["tier"] == 1 for row in rows)
    tables.show(shown, f"published against simulated: {holding} of {must} rows hold that must (tier 1)")
    tables.show_facts(sources)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: a relative difference in per cent, an absolute one as it is."""
    from xbarsim.cli import tables

    relative = row["measure"] == "relative"
    order = "id published simulated difference tolerance holds tier quantity evidence source".split()
    return {key: row[key] for key in order} | {
        "difference": tables.text(row["difference"], "difference") if relative else tables.text(row["difference"]),
        "tolerance": tables.text(row["tolerance"], "tolerance") if relative else _tolerance(row),
    }


def _tolerance(row: dict[str, Any]) -> str:
    from xbarsim.cli import tables

    return RULES.get(row["measure"]) or tables.text(row["tolerance"])

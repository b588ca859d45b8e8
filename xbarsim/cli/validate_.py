"""``xbarsim validate``."""

from __future__ import annotations

import click

from xbarsim.cli import common
from xbarsim.errors import CheckFailed


@click.command("validate")
@click.argument("chip", required=False)
@common.form
def command(chip: str | None, form: str) -> None:
    """Published figures against simulated ones, of CHIP or of all chips; exit code 3 if a tier-1 row fails."""
    from xbarsim.studies.validate import SCHEMA, validate

    rows = validate(chip)
    if form == "json":
        common.emit_json({"schema": SCHEMA, "rows": rows})
    else:
        common.emit_rows(rows, form, "published against simulated")
    failed = [row["id"] for row in rows if row["tier"] == 1 and not row["holds"]]
    if failed:
        raise CheckFailed(f"does not hold: {', '.join(failed)}")

"""A run as a notebook shows it: the figures that matter, in a few lines of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from xbarsim.results.report.page import Table, table
from xbarsim.results.report.run_page import SWITCHES, TASKS, headline

if TYPE_CHECKING:
    from xbarsim.results.run import Run

MOST_ROWS = 8
"""Rows of a table; a scenario may have thousands."""

CELL = "padding:2px 8px;text-align:{}"
SHOWN = ("from", "to", "times", "latency_ns", "energy_pj", "cells_written", "mask_bits")
"""Columns of the table of switches."""


def run_html(run: Run) -> str:
    """Summary of a run with its inferences and switches; everything from outside is escaped."""
    result = run.to_json()
    title = f"{result['bundle']} on {result['chip']} with {result['method']}"
    lines = [f"<strong>{escape(title)}</strong>"]
    if result["synthetic"]:
        lines.append("<p><em>Synthetic: weights or masks are drawn from the seed, not learned.</em></p>")
    facts = "; ".join(f"{escape(label)} <strong>{escape(value)}</strong>" for label, value in headline(result))
    lines.append(f"<p>{facts}</p>")
    lines += _table("inferences", result["tasks"], TASKS)
    lines += _table("task switches", result["switches"], {key: SWITCHES[key] for key in SHOWN})
    lines.append(f"<p>{len(result['assumptions'])} assumptions: <code>run.assumptions</code></p>")
    return f'<div style="font-size:90%">{"".join(lines)}</div>'


def _table(name: str, rows: list[dict[str, Any]], headings: dict[str, str]) -> list[str]:
    made = table(name, name, rows[:MOST_ROWS], headings)
    return [] if made is None else [_html(made, len(rows) - MOST_ROWS)]


def _html(made: Table, left_out: int) -> str:
    sides = ["right" if column.number else "left" for column in made.columns]
    head = "".join(
        f'<th scope="col" style="{CELL.format(side)}">{escape(column.title)}</th>'
        for column, side in zip(made.columns, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{CELL.format(side)}">{escape(cell)}</td>' for (cell, _), side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in made.rows
    )
    more = f"<p>{left_out} more rows</p>" if left_out > 0 else ""
    caption = f'<caption style="text-align:left">{escape(made.caption)}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

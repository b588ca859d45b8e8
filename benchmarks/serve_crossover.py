"""At which load and mix does masking beat rewriting? `python benchmarks/serve_crossover.py [--quick] [FOLDER]`.

Poisson requests for two tasks of digits on two chips: xbm_72, for whose 72 rows the column masks were learned, and
the same with 128 rows, which reads the two mask groups of a crossbar one after the other (mask_fit: phased), so
that a masked inference takes twice as long and more energy. Writes serve_mix and serve_load, each as CSV and PNG,
into FOLDER (docs/figures).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import xbarsim as xs
from xbarsim.studies.serve import serve
from xbarsim.studies.service import Service, measure

TASKS = ("digits", "rotated")
CHIPS = {
    "72 rows: masks as learned": [],
    "128 rows: masks in phases": ["crossbar.rows=128", "mapping.mask_fit=phased"],
}
RATE_PER_S = 1000
"""Requests per second of the mixes."""

RARE = 0.0002
"""Share of the rarer task under rising load."""


@dataclass(frozen=True)
class Line:
    """A method with a policy, and how it is drawn: apart in colour, dash and marker."""

    method: str
    policy: str
    label: str
    look: dict[str, Any]


LINES = (
    Line("xbm", "fifo", "XBM (masks)", {"color": "#0072B2", "marker": "o", "linestyle": "-"}),
    Line("piggyback", "fifo", "Piggyback (rewrites)", {"color": "#009E73", "marker": "^", "linestyle": "-."}),
    Line("finetune", "fifo", "fine-tuning (rewrites)", {"color": "#D55E00", "marker": "s", "linestyle": "--"}),
    Line("finetune", "batch-by-task", "fine-tuning, batches", {"color": "#CC79A7", "marker": "D", "linestyle": ":"}),
)


def services() -> dict[tuple[str, str], tuple[Any, Service]]:
    """Chip and service times by (chip, method)."""
    network, found = xs.load_bundle("digits"), {}
    for name, overrides in CHIPS.items():
        chip = xs.load_chip("xbm_72", overrides)
        for method in dict.fromkeys(line.method for line in LINES):
            found[name, method] = chip, measure(chip, network, method, TASKS)
    return found


def point(chip: Any, service: Service, line: Line, rate: float, rare: float, count: int) -> dict[str, Any]:
    """One study of ``count`` requests."""
    mix = f"{TASKS[0]}:{1 - rare:.6f},{TASKS[1]}:{rare:.6f}"
    duration = f"{max(1, round(count / rate * 1e6))}us"
    serving = serve(
        chip, xs.load_bundle("digits"), f"poisson:{rate:.6f}/s", mix=mix, policy=line.policy, method=line.method,
        duration=duration, service=service,
    )  # fmt: skip
    result = serving.to_json()
    every = result["tasks"][0]
    return {
        "method": line.method, "policy": line.policy, "rate_per_s": rate, "share": rare,
        "requests": every["requests"], "overloaded": result["overloaded"], "mean_ns": every["latency_mean_ns"],
        "low_ns": every["latency_low_ns"], "high_ns": every["latency_high_ns"], "p99_ns": every["latency_p99_ns"],
        "energy_pj": result["energy"]["per_request_pj"], "switches_per_s": result["switches_per_s"],
        "utilisation": result["utilisation"], "lifetime_years": result["lifetime_years"],
    }  # fmt: skip


def rows(
    known: dict[tuple[str, str], tuple[Any, Service]], cases: Sequence[tuple[float, float]], count: int
) -> Iterator[dict[str, Any]]:
    for name in CHIPS:
        for line in LINES:
            chip, service = known[name, line.method]
            for rate, rare in cases:
                yield {"chip": name, **point(chip, service, line, rate, rare, count)}


PANELS = (
    ("energy_pj", 1e-6, "energy per request (µJ)"),
    ("mean_ns", 1e-3, "mean latency (µs)"),
    ("p99_ns", 1e-3, "99th percentile of latency (µs)"),
)


def plain(axes: Axes) -> None:
    """Plain numbers on the value axis; a linear one where it spans little."""
    low, high = axes.get_ylim()
    if high < 3 * low:
        axes.set(yscale="linear", ylim=(0, 1.1 * high))
        return
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw(table: pd.DataFrame, x: str, label: str, title: str) -> Figure:
    """A row of panels per chip, a line per method; a line ends where the chip cannot keep up."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    grid = figure.subplots(len(CHIPS), len(PANELS), sharex=True)
    for row, (name, group) in enumerate(table.groupby("chip", sort=False)):
        for column, (key, factor, unit) in enumerate(PANELS):
            axes: Axes = grid[row][column]
            for line in LINES:
                mine = group[(group["method"] == line.method) & (group["policy"] == line.policy) & ~group["overloaded"]]
                axes.plot(mine[x], mine[key] * factor, label=line.label, markersize=4.5, linewidth=1.5, **line.look)
            axes.set(xscale="log", yscale="log", ylabel=unit)
            axes.set_title(str(name), fontsize="medium")
            axes.grid(visible=True, which="major", color="0.88", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelbottom=True)
            plain(axes)
            if row == len(CHIPS) - 1:
                axes.set_xlabel(label)
    figure.suptitle(f"{title} (a line ends where the chip cannot keep up)", fontsize="large")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(LINES), frameon=False)
    return figure


def main(quick: bool, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    known, count = services(), 5_000 if quick else 80_000
    shares = np.geomspace(1e-4, 0.5, 5 if quick else 10).tolist()
    mixed = pd.DataFrame(rows(known, [(RATE_PER_S, share) for share in shares], count))
    rates = np.geomspace(10, 150_000, 5 if quick else 11).tolist()
    loaded = pd.DataFrame(rows(known, [(rate, RARE) for rate in rates], count))
    even = f"digits and rotated, {RATE_PER_S} requests/s"
    rising = f"digits, one request in {1 / RARE:.0f} for rotated"
    for name, table, x, label, title in (
        ("serve_mix", mixed, "share", "share of the rarer task", even),
        ("serve_load", loaded, "rate_per_s", "requests per second", rising),
    ):
        table.to_csv(folder / f"{name}.csv", index=False)
        draw(table, x, label, title).savefig(folder / f"{name}.png", dpi=130)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "docs/figures")
    asked.add_argument("--quick", action="store_true", help="few points of few requests")
    given = asked.parse_args()
    main(given.quick, given.folder)

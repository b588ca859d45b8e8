"""Accuracy against the energy of an inference, from trained column masks: `python benchmarks/energy_curve.py`.

Every point is learned with another weight of the hardware term, written to a bundle and simulated; the energy is that
of the event engine, the accuracy that of integer weights and inputs on held-out samples. Writes `energy_curve.csv`,
`.png` and `.svg`. `--keep FOLDER` keeps checkpoints there: a run that was killed goes on from them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import xbarsim as xs
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.energy import EnergyTerm, Prices
from xbarsim.learning.export import export_bundle
from xbarsim.learning.images import image_task
from xbarsim.learning.learn import LearnedTask, learn
from xbarsim.network import Mask
from xbarsim.results.figures.style import MARKERS, PALETTE, drawing, figure_of, plain_axes, save
from xbarsim.studies.pool import each

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
INFERENCES = 100
"""Inferences of the simulated stream; they share its leakage."""
ALL_ON = "all on"
WEIGHTS = {"xbm": (0, 4, 8, 16, 32, 48, 64), "xma": (0, 4, 16, 64, 256, 512)}
"""Of the hardware term, by method; 0 is learning without it, and without any other pull on the density."""


@dataclass(frozen=True)
class Shared:
    """What all points have in common."""

    chip: xs.Chip
    bundle: str
    epochs: int
    work: Path


@dataclass(frozen=True)
class Point:
    """One mask to learn."""

    task: str
    method: str
    weight: float | None
    """Of the hardware term; none: every column stays on, normalisation and head alone are learned."""
    seed: int

    @property
    def name(self) -> str:
        """Of files and of the progress."""
        return f"{self.task}-{self.method}-{'all_on' if self.weight is None else f'{self.weight:g}'}-{self.seed}"


def points(tasks: Sequence[str], weights: Mapping[str, Sequence[float]], seeds: int) -> list[Point]:
    """Every task with every method and weight, and with everything on."""
    found = []
    for task in tasks:
        for seed in range(seeds):
            found.append(Point(task, "xbm", None, seed))
            found += [Point(task, method, weight, seed) for method in weights for weight in weights[method]]
    return found


def measured(shared: Shared, point: Point) -> dict[str, Any]:
    """Learn one point, write its bundle, simulate it."""
    torch.set_num_threads(1)
    network = xs.load_bundle(shared.bundle)
    backbone, term = Backbone.of(network), EnergyTerm.of(shared.chip, network)
    found = learned(shared, point, backbone, term.prices)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{point.name}.xmn"
        bundle = export_bundle(path, backbone, tasks={point.task: found}, chip=shared.chip)
        run = xs.simulate(shared.chip, bundle, point.method, f"{point.task}:{INFERENCES}")
    [row] = run.inferences
    masks = {name: mask.on for name, mask in found.content.masks.items()}
    density = np.concatenate([mask.ravel() for mask in masks.values()]).mean()
    return {
        "chip": shared.chip.name, "bundle": network.name, "task": point.task, "method": point.method,
        "energy_weight": point.weight, "seed": point.seed, "epochs": shared.epochs,
        "accuracy": found.accuracy["quantised"], "columns_on": density,
        "crossbars_on": crossbars_on(term.prices, masks),
        "energy_per_inference_pj": row.energy_pj / INFERENCES, "predicted_pj": term.energy_pj(masks),
        "interval_ns": row.span_ps / (INFERENCES - 1) / 1000, "everything_on_pj": term.prices.full_pj,
    }  # fmt: skip


def learned(shared: Shared, point: Point, backbone: Backbone, prices: Prices) -> LearnedTask:
    """Learn, or take from a checkpoint."""
    options: dict[str, Any] = {}
    if point.weight is None:
        rows, aligned = shared.chip.file.crossbar.rows, shared.chip.file.mapping.kernel_aligned
        ones = {name: np.ones(layer.column_pj.shape, np.uint8) for name, layer in prices.layers.items()}
        options = {"masks": {
            name: Mask("binary", "column", values, rows, kernel_aligned=aligned) for name, values in ones.items()
        }}  # fmt: skip
    elif point.method == "xbm":
        options = {"keep": None}
    return learn(
        backbone, point.method, image_task(point.task), shared.chip, epochs=shared.epochs, seed=point.seed,
        energy_weight=point.weight or 0.0, checkpoint=shared.work / f"{point.name}.pt", options=options,
    )  # fmt: skip


def crossbars_on(prices: Prices, masks: dict[str, np.ndarray]) -> float:
    """Share of the crossbars of one copy that have a column on, the head's left out."""
    on = [
        np.append(masks[name].ravel(), False)[layer.members].any(axis=1) for name, layer in prices.layers.items()
    ]  # fmt: skip
    return float(np.concatenate(on).mean())


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, from everything on to the least energy."""
    keys = ["task", "method", "energy_weight"]
    named = rows.assign(energy_weight=rows["energy_weight"].map(lambda weight: ALL_ON if pd.isna(weight) else weight))
    named["energy_share"] = named["energy_per_inference_pj"] / named["everything_on_pj"]
    values = ["accuracy", "energy_per_inference_pj", "energy_share", "columns_on", "crossbars_on", "interval_ns"]
    table = named.groupby(keys, sort=False)[values].agg(["mean", "std"])
    table.columns = [f"{name}_{'sd' if kind == 'std' else kind}" for name, kind in table.columns]
    return table.reset_index()


def show(table: pd.DataFrame) -> None:
    """Print Markdown."""
    line("task", "method", "weight of the term", "energy per inference", "of everything on", "columns on",
         "crossbars on", "accuracy")  # fmt: skip
    line(*["---"] * 8)
    for row in table.to_dict("records"):
        line(
            row["task"], row["method"], row["energy_weight"], f"{row['energy_per_inference_pj_mean'] / 1000:,.1f} nJ",
            percent(row, "energy_share"), percent(row, "columns_on"), percent(row, "crossbars_on"),
            percent(row, "accuracy"),
        )  # fmt: skip


def percent(row: dict[str, Any], name: str) -> str:
    mean, sd = 100 * row[f"{name}_mean"], 100 * row[f"{name}_sd"]
    return f"{mean:.1f} %" if np.isnan(sd) else f"{mean:.1f} ± {sd:.1f} %"


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def figure(rows: pd.DataFrame, table: pd.DataFrame, prices: Prices, title: str) -> Figure:
    """A line per task and method through the means; small marks are the seeds."""
    curves = [pair for pair, _ in table[table["energy_weight"] != ALL_ON].groupby(["task", "method"], sort=False)]
    with drawing():
        drawn = figure_of(8.0, 4.6)
        axes = drawn.add_subplot()
        for (task, method), color, marker in zip(curves, PALETTE, MARKERS, strict=False):
            mine = rows[(rows["task"] == task) & ((rows["method"] == method) | rows["energy_weight"].isna())]
            axes.plot(mine["energy_per_inference_pj"] / 1000, 100 * mine["accuracy"], linestyle="none",
                      marker=marker, markersize=3, color=color, alpha=0.35)  # fmt: skip
            means = table[(table["task"] == task) & ((table["method"] == method) | (table["energy_weight"] == ALL_ON))]
            means = means.sort_values("energy_per_inference_pj_mean")
            axes.plot(means["energy_per_inference_pj_mean"] / 1000, 100 * means["accuracy_mean"], color=color,
                      marker=marker, markersize=6, linewidth=1.4, label=f"{task}, {method}")  # fmt: skip
        floors(axes, prices)
        axes.set_xlabel("energy per inference, simulated (nJ)")
        axes.set_ylabel("accuracy on held-out samples (%)")
        axes.set_title(title)
        axes.legend(loc="lower right", frameon=False, title="task, method")
    return drawn


def floors(axes: Axes, prices: Prices) -> None:
    """What no mask saves, and half of everything on; above, the share of everything on."""
    full, shares = prices.full_pj / 1000, prices.shares
    axes.set_ylim(top=101)
    fixed = shares["fixed"] + shares["standing"]
    axes.set_xlim(0, full * 1.04)
    axes.axvspan(0, fixed * full, facecolor="0.9", edgecolor="0.6", hatch="////", linewidth=0)
    axes.axvline(full / 2, color="0.4", linewidth=0.8, linestyle="--")
    places = (
        (fixed * full / 2, f"no mask saves this: {100 * fixed:.0f} %"),
        (full * 0.51, "half of everything on"),
    )
    for number, (x, text) in enumerate(places):
        axes.annotate(
            text, (x, 0.02), xycoords=("data", "axes fraction"), rotation=90, va="bottom", fontsize=8.5,
            ha="left" if number else "center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8},
        )  # fmt: skip
    above = axes.secondary_xaxis("top", functions=(lambda x: 100 * x / full, lambda x: x * full / 100))
    above.set_xlabel("share of the energy with every column on (%)")
    plain_axes(axes)


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """A folder for checkpoints, gone afterwards unless it was named."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chip", default="xbm_72")
    parser.add_argument("--bundle", default="digits", help="whose backbone is adapted")
    parser.add_argument("--tasks", nargs="+", default=["digits", "rotated"])
    parser.add_argument("--methods", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--weights", type=float, nargs="+", help="of the term, for all methods; default: by method")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep checkpoints here and go on from them")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    chosen = parser.parse_args()
    chip = xs.load_chip(chosen.chip)
    prices = EnergyTerm.of(chip, xs.load_bundle(chosen.bundle)).prices
    weights = {method: chosen.weights or WEIGHTS[method] for method in chosen.methods}
    work = points(chosen.tasks, weights, chosen.seeds)
    with kept(chosen.keep) as folder:
        shared = Shared(chip, chosen.bundle, chosen.epochs, folder)
        rows = pd.DataFrame(each(measured, shared, work, chosen.jobs, lambda point: print(point.name, flush=True)))
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(chosen.out / "energy_curve.csv", index=False, float_format="%.10g")
    table = summary(rows)
    title = f"{chosen.bundle} on {chip.name}: trained masks, mean of {chosen.seeds} seed(s)"
    save(figure(rows, table, prices, title), chosen.out, "energy_curve")
    worst = (rows["predicted_pj"] / rows["energy_per_inference_pj"] - 1).abs().max()
    print(f"\n{title}, {chosen.epochs} epochs; the term is off by {worst:.1e} of the simulated energy at most")
    print("; ".join(f"{name} {100 * share:.1f} %" for name, share in prices.shares.items()) + " of everything on\n")
    show(table)


if __name__ == "__main__":
    main()

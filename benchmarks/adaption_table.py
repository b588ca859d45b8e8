"""The adaption methods side by side on trained masks: `python benchmarks/adaption_table.py`.

Trains the spec over several seeds (or reads bundles that are there already), simulates every method of every bundle
on one chip and writes `NAME-adaption.csv`, `NAME-adaption.png` and `.svg`: accuracy per task, stored bits, switch and
inference energy and latency, cells written and wear, means and standard deviations over the seeds. No synthetic mask
has a part in any figure. `--quick` is for a look: one epoch, two tasks, three methods, two seeds.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import xbarsim as xs
from xbarsim.learning.spec import read_spec
from xbarsim.results.figures.style import PALETTE, drawing, figure_of, fills, looks, plain_axes, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
BASE = "finetune"
BEHIND = 5.0
"""Points of accuracy below fine-tuning that the table tells about."""
TRAINING = ("codes_changed", "cells_written", "pulses", "energy_pj", "writes_max", "writes_mean", "pulses_max")
TRAINED_ON_CHIP = ("rotated", "textures")
"""Tasks that training on the chip is shown for."""
QUICK: dict[str, Any] = {"epochs": 1, "tasks": ["digits", "odd_even"], "methods": ["xbm", "xst", "finetune"]}
MEASURES = (
    "mask_bits", "norm_bits", "head_bits", "weight_bits", "switch_energy_pj", "switch_latency_ns", "cells_written",
    "energy_per_inference_pj", "latency_per_inference_ns", "wear_writes_max", "wear_writes_mean",
    "switches_until_first_cell_fails",
)  # fmt: skip


def trained(spec: Path, chip: xs.Chip, seeds: Sequence[int], work: Path, jobs: int, quick: bool) -> list[xs.Network]:
    """One bundle per seed, learned now unless it stands in ``work``."""
    from xbarsim.learning.workload import learn_workload

    found = []
    for seed in seeds:
        wanted = read_spec(spec, seed=seed, **(QUICK if quick else {}))
        path = work / f"{wanted.value.name}-seed{seed}.xmn"
        print(f"{path}: {'there' if path.exists() else 'learning'}", flush=True)
        found.append(xs.load_bundle(path) if path.exists() else learn_workload(chip, wanted, path, jobs=jobs))
    return found


def measured(chip: xs.Chip, network: xs.Network, seed: int, jobs: int) -> list[dict[str, Any]]:
    """One row per method of one bundle: accuracy on the chip's converters and cells, and what a run costs."""
    if network.synthetic:
        raise SystemExit(f"{network.source}: synthetic; the table is of trained masks only")
    methods = list(next(iter(network.tasks.values())).methods)
    compared = xs.compare(chip, network, methods)
    on_chip = xs.accuracy(chip, network, seeds=1, jobs=jobs).frame
    rows = []
    for row in compared.to_dict("records"):
        run = compared.attrs["runs"][row["method"]].to_json()
        mine = on_chip[(on_chip["method"] == row["method"]) & (on_chip["stage"] == "cells")]
        life = [one for one in run["lifetime"]["rows"] if (one["basis"], one["until"]) == ("cycles", "first")]
        rows.append({
            "seed": seed,
            **{key: row[key] for key in ("method", *MEASURES[:9])},
            "wear_writes_max": run["wear"]["writes_max"],
            "wear_writes_mean": run["wear"]["writes_mean"],
            "switches_until_first_cell_fails": life[0]["switches"] if life else None,
            **{f"accuracy_{task}": value for task, value in zip(mine["task"], mine["accuracy"], strict=True)},
        })  # fmt: skip
    return rows


def on_chip(chip: xs.Chip, network: xs.Network, tasks: Sequence[str], epochs: int) -> pd.DataFrame:
    """What training itself writes where it happens in the crossbars, each time from the backbone.

    Fine-tuning trains all weights; xst the columns that the backbone frees, as the first of as many tasks as the
    network has.
    """
    from xbarsim.learning.images import image_task
    from xbarsim.learning.learn import learn
    from xbarsim.learning.updates import Recorder

    rows = []
    for task in tasks:
        for method, options in ((BASE, {}), ("xst", {"tasks": len(network.tasks)})):
            recorder = Recorder(chip, network)
            learned = learn(
                network, method, image_task(task), chip, epochs=epochs, update=recorder.update, options=options
            )
            total = asdict(recorder.total)
            kept = {key: total[key] for key in TRAINING}
            rows.append({"task": task, "method": method, "steps": recorder.steps, **learned.accuracy, **kept})
    return pd.DataFrame(rows)


def show_training(frame: pd.DataFrame) -> None:
    """Print what training writes."""
    line("task", "method", "steps", "accuracy", "cells written", "pulses", "energy of the writes", "most worn cell")
    line(*["---"] * 8)
    for row in frame.to_dict("records"):
        line(
            row["task"], row["method"], row["steps"], f"{100 * row['quantised']:.1f}", f"{row['cells_written']:,}",
            f"{row['pulses']:,}", f"{row['energy_pj'] / 1e6:,.1f} uJ", f"{row['writes_max']:,} writes",
        )  # fmt: skip


def summary(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Mean and standard deviation over seeds, a row per method; of one seed there is no deviation."""
    frame = pd.DataFrame(rows)
    columns = [name for name in frame if name not in ("seed", "method")]
    found = []
    for method, part in frame.groupby("method", sort=False):
        line: dict[str, Any] = {"method": method, "seeds": len(part)}
        for name in columns:
            values = part[name].astype(float)
            line |= {f"{name}_mean": values.mean(), f"{name}_sd": values.std(ddof=1) if len(part) > 1 else np.nan}
        found.append(line)
    return pd.DataFrame(found)


def tasks_of(table: pd.DataFrame) -> list[str]:
    return [
        name[len("accuracy_") : -len("_mean")]
        for name in table
        if name.startswith("accuracy_") and name.endswith("_mean")
    ]


def behind(table: pd.DataFrame) -> Iterator[str]:
    """Where a method is more than BEHIND points below fine-tuning, and which keep the aim of four tasks in six."""
    tasks = tasks_of(table)
    base = table.set_index("method").loc[BASE]
    for row in table.to_dict("records"):
        gaps = {task: 100 * (base[f"accuracy_{task}_mean"] - row[f"accuracy_{task}_mean"]) for task in tasks}
        far = {task: gap for task, gap in gaps.items() if gap > BEHIND}
        if far:
            listed = ", ".join(f"{task} ({gap:.1f})" for task, gap in far.items())
            near = f"within on {len(tasks) - len(far)} of {len(tasks)}"
            yield f"{row['method']}: more than {BEHIND:g} points below {BASE} on {listed}; {near}"


def show(table: pd.DataFrame) -> None:
    """Print Markdown: accuracies, then what they cost."""
    tasks = tasks_of(table)
    line("method", *tasks)
    line(*["---"] * (1 + len(tasks)))
    for row in table.to_dict("records"):
        line(row["method"], *(percent(row, task) for task in tasks))
    print()
    line(
        "method", "mask", "normalisation", "head", "weights (bits)", "switch energy", "switch latency",
        "cells written", "inference energy", "inference latency", "writes of the most worn cell",
        "switches until the first cell fails",
    )  # fmt: skip
    line(*["---"] * 12)
    for row in table.to_dict("records"):
        mean = {name: row[f"{name}_mean"] for name in MEASURES}
        life = mean["switches_until_first_cell_fails"]
        line(
            row["method"], *(f"{mean[name]:,.0f}" for name in MEASURES[:4]), nj(mean["switch_energy_pj"]),
            us(mean["switch_latency_ns"]), f"{mean['cells_written']:,.0f}", nj(mean["energy_per_inference_pj"]),
            us(mean["latency_per_inference_ns"]), f"{mean['wear_writes_max']:.1f}",
            "never written" if np.isnan(life) else f"{life:,.0f}",
        )  # fmt: skip


def percent(row: dict[str, Any], task: str) -> str:
    mean, sd = 100 * row[f"accuracy_{task}_mean"], 100 * row[f"accuracy_{task}_sd"]
    return f"{mean:.1f}" if np.isnan(sd) else f"{mean:.1f} ± {sd:.1f}"


def digits(value: float) -> str:
    """Three digits or more, without powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def nj(energy_pj: float) -> str:
    return f"{digits(energy_pj / 1000)} nJ"


def us(latency_ns: float) -> str:
    return f"{digits(latency_ns / 1000)} us"


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def figure(table: pd.DataFrame, title: str) -> Figure:
    """A line per method: accuracy by task, stored bits, energy of a switch and of an inference."""
    with drawing():
        drawn = figure_of(12.5, 1.9 + 0.55 * len(table))
        panels = drawn.subplots(1, 4, sharey=True, width_ratios=(3.2, 2, 2, 2))
        accuracy_panel(panels[0], table)
        bits_panel(panels[1], table)
        bar_panel(panels[2], table, "switch_energy_pj", 1e-3, "energy of a switch (nJ)", log=True)
        bar_panel(panels[3], table, "energy_per_inference_pj", 1e-3, "energy of an inference (nJ)", log=False)
        panels[0].set_yticks(range(len(table)), list(table["method"]))
        panels[0].invert_yaxis()
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False, title="task")
        handles, labels = panels[1].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower right", ncols=4, frameon=False, title="stored")
        drawn.suptitle(title, fontsize=11)
    return drawn


def accuracy_panel(axes: Axes, table: pd.DataFrame) -> None:
    """Marks side by side within a method's line, with one standard deviation."""
    tasks = tasks_of(table)
    for number, (task, look) in enumerate(zip(tasks, looks(), strict=False)):
        at = np.arange(len(table)) + 0.76 * (number / max(len(tasks) - 1, 1) - 0.5)
        mean, sd = 100 * table[f"accuracy_{task}_mean"], 100 * table[f"accuracy_{task}_sd"].fillna(0)
        marks = {"color": look["color"], "marker": look["marker"]}
        axes.errorbar(mean, at, xerr=sd, linestyle="none", markersize=3.8, elinewidth=0.8, label=task, **marks)
    axes.set_xlabel("held-out accuracy on the chip (%)")
    plain_axes(axes)


def bits_panel(axes: Axes, table: pd.DataFrame) -> None:
    """What a task stores, stacked."""
    left = np.zeros(len(table))
    parts = {"mask_bits": "mask", "norm_bits": "normalisation", "head_bits": "head", "weight_bits": "weights"}
    for (name, label), fill in zip(parts.items(), fills(), strict=False):
        values = table[f"{name}_mean"].to_numpy() / 1000
        axes.barh(range(len(table)), values, left=left, height=0.7, linewidth=0.3, label=label, **fill)
        left += values
    axes.set_xlabel("stored per task (kbit)")
    plain_axes(axes, "x")


def bar_panel(axes: Axes, table: pd.DataFrame, name: str, factor: float, label: str, *, log: bool) -> None:
    """One bar per method with one standard deviation, and its value."""
    mean, sd = table[f"{name}_mean"] * factor, table[f"{name}_sd"].fillna(0) * factor
    axes.barh(range(len(table)), mean, xerr=sd, height=0.7, color=PALETTE[5], error_kw={"elinewidth": 0.8})
    for at, (value, more) in enumerate(zip(mean, sd, strict=True)):
        axes.annotate(
            digits(value), (value + more, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    if log:
        axes.set_xscale("log")
        axes.set_xlim(mean.min() / 3, mean.max() * 30)
    else:
        axes.set_xlim(0, mean.max() * 1.3)
    axes.set_xlabel(label)
    plain_axes(axes, "x")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path, help="bundles of one spec and several seeds; none: train")
    parser.add_argument("--spec", type=Path, default=ROOT / "benchmarks/learn/digits.yaml")
    parser.add_argument("--chip", default="xbm_72")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--work", type=Path, help="folder of the trained bundles; default: a temporary one")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one epoch, two tasks, three methods, two seeds")
    chosen = parser.parse_args()
    chip = xs.load_chip(chosen.chip)
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        networks = [xs.load_bundle(path) for path in chosen.bundles] or trained(
            chosen.spec, chip, range(2 if chosen.quick else chosen.seeds), work, chosen.jobs, chosen.quick
        )
        rows = [row for seed, network in enumerate(networks) for row in measured(chip, network, seed, chosen.jobs)]
        training = None
        if not chosen.bundles:
            epochs = 1 if chosen.quick else read_spec(chosen.spec).value.epochs
            tasks = QUICK["tasks"] if chosen.quick else TRAINED_ON_CHIP
            training = on_chip(chip, networks[0], tasks, epochs)
    table = summary(rows)
    name = networks[0].name
    chosen.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(chosen.out / f"{name}-adaption.csv", index=False, float_format="%.6g")
    over = f"mean and standard deviation of {len(networks)} seeds" if len(networks) > 1 else "one seed"
    title = f"{name} on {chip.name}: trained masks, {over}"
    save(figure(table, title), chosen.out, f"{name}-adaption")
    print(f"{title}; learned and simulated on {machine()}\n")
    show(table)
    print()
    print("\n".join(behind(table)) or f"every method is within {BEHIND:g} points of {BASE} on every task")
    if training is not None:
        training.to_csv(chosen.out / f"{name}-training.csv", index=False, float_format="%.6g")
        print("\nwhat training writes if it happens in the crossbars (seed 0; forward and backward passes apart):\n")
        show_training(training)


def machine() -> str:
    """What the figures were made with."""
    from importlib.metadata import version

    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, PyTorch {version('torch')}"


if __name__ == "__main__":
    main()

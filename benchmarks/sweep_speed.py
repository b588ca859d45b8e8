"""What a sweep costs beyond its simulations, and what a second process brings.

``python benchmarks/sweep_speed.py`` prints one table, on two cores with nothing else on them:

* overhead per point: a sweep into a folder in one process against the bare simulations, chips loaded beforehand;
  rounds of both in turn, the median of their differences
* speed-up of ``-j 2`` over ``-j 1`` on equal points, start of the processes included; rounds in turn, median ratio
* so many points of ``digits`` in two processes, from nothing

``--quick`` is a smaller version of all three.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter

import xbarsim as xs
from xbarsim.studies.simulate import simulate

METHODS = ("xbm", "finetune")
CYCLES = [100 + step / 1000 for step in range(1000)]
"""Crossbar cycles in ns: points that differ and take equally long."""
BACKBONE = "backbone:1"
"""Scenario of ResNet-18: one inference, some 0.25 s of simulation."""


def seconds(run: Callable[[], object]) -> float:
    begun = perf_counter()
    run()
    return perf_counter() - begun


def swept(
    chip: str, network: xs.Network, cycles: Iterable[float], methods: Iterable[str], jobs: int,
    scenario: str | None = None,
) -> float:  # fmt: skip
    """Seconds of a sweep into a new folder."""
    grid = {"crossbar.cycle_ns": list(cycles)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sweep"
        return seconds(
            lambda: xs.sweep(chip, network, grid, methods=list(methods), scenario=scenario, out=out, jobs=jobs)
        )


def overhead_ms(points: int, rounds: int) -> list[float]:
    """Milliseconds per point of a sweep in one process beyond the bare simulations of the same points."""
    network, cycles = xs.load_bundle("digits"), CYCLES[: points // 2]
    chips = [xs.load_chip("xbm_72", {"crossbar.cycle_ns": cycle}) for cycle in cycles]
    found = []
    for _ in range(rounds):
        bare = seconds(lambda: [simulate(chip, network, method) for chip in chips for method in METHODS])
        whole = swept("xbm_72", network, cycles, METHODS, 1)
        found.append((whole - bare) / points * 1e3)
    return found


def speed_ups(points: int, rounds: int) -> list[float]:
    """How many times faster two processes are than one, on equal points of ResNet-18."""
    network, cycles = xs.load_bundle("resnet18"), CYCLES[:points]
    found = []
    for _ in range(rounds):
        one, two = (swept("isaac", network, cycles, ["finetune"], jobs, BACKBONE) for jobs in (1, 2))
        found.append(one / two)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer points and rounds")
    quick = parser.parse_args().quick
    swept("xbm_72", xs.load_bundle("digits"), CYCLES[:1], METHODS, 1)  # compiled code is loaded
    swept("isaac", xs.load_bundle("resnet18"), CYCLES[:1], ["finetune"], 1, BACKBONE)
    points, rounds, many = (20, 2, 100) if quick else (100, 5, 1000)
    extra = overhead_ms(points, rounds)
    ratios = speed_ups(24 if quick else 120, 1 if quick else 3)
    total = swept("xbm_72", xs.load_bundle("digits"), CYCLES[: many // 2], METHODS, 2)
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    print(f"overhead per point     {median(extra):6.1f} ms   ({min(extra):.1f} to {max(extra):.1f}; wanted < 20)")
    print(f"-j 2 over -j 1         {median(ratios):6.2f} x    ({min(ratios):.2f} to {max(ratios):.2f}; wanted >= 1.7)")
    print(f"{many} points of digits {total:7.1f} s    (two processes; wanted < 300 for 1000)")


if __name__ == "__main__":
    main()

"""How fast the whole way down is: planning, both executors, installation, memory, on ResNet-18 and VGG-16.

Ratios and rates are from one run on one machine; quote them as such. `python benchmarks/spine_speed.py`
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median
from time import perf_counter

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.engine import execute


def one(name: str, reference: bool) -> None:
    chip = xs.load_chip("xbm_72")
    adaption = Adaption.named("xbm")()
    for warm in (False, True):
        begun = perf_counter()
        network = xs.load_bundle(name)
        placement = xs.place(chip, network)
        graph = plan(placement, adaption, parse_scenario("backbone:1", network)).graph
        planned = perf_counter()
        compiled = execute(graph)
        done = perf_counter()
        if warm:
            rate = compiled.firings_executed / (done - planned)
            print(
                f"{name}: planning {planned - begun:.3f} s, one inference {done - planned:.3f} s, "
                f"{rate / 1e6:.1f} M firings/s"
            )
    if reference:
        begun = perf_counter()
        simpy = execute(graph, engine="reference")
        slow = perf_counter() - begun
        assert simpy.makespan == compiled.makespan
        print(f"{name}: SimPy {slow:.1f} s, compiled executor {slow / (done - planned):.0f} x faster")
    begun = perf_counter()
    xs.simulate(chip, network, "xbm", "backbone:1")
    print(f"{name}: the whole run, installation and wear included, {perf_counter() - begun:.2f} s")


def help_text() -> None:
    def wall(*command: str) -> float:
        begun = perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return perf_counter() - begun

    bare = median(wall("-c", "pass") for _ in range(7))
    ours = median(wall("-m", "xbarsim", "--help") for _ in range(7))
    print(f"xbarsim --help: {ours - bare:.3f} s over a bare interpreter ({bare:.3f} s)")


if __name__ == "__main__":
    one("resnet18", reference=True)
    one("vgg16", reference=False)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    help_text()

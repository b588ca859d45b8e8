"""Firings per second of the two executors on a synthetic chain with the shape of ResNet-18.

Every convolution is read, convert, accumulate (one firing per input bit of a window), activate and send
(one firing per window); a 3x3 window needs two rows and three pixels of its input. The sends of neighbouring
layers share a bus. Run as ``python benchmarks/engine_speed.py``; prints one table.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Table, Unit, Work
from xbarsim.engine import execute

CYCLE_PS = 100_000
"""One read of an array."""
SHAPE = [112] + [56] * 4 + [28] * 4 + [14] * 4 + [7] * 4
"""Output width of every layer of a ResNet-18."""


def windows(width: int, out: int) -> tuple[Table, Table]:
    """Return need and release, in pixels of a ``width`` x ``width`` input, of 3x3 windows in raster order."""
    stride = width // out
    row, column = np.divmod(np.arange(out * out), out)
    last_row = np.minimum(row * stride + 1, width - 1)
    last = last_row * width + np.minimum(column * stride + 1, width - 1)
    need = np.maximum.accumulate(last + 1)
    first = np.maximum(row * stride - 1, 0) * width + np.maximum(column * stride - 1, 0)
    release = np.minimum.accumulate(first[::-1])[::-1].copy()
    release = np.append(release[1:], width * width)
    return need, release


def layer(
    graph: tuple[list[Unit], list[Actor], list[Channel]], index: int, images: int, bits: int, convert_ps: int
) -> None:
    """Append one layer of the chain: five stages, fed by the send of the layer before."""
    units, actors, channels = graph
    out = SHAPE[index] ** 2
    names = [f"conv{index}.{stage}" for stage in ("read", "convert", "accumulate", "activate", "send")]
    per_window = [bits, bits, bits, 1, 1]
    times = [CYCLE_PS, convert_ps, CYCLE_PS, CYCLE_PS, 20_000]
    for name, firings, service in zip(names, per_window, times, strict=True):
        unit = f"bus{index // 4}" if name.endswith("send") else name
        if unit not in {known.name for known in units}:
            units.append(Unit(unit))
        work = Work(images * out, np.full(firings, service), np.zeros(firings, np.int64))
        actors.append(Actor(name, unit, (work,)))
    for source, target, made, used in zip(names, names[1:], per_window, per_window[1:], strict=False):
        step = max(made, used)
        need = np.arange(1, used + 1) if used > 1 else np.array([made])
        channels.append(Channel(source, target, 2 * step, (Flow(images * out, need, need, made),)))
    if index:
        width = SHAPE[index - 1]
        need, after = windows(width, SHAPE[index])
        release = np.repeat(np.append(0, after[:-1]), bits)  # only the last bit of a window gives back
        release[bits - 1 :: bits] = after
        flow = Flow(images, np.repeat(need, bits), release, width * width)
        channels.append(Channel(f"conv{index - 1}.send", names[0], 3 * width + 8, (flow,)))


def resnet(images: int = 1, bits: int = 8) -> Graph:
    """Return the chain for a number of images."""
    parts: tuple[list[Unit], list[Actor], list[Channel]] = ([], [], [])
    for index in range(len(SHAPE)):
        layer(parts, index, images, bits, CYCLE_PS - 781 * (index % 3))
    return Graph(tuple(parts[0]), tuple(parts[1]), tuple(parts[2]))


def measure(graph: Graph, engine: str) -> tuple[int, float]:
    """Return firings and seconds of one execution."""
    begin = time.perf_counter()
    times = execute(graph, engine)
    if times.stuck:
        raise SystemExit("\n".join(times.waits))
    return times.firings, time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description="Firings per second of the two executors.")
    parser.add_argument("--images", type=int, default=5, help="images for the compiled executor")
    arguments = parser.parse_args()
    execute(resnet(bits=1))  # compile
    rates = {}
    print(f"{'engine':<10} {'actors':>6} {'firings':>12} {'seconds':>8} {'M firings/s':>12}")
    for engine, graph in (("compiled", resnet(arguments.images)), ("reference", resnet(bits=1))):
        firings, seconds = measure(graph, engine)
        rates[engine] = firings / seconds
        rate = rates[engine] / 1e6
        print(f"{engine:<10} {len(graph.actors):>6} {firings:>12} {seconds:>8.2f} {rate:>12.3f}")
    print(f"compiled / reference: {rates['compiled'] / rates['reference']:.0f}")


if __name__ == "__main__":
    main()

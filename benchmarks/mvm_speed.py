"""Logical multiply-accumulates per second of the bit-sliced products, next to NumPy's doing the same work.

The work: 512 input vectors of 1152 unsigned 8-bit numbers, read bit by bit, times 1152 x 256 signed 8-bit weights
in four 2-bit or eight 1-bit slices, on arrays of 128 x 128, with a 6-bit converter that rounds and clips on every
column sum of every row block, read and slice: 38 or 75 million conversions. Inputs are packed within the time, the
lossless shortcut is off unless it says otherwise. Times are CPU seconds of the one thread, best of several;
both sides are measured in turn. Run as ``python benchmarks/mvm_speed.py``; prints one table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

import xbarsim as xs
from xbarsim.analog import Arrays, program

VECTORS, ROWS, CHANNELS, HEIGHT, BITS = 512, 1152, 256, 128, 8
MACS = VECTORS * ROWS * CHANNELS
RANGES = {2: 189.0, 1: 94.5}
"""Cell bits -> highest column sum of the converter, in levels: codes 3 and 1.5 levels apart."""
TOP = 63
SIGMA = 0.05
TARGETS = {"converter": 10.0, "programming error": 1.5, "read noise": 0.3}
"""G MAC/s to be reached."""

rng = np.random.default_rng(7)
INPUTS = rng.integers(0, 1 << BITS, (VECTORS, ROWS)).astype(np.uint8)
WEIGHTS = rng.integers(-128, 128, (ROWS, CHANNELS)).astype(np.int8)


@lru_cache
def chip(cell_bits: int, *more: str) -> xs.Chip:
    """A chip of 128 x 128 arrays with the benchmark's converter."""
    keys = [
        f"precision.weight_bits={BITS}", f"precision.input_bits={BITS}", f"crossbar.cell_bits={cell_bits}",
        f"crossbar.rows={HEIGHT}", "crossbar.cols=128", "adc.bits=6", "adc.unit_bits=8", "adc.range=given",
        f"adc.high_levels={RANGES[cell_bits]}",
    ]  # fmt: skip
    return xs.load_chip("isaac", [*keys, *more])


def numpy_twin(cell_bits: int, sigma: float = 0.0, read_sigma: float = 0.0) -> Callable[[], np.ndarray]:
    """The same in single-precision NumPy: a product per row block, converters along its result, slices added up.

    The unit column is exact. ``sigma``: levels have a standard deviation, drawn once; ``read_sigma``: and column
    sums another, at every read.
    """
    levels = 1 << cell_bits
    codes = WEIGHTS.astype(np.int64) + 128
    shifts = range(BITS - cell_bits, -1, -cell_bits)
    cells = np.stack([(codes >> shift) & (levels - 1) for shift in shifts], 1).astype(np.float32)
    cells = cells.reshape(-1, HEIGHT, len(shifts), CHANNELS)
    total = cells.sum(axis=1)
    flips = (total > TOP) & (HEIGHT * (levels - 1) - total < total)
    cells = np.where(flips[:, None], levels - 1 - cells, cells)
    if sigma:
        cells += sigma * cells * rng.standard_normal(cells.shape, np.float32)
    step = np.float32(RANGES[cell_bits] / TOP)
    worth = np.array([1 << shift for shift in shifts], np.float32)[:, None]
    added = ((levels - 1) * flips * worth).sum(axis=1) - 128.0
    scales = np.where(flips, -worth, worth) * step

    def product() -> np.ndarray:
        bits = ((INPUTS[:, None] >> np.arange(BITS, dtype=np.uint8)[:, None]) & 1).astype(np.float32)
        weights = 2.0 ** np.arange(BITS, dtype=np.float32)
        out = np.zeros((VECTORS, CHANNELS), np.float64)
        for at, block in enumerate(cells.reshape(len(cells), HEIGHT, -1)):
            driven = bits[:, :, at * HEIGHT : (at + 1) * HEIGHT].reshape(-1, HEIGHT)
            sums = driven @ block
            if read_sigma:
                spread = driven @ (read_sigma * block) ** 2
                sums += np.sqrt(spread) * rng.standard_normal(sums.shape, np.float32)
            sums *= 1 / step
            np.clip(np.rint(sums, out=sums), 0, TOP, out=sums)
            merged = np.einsum("npc,p->nc", sums.reshape(VECTORS, BITS, -1), weights, optimize=True)
            out += np.einsum("nsc,sc->nc", merged.reshape(VECTORS, -1, CHANNELS), scales[at], optimize=True)
            out += (driven.sum(axis=1).reshape(VECTORS, BITS) @ weights)[:, None] * added[at]
        return out

    return product


def best(work: Callable[[], object], repeats: int) -> float:
    """Least CPU seconds of this thread."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return min(times)


def compare(cell_bits: int, repeats: int) -> Iterator[tuple[str, float, float | None, float | None]]:
    """Yield what was measured, its G MAC/s, NumPy's G MAC/s, and the target."""

    def rate(work: Callable[[], object], times: int = repeats) -> float:
        return MACS / best(work, times) / 1e9

    def arrays(*more: str, shortcut: bool = False) -> Arrays:
        return program(WEIGHTS, chip(cell_bits, *more), shortcut=shortcut)

    error = f"device.variation.proportional={SIGMA}"
    noise = f"device.read_noise.proportional={SIGMA}"
    ideal = arrays()
    assert np.allclose(ideal.multiply(INPUTS), numpy_twin(cell_bits)(), rtol=1e-4, atol=500)  # single precision
    numpy = rate(numpy_twin(cell_bits), 3)
    yield "converter", rate(lambda: ideal.multiply(INPUTS)), numpy, TARGETS["converter"]
    yield "converter, weights packed too", rate(lambda: arrays().multiply(INPUTS)), numpy, None
    written = arrays(error)
    numpy = rate(numpy_twin(cell_bits, SIGMA), 3)
    yield "programming error", rate(lambda: written.multiply(INPUTS)), numpy, TARGETS["programming error"]
    yield "programming error, cells drawn too", rate(lambda: arrays(error).multiply(INPUTS), 3), numpy, None
    noisy = arrays(error, noise)
    numpy = rate(numpy_twin(cell_bits, SIGMA, SIGMA), 1)
    yield "read noise", rate(lambda: noisy.multiply(INPUTS), 5), numpy, TARGETS["read noise"]
    lossless = arrays("adc.range=aligned", "adc.bits=9", shortcut=True)
    yield "lossless shortcut", rate(lambda: lossless.multiply(INPUTS)), None, None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="measurements of each figure; the best counts")
    arguments = parser.parse_args()
    missed = 0
    print(f"{'cells':<6} {'work':<36} {'G MAC/s':>8} {'NumPy':>7} {'ratio':>7} {'target':>7}")
    with threadpool_limits(1):
        for cell_bits in (2, 1):
            for name, ours, numpy, target in compare(cell_bits, arguments.repeats):
                beside = f"{numpy:>7.2f} {ours / numpy:>7.1f}" if numpy else f"{'':>7} {'':>7}"
                wanted = f"{target:>7.1f}" if target else ""
                print(f"{cell_bits}-bit  {name:<36} {ours:>8.2f} {beside} {wanted}".rstrip())
                missed += target is not None and ours < target
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Layers on crossbars of every kind, drawn by hypothesis: the chip's keys, weights, inputs, gates and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from analog.naive import Matrix, Naive, NaiveCells, as_lists
from hypothesis import strategies as st
from numpy.typing import NDArray

from xbarsim.analog import Arrays, program
from xbarsim.analog.columns import CellColumns
from xbarsim.chip import Chip, load_chip

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Case:
    """One layer and some inputs."""

    keys: tuple[str, ...]
    encoding: str
    bits: tuple[int, int]
    signed: bool
    weights: Ints
    inputs: Ints
    columns_on: Ints | None
    column_shift: Ints | None
    seed: int

    def __repr__(self) -> str:
        return (
            f"Case({self.keys!r}, {self.encoding!r}, {self.bits}, signed={self.signed}, weights={self.weights.tolist()},"
            f" inputs={self.inputs.tolist()}, on={self.columns_on!r}, shift={self.column_shift!r}, seed={self.seed})"
        )

    @cached_property
    def chip(self) -> Chip:
        return load_chip("isaac", self.keys)

    def arrays(self, **options: Any) -> Arrays:
        """The layer on the chip, the shortcut off unless asked for."""
        given = {"weight_bits": self.bits[0], "input_bits": self.bits[1], "inputs_signed": self.signed} | {
            "encoding": self.encoding, "columns_on": self.columns_on, "column_shift": self.column_shift,
            "seed": self.seed, "shortcut": False,
        }  # fmt: skip
        return program(self.weights, self.chip, **(given | options))

    def naive(self, arrays: Arrays) -> list[list[Any]]:
        """What the naive twin makes of it."""
        columns = arrays.blocks[0].columns if arrays.blocks else None
        common = (
            self.chip, as_lists(self.weights), self.encoding, *self.bits, self.signed, _lists(self.columns_on),
            _lists(self.column_shift), arrays.height,
        )  # fmt: skip
        twin = Naive(*common, seed=self.seed)
        if isinstance(columns, CellColumns):
            twin = NaiveCells(*common, seed=self.seed, fraction=columns.fraction, variance_scales=scales_of(columns))
        return twin.multiply(as_lists(self.inputs))


def scales_of(columns: CellColumns) -> tuple[float, float]:
    """Standard deviations per root of a whole-number variance, of data columns and of unit columns."""
    last = columns.reads.segments[-1].begin
    return float(columns.cells.scales[0]), float(columns.cells.scales[last])


def _lists(matrix: Ints | None) -> Matrix | None:
    return None if matrix is None else as_lists(matrix)


@st.composite
def converters(draw: st.DrawFn) -> list[str]:
    """Resolution, range and errors of converters."""
    keys = [f"adc.bits={draw(st.integers(1, 10))}", f"adc.per_crossbar={draw(st.integers(1, 2))}"]
    kind = draw(st.sampled_from(["aligned", "aligned", "full", "given"]))
    keys.append(f"adc.range={kind}")
    if kind == "given":
        low = draw(st.sampled_from(["-40", "-7.5", "0", "0", "3"]))
        keys += [f"adc.low_levels={low}", f"adc.high_levels={draw(st.sampled_from(['3.5', '10', '63', '94.5']))}"]
    if draw(st.booleans()):
        keys.append(f"adc.unit_bits={draw(st.integers(1, 8))}")
    if draw(st.integers(0, 4)) == 0:
        keys.append(f"adc.errors.gain={draw(st.sampled_from(['0.01', '-0.05', '1/3']))}")
        keys.append(f"adc.errors.offset_levels={draw(st.sampled_from(['0.5', '-1', '0.3']))}")
    return keys


PERFECT: st.SearchStrategy[list[str]] = st.just([])


@st.composite
def layers(draw: st.DrawFn, rows: int = 40, imperfect: st.SearchStrategy[list[str]] = PERFECT) -> Case:
    """A layer of at most ``rows`` rows."""
    height, cell_bits = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    encoding = draw(st.sampled_from(["offset", "offset", "differential", "twos_complement"]))
    slices = draw(st.sampled_from(["adjacent", "arrays"]))
    keys = [
        f"crossbar.rows={height}", f"crossbar.cols={draw(st.integers(2, 20))}", f"crossbar.cell_bits={cell_bits}",
        f"crossbar.slices={slices}", f"dac.bits={draw(st.sampled_from([1, 1, 2, 3]))}",
        f"dac.kind={draw(st.sampled_from(['level', 'level', 'pulses']))}", *draw(converters()), *draw(imperfect),
    ]  # fmt: skip
    if encoding == "offset" and draw(st.integers(0, 3)) == 0:
        keys.append("crossbar.unit_column=false")
    if encoding == "differential":
        keys.append("crossbar.encoding=differential")
        keys.append(f"crossbar.subtract={draw(st.sampled_from(['digital', 'analog']))}")
    if draw(st.integers(0, 3)) == 0:
        keys.append(f"dac.split_above={draw(st.integers(1, 4))}")
    signed = draw(st.booleans())
    if signed and draw(st.booleans()):
        keys.append("dac.signed=true")
    bits = (draw(st.integers(2, 9)), draw(st.integers(2 if signed else 1, 9)))
    return Case(tuple(keys), encoding, bits, signed, *draw(numbers(rows, height, bits, signed, keys)))


@st.composite
def numbers(
    draw: st.DrawFn, rows: int, height: int, bits: tuple[int, int], signed: bool, keys: list[str]
) -> tuple[Ints, Ints, Ints | None, Ints | None, int]:
    """Weights, inputs, gates, shifts and a seed; often the largest numbers there are."""
    shape = (draw(st.integers(1, rows)), draw(st.integers(1, 5)))
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    half = 1 << (bits[0] - 1)
    least, most = (-(1 << (bits[1] - 1)), (1 << (bits[1] - 1)) - 1) if signed else (0, (1 << bits[1]) - 1)
    if "dac.signed=true" in keys:
        least += 1
    weights = rng.integers(-half, half, shape)
    inputs = rng.integers(least, most + 1, (draw(st.integers(1, 2)), shape[0]))
    extreme = draw(st.sampled_from(["none", "none", "weights", "inputs", "both"]))
    if extreme in ("weights", "both"):
        weights = rng.choice([-half, half - 1, -1, 0], shape, p=[0.2, 0.5, 0.2, 0.1])
    if extreme in ("inputs", "both"):
        inputs = rng.choice([least, most], inputs.shape, p=[0.2, 0.8])
    table = (-(-shape[0] // height), shape[1])
    on = rng.integers(0, 2, table) if draw(st.integers(0, 2)) == 0 else None
    shift = rng.integers(-3, 4, table) if draw(st.integers(0, 2)) == 0 else None
    return weights, inputs, on, shift, seed

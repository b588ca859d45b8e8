"""Cells with conductances of their own: column sums by sums of subsets of rows, read noise, conversion.

Conductances are whole numbers of 2^-fraction converter steps. Sums of whole numbers are exact in every
order, so a result depends neither on threads nor on how a batch is cut. For every group of four rows the
sums of its sixteen subsets of rows are tabulated (the "method of four Russians"); a read of binary inputs
adds one entry per group. The columns of a block are taken sixteen at a time, a *strip*, whose table stays in
the fastest cache.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from xbarsim.kernels.lanes import WIDTH, add, load, store, zeros
from xbarsim.kernels.philox import normals, words

GROUP = 256
"""Numbers of a strip's table for four rows: sixteen subsets of sixteen columns."""
READ_NOISE = 0
"""Purpose of a counter, its fourth word; :mod:`xbarsim.analog.cells` has the others."""


class Cells(NamedTuple):
    """Cells of a row block. Columns are filled up to whole strips with zeros, rows to whole words."""

    conductances: Any
    """(rows, columns) int32 or int64, in 2^-fraction converter steps."""
    variances: Any
    """(rows, columns) of the same type, variance of a read; or of no rows: there is no read noise."""
    bias: Any
    """(columns,) of the same type, added to every column sum."""
    scales: Any
    """(columns,) float32, standard deviation of a read per root of the summed variances."""
    tops: Any
    """(columns,) of the same type as the conductances, highest code."""
    addresses: Any
    """(columns,) uint32."""


class Noise(NamedTuple):
    """What the numbers of a block's read noise depend on, besides the column's address."""

    first: int
    """Number of the first input vector."""
    place: int
    """Number of the row block."""
    key_0: int
    key_1: int


class Scratch(NamedTuple):
    """Working memory for n input vectors, ``length`` = 16 n."""

    table: Any
    """(rows * 64,), type of the conductances."""
    sums: Any
    """(phases, length), type of the conductances."""
    variances: Any
    """(phases, length), type of the conductances."""
    addresses: Any
    """(length,) uint32."""
    indices: Any
    """(length,) uint32."""
    scales: Any
    """(length,) float32."""
    drawn: Any
    """(4, length) uint32."""
    normal: Any
    """(4, length) float32."""
    nothing: Any
    """(16,) zeros, type of the conductances."""
    merged: Any
    """(length,), type of the merged codes."""


@njit(cache=True, nogil=True, error_model="numpy")
def subset_sums(cells, begin, table):
    """Sums of all subsets of every four rows, of the strip of columns from ``begin`` on."""
    for group in range(cells.shape[0] // 4):
        base = GROUP * group
        store(table, base, zeros(table))
        for row in range(4):
            added = load(cells[4 * group + row], begin)
            for subset in range(1 << row):
                after = base + WIDTH * (subset + (1 << row))
                store(table, after, add(load(table, base + WIDTH * subset), added))


@njit(cache=True, nogil=True, error_model="numpy")
def column_sums(inputs, phases, table, bias, begin, sums):
    """Column sums of one strip: sums (phases, 16 n), overwritten.

    inputs: (n, planes, chunks) uint16; phases: (phases, 2) int64, first plane and number of planes, worth
    1, 2, 4, …; bias: (columns,), its strip from ``begin`` on is added.
    """
    for n in range(inputs.shape[0]):
        for phase in range(phases.shape[0]):
            total, first = zeros(table), phases[phase, 0]
            for plane in range(first + phases[phase, 1] - 1, first - 1, -1):
                total = add(total, total)
                for chunk in range(inputs.shape[2]):
                    word = np.int64(inputs[n, plane, chunk])
                    at = 4 * GROUP * chunk
                    total = add(total, load(table, at + ((word << 4) & 0xF0)))
                    total = add(total, load(table, at + GROUP + (word & 0xF0)))
                    total = add(total, load(table, at + 2 * GROUP + ((word >> 4) & 0xF0)))
                    total = add(total, load(table, at + 3 * GROUP + ((word >> 8) & 0xF0)))
            store(sums[phase], WIDTH * n, add(total, load(bias, begin)))


@njit(cache=True, nogil=True, error_model="numpy")
def add_noise(noise, cells, begin, work):
    """Add read noise to ``work.sums`` of a strip, given the summed variances ``work.variances``.

    Phase p of input vector n is number p % 4 of the counter (address, first + n, 8 place + p // 4, READ_NOISE).
    """
    length, phases, kind = work.addresses.shape[0], work.sums.shape[0], work.sums.dtype.type
    for i in range(length):
        work.addresses[i] = cells.addresses[begin + i % WIDTH]
        work.scales[i] = cells.scales[begin + i % WIDTH]
        work.indices[i] = noise.first + i // WIDTH
    for quad in range((phases + 3) // 4):
        place = 8 * noise.place + quad
        words(work.addresses, work.indices, place, READ_NOISE, noise.key_0, noise.key_1, work.drawn)
        normals(work.drawn, work.normal)
        for phase in range(4 * quad, min(4 * quad + 4, phases)):
            total, variance, normal = work.sums[phase], work.variances[phase], work.normal[phase % 4]
            for i in range(length):
                deviation = np.float32(math.sqrt(np.float32(variance[i]))) * work.scales[i]
                total[i] += kind(normal[i] * deviation)


@njit(cache=True, nogil=True, error_model="numpy")
def convert_strip(sums, fraction, tops, begin, factors, merged):
    """Codes of a strip's reads, merged over the phases: merged (16 n,), overwritten.

    A code is the read divided by 2^fraction, rounded half to even, at least 0 and at most ``tops``.
    """
    kind = sums.dtype.type
    below, by, least = kind((1 << (fraction - 1)) - 1), kind(fraction), kind(0)
    top = tops[begin]
    merged[:] = 0
    for phase in range(sums.shape[0]):
        read, factor = sums[phase], factors[phase]
        for i in range(merged.shape[0]):
            odd = kind(kind(read[i] >> by) & kind(1))
            code = kind(kind(read[i] + kind(below + odd)) >> by)
            merged[i] += max(least, min(code, top)) * factor


@njit(cache=True, nogil=True, error_model="numpy")
def read_cells(inputs, squares, phases, square_phases, cells, noise, fraction, factors, work, out):
    """Codes of all reads of a block, merged over the phases: out (n, columns), overwritten.

    inputs: (n, planes, chunks) uint16, bits of the inputs; squares: bits of the squares of their digits.
    phases, square_phases: (phases, 2) int64, first plane and number of planes; factors: (phases,).
    """
    for begin in range(0, cells.bias.shape[0], WIDTH):
        subset_sums(cells.conductances, begin, work.table)
        column_sums(inputs, phases, work.table, cells.bias, begin, work.sums)
        if cells.variances.shape[0]:
            subset_sums(cells.variances, begin, work.table)
            column_sums(squares, square_phases, work.table, work.nothing, 0, work.variances)
            add_noise(noise, cells, begin, work)
        convert_strip(work.sums, fraction, cells.tops, begin, factors, work.merged)
        for n in range(out.shape[0]):
            store(out[n], begin, load(work.merged, WIDTH * n))

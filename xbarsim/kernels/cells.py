"""Weights as cell levels, and what a rewrite of one matrix to another costs in cells and pulses.

A weight ``w`` of ``bits`` bits stands in ``slices`` cells, most significant digit first. Offset
encoding stores the digits of ``w + 2^(bits-1)``; a flipped column stores ``2^cell_bits - 1 - digit``.
Differential encoding stores the digits of max(w, 0) in the first half of the slices and those of
max(-w, 0) in the second.

A strip is one row of the table ``strips``: (row block, first weight row, weight rows of a channel,
first channel, channels, channels that share rows, first crossbar). See ``mapping.crossbars``.
"""

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def digit(weight, position, slices, bits, cell_bits, differential):
    """Level of slice ``position`` of a weight, not flipped."""
    mask = (1 << cell_bits) - 1
    if differential:
        half = slices // 2
        if position < half:
            magnitude = weight if weight > 0 else 0
            return (magnitude >> (cell_bits * (half - 1 - position))) & mask
        magnitude = -weight if weight < 0 else 0
        return (magnitude >> (cell_bits * (slices - 1 - position))) & mask
    return ((weight + (1 << (bits - 1))) >> (cell_bits * (slices - 1 - position))) & mask


@njit(cache=True)
def column_sums(weights, height, slices, bits, cell_bits, differential, out):
    """Worst-case sum of every physical column, all inputs 1: out (blocks, channels, slices) int64."""
    channels, rows = weights.shape
    for channel in range(channels):
        for row in range(rows):
            weight = np.int64(weights[channel, row])
            block = row // height
            for position in range(slices):
                out[block, channel, position] += digit(weight, position, slices, bits, cell_bits, differential)


@njit(cache=True)
def transition(
    old, new, erased, old_flips, new_flips, strips, height, cols, separate, slices, bits, cell_bits,
    differential, pulses, unit_pulses, histogram, crossbar_pulses, crossbar_rows,
):  # fmt: skip
    """Count what writing ``new`` over ``old`` takes; returns the number of codes that change.

    old, new: (channels, rows) integers; ``erased``: every cell is at level 0 before, ``old`` unused.
    old_flips, new_flips: (blocks, channels, slices), 1 where the column is stored flipped.
    pulses: (L, L) pulses by (old level, new level); unit_pulses: pulses of a unit column's cell, or 0.
    Out: histogram (L, L) cells by (old level, new level); crossbar_pulses (A,) sum over the rows of a
    crossbar of the longest SET and the longest RESET train; crossbar_rows (A,) rows that are written.
    """
    changed = 0
    flip_level = (1 << cell_bits) - 1
    for strip in range(strips.shape[0]):
        block, first_row, count, first_channel, channels, sharing, first_crossbar = strips[strip]
        depth = count * ((channels + sharing - 1) // sharing)
        if separate:
            per_slice = (channels + cols - 1) // cols
            crossbars = per_slice * slices
        else:
            per_slice = 0
            crossbars = (channels * slices + cols - 1) // cols
        longest_set = np.full((crossbars, depth), unit_pulses, np.int64)
        longest_reset = np.zeros((crossbars, depth), np.int64)
        for at in range(channels):
            channel = first_channel + at
            offset = (at // sharing) * count
            refits = erased
            for position in range(slices):
                refits = refits or old_flips[block, channel, position] != new_flips[block, channel, position]
            for k in range(count):
                row = first_row + k
                after = np.int64(new[channel, row])
                before = after if erased else np.int64(old[channel, row])
                if before != after:
                    changed += 1
                elif not refits:
                    continue
                for position in range(slices):
                    level = digit(after, position, slices, bits, cell_bits, differential)
                    if new_flips[block, channel, position]:
                        level = flip_level - level
                    was = 0
                    if not erased:
                        was = digit(before, position, slices, bits, cell_bits, differential)
                        if old_flips[block, channel, position]:
                            was = flip_level - was
                    if was == level:
                        continue
                    histogram[was, level] += 1
                    crossbar = position * per_slice + at // cols if separate else (at * slices + position) // cols
                    train = pulses[was, level]
                    if level > was:
                        if train > longest_set[crossbar, offset + k]:
                            longest_set[crossbar, offset + k] = train
                    elif train > longest_reset[crossbar, offset + k]:
                        longest_reset[crossbar, offset + k] = train
        for crossbar in range(crossbars):
            for row in range(depth):
                total = longest_set[crossbar, row] + longest_reset[crossbar, row]
                crossbar_pulses[first_crossbar + crossbar] += total
                if total > 0:
                    crossbar_rows[first_crossbar + crossbar] += 1
    return changed


@njit(cache=True)
def worn_most(
    contents, flips, height, moves, slices, bits, cell_bits, differential, pulses, most
):  # fmt: skip
    """Largest writes and pulses of any cell over all moves: most (2,) int64, raised in place.

    contents: (states, channels, rows); flips: (states, blocks, channels, slices);
    moves: (M, 3) of (old state or -1 for erased, new state, times).
    """
    states, channels, rows = contents.shape
    flip_level = (1 << cell_bits) - 1
    levels = np.zeros(states, np.int64)
    for channel in range(channels):
        for row in range(rows):
            block = row // height
            for position in range(slices):
                for state in range(states):
                    weight = np.int64(contents[state, channel, row])
                    level = digit(weight, position, slices, bits, cell_bits, differential)
                    levels[state] = flip_level - level if flips[state, block, channel, position] else level
                writes = 0
                trains = 0
                for move in range(moves.shape[0]):
                    was = levels[moves[move, 0]] if moves[move, 0] >= 0 else 0
                    level = levels[moves[move, 1]]
                    if was != level:
                        writes += moves[move, 2]
                        trains += moves[move, 2] * pulses[was, level]
                most[0] = max(most[0], writes)
                most[1] = max(most[1], trains)

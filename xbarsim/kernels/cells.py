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
def column_sums(weights, row_block, slices, bits, cell_bits, differential, out):
    """Worst-case sum of every physical column, all inputs 1: out (blocks, channels, slices) int64.

    row_block: (rows,) row block of every weight row.
    """
    channels, rows = weights.shape
    for channel in range(channels):
        for row in range(rows):
            weight = np.int64(weights[channel, row])
            block = row_block[row]
            for position in range(slices):
                out[block, channel, position] += digit(weight, position, slices, bits, cell_bits, differential)


@njit(cache=True, inline="always")
def mixed(word):
    """A 64-bit word in which every bit depends on every bit of the counter ``word`` (splitmix64)."""
    word = (word + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True)
def attempts_of(seed, cell, failure, retries):
    """Attempts that writing one cell takes; ``retries + 2`` stands for: it failed every time.

    Counter-based: the same (seed, cell) has the same luck whatever the order of writes.
    """
    for attempt in range(retries + 1):
        word = mixed(mixed(np.uint64(seed) ^ np.uint64(cell)) ^ np.uint64(attempt))
        if np.float64(word >> np.uint64(11)) * (1.0 / 9007199254740992.0) >= failure:
            return attempt + 1
    return retries + 2


@njit(cache=True)
def transition(
    old, new, erased, old_flips, new_flips, strips, cols, separate, slices, bits, cell_bits, differential,
    slot_ps, unit_ps, full, by_column, together, failure, retries, seed, histogram, attempts, crossbar_ps,
    crossbar_lines, tally,
):  # fmt: skip
    """Count what writing ``new`` over ``old`` takes.

    old, new: (channels, rows) integers; ``erased``: every cell is at level 0 before, ``old`` unused.
    old_flips, new_flips: (blocks, channels, slices), 1 where the column is stored flipped.
    slot_ps: (L, L) time of one attempt by (old level, new level); unit_ps: time of a unit column's cell,
    or 0. ``full``: every cell goes through level 0. ``by_column``: the cells of a column are written at
    once, columns one after another; otherwise the cells of a row. ``together``: SETs and RESETs of a line
    take the longer of both instead of following each other. An attempt fails with probability
    ``failure`` and is repeated up to ``retries`` times.
    Out: histogram (L, L) writes and attempts (L, L) trains by (old level, new level); crossbar_ps (A,) sum
    over the lines of a crossbar of the longest RESET and the longest SET; crossbar_lines (A,) lines that
    are written; tally (3,): codes that change, cells that are written, cells that failed.
    """
    flip_level = (1 << cell_bits) - 1
    rows = new.shape[1]
    for strip in range(strips.shape[0]):
        block, first_row, count, first_channel, channels, sharing, first_crossbar = strips[strip]
        depth = count * ((channels + sharing - 1) // sharing)
        per_slice = (channels + cols - 1) // cols if separate else 0
        crossbars = per_slice * slices if separate else (channels * slices + cols - 1) // cols
        lines = cols if by_column else depth
        longest_set = np.full((crossbars, lines), 0 if by_column else unit_ps, np.int64)
        longest_reset = np.zeros((crossbars, lines), np.int64)
        for at in range(channels):
            channel = first_channel + at
            offset = (at // sharing) * count
            refits = erased or full
            for position in range(slices):
                refits = refits or old_flips[block, channel, position] != new_flips[block, channel, position]
            for k in range(count):
                row = first_row + k
                after = np.int64(new[channel, row])
                before = after if erased else np.int64(old[channel, row])
                if before != after:
                    tally[0] += 1
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
                    if was == level and not (full and level > 0):
                        continue
                    tries = 1
                    if failure > 0.0:
                        tries = attempts_of(seed, (channel * rows + row) * slices + position, failure, retries)
                        if tries > retries + 1:
                            tries = retries + 1
                            tally[2] += 1
                    tally[1] += 1
                    physical = position * per_slice * cols + at if separate else at * slices + position
                    crossbar = physical // cols
                    line = physical % cols if by_column else offset + k
                    if level > was or full:
                        start = 0 if full else was
                        if level > start:
                            histogram[start, level] += 1
                            attempts[start, level] += tries
                            longest_set[crossbar, line] = max(
                                longest_set[crossbar, line], tries * slot_ps[start, level]
                            )
                    if level < was or (full and was > 0):
                        end = 0 if full else level
                        histogram[was, end] += 1
                        attempts[was, end] += tries
                        longest_reset[crossbar, line] = max(longest_reset[crossbar, line], tries * slot_ps[was, end])
        for crossbar in range(crossbars):
            if by_column:
                crossbar_ps[first_crossbar + crossbar] += unit_ps
                crossbar_lines[first_crossbar + crossbar] += unit_ps > 0
            for line in range(lines):
                trains = longest_set[crossbar, line], longest_reset[crossbar, line]
                total = max(trains[0], trains[1]) if together else trains[0] + trains[1]
                crossbar_ps[first_crossbar + crossbar] += total
                crossbar_lines[first_crossbar + crossbar] += total > 0


@njit(cache=True)
def first_writing(
    new, strips, cols, slices, bits, cell_bits, differential, slot_ps, unit_ps, histogram, crossbar_ps, crossbar_lines
):  # fmt: skip
    """Same as :func:`transition` from erased crossbars, row by row, for weights that nobody stores flipped.

    Needs neighbouring slices that do not straddle crossbars (``cols`` a multiple of ``slices``). Every
    weight is looked at once, not once per slice: its code is counted, its longest train looked up.
    """
    half = 1 << (bits - 1)
    counts = np.zeros(2 * half, np.int64)
    trains = np.zeros(2 * half, np.int64)
    for code in range(2 * half):
        for position in range(slices):
            level = digit(code - half, position, slices, bits, cell_bits, differential)
            trains[code] = max(trains[code], slot_ps[0, level])
    per_crossbar = cols // slices
    for strip in range(strips.shape[0]):
        _, first_row, count, first_channel, channels, sharing, first_crossbar = strips[strip]
        depth = count * ((channels + sharing - 1) // sharing)
        crossbars = (channels + per_crossbar - 1) // per_crossbar
        longest = np.full((crossbars, depth), unit_ps, np.int64)
        for at in range(channels):
            channel = first_channel + at
            offset = (at // sharing) * count
            column = longest[at // per_crossbar]
            for k in range(count):
                code = np.int64(new[channel, first_row + k]) + half
                counts[code] += 1
                column[offset + k] = max(column[offset + k], trains[code])
        for crossbar in range(crossbars):
            for row in range(depth):
                crossbar_ps[first_crossbar + crossbar] += longest[crossbar, row]
                crossbar_lines[first_crossbar + crossbar] += longest[crossbar, row] > 0
    for code in range(2 * half):
        for position in range(slices):
            level = digit(code - half, position, slices, bits, cell_bits, differential)
            if level > 0:
                histogram[0, level] += counts[code]

"""The common case of :func:`xbarsim.kernels.cells.transition`, weight by weight instead of cell by cell.

For rewrites row by row whose attempts do not fail, of columns that nobody stores flipped, with
neighbouring slices that do not straddle crossbars. Every pair of an old and a new code is looked up in
tables of all pairs; how often each pair occurs is counted, and cells follow from that.
"""

import numpy as np
from numba import njit

from xbarsim.kernels.cells import digit


@njit(cache=True)
def pair_times(slices, bits, cell_bits, differential, slot_ps):
    """Longest SET and longest RESET of a weight's cells by old and new code: two (codes, codes) int64."""
    codes = 1 << bits
    half = codes // 2
    longest_set = np.zeros((codes, codes), np.int64)
    longest_reset = np.zeros((codes, codes), np.int64)
    for before in range(codes):
        for after in range(codes):
            for position in range(slices):
                was = digit(before - half, position, slices, bits, cell_bits, differential)
                level = digit(after - half, position, slices, bits, cell_bits, differential)
                if level > was:
                    longest_set[before, after] = max(longest_set[before, after], slot_ps[was, level])
                elif level < was:
                    longest_reset[before, after] = max(longest_reset[before, after], slot_ps[was, level])
    return longest_set, longest_reset


@njit(cache=True)
def rewriting(old, new, strips, cols, slices, bits, set_ps, reset_ps, together, pairs, crossbar_ps, crossbar_lines):
    """Count what writing ``new`` over ``old`` takes; arguments as in ``transition``.

    set_ps, reset_ps: of :func:`pair_times`. Out: pairs (codes, codes) int64, weights by old and new code,
    unchanged ones left out; crossbar_ps and crossbar_lines (A,).
    """
    half = 1 << (bits - 1)
    per_crossbar = cols // slices
    for strip in range(strips.shape[0]):
        _, first_row, count, first_channel, channels, sharing, first_crossbar = strips[strip]
        depth = count * ((channels + sharing - 1) // sharing)
        crossbars = (channels + per_crossbar - 1) // per_crossbar
        longest_set = np.zeros((crossbars, depth), np.int64)
        longest_reset = np.zeros((crossbars, depth), np.int64)
        for at in range(channels):
            channel, offset = first_channel + at, (at // sharing) * count
            sets, resets = longest_set[at // per_crossbar], longest_reset[at // per_crossbar]
            for k in range(count):
                before, after = np.int64(old[channel, first_row + k]), np.int64(new[channel, first_row + k])
                if before == after:
                    continue
                pairs[before + half, after + half] += 1
                sets[offset + k] = max(sets[offset + k], set_ps[before + half, after + half])
                resets[offset + k] = max(resets[offset + k], reset_ps[before + half, after + half])
        for crossbar in range(crossbars):
            for line in range(depth):
                upward, downward = longest_set[crossbar, line], longest_reset[crossbar, line]
                total = max(upward, downward) if together else upward + downward
                crossbar_ps[first_crossbar + crossbar] += total
                crossbar_lines[first_crossbar + crossbar] += total > 0


@njit(cache=True)
def cells_of_pairs(pairs, slices, bits, cell_bits, differential, histogram):
    """Add the cells that pairs of codes write: histogram (L, L) by old and new level."""
    half = 1 << (bits - 1)
    for before in range(pairs.shape[0]):
        for after in range(pairs.shape[1]):
            if pairs[before, after] == 0:
                continue
            for position in range(slices):
                was = digit(before - half, position, slices, bits, cell_bits, differential)
                level = digit(after - half, position, slices, bits, cell_bits, differential)
                if level != was:
                    histogram[was, level] += pairs[before, after]


@njit(cache=True)
def programmed(weights, owners, flips, row_block, slices, bits, cell_bits, differential, counts):
    """Add to ``counts`` (owners,) the cells that the first writing of each owner's weights takes.

    weights, owners: (channels, rows); flips: (blocks, channels, slices); row_block: (rows,) int64.
    """
    flip_level = (1 << cell_bits) - 1
    for channel in range(weights.shape[0]):
        for row in range(weights.shape[1]):
            weight = np.int64(weights[channel, row])
            for position in range(slices):
                level = digit(weight, position, slices, bits, cell_bits, differential)
                if flips[row_block[row], channel, position]:
                    level = flip_level - level
                counts[owners[channel, row]] += level > 0

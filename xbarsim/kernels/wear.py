"""Which levels every cell goes through: the raw material of wear.

A weight's cells are the digits, most significant first, of one *word*: with offset encoding the code
``w + 2^(bits-1)``, with differential encoding the magnitudes of max(w, 0) and max(-w, 0) side by side.
A flipped digit is its complement, so flipping is an exclusive or with ones. See ``kernels.cells`` for
levels and strips.
"""

import numpy as np
from numba import njit

from xbarsim.kernels.cells import attempts_of


@njit(cache=True, inline="always")
def word_of(weight, slices, bits, cell_bits, differential):
    """All digits of a weight, not flipped."""
    if differential:
        positive = weight if weight > 0 else 0
        negative = -weight if weight < 0 else 0
        return (np.int64(positive) << (cell_bits * (slices // 2))) | np.int64(negative)
    return np.int64(weight) + (np.int64(1) << (bits - 1))


@njit(cache=True)
def flip_words(flips, cell_bits):
    """Digits to complement, as words: flips (states, blocks, channels, slices) -> (states, blocks, channels)."""
    states, blocks, channels, slices = flips.shape
    ones = (1 << cell_bits) - 1
    words = np.zeros((states, blocks, channels), np.int64)
    for state in range(states):
        for block in range(blocks):
            for channel in range(channels):
                for position in range(slices):
                    if flips[state, block, channel, position]:
                        words[state, block, channel] |= ones << (cell_bits * (slices - 1 - position))
    return words


@njit(cache=True, inline="always")
def crossbar_of(at, position, first, channels, cols, separate, slices):
    """Crossbar of a slice of the ``at``-th channel of a strip."""
    if separate:
        return first + position * ((channels + cols - 1) // cols) + at // cols
    return first + (at * slices + position) // cols


@njit(cache=True)
def count_histories(
    contents, flipped, strips, cols, separate, slices, bits, cell_bits, differential, per_pe, counts
):  # fmt: skip
    """Count the cells of every processing element by the levels they have in all states.

    contents: (states, channels, rows); flipped: (states, blocks, channels) of :func:`flip_words`.
    A cell whose level in state ``s`` is ``l_s`` counts under ``sum of l_s << (cell_bits * s)``.
    Out: counts (PEs, 2^(cell_bits * states)), added to.
    """
    states = contents.shape[0]
    ones = (1 << cell_bits) - 1
    words = np.zeros(states, np.int64)
    pes = np.zeros(slices, np.int64)
    for strip in range(strips.shape[0]):
        block, first_row, count, first_channel, channels, _, first = strips[strip]
        for at in range(channels):
            channel = first_channel + at
            for position in range(slices):
                pes[position] = crossbar_of(at, position, first, channels, cols, separate, slices) // per_pe
            for row in range(first_row, first_row + count):
                for state in range(states):
                    word = word_of(contents[state, channel, row], slices, bits, cell_bits, differential)
                    words[state] = word ^ flipped[state, block, channel]
                for position in range(slices):
                    shift = cell_bits * (slices - 1 - position)
                    history = 0
                    for state in range(states):
                        history |= ((words[state] >> shift) & ones) << (cell_bits * state)
                    counts[pes[position], history] += 1


@njit(cache=True)
def strip_wear(
    contents, flipped, strip, cols, separate, slices, bits, cell_bits, differential, per_pe, full, moves, seeds,
    pulses, failure, retries, out,
):  # fmt: skip
    """Wear of every cell of one strip, one by one: out (cells, 5) of PE, and writes and pulses twice.

    moves: (M, 4) of (old state or -1 for erased, new state, times of the first kind, of the second);
    seeds: (M,) of the luck of write attempts. ``full``: writes go through level 0, but the first.
    """
    states, _, rows = contents.shape
    ones = (1 << cell_bits) - 1
    levels = np.zeros(states, np.int64)
    block, first_row, count, first_channel, channels, _, first = strip
    cell = 0
    for at in range(channels):
        channel = first_channel + at
        for row in range(first_row, first_row + count):
            for position in range(slices):
                shift = cell_bits * (slices - 1 - position)
                for state in range(states):
                    word = word_of(contents[state, channel, row], slices, bits, cell_bits, differential)
                    levels[state] = ((word ^ flipped[state, block, channel]) >> shift) & ones
                out[cell, 0] = crossbar_of(at, position, first, channels, cols, separate, slices) // per_pe
                for move in range(moves.shape[0]):
                    was = levels[moves[move, 0]] if moves[move, 0] >= 0 else 0
                    level = levels[moves[move, 1]]
                    through = full and moves[move, 0] >= 0
                    if was == level and not (through and level > 0):
                        continue
                    trains = pulses[was, 0] + pulses[0, level] if through else pulses[was, level]
                    if failure > 0.0:
                        number = (channel * rows + row) * slices + position
                        tries = attempts_of(seeds[move], number, failure, retries)
                        trains *= min(tries, retries + 1)
                    for kind in range(2):
                        out[cell, 1 + 2 * kind] += moves[move, 2 + kind]
                        out[cell, 2 + 2 * kind] += moves[move, 2 + kind] * trains
                cell += 1

"""Bits of inputs and of cell levels, packed sixteen rows to a word, row 16 c + r in bit r of word c."""

import numpy as np
from numba import njit

LANE = np.uint64(0x00AA00AA00AA00AA)
PAIR = np.uint64(0x0000CCCC0000CCCC)
QUAD = np.uint64(0x00000000F0F0F0F0)
BYTE = np.uint64(0xFF)


@njit(cache=True, inline="always")
def turn(block):
    """Transpose an 8 x 8 matrix of bits, a byte per row (Warren, Hacker's Delight, 7-3)."""
    swap = (block ^ (block >> np.uint64(7))) & LANE
    block = block ^ swap ^ (swap << np.uint64(7))
    swap = (block ^ (block >> np.uint64(14))) & PAIR
    block = block ^ swap ^ (swap << np.uint64(14))
    swap = (block ^ (block >> np.uint64(28))) & QUAD
    return block ^ swap ^ (swap << np.uint64(28))


@njit(cache=True, inline="always")
def eight(values, first):
    """Eight neighbouring bytes as one word, the first lowest."""
    word = np.uint64(values[first])
    for i in range(1, 8):
        word |= np.uint64(values[first + i]) << np.uint64(8 * i)
    return word


@njit(cache=True, nogil=True)
def pack_bytes(values, bits, first, out):
    """Bit planes of bytes: out (blocks, n, planes, chunks) uint16, filled from plane ``first``.

    values: (n, blocks * chunks * 16) uint8, the rows of a block filled up with zeros; bits: at most 8.
    """
    blocks, vectors, _, chunks = out.shape
    for n in range(vectors):
        row = values[n]
        for block in range(blocks):
            target = out[block, n]
            for chunk in range(chunks):
                at = (block * chunks + chunk) * 16
                low = turn(eight(row, at))
                high = turn(eight(row, at + 8))
                for bit in range(bits):
                    shift = np.uint64(8 * bit)
                    word = ((low >> shift) & BYTE) | (((high >> shift) & BYTE) << np.uint64(8))
                    target[first + bit, chunk] = word


@njit(cache=True, nogil=True)
def pack_levels(levels, out):
    """Bit planes of cell levels: out (planes, chunks, >= columns) uint16, zero before.

    levels: (rows, columns) uint8.
    """
    rows, columns = levels.shape
    for plane in range(out.shape[0]):
        for row in range(rows):
            target = out[plane, row // 16]
            source = levels[row]
            place = row % 16
            for column in range(columns):
                target[column] |= np.uint16((source[column] >> plane) & 1) << np.uint16(place)

"""Ideal cells: column sums of packed bits by population count, and their conversion.

Inputs and levels are packed by :mod:`xbarsim.kernels.bitplanes`. The inner loops run over the columns in
lanes of 16 bits; Numba would widen them to 64, so the lanes' arithmetic is written as intrinsics.
"""

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

DIVIDED, LAWFUL, SAME = 0, 1, 2
"""How the codes of a segment of columns are found."""

if getattr(config, "DISABLE_JIT", False):

    def tally(total, word, mask):
        """``total`` plus the number of bits that ``word`` and ``mask`` share."""
        return int(total) + (int(word) & int(mask)).bit_count()

    def add_shifted(total, count, shift):
        """``total + (count << shift)`` in the type of ``total``."""
        return int(total) + (int(count) << int(shift))

    def scale(total, shift, add, take, multiplier, back):
        """``max(0, (total << shift) + add - take) * multiplier >> (16 + back)``; the bracket modulo 2^16."""
        raised = ((int(total) << int(shift)) + int(add)) & 0xFFFF
        return max(0, raised - int(take)) * int(multiplier) >> 16 + int(back)

    def round_even(down, up, top):
        """``up`` if that is even and ``down`` otherwise, or the one that both are; at most ``top``."""
        return min(down + (down & (up - down)), int(top))

else:
    WORD = types.uint16

    @intrinsic
    def tally(typingctx, total, word, mask):
        """``total`` plus the number of bits that ``word`` and ``mask`` share."""

        def generate(context, builder, signature, args):
            total, word, mask = args
            return builder.add(total, builder.ctpop(builder.and_(word, mask)))

        return WORD(WORD, WORD, WORD), generate

    @intrinsic
    def add_shifted(typingctx, total, count, shift):
        """``total + (count << shift)`` in the type of ``total``."""

        def generate(context, builder, signature, args):
            total, count, shift = args
            if total.type != count.type:
                count, shift = (builder.zext(value, total.type) for value in (count, shift))
            return builder.add(total, builder.shl(count, shift))

        return total(total, WORD, WORD), generate

    @intrinsic
    def scale(typingctx, total, shift, add, take, multiplier, back):
        """``max(0, (total << shift) + add - take) * multiplier >> (16 + back)``; the bracket modulo 2^16."""

        def generate(context, builder, signature, args):
            total, shift, add, take, multiplier, back = args
            lane, wide = total.type, context.get_value_type(types.uint32)
            raised = builder.add(builder.shl(total, shift), add)
            enough = builder.icmp_unsigned(">", raised, take)
            kept = builder.select(enough, builder.sub(raised, take), lane(0))
            product = builder.mul(builder.zext(kept, wide), builder.zext(multiplier, wide))
            return builder.lshr(builder.trunc(builder.lshr(product, wide(16)), lane), back)

        return WORD(WORD, WORD, WORD, WORD, WORD, WORD), generate

    @intrinsic
    def round_even(typingctx, down, up, top):
        """``up`` if that is even and ``down`` otherwise, or the one that both are; at most ``top``."""

        def generate(context, builder, signature, args):
            down, up, top = args
            even = builder.add(down, builder.and_(down, builder.sub(up, down)))
            return builder.select(builder.icmp_unsigned("<", even, top), even, top)

        return WORD(WORD, WORD, WORD), generate


def counter(chunks):
    """Return the kernel that counts ``chunks`` words of a column: their loop is unrolled."""

    @njit(cache=True, error_model="numpy", inline="always")
    def count(plane, mask, shift, fresh, totals):
        """Add to totals (columns,), or set them if ``fresh``: bits that mask and plane share, << shift.

        plane: (>= chunks, columns), mask: (>= chunks,), uint16.
        """
        for column in range(totals.shape[0]):
            shared = np.uint16(0)
            for chunk in range(chunks):
                shared = tally(shared, plane[chunk, column], mask[chunk])
            totals[column] = shared if fresh else add_shifted(totals[column], shared, shift)

    return count


count_8, count_4, count_2, count_1 = counter(8), counter(4), counter(2), counter(1)


@njit(cache=True, nogil=True, error_model="numpy")
def count_plane(plane, mask, shift, fresh, totals):
    """Add to totals (columns,), or set them if ``fresh``: bits that mask and plane share, << shift.

    plane: (chunks, columns), mask: (chunks,), uint16.
    """
    chunks, first = mask.shape[0], 0
    while chunks - first >= 8:
        count_8(plane[first:], mask[first:], shift, fresh and first == 0, totals)
        first += 8
    if chunks - first >= 4:
        count_4(plane[first:], mask[first:], shift, fresh and first == 0, totals)
        first += 4
    if chunks - first >= 2:
        count_2(plane[first:], mask[first:], shift, fresh and first == 0, totals)
        first += 2
    if chunks - first >= 1:
        count_1(plane[first:], mask[first:], shift, fresh and first == 0, totals)


@njit(cache=True, nogil=True, error_model="numpy")
def convert(totals, law, factor, sums):
    """Add to sums (columns,) factor * code of every total, in lanes of 16 bits.

    law: (shift, added, added so that ties fall, taken, multiplier, shift back, highest code), int64; what it
    computes is found, and checked for every total, by :mod:`xbarsim.analog.converter`.
    """
    shift, add, add_down, take = np.uint16(law[0]), np.uint16(law[1]), np.uint16(law[2]), np.uint16(law[3])
    multiplier, back, top = np.uint16(law[4]), np.uint16(law[5]), np.uint16(law[6])
    if add == add_down:
        for column in range(totals.shape[0]):
            up = scale(np.uint16(totals[column]), shift, add, take, multiplier, back)
            sums[column] += round_even(up, up, top) * factor
    else:
        for column in range(totals.shape[0]):
            up = scale(np.uint16(totals[column]), shift, add, take, multiplier, back)
            down = scale(np.uint16(totals[column]), shift, add_down, take, multiplier, back)
            sums[column] += round_even(down, up, top) * factor


@njit(cache=True, nogil=True, error_model="numpy")
def divide(totals, signed, quotient, factor, sums):
    """Add to sums (columns,) factor * code of every total, by division.

    signed: totals of 16 bits have a sign. quotient: (a, b, d, highest code), float64; the code is
    (a total + b) / d, rounded half to even: exact, for products below 2^53 and quotients times d below 2^51.
    """
    a, b, d, top = quotient[0], quotient[1], quotient[2], quotient[3]
    for column in range(totals.shape[0]):
        total = np.int16(totals[column]) if signed else totals[column]
        code = np.rint((a * total + b) / d)
        sums[column] += np.int64(max(0.0, min(code, top))) * factor


@njit(cache=True, error_model="numpy", inline="always")
def convert_columns(totals, signed, segments, laws, quotients, factor, merged):
    """Add to merged (columns,) factor * code of every total; the arguments are those of :func:`read_ideal`."""
    for segment in range(segments.shape[0]):
        begin, end = segments[segment, 0], segments[segment, 1]
        if segments[segment, 2] == LAWFUL:
            convert(totals[begin:end], laws[segment], factor, merged[begin:end])
        elif segments[segment, 2] == SAME:  # of a few unit columns: to call for them costs more
            for column in range(begin, end):
                merged[column] += totals[column] * factor
        else:
            divide(totals[begin:end], signed, quotients[segment], factor, merged[begin:end])


@njit(cache=True, nogil=True, error_model="numpy")
def read_ideal(words, planes, phases, factors, segments, laws, quotients, totals, sums):
    """Codes of all reads, merged over the phases: sums (n, columns) of any whole type, overwritten.

    words: (n, input planes, chunks) uint16; planes: (cell bits, chunks, columns) uint16.
    phases: (phases, 2) int64, the first plane and the number of planes of a read; factors: (phases,), type of
    sums. segments: (segments, 3) int64: first column, one past the last, how codes are found: DIVIDED, LAWFUL, or
    SAME as the sums; laws: (segments, 7) int64, quotients: (segments, 4) float64. totals: (columns,), scratch,
    uint16 if that holds every column sum, int64 otherwise (and then without laws).
    """
    for n in range(words.shape[0]):
        merged = sums[n]
        merged[:] = 0
        for phase in range(phases.shape[0]):
            for bit in range(phases[phase, 1]):
                for plane in range(planes.shape[0]):
                    shift = bit + plane
                    count_plane(planes[plane], words[n, phases[phase, 0] + bit], np.uint16(shift), shift == 0, totals)
            convert_columns(totals, False, segments, laws, quotients, factors[phase], merged)


@njit(cache=True, nogil=True, error_model="numpy")
def signed_sums(words, phase, planes, totals, minus):
    """Column sums of one read where inputs or cells have a sign: totals (columns,); minus: scratch like totals.

    words: (planes, chunks) uint16; phase: (3,) int64, the first plane, the number of planes, the first plane
    of negative inputs or -1. planes: (signs, cell bits, chunks, columns) uint16, of cells that add and, with two
    signs, of cells that subtract.
    """
    totals[:] = 0
    minus[:] = 0
    for half in range(1 if phase[2] < 0 else 2):
        for bit in range(phase[1]):
            mask = words[phase[2 * half] + bit]
            for sign in range(planes.shape[0]):
                for plane in range(planes.shape[1]):
                    shift = np.uint16(bit + plane)
                    count_plane(planes[sign, plane], mask, shift, False, totals if sign == half else minus)
    totals -= minus


@njit(cache=True, nogil=True, error_model="numpy")
def read_signed(words, planes, phases, factors, segments, laws, quotients, totals, minus, sums):
    """As :func:`read_ideal`, for column sums with a sign: phases (phases, 3), planes and minus of signed_sums.

    totals: uint16, in two's complement, if the column sums and the converters' arithmetic stay within.
    """
    for n in range(words.shape[0]):
        merged = sums[n]
        merged[:] = 0
        for phase in range(phases.shape[0]):
            signed_sums(words[n], phases[phase], planes, totals, minus)
            convert_columns(totals, totals.itemsize == 2, segments, laws, quotients, factors[phase], merged)


@njit(cache=True, nogil=True, error_model="numpy")
def count_sums(words, planes, phases, totals, minus, offset, histogram):
    """How often each column sum occurs: histogram (slices, sums) int64 += 1 at ``offset`` + sum.

    words, planes, phases as in :func:`signed_sums`, the first columns slice by slice; totals, minus: (columns,)
    int64, scratch.
    """
    slices, count = histogram.shape[0], totals.shape[0] // histogram.shape[0]
    for n in range(words.shape[0]):
        for phase in range(phases.shape[0]):
            signed_sums(words[n], phases[phase], planes, totals, minus)
            for s in range(slices):
                for column in range(s * count, (s + 1) * count):
                    histogram[s, offset + totals[column]] += 1

"""Random numbers by counter: the same address has the same number, whatever is drawn before or beside it.

Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011: a
counter of four 32-bit words and a key of two give four words. Normal numbers follow by Box and Muller (Ann.
Math. Statist. 29 (1958) 610) in single precision; logarithm, sine and cosine are the polynomials of Cephes
(Moshier), written out with additions and products only, so that loops vectorise and every machine draws the
same bits. No number lies further out than 6.66 standard deviations.

A counter is (address, index, place, purpose): see :mod:`xbarsim.analog.cells` and ``conductances``.
"""

import math

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

MASK = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)

if getattr(config, "DISABLE_JIT", False):

    def bits_of(value):
        """Bits of a single-precision number as int32."""
        return np.float32(value).view(np.int32)

    def float_of(bits):
        """Single-precision number of the bits of an int32."""
        return np.int32(bits).view(np.float32)

else:

    @intrinsic
    def bits_of(typingctx, value):
        """Bits of a single-precision number as int32."""

        def generate(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(types.int32))

        return types.int32(types.float32), generate

    @intrinsic
    def float_of(typingctx, bits):
        """Single-precision number of the bits of an int32."""

        def generate(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(types.float32))

        return types.float32(types.int32), generate


@njit(cache=True, inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four random 32-bit words of a counter and a key; all of them are 32-bit words held in uint64."""
    for _ in range(10):
        low, high = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (high >> HALF) ^ c1 ^ k0, high & MASK, (low >> HALF) ^ c3 ^ k1, low & MASK
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


@njit(cache=True, inline="always")
def logarithm(value, halvings):
    """Natural logarithm of a positive single-precision number over 2^halvings, to about 1e-7 of itself."""
    f4 = np.float32
    bits = bits_of(value)
    exponent = np.int32((bits - 0x3F3504F3) >> 23)  # of value / sqrt(1/2): the mantissa is in [0.707, 1.414)
    x = float_of(np.int32(bits - (exponent << 23))) - f4(1.0)
    y = f4(7.0376836292e-2) * x - f4(1.1514610310e-1)
    y = y * x + f4(1.1676998740e-1)
    y = y * x - f4(1.2420140846e-1)
    y = y * x + f4(1.4249322787e-1)
    y = y * x - f4(1.6668057665e-1)
    y = y * x + f4(2.0000714765e-1)
    y = y * x - f4(2.4999993993e-1)
    y = y * x + f4(3.3333331174e-1)
    square = x * x
    y = y * x * square - f4(0.5) * square
    return x + y + f4(exponent - halvings) * f4(0.69314718056)


@njit(cache=True, inline="always")
def normal_pair(radial, angular):
    """Two independent standard normal numbers, float32, of two random 32-bit words."""
    f4 = np.float32
    uniform = f4(np.int32(radial >> 1)) + f4(0.5)
    square = f4(-2.0) * logarithm(uniform, 31)
    radius = f4(math.sqrt(max(square, f4(0.0))))
    turned = np.int64(angular) + (1 << 29)
    quadrant = (turned >> 30) & 3
    angle = f4(np.int32((turned & ((1 << 30) - 1)) - (1 << 29))) * f4(1.4629180793e-9)  # pi / 2^31
    z = angle * angle
    sine = ((f4(-1.9515295891e-4) * z + f4(8.3321608736e-3)) * z - f4(1.6666654611e-1)) * z * angle + angle
    cosine = (f4(2.443315711809948e-5) * z - f4(1.388731625493765e-3)) * z + f4(4.166664568298827e-2)
    cosine = cosine * z * z - f4(0.5) * z + f4(1.0)
    across, along = (cosine, sine) if quadrant & 1 else (sine, cosine)
    if quadrant & 2:
        across = -across
    if (quadrant + 1) & 2:
        along = -along
    return radius * along, radius * across


@njit(cache=True, nogil=True)
def words(addresses, indices, place, purpose, key_0, key_1, out):
    """Random words: out (4, n) uint32; addresses, indices: (n,) uint32, the other parts are the same for all."""
    c2, c3, k0, k1 = np.uint64(place), np.uint64(purpose), np.uint64(key_0), np.uint64(key_1)
    for i in range(addresses.shape[0]):
        w0, w1, w2, w3 = philox(np.uint64(addresses[i]), np.uint64(indices[i]), c2, c3, k0, k1)
        out[0, i] = w0
        out[1, i] = w1
        out[2, i] = w2
        out[3, i] = w3


@njit(cache=True, nogil=True)
def normals(drawn, out):
    """Standard normal numbers of random words: out (2 or 4, n) float32; drawn (4, n) uint32."""
    for pair in range(0, out.shape[0], 2):
        for i in range(drawn.shape[1]):
            first, second = normal_pair(drawn[pair, i], drawn[pair + 1, i])
            out[pair, i] = first
            out[pair + 1, i] = second

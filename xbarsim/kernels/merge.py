"""From codes to outputs: slices are shifted and added, corrected, gated and shifted, row blocks are added."""

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def merge(sums, scales, step, unit_at, units, base, weights, channels, scratch, out):
    """Add to out (n, all channels) weights * (base + step * scales . codes + units . unit codes) of one row block.

    sums: (n, columns), codes merged over the phases: (slices, channels that are on), and from ``unit_at`` on
    the unit columns. scales: (slices, channels that are on) of any type that holds their sum; units: (unit columns,
    channels that are on), base, weights: (channels that are on,), step: of the type of out, int64 or float64.
    channels: (channels that are on,) int64, or empty if all are on. scratch: (channels that are on,), type of scales.
    """
    slices, count = scales.shape
    kind = scales.dtype.type
    for n in range(sums.shape[0]):
        scratch[:] = 0
        for s in range(slices):
            codes, scale = sums[n, s * count : (s + 1) * count], scales[s]
            for i in range(count):
                scratch[i] += kind(codes[i]) * scale[i]
        for unit in range(units.shape[0]):
            code, added = sums[n, unit_at + unit], units[unit]
            if channels.shape[0]:
                for i in range(count):
                    out[n, channels[i]] += code * added[i] * weights[i]
            else:
                row = out[n]
                for i in range(count):
                    row[i] += code * added[i] * weights[i]
        if channels.shape[0]:
            for i in range(count):
                out[n, channels[i]] += (base[i] + step * scratch[i]) * weights[i]
        else:
            row = out[n]
            for i in range(count):
                row[i] += (base[i] + step * scratch[i]) * weights[i]

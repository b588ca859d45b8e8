"""Confidence intervals of 95 % for shares and for means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy.special import ndtri, stdtrit

TAIL = 0.975
"""Upper end of a two-sided interval of 95 %."""


def wilson(right: int, seen: int) -> tuple[float, float]:
    """Interval of a share of which ``right`` of ``seen`` trials are known (Wilson, JASA 22 (1927) 209)."""
    z = float(ndtri(TAIL))
    share, spread = right / seen, z * z / seen
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / seen + spread / (4 * seen))
    return (middle - half if right else 0.0), (middle + half if right < seen else 1.0)


def of_mean(values: Sequence[float]) -> tuple[float, float]:
    """Interval of the mean of normally distributed values, two at least (Student's t)."""
    half = float(stdtrit(len(values) - 1, TAIL) * np.std(values, ddof=1) / sqrt(len(values)))
    mean = float(np.mean(values))
    return mean - half, mean + half

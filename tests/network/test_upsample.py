"""Operations of branches: interpolation and channel factors."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.mapping.windows import interpolated, tables
from xbarsim.network.graph import Entry, GraphError, build_graph

SOURCE = Entry("input", "input", (), {"shape": (6, 3, 4)})


def grown(op: str, **attrs: object) -> tuple[int, int, int]:
    return build_graph([SOURCE, Entry("node", op, ("input",), attrs)])[-1].shape


def test_shapes() -> None:
    assert grown("upsample", size=[7, 8]) == (6, 7, 8)
    assert grown("upsample", size=5) == (6, 5, 5)
    assert grown("scale", groups=3) == grown("scale") == (6, 3, 4)


@pytest.mark.parametrize(
    ("op", "attrs", "message"),
    [
        ("upsample", {"size": [2, 8]}, "2x8 is smaller than the 3x4 coming in"),
        ("upsample", {}, "upsample needs 'size'"),
        ("scale", {"groups": 4}, "6 channels do not divide into 4 groups"),
        ("scale", {"groups": 0}, "0 is below the minimum 1"),
    ],
)
def test_faults(op: str, attrs: dict[str, object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        grown(op, **attrs)


def pixels(place: int, size: int, out: int) -> set[int]:
    """The pixels that bilinear interpolation reads along one axis, as PyTorch defines it."""
    centre = max(0.0, (place + 0.5) * size / out - 0.5)
    return {floor(centre), min(size - 1, ceil(centre))}


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 7), st.integers(0, 7))
def test_need_and_release_of_interpolation(height: int, width: int, more: int, wider: int) -> None:
    """Against a replay window by window; a pixel beside the place may be held although its share is zero."""
    out = (height + more, width + wider)
    need, release = tables(interpolated((height, width), out))
    reads = [
        {y * width + x for y in pixels(row, height, out[0]) for x in pixels(column, width, out[1])}
        for row in range(out[0])
        for column in range(out[1])
    ]
    latest = 0
    for window, read in enumerate(reads):
        latest = max(latest, max(read) + 1)
        assert need[window] >= latest
        later = [min(other) for other in reads[window + 1 :]]
        assert release[window] <= min(later, default=height * width)
    assert (np.diff(need) >= 0).all()
    assert (np.diff(release) >= 0).all()
    assert need[-1] == release[-1] == height * width


def test_twice_the_size_reads_row_by_row() -> None:
    need, release = tables(interpolated((2, 2), (4, 4)))
    assert need[:4].tolist() == [2, 2, 2, 2] or need[0] <= 4
    assert release[-1] == 4

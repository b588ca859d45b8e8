"""Need and release tables against a replay that follows every single pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mapping.naive import naive_tables, pixels_read

from xbarsim.mapping import Sliding, tables
from xbarsim.mapping.windows import pointwise, whole
from xbarsim.network.ops import out_size


@st.composite
def slidings(draw: st.DrawFn) -> Sliding:
    """Kernels, strides, paddings and dilations of their own along both axes; windows may lie in the padding."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    size, kernel, stride = pair(1, 10), pair(1, 4), pair(1, 4)
    padding, dilation = pair(0, 4), pair(1, 3)
    out = [out_size(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1)]
    assume(min(out) >= 1)
    return Sliding(size, (out[0], out[1]), kernel, stride, padding, dilation)


@settings(max_examples=500)
@given(slidings())
def test_tables_equal_the_replay(sliding: Sliding) -> None:
    need, release = tables(sliding)
    naive_need, naive_release = naive_tables(sliding)
    assert need.tolist() == naive_need
    assert release.tolist() == naive_release


@settings(max_examples=300)
@given(slidings())
def test_nothing_is_read_before_it_came_or_after_it_went(sliding: Sliding) -> None:
    """A buffer that obeys the tables: stated without the naive tables, so that both cannot be wrong alike."""
    need, release = tables(sliding)
    pixels = sliding.in_hw[0] * sliding.in_hw[1]
    gone = 0
    for window, read in enumerate(pixels_read(sliding)):
        assert all(gone <= pixel < need[window] for pixel in read)
        assert release[window] >= gone
        gone = release[window]
    assert gone == pixels
    assert need[-1] <= pixels


@settings(max_examples=300)
@given(slidings())
def test_nothing_waits_longer_than_the_order_of_pixels_asks(sliding: Sliding) -> None:
    """One token less, or one pixel released more, would break a window."""
    need, release = tables(sliding)
    windows = pixels_read(sliding)
    for window in range(len(windows)):
        so_far = [pixel for read in windows[: window + 1] for pixel in read]
        assert need[window] == max(so_far, default=-1) + 1
        later = [pixel for read in windows[window + 1 :] for pixel in read]
        if later:
            assert release[window] == min(later)


def test_pointwise_takes_and_gives_pixel_by_pixel() -> None:
    need, release = tables(pointwise((3, 4)))
    assert need.tolist() == release.tolist() == list(range(1, 13))


def test_whole_waits_for_the_last_pixel_and_keeps_all_until_the_last_window() -> None:
    need, release = tables(whole((3, 4), (2, 1)))
    assert need.tolist() == [12, 12]
    assert release.tolist() == [0, 12]


def test_a_last_row_that_nobody_reads_is_released_all_the_same() -> None:
    """A 2x2 pool over 5x5 pixels: row and column 4 are never read."""
    need, release = tables(Sliding((5, 5), (2, 2), (2, 2), (2, 2)))
    assert need.tolist() == [7, 9, 17, 19]
    assert release.tolist() == [2, 10, 12, 25]


def test_tables_have_one_entry_per_window() -> None:
    need, release = tables(Sliding((6, 7), (4, 5), (3, 3)))
    assert need.dtype == release.dtype == np.int64
    assert len(need) == len(release) == 20

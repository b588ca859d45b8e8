"""Random numbers by counter: Philox as published, normal numbers that are normal, nothing depends on order."""

from __future__ import annotations

import numpy as np
import pytest
from analog.naive import box_muller, key_of, philox
from hypothesis import given
from hypothesis import strategies as st
from numba import config
from scipy import stats

from xbarsim.analog.cells import FAULT, WRITE, Source
from xbarsim.errors import InputError
from xbarsim.kernels import philox as kernel

COMPILED = not getattr(config, "DISABLE_JIT", False)
MANY = 400_000 if COMPILED else 4_000

ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Counter, key and words, from the known-answer tests of the Random123 library."""

word = st.integers(0, ONES)


def compiled(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(each) for each in kernel.philox(*(np.uint64(each) for each in (*counter, *key))))


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert compiled(counter, key) == philox(counter, key) == expected


@given(st.tuples(word, word, word, word), st.tuples(word, word))
def test_philox_is_philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> None:
    assert compiled(counter, key) == philox(counter, key)


def drawn(count: int, seed: int = 1) -> np.ndarray:
    source = Source.of(seed, 0, 0)
    return source.words(WRITE, np.arange(count // 8, dtype=np.uint32), np.arange(2)).reshape(4, -1)


def test_words_are_those_of_their_addresses() -> None:
    source = Source.of(2**40 + 7, 3, 5)
    columns, rows = np.array([9, 2**31 + 4, 0], np.uint32), np.array([1, 700])
    for purpose, draw in ((WRITE, 5), (FAULT, 0)):
        found = source.words(purpose, columns, rows)
        for at, row in enumerate(rows):
            for place, column in enumerate(columns):
                expected = philox((int(column), int(row), draw, purpose), key_of(2**40 + 7, 3))
                assert tuple(found[:, at, place]) == expected


def test_normal_numbers_follow_box_and_muller() -> None:
    words = drawn(4096)
    out = np.empty(words.shape, np.float32)
    kernel.normals(words, out)
    for at in range(words.shape[1]):
        for pair in (0, 2):
            expected = box_muller(int(words[pair, at]), int(words[pair + 1, at]))
            assert out[pair : pair + 2, at] == pytest.approx(expected, abs=2e-6, rel=1e-5)


def test_the_least_and_largest_words_give_finite_numbers() -> None:
    corners = np.array([[a, b] for a in (0, 1, ONES - 1, ONES) for b in (0, 1, 2**29, 2**31, ONES)], np.uint32).T
    words = np.ascontiguousarray(np.concatenate([corners, corners]))
    out = np.empty(words.shape, np.float32)
    kernel.normals(words, out)
    assert np.isfinite(out).all()
    assert np.abs(out).max() < 6.67


def test_normal_numbers_are_normal_and_independent() -> None:
    words = drawn(MANY)
    out = np.empty(words.shape, np.float32)
    kernel.normals(words, out)
    every = out.reshape(-1).astype(float)
    assert stats.kstest(every, "norm").pvalue > 1e-3
    assert every.mean() == pytest.approx(0, abs=5 / np.sqrt(every.size))
    assert every.var() == pytest.approx(1, abs=8 / np.sqrt(every.size))
    correlations = np.corrcoef(np.concatenate([out, np.roll(out, 1, axis=1)]).astype(float))
    assert np.abs(correlations - np.eye(8)).max() < 6 / np.sqrt(out.shape[1])


def test_seeds_and_sites_have_numbers_of_their_own() -> None:
    keys = {Source.of(seed, site, 0).key for seed in (0, 1, 2**32, 2**63) for site in range(8)}
    assert len(keys) == 32


@pytest.mark.parametrize(("seed", "site", "draw"), [(-1, 0, 0), (2**64, 0, 0), (0, -1, 0), (0, 0, 2**32)])
def test_seeds_out_of_range_are_refused(seed: int, site: int, draw: int) -> None:
    with pytest.raises(InputError, match=r"seed|site"):
        Source.of(seed, site, draw)

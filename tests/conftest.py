"""What every test may use: a generator seeded by the test, files written from text, hypothesis' settings."""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Machines differ in speed, and Numba compiles inside the first example: no deadline on an example.
settings.register_profile("xbarsim", deadline=None, print_blob=True)
settings.load_profile("xbarsim")

Write = Callable[..., Path]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name, so that a failure repeats and tests do not share draws."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write ``text`` to a file of a fresh folder, which is the current one: messages show bare file names."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str | bytes) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode())
        return path

    return write_file

"""A small good bundle, to be read and to be broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from network.small import content

from xbarsim.network.bundle_writer import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The folder of the good bundle."""
    path = tmp_path / "small.xmn"
    write_bundle(path, content())
    return path

"""Names of others as names of ours."""

from __future__ import annotations

import re


def clean(name: str) -> str:
    """Return a name that a graph takes: letters, digits, ``_``, ``.`` and ``-``, the first no sign."""
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", name).lstrip(".-") or "node"

"""Commands as a user gives them, run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from xbarsim.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command said, and the exit code it left with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output as JSON; it must be one object and nothing else."""
        return json.loads(self.out)


Xbarsim = Callable[..., Answer]

_ANSWERS: dict[tuple[str | None, ...], Answer] = {}


@pytest.fixture
def xbarsim(capsys: pytest.CaptureFixture[str]) -> Xbarsim:
    """Run a command and return its answer."""

    def call(*args: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Answer(int(left.value.code or 0), out, err)

    return call


@pytest.fixture
def asked(xbarsim: Xbarsim) -> Xbarsim:
    """The same, and the answer is kept: a command that writes nothing is run once for all tests."""

    def call(*args: str) -> Answer:
        known = (os.environ.get("COLUMNS"), *args)
        if known not in _ANSWERS:
            _ANSWERS[known] = xbarsim(*args)
        return _ANSWERS[known]

    return call

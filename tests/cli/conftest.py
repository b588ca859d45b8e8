"""Commands as a user gives them, run in this process."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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


CHIP = """\
schema: 1
name: mine
extends: xbm_72
adc:
  bits: 8
"""
TABLE = """\
schema: 1
name: small
input: [8, 4, 4]
layers:
  - {conv: conv1, out: 8, kernel: 3, padding: 1}
  - relu
  - global_avg_pool
  - {linear: fc, out: 4}
synthetic: {tasks: 2}
"""
RUN = ("run", "xbm_72", "digits")


def refused(answer: Answer, *messages: str) -> None:
    """Exit code 2, nothing on standard output, each message (a pattern) on a line of its own, no traceback."""
    assert answer.code == 2, answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err
    lines = [line for line in answer.err.splitlines() if line]
    for message in messages:
        assert any(re.search(message, line) for line in lines), f"{message!r} is not in:\n{answer.err}"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a chip file and a layer table that are right."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(CHIP)
    Path("small.yaml").write_text(TABLE)
    return tmp_path

"""``--trace`` of ``run`` and ``time``: a file beside the result, which it leaves as it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Xbarsim, refused
from results.test_trace import check_events

RUN = ("run", "xbm_72", "digits", "--scenario", "rotated:2,inverted", "--format", "json")
TIMES = ("plan_seconds", "engine_seconds")


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return found


def test_a_run_and_its_trace(xbarsim: Xbarsim, asked: Xbarsim, folder: Path) -> None:
    answer = xbarsim(*RUN, "--trace", "t.json.gz")
    assert answer.code == 0
    plain = asked(*RUN).json
    assert {**answer.json, **dict.fromkeys(TIMES)} == {**plain, **dict.fromkeys(TIMES)}
    found = events(folder / "t.json.gz")
    check_events(found)
    slices = [event for event in found if event["ph"] == "X"]
    assert len(slices) == plain["firings"]
    last = max(event["ts"] + event["dur"] for event in slices)
    assert last <= plain["latency_ns"] / 1000 + 1e-9


def test_a_window(xbarsim: Xbarsim, folder: Path) -> None:
    assert xbarsim(*RUN, "--trace", "t.json.gz", "--trace-window", "10us..12us").code == 0
    found = events(folder / "t.json.gz")
    check_events(found)
    slices = [event for event in found if event["ph"] == "X"]
    assert min(event["ts"] for event in slices) == 10
    assert max(event["ts"] + event["dur"] for event in slices) == pytest.approx(12)


def test_the_trace_of_a_graph(xbarsim: Xbarsim, folder: Path) -> None:
    assert xbarsim("plan", "xbm_72", "digits", "--out", "g.json").code == 0
    for engine in ("compiled", "reference"):
        answer = xbarsim("time", "g.json", "--engine", engine, "--format", "csv", "--trace", f"{engine}.json.gz")
        assert answer.out.startswith("actor,")
    assert (folder / "compiled.json.gz").read_bytes() == (folder / "reference.json.gz").read_bytes()
    found = events(folder / "compiled.json.gz")
    check_events(found)
    assert {event["name"] for event in found if event["ph"] == "X"} >= {"conv1.read", "fc.write"}


def test_perfetto(xbarsim: Xbarsim, folder: Path) -> None:
    pytest.importorskip("perfetto")
    assert xbarsim(*RUN, "--trace", "t.pftrace").code == 0
    assert (folder / "t.pftrace").stat().st_size > 100_000


def test_perfetto_is_an_extra(xbarsim: Xbarsim, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "perfetto.trace_builder.proto_builder", None)
    answer = xbarsim(*RUN, "--trace", "t.pftrace")
    assert answer.code == 1
    assert "pip install 'xbarsim[trace]'" in answer.err
    assert not list(folder.glob("*t.pftrace*"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--trace", "t.txt"), r"--trace: t.txt: the name must end in .json, .json.gz, .pftrace or .perfetto-trace"),
        (("--trace", "none/t.json"), r"--trace: none/t.json: there is no folder"),
        (("--trace-window", "1us..2us"), r"--trace-window: needs --trace FILE"),
        (("--trace", "t.json", "--trace-window", "2us"), r"--trace-window: '2us' is no span"),
        (("--trace", "t.json", "--trace-window", "1s..2s"), r"--trace: the window begins at 1e\+06 us"),
    ],
)
def test_bad_input(xbarsim: Xbarsim, folder: Path, args: tuple[str, ...], message: str) -> None:
    refused(xbarsim(*RUN, *args), message)
    assert not list(folder.glob("*t.json*"))

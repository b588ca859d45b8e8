"""A sweep that is killed, interrupted, or spread over a cluster that loses a worker: the same tables, byte for byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import xbarsim as xs
from xbarsim.errors import InputError, XbarsimError
from xbarsim.studies.points import sha256

GRID = {"crossbar.rows": [64, 72], "adc.bits": [6, 7, 8], "crossbar.cell_bits": [1, 2]}
METHODS = ["xbm", "finetune"]
POINTS = 24
COMMAND = [
    sys.executable, "-m", "xbarsim", "sweep", "xbm_72", "digits", "--methods", ",".join(METHODS), "--mask-fit",
    "resample", *(word for key, values in GRID.items() for word in ("--grid", f"{key}={','.join(map(str, values))}")),
]  # fmt: skip


@pytest.fixture(scope="module")
def net() -> xs.Network:
    return xs.load_bundle("digits")


@pytest.fixture(scope="module")
def tables(net: xs.Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted sweep in one process writes."""
    folder = tmp_path_factory.mktemp("reference") / "sweep"
    xs.sweep("xbm_72", net, GRID, methods=METHODS, mask_fit="resample", out=folder)
    return written(folder)


def written(folder: Path) -> dict[str, bytes]:
    """Every file of a finished sweep, its points included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def points(folder: Path) -> dict[str, int]:
    """Points that are there, and when each was written; every one of them is whole."""
    found = {}
    for path in (folder / "points").glob("*.json") if folder.exists() else ():
        content = json.loads(path.read_bytes())
        assert content["sha256"] == sha256([path.stem, content["row"]])
        found[path.name] = path.stat().st_mtime_ns
    return found


def started(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """A sweep of its own, in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, "--out", str(folder), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )  # fmt: skip


def until(process: subprocess.Popen[bytes], folder: Path, count: int) -> dict[str, int]:
    """Watch a sweep until so many points are there, or it ends."""
    while len(found := points(folder)) < count and process.poll() is None:
        time.sleep(0.002)
    return found


def children(process: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            yield int(path.parent.name)


def gone(processes: list[int]) -> bool:
    """Whether processes end within some seconds."""
    for _ in range(600):
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_sweep_killed_at_a_random_moment_goes_on(tmp_path: Path, tables: dict[str, bytes], jobs: str) -> None:
    folder, chance = tmp_path / "sweep", random.Random()
    before: dict[str, int] = {}
    for least in (1, POINTS // 2):
        process = started(folder, "-j", jobs)
        until(process, folder, least + chance.randrange(POINTS // 2 - 2))
        time.sleep(chance.random() * 0.05)
        helpers = list(children(process.pid)) if sys.platform == "linux" else []
        process.kill()
        process.communicate()
        assert gone(helpers)
        after = points(folder)
        assert before.items() <= after.items()  # nothing lost, nothing redone
        before = after
    assert 0 < len(before)
    process = started(folder, "-j", jobs, "--format", "csv")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert before.items() <= points(folder).items()
    assert written(folder) == tables
    assert out == tables["sweep.csv"]


@pytest.mark.slow
def test_an_interrupt_ends_all_processes_and_says_how_to_go_on(tmp_path: Path, tables: dict[str, bytes]) -> None:
    """The whole process group hears it, as from a keyboard."""
    folder = tmp_path / "sweep"
    process = started(folder, "-j", "2")
    until(process, folder, 3)
    helpers = list(children(process.pid)) if sys.platform == "linux" else []
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 20
    assert process.returncode == 130
    assert out == b""
    said = [line for line in err.decode().splitlines() if line]
    assert said[-1] == "interrupted"
    assert said[0].endswith(f"of {POINTS} points are in {folder}: the same command goes on from there")
    assert len(said) == 2  # no traceback, not of the helpers either
    assert gone(helpers)
    kept = points(folder)
    assert len(kept) >= 3
    process = started(folder)
    process.communicate()
    assert process.returncode == 0
    assert kept.items() <= points(folder).items()
    assert written(folder) == tables


@pytest.mark.slow
def test_three_shards_by_command_are_the_whole(tmp_path: Path, tables: dict[str, bytes]) -> None:
    folder = tmp_path / "sweep"
    running = [started(folder, "--shard", f"{number}/3") for number in (1, 2, 3)]  # all at once
    for process in running:
        process.communicate()
        assert process.returncode == 0
    assert written(folder) == tables


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path: Path, net: xs.Network, tables: dict[str, bytes]) -> None:
    xs.sweep("xbm_72", net, GRID, methods=METHODS, mask_fit="resample", out=tmp_path / "sweep", jobs=2)
    assert written(tmp_path / "sweep") == tables


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_half_way(tmp_path: Path, net: xs.Network, tables: dict[str, bytes]) -> None:
    distributed = pytest.importorskip("distributed")
    done: list[str] = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        first = next(iter(cluster.workers.values()))
        pid = first.process.pid

        def kill(label: str) -> None:
            done.append(label)
            if len(done) == POINTS // 2:
                os.kill(pid, signal.SIGKILL)

        address = cluster.scheduler_address
        frame = xs.sweep(
            "xbm_72", net, GRID, methods=METHODS, mask_fit="resample", out=tmp_path / "sweep", cluster=address,
            progress=kill,
        )  # fmt: skip
        assert first.process.pid != pid  # another one took its place
    assert len(done) == len(frame) == POINTS
    assert written(tmp_path / "sweep") == tables


@pytest.mark.slow
def test_a_local_cluster(tmp_path: Path, net: xs.Network, tables: dict[str, bytes]) -> None:
    pytest.importorskip("distributed")
    xs.sweep("xbm_72", net, GRID, methods=METHODS, mask_fit="resample", out=tmp_path / "sweep", cluster="local", jobs=2)
    assert written(tmp_path / "sweep") == tables


@pytest.mark.slow
def test_a_cluster_that_nobody_answers_for(tmp_path: Path, net: xs.Network) -> None:
    pytest.importorskip("distributed")
    begun = time.monotonic()
    with pytest.raises(XbarsimError, match="no scheduler answers within 10 s") as raised:
        xs.sweep("xbm_72", net, GRID, methods=METHODS, out=tmp_path / "sweep", cluster="tcp://127.0.0.1:9")
    assert time.monotonic() - begun < 25
    assert raised.value.exit_code == 1
    for address in ("nonsense", "foo://bar:1"):
        with pytest.raises(InputError, match="write local, or an address"):
            xs.sweep("xbm_72", net, GRID, methods=METHODS, cluster=address)

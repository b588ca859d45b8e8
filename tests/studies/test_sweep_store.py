"""The store of a sweep: what was done stays done, and nothing is read that is not what it should be."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xbarsim as xs
from xbarsim.errors import InputError, XbarsimError
from xbarsim.studies import points as points_module
from xbarsim.studies import runner, store
from xbarsim.studies.points import chip_digest, key_of, network_digest, scenario_digest, sources
from xbarsim.studies.pool import Crew, Lost
from xbarsim.studies.sweep import load_sweep, prepare

GRID = {"crossbar.rows": [64, 72], "adc.bits": [7, 8]}
TABLES = ("sweep.csv", "sweep.json", "manifest.json")


@pytest.fixture(scope="module")
def net() -> xs.Network:
    return xs.load_bundle("digits")


@pytest.fixture(scope="module")
def whole(net: xs.Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep; not to be changed."""
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    run(net, folder)
    return folder


def run(net: xs.Network, out: Path | None, **more: Any) -> pd.DataFrame:
    return xs.sweep("xbm_72", net, GRID, methods=["xbm"], out=out, **more)


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods of the points that were simulated in this process, in order."""
    done: list[str] = []
    measured = points_module.measured

    def count(chip: xs.Chip, network: xs.Network, method: str, *rest: Any) -> Any:
        done.append(method)
        return measured(chip, network, method, *rest)

    monkeypatch.setattr(points_module, "measured", count)
    return done


# ---- what is written, and read again ---------------------------------------------------------------


def test_a_folder_and_memory_give_the_same_table(net: xs.Network, whole: Path) -> None:
    pd.testing.assert_frame_equal(run(net, None), load_sweep(whole).frame)
    assert run(net, None).to_csv(index=False).encode() == (whole / "sweep.csv").read_bytes()
    assert {path.name for path in whole.iterdir()} == {*TABLES, "points"}
    assert len(list((whole / "points").iterdir())) == 8  # the baseline is stored too
    assert run(net, None).attrs == {"complete": True, "notes": []}


def test_what_a_finished_sweep_says(whole: Path) -> None:
    found = load_sweep(whole)
    assert found.manifest["axes"] == GRID
    assert (found.manifest["grid"], found.manifest["points"], found.manifest["rows"]) == (True, 4, 4)
    assert found.manifest["chip"]["name"] == "xbm_72"
    assert found.result["failed"] == 2
    assert found.frame["masks"].tolist()[2:] == ["learned", "learned"]
    assert "seconds" not in "".join(text.decode() for text in tables(whole).values())


def test_a_finished_sweep_is_not_done_again(net: xs.Network, copy: Path, counted: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy / "points").iterdir()}
    frame = run(net, copy)
    assert counted == []
    assert {path: path.stat().st_mtime_ns for path in (copy / "points").iterdir()} == before
    pd.testing.assert_frame_equal(frame, load_sweep(copy).frame)


def test_the_label_of_resampled_masks_is_in_the_table(net: xs.Network, tmp_path: Path) -> None:
    run(net, tmp_path / "a", mask_fit="resample")
    found = load_sweep(tmp_path / "a")
    assert found.frame["masks"].tolist() == ["resampled", "resampled", "learned", "learned"]
    assert found.frame["mask_fit"].tolist() == ["resample"] * 4
    assert found.result["synthetic"] is True
    assert "resampled" in (tmp_path / "a/sweep.csv").read_text()


def test_shards_meet_in_one_folder_or_are_brought_together(
    net: xs.Network, whole: Path, tmp_path: Path, counted: list[str]
) -> None:
    for number in (3, 1):
        part = run(net, tmp_path / "one", shard=(number, 3))
        assert not part.attrs["complete"]
        assert not (tmp_path / "one/sweep.csv").exists()
    assert run(net, tmp_path / "one", shard=(2, 3)).attrs["complete"]
    assert tables(tmp_path / "one") == tables(whole)
    assert len(counted) == 8
    for number in (1, 2, 3):
        run(net, tmp_path / f"part{number}", shard=(number, 3))
    for number in (2, 3):
        for path in (tmp_path / f"part{number}/points").iterdir():
            shutil.copy(path, tmp_path / "part1/points")
    del counted[:]
    assert run(net, tmp_path / "part1").attrs["complete"]
    assert counted == []
    assert tables(tmp_path / "part1") == tables(whole)


def test_shards_are_disjoint_and_cover_all(net: xs.Network) -> None:
    study = prepare("xbm_72", net, {"adc.bits": [4, 5, 6, 7, 8]}, methods=["xbm", "piggyback"])
    for parts in (1, 2, 3, 7):
        keys = [entry.key for number in range(1, parts + 1) for entry in study.part((number, parts))]
        assert sorted(keys) == sorted(entry.key for entry in study.entries)
        assert len(set(keys)) == 15


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 0), (-1, 2)])
def test_a_shard_that_there_is_not(net: xs.Network, tmp_path: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="the first number is from 1"):
        run(net, tmp_path / "no", shard=shard)
    assert not (tmp_path / "no").exists()


# ---- what is not what it should be -----------------------------------------------------------------


@settings(max_examples=12)
@given(data=st.data())
def test_whatever_became_of_the_points_the_tables_are_the_same(
    net: xs.Network, whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Points are missing, cut off anywhere, swapped, changed; tables and drafts are lying about."""
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("harm") / "sweep"))
    files = sorted((folder / "points").iterdir())
    for path in data.draw(st.lists(st.sampled_from(files), max_size=4, unique=True)):
        text = path.read_bytes()
        harm = data.draw(st.sampled_from(["missing", "cut", "swapped", "changed", "empty", "list", "deep"]))
        if harm == "missing":
            path.unlink()
        elif harm == "cut":
            path.write_bytes(text[: data.draw(st.integers(0, len(text) - 2))])
        elif harm == "swapped":
            shutil.copy(whole / "points" / data.draw(st.sampled_from([one.name for one in files])), path)
        elif harm == "changed":
            path.write_bytes(text.replace(b'"fits": true', b'"fits": false').replace(b"72", b"73"))
        else:
            path.write_bytes({"empty": b"", "list": b"[1]", "deep": b"[" * 100_000}[harm])
    if data.draw(st.booleans()):
        (folder / "sweep.csv").unlink()
    run(net, folder, jobs=1)
    assert tables(folder) == tables(whole)
    assert {path.name: path.read_bytes() for path in (folder / "points").iterdir()} == {
        path.name: path.read_bytes() for path in (whole / "points").iterdir()
    }


def test_damaged_and_foreign_files_are_reported(net: xs.Network, copy: Path, counted: list[str]) -> None:
    first, second, *_ = sorted((copy / "points").iterdir())
    first.write_bytes(first.read_bytes()[:-40])
    content = json.loads(second.read_text())
    content["row"]["error"] = "it never ran"
    second.write_text(json.dumps(content))
    (copy / "points/notes.txt").write_text("mine")
    (copy / "points" / f"{'a' * 64}.json").write_text("{}")
    notes = run(net, copy).attrs["notes"]
    assert len(counted) == 2
    assert any(f"{first.name}: is not whole: the point is done again" in note for note in notes)
    assert any(f"{second.name}: was changed after it was written" in note for note in notes)
    assert any("notes.txt: is no point; left alone" in note for note in notes)
    assert any("1 of its points are none of this study's" in note for note in notes)
    assert len(notes) == 4
    assert (copy / "points/notes.txt").read_text() == "mine"
    assert len(run(net, copy).attrs["notes"]) == 2  # what was damaged is whole again


def test_drafts_of_the_dead_are_removed_and_those_of_the_living_are_not(net: xs.Network, copy: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store.write(copy / "probe", "")
    (copy / "probe").unlink()
    host = store.hashlib.sha256(store.platform.node().encode()).hexdigest()[:8]
    names = [
        f".draft-{host}-{dead.pid}-00000000",
        f".draft-{host}-{os.getpid()}-00000000",
        ".draft-00000000-1-00000000",
    ]
    for name in names:
        (copy / "points" / name).write_text("{")
    assert run(net, copy).attrs["notes"] == []
    assert {path.name for path in (copy / "points").glob(".*")} == set(names[1:])


OTHERS = {
    "schema": ("xbarsim.store/0", "this version of xbarsim reads"),
    "xbarsim": ("0.0.9+abc", r"holds points of xbarsim 0\.0\.9\+abc, this is"),
    "seed": (7, "differs in seed"),
    "methods": (["piggyback"], "differs in methods"),
    "scenario_digest": ("0", "differs in content of the scenario"),
    "axes": ({}, "differs in axes"),
    "kind": ("search", "differs in kind of study"),
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_folder_of_another_study_or_version_is_refused(net: xs.Network, copy: Path, field: str) -> None:
    value, said = OTHERS[field]
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, field: value}))
    before = {path: path.read_bytes() for path in copy.rglob("*.*")}
    with pytest.raises(InputError, match=said):
        run(net, copy)
    assert {path: path.read_bytes() for path in copy.rglob("*.*")} == before


def test_another_chip_bundle_or_grid_is_refused(net: xs.Network, copy: Path, tmp_path: Path) -> None:
    for chip, network, grid in (
        (xs.load_chip("xbm_72", {"adc.bits": 6}), net, GRID),
        (xs.load_chip("xbm_72"), replace(net, seed=1), GRID),
        (xs.load_chip("xbm_72"), net, {**GRID, "adc.bits": [7, 8, 9]}),
    ):
        with pytest.raises(InputError, match=r"holds another study: it differs in (chip|bundle|axes)"):
            xs.sweep(chip, network, grid, methods=["xbm"], out=copy)
    moved = tmp_path / "moved.yaml"
    shutil.copy(xs.load_chip("xbm_72").origin, moved)
    assert xs.sweep(str(moved), net, GRID, methods=["xbm"], out=copy).attrs["complete"]  # the same chip elsewhere


def test_folders_that_hold_no_sweep(net: xs.Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("")
    for name, said in (
        ("file", "is not a folder"),
        ("full", "is not empty and holds no study"),
        ("a/b", "there is no folder"),
    ):
        with pytest.raises(InputError, match=said):
            run(net, tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert run(net, tmp_path / "empty").attrs["complete"]


def test_loading_what_is_no_finished_sweep(net: xs.Network, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is .* the folder of a study"):
        load_sweep(tmp_path / "nothing")
    run(net, tmp_path / "part", shard=(1, 2))
    with pytest.raises(InputError, match="is not finished"):
        load_sweep(tmp_path / "part")
    (copy / "sweep.json").write_text("{")
    with pytest.raises(InputError, match=r"sweep\.json: is damaged"):
        load_sweep(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: is damaged"):
        load_sweep(copy)


# ---- the machine fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_loses_nothing(
    net: xs.Network, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[str], call: str
) -> None:
    """The fifth file that is written meets a full disk."""
    real, calls = getattr(os, call), []

    def full(*args: Any) -> Any:
        calls.append(args)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args)

    monkeypatch.setattr(store.os, call, full)
    with pytest.raises(XbarsimError, match="cannot be written: no space left on device"):
        run(net, tmp_path / "a")
    monkeypatch.setattr(store.os, call, real)
    assert len(list((tmp_path / "a/points").iterdir())) == 4  # no draft is left
    assert len(counted) == 5
    run(net, tmp_path / "a")
    assert len(counted) == 9  # four stayed, one was done but could not be kept
    assert tables(tmp_path / "a") == tables(whole)


def test_a_point_that_memory_is_too_small_for_is_no_result(
    net: xs.Network, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = points_module.measured

    def greedy(chip: xs.Chip, network: xs.Network, method: str, *rest: Any) -> Any:
        if method == "xbm" and chip.file.adc.bits == 8:
            raise MemoryError("50 GiB")
        return measured(chip, network, method, *rest)

    monkeypatch.setattr(points_module, "measured", greedy)
    with pytest.raises(XbarsimError, match=r"2 points could not be done on this machine:\n.*not enough memory: 50 GiB"):
        run(net, tmp_path / "a")
    assert not (tmp_path / "a/sweep.csv").exists()
    assert len(list((tmp_path / "a/points").iterdir())) == 6
    monkeypatch.setattr(points_module, "measured", measured)
    run(net, tmp_path / "a")
    assert tables(tmp_path / "a") == tables(whole)


def mortal(folder: str, piece: int) -> int:
    """Work whose piece 3 kills its process, always; piece 5 the first time only."""
    flag = Path(folder) / "died"
    if piece == 3 or (piece == 5 and not flag.exists()):
        if piece == 5:
            flag.touch()
        os.kill(os.getpid(), 9)
    if piece == 7:
        raise MemoryError
    return piece * piece


@pytest.mark.slow
def test_processes_that_are_killed_take_no_other_work_along(tmp_path: Path) -> None:
    with Crew(mortal, str(tmp_path), 2) as crew:
        found = dict(crew.as_done(range(10)))
        assert dict(crew.as_done([1, 2])) == {1: 1, 2: 4}  # and the crew goes on
    assert {piece: found[piece] for piece in range(10) if piece not in (3, 7)} == {
        piece: piece * piece for piece in range(10) if piece not in (3, 7)
    }
    assert isinstance(found[3], Lost)
    assert found[7] == Lost("not enough memory")


@pytest.mark.slow
def test_a_process_that_is_killed_costs_no_point(net: xs.Network, whole: Path, tmp_path: Path) -> None:
    """The first result that comes in: its process, or another one, is killed."""
    killed: list[int] = []

    def kill(label: str) -> None:
        if not killed:
            import multiprocessing

            child = multiprocessing.active_children()[0]
            killed.append(child.pid or 0)
            os.kill(killed[0], 9)

    run(net, tmp_path / "a", jobs=2, progress=kill)
    assert killed
    assert tables(tmp_path / "a") == tables(whole)


def test_dask_that_is_not_installed_is_named(net: xs.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "xbarsim.studies.cluster", raising=False)
    with pytest.raises(XbarsimError, match=r"pip install 'xbarsim\[dask\]'"):
        run(net, None, cluster="local")


# ---- what a key stands for -------------------------------------------------------------------------


def test_a_key_depends_on_everything_that_a_result_depends_on(net: xs.Network, tmp_path: Path) -> None:
    def key(chip: xs.Chip | None = None, network: xs.Network = net, method: str = "xbm", **more: Any) -> str:
        scenario = scenario_digest(more.get("scenario"), network)
        digest = chip_digest(chip or xs.load_chip("xbm_72"))
        return key_of(digest, network_digest(network), method, scenario, more.get("seed", 0))

    copied = Path(shutil.copytree(net.source, tmp_path / "digits.xmn"))
    same = [
        key(),
        key(xs.load_chip("xbm_72", {"adc.bits": 8})),  # as in the file
        key(
            scenario=",".join([*list(net.tasks)[:1], *(f"{task}:1" for task in list(net.tasks)[1:])])
        ),  # as without one
        key(network=xs.load_bundle(str(copied))),
    ]
    assert len(set(same)) == 1
    trace = tmp_path / "trace.csv"
    trace.write_text("time_ns,task\n0,digits\n")
    other = [
        key(xs.load_chip("xbm_72", {"adc.bits": 7})),
        key(xs.load_chip("xbm_72", {"device": "puma_serial"})),
        key(xs.load_chip("xbm_72", {"crossbar.cycle_ns": 100.000001})),
        key(method="piggyback"),
        key(seed=1),
        key(network=replace(net, seed=1)),
        key(scenario="digits:2"),
        key(scenario=str(trace)),
        key(network=xs.load_bundle("lenet5")),
        key(network=xs.load_bundle("lenet5", seed=1)),
    ]
    trace.write_text("time_ns,task\n5,digits\n")
    other.append(key(scenario=str(trace)))
    samples = next((copied / "samples").iterdir())
    samples.write_bytes(samples.read_bytes()[:-1] + b"\1")
    other.append(key(network=xs.load_bundle(str(copied))))  # the backbone, and so the fingerprint, is the same
    assert len({*same, *other}) == 1 + len(other)


def test_the_hash_of_the_code_covers_all_that_a_point_runs_through() -> None:
    """In a process of its own, which imports nothing else."""
    script = (
        "import sys, xbarsim as xs\n"
        "from xbarsim.studies.points import Job, bare\n"
        "net = xs.load_bundle('digits'); chip = xs.load_chip('xbm_72', {'chip.switch': 'rolling'})\n"
        "assert Job('', bare(chip), 'xma2', 'rotated:3,inverted').do(net)['error'] is None\n"
        "assert Job('', bare(chip), 'xbm', engine='reference').do(net)['error'] is None\n"
        "xs.accuracy(chip, net, tasks=['digits'], methods=['xbm'], seeds=1, samples=4)\n"
        "names = [n for n in sys.modules if n.startswith('xbarsim.')]\n"
        "print(*{sys.modules[n].__file__ for n in names})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    covered = {str(path) for path in sources().values()}
    ran = {path for path in done.stdout.split() if not path.endswith("__init__.py")}
    assert len(ran) > 50
    assert sorted(ran - covered) == []


def test_points_of_a_list_and_of_a_grid_are_the_same_points(net: xs.Network, whole: Path) -> None:
    listed = [{"adc.bits": 8, "crossbar.rows": 72}, {"crossbar.rows": 64, "adc.bits": 7}]
    study = prepare("xbm_72", net, listed, methods=["xbm"])
    known = {path.stem for path in (whole / "points").iterdir()}
    assert {entry.key for entry in study.entries} <= known
    assert study.manifest["axes"] == {"adc.bits": [8, 7], "crossbar.rows": [72, 64]}
    assert study.manifest["settings"] == [{"adc.bits": 8, "crossbar.rows": 72}, {"adc.bits": 7, "crossbar.rows": 64}]


def test_results_come_from_stored_points_also_where_nothing_is_stored(net: xs.Network) -> None:
    """Two settings that make the same chip are one point and two rows."""
    frame = xs.sweep("xbm_72", net, [{"adc.bits": 8}, {"adc.bits": 8.0}][:1], methods=["xbm"])
    assert len(frame) == 1
    with pytest.raises(InputError, match="point 2 is point 1 again"):
        xs.sweep("xbm_72", net, [{"adc.bits": 8}, {"adc.bits": 8}], methods=["xbm"])
    assert runner.MOST_NAMED

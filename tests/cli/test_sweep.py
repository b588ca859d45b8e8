"""``xbarsim sweep`` as a user gives it."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cli.conftest import Xbarsim, files, refused

from xbarsim.studies import sweep as study

SWEEP = ("sweep", "xbm_72", "digits")
TWO = ("--grid", "crossbar.rows=64,72", "--methods", "xbm")


def test_rows_as_json_csv_and_table(xbarsim: Xbarsim, folder: Path) -> None:
    answer = xbarsim(*SWEEP, *TWO, "--format", "json", "--out", "found")
    assert answer.code == 1
    assert "1 of 2 rows" in answer.err
    result = answer.json
    assert (result["schema"], result["failed"], len(result["rows"])) == ("xbarsim.sweep/1", 1, 2)
    assert result["rows"][1]["crossbar.rows"] == 72
    assert result["rows"][1]["error"] is None
    assert json.loads(Path("found/sweep.json").read_text()) == result
    csv = xbarsim(*SWEEP, *TWO, "--format", "csv", "--out", "found")
    frame = pd.read_csv(io.StringIO(csv.out))
    pd.testing.assert_frame_equal(frame, pd.read_csv("found/sweep.csv"))
    assert frame["crossbar.rows"].tolist() == [64, 72]
    assert list(frame)[-1] == "error"
    table = xbarsim(*SWEEP, *TWO, "--out", "found")
    assert "failed" in table.out
    assert files(folder / "found") == {"manifest.json", "points", "sweep.csv", "sweep.json"} | {
        name for name in files(folder / "found") if name.startswith("points/")
    }


def test_points_from_a_file_and_samples(xbarsim: Xbarsim, folder: Path) -> None:
    Path("points.csv").write_text("adc.bits,crossbar.cell_bits\n7,1\n8,2\n")
    Path("space.yaml").write_text("space: {adc.bits: {from: 6, to: 9}, crossbar.cycle_ns: {from: 50, to: 200}}\n")
    rows = xbarsim(*SWEEP, "--points", "points.csv", "--methods", "xbm", "--format", "json").json["rows"]
    assert [(row["adc.bits"], row["crossbar.cell_bits"]) for row in rows] == [(7, 1), (8, 2)]
    drawn = ("--sample", "3", "--methods", "xbm", "--format", "json")
    rows = xbarsim(*SWEEP, "--space", "space.yaml", *drawn).json["rows"]
    assert len({row["crossbar.cycle_ns"] for row in rows}) == 3
    again = xbarsim(*SWEEP, "--space", "space.yaml", *drawn).json["rows"]
    other = xbarsim(*SWEEP, "--space", "space.yaml", *drawn, "--seed", "1").json["rows"]
    assert rows == again != other
    rows = xbarsim(*SWEEP, "--grid", "adc.bits=6..9", *drawn).json["rows"]
    assert {row["adc.bits"] for row in rows} < {6, 7, 8, 9}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the grid is empty"),
        (("--grid", "crossbar.row=64"), "did you mean 'crossbar.rows'"),
        (("--grid", "crossbar.rows="), "write KEY=VALUE"),
        ((*TWO, "--points", "p.csv"), "--grid and --points exclude each other"),
        (("--points", "p.csv"), "p.csv: no such file"),
        (("--points", "p.csv", "--sample", "3"), "not from --points"),
        (("--space", "s.yaml"), "say with --sample"),
        ((*TWO, "--sample", "0"), "take 1 to"),
        ((*TWO, "--shard", "1/2"), "needs --out"),
        ((*TWO, "--shard", "3/2", "--out", "a"), "shard 3/2: the first number"),
        ((*TWO, "--shard", "0/2", "--out", "a"), "shard 0/2: the first number"),
        ((*TWO, "--shard", "half", "--out", "a"), "write I/N"),
        ((*TWO, "--out", "rows.csv"), "--format csv > rows.csv"),
        ((*TWO, "--out", "mine.yaml"), "is not a folder"),
        ((*TWO, "--out", "a/b/c"), "there is no folder"),
        ((*TWO, "--methods", "xbm,"), "names an empty one"),
        ((*TWO, "--methods", "xmb"), "did you mean"),
        ((*TWO, "--cluster", "nowhere"), "write local, or an address"),
    ],
)
def test_what_cannot_be_meant(xbarsim: Xbarsim, folder: Path, arguments: tuple[str, ...], said: str) -> None:
    if "--cluster" in arguments:
        pytest.importorskip("distributed")
    before = files(folder)
    refused(xbarsim(*SWEEP, *arguments), said)
    assert files(folder) == before


def test_a_dry_run_counts_and_simulates_next_to_nothing(xbarsim: Xbarsim, folder: Path) -> None:
    grid = ("--grid", "crossbar.rows=64,72", "--grid", "adc.bits=8,99", "--methods", "xbm", "--dry-run")
    answer = xbarsim(*SWEEP, *grid, "--format", "json", "-j", "2", "--out", "found")
    assert answer.code == 1
    assert "5 points cannot be simulated" in answer.err  # the baseline of an impossible chip counts too
    result = answer.json
    assert (result["schema"], result["chips"], result["points"]) == ("xbarsim.survey/1", 4, 8)
    assert (result["stored"], result["to_do"], result["jobs"]) == (0, 8, 2)
    possible = result["points"] - len(result["impossible"])
    assert possible == 3
    assert result["estimated_seconds"] == pytest.approx(result["seconds_per_point"] * possible / 2)
    said = {(row["crossbar.rows"], row["adc.bits"], row["method"]): row["error"] for row in result["impossible"]}
    assert "mapping.mask_fit" in said[64, 8, "xbm"]
    assert "99 is above the maximum" in said[72, 99, "xbm"]
    assert not Path("found").exists()
    words = xbarsim(*SWEEP, *grid)
    assert "4 chips, 8 points; 0 are stored" in words.out
    assert "estimate:" in words.out
    too_large = xbarsim(*SWEEP, "--grid", "chip.tiles=1", "--set", "chip.count=1", "--dry-run")
    assert "impossible: chip.tiles=1 xbm" in too_large.out
    assert "needs" in too_large.out


def test_a_dry_run_knows_what_is_stored(xbarsim: Xbarsim, folder: Path) -> None:
    fine = ("--grid", "adc.bits=7,8", "--methods", "xbm", "--out", "found")
    assert xbarsim(*SWEEP, *fine, "--shard", "1/2").code == 0
    before = {path: path.stat().st_mtime_ns for path in Path("found").rglob("*")}
    result = xbarsim(*SWEEP, *fine, "--dry-run", "--format", "json").json
    assert (result["stored"], result["to_do"], result["impossible"]) == (2, 2, [])
    assert {path: path.stat().st_mtime_ns for path in Path("found").rglob("*")} == before


def test_a_shard_says_what_is_there(xbarsim: Xbarsim, folder: Path) -> None:
    fine = ("--grid", "adc.bits=7,8,9", "--methods", "xbm", "--out", "found")
    first = xbarsim(*SWEEP, *fine, "--shard", "2/2")
    assert (first.code, first.out) == (0, "")
    assert "2 of 6 points are in" in first.err
    assert not Path("found/sweep.csv").exists()
    last = xbarsim(*SWEEP, *fine, "--shard", "1/2", "--format", "json")
    assert last.code == 0
    assert len(last.json["rows"]) == 3
    assert Path("found/sweep.csv").exists()


def test_an_interrupt_says_how_to_go_on(xbarsim: Xbarsim, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = study.Store.put

    def interrupted(self: Any, *about: Any) -> None:
        put(self, *about)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(study.Store, "put", interrupted)
    fine = ("--grid", "adc.bits=7,8", "--methods", "xbm", "--out", "found")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        answer = xbarsim(*SWEEP, *fine)
    finally:
        signal.signal(signal.SIGINT, before)
    assert answer.code == 130
    assert answer.out == ""
    assert "1 of 4 points are in" in answer.err
    assert "the same command goes on from there" in answer.err
    monkeypatch.setattr(study.Store, "put", put)
    assert xbarsim(*SWEEP, *fine).code == 0


def test_what_lies_in_the_folder_is_reported(xbarsim: Xbarsim, folder: Path) -> None:
    fine = ("--grid", "adc.bits=8", "--methods", "xbm", "--out", "found", "--format", "csv")
    whole = xbarsim(*SWEEP, *fine)
    point = next(Path("found/points").iterdir())
    point.write_text(point.read_text()[:50])
    answer = xbarsim(*SWEEP, *fine)
    assert (answer.code, answer.out) == (0, whole.out)
    assert "is not whole: the point is done again" in answer.err
    other = xbarsim("sweep", "xbm_72", "digits", "--grid", "adc.bits=7", "--methods", "xbm", "--out", "found")
    refused(other, "holds another study: it differs in axes")

"""``xbarsim search`` as a user gives it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from cli.conftest import Xbarsim, files, refused

pytest.importorskip("optuna")

SEARCH = ("search", "xbm_72", "digits", "--space", "space.yaml")


@pytest.fixture
def space(folder: Path) -> Path:
    Path("space.yaml").write_text("space: {crossbar.cell_bits: [1, 2, 4], adc.bits: {from: 7, to: 8}}\n")
    return folder


def test_a_front_as_json_csv_and_table(xbarsim: Xbarsim, space: Path) -> None:
    asked = (*SEARCH, "--minimize", "energy,latency", "--constraint", "crossbars<=300", "--trials", "12")
    answer = xbarsim(*asked, "--format", "json", "--out", "found")
    assert answer.code == 0
    result = answer.json
    assert result["schema"] == "xbarsim.search/1"
    assert (result["minimize"], result["constraints"]) == (["energy", "latency"], ["crossbars<=300"])
    assert len(result["trials"]) == 12
    assert 0 < len(result["front"]) < 12
    assert all(row["crossbars"] <= 300 for row in result["front"])
    assert json.loads(Path("found/search.json").read_text()) == result
    front = pd.read_csv("found/front.csv")
    assert front["trial"].tolist() == [row["trial"] for row in result["front"]]
    assert len(pd.read_csv("found/trials.csv")) == 12
    again = xbarsim(*asked, "--format", "csv", "--out", "found")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(again.out)), front)
    assert "best of 12 trials" in xbarsim(*asked, "--out", "found").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name at least one measure"),
        (("--minimize", "enrgy"), "did you mean 'energy'"),
        (("--minimize", "energy,"), "names an empty one"),
        (("--minimize", "energy", "--constraint", "fast"), "write NAME<=VALUE"),
        (("--minimize", "energy", "--space", "nothing.yaml"), "cannot be read"),
        (("--minimize", "energy", "--out", "mine.yaml"), "is not a folder"),
        (("--minimize", "energy", "--trials", "0"), "0 is not in the range"),
        (("--minimize", "energy", "--methods", "xmb"), "did you mean"),
    ],
)
def test_what_cannot_be_meant(xbarsim: Xbarsim, space: Path, arguments: tuple[str, ...], said: str) -> None:
    before = files(space)
    refused(xbarsim(*SEARCH, *arguments), said)
    assert files(space) == before


def test_a_search_that_finds_nothing_says_why(xbarsim: Xbarsim, space: Path) -> None:
    answer = xbarsim(*SEARCH, "--minimize", "energy", "--trials", "2", "--set", "crossbar.rows=64", "--format", "json")
    assert answer.code == 1
    assert answer.json["front"] == []
    assert "none of 2 trials" in answer.err
    assert "mapping.mask_fit" in answer.err

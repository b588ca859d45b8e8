"""Run directories: what stands in them, that they make the run again, and that they are whole or not there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pandas as pd
import pytest
from cli.conftest import Xbarsim

from xbarsim.results import store

FILES = {
    "summary.json", "provenance.json", "chip.yaml", "ledger.csv", "tasks.csv", "switches.csv", "layers.csv",
    "components.csv", "facts.csv",
}  # fmt: skip
RUN = ("run", "xbm_72", "digits", "--method", "piggyback", "--scenario", "rotated:2,inverted:1", "--format", "json")
TIMED = {"plan_seconds", "engine_seconds"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def untimed(summary: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in summary.items() if key not in TIMED}


def test_a_run_directory(xbarsim: Xbarsim, here: Path) -> None:
    answer = xbarsim(*RUN, "--seed", "3", "--out", "results")
    assert answer.code == 0
    assert {path.name for path in here.iterdir()} == {"results"}
    assert {path.name for path in Path("results").iterdir()} >= FILES
    assert json.loads(Path("results/summary.json").read_text()) == answer.json
    provenance = json.loads(Path("results/provenance.json").read_text())
    assert provenance["chip"]["name"] == "xbm_72"
    assert provenance["network"]["fingerprint"].startswith("sha256:")
    assert (provenance["method"], provenance["seed"], provenance["engine"]) == ("piggyback", 3, "compiled")
    assert provenance["scenario"] == "rotated:2,inverted:1"
    assert {"xbarsim", "numpy", "numba", "simpy", "pandas"} <= set(provenance["packages"])


def test_the_tables_of_a_run_directory_agree_with_its_summary(xbarsim: Xbarsim, here: Path) -> None:
    summary = xbarsim(*RUN, "--out", "results").json
    ledger = pd.read_csv("results/ledger.csv")
    spent = ledger[ledger["phase"] != "install"]["energy_pj"].sum()
    assert spent == pytest.approx(summary["energy_pj"])
    switches = pd.read_csv("results/switches.csv")
    assert switches["cells_written"].tolist() == [row["cells_written"] for row in summary["switches"]]
    assert switches["moved_mask_bits"].tolist() == [row["moved"]["mask_bits"] for row in summary["switches"]]
    assert pd.read_csv("results/tasks.csv")["task"].tolist() == ["rotated", "inverted"]
    facts = pd.read_csv("results/facts.csv")
    assert set(facts["how"]) >= {"assumed", "published"}


def test_the_chip_of_a_run_directory_makes_the_run_again(xbarsim: Xbarsim, here: Path) -> None:
    changed = ("--set", "adc.bits=7", "--set", "crossbar.cycle_ns=99.5", "--set", "device.g_max_us=20")
    first = xbarsim(*RUN, *changed, "--out", "results")
    assert first.code == 0, first.err
    again = xbarsim("run", "results/chip.yaml", *RUN[2:])
    assert again.code == 0, again.err
    different = {"assumptions", *TIMED}
    assert {k: v for k, v in again.json.items() if k not in different} == {
        k: v for k, v in first.json.items() if k not in different
    }


def test_a_comparison_has_a_directory_per_method(xbarsim: Xbarsim, here: Path) -> None:
    args = ("--methods", "xbm,piggyback", "--scenario", "rotated:1", "--format", "json")
    answer = xbarsim("compare", "xbm_72", "digits", *args, "--out", "results")
    assert json.loads(Path("results/summary.json").read_text()) == answer.json
    assert pd.read_csv("results/methods.csv")["method"].tolist() == ["xbm", "piggyback"]
    for method in ("xbm", "piggyback", "finetune"):
        assert {path.name for path in Path("results", method).iterdir()} >= FILES


def test_the_same_command_writes_the_same_bytes(xbarsim: Xbarsim, here: Path) -> None:
    answers = [xbarsim(*RUN, "--out", name) for name in ("one", "two")]
    for path in Path("one").iterdir():
        if path.name not in {"provenance.json", "summary.json"}:
            assert path.read_bytes() == Path("two", path.name).read_bytes(), path.name
    assert untimed(answers[0].json) == untimed(answers[1].json)


def test_rights_follow_the_umask(xbarsim: Xbarsim, here: Path) -> None:
    before = os.umask(0o077)
    try:
        assert xbarsim(*RUN, "--out", "results").code == 0
        assert xbarsim("plan", "xbm_72", "digits", "--out", "plan.json").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("results").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path("plan.json").stat().st_mode) == 0o600


def test_a_folder_that_appeared_meanwhile_is_left_alone(here: Path) -> None:
    def meanwhile() -> None:
        with store.new_folder(Path("results")) as draft:
            (draft / "half").write_text("")
            Path("results").mkdir()

    with pytest.raises(store.InputError, match="results: exists already"):
        meanwhile()
    assert [path.name for path in here.iterdir()] == ["results"]
    assert list(Path("results").iterdir()) == []


@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError, OSError])
def test_an_interruption_leaves_nothing(here: Path, reason: type[BaseException]) -> None:
    def fail() -> None:
        with store.new_folder(Path("results")) as draft:
            (draft / "half").write_text("")
            raise reason

    with pytest.raises((reason, store.XbarsimError)):
        fail()
    assert list(here.iterdir()) == []


def test_a_plan_is_written_over_a_plan(xbarsim: Xbarsim, here: Path) -> None:
    Path("plan.json").write_text("old")
    Path("link.json").symlink_to("plan.json")
    answer = xbarsim("plan", "isaac", "one_window", "--method", "finetune", "--out", "link.json")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert Path("link.json").is_symlink()
    assert json.loads(Path("plan.json").read_text())["schema"] == "xbarsim.graph/1"
    assert len(list(here.iterdir())) == 2


def test_a_device_is_written_into_and_not_replaced(here: Path) -> None:
    if not Path("/dev/null").exists():
        pytest.skip("needs a device file")
    store.write_text(Path("/dev/null"), "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

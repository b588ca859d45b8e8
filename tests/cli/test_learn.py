"""``xbarsim learn``: a bundle from a spec, resumed where it stopped, the same bytes however it ran."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Xbarsim, refused

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from xbarsim.learning import workload
from xbarsim.network import load_network

SPEC = """\
schema: 1
name: small
backbone: {network: table.yaml, task: digits, epochs: 1}
tasks: [odd_even, digits]
methods: {xst: {}, xbm: {}, finetune: {}}
epochs: 1
samples: 7
"""
TABLE = """\
schema: 1
name: table
input: [1, 8, 8]
layers:
  - {conv: conv1, out: 8, kernel: 3, padding: 1, stride: 2}
  - batch_norm
  - relu
  - {conv: conv2, out: 8, kernel: 3, padding: 1, stride: 2}
  - {batch_norm: bn2}
  - {relu: relu2}
  - flatten
  - {linear: fc, out: 10, bias: true}
"""
LEARN = ("learn", "xbm_72", "spec.yaml", "--out")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)
    Path("table.yaml").write_text(TABLE)
    return tmp_path


def contents(bundle: Path) -> dict[str, bytes]:
    return {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def test_a_bundle_that_is_learned_is_right(xbarsim: Xbarsim, here: Path) -> None:
    answer = xbarsim(*LEARN, "a.xmn", "--format", "json")
    assert answer.code == 0, answer.err
    result = answer.json
    assert (result["schema"], result["chip"], result["bundle"], result["seed"]) == (
        "xbarsim.learn/1",
        "xbm_72",
        "small",
        0,
    )
    pairs = [(row["task"], row["method"]) for row in result["rows"]]
    assert pairs == [(task, method) for task in ("odd_even", "digits") for method in ("xst", "xbm", "finetune")]
    assert xbarsim("check", "a.xmn").code == 0
    network = load_network("a.xmn")
    assert {name: task.classes for name, task in network.tasks.items()} == {"odd_even": 2, "digits": 10}
    assert (network.synthetic, network.mask_rows, network.weight_bits) == (False, 72, 8)
    for row in result["rows"]:
        task = network.task(row["task"])
        assert task.accuracy(row["method"]) == {key: row[key] for key in ("float", "quantised")}
        assert len(task.samples().labels) == 7
    assert not Path("a.xmn.learning").exists()


def test_a_learned_bundle_is_simulated_like_any_other(xbarsim: Xbarsim, here: Path) -> None:
    assert xbarsim(*LEARN, "a.xmn").code == 0
    rows = {row["method"]: row for row in xbarsim("compare", "xbm_72", "a.xmn", "--format", "json").json["rows"]}
    assert [rows[method]["cells_written"] == 0 for method in ("xst", "xbm", "finetune")] == [True, True, False]
    assert {row["masks"] for row in rows.values()} == {"learned", "none"}


@pytest.mark.slow
def test_processes_do_not_change_a_byte(xbarsim: Xbarsim, here: Path) -> None:
    assert xbarsim(*LEARN, "whole.xmn").code == 0
    assert xbarsim(*LEARN, "parallel.xmn", "-j", "2").code == 0
    assert contents(here / "parallel.xmn") == contents(here / "whole.xmn")


def test_interruptions_do_not_change_a_byte(xbarsim: Xbarsim, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert xbarsim(*LEARN, "whole.xmn").code == 0
    learn, done = workload.learn, list[tuple[str, str]]()

    def failing(backbone: Any, method: str, data: Any, *args: Any, **options: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append((method, data.name))
        return learn(backbone, method, data, *args, **options)

    monkeypatch.setattr(workload, "learn", failing)
    assert xbarsim(*LEARN, "cut.xmn").code == 130
    assert not Path("cut.xmn").exists()
    trained: list[str] = []

    def noting(backbone: Any, method: str, data: Any, *args: Any, **options: Any) -> Any:
        return learn(
            backbone, method, data, *args, progress=lambda row: trained.append(f"{method} {data.name}"), **options
        )

    monkeypatch.setattr(workload, "learn", noting)
    monkeypatch.setattr(workload, "pretrain", None)  # the backbone is there already
    assert xbarsim(*LEARN, "cut.xmn").code == 0
    assert done == [("xst", "odd_even"), ("xst", "digits")]
    assert not [one for one in trained if one.startswith("xst")]
    assert {one.split()[0] for one in trained} == {"xbm", "finetune"}
    assert contents(here / "cut.xmn") == contents(here / "whole.xmn")


def test_a_changed_spec_reads_nothing_stale(xbarsim: Xbarsim, here: Path) -> None:
    only = ("--methods", "xbm", "--tasks", "digits")
    assert xbarsim(*LEARN, "a.xmn", *only, "--keep").code == 0
    assert xbarsim(*LEARN, "other.xmn", *only, "--seed", "1", "--epochs", "2").code == 0
    shutil.copytree("a.xmn.learning", "b.xmn.learning")
    assert xbarsim(*LEARN, "b.xmn", *only, "--seed", "1", "--epochs", "2").code == 0
    assert contents(here / "b.xmn") == contents(here / "other.xmn") != contents(here / "a.xmn")


def test_the_table_has_a_line_per_method_and_csv_a_row_per_pair(xbarsim: Xbarsim, here: Path) -> None:
    table = xbarsim(*LEARN, "a.xmn", "--methods", "finetune", "--keep").out
    assert "odd even" in table
    assert table.count("%") == 2
    rows = csv.DictReader(
        io.StringIO(xbarsim(*LEARN, "a.xmn", "--overwrite", "--methods", "finetune", "--format", "csv").out)
    )
    assert [(row["task"], row["method"]) for row in rows] == [("odd_even", "finetune"), ("digits", "finetune")]


def test_a_trained_bundle_may_be_the_backbone(xbarsim: Xbarsim, here: Path) -> None:
    assert xbarsim(*LEARN, "first.xmn", "--methods", "xbm", "--tasks", "digits").code == 0
    Path("spec.yaml").write_text(SPEC.replace("{network: table.yaml, task: digits, epochs: 1}", "{network: first.xmn}"))
    assert xbarsim(*LEARN, "second.xmn", "--methods", "xbm", "--tasks", "odd_even").code == 0
    one, two = load_network("first.xmn"), load_network("second.xmn")
    for name in ("conv1", "conv2"):
        assert (one.integers(name) == two.integers(name)).all()


@pytest.mark.parametrize(("args", "message"), [
    (("nothing", "spec.yaml", "--out", "a.xmn"), "no chip 'nothing'"),
    (("xbm_72", "nothing.yaml", "--out", "a.xmn"), "nothing.yaml"),
    (("xbm_72", "spec.yaml", "--out", "a.yaml"), r"--out a\.yaml: the name of a bundle ends in \.xmn"),
    (("xbm_72", "spec.yaml", "--out", "there.xmn"), r"--out there\.xmn: exists already"),
    (("xbm_72", "spec.yaml", "--out", "no/a.xmn"), "there is no folder"),
    (("xbm_72", "spec.yaml", "--out", "a.xmn", "--methods", "xmb"), "'xmb' is not in the file.*did you mean 'xbm'"),
    (("xbm_72", "spec.yaml", "--out", "a.xmn", "--epochs", "0"), "epochs"),
    (("isaac", "spec.yaml", "--out", "a.xmn", "--methods", "xbm"), "chip 'isaac' has no column gates"),
])  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(
    xbarsim: Xbarsim, here: Path, args: tuple[str, ...], message: str
) -> None:
    Path("there.xmn").mkdir()
    refused(xbarsim("learn", *args), message)
    assert {path.name for path in here.iterdir()} <= {"spec.yaml", "table.yaml", "there.xmn"}


def test_an_option_that_a_method_does_not_know_is_refused(xbarsim: Xbarsim, here: Path) -> None:
    Path("spec.yaml").write_text(SPEC.replace("xbm: {}", "xbm: {options: {rat: 0.1}}"))
    refused(xbarsim(*LEARN, "a.xmn"), r"spec\.yaml:5:\d+: methods\.xbm\.options\.rat: .*did you mean 'rate'")

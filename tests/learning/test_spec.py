"""SPEC.yaml: what it may say, and every fault of it at its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xbarsim.config import folder
from xbarsim.errors import InputError
from xbarsim.learning.images import NAMES
from xbarsim.learning.spec import MethodSpec, read_spec

SPECS = Path(__file__).parents[2] / "benchmarks" / "learn"
SPEC = """\
schema: 1
name: small
backbone: {network: table.yaml, task: digits, epochs: 9}
tasks: [digits, textures, odd_even]
methods:
  xst: {}
  xbm: {epochs: 7, energy_weight: 0.5}
epochs: 3
"""
TABLE = """\
schema: 1
name: table
input: [1, 8, 8]
layers:
  - {conv: conv1, out: 8, kernel: 3, padding: 1}
  - global_avg_pool
  - {linear: fc, out: 10}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE)
    return tmp_path


def write(here: Path, *changes: tuple[str, str]) -> Path:
    text = SPEC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (here / "spec.yaml").write_text(text)
    return here / "spec.yaml"


def test_a_spec_says_what_is_learned(here: Path) -> None:
    spec = read_spec(write(here))
    assert (spec.value.name, spec.value.seed, spec.value.samples) == ("small", 0, None)
    assert spec.value.tasks == ["digits", "textures", "odd_even"]
    assert list(spec.value.methods) == ["xst", "xbm"]
    assert [spec.value.epochs_of(name) for name in ("xst", "xbm")] == [3, 7]
    assert spec.value.methods["xbm"] == MethodSpec(epochs=7, energy_weight=0.5)
    assert spec.network.name == "table"


def test_the_caller_may_ask_for_less(here: Path) -> None:
    spec = read_spec(write(here), epochs=2, seed=5, tasks=["odd_even", "digits"], methods=["xbm"]).value
    assert spec.tasks == ["digits", "odd_even"]
    assert [*spec.methods] == ["xbm"]
    assert (spec.epochs_of("xbm"), spec.backbone.epochs, spec.seed) == (2, 2, 5)
    assert spec.methods["xbm"].energy_weight == 0.5


def test_the_network_stands_beside_the_file_or_among_the_workloads(here: Path) -> None:
    (here / "deep").mkdir()
    spec = write(here)
    shutil.move(here / "table.yaml", here / "deep")
    shutil.move(spec, here / "deep")
    assert read_spec(here / "deep" / "spec.yaml").network.source == str(here / "deep" / "table.yaml")
    other = write(here, ("table.yaml", "resnet20"))
    assert read_spec(other).network.source == str(folder("workloads") / "resnet20.yaml")


def test_a_bundle_is_a_backbone_without_a_task(here: Path) -> None:
    spec = read_spec(write(here, ("{network: table.yaml, task: digits, epochs: 9}", "{network: digits}")))
    assert not spec.network.synthetic
    with pytest.raises(InputError, match=r"spec\.yaml:3:\d+: backbone\.task: 'digits' is a bundle with weights"):
        read_spec(write(here, ("table.yaml", "digits")))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("textures", "texture", r"spec\.yaml:4:\d+: tasks\.1: no task 'texture'; known: .*did you mean 'textures'\?"),
    ("textures", "digits", r"spec\.yaml:4:\d+: tasks\.1: task 'digits' stands here twice"),
    ("[digits, textures, odd_even]", "[]", r"spec\.yaml:4:\d+: tasks: "),
    ("xst:", "xts:", r"spec\.yaml:6:\d+: methods\.xts: no method 'xts'; known: .*did you mean 'xst'\?"),
    ("  xst: {}\n", "  xst: {rate: 1}\n", r"spec\.yaml:6:\d+: methods\.xst\.rate: unknown key"),
    ("epochs: 3", "epochs: 0", r"spec\.yaml:8:\d+: epochs: 0 is below the minimum 1"),
    ("0.5", "-1", r"spec\.yaml:7:\d+: methods\.xbm\.energy_weight: -1 is below the minimum 0"),
    (", task: digits", "", r"spec\.yaml:3:\d+: backbone\.task: 'table' has no weights yet: name the task"),
    ("task: digits", "task: digit", r"spec\.yaml:3:\d+: backbone\.task: no task 'digit'.*did you mean 'digits'\?"),
    ("table.yaml", "tabel", r"spec\.yaml:3:\d+: backbone\.network: no workload 'tabel'"),
    ("name: small", "name: no good", r"spec\.yaml:2:\d+: name: "),
    ("epochs: 3", "epoch: 3", r"spec\.yaml:8:\d+: epoch: unknown key; did you mean 'epochs'\?"),
])  # fmt: skip
def test_a_fault_has_its_place(here: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_spec(write(here, (old, new)))


def test_a_fault_of_the_table_is_told_at_its_own_place(here: Path) -> None:
    (here / "table.yaml").write_text(TABLE.replace("kernel: 3", "kernel: 0"))
    with pytest.raises(InputError, match=r"table\.yaml:5:\d+: .*kernel"):
        read_spec(write(here))


def test_a_network_without_a_classifier_is_refused(here: Path) -> None:
    (here / "table.yaml").write_text(TABLE.replace("  - {linear: fc, out: 10}\n", ""))
    with pytest.raises(InputError, match="'table' has no classifier"):
        read_spec(write(here))


def test_all_faults_come_at_once(here: Path) -> None:
    wrong = write(here, ("textures", "texture"), ("xst:", "xts:"), (", task: digits", ""))
    with pytest.raises(InputError) as error:
        read_spec(wrong, methods=["xma"])
    assert len(error.value.faults) == 4


@pytest.mark.parametrize(("options", "message"), [
    ({"tasks": ["rotated"]}, r"--tasks: 'rotated' is not in the file; there: digits, textures, odd_even"),
    ({"methods": ["xmb"]}, r"--methods: 'xmb' is not in the file; there: xst, xbm; did you mean 'xbm'\?"),
])  # fmt: skip
def test_what_is_asked_for_is_in_the_file(here: Path, options: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_spec(write(here), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["digits", "digits-resnet"])
def test_the_specs_that_come_along_are_right(name: str) -> None:
    spec = read_spec(SPECS / f"{name}.yaml")
    assert spec.value.name == name
    assert spec.value.tasks == list(NAMES)
    assert len(spec.value.methods) == 13

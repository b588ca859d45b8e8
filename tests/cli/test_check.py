"""``xbarsim check``: what a file is, and every fault of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import Xbarsim
from network.small import content

from xbarsim.config import folder, known
from xbarsim.network.bundle_writer import write_bundle

Write = Callable[..., Path]

NAMES = [
    *((name, "chip") for name in known("arch_configs")),
    *((name, "device") for name in known("devices")),
    *((name, "bundle" if (folder("workloads") / f"{name}.xmn").exists() else "network") for name in known("workloads")),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_everything_that_comes_along_is_good_by_name_and_by_path(asked: Xbarsim, name: str, kind: str) -> None:
    home = {"chip": "arch_configs", "device": "devices"}.get(kind, "workloads")
    path = folder(home) / f"{name}{'.xmn' if kind == 'bundle' else '.yaml'}"
    for given in (name, str(path)):
        answer = asked("check", given, "--format", "json")
        assert answer.code == 0, answer.err
        (found,) = answer.json["files"]
        assert (found["file"], found["ok"], found["faults"]) == (given, True, [])
        assert found["kind"] in ({"network", "bundle"} if kind in ("network", "bundle") else {kind})
        assert repr(name) in found["summary"]


FILES = {
    "a chip with two words misspelt": (
        "schema: 1\nnam: mine\nadcc: {bits: 6}\n",
        "chip",
        "adcc: unknown key; did you mean 'adc'",
    ),
    "a chip of a parent": ("schema: 1\nname: mine\nextends: isaac\nfoo: 1\n", "chip", "foo: unknown key"),
    "a chip with one section": ("crossbar: {rows: 64}\n", "chip", "required key is missing"),
    "a chip with a fault in YAML itself": ("schema: 1\nname: mine\nadc:\n  bits: on\n", "chip", "'on' could be text"),
    "a device": ("schema: 1\nname: mine\ng_min_us: 0\ng_max_us: 10\n", "device", "g_min_us: 0 is not greater than 0"),
    "a device with a word misspelt": (
        "schema: 1\nname: mine\ng_mni_us: 1\ng_max_us: 10\n",
        "device",
        "did you mean 'g_min_us'",
    ),
    "a network without its first key": (
        "name: mine\nlayers:\n  - relu\n",
        "network",
        "schema: required key is missing",
    ),
    "a network with words misspelt": ("name: mine\ninptu: [1, 1, 1]\nlayer: []\n", "network", "did you mean 'layers'"),
    "a scenario": ("scenario:\n  - {task: a, inferences: 0}\n", "scenario", "0 is below the minimum 1"),
    "none of them": ("colour: red\n", None, "has no key of a chip, network, device or scenario file"),
    "a list": ("- 1\n- 2\n", None, "expected keys and values at the top, found a list"),
    "an empty file": ("", None, "the file is empty"),
    "no YAML": ("a: [1\n", None, "not valid YAML"),
    "no text": (b"\xff\xfe\x00", None, "not UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_faults_is_still_recognised(xbarsim: Xbarsim, write: Write, name: str) -> None:
    text, kind, message = FILES[name]
    write("mine.yaml", text)
    answer = xbarsim("check", "mine.yaml", "--format", "json")
    assert answer.code == 2
    (found,) = answer.json["files"]
    assert (found["kind"], found["ok"], found["summary"]) == (kind, False, "")
    assert any(
        message in fault["message"] or message in f"{fault['path']}: {fault['message']}" for fault in found["faults"]
    )
    assert message in answer.err
    assert all(line.startswith("mine.yaml:") for line in answer.err.splitlines())


def test_the_folder_decides_where_keys_say_nothing(xbarsim: Xbarsim, write: Write) -> None:
    write("devices/mine.yaml", "foo: 1\n")
    assert xbarsim("check", "devices/mine.yaml", "--format", "json").json["files"][0]["kind"] == "device"


def test_several_files_are_all_checked(xbarsim: Xbarsim, write: Write, tmp_path: Path) -> None:
    write("good.yaml", "schema: 1\nname: good\nextends: isaac\n")
    write("bad.yaml", "schema: 1\nname: bad\nextends: isaac\nadc: {bits: 99}\n")
    write("worse.yaml", "schema: 1\nname: worse\nextends: isaac\ndac: {bits: 99}\npe: {crossbars: 0}\n")
    write_bundle(tmp_path / "small.xmn", content())
    args = ("check", "bad.yaml", "good.yaml", "worse.yaml", "small.xmn", "digits")
    answer = xbarsim(*args)
    assert answer.code == 2
    assert [line.split(":")[0] for line in answer.out.splitlines()] == ["good.yaml", "small.xmn", "digits"]
    assert [line.split(":")[0] for line in answer.err.splitlines()] == ["bad.yaml", "worse.yaml", "worse.yaml"]
    files = xbarsim(*args, "--format", "json").json["files"]
    assert [len(one["faults"]) for one in files] == [1, 0, 2, 0, 0]
    fault = files[0]["faults"][0]
    assert (fault["file"], fault["line"], fault["column"], fault["path"]) == ("bad.yaml", 4, 13, "adc.bits")
    rows = list(csv.DictReader(io.StringIO(xbarsim(*args, "--format", "csv").out)))
    assert [(row["file"], row["ok"], row["line"]) for row in rows[:3]] == [
        ("bad.yaml", "False", "4"),
        ("good.yaml", "True", "0"),
        ("worse.yaml", "False", "4"),
    ]


def test_overrides_lie_over_the_chips(xbarsim: Xbarsim) -> None:
    assert xbarsim("check", "isaac", "digits", "--set", "adc.bits=6").code == 0
    assert "adc.bits: 99 is above" in xbarsim("check", "isaac", "--set", "adc.bits=99").err
    answer = xbarsim("check", "digits", "--set", "adc.bits=6")
    assert (answer.code, answer.err) == (2, "--set: there is no chip among the files\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digist", "no file 'digist', nor a chip, network or device of that name; did you mean 'digits'?"),
        ("isac", "no file 'isac', nor a chip, network or device of that name; did you mean 'isaac'?"),
        ("nothing.yaml", "no file 'nothing.yaml', nor a chip, network or device of that name"),
        ("plain", "plain: is a folder, and no bundle NAME.xmn"),
        ("named", "named: the folder of a bundle is called NAME.xmn"),
        ("small.xmn/manifest.json", "small.xmn/manifest.json: is a part of a bundle; check the folder NAME.xmn"),
        ("small.xmn/tasks/red.safetensors", "is a part of a bundle; check the folder NAME.xmn"),
        ("file.xmn", "file.xmn: is a file; a bundle is a folder NAME.xmn"),
    ],
)
def test_what_is_none_of_these(xbarsim: Xbarsim, write: Write, tmp_path: Path, name: str, message: str) -> None:
    write("plain/readme", "")
    write("named/manifest.json", "{}")
    write("file.xmn", "")
    write_bundle(tmp_path / "small.xmn", content())
    answer = xbarsim("check", name)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_a_graph_and_a_scenario(xbarsim: Xbarsim, write: Write) -> None:
    write("plan.json", xbarsim("plan", "isaac", "one_window", "--method", "finetune").out)
    write("calm.yaml", "scenario:\n  - {task: a, inferences: 2}\n  - {repeat: 3, of: [{task: b}]}\n")
    write("trace.csv", "time_ns,task\n0,a\n10.5,b\n")
    answer = xbarsim("check", "plan.json", "calm.yaml", "trace.csv")
    assert answer.code == 0, answer.err
    assert "plan.json: ok, graph" in answer.out
    assert "calm.yaml: ok, scenario of 2 entries, tasks a, b" in answer.out
    assert "trace.csv: ok, scenario of 2 entries" in answer.out


def test_times_that_lose_much_by_rounding_are_pointed_out(xbarsim: Xbarsim) -> None:
    answer = xbarsim("check", "isaac", "--set", "adc.rate_gsps=700")
    assert answer.code == 0
    assert "adc.rate_gsps: rounding to picoseconds changes it by more than 0.1 %" in answer.err

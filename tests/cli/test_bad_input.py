"""Bad input ends in one clear message with file and place, exit code 2, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.conftest import CHIP, RUN, TABLE, Xbarsim, files, refused


def test_the_good_files_are_good(xbarsim: Xbarsim, folder: Path) -> None:
    answer = xbarsim("run", "mine.yaml", "small.yaml", "--format", "json", "--out", "results")
    assert answer.code == 0, answer.err
    assert answer.json["chip"] == "mine"
    assert (folder / "results").is_dir()


CHIPS = {
    "typo in a key": (("bits: 8", "bist: 8"), r"^mine\.yaml:5:3: adc\.bist: unknown key; did you mean 'bits'\?"),
    "typo in a section": (("adc:", "adcc:"), r"^mine\.yaml:4:1: adcc: unknown key; did you mean 'adc'\?"),
    "wrong type": (
        ("bits: 8", "bits: eight"),
        r"^mine\.yaml:5:9: adc\.bits: expected a whole number, found text 'eight'",
    ),
    "quoted number": (("bits: 8", "bits: '8'"), r"^mine\.yaml:5:9: adc\.bits: expected a whole number, found text '8'"),
    "a list": (("bits: 8", "bits: [8]"), r"^mine\.yaml:5:9: adc\.bits: expected a whole number, found a list"),
    "out of range": (("bits: 8", "bits: 0"), r"^mine\.yaml:5:9: adc\.bits: 0 is below the minimum 1"),
    "too large": (("bits: 8", "bits: 17"), r"^mine\.yaml:5:9: adc\.bits: 17 is above the maximum 16"),
    "duplicate key": (
        ("bits: 8", "bits: 8\n  bits: 7"),
        r"^mine\.yaml:6:3: adc\.bits: key given twice; first at line 5",
    ),
    "1e4": (("bits: 8", "bits: 1e1"), r"^mine\.yaml:5:9: adc\.bits: expected a whole number, found 1e1; write 10"),
    "on": (("bits: 8", "bits: on"), r"^mine\.yaml:5:9: adc\.bits: 'on' could be text or a switch; write true"),
    "octal": (("bits: 8", "bits: 010"), r"^mine\.yaml:5:9: adc\.bits: '010' could be octal or decimal"),
    "not finite": (("bits: 8", "rate_gsps: .nan"), r"^mine\.yaml:5:14: adc\.rate_gsps: '\.nan' is not a finite number"),
    "a word": (
        ("bits: 8", "converts: al"),
        r"^mine\.yaml:5:13: adc\.converts: 'al' is not one of used, all; did you mean",
    ),
    "unknown parent": (("xbm_72", "xbm72"), r"^mine\.yaml:3:10: extends: no chip 'xbm72'.*did you mean 'xbm_72'\?"),
    "unknown device": (("adc:\n  bits: 8", "device: taox"), r"^mine\.yaml:4:9: device: no device 'taox'"),
    "not YAML": (("bits: 8", "bits: [8"), r"^mine\.yaml:\d+:\d+: not valid YAML"),
    "a tab": (("  bits", "\tbits"), r"^mine\.yaml:5:1: not valid YAML: tab character"),
    "version": (("schema: 1", "schema: 2"), r"^mine\.yaml:1:9: schema: "),
    "missing key": (("extends: xbm_72\n", ""), r"^mine\.yaml:\S+: crossbar: required key is missing"),
    "a figure that is not its fact's": (
        ("bits: 8", "rate_gsps: 1.3"),
        r"^mine\.yaml:5:14: adc\.rate_gsps: 1\.3 is not what",
    ),
}


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_file(xbarsim: Xbarsim, folder: Path, name: str) -> None:
    (old, new), message = CHIPS[name]
    Path("mine.yaml").write_text(CHIP.replace(old, new))
    before = files(folder)
    for args in (
        ("run", "mine.yaml", "small.yaml", "--out", "results"),
        ("compare", "mine.yaml", "digits"),
        ("check", "mine.yaml"),
    ):
        refused(xbarsim(*args), message)
    assert files(folder) == before


TABLES = {
    "unknown operation": (
        ("- relu", "- rellu"),
        r"^small\.yaml:6:5: layers\.1: no operation 'rellu'; did you mean 'relu'\?",
    ),
    "unknown attribute": (
        ("kernel: 3", "kernle: 3"),
        r"^small\.yaml:5:\d+: layers\.0\.kernle: .*did you mean 'kernel'\?",
    ),
    "wrong type": (("out: 8", "out: eight"), r"^small\.yaml:5:\d+: layers\.0\.out: 'eight' is not an integer"),
    "negative count": (("out: 8", "out: -8"), r"^small\.yaml:5:\d+: layers\.0\.out: -8 is below the minimum 1"),
    "a kernel that does not fit": (("kernel: 3", "kernel: 9"), r"^small\.yaml:5:\d+: layers\.0\.kernel: a kernel of 9"),
    "negative tasks": (("tasks: 2", "tasks: -2"), r"^small\.yaml:9:20: synthetic\.tasks: -2 is below the minimum 0"),
    "a key twice": (("name: small", "name: small\nname: tall"), r"^small\.yaml:3:1: name: key given twice"),
    "no layers": ((TABLE[TABLE.index("layers") :], "layers: []\n"), r"^small\.yaml:4:9: layers: 0 entries; at least 1"),
    "1e3": (("[8, 4, 4]", "[8, 1e1, 4]"), r"^small\.yaml:3:12: input\.1: expected a whole number, found 1e1"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_layer_table(xbarsim: Xbarsim, folder: Path, name: str) -> None:
    (old, new), message = TABLES[name]
    Path("small.yaml").write_text(TABLE.replace(old, new))
    before = files(folder)
    for args in (
        ("run", "isaac", "small.yaml", "--out", "results"),
        ("show", "isaac", "small.yaml"),
        ("check", "small.yaml"),
    ):
        refused(xbarsim(*args), message)
    assert files(folder) == before


def test_every_fault_of_a_file_is_in_one_report(xbarsim: Xbarsim, folder: Path) -> None:
    Path("mine.yaml").write_text(CHIP + "  rate_gsp: 1\ndac: {bits: 99}\npe: {crossbars: on}\n")
    answer = xbarsim("run", "mine.yaml", "digits")
    refused(answer, "mine.yaml:6:3: adc.rate_gsp", "mine.yaml:7:13: dac.bits: 99", "mine.yaml:8:17: pe.crossbars: 'on'")
    assert len(answer.err.splitlines()) == 3


SETTINGS = {
    "adc.bits=99": "adc.bits: 99 is above the maximum 16",
    "adc.bist=6": "adc.bist: unknown key; did you mean 'bits'",
    "adcc.bits=6": "adcc: unknown key; did you mean 'adc'",
    "adc.bits=eight": "adc.bits: expected a whole number, found text 'eight'",
    "adc.bits=on": "adc.bits: 'on' could be text or a switch",
    "adc.bits=1e1": "adc.bits: expected a whole number, found 1e1; write 10",
    "adc.bits": "write KEY=VALUE, as in adc.bits=6",
    "=6": "write KEY=VALUE, as in adc.bits=6",
    "adc.bits=": "adc.bits: expected a whole number, found nothing",
    "device=taox": "device: no device 'taox'",
    "crossbar.encoding=ofset": "'ofset' is not one of offset, differential; did you mean 'offset'",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "command", [RUN, ("compare", "xbm_72", "digits"), ("show", "xbm_72"), ("plan", "xbm_72", "digits")]
)
def test_an_override_is_checked_like_the_file(xbarsim: Xbarsim, command: tuple[str, ...], setting: str) -> None:
    refused(xbarsim(*command, "--set", setting), f"^--set {setting}: .*" + re.escape(SETTINGS[setting]))


ARGUMENTS = {
    "no command": (("rnu", "xbm_72"), "no command 'rnu'; known: run, .*did you mean 'run'"),
    "option": ((*RUN, "--scenaro", "x"), "Did you mean '?--scenario'?"),
    "engine": ((*RUN, "--engine", "compild"), "'compild' is not one of 'compiled', 'reference'; did you mean 'compiled'"),
    "format": ((*RUN, "--format", "jsn"), "'jsn' is not one of .*; did you mean 'json'"),
    "kind": (("list", "chipss"), "'chipss' is not one of .*; did you mean 'chips'"),
    "chip": (("run", "xbm72", "digits"), "no chip 'xbm72'; known: .*; did you mean 'xbm_72'"),
    "workload": (("run", "xbm_72", "digit"), "no workload 'digit'; known: .*; did you mean 'digits'"),
    "method": ((*RUN, "--method", "piggback"), "'piggback'; known: .*; did you mean 'piggyback'"),
    "method of plan": (("plan", "xbm_72", "digits", "--method", "piggback"), "'piggback'; known: .*; did you mean 'piggyback'"),
    "methods": (("compare", "xbm_72", "digits", "--methods", "xbm,finetun"), "'finetun'; known: .*did you mean 'finetune'"),
    "empty method": (("compare", "xbm_72", "digits", "--methods", "xbm,,finetune"), "--methods .* names an empty one"),
    "no tasks": (("compare", "xbm_72", "one_window"), "network 'one_window' has no tasks to switch between"),
    "task": ((*RUN, "--scenario", "rotatd:3"), "no task 'rotatd'; known: digits, rotated, inverted, noisy, resized, odd_even, textures, backbone; did you mean 'rotated'"),
    "empty scenario": ((*RUN, "--scenario", ""), "--scenario: is empty; write task:inferences"),
    "blank scenario": ((*RUN, "--scenario", "  "), "--scenario: is empty; write task:inferences"),
    "empty entry": ((*RUN, "--scenario", "digits:1,,rotated:1"), "--scenario: "),
    "negative count": ((*RUN, "--scenario", "digits:-3"), "--scenario: .*'-3' is not a whole number"),
    "zero count": ((*RUN, "--scenario", "digits:0"), "--scenario: .*(from|of) 1"),
    "1e4 inferences": ((*RUN, "--scenario", "digits:1e4"), "--scenario: .*'1e4' is not a whole number"),
    "half an inference": ((*RUN, "--scenario", "digits:0.5"), "--scenario: .*'0.5' is not a whole number"),
    "negative seed": ((*RUN, "--seed", "-1"), "seed: -1 is not between 0 and"),
    "seed in words": ((*RUN, "--seed", "one"), "'one' is not a valid integer"),
    "no jobs": ((*RUN, "-j", "0"), "0 is not in the range"),
    "too large": (
        ("run", "xbm_72", "resnet50", "--set", "chip.count=1"),
        r"resnet50\.yaml: network 'resnet50' needs \d+ tiles and \d+ crossbars, 1 chip\(s\) 'xbm_72' have 168 tiles and 16128",
    ),
    "no gates": (("run", "isaac", "digits"), r"isaac\.yaml: gate: chip 'isaac' has no column gates, which method 'xbm' needs"),
    "facts of a network": (("show", "xbm_72", "digits", "--facts"), "--facts.* about a chip alone; leave NETWORK out"),
    "nothing published": (("validate", "xbm_27"), "no published figures for chip 'xbm_27'"),
    "too few": (("run", "xbm_72"), "Missing argument 'BUNDLE'"),
    "too many": (("run", "xbm_72", "digits", "resnet18"), "Got unexpected extra argument"),
    "folder as a chip": (("run", ".", "digits"), "no chip '.'"),
    "folder as a network": (("run", "xbm_72", "."), "no workload '.'"),
    "chip as a network": (("run", "xbm_72", "mine.yaml"), "mine.yaml:3:10: extends: "),
    "network as a chip": (("run", "small.yaml", "digits"), "small.yaml:.*: unknown key"),
    "no such file": (("run", "theirs.yaml", "digits"), "no chip 'theirs.yaml'"),
    "unreadable chip": (("run", "/proc/self/mem", "digits"), "/proc/self/mem: cannot be read: "),
    "unreadable plan": (("time", "/proc/self/mem"), "/proc/self/mem: cannot be read: "),
    "unreadable file": (("check", "/proc/self/mem"), "/proc/self/mem: "),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument(xbarsim: Xbarsim, folder: Path, name: str) -> None:
    args, message = ARGUMENTS[name]
    if "/proc/self/mem" in args and not Path("/proc/self/mem").exists():
        pytest.skip("needs a file that nobody can read, such as Linux has")
    before = files(folder)
    refused(xbarsim(*args), message)
    if args[:1] == ("run",):
        refused(xbarsim(*args, "--out", "results"), message)
    assert files(folder) == before


def test_no_command_at_all_shows_the_help(xbarsim: Xbarsim) -> None:
    answer = xbarsim()
    assert answer.code == 2
    assert "Commands:" in answer.err


OUT = {
    "an existing folder": ("there", "there: exists already; name a new folder or remove it"),
    "an existing file": ("mine.yaml", "mine.yaml: exists already; name a new folder or remove it"),
    "a link to nothing": ("loose", "loose: exists already"),
    "no folder above": ("no/such/results", "no/such/results: there is no folder .*no/such"),
    "a file above": ("mine.yaml/results", "mine.yaml/results: there is no folder .*mine.yaml"),
    "read only": ("/proc/results", "/proc/results: cannot be written: "),
}


@pytest.mark.parametrize("command", [RUN, ("compare", "xbm_72", "digits")])
@pytest.mark.parametrize("name", OUT)
def test_an_output_folder_is_refused_before_any_work(
    xbarsim: Xbarsim, folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], name: str
) -> None:
    (folder / "there").mkdir()
    (folder / "loose").symlink_to("nowhere")
    before = files(folder)
    out, message = OUT[name]
    if out.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("needs a folder that nobody can write to, such as Linux has")

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr("xbarsim.chip.load_chip", work)
    refused(xbarsim(*command, "--out", out), f"^--out {message}")
    assert files(folder) == before


@pytest.mark.parametrize("out", ["no/plan.json", "/proc/plan.json", "."])
def test_a_plan_is_refused_where_it_cannot_be_written(xbarsim: Xbarsim, folder: Path, out: str) -> None:
    before = files(folder)
    refused(xbarsim("plan", "xbm_72", "digits", "--out", out))
    assert files(folder) == before

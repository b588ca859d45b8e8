"""Broken graphs and bundles, and a machine that refuses: one message, the right exit code, nothing written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.conftest import RUN, Xbarsim, files, refused
from network.small import content

from xbarsim.network.bundle_writer import write_bundle
from xbarsim.network.tensors import open_tensors, write_tensors

GRAPHS = {
    "not JSON": ("{", "plan.json:1:2: not valid JSON"),
    "nothing": ("", "plan.json:1:1: not valid JSON"),
    "a list": ("[]", "plan.json: is not a JSON object with schema xbarsim.graph/1"),
    "another schema": ('{"schema":"xbarsim.run/1"}', "plan.json: schema: 'xbarsim.run/1' is not 'xbarsim.graph/1'"),
    "keys missing": ('{"schema":"xbarsim.graph/1"}', "plan.json: units: missing"),
    "a key twice": ('{"schema":"xbarsim.graph/1","schema":"x"}', "plan.json: key 'schema' given twice"),
    "NaN": ('{"schema":NaN}', "plan.json: NaN is not a finite number"),
    "nested": ("[" * 100_000, "plan.json: nested too deeply"),
    "binary": (b"\xff\xfe", "plan.json: the file is not UTF-8 text"),
    "misspelt": (
        '{"schema":"xbarsim.graph/1","unit":[],"actors":[],"channels":[]}',
        "unit: unknown key; did you mean 'units'",
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_plan_file(xbarsim: Xbarsim, write: Callable[..., Path], name: str) -> None:
    text, message = GRAPHS[name]
    write("plan.json", text)
    for args in (("time", "plan.json"), ("time", "plan.json", "--engine", "reference"), ("check", "plan.json")):
        refused(xbarsim(*args), message)


def test_a_plan_that_is_not_there_or_a_folder(xbarsim: Xbarsim, folder: Path) -> None:
    refused(xbarsim("time", "plan.json"), "^plan.json: cannot be read: no such file or directory")
    refused(xbarsim("time", "."), "^.: cannot be read: is a directory")


def tensors(bundle: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    opened = open_tensors(bundle / file)
    arrays = {name: opened.get(name) for name in opened.tensors}
    change(arrays)
    write_tensors(bundle / file, arrays)


def cut(bundle: Path, file: str, change: Callable[[bytes], bytes]) -> None:
    (bundle / file).write_bytes(change((bundle / file).read_bytes()))


def typo(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["wieght_bits"] = manifest.pop("weight_bits")
    (bundle / "manifest.json").write_text(json.dumps(manifest))


BACKBONE, RED = "backbone.safetensors", "tasks/red.safetensors"
BUNDLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (
        lambda b: tensors(b, RED, lambda t: t.pop("xbm/masks/conv1")),
        r"red\.safetensors: xbm/masks/conv1: missing tensor; did you mean",
    ),
    "wrong mask shape": (
        lambda b: tensors(b, RED, lambda t: t.update({"xbm/masks/conv1": t["xbm/masks/conv1"][:1]})),
        r"red\.safetensors: xbm/masks/conv1: shape \(1, 8\) is not \(2, 8\)",
    ),
    "weights changed after export": (
        lambda b: tensors(b, BACKBONE, lambda t: t.update({"conv1.weight": t["conv1.weight"] * np.float32(1.5)})),
        r"backbone\.safetensors: weights changed after the masks were exported",
    ),
    "NaN weights": (
        lambda b: tensors(b, BACKBONE, lambda t: t.update({"conv1.weight": t["conv1.weight"] * np.float32("nan")})),
        r"backbone\.safetensors: conv1\.weight: 144 of 144 values are not finite",
    ),
    "truncated header": (
        lambda b: cut(b, RED, lambda data: data[:100]),
        r"red\.safetensors: the header claims \d+ bytes, the file has 92 left",
    ),
    "oversized header": (
        lambda b: cut(b, RED, lambda data: b"\xff" * 7 + b"\x0f" + data[8:]),
        r"red\.safetensors: the header claims \d{15,} bytes",
    ),
    "typo in a key": (typo, r"manifest\.json: wieght_bits: .*did you mean 'weight_bits'"),
    "no task file": (lambda b: (b / RED).unlink(), r"red\.safetensors: cannot be read: no such file"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "small.xmn"
    write_bundle(path, content())
    return path


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle(xbarsim: Xbarsim, folder: Path, bundle: Path, name: str) -> None:
    shutil.copytree(bundle, "mine.xmn")
    spoil, message = BUNDLES[name]
    spoil(Path("mine.xmn"))
    before = files(folder)
    run = ("run", "xbm_72", "mine.xmn", "--method", "finetune", "--out", "results")
    for args in (run, ("check", "mine.xmn"), ("show", "xbm_72", "mine.xmn")):
        refused(xbarsim(*args), "^mine.xmn/.*" + message)
    assert files(folder) == before


def test_the_good_bundle_is_good(xbarsim: Xbarsim, folder: Path, bundle: Path) -> None:
    answer = xbarsim("run", "xbm_72", bundle, "--method", "finetune", "--format", "json")
    assert answer.code == 0, answer.err


def test_what_the_machine_refuses_is_no_traceback(
    xbarsim: Xbarsim, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    answer = xbarsim(*RUN, "--out", "results")
    assert (answer.code, answer.out) == (1, "")
    assert re.search(r"results: cannot be written: no space left on device", answer.err)
    assert files(folder) == {"mine.yaml", "small.yaml"}


def test_too_little_memory_is_no_traceback(xbarsim: Xbarsim, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 8.00 TiB")

    monkeypatch.setattr("xbarsim.chip.load_chip", ask)
    answer = xbarsim(*RUN)
    assert (answer.code, answer.err) == (1, "not enough memory: Unable to allocate 8.00 TiB\n")


def test_a_file_one_may_not_read(xbarsim: Xbarsim, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/secret/chip.yaml")

    monkeypatch.setattr("xbarsim.chip.load_chip", deny)
    refused(xbarsim(*RUN), "^/secret/chip.yaml: permission denied$")

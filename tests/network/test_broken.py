"""A folder of broken bundles, one fault each: the message names the file and the place."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from network.breaking import (
    BACKBONE,
    GRAPH,
    MANIFEST,
    MISSING,
    RED,
    SAMPLES,
    Break,
    changed_weights,
    copy,
    header,
    put,
    raw,
    remove,
    rename,
    same,
    shows,
    tensor,
    with_value,
)
from network.small import content

from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.network.bundle_writer import write_bundle

XBM = "tasks/red/methods/xbm"
FC = "xbm/state/fc.weight"

BROKEN: dict[str, tuple[Break, str, str]] = {
    # whole files
    "no manifest": (remove(MANIFEST), MANIFEST, "cannot be read: no such file"),
    "no graph": (remove(GRAPH), GRAPH, "cannot be read: no such file"),
    "no backbone": (remove(BACKBONE), BACKBONE, "cannot be read: no such file"),
    "no task": (remove(RED), RED, "cannot be read: no such file"),
    "no samples": (remove(SAMPLES), SAMPLES, "cannot be read: no such file"),
    "stray task": (copy(RED, "tasks/rad.safetensors"), "tasks/rad.safetensors", "no task 'rad'; did you mean 'red'"),
    "manifest cut off": (raw(MANIFEST, lambda data: data[:-9]), MANIFEST, "not valid JSON"),
    "manifest not text": (raw(MANIFEST, lambda data: b"\xff" + data), MANIFEST, "not UTF-8"),
    "manifest a list": (raw(MANIFEST, lambda data: b"[1]"), MANIFEST, "format: None is not"),
    "manifest nested": (raw(MANIFEST, lambda data: b"[" * 100_000), MANIFEST, "nested too deeply"),
    "key twice": (
        raw(MANIFEST, lambda data: data.replace(b'"name"', b'"name": "x", "name"', 1)),
        MANIFEST,
        "'name' given twice",
    ),
    "NaN in JSON": (put(MANIFEST, "tasks/red/samples/scale", float("nan")), MANIFEST, "NaN is not a finite number"),
    # manifest
    "format": (put(MANIFEST, "format", "zip"), MANIFEST, "format: 'zip' is not 'xbarsim.bundle'"),
    "version": (put(MANIFEST, "version", 7), MANIFEST, "version: version 7 is not known; this xbarsim reads version 1"),
    "unknown key": (rename(MANIFEST, "", "weight_bits", "wieght_bits"), MANIFEST, "wieght_bits: .*did you mean 'weight_bits'"),
    "missing key": (put(MANIFEST, "fingerprint", MISSING), MANIFEST, "fingerprint"),
    "wrong type": (put(MANIFEST, "input_bits", "eight"), MANIFEST, "input_bits: "),
    "fingerprint text": (put(MANIFEST, "fingerprint", "sha256:12"), MANIFEST, "fingerprint: "),
    "fingerprint": (changed_weights, BACKBONE, "weights changed after the masks were exported"),
    "quantiser missing": (put(MANIFEST, "quantisers/conv2", MISSING), MANIFEST, "quantisers: no quantiser for layer 'conv2'"),
    "quantiser name": (rename(MANIFEST, "quantisers", "conv2", "conv22"), MANIFEST, "quantisers.conv22: .*did you mean 'conv2'"),
    "scale zero": (put(MANIFEST, "quantisers/conv1/scale/3", 0.0), MANIFEST, r"quantisers\.conv1\.scale\.3: "),
    "scale tiny": (put(MANIFEST, "quantisers/conv1/scale/3", 1e-60), MANIFEST, r"quantisers\.conv1\.scale\.3: "),
    "scale infinite": (
        raw(MANIFEST, lambda data: re.sub(rb'"scale": \[\s*[0-9.e-]+', b'"scale": [1e999', data, count=1)),
        MANIFEST,
        r"quantisers\.conv1\.scale\.0: ",
    ),
    "scales too few": (put(MANIFEST, "quantisers/conv1/scale/3", MISSING), MANIFEST, r"conv1\.scale: 7 scales, expected 8"),
    "axis": (put(MANIFEST, "quantisers/conv1/axis", None), MANIFEST, r"8 scales, expected 1: axis is null"),
    "bits differ": (put(MANIFEST, "quantisers/conv1/bits", 4), MANIFEST, r"conv1\.bits: 4 differs from weight_bits 8"),
    "bits range": (put(MANIFEST, "weight_bits", 40), MANIFEST, "weight_bits: "),
    "rounding": (put(MANIFEST, "quantisers/conv1/rounding", "up"), MANIFEST, r"conv1\.rounding: "),
    "task name": (rename(MANIFEST, "tasks", "red", "../red"), MANIFEST, "'../red' is not a name"),
    "no classes": (put(MANIFEST, "tasks/red/classes", 0), MANIFEST, r"tasks\.red\.classes: "),
    "accuracy": (put(MANIFEST, f"{XBM}/accuracy/float", 98.5), MANIFEST, r"xbm\.accuracy\.float: "),
    "head quantiser": (put(MANIFEST, f"{XBM}/quantisers", {}), MANIFEST, "3 classes need a quantiser of their own"),
    "mask layer": (rename(MANIFEST, f"{XBM}/masks", "conv1", "conv7"), MANIFEST, r"masks\.conv7: no crossbar layer 'conv7'"),
    "weights layer": (put(MANIFEST, "tasks/red/methods/finetune/weights/0", "convv1"), MANIFEST, "did you mean 'conv1'"),
    "mask heights": (put(MANIFEST, f"{XBM}/masks/conv1/rows", 18), MANIFEST, "one height per bundle"),
    "sample scale": (put(MANIFEST, "tasks/red/samples/scale", -1.0), MANIFEST, r"samples\.scale: "),
    # graph
    "op": (put(GRAPH, "nodes/3/op", "rellu"), GRAPH, r"nodes\.3\.relu1: no operation 'rellu'; did you mean 'relu'"),
    "attribute": (rename(GRAPH, "nodes/1/attrs", "out", "outs"), GRAPH, r"nodes\.1\.conv1\.outs: .*did you mean 'out'"),
    "attribute type": (put(GRAPH, "nodes/1/attrs/out", "8"), GRAPH, r"nodes\.1\.conv1\.out: '8' is not an integer"),
    "input": (put(GRAPH, "nodes/3/inputs/0", "bn3"), GRAPH, r"relu1\.inputs: no node 'bn3' stands above this one; did"),
    "groups": (put(GRAPH, "nodes/4/attrs/groups", 3), GRAPH, "8 input channels do not divide into 3 groups"),
    "epsilon": (put(GRAPH, "nodes/2/attrs/eps", -1e-5), GRAPH, r"nodes\.2\.bn1\.eps: -1e-05 is not above zero"),
    "epsilon type": (put(GRAPH, "nodes/2/attrs/eps", "small"), GRAPH, "'small' is not a number"),
    "stated shape": (put(GRAPH, "nodes/1/shape/0", 9), GRAPH, r"nodes\.1\.conv1\.shape: \[9, 4, 4\] is not \[8, 4, 4\]"),
    "stated parameters": (put(GRAPH, "nodes/2/parameters/bias", [7]), GRAPH, r"nodes\.2\.bn1\.parameters: "),
    "graph version": (put(GRAPH, "version", 2), GRAPH, "version: "),
    # backbone tensors
    "missing tensor": (tensor(BACKBONE, "bn1.bias", MISSING), BACKBONE, r"bn1\.bias: missing tensor; did you mean"),
    "misspelt tensor": (tensor(BACKBONE, "bn1.bias", same, "bn1.bais"), BACKBONE, r"bn1\.bais: nothing uses .*'bn1\.bias'"),
    "shape": (tensor(BACKBONE, "bn1.bias", lambda a: a[:7]), BACKBONE, r"bn1\.bias: shape \[7\] is not \[8\]"),
    "NaN weight": (
        tensor(BACKBONE, "conv1.weight", with_value((0, 0, 0, 0), np.nan)),
        BACKBONE,
        r"conv1\.weight: 1 of 144 values are not finite",
    ),
    "infinite weight": (tensor(BACKBONE, "bn1.bias", with_value((0,), np.inf)), BACKBONE, r"bn1\.bias: 1 of 8 values"),
    "integer weights": (
        tensor(BACKBONE, "conv1.weight", lambda a: a.astype(np.int8)),
        BACKBONE,
        r"conv1\.weight: holds int8, not floating-point",
    ),
    "negative variance": (tensor(BACKBONE, "bn1.running_var", np.negative), BACKBONE, r"bn1\.running_var: .* is negative"),
    "input scale": (tensor(BACKBONE, "conv2.input_scale", np.zeros_like), BACKBONE, "0.0 is not above zero"),
    # task tensors
    "missing mask": (tensor(RED, "xbm/masks/conv1", MISSING), RED, "xbm/masks/conv1: missing tensor; did you mean"),
    "mask shape": (tensor(RED, "xbm/masks/conv1", lambda a: a[:1]), RED, r"shape \(1, 8\) is not \(2, 8\): .*9 rows per column"),
    "element mask shape": (tensor(RED, "piggyback/masks/conv1", lambda a: a.T), RED, r"shape \(18, 8\) is not \(8, 18\)"),
    "mask value": (tensor(RED, "xbm/masks/conv1", with_value((0, 0), 2)), RED, "holds the value 2; a binary mask holds"),
    "mask type": (tensor(RED, "xbm/masks/conv1", lambda a: a.astype(np.float32)), RED, "holds float32, not uint8"),
    "mask granularity": (put(MANIFEST, f"{XBM}/masks/conv1/granularity", "colum"), RED, "did you mean 'column'"),
    "mask kind": (put(MANIFEST, f"{XBM}/masks/conv1/kind", "binarry"), RED, "did you mean 'binary'"),
    "mask row order": (put(MANIFEST, f"{XBM}/masks/conv1/row_order", "kh,kw,c_in"), RED, "row order 'kh,kw,c_in'"),
    "mask without rows": (put(MANIFEST, f"{XBM}/masks/conv1/rows", None), RED, "state the crossbar rows"),
    "missing head": (tensor(RED, FC, MISSING), RED, r"xbm/state/fc\.weight: missing tensor"),
    "head shape": (tensor(RED, FC, lambda a: a[:2]), RED, r"xbm/state/fc\.weight: shape \[2, 6\] is not \[3, 6\]"),
    "half a norm": (tensor(RED, "xbm/state/bn2.weight", MISSING), RED, r"xbm/state/bn2\.weight: missing tensor"),
    "fine-tuned missing": (tensor(RED, "finetune/weights/conv1", MISSING), RED, "finetune/weights/conv1: missing"),
    "fine-tuned NaN": (tensor(RED, "finetune/weights/conv1", lambda a: a * np.nan), RED, "144 of 144 values are not finite"),
    "unused tensor": (tensor(RED, FC, same, "xbn/state/fc.weight"), RED, r"xbn/state/fc\.weight: nothing uses this"),
    # samples
    "sample shape": (tensor(SAMPLES, "inputs", lambda a: a[:, :1]), SAMPLES, r"inputs: shape \[5, 1, 4, 4\]"),
    "label count": (tensor(SAMPLES, "labels", lambda a: a[:4]), SAMPLES, r"labels: shape \[4\] is not \[5\]"),
    "label range": (tensor(SAMPLES, "labels", with_value((0,), 3)), SAMPLES, "labels: labels from [01] to 3 are not classes 0 to 2"),
    "no labels": (tensor(SAMPLES, "labels", MISSING), SAMPLES, "labels: missing tensor"),
    "float labels": (tensor(SAMPLES, "labels", lambda a: a.astype(np.float32)), SAMPLES, "labels: holds float32"),
    # tensor file headers
    "empty file": (raw(BACKBONE, lambda data: b""), BACKBONE, "0 bytes are too few for a safetensors header"),
    "header cut off": (raw(RED, lambda data: data[:100]), RED, "the header claims [0-9]+ bytes, the file has 92 left"),
    "header oversized": (raw(RED, lambda data: b"\xff" * 7 + b"\x0f" + data[8:]), RED, "the header claims 115292"),
    "header not JSON": (raw(RED, lambda data: data[:8] + b"?" + data[9:]), RED, "the header is not JSON text"),
    "header not UTF-8": (raw(RED, lambda data: data[:9] + b"\xff" + data[10:]), RED, "the header is not JSON text"),
    "header a list": (raw(RED, lambda data: b"\x02" + b"\0" * 7 + b"[]"), RED, "not a table of tensors"),
    "data cut off": (raw(BACKBONE, lambda data: data[:-40]), BACKBONE, "do not lie inside the"),
    "data too long": (raw(BACKBONE, lambda data: data + b"\0" * 8), BACKBONE, "8 bytes behind .* belong to no tensor"),
    "overlap": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].update(data_offsets=table["bn1.weight"]["data_offsets"]))),
        BACKBONE,
        "overlaps|leaves a gap",
    ),
    "offsets reversed": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].update(data_offsets=[64, 32]))),
        BACKBONE,
        r"bn1\.bias: data_offsets \[64, 32\] do not lie",
    ),
    "offsets negative": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].update(data_offsets=[-4, 28]))),
        BACKBONE,
        r"bn1\.bias: data_offsets \[-4, 28\] is not a list",
    ),
    "shape against offsets": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].update(shape=[9]))),
        BACKBONE,
        r"bn1\.bias: shape \[9\] of F32 does not fill",
    ),
    "type": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].update(dtype="BF16"))),
        BACKBONE,
        r"bn1\.bias: dtype 'BF16' is not one of",
    ),
    "no shape": (
        raw(BACKBONE, header(lambda table: table["bn1.bias"].pop("shape"))),
        BACKBONE,
        r"bn1\.bias: the header must state dtype, shape and data_offsets",
    ),
    "metadata": (
        raw(BACKBONE, header(lambda table: table.update(__metadata__=[1]))),
        BACKBONE,
        "cannot be read: ",
    ),
    "huge shape": (
        raw(BACKBONE, header(lambda table: table.update(x={"dtype": "U8", "shape": [10**30, 0], "data_offsets": [0, 0]}))),
        BACKBONE,
        "",
    ),
    "tensor twice": (
        raw(RED, lambda data: data.replace(b'"finetune/state/bn1.bias"', b'"finetune/state/bn2.bias"', 1)),
        RED,
        "stands twice",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bundle per fault, each the good bundle with one thing changed."""
    folder = tmp_path_factory.mktemp("broken")
    write_bundle(folder / "good.xmn", content())
    for name, (change, _, _) in BROKEN.items():
        target = folder / f"{name.replace(' ', '_')}.xmn"
        shutil.copytree(folder / "good.xmn", target)
        change(target)
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_with_file_and_place(broken: Path, name: str) -> None:
    _, file, message = BROKEN[name]
    shows(broken / f"{name.replace(' ', '_')}.xmn", file, message)


def test_the_good_bundle_is_good(broken: Path) -> None:
    assert load_network(broken / "good.xmn").name == "small"


def test_all_faults_are_reported_together(bundle: Path) -> None:
    for name in ("quantiser missing", "NaN weight", "mask value", "label range"):
        BROKEN[name][0](bundle)
    with pytest.raises(InputError) as raised:
        load_network(bundle)
    assert len(raised.value.faults) == 4


def test_a_file_is_no_bundle(write: Callable[[str, str], Path]) -> None:
    path = write("small.xmn", "not a folder")
    with pytest.raises(InputError, match="small.xmn"):
        load_network(path)

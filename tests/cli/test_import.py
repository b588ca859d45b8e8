"""``xbarsim import``: every kind from file to bundle or table, and what is refused before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Xbarsim, files, refused

from xbarsim.cli.import_ import CHECKPOINTS, KINDS, OPTIONS
from xbarsim.network import load_network

NEUROSIM = "8,8,3,3,3,4,1,1\n4,4,4,3,3,8,0,1\n1,1,128,1,1,10,0,1\n"
SCALESIM = "name,a,b,c,d,e,f,g,\none,8,8,3,3,3,4,1,\ntwo,6,6,1,1,4,8,1,\n"


@pytest.fixture
def tables(folder: Path) -> Path:
    """A folder with a table of either simulator."""
    Path("neuro.csv").write_text(NEUROSIM)
    Path("scale.csv").write_text(SCALESIM)
    return folder


@pytest.mark.parametrize(("kind", "name", "layers"), [("neurosim", "neuro", 3), ("scalesim", "scale", 2)])
def test_tables_become_layer_tables_that_check(
    xbarsim: Xbarsim, tables: Path, kind: str, name: str, layers: int
) -> None:
    answer = xbarsim("import", kind, f"{name}.csv", "--out", "new.yaml")
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"new.yaml: {layers} crossbar layers, ")
    assert xbarsim("check", "new.yaml").code == 0
    assert load_network("new.yaml").name == name
    assert xbarsim("show", "xbm_72", "new.yaml", "--format", "json").json["crossbars"] > 0


def test_the_result_as_json_and_csv(xbarsim: Xbarsim, tables: Path) -> None:
    result = xbarsim("import", "neurosim", "neuro.csv", "--out", "a.yaml", "--name", "mine", "--format", "json").json
    weights = 4 * 27 + 8 * 36 + 10 * 128
    assert result == {
        "schema": "xbarsim.import/1", "kind": "neurosim", "out": "a.yaml", "layers": 3, "weights": weights,
        "tasks": [], "warnings": [],
    }  # fmt: skip
    rows = xbarsim("import", "neurosim", "neuro.csv", "--out", "b.yaml", "--format", "csv").out.splitlines()
    assert rows == ["kind,out,layers,weights,tasks,warnings", f"neurosim,b.yaml,3,{weights},,0"]
    assert load_network("a.yaml").name == "mine"


def test_every_key_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text("utf-8")
    [row] = [line for line in page.splitlines() if "`xbarsim.import/1`" in line]
    assert all(f"`{key}`" in row for key in ("kind", "out", "layers", "weights", "tasks", "warnings"))


def test_every_kind_and_option_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/import.md").read_text("utf-8")
    assert all(f"| `{kind}` |" in page for kind in KINDS)
    assert all(f"`--{name.replace('_', '-')}" in page for name in ("backbone", "network", "modules", "trust_pickle"))
    assert {kind for kinds in OPTIONS.values() for kind in kinds} == set(KINDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("neurosim", "neuro.csv", "--out", "new.xmn"), "--out new.xmn: neurosim makes new.yaml"),
        (("onnx", "net.onnx", "--out", "new"), "--out new: onnx makes new.xmn"),
        (("neurosim", "neuro.csv", "--out", "small.yaml"), "--out small.yaml: exists already"),
        (("neurosim", "neuro.csv", "--out", "none/new.yaml"), "there is no folder"),
        (("neurosim", "none.csv", "--out", "new.yaml"), "none.csv: cannot be read: no such file"),
        (("neurosim", "neuro.csv", "--out", "new.yaml", "--backbone", "digits"), "--backbone: neurosim takes no such"),
        (("piggyback", "masks.pt", "--out", "new.xmn"), "--backbone: piggyback needs the bundle"),
        (("neurosimm", "neuro.csv", "--out", "new.yaml"), "did you mean 'neurosim'"),
        (("onnx", "net.onnx", "--out", "new.xmn", "--input-shape", "3,x,8"), "--input-shape '3,x,8': write channels"),
        (("neurosim", "scale.csv", "--out", "new.yaml"), r"scale.csv:1:1: input length: 'name' is not a whole number"),
    ],
)
def test_refusals_leave_nothing_behind(xbarsim: Xbarsim, tables: Path, args: tuple[str, ...], message: str) -> None:
    if args[0] == "onnx" and "--input-shape" in args:
        pytest.importorskip("onnx")
    before = files(tables)
    refused(xbarsim("import", *args), message)
    assert files(tables) == before


def test_onnx_becomes_a_bundle(xbarsim: Xbarsim, folder: Path) -> None:
    pytest.importorskip("onnx")
    from network.onnx_files import save
    from onnx import helper

    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["a"], "conv"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"], "pool"),
        helper.make_node("Flatten", ["b"], ["c"], "flat"),
        helper.make_node("Gemm", ["c", "fc.weight"], ["y"], "fc", transB=1),
    ]
    shapes = {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "fc.weight": (4, 8)}
    constants = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save(Path("net.onnx"), nodes, constants, ("n", 3, "h", "w"))
    refused(xbarsim("import", "onnx", "net.onnx", "--out", "net.xmn"), "state them: --input-shape")
    args = ("--input-shape", "3,8,8", "--weight-bits", "4", "--name", "mine")
    answer = xbarsim("import", "onnx", "net.onnx", "--out", "net.xmn", *args)
    assert answer.code == 0, answer.err
    assert answer.out == "net.xmn: 2 crossbar layers, 248 weights\n"
    assert answer.err.startswith("warning: net.onnx: 1 of 1 convolutions have no BatchNormalization behind them")
    network = load_network("net.xmn")
    assert (network.name, network.weight_bits, network.synthetic) == ("mine", 4, False)
    assert xbarsim("check", "net.xmn").code == 0


def test_masks_become_tasks_that_run(xbarsim: Xbarsim, folder: Path) -> None:
    pytest.importorskip("torch")
    from learning.foreign import PLACES, Shared, backbone, packed, ternary

    backbone(Path("ground.xmn"))
    packed(Path("masks.pt"), {"birds": ternary(0), "cars": ternary(1)})
    args = ("import", "piggyback", "masks.pt", "--backbone", "ground.xmn", "--out", "tasks.xmn")
    refused(xbarsim(*args), "name the network with --network, or its modules with --modules FILE")
    refused(xbarsim(*args, "--network", "resnet21"), "no network 'resnet21'; known: .*did you mean 'resnet")
    refused(xbarsim(*args, "--network", "resnet20"), "birds: module 4 is 'layer1'", "cars: module 4 is 'layer1'")
    refused(xbarsim(*args, "--modules", "none.txt"), "none.txt: cannot be read")
    Path("names.txt").write_text("".join(f"{name}\n" for name, _ in Shared().named_modules()))
    assert Path("names.txt").read_text().splitlines()[PLACES["conv2"]] == "conv2"
    answer = xbarsim(*args, "--modules", "names.txt", "--format", "json")
    assert answer.code == 0, answer.err
    assert answer.json["tasks"] == ["birds", "cars"]
    run = xbarsim("run", "xbm_72", "tasks.xmn", "--method", "piggyback-ternary", "--format", "json")
    assert run.code == 0, run.err
    assert run.json["synthetic"] is False
    assert run.json["switches"][0]["cells_written"] > 0


def test_pickles_are_refused_with_the_way_out(xbarsim: Xbarsim, folder: Path) -> None:
    torch = pytest.importorskip("torch")
    from learning.foreign import PLACES, Model, backbone, owners

    backbone(Path("ground.xmn"))
    owned = {PLACES[name]: mask for name, mask in owners(0, 1).items()}
    torch.save({"dataset2idx": {"birds": 1}, "previous_masks": owned, "model": Model("birds")}, "net.pt")
    args = ("import", "packnet", "net.pt", "--backbone", "ground.xmn", "--out", "tasks.xmn")
    before = files(folder)
    refused(
        xbarsim(*args),
        "net.pt: holds more than tensors .*Loading whole objects runs what the file says.*--trust-pickle",
    )
    assert files(folder) == before
    assert xbarsim(*args, "--trust-pickle").code == 0
    assert load_network("tasks.xmn").task_info == {"birds": (3, ("packnet",))}


@pytest.mark.parametrize(("kind", "missing", "extra"), [("onnx", "onnx", "onnx"), ("piggyback", "torch", "torch")])
def test_a_missing_extra_is_named(
    xbarsim: Xbarsim, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, missing: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("xbarsim.learning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    Path("file").write_text("")
    more = ("--backbone", "digits") if kind in CHECKPOINTS else ()
    answer = xbarsim("import", kind, "file", "--out", "new.xmn", *more)
    refused(answer, rf"pip install 'xbarsim\[{extra}\]'")

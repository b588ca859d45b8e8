"""ONNX files: values against PyTorch, crossbars against the layer table, and everything that is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from network.onnx_files import of_graph, save  # noqa: E402
from onnx import helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.mapping import place  # noqa: E402
from xbarsim.network import Network, load_network  # noqa: E402
from xbarsim.network.bundle_writer import BundleContent, write_bundle  # noqa: E402
from xbarsim.network.graph import build_graph, derive_layers  # noqa: E402
from xbarsim.network.importers import read_onnx  # noqa: E402
from xbarsim.network.importers.content import entries_of  # noqa: E402
from xbarsim.network.quantiser import Quantiser  # noqa: E402
from xbarsim.network.validation import parameter_shape  # noqa: E402

node = helper.make_node
RANDOM = np.random.default_rng(0)


def drawn(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def sites(network: Network) -> list[tuple[Any, ...]]:
    """What stands where: the crossbars of every layer on xbm_72, and their copies and tiles."""
    found = place(load_chip("xbm_72"), network).sites.values()
    return [
        (site.name, site.grid.crossbars, site.copies, site.first_tile, site.tiles, site.grid.layer.weight_shape)
        for site in found
    ]


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-18 with weights of the layer table's shapes, written operation by operation."""
    nodes = load_network("resnet18").nodes
    layers = derive_layers(nodes)
    random = np.random.default_rng(1)
    state = {
        f"{one.name}.{role}": random.random(parameter_shape(one, role, layers), np.float32) * 0.1
        for one in nodes
        for role in one.parameters
    }
    return of_graph(tmp_path_factory.mktemp("onnx") / "resnet18.onnx", nodes, state)


def test_resnet18_lies_on_the_same_crossbars_as_its_layer_table(resnet18: Path, tmp_path: Path) -> None:
    made = read_onnx(resnet18)
    network = write_bundle(tmp_path / "resnet18.xmn", made.content)
    table = load_network("resnet18")
    assert made.warnings == ()
    assert list(network.layers) == list(table.layers)
    assert sites(network) == sites(replace(table, task_info={}))  # heads of tasks take crossbars from copies
    assert network.norm_channels() == table.norm_channels()
    assert sum(layer.weights for layer in network.layers.values()) == 11_678_912


def test_resnet18_lies_on_the_same_crossbars_as_torch_s_own_graph(resnet18: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from xbarsim.learning import networks
    from xbarsim.learning.capture import backbone_of

    module = backbone_of(networks.build("resnet18").eval(), torch.zeros(1, 3, 224, 224))
    arrays = module.arrays()
    fitted = {name: Quantiser.fit(arrays[f"{name}.weight"], 8) for name in module.layers}
    content = BundleContent("resnet18", "test", entries_of(module.nodes), arrays, fitted, {})
    network = write_bundle(tmp_path / "captured.xmn", content)
    assert sites(network) == sites(write_bundle(tmp_path / "imported.xmn", read_onnx(resnet18).content))


def same(path: Path, shape: tuple[int, ...]) -> None:
    """The import computes what ONNX's reference computes."""
    torch = pytest.importorskip("torch")
    from xbarsim.learning.backbone import Backbone

    made = read_onnx(path)
    inputs = drawn(*shape)
    wanted = ReferenceEvaluator(str(path)).run(None, {"x": inputs})[0]
    module = Backbone(build_graph(made.content.entries), made.content.backbone).eval()
    with torch.no_grad():
        values = torch.as_tensor(inputs)
        found = module(values[:, :, None, None] if values.ndim == 2 else values).numpy()
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)


CONV = {"w": drawn(6, 3, 3, 3), "b": drawn(6)}
HEAD = {"h": drawn(6, 4)}
GELU = [
    node("Div", ["a", "root"], ["d"]),
    node("Erf", ["d"], ["e"]),
    node("Add", ["e", "one"], ["f"]),
    node("Mul", ["a", "f"], ["g"]),
    node("Mul", ["g", "half"], ["y"]),
]
CASES: dict[str, tuple[list[Any], dict[str, Any], tuple[int, ...]]] = {
    "conv": ([node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2])], CONV, (1, 3, 8, 8)),
    "same": ([node("Conv", ["x", "w", "b"], ["y"], auto_pad="SAME_UPPER")], CONV, (1, 3, 8, 8)),
    "groups": (
        [node("Conv", ["x", "w"], ["y"], group=3, dilations=[2, 2])], {"w": drawn(6, 1, 3, 3)}, (1, 3, 9, 9),
    ),
    "norm": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("BatchNormalization", ["a", "s", "t", "m", "v"], ["y"], epsilon=1e-3),
        ],
        {"w": CONV["w"], "s": drawn(6), "t": drawn(6), "m": drawn(6), "v": drawn(6) ** 2},
        (1, 3, 8, 8),
    ),
    "pools": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("MaxPool", ["a"], ["c"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            node("AveragePool", ["c"], ["y"], kernel_shape=[2, 2]),
        ],
        CONV,
        (1, 3, 12, 12),
    ),
    "activations": (
        [
            node("Conv", ["x", "w", "b"], ["a"]),
            node("Relu", ["a"], ["c"]),
            node("Clip", ["a", "zero", "six"], ["d"]),
            node("HardSwish", ["a"], ["e"]),
            node("Sigmoid", ["a"], ["f"]),
            node("Tanh", ["a"], ["g"]),
            node("Mul", ["f", "g"], ["i"]),
            node("Sum", ["c", "d", "e"], ["j"]),
            node("Concat", ["i", "j"], ["y"], axis=1),
        ],
        CONV | {"zero": np.float32(0), "six": np.float32(6)},
        (1, 3, 6, 6),
    ),
    "gelu": (
        [node("Conv", ["x", "w", "b"], ["a"]), *GELU],
        CONV | {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)},
        (1, 3, 6, 6),
    ),
    "head": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("ReduceMean", ["a", "axes"], ["c"], keepdims=0),
            node("MatMul", ["c", "h"], ["d"]),
            node("Add", ["bias", "d"], ["e"]),
            node("Softmax", ["e"], ["y"], axis=1),
        ],
        CONV | HEAD | {"axes": np.array([2, 3]), "bias": drawn(4)},
        (1, 3, 6, 6),
    ),
    "gemm": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("GlobalAveragePool", ["a"], ["c"]),
            node("Reshape", ["c", "flat"], ["d"]),
            node("Gemm", ["d", "h", "bias"], ["y"], alpha=0.5, beta=2.0),
        ],
        CONV | HEAD | {"flat": np.array([1, -1]), "bias": drawn(4)},
        (1, 3, 6, 6),
    ),
    "flatten": (
        [node("Conv", ["x", "w"], ["a"]), node("Flatten", ["a"], ["c"]), node("MatMul", ["c", "k"], ["y"])],
        CONV | {"k": drawn(24, 2)},
        (1, 3, 4, 4),
    ),
    "tokens": (
        [
            node("LayerNormalization", ["x", "s", "t"], ["a"], axis=-1),
            node("MatMul", ["a", "h"], ["c"]),
            node("Gelu", ["c"], ["d"]),
            node("Dropout", ["d"], ["e"]),
            node("ReduceMean", ["e", "axes"], ["y"], keepdims=0),
        ],
        HEAD | {"s": drawn(6), "t": drawn(6), "axes": np.array([1])},
        (1, 5, 6),
    ),
    "patches": (
        [
            node("Conv", ["x", "w"], ["a"], strides=[3, 3]),
            node("Reshape", ["a", "flat"], ["c"]),
            node("Transpose", ["c"], ["d"], perm=[0, 2, 1]),
            node("MatMul", ["d", "h"], ["y"]),
        ],
        CONV | HEAD | {"flat": np.array([1, 6, -1])},
        (1, 3, 9, 9),
    ),
    "resize": (
        [node("Conv", ["x", "w"], ["a"]), node("Resize", ["a", "", "scales"], ["y"], mode="linear")],
        CONV | {"scales": np.array([1, 1, 2, 2], np.float32)},
        (1, 3, 6, 6),
    ),
    "shortcut": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("Slice", ["a", "from", "to", "axes", "steps"], ["c"]),
            node("Pad", ["c", "pads"], ["y"]),
        ],
        CONV
        | {"from": np.array([0, 0]), "to": np.array([2**31, 2**31]), "axes": np.array([2, 3]), "steps": np.array([2, 2])}
        | {"pads": np.array([0, 2, 0, 0, 0, 3, 0, 0])},
        (1, 3, 8, 8),
    ),
    "factors": (
        [node("Conv", ["x", "w"], ["a"]), node("Mul", ["a", "s"], ["c"]), node("Div", ["c", "t"], ["y"])],
        CONV | {"s": drawn(6, 1, 1), "t": np.float32(4)},
        (1, 3, 6, 6),
    ),
    "vector": (
        [node("Gemm", ["x", "h"], ["a"]), node("Relu", ["a"], ["c"]), node("Gemm", ["c", "k"], ["y"])],
        HEAD | {"k": drawn(4, 2)},
        (1, 6),
    ),
    "computed shape": (
        [
            node("Conv", ["x", "w"], ["a"]),
            node("GlobalAveragePool", ["a"], ["c"]),
            node("Shape", ["c"], ["s"]),
            node("Gather", ["s", "zero"], ["n"]),
            node("Unsqueeze", ["n", "axes"], ["m"]),
            node("Concat", ["m", "rest"], ["t"], axis=0),
            node("Reshape", ["c", "t"], ["d"]),
            node("MatMul", ["d", "h"], ["y"]),
        ],
        CONV | HEAD | {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])},
        (1, 3, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_onnx(tmp_path: Path, case: str) -> None:
    nodes, constants, shape = CASES[case]
    same(save(tmp_path / "one.onnx", nodes, constants, shape, opset=20), shape)


def test_names_are_those_of_the_weights_or_of_the_modules(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "features.0.weight"], ["a"], "node_Conv_1"),
        node("Relu", ["a"], ["b"], "/layer1/layer1.0/relu/Relu"),
        node("Conv", ["b", "onnx::Conv_77"], ["c"], "/layer1/layer1.0/conv2/Conv"),
        node("Conv", ["c", "onnx::Conv_77"], ["d"], "/layer1/layer1.0/conv2/Conv"),
        node("Conv", ["d", "onnx::Conv_77"], ["y"]),
    ]
    constants = {"features.0.weight": drawn(6, 3, 1, 1), "onnx::Conv_77": drawn(6, 6, 1, 1)}
    path = save(tmp_path / "one.onnx", nodes, constants, (1, 3, 4, 4))
    names = [entry.name for entry in read_onnx(path).content.entries]
    assert names == ["x", "features.0", "layer1.0.relu", "layer1.0.conv2", "layer1.0.conv2_2", "y"]


def test_results_that_nothing_needs_are_left_out(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"]), node("Relu", ["y"], ["unused"]), node("NonZero", ["x"], ["odd"])]
    path = save(tmp_path / "one.onnx", nodes, CONV, (1, 3, 8, 8))
    assert [entry.op for entry in read_onnx(path).content.entries] == ["input", "conv"]


def test_folded_normalisation_is_told_in_three_places(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w", "b"], ["a"], "first"), node("Relu", ["a"], ["c"]), node("Conv", ["c", "k"], ["y"])]
    path = save(tmp_path / "one.onnx", nodes, CONV | {"k": drawn(2, 6, 1, 1)}, (1, 3, 8, 8))
    made = read_onnx(path)
    assert len(made.warnings) == 1
    assert "2 of 2 convolutions have no BatchNormalization behind them (first: 'first')" in made.warnings[0]
    network = write_bundle(tmp_path / "one.xmn", made.content)
    assert "folded" in (Path(network.source) / "manifest.json").read_text()


@pytest.mark.parametrize("case", ["norm", "tokens", "patches"])
def test_normalisation_that_is_there_is_not_warned_about(tmp_path: Path, case: str) -> None:
    nodes, constants, shape = CASES[case]
    warned = read_onnx(save(tmp_path / "one.onnx", nodes, constants, shape, opset=20)).warnings
    assert bool(warned) == (case == "patches")


def test_a_convolution_before_whose_input_is_normalised_is_not_warned_about(tmp_path: Path) -> None:
    """Normalisation in front, as in pre-activation networks: no bias, nothing has been folded."""
    nodes, constants, shape = CASES["norm"]
    last = node("Conv", ["z", "k"], ["y"])
    nodes = [nodes[0], node("BatchNormalization", ["a", "s", "t", "m", "v"], ["z"]), last]
    path = save(tmp_path / "one.onnx", nodes, constants | {"k": drawn(2, 6, 1, 1)}, shape)
    assert read_onnx(path).warnings == ()


def test_unknown_operations_are_told_all_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("InstanceNormalization", ["a", "b", "b"], ["c"], "norm"),
        node("Relu", ["c"], ["d"]),
        node("LSTM", ["d", "w", "w"], ["e"], "memory"),
        node("Clip", ["a", "low"], ["f"], "clipped"),
        node("Add", ["e", "f"], ["y"]),
    ]
    path = save(tmp_path / "one.onnx", nodes, CONV | {"low": np.float32(-1)}, (1, 3, 8, 8))
    with pytest.raises(InputError) as error:
        read_onnx(path)
    assert [fault.path for fault in error.value.faults] == ["node 'norm'", "node 'memory'", "node 'clipped'"]
    told = str(error.value)
    assert "InstanceNormalization: is no operation that a chip here knows" in told
    assert "LSTM" in told
    assert "clips to -1 … inf" in told
    assert told.count("known: Conv, Gemm") == 1


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ([node("Conv", ["x", "w"], ["y"], pads=[0, 0, 1, 1])], (1, 3, 8, 8), "pads .0, 0, 1, 1. differ from side to side"),
        ([node("Conv", ["x", "w"], ["y"], strides=[2, 2], auto_pad="SAME_UPPER")], (1, 3, 8, 8), "more on one side"),
        ([node("Conv", ["x", "w"], ["y"])], (1, 4, 8, 8), "do not fit 4 channels"),
        ([node("Conv", ["x", "w"], ["y"])], (1, 3, 2, 2), "a kernel of 3 .* does not fit"),
        ([node("Conv", ["x", "w"], ["y"])], (8, 3, 8, 8), "has a batch of 8"),
        ([node("Conv", ["x", "w"], ["y"])], ("n", 3, "h", "w"), "symbolic sizes .*--input-shape"),
        ([node("Conv", ["x", "w"], ["y"])], (1, 3), "a kernel of 2 dimensions"),
        ([node("Conv", ["x", "x"], ["y"])], (1, 3, 8, 8), "input 'x' is computed; only a constant"),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])], (1, 3, 8, 8), "count_include_pad 0"),
        ([node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], (1, 3, 8, 8), "hangs over"),
        ([node("ReduceMean", ["x"], ["y"])], (1, 3, 8, 8), "mean over axes"),
        ([node("Softmax", ["x"], ["y"])], (1, 3, 8, 8), "along axis 3, which is not that of the channels"),
        ([node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])], (1, 3, 8, 8), "perm .0, 2, 3, 1. of image"),
        ([node("Reshape", ["x", "odd"], ["y"])], (1, 3, 8, 8), r"of 3x8x8 to \[2, -1\]"),
        ([node("Resize", ["x", "", "scales"], ["y"])], (1, 3, 8, 8), "mode nearest, half_pixel; known: linear"),
        ([node("Add", ["x", "b"], ["y"])], (1, 3, 8, 8), "adds a constant of shape .6,. that is no bias"),
        ([node("MatMul", ["x", "x"], ["y"])], (1, 5, 6), "the product of two activations"),
        ([node("Relu", ["x"], ["y"])], (1, 3, 8, 8), "nothing to map"),
        ([node("QLinearConv", ["x"] * 8, ["y"])], (1, 3, 8, 8), "QLinearConv: is no operation"),
        ([node("Relu", ["x"], ["y"], domain="com.microsoft")], (1, 3, 8, 8), "com.microsoft.Relu: is no operation"),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, nodes: list[Any], shape: tuple[Any, ...], message: str) -> None:
    constants = CONV | {"odd": np.array([2, -1]), "scales": np.array([1, 1, 2, 2], np.float32)}
    path = save(tmp_path / "one.onnx", nodes, constants, shape)
    with pytest.raises(InputError, match=message):
        read_onnx(path)


def test_sizes_left_open_can_be_stated(tmp_path: Path) -> None:
    path = save(tmp_path / "one.onnx", [node("Conv", ["x", "w"], ["y"])], CONV, ("n", 3, "h", "w"))
    entries = read_onnx(path, shape=(3, 9, 7)).content.entries
    assert build_graph(entries)[-1].shape == (6, 7, 5)
    with pytest.raises(InputError, match=r"is \(3, 'h', 'w'\) in the file, not 4x9x7"):
        read_onnx(path, shape=(4, 9, 7))


def test_several_inputs_or_outputs(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"]), node("Relu", ["y"], ["z"])]
    path = save(tmp_path / "one.onnx", nodes, CONV, (1, 3, 8, 8), outputs=("y", "z"))
    with pytest.raises(InputError, match="has 2 outputs, not one: y, z"):
        read_onnx(path)


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", b"\x08\x01"])
def test_files_that_are_no_networks(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no ONNX file"):
        read_onnx(path)
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read_onnx(tmp_path / "missing.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["new", "old"])
def test_what_torch_exports_computes_the_same(tmp_path: Path, exporter: str) -> None:
    torch = pytest.importorskip("torch")
    if exporter == "new":
        pytest.importorskip("onnxscript")
    import warnings

    from xbarsim.learning import networks

    module = networks.build("resnet20").eval()
    for one in module.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(one.running_mean)
            torch.nn.init.uniform_(one.running_var, 0.5, 1.5)
    kept: dict[str, Any] = {"dynamo": True, "optimize": False, "verbose": False}
    if exporter == "old":
        mode = torch.onnx.TrainingMode.PRESERVE
        kept = {"dynamo": False, "do_constant_folding": False, "training": mode}
    path = tmp_path / "resnet20.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 32, 32),), path, **kept)
    made = read_onnx(path)
    from xbarsim.learning.backbone import Backbone

    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found = Backbone(build_graph(made.content.entries), made.content.backbone).eval()(inputs)
        assert torch.allclose(found, module(inputs), atol=1e-5)
    assert made.warnings == ()
    assert set(derive_layers(build_graph(made.content.entries))) == set(load_network("resnet20").layers)

"""Layer tables: golden counts of the networks that come along, and faults with line and column."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xbarsim.config import known
from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.network.network import Network

Write = Callable[[str, str], Path]

ROWS = 72


def columns(network: Network, rows: int = ROWS, head: bool = False) -> int:
    """Logical columns on arrays of ``rows`` rows."""
    return sum(-(-layer.rows // rows) * layer.c_out for layer in network.layers.values() if head or not layer.head)


def weights(network: Network, head: bool = False) -> int:
    return sum(layer.weights for layer in network.layers.values() if head or not layer.head)


# name: weights without head, columns of 72 rows without head, weights with head, normalised channels, macs
GOLDEN = {
    "resnet18": (11_166_912, 155_456, 11_678_912, 4_800, 1_814_073_344),
    "resnet20": (267_696, 3_728, 268_336, 688, 40_551_040),
    "resnet50": (23_454_912, 339_968, 25_502_912, 26_560, 4_089_184_256),
    "vgg8": (12_963_200, 180_352, 12_973_440, 1_792, 615_917_568),
    "vgg16": (134_248_128, 1_867_328, 138_344_128, 0, 15_470_264_320),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_counts(name: str) -> None:
    network = load_network(name)
    found = (
        weights(network),
        columns(network),
        weights(network, head=True),
        sum(network.norm_channels().values()),
        sum(layer.macs for layer in network.layers.values()),
    )
    assert found == GOLDEN[name]
    assert network.synthetic
    assert list(network.tasks) == ["task1", "task2", "task3", "task4", "task5"]
    assert (network.weight_bits, network.input_bits) == (None, None)


def test_resnet50_without_its_classifier() -> None:
    network = load_network("resnet50")
    convs = [layer for layer in network.layers.values() if layer.kind == "conv"]
    assert len(convs) == 53
    assert [layer.name for layer in network.layers.values() if layer.kind == "linear"] == ["fc"]
    assert network.head.name == "fc"
    mask_bytes, piggyback_bytes = columns(network) // 8, weights(network) // 8
    assert (mask_bytes, piggyback_bytes) == (42_496, 2_931_864)
    assert f"{mask_bytes / piggyback_bytes:.5f}" == "0.01449"
    # Columns of 128 rows, and of 3x3 layers alone, as published elsewhere for the same mapping.
    assert columns(network, 128) == 183_936
    spatial = [layer for layer in convs if layer.kernel == (3, 3)]
    ratio = sum(layer.blocks(72) * layer.c_out for layer in spatial) / sum(layer.weights for layer in spatial)
    assert ratio == 1 / 72


def test_resnet50_strides_in_its_spatial_convolutions() -> None:
    layers = load_network("resnet50").layers
    assert layers["layer2.0.conv1"].stride == (1, 1)
    assert layers["layer2.0.conv2"].stride == (2, 2)
    assert layers["layer4.2.conv3"].out_hw == (7, 7)


def test_parameters_with_biases_and_normalisation() -> None:
    """Totals that PyTorch's model zoo prints for the same networks."""
    totals = {"resnet18": 11_689_512, "resnet50": 25_557_032, "vgg16": 138_357_544}
    for name, total in totals.items():
        network = load_network(name)
        biases = sum(layer.c_out for layer in network.layers.values() if layer.bias)
        assert weights(network, head=True) + biases + 2 * sum(network.norm_channels().values()) == total


def test_one_window_is_one_product_without_tasks() -> None:
    network = load_network("one_window")
    [layer] = network.layers.values()
    assert (layer.rows, layer.c_out, layer.windows, layer.head) == (128, 16, 1, False)
    assert (network.weight_bits, network.input_bits, network.tasks) == (16, 16, {})
    assert network.integers("fc").dtype == np.int16


def test_every_network_that_comes_along_loads() -> None:
    names = known("workloads")
    assert set(GOLDEN) | {"one_window", "digits"} <= set(names)
    for name in names:
        assert load_network(name).name == name


SMALL = """
    schema: 1
    name: small
    input: [3, 8, 8]
    layers:
      - {conv: conv1, out: 4, kernel: 3, padding: 1}
      - relu
      - {conv: conv2, out: 4, kernel: 3, padding: 1}
      - {add: sum, inputs: [conv2, relu_1]}
      - global_avg_pool
      - {linear: fc, out: 2}
    """


def test_entries_read_the_one_before(write: Write) -> None:
    nodes = {node.name: node for node in load_network(write("small.yaml", SMALL)).nodes}
    assert nodes["conv1"].inputs == ("input",)
    assert nodes["relu_1"].inputs == ("conv1",)
    assert nodes["sum"].inputs == ("conv2", "relu_1")
    assert nodes["fc"].inputs == ("global_avg_pool_4",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema: 1", "schema: 2", "small.yaml:1:9: schema: "),
        ("name: small", "nmae: small", "small.yaml:2:1: nmae: unknown key; did you mean 'name'?"),
        ("[3, 8, 8]", "[3, 8]", "small.yaml:3:8: input"),
        ("[3, 8, 8]", "[3, 8, 0]", "small.yaml:3:15: input.2: "),
        ("- relu", "- rellu", "small.yaml:6:5: layers.1: no operation 'rellu'; did you mean 'relu'?"),
        ("- relu", "- 7", "small.yaml:6:5: layers.1: write an operation"),
        ("{conv: conv1, ", "{cnov: conv1, ", "small.yaml:5:5: layers.0: no operation; did you mean 'conv'?"),
        ("{conv: conv1, ", "{conv: conv1, relu: x, ", "layers.0: more than one operation: conv, relu"),
        ("{conv: conv1, ", "{conv: 1, ", "small.yaml:5:12: layers.0.conv: 1 is not a name"),
        ("conv1, out: 4", "conv1, out: 0", "small.yaml:5:24: layers.0.out: 0 is below the minimum 1"),
        ("conv1, out: 4", "conv1, out: four", "small.yaml:5:24: layers.0.out: 'four' is not an integer"),
        ("conv1, out: 4", "conv1, outs: 4", "small.yaml:5:25: layers.0.outs: conv has no such attribute"),
        ("conv1, out: 4, ", "conv1, ", "small.yaml:5:5: layers.0.out: conv needs 'out'"),
        ("[conv2, relu_1]", "[conv2, relu1]", "layers.3.inputs: no node 'relu1' stands above this one; did"),
        ("[conv2, relu_1]", "[conv2, input]", "small.yaml:8:24: layers.3.inputs: shapes"),
        ("[conv2, relu_1]", "7", "small.yaml:8:24: layers.3.inputs: 7 is not a name or a list of names"),
        ("conv: conv2", "conv: conv1", "small.yaml:7:5: layers.2: a node 'conv1' stands above already"),
        (
            "kernel: 3, padding: 1}\n  - relu",
            "kernel: 11}\n  - relu",
            "small.yaml:5:35: layers.0.kernel: a kernel of 11",
        ),
        ("- global_avg_pool", "- relu", "small.yaml:10:5: layers.5: needs a vector or a token sequence"),
        (
            "  - {linear: fc, out: 2}",
            "synthetic: {tasks: 5, xbm_onn: 0.5}",
            "xbm_onn: unknown key; did you mean 'xbm_on'",
        ),
        ("  - {linear: fc, out: 2}", "synthetic: {xbm_on: 1.5}", "synthetic.xbm_on: "),
        ("  - {linear: fc, out: 2}", "weight_bits: 1", "weight_bits: "),
    ],
)
def test_a_fault_stands_at_its_line_and_column(write: Write, old: str, new: str, message: str) -> None:
    text = textwrap.dedent(SMALL).lstrip("\n")
    assert old in text
    path = write("small.yaml", text.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        load_network(path)
    assert message in str(raised.value)


def test_a_network_needs_a_crossbar_layer(write: Write) -> None:
    path = write("small.yaml", "schema: 1\nname: small\ninput: [3, 8, 8]\nlayers: [relu]\n")
    with pytest.raises(InputError, match=r"small\.yaml:4:9: layers: no crossbar layer"):
        load_network(path)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        load_network("resnet81")


def test_the_seed_is_checked() -> None:
    with pytest.raises(InputError, match="-1 is not between 0 and"):
        load_network("resnet18", seed=-1)

"""The graph: shapes of every operation, layers, and what each fault says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.network.graph import (
    Entry,
    GraphError,
    Layer,
    Node,
    build_graph,
    derive_layers,
    find_head,
    matmul_macs,
)
from xbarsim.network.ops import OPS, Shape, out_size


def naive_positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Count the starts at which every tap of the kernel lies on the padded axis."""
    count, start = 0, 0
    while start + (kernel - 1) * dilation < size + 2 * padding:
        count, start = count + 1, start + stride
    return count


def chain(shape: Shape, *entries: tuple[str, dict[str, object]]) -> tuple[Node, ...]:
    """Build a graph in which every node reads the one before."""
    made = [Entry("input", "input", (), {"shape": shape})]
    for index, (op, attrs) in enumerate(entries):
        made.append(Entry(f"{op}{index}", op, (made[-1].name,), attrs))
    return build_graph(made)


def result(shape: Shape, op: str, **attrs: object) -> Shape:
    return chain(shape, (op, attrs))[-1].shape


def faults(*entries: Entry) -> list[tuple[int, str, str]]:
    with pytest.raises(GraphError) as raised:
        build_graph(entries)
    return list(raised.value.faults)


def source(*shape: int) -> Entry:
    return Entry("input", "input", (), {"shape": shape})


small = st.integers(1, 6)


@given(st.integers(1, 24), small, small, st.integers(0, 4), st.integers(1, 3))
def test_output_size_counts_the_positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    if dilation * (kernel - 1) + 1 <= size + 2 * padding:
        expected = naive_positions(size, kernel, stride, padding, dilation)
        assert out_size(size, kernel, stride, padding, dilation) == expected
    else:
        assert out_size(size, kernel, stride, padding, dilation) < 1


@pytest.mark.parametrize(
    ("op", "attrs", "shape", "expected"),
    [
        ("conv", {"out": 64, "kernel": 7, "stride": 2, "padding": 3}, (3, 224, 224), (64, 112, 112)),
        ("conv", {"out": 8, "kernel": [3, 1], "padding": [1, 0]}, (4, 9, 7), (8, 9, 7)),
        ("conv", {"out": 8, "kernel": 3, "dilation": 2}, (4, 9, 7), (8, 5, 3)),
        ("conv", {"out": 12, "kernel": 3, "groups": 6}, (6, 5, 5), (12, 3, 3)),
        ("linear", {"out": 10}, (512, 1, 1), (10, 1, 1)),
        ("linear", {"out": 96}, (64, 197, 1), (96, 197, 1)),
        ("max_pool", {"kernel": 3, "stride": 2, "padding": 1}, (64, 112, 112), (64, 56, 56)),
        ("max_pool", {"kernel": 2}, (4, 7, 7), (4, 3, 3)),
        ("avg_pool", {"kernel": 1, "stride": 2}, (4, 7, 7), (4, 4, 4)),
        ("global_avg_pool", {}, (64, 7, 7), (64, 1, 1)),
        ("flatten", {}, (64, 7, 7), (3136, 1, 1)),
        ("flatten", {"tokens": True}, (64, 7, 5), (64, 35, 1)),
        ("identity", {}, (4, 3, 3), (4, 3, 3)),
        ("identity", {"out": 9}, (4, 3, 3), (9, 3, 3)),
        ("softmax", {"heads": 2}, (8, 4, 1), (8, 4, 1)),
        ("batch_norm", {}, (4, 3, 3), (4, 3, 3)),
        ("layer_norm", {}, (4, 3, 1), (4, 3, 1)),
    ],
)
def test_shapes(op: str, attrs: dict[str, object], shape: Shape, expected: Shape) -> None:
    assert result(shape, op, **attrs) == expected


@pytest.mark.parametrize("op", ["relu", "relu6", "gelu", "sigmoid", "tanh", "hard_swish"])
def test_activations_keep_the_shape(op: str) -> None:
    assert result((4, 3, 3), op) == (4, 3, 3)


def test_adding_multiplying_and_concatenating() -> None:
    entries = [
        source(4, 6, 6),
        Entry("a", "conv", ("input",), {"out": 8, "kernel": 1}),
        Entry("b", "conv", ("input",), {"out": 8, "kernel": 3, "padding": 1}),
        Entry("sum", "add", ("a", "b"), {}),
        Entry("squeeze", "global_avg_pool", ("sum",), {}),
        Entry("scaled", "mul", ("squeeze", "sum"), {}),
        Entry("both", "concat", ("scaled", "a", "input"), {}),
    ]
    shapes = {node.name: node.shape for node in build_graph(entries)}
    assert shapes["sum"] == (8, 6, 6)
    assert shapes["scaled"] == (8, 6, 6)
    assert shapes["both"] == (20, 6, 6)


def test_attention() -> None:
    tokens, width, heads = 10, 24, 3
    entries = [
        source(width, tokens, 1),
        *(Entry(name, "linear", ("input",), {"out": width}) for name in "qkv"),
        Entry("scores", "matmul", ("q", "k"), {"transpose_b": True, "heads": heads}),
        Entry("shares", "softmax", ("scores",), {"heads": heads}),
        Entry("mixed", "matmul", ("shares", "v"), {"heads": heads}),
    ]
    nodes = {node.name: node for node in build_graph(entries)}
    assert nodes["scores"].shape == (heads * tokens, tokens, 1)
    assert nodes["mixed"].shape == (width, tokens, 1)
    products = tokens * tokens * width
    assert matmul_macs(nodes["scores"], nodes["q"].shape, nodes["k"].shape) == products
    assert matmul_macs(nodes["mixed"], nodes["shares"].shape, nodes["v"].shape) == products


def test_defaults_are_filled_in_and_pairs_are_tuples() -> None:
    attrs = chain((4, 8, 8), ("conv", {"out": 4, "kernel": 3}))[-1].attrs
    assert attrs == {
        "out": 4, "kernel": (3, 3), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "bias": False,
    }  # fmt: skip
    assert chain((4, 8, 8), ("max_pool", {"kernel": [2, 4]}))[-1].attrs["stride"] == (2, 4)


def test_layers_carry_what_mapping_needs() -> None:
    nodes = chain(
        (6, 9, 9),
        ("conv", {"out": 12, "kernel": [3, 2], "stride": 2, "groups": 3, "bias": True}),
        ("flatten", {}),
        ("linear", {"out": 5}),
    )
    conv, linear = derive_layers(nodes).values()
    assert conv == Layer(
        "conv0", "conv", 6, 12, (3, 2), (2, 2), (0, 0), (1, 1), 3, (9, 9), (4, 4), bias=True, head=False
    )
    assert (conv.rows, conv.windows, conv.weights, conv.macs) == (12, 16, 144, 2304)
    assert conv.weight_shape == (12, 2, 3, 2)
    assert (linear.kind, linear.head, linear.rows, linear.windows) == ("linear", True, 192, 1)
    assert linear.weight_shape == (5, 192)


def test_a_linear_layer_acts_on_every_token() -> None:
    layer = derive_layers(chain((64, 197, 1), ("linear", {"out": 96})))["linear0"]
    assert (layer.rows, layer.windows, layer.in_hw, layer.out_hw) == (64, 197, (197, 1), (197, 1))


@pytest.mark.parametrize(
    ("rows", "aligned", "block", "blocks"),
    [(72, False, 72, 8), (72, True, 72, 8), (128, False, 128, 5), (128, True, 126, 5), (8, True, 8, 72)],
)
def test_row_blocks(rows: int, aligned: bool, block: int, blocks: int) -> None:
    layer = derive_layers(chain((64, 3, 3), ("conv", {"out": 4, "kernel": 3})))["conv0"]
    assert layer.block_rows(rows, aligned) == block
    assert layer.blocks(rows, aligned) == blocks


def test_the_head_is_the_last_linear_layer() -> None:
    two = (("linear", {"out": 4}), ("relu", {}), ("linear", {"out": 3}), ("softmax", {}))
    assert find_head(chain((8, 1, 1), *two)) == "linear2"
    assert find_head(chain((8, 1, 1), ("linear", {"out": 4}))) is None
    assert find_head(chain((8, 4, 4), ("conv", {"out": 4, "kernel": 1}), ("conv", {"out": 4, "kernel": 1}))) is None


@pytest.mark.parametrize(
    ("entry", "attr", "message"),
    [
        (Entry("x", "convv", ("input",), {}), "", "no operation 'convv'; did you mean 'conv'?"),
        (Entry("x y", "relu", ("input",), {}), "", "'x y' is not a name"),
        (Entry("../x", "relu", ("input",), {}), "", "'../x' is not a name"),
        (Entry("input", "relu", ("input",), {}), "", "stands above already"),
        (
            Entry("x", "relu", ("inptu",), {}),
            "inputs",
            "no node 'inptu' stands above this one; did you mean 'input'?",
        ),
        (Entry("x", "add", ("input",), {}), "inputs", "add takes 2 or more inputs, not 1"),
        (Entry("x", "relu", (), {}), "inputs", "relu takes 1 inputs, not 0"),
        (Entry("x", "conv", ("input",), {"kernel": 3}), "out", "conv needs 'out'"),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": 3, "strides": 3}),
            "strides",
            "did you mean 'stride'?",
        ),
        (Entry("x", "conv", ("input",), {"out": True, "kernel": 3}), "out", "True is not an integer"),
        (Entry("x", "conv", ("input",), {"out": 0, "kernel": 3}), "out", "0 is below the minimum 1"),
        (Entry("x", "conv", ("input",), {"out": 2**40, "kernel": 3}), "out", "is above the maximum"),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": [3, 3, 3]}),
            "kernel",
            "is not a list of 2 integers",
        ),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": 3, "bias": 1}),
            "bias",
            "1 is not true or false",
        ),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": 7}),
            "kernel",
            "a kernel of 7 (dilation 1) does not fit",
        ),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": 1, "groups": 4}),
            "groups",
            "6 input channels do not",
        ),
        (
            Entry("x", "conv", ("input",), {"out": 4, "kernel": 1, "groups": 3}),
            "groups",
            "4 output channels do not",
        ),
        (
            Entry("x", "max_pool", ("input",), {"kernel": 2, "padding": 2}),
            "padding",
            "more than half the kernel",
        ),
        (
            Entry("x", "max_pool", ("input",), {"kernel": 2, "ceil_mode": True}),
            "ceil_mode",
            "no such attribute",
        ),
        (Entry("x", "linear", ("input",), {"out": 2}), "", "not 6x5x5: flatten it first"),
        (Entry("x", "softmax", ("input",), {"heads": 4}), "heads", "6 channels do not divide into 4 heads"),
        (Entry("x", "identity", ("input",), {"out": 4}), "out", "4 is fewer than the 6 channels coming in"),
    ],
)
def test_a_fault_names_entry_attribute_and_way_out(entry: Entry, attr: str, message: str) -> None:
    found = faults(source(6, 5, 5), entry)
    assert [(index, name) for index, name, _ in found] == [(1, attr)]
    assert message in found[0][2]


@pytest.mark.parametrize(
    ("op", "attrs", "message"),
    [
        ("add", {}, "shapes 4x4x4 and 8x8x8 differ"),
        ("mul", {}, "shapes 4x4x4 and 8x8x8 differ"),
        ("concat", {}, "height and width of 4x4x4 and 8x8x8 differ"),
        ("matmul", {}, "needs two token sequences"),
    ],
)
def test_shapes_that_do_not_go_together(op: str, attrs: dict[str, object], message: str) -> None:
    pooled = Entry("a", "conv", ("input",), {"out": 4, "kernel": 1, "stride": 2})
    [(index, attr, text)] = faults(source(8, 8, 8), pooled, Entry("x", op, ("input", "a"), attrs))
    assert (index, attr) == (2, "inputs")
    assert message in text


@pytest.mark.parametrize(
    ("attrs", "attr", "message"),
    [
        ({"transpose_b": True}, "inputs", "widths 12 and 6 differ"),
        ({}, "inputs", "width 12 is not 1 heads times 5 tokens"),
        ({"heads": 4}, "heads", "widths 12 and 6 do not divide into 4 heads"),
    ],
)
def test_products_that_do_not_fit(attrs: dict[str, object], attr: str, message: str) -> None:
    half = Entry("a", "linear", ("input",), {"out": 6})
    [(_, name, text)] = faults(source(12, 5, 1), half, Entry("x", "matmul", ("input", "a"), attrs))
    assert (name, text) == (attr, message)


def test_a_fault_is_not_complained_about_again_downstream() -> None:
    bad = Entry("a", "conv", ("input",), {"out": 4})
    assert len(faults(source(3, 8, 8), bad, Entry("b", "relu", ("a",), {}), Entry("c", "relu", ("b",), {}))) == 1


def test_a_graph_is_whole() -> None:
    relu = Entry("a", "relu", ("input",), {})
    assert "needs an input" in faults(source(1, 1, 1))[0][2]
    assert "nothing reads 'a'" in faults(source(1, 1, 1), relu, Entry("b", "relu", ("input",), {}))[0][2]
    second = Entry("i", "input", (), {"shape": (1, 1, 1)})
    found = faults(source(1, 1, 1), second, Entry("b", "add", ("input", "i"), {}))
    assert found == [(1, "", "the first node, and no other, is the input")]


def test_every_operation_is_described() -> None:
    for name, op in OPS.items():
        assert op.inputs[0] <= op.inputs[1], name

"""``capture``: modules of PyTorch as graphs, node by node, and every operation that has no counterpart."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as f  # noqa: E402
from torch.nn.utils import parametrize, prune  # noqa: E402

from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning.backbone import Backbone  # noqa: E402
from xbarsim.learning.capture import Captured, backbone_of, capture  # noqa: E402
from xbarsim.learning.capture_layout import Layout, image, reshaped, sizes  # noqa: E402


class Runs(nn.Module):
    """Layers by name and a function of them."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor], **layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def same(module: nn.Module, example: Tensor) -> Captured:
    """Capture a module; its graph must compute what it does, for another batch than the example."""
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_(0, 0.3)
            one.running_var.uniform_(0.5, 2)
    found = capture(module, example)
    inputs = torch.rand(3, *example.shape[1:]) - 0.3
    module.eval()
    given = inputs[:, :, None, None] if inputs.ndim == 2 else inputs
    with torch.no_grad():
        ours, theirs = Backbone(found.nodes, found.state()).eval()(given), module(inputs)
    torch.testing.assert_close(ours, theirs.flatten(1) if theirs.shape[2:] == (1, 1) else theirs)
    return found


def ops(found: Captured) -> list[str]:
    return [node.op for node in found.nodes[1:]]


def names(found: Captured) -> list[str]:
    return [node.name for node in found.nodes[1:]]


PICTURE = torch.zeros(1, 4, 8, 8)


def conv(c_in: int = 4, c_out: int = 4, kernel: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, **{"padding": kernel // 2, **more})


@pytest.mark.parametrize(
    ("layer", "ops_found"),
    [
        (conv(4, 6, 3, stride=2, dilation=2, padding=2, bias=False), ["conv"]),
        (conv(4, 8, 3, groups=4, padding="same"), ["conv"]),
        (conv(4, 8, 3, groups=2, padding="valid"), ["conv"]),
        (nn.BatchNorm2d(4, eps=1e-3), ["batch_norm"]),
        (nn.BatchNorm2d(4, affine=False), ["batch_norm"]),
        (nn.ReLU(inplace=True), ["relu"]),
        (nn.ReLU6(inplace=True), ["relu6"]),
        (nn.Hardtanh(0, 6), ["relu6"]),
        (nn.GELU(), ["gelu"]),
        (nn.Sigmoid(), ["sigmoid"]),
        (nn.Tanh(), ["tanh"]),
        (nn.Hardswish(), ["hard_swish"]),
        (nn.SiLU(), ["sigmoid", "mul"]),
        (nn.Softmax(1), ["softmax"]),
        (nn.Softmax2d(), ["softmax"]),
        (nn.MaxPool2d(3, 2, 1), ["max_pool"]),
        (nn.MaxPool2d(2, 1, dilation=2), ["max_pool"]),
        (nn.MaxPool2d(2, ceil_mode=True), ["max_pool"]),
        (nn.AvgPool2d(3, 2, 1), ["avg_pool"]),
        (nn.AdaptiveAvgPool2d(1), ["global_avg_pool"]),
        (nn.AdaptiveAvgPool2d((4, 2)), ["avg_pool"]),
        (nn.Upsample(scale_factor=2, mode="bilinear"), ["upsample"]),
        (nn.Upsample((13, 9), mode="bilinear"), ["upsample"]),
        (nn.Flatten(), ["flatten"]),
        (nn.ZeroPad2d((0, 0, 0, 0, 1, 2)), ["identity"]),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, nn.Module) else "",
)
def test_layers(layer: nn.Module, ops_found: list[str]) -> None:
    found = same(nn.Sequential(conv(), layer), PICTURE)
    assert ops(found) == ["conv", *ops_found]
    assert names(found)[-1] == "1"


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(), nn.Dropout2d(), nn.Identity(), nn.AdaptiveAvgPool2d(8), nn.AdaptiveAvgPool2d((None, 8))],
    ids=lambda one: type(one).__name__,
)
def test_layers_that_do_nothing(layer: nn.Module) -> None:
    assert ops(same(nn.Sequential(conv(), layer, conv()), PICTURE)) == ["conv", "conv"]


@pytest.mark.parametrize(
    ("run", "ops_found"),
    [
        (lambda m, x: x + x * 2, ["scale", "add"]),
        (lambda m, x: x / 4 + 0, ["scale"]),
        (lambda m, x: f.relu(-x) - x, ["scale", "relu", "scale", "add"]),
        (lambda m, x: x * x, ["mul"]),
        (lambda m, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)), ["global_avg_pool", "sigmoid", "mul"]),
        (lambda m, x: torch.cat([x, f.relu(x), x], 1), ["relu", "concat"]),
        (lambda m, x: x.clamp(min=0).clamp(0, 6), ["relu", "relu6"]),
        (lambda m, x: f.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)), ["avg_pool", "identity"]),
        (lambda m, x: x[:, :, ::3], ["avg_pool"]),
        (lambda m, x: x.mean([-1, -2]), ["global_avg_pool"]),
        (lambda m, x: f.adaptive_avg_pool2d(x, 1).view(x.size(0), -1), ["global_avg_pool"]),
        (lambda m, x: x.flatten(2).transpose(1, 2), ["flatten"]),
        (lambda m, x: x.flatten(2).mean(2), ["flatten", "global_avg_pool"]),
        (lambda m, x: x.reshape(x.shape[0], -1).contiguous().clone(), ["flatten"]),
        (lambda m, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2), []),
    ],
)
def test_functions(run: Callable[[Any, Tensor], Tensor], ops_found: list[str]) -> None:
    assert ops(same(Runs(lambda m, x: run(m, m.conv(x)), conv=conv()), PICTURE)) == ["conv", *ops_found]


def test_residual_block_in_place() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.relu(m.a(x))
        y = m.bn(m.b(x))
        y += x
        return m.relu(y)

    found = same(Runs(run, a=conv(), b=conv(), bn=nn.BatchNorm2d(4), relu=nn.ReLU(inplace=True)), PICTURE)
    assert names(found) == ["a", "relu", "b", "bn", "add", "relu_1"]


def test_what_is_overwritten_shows_in_every_view() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        before = m.a(x)
        turned = before.permute(0, 2, 3, 1)
        kept = before.clone()
        before.relu_()
        return turned.permute(0, 3, 1, 2) + torch.sigmoid(kept)

    assert ops(same(Runs(run, a=conv()), PICTURE)) == ["conv", "relu", "sigmoid", "add"]


def test_inverted_residual_with_squeeze() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        y = m.act(m.bn(m.depthwise(m.expand(x))))
        gate = m.up(f.relu(m.down(y.mean((2, 3)))))
        return x + m.project(y * torch.sigmoid(gate)[:, :, None, None])

    layers = {"expand": conv(4, 12, 1), "depthwise": conv(12, 12, 3, groups=12), "project": conv(12, 4, 1)}
    more = {"bn": nn.BatchNorm2d(12), "act": nn.Hardswish(), "down": nn.Linear(12, 3), "up": nn.Linear(3, 12)}
    found = same(Runs(run, **layers, **more), PICTURE)
    assert found.layers["depthwise"].groups == 12
    assert found.layers["down"].windows == 1


def test_channels_last_block() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        y = m.norm(m.depthwise(x).permute(0, 2, 3, 1))
        y = m.two(f.gelu(m.one(y))).permute(0, 3, 1, 2)
        return x + m.gamma * y

    layers = {"depthwise": conv(4, 4, 7, groups=4), "norm": nn.LayerNorm(4), "one": nn.Linear(4, 16)}
    factor = nn.Parameter(torch.rand(4, 1, 1))
    found = same(Runs(run, **layers, two=nn.Linear(16, 4), gamma=factor), PICTURE)
    assert ops(found) == ["conv", "layer_norm", "conv", "gelu", "conv", "scale", "add"]
    assert found.layers["one"].weight_shape == (16, 4, 1, 1)
    assert found.sources["gamma.weight"].name == "gamma"
    back = found.state_dict(found.state())
    assert back["one.weight"].shape == (16, 4)
    assert back["gamma"].shape == (4, 1, 1)


TOKENS = torch.zeros(1, 6, 8)


def attention(**options: Any) -> nn.Module:
    def run(m: Any, x: Tensor) -> Tensor:
        y = x if m.mha.batch_first else x.transpose(0, 1)
        y = m.mha(y, y, y, need_weights=m.need)[0]
        return x + (y if m.mha.batch_first else y.transpose(0, 1))

    need = options.pop("need", False)
    module = Runs(run, mha=nn.MultiheadAttention(8, 2, **options))
    module.need = need
    return module


@pytest.mark.parametrize(
    "options",
    [{"batch_first": True}, {}, {"need": True}, {"bias": False, "batch_first": True, "need": True}, {"kdim": 8}],
)
def test_multihead_attention(options: dict[str, Any]) -> None:
    found = same(attention(**options), TOKENS)
    assert list(found.layers) == ["mha.q_proj", "mha.k_proj", "mha.v_proj", "mha.out_proj"]
    assert [op for op in ops(found) if op != "linear"] in (
        ["matmul", "scale", "softmax", "matmul", "add"],
        ["scale", "matmul", "softmax", "matmul", "add"],
    )


def test_attention_of_one_head() -> None:
    found = same(Runs(lambda m, x: m.mha(x, x, x)[0], mha=nn.MultiheadAttention(8, 1, batch_first=True)), TOKENS)
    assert {node.attrs["heads"] for node in found.nodes if node.op in ("matmul", "softmax")} == {1}


def test_attention_of_one_fused_matrix() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = m.qkv(x).reshape(n, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        shares = ((q @ k.transpose(-2, -1)) * 0.5).softmax(dim=-1)
        return m.proj((shares @ v).transpose(1, 2).reshape(n, tokens, width))

    module = Runs(run, qkv=nn.Linear(8, 24), proj=nn.Linear(8, 8))
    found = same(module, TOKENS)
    assert list(found.layers) == ["qkv.0", "qkv.1", "qkv.2", "proj"]
    back = found.state_dict(found.state())
    assert all(torch.equal(back[name], tensor) for name, tensor in module.state_dict().items())


def test_attention_that_pytorch_scales() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (4, 2)).transpose(1, 2) for part in m.qkv(x).chunk(3, dim=-1))
        return f.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    found = same(Runs(run, qkv=nn.Linear(8, 24)), TOKENS)
    assert ops(found) == ["linear", "linear", "linear", "matmul", "scale", "softmax", "matmul"]


def test_batches_that_become_rows() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        y = m.one(x.permute(0, 2, 3, 1).reshape(-1, 4))
        return m.two(y).view(-1, 8, 8, 4).permute(0, 3, 1, 2)

    found = same(Runs(run, one=nn.Linear(4, 6), two=nn.Linear(6, 4)), PICTURE)
    assert [layer.windows for layer in found.layers.values()] == [64, 64]


def test_transformer_encoder_layer() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
    assert len(same(layer, TOKENS).layers) == 6


def test_perceptron_of_parameters() -> None:
    module = Runs(
        lambda m, x: f.relu(x @ m.w) @ m.v.t(), w=nn.Parameter(torch.rand(8, 5)), v=nn.Parameter(torch.rand(3, 5))
    )
    found = same(module, torch.zeros(1, 8))
    assert {name: layer.weight_shape for name, layer in found.layers.items()} == {"w": (5, 8), "v": (3, 5)}
    back = found.state_dict(found.state())
    assert torch.equal(back["w"], module.w)


def test_a_picture_of_one_channel_becomes_a_vector() -> None:
    found = same(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), torch.zeros(1, 1, 8, 8))
    assert found.nodes[1].shape == (64, 1, 1)


def test_names_and_paths() -> None:
    block = nn.Sequential(conv(), nn.ReLU())
    block.add_module("inner", Runs(lambda m, x: f.relu(m.add(x)) + f.relu(x), add=conv()))
    found = same(nn.Sequential(block, Runs(lambda m, x: x * 2)), PICTURE)
    assert names(found) == ["0.0", "0.1", "0.inner.add", "0.inner.relu", "0.inner.relu_1", "0.inner.add_1", "1.scale"]


def test_results_that_nothing_reads_are_left_out() -> None:
    def run(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        m.b(y).mean()
        return f.relu(y)

    found = same(Runs(run, a=conv(), b=conv()), PICTURE)
    assert names(found) == ["a", "relu"]
    assert found.unused == ("b.weight", "b.bias")


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout()).train()
    module[1].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    capture(module, torch.rand(1, 4, 8, 8))
    assert [one.training for one in module] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


class Twice(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight * 2


def test_parametrised_and_pruned_layers_count_as_they_act() -> None:
    module = nn.Sequential(conv(), nn.ReLU(), conv(), conv())
    parametrize.register_parametrization(module[0], "weight", Twice())
    prune.l1_unstructured(module[2], "weight", 0.5)
    module.train()
    found = same(module, PICTURE)
    np.testing.assert_array_equal(found.state()["0.weight"], module[0].weight.detach())
    assert np.count_nonzero(found.state()["2.weight"] == 0) == 72
    assert parametrize.is_parametrized(module[0], "weight")
    assert prune.is_pruned(module[2])
    assert hasattr(module[0], "weight")


def test_backbone_of() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4))
    backbone = backbone_of(module, PICTURE)
    backbone.weight("0").data.zero_()
    assert module[0].weight.abs().sum() > 0
    assert not any("tracked" in name for name in backbone.state_dict())
    module.load_state_dict(backbone.state_dict(), strict=False)
    assert module[0].weight.abs().sum() == 0


FAULTS: list[tuple[str, Callable[[Any, Tensor], Tensor], str]] = [
    ("group_norm", lambda m, x: m.gn(x), r"gn \(GroupNorm\): aten.group_norm.default: has no counterpart"),
    ("roll", lambda m, x: torch.roll(x, 1, 2), "forward: aten.roll.default: has no counterpart; replace it"),
    ("gelu", lambda m, x: m.gelu(x), r"gelu \(GELU\): aten.gelu.default: approximate='tanh': .*approximate='none'"),
    ("position", lambda m, x: x + m.table, "reads the parameter 'table'.*table of positions"),
    ("constant", lambda m, x: x + 3, "adds the constant 3"),
    ("difference", lambda m, x: x - 3, "subtracts other than an activation"),
    ("statistics", lambda m, x: nn.BatchNorm2d(4, track_running_stats=False).eval()(x), "no running statistics"),
    ("view", lambda m, x: x.view(3, 4, 64)[:, :, :32], "only the outputs of a linear layer"),
    ("alpha", lambda m, x: torch.add(x, x, alpha=2), "alpha=2"),
    ("same", lambda m, x: m.even(x), "'same' of an even kernel pads one side more"),
    ("ceil", lambda m, x: m.ceil(x), r"ceil \(MaxPool2d\): .*ceil_mode=True gives \[3, 4, 4, 4\].*3, 3"),
    ("pad", lambda m, x: f.pad(x, (1, 1, 1, 1)), "pads height or width: pad in the convolution"),
    ("circular", lambda m, x: m.circular(x), r"circular \(Conv2d\): aten.pad.default: pads with other than zeros"),
    ("front", lambda m, x: f.pad(x, (0, 0, 0, 0, 2, 0)), "2 channels in front and 0 behind"),
    ("dropout", lambda m, x: f.dropout(x), "drops activations at inference too"),
    ("clamp", lambda m, x: x.clamp(-1, 1), "clips to -1 … 1: a graph has ReLU"),
    ("mean", lambda m, x: x.mean(2), "over dimensions .2. of .*not all positions at once"),
    ("mixture", lambda m, x: x.view(1, -1, 8, 8), "the output: is .1, n.3.*channels.4., height"),
    ("samples", lambda m, x: x + x.mean(0, keepdim=True), "aten.mean.dim: over dimensions .0."),
    ("slice", lambda m, x: x[:, :2], "only the outputs of a linear layer can be shared out"),
    ("softmax", lambda m, x: x.softmax(2), "over dimension 2 .*not the channels"),
    ("nearest", lambda m, x: f.interpolate(x, scale_factor=2), "aten.upsample_nearest2d.vec: has no counterpart"),
    ("corners", lambda m, x: f.interpolate(x, (16, 16), mode="bilinear", align_corners=True), "aligned corners"),
    ("factor", lambda m, x: f.interpolate(x, scale_factor=1.3, mode="bilinear"), "scale_factor 1.3 of 8"),
    ("adaptive", lambda m, x: f.adaptive_avg_pool2d(x, 3), "from 8x8 to 3x3: windows of unequal size"),
    ("padding", lambda m, x: f.avg_pool2d(x, 3, 2, 1, count_include_pad=False), "count_include_pad=False"),
    ("layout", lambda m, x: m.conv(x.permute(0, 3, 1, 2)[:, :4]), "reads|shared out|needs"),
    ("rows", lambda m, x: m.linear(x), "along the last dimension of .*not the channels"),
    ("layer norm", lambda m, x: m.ln(x), "normalises more than the channels"),
    ("standardised", lambda m, x: f.conv2d(x, m.conv.weight * 2, padding=1), "weights are computed while it runs|reads"),
    ("tied", lambda m, x: m.conv(m.conv(x)), "the parameter 'conv.weight' is used by conv, conv_1: .*copy the module"),
    ("output", lambda m, x: x.permute(0, 2, 3, 1), r"the output: is \(n.3., height.8., width.8., channels.4.\); return"),
    ("two outputs", lambda m, x: (x, x), "returns 2 values; return one tensor"),
    ("branch", lambda m, x: x if x.sum() > 0 else -x, "torch.export cannot follow it"),
]  # fmt: skip


def faulty(run: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    layers = {"gn": nn.GroupNorm(2, 4), "gelu": nn.GELU("tanh"), "table": nn.Parameter(torch.zeros(4, 8, 8))}
    more = {"ceil": nn.MaxPool2d(3, 2, ceil_mode=True), "linear": nn.Linear(8, 8), "ln": nn.LayerNorm([8, 8])}
    pads = {"even": conv(kernel=2, padding="same"), "circular": conv(padding_mode="circular")}
    return Runs(lambda m, x: run(m, m.first(x)), first=conv(), conv=conv(), **layers, **more, **pads)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("run", "message"), [one[1:] for one in FAULTS], ids=[one[0] for one in FAULTS])
def test_what_has_no_counterpart_is_named(run: Callable[[Any, Tensor], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=f"Runs: .*({message})"):
        capture(faulty(run), PICTURE)


def test_all_faults_at_once() -> None:
    with pytest.raises(InputError) as raised:
        capture(faulty(lambda m, x: m.gn(x) + torch.roll(x, 1, 2).relu() + m.gelu(x)), PICTURE)
    assert [fault.path for fault in raised.value.faults] == ["gn (GroupNorm)", "forward", "gelu (GELU)"]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(4), "must be a tensor"),
        (torch.zeros(1, 4, 8, 8, dtype=torch.int64), "not floating-point"),
        (3, "must be"),
    ],
)
def test_examples_must_be_batches(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        capture(conv(), example)


def test_without_weights_there_is_no_state() -> None:
    with torch.device("meta"):
        found = capture(conv(), PICTURE.to("meta"))
    with pytest.raises(InputError, match="device 'meta'"):
        found.state()
    with pytest.raises(InputError, match="the state dict has no weight"):
        found.state({"bias": torch.zeros(4)})


def coordinates(layout: Layout) -> np.ndarray:
    """What stands where, by the layout: index of sample, channel, row and column of every element."""
    shape = sizes(layout)
    result = np.zeros((*shape, 4), np.int64)
    for at, dim in enumerate(layout):
        for place, one in enumerate(dim):
            inner = prod(other.size for other in dim[place + 1 :])
            index = np.arange(shape[at]) // inner % one.size * one.step
            spread = [1] * len(shape)
            spread[at] = -1
            result[..., "ncyx".index(one.role)] += index.reshape(spread)
    return result


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_layouts_follow_views_and_permutations(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.sampled_from([1, 2, 3, 4, 6])] * 4))
    layout = image(shape[0], shape[1:])
    truth = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), -1)
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(len(layout))))
            layout = tuple(layout[dim] for dim in order)
            truth = truth.transpose(*order, len(order))
        else:
            total, wanted = prod(sizes(layout)), []
            while total > 1 and len(wanted) < 4:
                wanted.append(data.draw(st.sampled_from([k for k in range(1, total + 1) if total % k == 0])))
                total //= wanted[-1]
            viewed = reshaped(layout, [*wanted, total])
            if viewed is None:
                continue
            layout, truth = viewed, truth.reshape(*wanted, total, 4)
        np.testing.assert_array_equal(coordinates(layout), truth)

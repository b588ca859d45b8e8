"""``export_bundle`` and ``load_module``: PyTorch to bundle to PyTorch, and what a task is found to be."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import parametrize, prune  # noqa: E402

from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning import networks  # noqa: E402
from xbarsim.learning.capture import backbone_of, capture  # noqa: E402
from xbarsim.learning.data import TaskData  # noqa: E402
from xbarsim.learning.export import TaskExport, export_bundle, load_module  # noqa: E402
from xbarsim.learning.export_masks import METHODS, NoMask, as_mask, recovered, together  # noqa: E402
from xbarsim.learning.learn import learn  # noqa: E402
from xbarsim.learning.masks import ColumnMask, ElementMask, KernelMask, ShiftMask  # noqa: E402
from xbarsim.network import Network, load_network  # noqa: E402
from xbarsim.network.bundle_writer import SampleContent  # noqa: E402
from xbarsim.network.graph import Layer  # noqa: E402
from xbarsim.network.masks import OFF, Mask, check_mask  # noqa: E402

ROWS = 72
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
"""Tolerance of round trips in single precision: weights go through weight / scale x scale in double precision."""


class Small(nn.Module):
    """Two convolutions, one of them in groups, normalisation and a head."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 24, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(24)
        self.fc = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        result: Tensor = self.fc(x.mean((2, 3)))
        return result


IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def base() -> Small:
    torch.manual_seed(1)
    made = Small().eval()
    for norm in (made.bn1, made.bn2):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
    return made


def adapted(base: Small, classes: int = 4) -> Small:
    """A copy with normalisation and a head of its own."""
    torch.manual_seed(2)
    made = deepcopy(base)
    made.fc = nn.Linear(24, classes)
    made.bn2.running_mean += 0.1
    made.bn1.bias.data += 0.2
    return made


class Times(nn.Module):
    """A parametrisation of somebody else's."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factors


def times(module: Small, *factors: Tensor) -> Small:
    for layer, factor in zip((module.conv1, module.conv2), factors, strict=False):
        parametrize.register_parametrization(layer, "weight", Times(factor))
    return module


def exported(path: Path, base: nn.Module, tasks: Any, **options: Any) -> Network:
    return export_bundle(path / "small.xmn", base, IMAGES, tasks, **{"rows": ROWS, **options})


def runs_alike(network: Network, task: str, method: str, module: nn.Module, images: Tensor = IMAGES) -> None:
    assert network.task(task).methods == (method,)
    with torch.no_grad():
        torch.testing.assert_close(load_module(network, task, method)(images), module.eval()(images), **CLOSE)


def columns(layer: nn.Conv2d, values: list[float], height: int = ROWS) -> Tensor:
    """Factors constant by column of so many rows, drawn from ``values``."""
    random = torch.Generator().manual_seed(7)
    rows = layer.weight[0].numel()
    picked = torch.tensor(values)[
        torch.randint(len(values), (-(-rows // height), layer.out_channels), generator=random)
    ]
    return picked[torch.arange(rows) // height].T.reshape(layer.weight.shape)


@pytest.mark.parametrize("name", ["resnet20", "vit_small", pytest.param("mobilenet_v2", marks=pytest.mark.slow)])
def test_networks_come_back(tmp_path: Path, name: str) -> None:
    torch.manual_seed(5)
    module = networks.build(name, 10).eval()
    images = torch.rand(2, 3, 32, 32)
    tuned = deepcopy(module)
    for parameter in tuned.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    network = export_bundle(tmp_path / "net.xmn", module, images, {"tuned": tuned})
    with torch.no_grad():
        torch.testing.assert_close(load_module(network)(images), module(images), **CLOSE)
    runs_alike(network, "tuned", "finetune", tuned, images)
    again = deepcopy(module)
    for parameter in again.parameters():
        parameter.data.zero_()
    found = capture(again, images)
    again.load_state_dict(found.state_dict(load_module(network, "tuned", "finetune").arrays()))
    with torch.no_grad():
        torch.testing.assert_close(again(images), tuned(images), **CLOSE)


def test_the_backbone_keeps_its_names_and_bits(tmp_path: Path, base: Small) -> None:
    network = exported(tmp_path, base, {}, weight_bits=6, input_bits=5, name="tiny")
    assert (network.name, network.weight_bits, network.input_bits) == ("tiny", 6, 5)
    assert list(network.layers) == ["conv1", "conv2", "fc"]
    fresh = Small()
    left = fresh.load_state_dict(load_module(tmp_path / "small.xmn").state_dict(), strict=False)
    assert left == ([], [])
    np.testing.assert_allclose(fresh.conv2.weight.detach(), base.conv2.weight.detach(), rtol=1e-6)


def test_pruned(tmp_path: Path, base: Small) -> None:
    module = adapted(base)
    prune.random_unstructured(module.conv1, "weight", 0.4)
    prune.l1_unstructured(module.conv2, "weight", 0.4)
    network = exported(tmp_path, base, {"a": module, "b": module.state_dict()})
    for task in ("a", "b"):
        runs_alike(network, task, "piggyback", module)
        mask = network.task(task).mask("piggyback", "conv1")
        assert mask is not None
        np.testing.assert_array_equal(mask.values.reshape(16, 3, 3, 3), module.conv1.weight_mask)
    assert prune.is_pruned(module)


def test_pruned_by_channel_is_by_column(tmp_path: Path, base: Small) -> None:
    module = adapted(base)
    prune.ln_structured(module.conv1, "weight", 0.5, n=1, dim=0)
    network = exported(tmp_path, base, {"a": module})
    runs_alike(network, "a", "xbm", module)
    mask = network.task("a").mask("xbm", "conv1")
    assert mask is not None
    assert mask.values.tolist() == [[int(row.any()) for row in module.conv1.weight_mask.bool()]]


@pytest.mark.parametrize(
    ("values", "method"),
    [([0.0, 1], "xbm"), ([0, 0.5, 1, 2], "xma"), ([0.25, 8], "xma")],
)
def test_parametrised_by_column(tmp_path: Path, base: Small, values: list[float], method: str) -> None:
    module = times(adapted(base), columns(base.conv1, values), columns(base.conv2, values))
    runs_alike(exported(tmp_path, base, {"a": module}), "a", method, module)


def test_columns_are_told_by_the_chip(tmp_path: Path, base: Small) -> None:
    module = times(adapted(base), columns(base.conv1, [0, 1], 9), columns(base.conv2, [0, 1], 9))
    runs_alike(exported(tmp_path, base, {"a": module}, chip="xbm_72"), "a", "piggyback", module)
    runs_alike(exported(tmp_path, base, {"a": module}, rows=None, overwrite=True), "a", "piggyback", module)
    chip = load_chip("xbm_72", ["crossbar.rows=9"])
    network = exported(tmp_path, base, {"a": module}, chip=chip, overwrite=True)
    assert network.mask_rows == 9
    runs_alike(network, "a", "xbm", module)


@pytest.mark.parametrize(("low", "method"), [(0, "piggyback"), (-1, "piggyback-ternary")])
def test_parametrised_by_weight(tmp_path: Path, base: Small, low: int, method: str) -> None:
    module = adapted(base)
    times(module, *(torch.randint(low, 2, one.weight.shape) for one in (module.conv1, module.conv2)))
    runs_alike(exported(tmp_path, base, {"a": module}), "a", method, module)


def test_masks_of_two_kinds_become_one(tmp_path: Path, base: Small) -> None:
    shifted = times(adapted(base), columns(base.conv1, [0, 1]), columns(base.conv2, [0.5, 2]))
    runs_alike(exported(tmp_path, base, {"a": shifted}), "a", "xma", shifted)
    signs = torch.randint(-1, 2, base.conv2.weight.shape)
    ternary = times(adapted(base), columns(base.conv1, [0, 1]), signs)
    network = exported(tmp_path, base, {"a": ternary}, overwrite=True)
    runs_alike(network, "a", "piggyback-ternary", ternary)
    neither = times(adapted(base), columns(base.conv1, [0.5, 2]), signs)
    with pytest.raises(InputError, match="no method has them all; found conv1: shift by column, conv2: ternary by"):
        exported(tmp_path, base, {"a": neither}, overwrite=True)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (lambda shape: ColumnMask(shape, ROWS), "xbm"),
        (lambda shape: ShiftMask(shape, ROWS), "xma"),
        (lambda shape: ElementMask(shape), "piggyback"),
        (lambda shape: ElementMask(shape, ternary=True), "piggyback-ternary"),
        (lambda shape: KernelMask(shape), "ksm"),
    ],
)
def test_our_own_parametrisations(tmp_path: Path, base: Small, kind: Any, method: str) -> None:
    module = adapted(base)
    for layer in (module.conv1, module.conv2):
        mask = kind(layer.weight.shape)
        mask.scores.data.normal_(0.3)
        parametrize.register_parametrization(layer, "weight", mask)
    module.train()
    network = exported(tmp_path, base, {"a": module})
    assert module.training
    for name in ("conv1", "conv2"):
        ours = network.task("a").mask(method, name)
        theirs = module.get_submodule(name).parametrizations.weight[0].mask()
        np.testing.assert_array_equal(ours.values, theirs.values)
        assert ours.coding == theirs.coding
    runs_alike(network, "a", method, module)


def test_a_mask_on_other_weights_is_refused(tmp_path: Path, base: Small) -> None:
    module = adapted(base)
    module.conv1.weight.data += 0.1
    parametrize.register_parametrization(module.conv1, "weight", ColumnMask(module.conv1.weight.shape, ROWS))
    with pytest.raises(
        InputError, match="tasks.a: layer 'conv1': a mask stands on weights that are not the backbone's"
    ):
        exported(tmp_path, base, {"a": module})
    module = adapted(base)
    module.conv1.weight.data += 0.1
    prune.random_unstructured(module.conv1, "weight", 0.5)
    with pytest.raises(
        InputError, match="layer 'conv1': its weights are the backbone's times no mask: .* different fac"
    ):
        exported(tmp_path, base, {"a": module})
    runs_alike(exported(tmp_path, base, {"a": {"finetune": module}}), "a", "finetune", module)


def test_weights_of_its_own(tmp_path: Path, base: Small) -> None:
    tuned, partial, digital = adapted(base), adapted(base), adapted(base)
    for layer in (tuned.conv1, tuned.conv2, partial.conv2):
        layer.weight.data += 0.02 * torch.randn_like(layer.weight)
    tuned.conv1.bias.data += 0.3
    network = exported(tmp_path, base, {"tuned": tuned, "partial": partial, "digital": digital})
    runs_alike(network, "tuned", "finetune", tuned)
    runs_alike(network, "partial", "finetune-partial", partial)
    runs_alike(network, "digital", "finetune-partial", digital)
    assert set(network.task("digital").state("finetune-partial")) == {
        *(f"bn1.{role}" for role in ("weight", "bias", "running_mean", "running_var")),
        *(f"bn2.{role}" for role in ("weight", "bias", "running_mean", "running_var")),
        "fc.weight", "fc.bias",
    }  # fmt: skip
    assert list(network.task("partial").tensors("finetune-partial")) == ["weights/conv2"]
    assert "conv1.bias" in network.task("tuned").state("finetune")


def test_masks_as_tensors(tmp_path: Path, base: Small) -> None:
    module = adapted(base)
    column = torch.tensor([[0, 1] * 8])
    exponents = np.where(np.arange(24) % 3 == 0, OFF, np.arange(24) % 3 - 1)[None]
    element = torch.randint(0, 2, module.conv1.weight.shape)
    kernel = torch.randint(-100, 100, (24, 8)) / 64
    tasks = {
        "xbm": TaskExport(module, "xbm", {"conv1": column}),
        "xma": TaskExport(module, "xma", {"conv2": exponents}, accuracy={"float": 0.5}),
        "weight": TaskExport(module.state_dict(), "piggyback", {"conv1": element}),
        "kernel": TaskExport(module, "ksm", {"conv2": kernel}),
        "mask": TaskExport(
            module, masks={"conv1": Mask("binary", "element", element.reshape(16, 27).numpy().astype("u1"))}
        ),
        "backbone": TaskExport(None, "xbm", {"conv1": column.bool()}),
    }
    network = exported(tmp_path, base, tasks)
    assert network.task("xma").accuracy("xma") == {"float": 0.5}
    shift = torch.tensor(np.where(exponents == OFF, 0, 2.0**exponents)[0], dtype=torch.float32)
    wanted = {
        "xbm": ("xbm", times(deepcopy(module), column[0][:, None, None, None])),
        "xma": ("xma", times(deepcopy(module), torch.ones(1), shift[:, None, None, None])),
        "weight": ("piggyback", times(deepcopy(module), element)),
        "kernel": ("ksm", times(deepcopy(module), torch.ones(1), kernel[:, :, None, None])),
        "mask": ("piggyback", times(deepcopy(module), element)),
        "backbone": ("xbm", times(deepcopy(base), column[0][:, None, None, None])),
    }
    for task, (method, effective) in wanted.items():
        runs_alike(network, task, method, effective)
    soft = network.task("kernel").mask("ksm", "conv2")
    assert soft is not None
    np.testing.assert_array_equal(soft.values * soft.step, kernel)


def test_many_methods_of_a_task(tmp_path: Path, base: Small) -> None:
    pruned, tuned = adapted(base), adapted(base)
    prune.random_unstructured(pruned.conv1, "weight", 0.4)
    tuned.conv1.weight.data += 0.1
    network = exported(tmp_path, base, {"a": {"piggyback": pruned, "finetune": tuned}, "b": [pruned, tuned]})
    assert network.task("a").methods == ("piggyback", "finetune")
    assert network.task("b").methods == ("piggyback", "finetune-partial")
    with pytest.raises(InputError, match="tasks.a: method 'piggyback' is given twice"):
        exported(tmp_path, base, {"a": [pruned, pruned]}, overwrite=True)
    with pytest.raises(InputError, match=r"tasks.a: methods have heads of \[4, 6\] classes"):
        exported(tmp_path, base, {"a": [pruned, base]}, overwrite=True)
    with pytest.raises(InputError, match="tasks.a: no method"):
        exported(tmp_path, base, {"a": []}, overwrite=True)


def test_input_scales_from_samples(tmp_path: Path, base: Small) -> None:
    module = times(adapted(base), columns(base.conv1, [0, 2]))
    tasks = {"a": TaskExport(module, inputs=IMAGES), "b": TaskExport(adapted(base), "xma", inputs=IMAGES - 0.5)}
    tasks["b"] = TaskExport(adapted(base), "xma", {"conv1": np.ones((1, 16), int)}, IMAGES - 0.5)
    network = exported(tmp_path, base, tasks, inputs=IMAGES, input_bits=6)
    own = network.store.state("", "")
    assert own["conv1.input_scale"] == np.float32(IMAGES.max() / 63)
    with torch.no_grad():
        seen = torch.relu(module.bn1(module.conv1(IMAGES))).max()
        doubled = torch.relu(adapted(base).bn1(2 * (base.conv1(IMAGES - 0.5) - base.conv1.bias[:, None, None])
                                               + base.conv1.bias[:, None, None])).max()  # fmt: skip
    np.testing.assert_allclose(network.task("a").state("xma")["conv2.input_scale"], seen / 63, rtol=1e-6)
    state = network.task("b").state("xma")
    np.testing.assert_allclose(state["conv1.input_scale"], (IMAGES - 0.5).abs().max() / 31, rtol=1e-6)
    np.testing.assert_allclose(state["conv2.input_scale"], doubled / 63, rtol=1e-5)


def data(name: str, seed: int = 0) -> TaskData:
    random = np.random.default_rng(seed)
    images = random.integers(0, 200, (40, 3, 8, 8)).astype(np.uint8)
    labels = images[:, 0].mean((1, 2)) > images[:, 1].mean((1, 2))
    return TaskData(
        name, 2, images[:32], labels[:32].astype(int), images[32:], labels[32:].astype(int), 1 / 255, "drawn"
    )


def test_samples_of_a_task(tmp_path: Path, base: Small) -> None:
    module = adapted(base, 2)
    images = np.zeros((3, 3, 8, 8), np.uint8)
    tasks = {
        "a": TaskExport(module, samples=data("a")),
        "b": TaskExport(module, samples=SampleContent(images, np.zeros(3, np.uint8), 0.5, "zeros")),
    }
    network = exported(tmp_path, base, tasks)
    samples = network.task("a").samples()
    assert samples is not None
    assert samples.inputs.shape == (8, 3, 8, 8)
    assert samples.split == "drawn"
    assert network.task("b").samples().split == "zeros"


def test_what_learn_returns(tmp_path: Path, base: Small) -> None:
    backbone = backbone_of(base, IMAGES)
    one = learn(backbone, "xbm", data("a"), "xbm_72", epochs=1)
    first = learn(backbone, "packnet", data("a"), "xbm_72", epochs=1)
    second = learn(backbone, "packnet", data("b", 1), "xbm_72", epochs=1, after=first)
    network = export_bundle(tmp_path / "l.xmn", backbone, tasks={"a": [one, first], "b": {"packnet": second}})
    assert {name: task.methods for name, task in network.tasks.items()} == {"a": ("xbm", "packnet"), "b": ("packnet",)}
    assert network.owners("packnet", "conv2").values.max() == 2
    assert network.task("a").samples() is not None
    module_based = exported(tmp_path, base, {"a": one}, chip="xbm_72")
    assert module_based.fingerprint == network.fingerprint
    mixed = export_bundle(tmp_path / "n.xmn", backbone, tasks={"a": first, "b": [second, adapted(base, 2)]})
    assert mixed.task("b").methods == ("packnet", "finetune-partial")
    with pytest.raises(InputError, match="packnet: was learned in the order a, b; give the tasks in this order"):
        export_bundle(tmp_path / "m.xmn", backbone, tasks={"b": second, "a": first})
    with pytest.raises(InputError, match="tasks that own weights come first in a bundle, in the order a, b"):
        export_bundle(tmp_path / "m.xmn", backbone, tasks={"c": adapted(base), "a": first, "b": second})
    with pytest.raises(InputError, match="xbm of a: was learned on another backbone"):
        exported(tmp_path, adapted(base), {"a": one}, overwrite=True)
    with pytest.raises(InputError, match="8-bit weights and 8-bit inputs, the bundle has 6 and 8"):
        export_bundle(tmp_path / "m.xmn", backbone, tasks={"a": one}, weight_bits=6)
    with pytest.raises(InputError, match="tasks.c: was learned for the task 'a'"):
        export_bundle(tmp_path / "m.xmn", backbone, tasks={"c": one})
    with pytest.raises(InputError, match=r"tasks.a: methods have heads of \[2, 4\] classes"):
        export_bundle(tmp_path / "m.xmn", backbone, tasks={"a": [one, adapted(base)]})


def test_every_fault_and_nothing_written(tmp_path: Path, base: Small) -> None:
    odd = times(adapted(base), torch.rand(base.conv1.weight.shape))
    tasks = {
        "odd": odd,
        "two": [TaskExport(adapted(base), "xbn"), TaskExport(adapted(base), "packnet")],
        "three": TaskExport(
            masks={"conv1": torch.ones(2, 16), "conv3": torch.ones(1), "fc": torch.ones(1, 6)}, method="xbm"
        ),
        "four": TaskExport(masks={"conv1": torch.ones(1, 16)}),
        "five": TaskExport(adapted(base), "xbm"),
        "six": {"piggyback": TaskExport(masks={"conv1": torch.rand(16, 27)})},
        "seven": 7,
        "eight": odd.state_dict(),
        "nine": {"xbm": times(adapted(base), torch.randint(0, 2, base.conv1.weight.shape))},
    }
    with pytest.raises(InputError) as raised:
        exported(tmp_path, base, tasks)
    text = str(raised.value)
    for message in (
        "tasks.odd: layer 'conv1': its weights are the backbone's times no mask: 4",
        "tasks.two.0: ",
        "did you mean 'xbm'",
        "tasks.two.1: method 'packnet' has more than masks or weights of its own; give what learn() returns",
        "tasks.three: masks.conv1: shape (2, 16) is not (1, 16), a value per column of layer 'conv1'",
        "tasks.three: masks.conv3: no such crossbar layer; did you mean 'conv2'?",
        "tasks.three: masks.fc: the head is always the task's own",
        "tasks.four: masks.conv1: a tensor does not say what it means; name the method",
        "tasks.five: method 'xbm' has masks, but every layer's weights are the backbone's",
        "tasks.six.piggyback: masks.conv1: layer 'conv1': a binary mask holds whole numbers",
        "tasks.seven: int is no LearnedTask, TaskExport, module or state dict",
        "tasks.eight: the state dict has 'conv1.parametrizations.weight.original': give the module itself",
        "tasks.nine.xbm: method 'xbm' has binary masks by column; found conv1: binary by element",
    ):
        assert message in text, message
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken(tmp_path: Path, base: Small) -> None:
    exported(tmp_path, base, {})
    with pytest.raises(InputError, match="exists already; nothing was written"):
        exported(tmp_path, base, {})
    with pytest.raises(InputError, match="Small: give an example input"):
        export_bundle(tmp_path / "b.xmn", base)
    state = {name: tensor for name, tensor in base.state_dict().items() if not name.startswith("fc")}
    with pytest.raises(InputError, match="has no fc.bias, fc.weight"):
        exported(tmp_path, base, {"a": state}, overwrite=True)


def layer_of(shape: tuple[int, ...], groups: int = 1) -> Layer:
    kernel = (*shape[2:], 1, 1)[:2]
    size = (8, 8)
    return Layer(
        "l", "conv", shape[1] * groups, shape[0], kernel, (1, 1), (0, 0), (1, 1), groups, size, size, False, False
    )


@settings(deadline=None, max_examples=80)
@given(draw=st.data())
def test_a_mask_is_found_again(draw: st.DataObject) -> None:
    shape = draw.draw(
        st.tuples(st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 2, 3]), st.sampled_from([1, 3]))
    )
    rows, aligned = draw.draw(st.integers(1, 20)), draw.draw(st.booleans())
    layer, random = layer_of(shape), np.random.default_rng(draw.draw(st.integers(0, 2**32 - 1)))
    weights = random.normal(size=shape).astype(np.float32) * random.integers(0, 2, shape)
    method = draw.draw(st.sampled_from(list(METHODS.values())))
    grid = (layer.blocks(rows, aligned), layer.c_out)
    values = {
        "xbm": lambda: random.integers(0, 2, grid),
        "xma": lambda: random.choice([OFF, -3, -1, 0, 1, 2], grid),
        "piggyback": lambda: random.integers(0, 2, shape),
        "piggyback-ternary": lambda: random.integers(-1, 2, shape),
        "ksm": lambda: random.integers(-127, 128, shape[:2]) / 64,
    }[method]()
    mask = as_mask(method, layer, values, rows, aligned)
    assert check_mask(mask, layer) == []
    flat = weights.reshape(layer.c_out, layer.rows)
    own = effective(flat, mask, layer)
    found = recovered(layer, weights, own.reshape(shape), rows, aligned)
    if found is None:
        np.testing.assert_array_equal(own, flat)
        return
    if isinstance(found, NoMask):
        assert method == "ksm"
        assert shape[2:] == (1, 1)
        return
    assert check_mask(found, layer) == []
    np.testing.assert_allclose(effective(flat, found, layer), own, rtol=1e-6)


def effective(weights: np.ndarray, mask: Mask, layer: Layer) -> np.ndarray:
    """Weights with a mask in them, value by value."""
    expanded, result = mask.expand(layer), np.zeros_like(weights)
    for at in np.ndindex(weights.shape):
        value = float(expanded[at])
        factor = (0.0 if value == OFF else 2.0**value) if mask.kind == "shift" else value * (mask.step or 1)
        result[at] = np.float32(weights[at] * factor)
    return result


def test_straight_through_leaves_a_rounding_that_does_not_matter() -> None:
    layer = layer_of((2, 8, 3, 3))
    weights = np.linspace(0.5, 1, 144, dtype=np.float32).reshape(2, 8, 3, 3)
    factors = np.array([1 + 3e-7, 0.5 - 1e-7], np.float32)[:, None, None, None]
    found = recovered(layer, weights, weights * factors, ROWS)
    assert isinstance(found, Mask)
    assert found.values.tolist() == [[0, -1]]
    grown = recovered(layer, np.zeros_like(weights), weights, ROWS)
    assert grown == NoMask("144 weights are not zero where the backbone's are")


def test_masks_need_what_they_mean() -> None:
    layer = layer_of((2, 8, 3, 3))
    with pytest.raises(
        InputError, match="method 'finetune' has no masks that stand for themselves; give masks of: xbm"
    ):
        as_mask("finetune", layer, np.ones((1, 2)))
    with pytest.raises(InputError, match="masks of 'xbm' are by column: say for which chip, or for how many rows"):
        as_mask("xbm", layer, np.ones((1, 2)))
    with pytest.raises(InputError, match="exponents .16. are not between -15 and 15; -128 is off"):
        as_mask("xma", layer, np.full((1, 2), 16), ROWS)
    soft = as_mask("ksm", layer, np.full((2, 8), 100.0))
    assert soft.values.max() * soft.step == 100
    with pytest.raises(InputError, match="method 'xma' has shift masks by column; found l: soft by kernel"):
        together({"l": soft}, {"l": layer}, "xma")


def test_a_bundle_by_name() -> None:
    digits = load_network("digits")
    samples = digits.task("rotated").samples()
    backbone = load_module("digits", "rotated", "xbm")
    with torch.no_grad():
        found = backbone(torch.from_numpy(samples.inputs)).argmax(1).numpy()
    assert np.mean(found == samples.labels) == digits.task("rotated").accuracy("xbm")["float"]


def test_masks_on_a_backbone(tmp_path: Path, base: Small) -> None:
    backbone = backbone_of(base, IMAGES).train()
    for name in ("conv1", "conv2"):
        mask = ColumnMask(backbone.weight(name).shape, ROWS)
        mask.scores.data.normal_()
        parametrize.register_parametrization(backbone.part(name), "weight", mask)
    network = exported(tmp_path, base, {"a": backbone})
    assert backbone.training
    runs_alike(network, "a", "xbm", backbone)


def test_names_stay_functions_when_modules_of_their_name_are_imported() -> None:
    import importlib
    import sys

    import xbarsim.learning as package

    for name in ("learn", "capture", "evaluate"):
        importlib.import_module(f"xbarsim.learning.{name}")
        vars(package).pop(name, None)
        module = sys.modules.pop(f"xbarsim.learning.{name}")
        try:
            importlib.import_module(f"xbarsim.learning.{name}")
            assert callable(getattr(package, name)), name
        finally:
            sys.modules[f"xbarsim.learning.{name}"] = module
            vars(package).pop(name, None)

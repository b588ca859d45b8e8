"""Checkpoints of others: every layout as its public code writes it, read onto a backbone."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from learning.foreign import (  # noqa: E402
    CLASSES,
    PLACES,
    SHAPES,
    Model,
    Shared,
    array,
    backbone,
    owners,
    packed,
    ternary,
)
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from xbarsim.adaptions import Adaption  # noqa: E402
from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning import networks  # noqa: E402
from xbarsim.learning.backbone import Backbone  # noqa: E402
from xbarsim.learning.checkpoint_parts import Names, module_order  # noqa: E402
from xbarsim.learning.checkpoints import read_cpg, read_ksm, read_packnet, read_peft, read_piggyback  # noqa: E402
from xbarsim.network import Network  # noqa: E402
from xbarsim.network.bundle_writer import write_bundle  # noqa: E402
from xbarsim.network.importers import Imported, content_of  # noqa: E402

NAMES = Names(module_order(Shared()))


@pytest.fixture
def ground(tmp_path: Path) -> Network:
    """The backbone."""
    return backbone(tmp_path / "ground.xmn")


def written(tmp_path: Path, made: Imported, name: str = "made") -> Network:
    """The bundle of what was read."""
    return write_bundle(tmp_path / f"{name}.xmn", made.content)


def refused(*patterns: str) -> Any:
    return pytest.raises(InputError, match="(?s)" + ".*".join(patterns))


def test_a_ternary_piggyback_checkpoint_in_the_original_layout(tmp_path: Path, ground: Network) -> None:
    """Masks by place of their module, -1 stored as the byte 255, classifiers as modules; no trust is needed."""
    masks = {"birds": ternary(0), "cars": ternary(1, low=0)}
    heads = packed(tmp_path / "masks.pt", masks)
    held = torch.load(tmp_path / "masks.pt", weights_only=False)["dataset2masks"]["birds"]
    assert list(held) == [1, 4]
    assert held[1].dtype == torch.uint8
    assert set(held[1].unique().tolist()) == {0, 1, 255}
    made = read_piggyback(tmp_path / "masks.pt", ground, names=NAMES)
    network = written(tmp_path, made)
    assert made.warnings == ()
    assert dict(network.task_info) == {"birds": (3, ("piggyback-ternary",)), "cars": (5, ("piggyback",))}
    for task, method in (("birds", "piggyback-ternary"), ("cars", "piggyback")):
        for layer, mask in masks[task].items():
            found = network.task(task).mask(method, layer)
            assert found is not None
            assert np.array_equal(found.values.reshape(SHAPES[layer]), array(mask))
        head = network.task(task).state(method)
        assert np.array_equal(head["fc.weight"], array(heads[task].weight))
        assert np.array_equal(head["fc.bias"], array(heads[task].bias))
    assert network.fingerprint == ground.fingerprint


def test_the_weights_in_the_crossbars_are_the_masked_ones(tmp_path: Path, ground: Network) -> None:
    masks = {"birds": ternary(3)}
    packed(tmp_path / "masks.pt", masks)
    network = written(tmp_path, read_piggyback(tmp_path / "masks.pt", ground, names=NAMES))
    chip, task = load_chip("xbm_72"), network.task("birds")
    for layer, mask in masks["birds"].items():
        found = Adaption.named("piggyback-ternary")().contents(chip, network, task, layer, 8)
        assert np.array_equal(found, network.integers(layer, 8) * array(mask).reshape(found.shape))


def test_masks_by_name_need_no_order(tmp_path: Path, ground: Network) -> None:
    packed(tmp_path / "masks.pt", {"birds": ternary(0)}, places=False)
    assert read_piggyback(tmp_path / "masks.pt", ground).content.tasks["birds"].methods["piggyback-ternary"].masks


def test_places_without_an_order_are_refused(tmp_path: Path, ground: Network) -> None:
    packed(tmp_path / "masks.pt", {"birds": ternary(0)})
    with refused("layer 1 is a place among modules, of which none are known; name the network", "layer 4"):
        read_piggyback(tmp_path / "masks.pt", ground)


def test_an_order_that_is_another_network_s_is_noticed(tmp_path: Path, ground: Network) -> None:
    packed(tmp_path / "masks.pt", {"birds": ternary(0)})
    with refused("module 1 is 'bn1': the backbone has no such crossbar layer", "conv1: shape"):
        read_piggyback(tmp_path / "masks.pt", ground, names=Names(("", "bn1", "", "", "conv1")))


def test_wrong_shapes_and_values_are_told_together(tmp_path: Path, ground: Network) -> None:
    held = {
        "conv1": torch.ones(8, 2, 5, 5, dtype=torch.uint8),
        "conv3": torch.ones(1),
        "conv2": torch.full((6, 4, 3, 3), 7),
    }
    torch.save({"masks": held}, tmp_path / "one.pt")
    with refused(
        r"one.conv1: shape \[8, 2, 5, 5\] is not \[8, 2, 3, 3\]",
        "'conv3': the backbone has no such crossbar layer; did you mean 'conv",
        "one.conv2: holds the value 7",
    ):
        read_piggyback(tmp_path / "one.pt", ground)


def test_a_file_that_has_no_masks(tmp_path: Path, ground: Network) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with refused("neither 'dataset2masks' nor 'masks'"):
        read_piggyback(tmp_path / "other.pt", ground)


def test_a_layer_table_is_no_backbone(tmp_path: Path) -> None:
    packed(tmp_path / "masks.pt", {"birds": ternary(0)})
    with refused("is a layer table, without weights"):
        read_piggyback(tmp_path / "masks.pt", "resnet20")


class ElementWiseConv2d(nn.Module):
    """A masked convolution of Piggyback, as far as a checkpoint shows it."""

    def __init__(self, real: Any, threshold_fn: str) -> None:
        super().__init__()
        self.info = {"threshold_fn": threshold_fn, "threshold": 5e-3}
        self.mask_real = nn.Parameter(real)


@pytest.mark.parametrize("kind", ["binarizer", "ternarizer"])
def test_a_trained_model_needs_trust_but_not_its_code(
    tmp_path: Path, ground: Network, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training saves the whole model; its classes are not importable where it is read."""
    model = Model("birds")
    real = {name: torch.randn(shape) * 1e-2 for name, shape in SHAPES.items()}
    for name, values in real.items():
        setattr(model.shared, name, ElementWiseConv2d(values, kind))
    model.classifier = model.classifiers[0]
    monkeypatch.setattr(ElementWiseConv2d, "__module__", "modnets.layers")
    monkeypatch.setattr(Model, "__module__", "networks")
    monkeypatch.setattr(Shared, "__module__", "networks")
    modnets, layers, nets = (type(pytest)(name) for name in ("modnets", "modnets.layers", "networks"))
    layers.ElementWiseConv2d, nets.Model, nets.Shared = ElementWiseConv2d, Model, Shared
    with monkeypatch.context() as there:
        for module in (modnets, layers, nets):
            there.setitem(__import__("sys").modules, module.__name__, module)
        torch.save({"args": Namespace(dataset="birds"), "epoch": 1, "model": model}, tmp_path / "trained.pt")
    with refused("holds more than tensors", "--trust-pickle"):
        read_piggyback(tmp_path / "trained.pt", ground)
    network = written(tmp_path, read_piggyback(tmp_path / "trained.pt", ground, trust_pickle=True))
    method = "piggyback-ternary" if kind == "ternarizer" else "piggyback"
    for name, values in real.items():
        mask = network.task("birds").mask(method, name)
        wanted = (values > 5e-3).int() - ((values < 0).int() if kind == "ternarizer" else 0)
        assert mask is not None
        assert np.array_equal(mask.values.reshape(SHAPES[name]), wanted.numpy())


def test_a_trusted_pickle_calls_nothing_of_python_s(tmp_path: Path, ground: Network) -> None:
    """What the file names outside PyTorch and NumPy is a stand: this one would have left a file behind."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"masks": {}, "trap": Trap()}, tmp_path / "trap.pt")
    with refused("holds more than tensors"):
        read_piggyback(tmp_path / "trap.pt", ground)
    read_piggyback(tmp_path / "trap.pt", ground, trust_pickle=True)
    assert not (tmp_path / "sprung").exists()


def test_packnet_with_a_pickled_model(tmp_path: Path, ground: Network) -> None:
    """Owners by place, the model as an object; nobody's weights count as 0, tasks use their own and older ones."""
    model, owned = Model("birds", "cars"), owners(0, 2)
    ckpt = {
        "dataset2idx": {"cars": 2, "birds": 1},
        "previous_masks": {PLACES[name]: mask for name, mask in owned.items()},
        "model": model,
    }
    torch.save(ckpt, tmp_path / "packnet.pt")
    with refused("--trust-pickle"):
        read_packnet(tmp_path / "packnet.pt", ground)
    made = read_packnet(tmp_path / "packnet.pt", ground, trust_pickle=True)
    network = written(tmp_path, made)
    assert list(network.task_info) == ["birds", "cars"]
    chip, adaption = load_chip("xbm_72"), Adaption.named("packnet")()
    for layer, mask in owned.items():
        weight = array(getattr(model.shared, layer).weight)
        for number, task in enumerate(("birds", "cars"), 1):
            used = (array(mask) > 0) & (array(mask) <= number)
            found = adaption.contents(chip, network, network.task(task), layer, 8)
            wanted = network.quantiser(layer).integers(weight * used).reshape(found.shape)
            assert np.array_equal(found, wanted)
    head = network.task("cars").state("packnet")["fc.weight"]
    assert np.array_equal(head, array(model.classifiers[1].weight))
    assert network.task("cars").state("packnet")["bn1.running_var"].tolist() == [1.0] * 8


def test_packnet_with_a_state_dict_needs_no_trust(tmp_path: Path, ground: Network) -> None:
    model, owned = Model("birds", "cars"), owners(1, 2)
    ckpt = {"dataset2idx": {"birds": 1, "cars": 2}, "previous_masks": {PLACES[n]: m for n, m in owned.items()}}
    torch.save({**ckpt, "model": model.state_dict()}, tmp_path / "packnet.pt")
    made = read_packnet(tmp_path / "packnet.pt", ground, names=NAMES)
    held = made.content.shared["packnet"]
    assert np.array_equal(held.owners["conv2"].values.reshape(SHAPES["conv2"]), array(owned["conv2"]))
    assert set(made.content.tasks) == {"birds", "cars"}


def test_packnet_with_an_owner_too_many(tmp_path: Path, ground: Network) -> None:
    model, owned = Model("birds"), owners(0, 2)
    ckpt = {"dataset2idx": {"birds": 1}, "previous_masks": dict(owned), "model": model.state_dict()}
    torch.save(ckpt, tmp_path / "packnet.pt")
    with refused("owner 2, but there are 1 tasks: 'birds'"):
        read_packnet(tmp_path / "packnet.pt", ground)


def cpg(path: Path, seed: int = 0) -> dict[str, Any]:
    """A checkpoint of CPG: all of it tensors and tables."""
    torch.manual_seed(seed)
    model, owned = Model("birds", "cars"), owners(seed, 2)
    info = {
        task: {
            "bias": {"conv1": nn.Parameter(torch.randn(8))},
            "bn_layer_running_mean": {"bn1": torch.randn(8), "bn2": torch.randn(6)},
            "bn_layer_running_var": {"bn1": torch.rand(8), "bn2": torch.rand(6)},
            "bn_layer_weight": {"bn1": nn.Parameter(torch.randn(8)), "bn2": nn.Parameter(torch.randn(6))},
            "bn_layer_bias": {"bn1": nn.Parameter(torch.randn(8)), "bn2": nn.Parameter(torch.randn(6))},
            "piggymask": {n: nn.Parameter(torch.randn(s) * 1e-2) for n, s in SHAPES.items()} if task == "cars" else {},
            "network_width_multiplier": 1.0,
        }
        for task in CLASSES
    }
    state = {name.removeprefix("shared."): value for name, value in model.state_dict().items()}
    ckpt = {
        "model_state_dict": state,
        "dataset_history": list(CLASSES),
        "dataset2num_classes": dict(CLASSES),
        "masks": {f"module.{name}": mask for name, mask in owned.items()},
        "shared_layer_info": info,
    }
    torch.save(ckpt, path)
    return ckpt


def test_cpg_in_the_original_layout(tmp_path: Path, ground: Network) -> None:
    ckpt = cpg(tmp_path / "cpg.pth.tar")
    network = written(tmp_path, read_cpg(tmp_path / "cpg.pth.tar", ground))
    chip, adaption = load_chip("xbm_72"), Adaption.named("cpg")()
    for layer in SHAPES:
        owned = array(ckpt["masks"][f"module.{layer}"])
        weight = array(ckpt["model_state_dict"][f"{layer}.weight"])
        picked = array(ckpt["shared_layer_info"]["cars"]["piggymask"][layer]) > 5e-3
        for task, used in (("birds", owned == 1), ("cars", (owned == 2) | ((owned == 1) & picked))):
            found = adaption.contents(chip, network, network.task(task), layer, 8)
            wanted = network.quantiser(layer).integers(np.where(used, weight, 0)).reshape(found.shape)
            assert np.array_equal(found, wanted)
    state = network.task("cars").state("cpg")
    own = ckpt["shared_layer_info"]["cars"]
    assert np.array_equal(state["bn2.running_mean"], array(own["bn_layer_running_mean"]["bn2"]))
    assert np.array_equal(state["conv1.bias"], array(own["bias"]["conv1"]))
    assert np.array_equal(state["fc.weight"], array(ckpt["model_state_dict"]["classifiers.1.weight"]))


def test_cpg_of_a_network_that_has_grown(tmp_path: Path, ground: Network) -> None:
    """The first task had fewer channels: what it lacks is empty; a backbone without the grown ones is refused."""
    ckpt = cpg(tmp_path / "cpg.pth.tar")
    first = ckpt["shared_layer_info"]["birds"]
    for key in ("bn_layer_running_mean", "bn_layer_running_var", "bn_layer_weight", "bn_layer_bias"):
        first[key]["bn1"] = first[key]["bn1"].detach()[:5]
    torch.save(ckpt, tmp_path / "grown.pth.tar")
    state = read_cpg(tmp_path / "grown.pth.tar", ground).content.tasks["birds"].methods["cpg"].state
    assert state["bn1.weight"][5:].tolist() == [0, 0, 0]
    assert state["bn1.running_var"][5:].tolist() == [1, 1, 1]
    ckpt["masks"]["module.conv1"] = torch.zeros(12, 2, 3, 3, dtype=torch.uint8)
    torch.save(ckpt, tmp_path / "grown.pth.tar")
    with refused(r"masks.conv1: shape \[12, 2, 3, 3\] is not \[8, 2, 3, 3\]"):
        read_cpg(tmp_path / "grown.pth.tar", ground)


def test_owners_follow_the_order_of_the_bundle_s_tasks(tmp_path: Path, ground: Network) -> None:
    """Behind another task owners move up; tasks in another order cannot be imported, nor a method twice."""
    packed(tmp_path / "masks.pt", {"cars": ternary(0)})
    network = written(tmp_path, read_piggyback(tmp_path / "masks.pt", ground, names=NAMES), "one")
    cpg(tmp_path / "cpg.pth.tar")
    with refused("learned in the order 'birds', 'cars' and stand in the bundle as 'cars', 'birds'"):
        read_cpg(tmp_path / "cpg.pth.tar", network)
    packed(tmp_path / "first.pt", {"birds": ternary(0)})
    first = written(tmp_path, read_piggyback(tmp_path / "first.pt", ground, names=NAMES), "two")
    both = written(tmp_path, read_cpg(tmp_path / "cpg.pth.tar", first), "three")
    assert dict(both.task_info)["birds"] == (3, ("piggyback-ternary", "cpg"))
    with refused("has tasks of method 'cpg' already"):
        read_cpg(tmp_path / "cpg.pth.tar", both)


def test_ksm_in_our_layout(tmp_path: Path, ground: Network) -> None:
    values = {"conv1": torch.rand(8, 2) * 2, "conv2": torch.rand(6, 4) * 2}
    head = {"weight": torch.randn(3, 6), "bias": torch.randn(3)}
    torch.save({"tasks": {"birds": {"masks": values, "classifier": head}}}, tmp_path / "ksm.pt")
    network = written(tmp_path, read_ksm(tmp_path / "ksm.pt", ground))
    for layer, soft in values.items():
        mask = network.task("birds").mask("ksm", layer)
        assert mask is not None
        assert mask.step == 2**-6
        assert mask.bits == 8
        assert np.abs(mask.values * mask.step - array(soft)).max() <= mask.step / 2
    torch.save({"tasks": {"birds": {"masks": {"conv1": torch.rand(8, 2, 3, 3)}}}}, tmp_path / "ksm.pt")
    with refused(r"shape \[8, 2, 3, 3\] is not \[8, 2\]"):
        read_ksm(tmp_path / "ksm.pt", ground)
    torch.save({"tasks": {"birds": {"masks": {}, "state": {"bn1.weight": torch.rand(8)}}}}, tmp_path / "ksm.pt")
    with refused("birds: 'bn1.bias' is missing; a task brings a normalisation as a whole"):
        read_ksm(tmp_path / "ksm.pt", ground)


CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["conv1"], "bias": "none"}


def adapter(folder: Path, **changes: Any) -> dict[str, Any]:
    """An adapter as PEFT saves it, beside the first convolution."""
    folder.mkdir(exist_ok=True)
    tensors = {
        "base_model.model.conv1.lora_A.weight": torch.randn(2, 2, 3, 3),
        "base_model.model.conv1.lora_B.weight": torch.randn(8, 2, 1, 1),
        "base_model.model.fc.weight": torch.randn(3, 6),
        "base_model.model.fc.bias": torch.randn(3),
    }
    tensors |= {name: value for name, value in changes.items() if isinstance(value, torch.Tensor)}
    config = CONFIG | {name: value for name, value in changes.items() if not isinstance(value, torch.Tensor)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "adapter_model.safetensors")
    return tensors


@pytest.mark.parametrize(
    ("config", "factor"), [({}, 4.0), ({"use_rslora": True}, 8 / 2**0.5), ({"alpha_pattern": {"conv1": 2}}, 1.0)]
)
def test_a_lora_adapter_computes_what_peft_says(
    tmp_path: Path, ground: Network, config: dict[str, Any], factor: float
) -> None:
    """The layer's output plus factor x B(A(input)), up to the quantisation of the pair."""
    tensors = adapter(tmp_path / "birds", **config)
    network = written(tmp_path, read_peft(tmp_path / "birds", ground))
    assert dict(network.task_info) == {"birds": (3, ("lora",))}
    run, plain = Backbone.of(network, "birds", "lora").eval(), Backbone.of(ground).eval()
    inputs = torch.rand(4, 2, 4, 4)
    with torch.no_grad():
        a, b = (tensors[f"base_model.model.conv1.lora_{end}.weight"] for end in "AB")
        pair = nn.functional.conv2d(nn.functional.conv2d(inputs, a, padding=1), b) * factor
        weight, bias = plain.weight("conv1"), plain.part("conv1").bias
        hidden = nn.functional.conv2d(inputs, weight, bias, padding=1) + pair
        state = {name: torch.as_tensor(value) for name, value in content_of(ground).backbone.items()}

        def norm(x: Any, name: str) -> Any:
            own = (state[f"{name}.{role}"] for role in ("running_mean", "running_var", "weight", "bias"))
            return nn.functional.batch_norm(x, *own)

        hidden = nn.functional.relu(norm(hidden, "bn1"))
        hidden = norm(nn.functional.conv2d(hidden, plain.weight("conv2"), stride=2, groups=2), "bn2").mean((2, 3))
        wanted = nn.functional.linear(hidden, *(tensors[f"base_model.model.fc.{role}"] for role in ("weight", "bias")))
        assert torch.allclose(run(inputs), wanted, rtol=1e-4, atol=1e-3 * float(wanted.abs().max()))


def test_bfloat16_adapters_are_read(tmp_path: Path, ground: Network) -> None:
    half = torch.randn(2, 2, 3, 3, dtype=torch.bfloat16)
    adapter(tmp_path / "birds", **{"base_model.model.conv1.lora_A.weight": half})
    made = read_peft(tmp_path / "birds", ground).content.tasks["birds"].methods["lora"]
    assert np.array_equal(made.weights["conv1.lora_a"], half.float().numpy())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type: 'IA3' is not 'LORA'"),
        ({"use_dora": True}, "use_dora: is not known here"),
        ({"lora_alpha": None}, "lora_alpha: None is not a number above zero"),
        (
            {"base_model.model.conv7.lora_A.weight": torch.ones(2, 2)},
            "'conv7': the backbone has no such crossbar layer",
        ),
        (
            {"base_model.model.conv1.lora_B.weight": torch.ones(9, 2, 1, 1)},
            r"shape \[9, 2, 1, 1\] is not \[8, 2, 1, 1\]",
        ),
        ({"base_model.model.conv2.lora_A.weight": torch.ones(2, 4, 3, 3)}, "conv2: lora_B is missing"),
        ({"base_model.model.emb.lora_embedding_A": torch.ones(2)}, "no part of plain LoRA"),
        (
            {"base_model.model.bn3.weight": torch.ones(2)},
            "'bn3.weight': the backbone has no such parameter; did you mean",
        ),
        ({"base_model.model.fc.weight": torch.ones(3, 7)}, r"fc.weight: shape \[3, 7\] is not \[3, 6\]"),
    ],
)
def test_faults_of_adapters(tmp_path: Path, ground: Network, changes: dict[str, Any], message: str) -> None:
    adapter(tmp_path / "birds", **changes)
    with refused(message):
        read_peft(tmp_path / "birds", ground)


def test_a_second_adapter_shares_the_pairs_of_the_first(tmp_path: Path, ground: Network) -> None:
    adapter(tmp_path / "birds")
    adapter(
        tmp_path / "cars",
        **{"base_model.model.fc.weight": torch.randn(5, 6), "base_model.model.fc.bias": torch.randn(5)},
    )
    one = written(tmp_path, read_peft(tmp_path / "birds", ground), "one")
    two = written(tmp_path, read_peft(tmp_path / "cars", one), "two")
    assert list(two.task_info) == ["birds", "cars"]
    wide = {
        "base_model.model.conv1.lora_A.weight": torch.randn(4, 2, 3, 3),
        "base_model.model.conv1.lora_B.weight": torch.randn(8, 4, 1, 1),
    }
    adapter(tmp_path / "dogs", **wide)
    with refused("other ranks, than the LoRA tasks of the bundle"):
        read_peft(tmp_path / "dogs", two)


def test_the_backbone_s_own_tasks_are_kept(tmp_path: Path) -> None:
    from network.rich import rich

    before = write_bundle(tmp_path / "rich.xmn", rich())
    packed(tmp_path / "masks.pt", {"birds": ternary(0)})
    after = written(tmp_path, read_piggyback(tmp_path / "masks.pt", before, names=NAMES))
    assert list(after.task_info) == [*before.task_info, "birds"]
    for task in before.tasks.values():
        for method in task.methods:
            kept = after.task(task.name)
            assert kept.tensors(method) == task.tensors(method)
            assert {k: v.tobytes() for k, v in kept.state(method).items()} == {
                k: v.tobytes() for k, v in task.state(method).items()
            }
            for layer in ("conv1", "conv2"):
                own, still = task.mask(method, layer), kept.mask(method, layer)
                assert (own is None) == (still is None)
                assert own is None or still is None or np.array_equal(own.values, still.values)


def test_places_of_the_original_codes() -> None:
    """ResNet: modules as they are, the classifier last; VGG: the layers of features and classifier in one row."""
    order = module_order(networks.build("resnet20"))
    assert order[:4] == ("", "conv1", "bn1", "relu")
    assert order[6] == "layer1.0.conv1"
    with torch.device("meta"):
        vgg = module_order(networks.build("vgg16"))
    features = 31
    assert vgg[1] == "features.0"
    assert vgg[features] == "features.30"
    assert vgg[features + 1] == "avgpool"  # in its place stood the reshaping of the original
    assert vgg[features + 2] == "classifier.0"
    assert vgg[features + 5] == "classifier.3"


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_files_that_are_no_checkpoints(tmp_path: Path, ground: Network, ending: str) -> None:
    broken = tmp_path / f"broken{ending}"
    with refused("cannot be read|is no safetensors file"):
        read_piggyback(broken, ground)
    broken.write_bytes(b"not a checkpoint")
    with refused("no checkpoint|is no safetensors file"):
        read_piggyback(broken, ground)
    with refused("no checkpoint|is no safetensors file"):
        read_piggyback(broken, ground, trust_pickle=True)


JUNK = (None, 3, "text", [], {}, torch.zeros(0), torch.zeros(2, 2))


def places(held: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a tree of tables."""
    inner = (
        [way for key, value in held.items() for way in places(value, (*path, key))] if isinstance(held, dict) else []
    )
    return [path, *inner] if path else inner


def spoilt(held: Any, way: tuple[Any, ...], junk: Any) -> Any:
    if not way:
        return junk
    return {key: spoilt(value, way[1:], junk) if key == way[0] else value for key, value in held.items()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_spoilt_checkpoints_are_refused_or_read(tmp_path: Path, ground: Network, data: st.DataObject) -> None:
    """Whatever stands in a place of a checkpoint, the answer is a bundle or a fault of the file."""
    owned = {PLACES[name]: mask for name, mask in owners(0, 1).items()}
    whole: dict[str, tuple[Any, dict[str, Any]]] = {
        "piggyback": (read_piggyback, {"dataset2masks": {"birds": dict(ternary(0))}, "dataset2classifiers": {}}),
        "packnet": (
            read_packnet,
            {"dataset2idx": {"birds": 1}, "previous_masks": owned, "model": Model("birds").state_dict()},
        ),
        "cpg": (read_cpg, cpg(tmp_path / "cpg.pth.tar")),
        "ksm": (read_ksm, {"tasks": {"birds": {"masks": {"conv1": torch.rand(8, 2)}, "state": {}, "classifier": {}}}}),
    }
    read, held = whole[data.draw(st.sampled_from(sorted(whole)))]
    held = {key: dict(value) if hasattr(value, "items") else value for key, value in held.items()}
    torch.save(
        spoilt(held, data.draw(st.sampled_from(places(held))), data.draw(st.sampled_from(JUNK))), tmp_path / "s.pt"
    )
    with suppress(InputError):
        made = read(tmp_path / "s.pt", ground, names=NAMES)
        write_bundle(tmp_path / "made.xmn", made.content, overwrite=True)


def test_a_checkpoint_without_tasks_is_refused(tmp_path: Path, ground: Network) -> None:
    torch.save({"tasks": {}}, tmp_path / "none.pt")
    with refused("none.pt: holds no task"):
        read_ksm(tmp_path / "none.pt", ground)


def test_text_is_no_checkpoint(tmp_path: Path, ground: Network) -> None:
    (tmp_path / "text.pt").write_text("hello")
    with refused("text.pt: holds more than tensors.*or is no checkpoint"):
        read_piggyback(tmp_path / "text.pt", ground)

"""The backbone: a graph as a module, with the names of the network's state dict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from analog.torch_twin import outputs  # noqa: E402
from analog.zoo import write_zoo  # noqa: E402
from learning import small  # noqa: E402

from xbarsim.adaptions import Adaption  # noqa: E402
from xbarsim.analog.executor import FloatProduct, run  # noqa: E402
from xbarsim.analog.model import build  # noqa: E402
from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning.backbone import Backbone, with_classes  # noqa: E402
from xbarsim.learning.pretrain import initial  # noqa: E402
from xbarsim.network import load_network  # noqa: E402
from xbarsim.network.graph import Entry, build_graph  # noqa: E402

RANDOM = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> Any:
    return torch.randn(shape, generator=RANDOM)


def of(*entries: Entry, classes: int = 3) -> Backbone:
    nodes = build_graph([Entry("input", "input", (), {"shape": (2, 6, 6)}), *entries])
    return Backbone(nodes, initial(nodes, classes, RANDOM))


def test_names_are_those_of_the_state_dict() -> None:
    net = Backbone(small.nodes(), initial(small.nodes(), 10, RANDOM))
    assert list(net.state_dict()) == net.names() == list(net.arrays())
    assert "stem.bn.running_var" in net.names()
    assert [name for name, _ in net.named_parameters()] == [name for name in net.names() if "running" not in name]
    again = Backbone(small.nodes(), net.arrays())
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.weight("conv2"), net.weight("conv2"))
    assert list(net.adapted) == ["stem.conv", "conv2", "conv3"]
    assert net.head is not None
    assert net.head.name == "fc"


def test_layers_may_be_called_like_attributes_of_a_module() -> None:
    names = ["train", "layers", "nodes", "type", "forward"]
    sources = ["input", *names]
    entries = [Entry(name, "conv", (sources[at],), {"out": 2, "kernel": 1}) for at, name in enumerate(names)]
    net = of(*entries)
    assert list(net.state_dict()) == [f"{name}.weight" for name in names]
    assert net.train().training
    assert net(drawn(1, 2, 6, 6)).shape == (1, 2, 6, 6)


def test_every_operation_is_that_of_the_twin(tmp_path: Path) -> None:
    network = write_zoo(tmp_path / "zoo.xmn")
    net = Backbone.of(network).double().eval()
    inputs = torch.rand(3, *network.nodes[0].shape, dtype=torch.float64, generator=RANDOM)
    state = {name: value.double() for name, value in net.state_dict().items()}
    with torch.no_grad():
        wanted = torch.as_tensor(outputs(net.nodes, state, inputs)).reshape(3, -1)
        assert torch.equal(net(inputs).reshape(3, -1), wanted)


@pytest.mark.parametrize("method", ["xbm", "xma", "xma2", "ksm", "piggyback-ternary", "cpg", "xst", "packnet"])
def test_the_network_of_a_task_is_that_of_the_executor(method: str) -> None:
    network = load_network("digits")
    task = network.task("rotated")
    samples = task.samples()
    net = Backbone.of(network, "rotated", method).double().eval()
    model = build(load_chip("xbm_72"), network, method, "rotated", rounded=False)
    wanted = run(model, samples.inputs[:20], FloatProduct()).reshape(20, -1)
    with torch.no_grad():
        found = net(torch.from_numpy(samples.inputs[:20]).double()).numpy()
    assert Adaption.named(method).name == method
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_without_a_task_it_is_the_backbone_with_its_quantisers() -> None:
    network = load_network("digits")
    net = Backbone.of(network)
    assert (net.weight_bits, net.input_bits) == (network.weight_bits, network.input_bits)
    for name, layer in network.layers.items():
        held = net.quantisers[name].integers(net.weight(name).detach().numpy())
        assert np.array_equal(held.reshape(layer.c_out, -1), network.integers(name))


def test_layer_tables_and_half_a_task_are_refused() -> None:
    with pytest.raises(InputError, match="layer table"):
        Backbone.of(load_network("lenet5"))
    with pytest.raises(InputError, match="both a task and a method"):
        Backbone.of(load_network("digits"), "rotated")


def test_normalisation_follows_the_mode() -> None:
    net = of(Entry("bn", "batch_norm", ("input",), {"eps": 1e-3}))
    twin = torch.nn.BatchNorm2d(2, eps=1e-3)
    for _ in range(3):
        inputs = drawn(8, 2, 6, 6) * 3 + 1
        assert torch.allclose(net(inputs), twin(inputs))
    for role in ("running_mean", "running_var"):
        assert torch.allclose(net.get(f"bn.{role}"), getattr(twin, role))
    inputs = drawn(8, 2, 6, 6)
    assert torch.allclose(net.eval()(inputs), twin.eval()(inputs))


def test_weights_can_be_handed_in_and_inputs_seen() -> None:
    net = Backbone(small.nodes(), initial(small.nodes(), 10, RANDOM)).eval()
    inputs, seen = drawn(4, 1, 8, 8), []

    def see(name: str, values: Any) -> Any:
        seen.append((name, tuple(values.shape)))
        return values * 2

    twice = {name: net.weight(name) * 2 for name in net.layers}
    assert torch.allclose(net(inputs, twice), net(inputs, see=see), atol=1e-4)
    assert seen == [
        ("stem.conv", (4, 1, 8, 8)),
        ("conv2", (4, 16, 4, 4)),
        ("conv3", (4, 16, 4, 4)),
        ("fc", (4, 96, 1, 1)),
    ]


def test_a_head_has_the_classes_of_its_weights() -> None:
    state = initial(small.nodes(), 4, RANDOM)
    assert Backbone(small.nodes(), state)(drawn(2, 1, 8, 8)).shape == (2, 4)
    assert with_classes(small.nodes(), 10) == small.nodes()


def test_tokens_go_in_and_come_out_in_the_order_of_pytorch() -> None:
    nodes = build_graph([
        Entry("input", "input", (), {"shape": (6, 5, 1)}),
        Entry("first", "linear", ("input",), {"out": 8}),
        Entry("norm", "layer_norm", ("first",), {}),
        Entry("second", "linear", ("norm",), {"out": 7}),
        Entry("gelu", "gelu", ("second",), {}),
    ])  # fmt: skip
    net = Backbone(nodes, initial(nodes, 7, RANDOM))
    first, norm, second = torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 7)
    for name, module in (("first", first), ("norm", norm), ("second", second)):
        module.load_state_dict({role: net.get(f"{name}.{role}") for role in ("weight", "bias")})
    inputs = drawn(3, 5, 6)
    assert torch.allclose(net(inputs), torch.nn.functional.gelu(second(norm(first(inputs)))), atol=1e-6)


def test_missing_parameters_are_all_named() -> None:
    state = initial(small.nodes(), 10, RANDOM)
    del state["fc.bias"], state["bn2.running_var"]
    with pytest.raises(InputError, match=r"bn2\.running_var, fc\.bias"):
        Backbone(small.nodes(), state)

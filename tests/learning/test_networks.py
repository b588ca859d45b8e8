"""Networks that people know: parameters as published, layers as in the tables of ``workloads/``."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mapping import nets  # noqa: E402

from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning import networks  # noqa: E402
from xbarsim.learning.backbone import Backbone  # noqa: E402
from xbarsim.learning.capture import Captured, capture  # noqa: E402
from xbarsim.mapping.placement import place  # noqa: E402
from xbarsim.network import load_network  # noqa: E402

PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "vgg16": 138_357_544,
    "resnet20": 269_722,
    "resnet32": 464_154,
}
"""Parameters: torchvision's documentation; of the CIFAR networks the sum over their layers, option A."""


def graph(name: str) -> Captured:
    """The graph of a network at its own image size, without weights."""
    with torch.device("meta"):
        return capture(networks.build(name), torch.zeros(1, *networks.BUILDERS[name][1]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_published(name: str) -> None:
    with torch.device("meta"):
        assert sum(one.numel() for one in networks.build(name).parameters()) == PUBLISHED[name]


def test_cifar_networks_by_their_formula() -> None:
    for depth, name in ((3, "resnet20"), (5, "resnet32")):
        convs = 9 * 3 * 16 + 9 * 2 * depth * (16**2 + 32**2 + 64**2) - 9 * (16 * 32 + 32 * 64)
        norms = 2 * (16 + 2 * depth * (16 + 32 + 64))
        assert PUBLISHED[name] == convs + norms + 64 * 10 + 10


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "vgg8"])
def test_the_same_crossbars_as_the_layer_table(name: str) -> None:
    found, table = graph(name), load_network(name)
    assert list(found.layers.items()) == list(table.layers.items())
    chip = load_chip("xbm_72")
    ours = place(chip, nets.network(found.nodes[0].shape, *found.entries[1:], tasks=5))
    theirs = place(chip, table)
    sites = [
        [(site.name, site.grid.crossbars, site.copies, site.first_tile, site.tiles) for site in one.sites.values()]
        for one in (ours, theirs)
    ]
    assert sites[0] == sites[1]
    assert (ours.tiles, ours.chips) == (theirs.tiles, theirs.chips)


@pytest.mark.parametrize("name", ["resnet34", "resnet32", "mobilenet_v2", "vgg16"])
def test_the_same_layers_as_the_layer_table(name: str) -> None:
    def shapes(layers: Any) -> list[tuple[object, ...]]:
        return [(one.weight_shape, one.groups, one.stride, one.windows, one.head) for one in layers.values()]

    assert shapes(graph(name).layers) == shapes(load_network(name).layers)


@pytest.mark.parametrize("name", [name for name in networks.BUILDERS if name not in ("vgg16", "resnet50")])
def test_the_graph_computes_what_the_module_does(name: str) -> None:
    torch.manual_seed(3)
    module = networks.build(name, 7).eval()
    side = 32 if networks.BUILDERS[name][1][1] == 32 else 64
    for one in module.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.normal_(0, 0.1)
            one.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, side, side)
    found = capture(module, images)
    with torch.no_grad():
        torch.testing.assert_close(Backbone(found.nodes, found.state()).eval()(images), module(images))
    assert found.unused == ()


@pytest.mark.parametrize("name", ["resnet34", "resnet32", "mobilenet_v2", "vit_small"])
def test_the_others_map_too(name: str) -> None:
    found = graph(name)
    placed = place(load_chip("xbm_72"), nets.network(found.nodes[0].shape, *found.entries[1:], tasks=2))
    assert list(placed.sites) == list(found.layers)
    assert placed.shortages == ()


def test_torchvision_names() -> None:
    with torch.device("meta"):
        names = set(networks.resnet50().state_dict()) | set(networks.mobilenet_v2().state_dict())
    assert {"layer2.0.downsample.1.running_var", "layer4.2.conv3.weight", "features.1.conv.0.0.weight"} <= names
    assert {"features.2.conv.3.num_batches_tracked", "features.18.1.bias", "classifier.1.weight"} <= names


def test_unknown_networks_are_named() -> None:
    with pytest.raises(InputError, match="no network 'resnet81'; known: .*did you mean 'resnet18'"):
        networks.build("resnet81")

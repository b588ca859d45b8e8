"""Networks that people know: published sizes, the files that come along, and room on a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from xbarsim.adaptions import Adaption
from xbarsim.adaptions.lorafusion import COEFFICIENT_BITS
from xbarsim.chip import Chip, load_chip
from xbarsim.config import folder
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.errors import InputError
from xbarsim.mapping import place
from xbarsim.network import Layer, Node, load_network
from xbarsim.network.builders import BUILDERS
from xbarsim.network.graph import derive_layers
from xbarsim.network.layer_table import read_layer_table

TOKENS = ("vit_tiny", "bert_base", "flan_t5_large")


@pytest.fixture(scope="module")
def chip() -> Chip:
    """A chip that multiplies activations."""
    return load_chip("xbm_72", ["vector.macs_per_cycle=1024"])


def built(name: str) -> tuple[tuple[Node, ...], Mapping[str, Layer]]:
    nodes = BUILDERS[name]().nodes
    return nodes, derive_layers(nodes)


def parameters(name: str) -> int:
    """Weights, biases, and two numbers per normalised channel."""
    nodes, layers = built(name)
    weights = sum(layer.weights + layer.bias * layer.c_out for layer in layers.values())
    return weights + sum(2 * node.shape[0] for node in nodes if node.op in ("batch_norm", "layer_norm"))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_layer_tables_are_what_the_builders_write(name: str) -> None:
    """To renew them: ``BUILDERS[name]().write(path)``, once the old file is gone."""
    assert (folder("workloads") / f"{name}.yaml").read_text("utf-8") == BUILDERS[name]().text()


def test_a_table_is_read_back_as_the_graph_it_was_written_from() -> None:
    for name, builder in BUILDERS.items():
        network = load_network(name)
        assert network.nodes == builder().nodes
        assert network.drawn.items() >= {k: v for k, v in builder().synthetic.items() if k != "lora_layers"}.items()


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_689_512),  # torchvision's documentation, as the four below
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("vgg16", 138_357_544),
        ("mobilenet_v2", 3_504_872),
    ],
)
def test_published_parameters(name: str, published: int) -> None:
    assert parameters(name) == published


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet32", 0.46)])
def test_the_cifar_networks_have_the_size_of_table_6(name: str, millions: float) -> None:
    """He et al. 2016, table 6."""
    assert round(parameters(name) / 1e6, 2) == millions


def test_vgg8_is_the_one_that_neurosim_ships() -> None:
    """NetWork_VGG8.csv of DNN+NeuroSim: (input channels, kernel, output channels, input size)."""
    layers = built("vgg8")[1].values()
    assert [(one.c_in, one.kernel[0], one.c_out, one.in_hw[0]) for one in layers] == [
        (3, 3, 128, 32), (128, 3, 128, 32), (128, 3, 256, 16), (256, 3, 256, 16), (256, 3, 512, 8), (512, 3, 512, 8),
        (8192, 1, 1024, 1), (1024, 1, 10, 1),
    ]  # fmt: skip


def test_vit_tiny() -> None:
    """5,717,416 in DeiT's code; the class token and 197 positions of width 192 are left out."""
    assert parameters("vit_tiny") == 5_717_416 - 192 - 197 * 192


def test_bert_base() -> None:
    """109,482,240 with the pooler; 30,522 words, 512 positions, 2 segments and their normalisation stand before it."""
    embeddings = (30_522 + 512 + 2 + 2) * 768
    assert parameters("bert_base") == 109_482_240 - embeddings + (768 + 1) * 2


def test_flan_t5_large() -> None:
    """783,150,080 in the public checkpoint: embeddings of 32,128 words and 2 x 32 x 16 relative positions included."""
    nodes, layers = built("flan_t5_large")
    norms = sum(node.op == "layer_norm" for node in nodes)
    assert norms == 24 * 2 + 24 * 3 + 2
    weights = sum(layer.weights for layer in layers.values())
    assert weights + norms * 1024 + 32_128 * 1024 + 2 * 32 * 16 == 783_150_080
    assert not any(layer.bias for layer in layers.values())


def test_the_pairs_of_lorafusion_stand_beside_flan_t5(chip: Chip) -> None:
    """144 queries and values: 4,718,592 numbers in pairs of rank 16 (10.1145/3716368.3735213 prints 4700K).

    Its 148K are 144 x 1024 magnitudes and 20 coefficients for each of 48 blocks; here every one of the 72
    attentions has coefficients of its own, 480 numbers more.
    """
    network = load_network("flan_t5_large")
    lora, fusion = Adaption.named("lora")(), Adaption.named("lorafusion")()
    grown = lora.extend(network)
    pairs = [lora.weight_bits(chip, layer, 8, grown.task("task1")) for layer in grown.layers.values()]
    assert sum(map(bool, pairs)) == 2 * 144
    assert sum(pairs) == 4_718_592 * 8
    grown = fusion.extend(network)
    bits = [fusion.mask_bits(chip, one, grown.task("task1")) for one in grown.layers.values() if not one.head]
    assert sum(bits) == (148_416 + 20 * 24) * COEFFICIENT_BITS


@pytest.mark.parametrize("name", BUILDERS)
def test_they_lie_on_a_chip(chip: Chip, name: str) -> None:
    placement = place(chip, load_network(name))
    layers = built(name)[1]
    assert set(placement.sites) == set(layers)
    for site in placement.sites.values():
        layer = site.grid.layer
        columns = layer.c_out * 4  # 8 bits in cells of 2
        assert site.grid.crossbars >= -(-layer.rows // 72) * -(-columns // 72) / layer.groups
        assert site.grid.crossbars * 72 * 72 >= layer.weights * 4


@pytest.mark.parametrize("name", TOKENS)
def test_attention_needs_a_vector_unit(name: str) -> None:
    network = load_network(name)
    with pytest.raises(InputError, match="has no vector unit"):
        plan(place(load_chip("xbm_72"), network), Adaption.named("xbm")(), parse_scenario(None, network))


def test_attention_multiplies_tokens_with_tokens() -> None:
    """Two products of T x T x D per block and attention."""
    from xbarsim.network import matmul_macs

    for name, blocks, tokens, width in (("vit_tiny", 12, 196, 192), ("bert_base", 12, 128, 768)):
        nodes, _ = built(name)
        shapes = {node.name: node.shape for node in nodes}
        macs = [matmul_macs(one, *(shapes[read] for read in one.inputs)) for one in nodes if one.op == "matmul"]
        assert macs == [tokens * tokens * width] * 2 * blocks


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    blueprint = replace(BUILDERS["vgg8"](), name="mine", bits={"weight_bits": 4})
    blueprint.write(path)
    assert read_layer_table(path).weight_bits == 4
    with pytest.raises(InputError, match="exists already"):
        blueprint.write(path)
    with pytest.raises(InputError, match="cannot be written: no such file"):
        blueprint.write(path.parent / "none" / "mine.yaml")
    assert [file.name for file in path.parent.iterdir()] == ["mine.yaml"]

"""What methods store, against published figures; every figure names its source."""

from __future__ import annotations

from pathlib import Path

import pytest

import xbarsim as xs
from xbarsim.adaptions import Adaption, model_bits, stored
from xbarsim.adaptions.base import values
from xbarsim.adaptions.lorafusion import COEFFICIENT_BITS
from xbarsim.chip import Chip
from xbarsim.config import find
from xbarsim.network import Coding, Network, load_network

CLASSES = (1000, 200, 196, 102, 195, 250)
"""ImageNet, CUBS, Stanford Cars, Flowers, WikiArt, Sketch."""


@pytest.fixture(scope="module")
def chip() -> Chip:
    return xs.load_chip("xbm_72")


@pytest.fixture(scope="module")
def resnet50() -> Network:
    return load_network("resnet50")


def masked(network: Network, chip: Chip, method: str, task: str | None = None) -> int:
    """Mask bits of one task; without one, of the method as it is described."""
    adaption = Adaption.named(method)()
    chosen = network.task(task) if task else None
    return sum(adaption.mask_bits(chip, layer, chosen) for layer in network.layers.values() if not layer.head)


def drawn(tmp_path: Path, name: str, **options: object) -> Network:
    """A layer table of the house with other synthetic masks."""
    head, _, tail = find("workloads", name).read_text().partition("synthetic: {")
    text = head + "synthetic: {" + "".join(f"{key}: {value}, " for key, value in options.items()) + tail
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return load_network(path)


def test_piggyback_stores_one_bit_per_weight(resnet50: Network, chip: Chip) -> None:
    """Mallya et al., ECCV 2018: 1 bit per parameter; 23,454,912 convolution weights, 2,931,864 bytes."""
    assert masked(resnet50, chip, "piggyback") == masked(resnet50, chip, "piggyback", "task1") == 23_454_912
    assert masked(resnet50, chip, "piggyback-ternary", "task1") == 2 * 23_454_912


def test_xbm_stores_one_bit_per_logical_column(resnet50: Network, chip: Chip) -> None:
    """Zhang et al., ASP-DAC 2022: 1.4 % of Piggyback's mask memory, at 72 rows."""
    bits = masked(resnet50, chip, "xbm", "task1")
    assert bits == 339_968
    assert bits / 23_454_912 == pytest.approx(0.014495, abs=1e-6)


@pytest.mark.parametrize(("bits", "saving"), [(2, 97.10), (3, 95.65)])
def test_xma_saves_mask_memory(tmp_path: Path, chip: Chip, bits: int, saving: float) -> None:
    """Against Piggyback on ResNet-50 at 72 rows; Zhang et al., DAC 2022, publish 96.6 % for unknown levels."""
    network = drawn(tmp_path, "resnet50", xma_bits=bits)
    ratio = masked(network, chip, "xma", "task1") / masked(network, chip, "piggyback", "task1")
    assert 100 * (1 - ratio) == pytest.approx(saving, abs=0.005)
    if bits == 2:
        assert masked(network, chip, "xma") == masked(network, chip, "xma", "task1")


def test_five_packed_levels_come_closest_to_the_published_saving(resnet50: Network, chip: Chip) -> None:
    """log2(5) = 2.32 bits per column: 96.63 %; Zhang et al., DAC 2022, publish 96.6 %."""
    five = Coding("shift", "column", None, (-2, -1, 0, 1))
    columns = masked(resnet50, chip, "xbm")
    assert 100 * (1 - five.stored_bits(columns) / 23_454_912) == pytest.approx(96.63, abs=0.005)


def test_xma_at_64_rows(resnet50: Network) -> None:
    """2 bits at 64 and 72 rows bracket 96.8 to 97.1 %: the published 96.6 % lies below."""
    chip = xs.load_chip("xbm_72", ["crossbar.rows=64"])
    saving = 100 * (1 - masked(resnet50, chip, "xma", "task1") / 23_454_912)
    assert 96.8 <= saving <= 97.1


def test_ksm_has_one_value_per_kernel(resnet50: Network, chip: Chip) -> None:
    """13,385,920 two-dimensional kernels of ResNet-50 (Yang et al., CVPR 2021: kernel-wise sharing)."""
    kernels = Coding("soft", "kernel", 8, step=1.0)
    layers = [layer for layer in resnet50.layers.values() if not layer.head]
    assert sum(values(chip, layer, kernels) for layer in layers) == 13_385_920
    assert masked(resnet50, chip, "ksm", "task1") == 8 * 13_385_920


@pytest.mark.parametrize(
    ("method", "mib", "source"),
    [
        ("finetune", 554.46, "six separate ResNet-50: 554 MB in CPG's README (ivclab/CPG)"),
        ("piggyback", 121.07, "121 MB there"),
        ("packnet", 115.48, "115 MB there"),
        ("xbm", 107.29, "the same count with XBM's masks at 72 rows"),
    ],
)
def test_model_sizes(resnet50: Network, chip: Chip, method: str, mib: float, source: str) -> None:
    """Single-precision weights, heads with bias, four normalisation vectors per task."""
    found = model_bits(Adaption.named(method)(), chip, resnet50, CLASSES) / 8 / 2**20
    assert found == pytest.approx(mib, abs=0.005), source


def flan_t5_large(tmp_path: Path) -> Network:
    """The 144 query and value projections of Flan-T5-large, one after another: width 1024, 24 + 24 blocks."""
    names = [f"encoder.{block}.{part}" for block in range(24) for part in ("q", "v")]
    names += [f"decoder.{block}.{part}" for block in range(24) for part in ("q", "v", "cross_q", "cross_v")]
    layers = "".join(f"  - {{linear: {name}, out: 1024, bias: false}}\n" for name in names)
    text = (
        f"schema: 1\nname: flan_t5_large_qv\ninput: [1024, 1, 1]\nlayers:\n{layers}  - relu\n  - {{linear: head, out: 2}}\n"
        "synthetic: {tasks: 1, lora_rank: 16, fusion_modules: 20}\n"
    )
    path = tmp_path / "flan_t5_large_qv.yaml"
    path.write_text(text)
    return load_network(path)


def test_lora_and_lorafusion_train_so_many_parameters(tmp_path: Path, chip: Chip) -> None:
    """148,416 against 4,718,592: GLSVLSI 2025 (10.1145/3716368.3735213) prints 148K and 4700K, 3 %."""
    network = flan_t5_large(tmp_path)
    assert sum(not layer.head for layer in network.layers.values()) == 144
    lora, fusion = Adaption.named("lora")(), Adaption.named("lorafusion")()
    grown = lora.extend(network)
    pairs = [lora.weight_bits(chip, layer, 8, grown.task("task1")) for layer in grown.layers.values()]
    assert sum(pairs) == 4_718_592 * 8
    grown = fusion.extend(network)
    task = grown.task("task1")
    numbers = [fusion.mask_bits(chip, layer, task) for layer in grown.layers.values() if not layer.head]
    assert sum(numbers) == 148_416 * COEFFICIENT_BITS
    assert sum(fusion.weight_bits(chip, layer, 8, task) for layer in grown.layers.values()) == 0


def test_xma2_stores_units_frozen_columns_and_new_weights(tmp_path: Path, chip: Chip) -> None:
    """Zhang et al., Front. Electron. 2022: a PE-wise and a column-wise mask, and the weights of chosen PEs."""
    network = drawn(tmp_path, "resnet18")
    adaption, task = Adaption.named("xma2")(), network.task("task1")
    layer = network.layers["layer2.0.conv2"]  # 1152 rows: 16 blocks of 128 channels, 18 to a crossbar
    chosen = adaption.chosen(chip, task, layer.name)
    units = 16 * 8
    assert adaption.mask_bits(chip, layer, task) == units + 2 * int((~chosen).sum())
    rewritten = adaption.units(chip, task, layer.name).expand(layer).astype(bool)
    assert adaption.weight_bits(chip, layer, 8, task) == 8 * rewritten.sum()
    assert stored(adaption, xs.place(chip, network), task).weight_bits > 0


def test_owners_are_stored_once_for_all_tasks(chip: Chip, resnet50: Network) -> None:
    """ceil(log2(T + 1)) bits per weight (PackNet, CPG) or column (XST), T = 5 tasks."""
    placement = xs.place(chip, resnet50)
    for method, each in (("packnet", 23_454_912), ("cpg", 23_454_912), ("xst", 339_968)):
        assert stored(Adaption.named(method)(), placement).index_bits == 3 * each
    assert stored(Adaption.named("xst")(), placement).mask_bits == 339_968
    assert stored(Adaption.named("packnet")(), placement).mask_bits == 0

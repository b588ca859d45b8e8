"""Bundles with tensors of every method: what is written comes back, and one fault each is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from network.breaking import MANIFEST, MISSING, RED, Break, copy, put, remove, rename, same, shows, tensor, with_value
from network.rich import HELD, rich
from network.small import LAYERS, ROWS

from xbarsim.network import Geometry, load_network
from xbarsim.network.bundle_writer import write_bundle
from xbarsim.network.masks import OFF

CPG, XST = "shared/cpg.safetensors", "shared/xst.safetensors"
LORA, FUSION = "graphs/lora.json", "graphs/lorafusion.json"
METHODS = "tasks/red/methods"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as it should be."""
    path = tmp_path_factory.mktemp("rich") / "rich.xmn"
    write_bundle(path, rich())
    return path


def test_masks_units_owners_and_weights_come_back(good: Path) -> None:
    network, made = load_network(good), rich()
    for name, task in network.tasks.items():
        for method, stored in made.tasks[name].methods.items():
            for layer in HELD:
                for found, expected in (
                    (task.mask(method, layer), stored.masks.get(layer)),
                    (task.units(method, layer), stored.units.get(layer)),
                    (
                        network.owners(method, layer),
                        made.shared[method].owners.get(layer) if method in made.shared else None,
                    ),
                ):
                    assert (found is None) == (expected is None)
                    if found and expected:
                        assert np.array_equal(found.values, expected.values)
                        assert (found.coding, found.geometry) == (expected.coding, expected.geometry)


def test_stored_integers_are_the_integers(good: Path) -> None:
    network, made = load_network(good), rich()
    for layer, held in HELD.items():
        expected = made.shared["xst"].weights[layer].reshape(held.c_out, held.rows)
        assert np.array_equal(network.shared("xst", layer), expected)
        assert np.array_equal(network.shared("xma", layer), network.integers(layer))
        own = made.tasks["red"].methods["xma2"].weights[layer].reshape(held.c_out, held.rows)
        assert np.array_equal(network.task("red").weights("xma2", layer), own)


def test_a_task_says_what_it_has(good: Path) -> None:
    task = load_network(good).task("blue")
    assert set(task.tensors("xma2")) == {f"{role}/{layer}" for role in ("masks", "units", "weights") for layer in HELD}
    assert {"owners/conv1", "shared/conv1", "masks/conv1"} <= task.tensors("cpg").keys()
    assert task.tensors("xma")["masks/conv1"].levels == (-1, 0, 1)
    assert task.tensors("ksm")["masks/conv1"].stored_bits(10) == 60
    assert task.number == 2


def test_a_method_brings_its_graph(good: Path) -> None:
    network = load_network(good)
    nodes = network.store.graph("lora")
    grown = network.extended(nodes)
    assert [name for name in grown.layers if grown.branch(name)] == ["conv1.lora_a", "conv1.lora_b"]
    assert grown.task("red").weights("lora", "conv1.lora_b").shape == (8, 2)
    assert network.store.graph("xma") is None


def test_an_older_bundle_is_still_read(good: Path, tmp_path: Path) -> None:
    """Bundles of before had no shared methods, and masks without coding."""
    import json

    manifest = json.loads((good / MANIFEST).read_text())
    masks = manifest["tasks"]["red"]["methods"]["xbm"]["masks"]
    assert set(masks["conv1"]) == {"kind", "granularity", "rows", "row_order", "kernel_aligned", "key"}


def owners(method: str, change: object, layer: str = "conv1") -> Break:
    return tensor(f"shared/{method}.safetensors", f"owners/{layer}", change)


def both(one: Break, other: Break) -> Break:
    def change(bundle: Path) -> None:
        one(bundle)
        other(bundle)

    return change


OWNS_ITSELF = with_value((slice(None), slice(None)), 1)

BROKEN: dict[str, tuple[Break, str, str]] = {
    # kinds and what is said of their values
    "ternary value": (tensor(RED, "piggyback-ternary/masks/conv1", with_value((0, 0), 2)), RED, r"value 2; a ternary mask holds \(-1, 0, 1\)"),
    "ternary type": (tensor(RED, "piggyback-ternary/masks/conv1", lambda a: a.astype(np.int16)), RED, "holds int16, not int8"),
    "ternary by column": (put(MANIFEST, f"{METHODS}/piggyback-ternary/masks/conv1/granularity", "column"), RED, "a ternary mask is by element, not by column"),
    "kernel shape": (tensor(RED, "ksm/masks/conv2", lambda a: a.T), RED, r"shape \(4, 6\) is not \(6, 4\): .*one value per 2-D kernel"),
    "soft value": (tensor(RED, "ksm/masks/conv1", with_value((0, 0), 32)), RED, "value 32; it must be -32 to 31"),
    "soft without bits": (put(MANIFEST, f"{METHODS}/ksm/masks/conv1/bits", MISSING), RED, "a soft mask states the bits of a value"),
    "soft without step": (put(MANIFEST, f"{METHODS}/ksm/masks/conv1/step", MISSING), RED, "soft and scale masks, and no others, state their step"),
    "step zero": (put(MANIFEST, f"{METHODS}/ksm/masks/conv1/step", 0.0), MANIFEST, r"ksm\.masks\.conv1\.step: "),
    "soft floats": (tensor(RED, "ksm/masks/conv1", lambda a: a.astype(np.float32) * np.nan), RED, "holds float32, not int8 or int16"),
    "shift value": (tensor(RED, "xma/masks/conv1", with_value((0, 0), 2)), RED, r"value 2; a shift mask holds \(-128, -1, 0, 1\)"),
    "shift without levels": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/levels", MISSING), RED, "shift masks, and no others, state their levels"),
    "levels in disorder": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/levels", [0, -1, 1]), RED, "are not ascending exponents"),
    "levels too far": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/levels", [-1, 0, 99]), RED, "from -15 to 15"),
    "levels beyond bits": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/levels", [-1, 0, 1, 2]), RED, "2 bits are too few for 4 levels and off"),
    "levels of binary": (put(MANIFEST, f"{METHODS}/xbm/masks/conv1/levels", [0]), RED, "shift masks, and no others, state their levels"),
    "bits of binary": (put(MANIFEST, f"{METHODS}/xbm/masks/conv1/bits", 2), RED, "a binary mask states no bits"),
    "bits absurd": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/bits", 99), MANIFEST, r"xma\.masks\.conv1\.bits: "),
    "shift height": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/rows", 18), MANIFEST, "one height per bundle"),
    "scale value": (tensor(RED, "xma2/masks/conv1", with_value((0, 0), 40)), RED, "value 40; it must be 0 to 31"),
    "scale type": (tensor(RED, "xma2/masks/conv1", lambda a: a.astype(np.int8)), RED, "holds int8, not uint8 or uint16"),
    # rewritten crossbars
    "units shape": (tensor(RED, "xma2/units/conv1", lambda a: a[:-1]), RED, r"shape \(3,\) is not \(4,\): .*9 rows and 4 logical columns to a unit"),
    "units value": (tensor(RED, "xma2/units/conv1", with_value((0,), 3)), RED, "value 3; a binary mask holds"),
    "units without columns": (put(MANIFEST, f"{METHODS}/xma2/units/conv1/columns", MISSING), RED, "state the logical columns of a crossbar"),
    "units of two": (put(MANIFEST, f"{METHODS}/xma2/units/conv1/crossbars", 2), RED, "the unit is a crossbar, not 2"),
    "units height": (put(MANIFEST, f"{METHODS}/xma2/units/conv1/rows", 12), MANIFEST, "one height per bundle"),
    "columns of columns": (put(MANIFEST, f"{METHODS}/xma/masks/conv1/columns", 4), RED, "only crossbar and pe masks state columns"),
    "units misplaced": (put(MANIFEST, f"{METHODS}/xma2/units/conv1/granularity", "column"), RED, "only crossbar and pe masks state columns"),
    "column mask as units": (both(rename(MANIFEST, f"{METHODS}/xma", "masks", "units"), put(MANIFEST, f"{METHODS}/xma/masks", {})), RED, "belongs under 'masks', not 'units'"),
    "units layer": (rename(MANIFEST, f"{METHODS}/xma2/units", "conv1", "conv7"), MANIFEST, r"units\.conv7: no crossbar layer 'conv7'"),
    "units without weights": (put(MANIFEST, f"{METHODS}/xma2/weights", ["conv2"]), MANIFEST, "needs the task's weights of layer 'conv1'"),
    "frozen weights": (tensor(RED, "xma2/weights/conv1", lambda a: (a.astype(int) // 2).astype(np.int8)), RED, "differ from the backbone's outside the chosen units"),
    "units quantiser": (
        rename(MANIFEST, f"{METHODS}/xma2/quantisers", "fc", "conv1"), MANIFEST, "keeps the backbone's quantiser",
    ),
    "integer weights": (tensor(RED, "finetune-partial/weights/conv2", lambda a: a.astype(np.int16) * 3), RED, "do not fit 8 bits"),
    "integer shape": (tensor(RED, "finetune-partial/weights/conv2", lambda a: a[:2]), RED, r"shape \[2, 4, 3, 3\] is not \[6, 4, 3, 3\]"),
    # owners and picks
    "owner unknown": (owners("cpg", with_value((0, 0), 3)), CPG, "value 3; it must be 0 to 2"),
    "owner shape": (owners("xst", lambda a: a[:1]), XST, r"shape \(1, 8\) is not \(2, 8\)"),
    "owner type": (owners("cpg", lambda a: a.astype(np.float32)), CPG, "holds float32, not uint8 or uint16"),
    "owner kind": (put(MANIFEST, "shared/cpg/owners/conv1/kind", "pick"), MANIFEST, r"owners\.conv1\.kind: 'pick' is not 'owner'"),
    "owner missing": (owners("cpg", MISSING), CPG, "owners/conv1: missing tensor"),
    "owner layer": (rename(MANIFEST, "shared/cpg/owners", "conv1", "conv0"), MANIFEST, r"owners\.conv0: no crossbar layer 'conv0'"),
    "own pick": (owners("cpg", OWNS_ITSELF), RED, "picks what task 'red' .owner 1. owns itself, or what a younger task owns"),
    "own column pick": (owners("xst", OWNS_ITSELF), RED, "picks what task 'red'"),
    "pick without owners": (put(MANIFEST, "shared/xst/owners", {}), RED, "a pick mask needs owners by column of layer 'conv1'"),
    "owner among masks": (put(MANIFEST, f"{METHODS}/xbm/masks/conv1/kind", "owner"), RED, "belongs under 'owners', not 'masks'"),
    "shared weights": (tensor(CPG, "weights/conv1", lambda a: a[:2]), CPG, r"weights/conv1: shape \[2, 2, 3, 3\] is not"),
    "shared unused": (tensor(CPG, "weights/conv1", same, "weights/conv9"), CPG, "weights/conv9: nothing uses this tensor"),
    "shared method": (rename(MANIFEST, "shared", "cpg", "cgp"), MANIFEST, "no task has tensors of method 'cgp'; did you mean 'cpg'"),
    "shared file": (remove(CPG), CPG, "cannot be read: no such file"),
    "shared stray": (copy(CPG, "shared/cpq.safetensors"), "shared/cpq.safetensors", "no shared method 'cpq'; did you mean 'cpg'"),
    "shared quantiser": (put(MANIFEST, "shared/cpg/quantisers", {"conv1": {
        "bits": 8, "scheme": "symmetric", "rounding": "half_even", "axis": None, "scale": [1.0]}}), MANIFEST, "layers of the backbone keep its quantiser"),
    "shared key": (put(MANIFEST, "shared/cpg/owner", {}), MANIFEST, "owner: .*did you mean 'owners'"),
    # branches
    "graph missing": (remove(LORA), LORA, "cannot be read: no such file"),
    "graph stray": (copy(LORA, "graphs/loro.json"), "graphs/loro.json", "no shared method 'loro'; did you mean"),
    "graph changed": (put(LORA, "nodes/2/attrs/eps", 0.5), LORA, "node 'bn1' of the backbone is not in it as it is|nodes.2"),
    "graph shape": (put(LORA, "nodes/2/shape/0", 3), LORA, r"nodes\.2\.conv1\.lora_a\.shape: "),
    "graph not said": (put(MANIFEST, "shared/lora/graph", False), MANIFEST, "no crossbar layer 'conv1.lora_a'"),
    "branch weights": (put(MANIFEST, f"{METHODS}/lora/weights/0", MISSING), MANIFEST, "no weights for layer 'conv1.lora_a' beside the backbone"),
    "branch quantiser": (put(MANIFEST, f"{METHODS}/lora/quantisers/conv1.lora_a", MISSING), MANIFEST, "no quantiser for layer 'conv1.lora_a'"),
    "branch NaN": (tensor(RED, "lora/weights/conv1.lora_a", lambda a: a * np.nan), RED, "values are not finite"),
    "coefficients": (tensor(RED, "lorafusion/state/conv1.fuse.weight", lambda a: a[:2]), RED, r"fuse\.weight: shape \[2\] is not \[3\]"),
    "coefficients missing": (tensor(RED, "lorafusion/state/conv1.fuse.weight", MISSING), RED, r"conv1\.fuse\.weight: missing tensor"),
    "pool": (tensor("shared/lorafusion.safetensors", "weights/conv1.pool_b", MISSING), "shared/lorafusion.safetensors", "weights/conv1.pool_b: missing tensor"),
    "scale groups": (put(FUSION, "nodes/3/attrs/groups", 4), FUSION, r"conv1\.fuse\.groups: 6 channels do not divide into 4 groups"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_with_file_and_place(good: Path, tmp_path: Path, name: str) -> None:
    change, file, message = BROKEN[name]
    broken = tmp_path / "rich.xmn"
    shutil.copytree(good, broken)
    change(broken)
    shows(broken, file, message)


def test_off_is_no_exponent() -> None:
    assert abs(OFF) > 15


def test_geometry_of_the_units(good: Path) -> None:
    mask = load_network(good).task("red").units("xma2", "conv2")
    assert mask.geometry == Geometry(ROWS, False, 4, 1)
    assert mask.expand(LAYERS["conv2"]).shape == (6, 36)

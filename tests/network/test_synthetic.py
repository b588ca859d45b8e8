"""Synthetic tensors: repeatable, independent of each other, of the distribution they claim."""

from __future__ import annotations

import numpy as np
import pytest

from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.network.masks import check_mask
from xbarsim.network.synthetic import METHODS

LAYER = "layer3.1.conv2"


def test_the_same_seed_gives_the_same_tensors_in_any_order() -> None:
    one, two = load_network("resnet18", seed=5), load_network("resnet18", seed=5)
    first = {name: one.integers(name, 8) for name in one.layers}
    for name in reversed(list(two.layers)):
        two.task("task3").mask("piggyback", name)
        assert np.array_equal(two.integers(name, 8), first[name])


def test_seed_layer_task_and_method_all_matter() -> None:
    network, other = load_network("resnet18"), load_network("resnet18", seed=1)
    arrays = [
        network.integers(LAYER, 8),
        other.integers(LAYER, 8),
        network.integers("layer3.1.conv1", 8),
        *(network.task(task).weights("finetune", LAYER, 8) for task in ("task1", "task2")),
    ]
    masks = [network.task(task).mask("piggyback", LAYER).values for task in ("task1", "task2")]
    heads = [network.task("task1").weights(method, "fc", 8) for method in METHODS]
    for group in (arrays, masks, heads):
        assert len({array.tobytes() for array in group}) == len(group)


def test_the_stream_has_not_changed() -> None:
    """Results made from a seed stay comparable over versions."""
    network = load_network("resnet18")
    assert network.integers("conv1", 8)[0, :8].tolist() == [43, -77, 26, -96, 32, 12, -41, -30]
    assert network.task("task1").mask("xbm", LAYER, 72).values[0, :16].tolist() == [
        1,
        0,
        1,
        0,
        1,
        1,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(("bits", "kind"), [(2, np.int8), (4, np.int8), (8, np.int8), (16, np.int16)])
def test_weights_are_a_clipped_normal_distribution(bits: int, kind: type) -> None:
    integers = load_network("resnet18").integers(LAYER, bits)
    limit = 2 ** (bits - 1) - 1
    assert integers.dtype == kind
    assert integers.shape == (256, 2304)
    assert (integers.min(), integers.max()) == (-limit, limit)
    assert abs(integers.mean()) < 0.01 * limit
    if bits >= 8:
        deviations = integers / (limit / 3)
        assert deviations.std() == pytest.approx(0.9973, abs=0.005)
        assert (np.abs(deviations) < 1).mean() == pytest.approx(0.6827, abs=0.01)


def test_fine_tuned_weights_stay_near_the_backbone() -> None:
    network = load_network("resnet18")
    task, limit = network.task("task2"), 127
    tuned, backbone = task.weights("finetune", LAYER, 8), network.integers(LAYER, 8)
    assert tuned.dtype == np.int8
    assert np.abs(tuned).max() <= limit
    assert (tuned.astype(int) - backbone).std() == pytest.approx(0.1 * limit / 3, rel=0.03)
    assert task.weights("xbm", LAYER, 8) is None
    assert task.weights("piggyback", LAYER, 8) is None


def test_masks_have_the_density_of_the_table() -> None:
    network = load_network("resnet18")
    task = network.task("task1")
    for rows in (64, 72, 128):
        mask = task.mask("xbm", LAYER, rows)
        assert (mask.rows, mask.granularity) == (rows, "column")
        assert check_mask(mask, network.layers[LAYER]) == []
        assert mask.density == pytest.approx(0.6, abs=0.02)
    element = task.mask("piggyback", LAYER)
    assert check_mask(element, network.layers[LAYER]) == []
    assert element.density == pytest.approx(0.8, abs=0.005)
    assert task.mask("finetune", LAYER) is None


def test_masks_can_keep_kernels_whole() -> None:
    network = load_network("resnet18")
    mask = network.task("task1").mask("xbm", LAYER, 128, kernel_aligned=True)
    assert mask.kernel_aligned
    assert mask.values.shape == (19, 256)  # 2304 rows in blocks of 126


def test_column_masks_need_a_height() -> None:
    with pytest.raises(ValueError, match="pass rows"):
        load_network("resnet18").task("task1").mask("xbm", LAYER)


def test_the_head_is_never_masked_and_always_the_tasks_own() -> None:
    task = load_network("resnet18").task("task1")
    assert task.mask("xbm", "fc", 72) is None
    assert task.mask("piggyback", "fc") is None
    assert task.weights("xbm", "fc", 8).shape == (1000, 512)


def test_the_head_as_floats_quantises_to_its_integers() -> None:
    task = load_network("resnet18").task("task1")
    quantiser = task.quantiser("xbm", "fc", 8)
    assert np.array_equal(quantiser.integers(task.head("xbm")), task.weights("xbm", "fc", 8))


def test_state_has_every_parameter_but_the_crossbar_weights() -> None:
    network = load_network("resnet18")
    state = network.task("task1").state("xbm")
    expected = {f"{name}.{role}" for name in network.norm_channels() for role in
                ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
    assert state.keys() == expected | {"fc.weight", "fc.bias"}
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in state.values())
    assert all((array > 0).all() for name, array in state.items() if name.endswith("running_var"))
    assert state.keys() == network.state().keys()


def test_convolution_biases_are_state() -> None:
    assert load_network("vgg16").state()["conv1_1.bias"].shape == (64,)


def test_the_width_is_the_chips_where_the_network_has_none() -> None:
    with pytest.raises(InputError, match="states no weight_bits"):
        load_network("resnet18").integers("conv1")
    with pytest.raises(InputError, match="have 16 bits and cannot be read as 8"):
        load_network("one_window").integers("fc", 8)


def test_nothing_was_measured() -> None:
    task = load_network("resnet18").task("task1")
    assert task.accuracy("xbm") is None
    assert task.samples() is None


def test_methods_without_tensors_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"resnet18\.yaml: .*task 'task1' has no tensors 'loras/….*it has: xbm.*did you mean 'lora'"
    ):
        load_network("resnet18").task("task1").needs("loras")

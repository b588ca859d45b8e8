"""Bundles: what is written comes back, whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from network.small import CLASSES, ENTRIES, LAYERS, ROWS, content

from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.network.bundle_writer import write_bundle


def test_graph_and_manifest_come_back(bundle: Path) -> None:
    network = load_network(bundle)
    assert network.name == "small"
    assert [node.name for node in network.nodes] == [entry.name for entry in ENTRIES]
    assert dict(network.layers) == dict(LAYERS)
    assert (network.weight_bits, network.input_bits, network.mask_rows) == (8, 8, ROWS)
    assert not network.synthetic
    assert network.source == str(bundle)
    assert {name: task.classes for name, task in network.tasks.items()} == CLASSES
    assert network.task("red").methods == ("xbm", "piggyback", "finetune")
    assert network.norm_channels() == {"bn1": 8, "bn2": 6}


def test_integers_are_the_weights_by_the_quantiser(bundle: Path) -> None:
    network, made = load_network(bundle), content()
    for name, layer in LAYERS.items():
        expected = made.quantisers[name].integers(made.backbone[f"{name}.weight"])
        assert network.integers(name).dtype == np.int8
        assert np.array_equal(network.integers(name), expected.reshape(layer.c_out, layer.rows))


def test_kernels_are_unrolled_in_channel_row_column_order(bundle: Path) -> None:
    network, made = load_network(bundle), content()
    layer = LAYERS["conv1"]
    integers, weights = network.integers("conv1"), made.backbone["conv1.weight"]
    for out in range(layer.c_out):
        row = 0
        for channel in range(layer.c_in):
            for y in range(3):
                for x in range(3):
                    step = made.quantisers["conv1"].scale[out]
                    assert integers[out, row] == round(float(weights[out, channel, y, x]) / float(step))
                    row += 1


def test_masks_weights_and_state_come_back(bundle: Path) -> None:
    network, made = load_network(bundle), content()
    for name, task in network.tasks.items():
        for method, stored in made.tasks[name].methods.items():
            state = task.state(method)
            assert state.keys() == stored.state.keys()
            assert all(np.array_equal(state[key], stored.state[key]) for key in state)
            assert np.array_equal(task.head(method), stored.state["fc.weight"])
            assert task.weights(method, "fc").shape == (CLASSES[name], 6)
            assert task.accuracy(method) == stored.accuracy
            for layer in LAYERS:
                mask, expected = task.mask(method, layer), stored.masks.get(layer)
                assert (mask is None) == (expected is None)
                if mask and expected:
                    assert np.array_equal(mask.values, expected.values)
                    assert (mask.granularity, mask.rows) == (expected.granularity, expected.rows)


def test_only_fine_tuned_layers_have_weights_of_their_own(bundle: Path) -> None:
    task, made = load_network(bundle).task("red"), content().tasks["red"].methods["finetune"]
    assert task.weights("finetune", "conv2") is None
    assert task.weights("xbm", "conv1") is None
    expected = made.quantisers["conv1"].integers(made.weights["conv1"]).reshape(8, -1)
    assert np.array_equal(task.weights("finetune", "conv1"), expected)


def test_backbone_state_leaves_out_the_crossbar_weights(bundle: Path) -> None:
    state = load_network(bundle).state()
    assert "conv1.weight" not in state
    assert {"conv1.bias", "bn1.running_var", "fc.weight", "fc.bias", "conv2.input_scale"} <= state.keys()


def test_samples_are_scaled(bundle: Path) -> None:
    samples, made = load_network(bundle).task("blue").samples(), content().tasks["blue"].samples
    assert samples.inputs.dtype == np.float32
    assert np.array_equal(samples.inputs, made.inputs.astype(np.float32) * np.float32(1 / 255))
    assert np.array_equal(samples.labels, made.labels)


def test_the_head_layer_has_the_tasks_classes(bundle: Path) -> None:
    network = load_network(bundle)
    assert network.head.c_out == 4
    assert network.task("red").head_layer.c_out == 3


def test_an_unknown_method_task_or_layer_is_named(bundle: Path) -> None:
    network = load_network(bundle)
    with pytest.raises(InputError, match=r"no task 'rad'; known: red, blue; did you mean 'red'"):
        network.task("rad")
    with pytest.raises(InputError, match=r"task 'red' has no tensors 'xmb/….*did you mean 'xbm'"):
        network.task("red").mask("xmb", "conv1")
    with pytest.raises(InputError, match=r"no crossbar layer 'conv3'; did you mean"):
        network.integers("conv3")


def test_weights_cannot_be_read_at_another_width(bundle: Path) -> None:
    with pytest.raises(InputError, match=r"small\.xmn: the weights have 8 bits and cannot be read as 4"):
        load_network(bundle).integers("conv1", 4)


def test_a_network_survives_pickling(bundle: Path) -> None:
    network = load_network(bundle)
    copy = pickle.loads(pickle.dumps(network))  # noqa: S301 - our own bytes, as worker processes get them
    assert np.array_equal(copy.integers("conv1"), network.integers("conv1"))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.xmn", "two.xmn"):
        write_bundle(tmp_path / name, content())
    files = [path.relative_to(tmp_path / "one.xmn") for path in (tmp_path / "one.xmn").rglob("*.*")]
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one.xmn" / file).read_bytes() == (tmp_path / "two.xmn" / file).read_bytes()


def test_an_existing_bundle_is_only_replaced_when_asked(bundle: Path) -> None:
    with pytest.raises(InputError, match="exists already; nothing was written"):
        write_bundle(bundle, content(1))
    before = load_network(bundle).fingerprint
    assert write_bundle(bundle, content(1), overwrite=True).fingerprint != before
    assert [path.name for path in bundle.parent.iterdir()] == ["small.xmn"]


def test_a_fault_while_writing_leaves_nothing(tmp_path: Path) -> None:
    made = content()
    broken = replace(made, backbone=dict(made.backbone) | {"bn1.weight": np.full(8, np.nan, np.float32)})
    with pytest.raises(InputError) as raised:
        write_bundle(tmp_path / "bad.xmn", broken)
    assert str(raised.value).startswith(f"{tmp_path}/bad.xmn/backbone.safetensors: bn1.weight: 8 of 8")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_while_replacing_keeps_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(made: Path, path: Path) -> None:
        raise KeyboardInterrupt

    before = load_network(bundle).fingerprint
    monkeypatch.setattr("xbarsim.network.bundle_writer._rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(bundle, content(1), overwrite=True)
    assert load_network(bundle).fingerprint == before
    assert [path.name for path in bundle.parent.iterdir()] == ["small.xmn"]

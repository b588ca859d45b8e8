"""``xs.torch.evaluate``: a bundle on a chip, on the batches of a loader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xbarsim as xs
from xbarsim.errors import InputError
from xbarsim.network import Network, load_network


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def batches(network: Network, task: str, count: int = 24, size: int = 10) -> Iterator[list[Any]]:
    samples = network.task(task).samples()
    for at in range(0, count, size):
        part = slice(at, min(at + size, count))
        yield [samples.inputs[part], samples.labels[part]]


def test_arrays_in_batches(digits: Network) -> None:
    chip = xs.load_chip("xbm_72", ["device.variation.proportional=0.05"])
    found = xs.torch.evaluate(digits, chip, batches(digits, "rotated"), task="rotated", method="xbm", seeds=2)
    assert found.samples == 24
    assert list(found.accuracy) == ["float", "quantised", "converters", "cells"]
    assert len(found.by_seed) == 2
    assert found.accuracy["cells"] == np.mean(found.by_seed)
    wanted = xs.accuracy(chip, digits, tasks=["rotated"], methods=["xbm"], seeds=2, samples=24)
    assert found.accuracy == {row["stage"]: row["accuracy"] for row in wanted.rows}
    assert all(ratio < 60 for ratio in found.snr_db.values())


def test_tensors_of_a_loader(digits: Network) -> None:
    torch = pytest.importorskip("torch")
    samples = digits.task("digits").samples()
    tensors = torch.utils.data.TensorDataset(
        torch.from_numpy(samples.inputs).requires_grad_(), torch.from_numpy(samples.labels)
    )
    loader = torch.utils.data.DataLoader(tensors, batch_size=100)
    found = xs.torch.evaluate("digits", "xbm_72", loader, task="digits", method="finetune")
    assert found.samples == 360
    assert found.accuracy["cells"] == found.accuracy["quantised"] > 0.95
    assert found.snr_db == dict.fromkeys(digits.layers)


def test_a_module(digits: Network) -> None:
    pytest.importorskip("torch")
    from xbarsim.learning.export import load_module

    module = load_module(digits, "digits", "finetune")
    found = xs.torch.evaluate(module, "xbm_72", batches(digits, "digits", 60))
    bundle = xs.torch.evaluate(digits, "xbm_72", batches(digits, "digits", 60), task="digits", method="finetune")
    assert found.samples == 60
    assert found.accuracy["float"] == bundle.accuracy["float"]
    assert found.accuracy["cells"] == found.accuracy["quantised"] > 0.9
    assert "not in the bundle" in found.notes[0]


def test_a_module_written_by_hand(digits: Network) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = (torch.nn.Flatten(), torch.nn.Linear(64, 12), torch.nn.ReLU(), torch.nn.Linear(12, 10))
    module = torch.nn.Sequential(*layers).train()
    found = xs.torch.evaluate(module, "xbm_72", batches(digits, "digits", 30), layers=["1"])
    assert found.samples == 30
    assert list(found.snr_db) == ["1", "3"]
    assert module.training
    with pytest.raises(InputError, match="aten.mish.default: has no counterpart"):
        xs.torch.evaluate(torch.nn.Sequential(*layers, torch.nn.Mish()), "xbm_72", batches(digits, "digits"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name the task; known: digits, rotated, inverted"),
        ({"task": "digit"}, "did you mean 'digits'"),
        ({"task": "digits"}, "name the method; known: xbm, "),
        ({"task": "digits", "method": "xbn"}, "did you mean 'xbm'"),
        ({"task": "digits", "method": "xbm", "layers": ["conv7"]}, "no crossbar layer 'conv7'"),
        ({"task": "digits", "method": "xbm", "seeds": 0}, "seeds: 0 is below 1"),
    ],
)
def test_what_is_asked_must_be_there(digits: Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        xs.torch.evaluate(digits, "xbm_72", batches(digits, "digits"), **options)


def test_batches_must_be_pairs_of_whole_samples(digits: Network) -> None:
    asked: dict[str, Any] = {"task": "digits", "method": "xbm"}
    images, labels = next(batches(digits, "digits"))
    with pytest.raises(InputError, match="loader: gives no batches"):
        xs.torch.evaluate(digits, "xbm_72", [], **asked)
    with pytest.raises(InputError, match="batch 1 is not a pair"):
        xs.torch.evaluate(digits, "xbm_72", [(images, labels), (images,)], **asked)
    with pytest.raises(InputError, match="the input of 'digits' is 1x8x8"):
        xs.torch.evaluate(digits, "xbm_72", [(images[:, :, :7], labels)], **asked)
    with pytest.raises(InputError, match="batch 1 has samples of shape"):
        xs.torch.evaluate(digits, "xbm_72", [(images, labels), (images[:, :, :7], labels)], **asked)
    with pytest.raises(InputError, match="for 10 samples: give one whole number per sample"):
        xs.torch.evaluate(digits, "xbm_72", [(images, labels[:9])], **asked)
    broken = images.copy()
    broken[4, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="sample 4 holds a number that is not finite"):
        xs.torch.evaluate(digits, "xbm_72", [(broken, labels)], **asked)
    with pytest.raises(InputError, match="label 11, but task 'digits' has the classes 0 to 9"):
        xs.torch.evaluate(digits, "xbm_72", [(images, np.full(10, 11))], **asked)
    with pytest.raises(InputError, match="neither a network nor the name"):
        xs.torch.evaluate(3, "xbm_72", [(images, labels)], **asked)  # type: ignore[arg-type]

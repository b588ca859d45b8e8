"""The bundle that comes along: its claims are measured again, and its script repeats itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.chip import load_chip
from xbarsim.config import folder
from xbarsim.network import Network, Task, load_network
from xbarsim.network.masks import ROW_ORDER

Floats = NDArray[np.float64]

METHODS = (
    "xbm", "piggyback", "finetune", "xma", "ksm", "piggyback-ternary", "finetune-partial", "xma2", "packnet", "cpg",
    "xst",
)  # fmt: skip
CONVS = ("conv1", "conv2", "conv3", "conv4")
CHIP = load_chip("xbm_72")


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def windows(image: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unroll 3x3 windows of padded images: (n, windows, c_in * 9), in (c_in, kh, kw) order."""
    n, channels, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(n, height * width, channels * 9)


def effective(task: Task, method: str, name: str) -> Floats:
    """What the crossbars of one layer compute with for a task: gates and shifts applied to what they hold."""
    if task.network.layers[name].head:
        return task.weights(method, name).astype(np.float64)
    adaption = Adaption.named(method)()
    held = adaption.contents(CHIP, task.network, task, name, 8).astype(np.float64)
    columns, factors = adaption.columns(CHIP, task, name), adaption.factors(CHIP, task, name)
    block = np.arange(held.shape[1]) // 72
    if columns is not None:
        held *= columns[block].T
    if factors is not None:
        held *= factors.multipliers()[block].T
    return held


def product(task: Task, method: str, name: str, inputs: Floats, unroll: bool) -> Floats:
    """One crossbar layer in integers, scaled back to floats."""
    state = task.state(method)
    step = float(state[f"{name}.input_scale"][0])
    seen = np.clip(np.rint(inputs / step), 0, 255).astype(np.int64)
    sums = (windows(seen) if unroll else seen) @ effective(task, method, name).T
    return sums * (step * task.quantiser(method, name).scale.astype(np.float64))


def block(task: Task, method: str, index: int, inputs: Floats) -> Floats:
    """Convolution and normalisation."""
    state = task.state(method)
    gain, bias, mean, variance = (
        state[f"bn{index}.{role}"].astype(np.float64) for role in ("weight", "bias", "running_mean", "running_var")
    )
    summed = product(task, method, f"conv{index}", inputs, unroll=True)
    normalised = (summed - mean) / np.sqrt(variance + 1e-5) * gain + bias
    n, _, height, width = inputs.shape
    return normalised.transpose(0, 2, 1).reshape(n, -1, height, width)


def pooled(x: Floats) -> Floats:
    n, channels, height, width = x.shape
    return x.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def logits(task: Task, method: str, inputs: Floats) -> Floats:
    """The whole network, every crossbar layer in integers."""
    x = np.maximum(block(task, method, 1, inputs), 0)
    skip = pooled(np.maximum(block(task, method, 2, x), 0))
    x = np.maximum(block(task, method, 3, skip) + skip, 0)
    x = pooled(np.maximum(block(task, method, 4, x), 0))
    flat = x.reshape(len(x), -1)
    return product(task, method, "fc", flat, unroll=False) + task.state(method)["fc.bias"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["digits", "rotated", "inverted"])
def test_the_quantised_accuracy_is_what_the_manifest_says(digits: Network, name: str, method: str) -> None:
    task = digits.task(name)
    samples = task.samples()
    found = logits(task, method, samples.inputs.astype(np.float64)).argmax(axis=1)
    accuracy = float((found == samples.labels).mean())
    # One image in 360 may fall to the other side where single and double precision round apart.
    assert accuracy == pytest.approx(task.accuracy(method)["quantised"], abs=1.01 / len(samples.labels))
    assert task.accuracy(method)["float"] > 0.97


def test_samples_can_be_made_again_from_scikit_learn(digits: Network) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    source = datasets.load_digits()
    held = np.arange(len(source.images)) % 5 == 0
    changes = {
        "digits": lambda x: x,
        "rotated": lambda x: np.rot90(x, axes=(1, 2)),
        "inverted": lambda x: 16 - x,
    }
    for name, change in changes.items():
        samples = digits.task(name).samples()
        assert np.array_equal(samples.inputs[:, 0] * 16, change(source.images)[held])
        assert np.array_equal(samples.labels, source.target[held])
        assert "divisible by 5" in samples.split


def test_the_network_is_what_the_chips_are_made_for(digits: Network) -> None:
    assert (digits.weight_bits, digits.input_bits, digits.mask_rows, digits.synthetic) == (8, 8, 72, False)
    assert [layer.rows for layer in digits.layers.values()] == [9, 144, 288, 288, 256]
    assert all(digits.layers[name].c_out % 8 == 0 and digits.layers[name].kernel == (3, 3) for name in CONVS)
    assert digits.head.name == "fc"


def test_masks_really_switch_off(digits: Network) -> None:
    for task in digits.tasks.values():
        assert task.methods == METHODS
        for method, low, high in (
            ("xbm", 0.5, 0.8), ("piggyback", 0.5, 0.95), ("xma", 0.5, 1), ("cpg", 0.2, 0.9), ("xst", 0.2, 0.9)
        ):  # fmt: skip
            masks = [task.mask(method, name) for name in CONVS]
            share = sum(int(mask.on.sum()) for mask in masks) / sum(mask.values.size for mask in masks)
            assert low < share <= high
            assert all(mask.row_order == ROW_ORDER and not mask.kernel_aligned for mask in masks)
            assert task.mask(method, "fc") is None


def test_xma2_rewrites_some_crossbars(digits: Network) -> None:
    for task in digits.tasks.values():
        units = [mask.values for name in CONVS if (mask := task.units("xma2", name))]
        assert sum(int(values.sum()) for values in units) == 4  # of 29: 15 % of the crossbars


def test_the_backbone_keeps_its_share_and_tasks_have_equal_parts(digits: Network) -> None:
    for method in ("packnet", "cpg", "xst"):
        owners = np.concatenate([digits.owners(method, name).values.ravel() for name in CONVS])
        shares = np.bincount(owners, minlength=4) / owners.size
        assert shares == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=0.01)
        for name in CONVS:
            kept = digits.owners(method, name).expand(digits.layers[name]) == 0
            assert np.array_equal(digits.shared(method, name)[kept], digits.integers(name)[kept])


def test_backbone_weights_lie_on_the_grid_of_their_integers(digits: Network) -> None:
    """Masks were learned on the weights that the crossbars hold."""
    backbone = digits.store.backbone
    for name in CONVS:
        weights = backbone.get(f"{name}.weight")
        values = digits.quantiser(name).values(digits.integers(name)).reshape(weights.shape)
        assert np.allclose(values, weights, rtol=1e-6, atol=0)


def test_the_bundle_is_small() -> None:
    files = [path for path in (folder("workloads") / "digits.xmn").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script that made the bundle."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("make_digits")
    monkeypatch.undo()


@pytest.mark.slow
def test_training_repeats_itself(script: ModuleType, tmp_path: Path) -> None:
    for name in ("one.xmn", "two.xmn"):
        script.write_bundle(tmp_path / name, script.content(epochs=1, seed=3))
    one, two = (
        sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("one.xmn", "two.xmn")
    )
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]

"""Make ``workloads/digits.xmn``: a small network, three tasks, many adaption methods, from a seed.

    python benchmarks/make_digits.py --overwrite

The backbone learns scikit-learn's handwritten digits and is then frozen, its convolution weights
rounded to the grid of their 8-bit quantisers, so that every method adapts the weights that stand in
the crossbars. For each task (the digits as they are, turned by 90 degrees, with contrast inverted)
every method is trained with normalisation and a head of its own. ``digits_methods.py`` holds the methods
that learn every task for itself, ``digits_sequences.py`` those whose tasks share one set of weights.

Needs the extra ``torch`` and scikit-learn. One thread and fixed seeds: run twice on one machine, it
writes the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from digits_methods import METHODS, Finetune, Fixed, Method, Xma2, most_sensitive
from digits_net import BITS, CLASSES, CONVS, Digits, Quantise, as_is, fit, graph, snapped
from digits_sequences import SEQUENCES, Sequence
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from xbarsim.network.bundle_writer import (
    BundleContent,
    MethodContent,
    SampleContent,
    TaskContent,
    write_bundle,
)
from xbarsim.network.network import Network, Tensors
from xbarsim.network.quantiser import Quantiser

TOP = 16
"""Largest value of a pixel in the data set."""
BATCH = 64
SPLIT = "sklearn.datasets.load_digits(); samples whose index is divisible by 5 are held out; {change}"

TASKS: Mapping[str, tuple[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]] = {
    "digits": ("images as they are", lambda images: images),
    "rotated": ("numpy.rot90(image)", lambda images: np.rot90(images, axes=(1, 2))),
    "inverted": ("16 - image", lambda images: TOP - images),
}


@dataclass(frozen=True)
class Data:
    """One task's images ``(n, 1, 8, 8)``, values 0 to 16, and labels ``(n,)``."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def load(task: str) -> Data:
    """Return a task's data, split by the rule of :data:`SPLIT`."""
    digits = load_digits()
    images = np.ascontiguousarray(TASKS[task][1](digits.images.astype(np.uint8)))[:, None]
    held = np.arange(len(images)) % 5 == 0
    labels = torch.from_numpy(digits.target.astype(np.int64))
    pixels = torch.from_numpy(images)
    mask = torch.from_numpy(held)
    return Data(pixels[~mask], labels[~mask], pixels[mask], labels[mask])


def batches(data: Data, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of shuffled batches, images scaled to 0 to 1."""
    order = torch.randperm(len(data.train), generator=random)
    for picked in order.split(BATCH):
        yield data.train[picked].float() / TOP, data.train_labels[picked]


def train(net: Digits, method: Method, data: Data, epochs: int, seed: int) -> None:
    """Train the scores of a method with normalisation and head of ``net``."""
    random = torch.Generator().manual_seed(seed)
    rest = [parameter for name, parameter in net.named_parameters() if name.split(".")[0] not in CONVS]
    optimiser = torch.optim.Adam([*method.groups(), {"params": rest, "lr": 2e-3}])
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [epochs // 2, epochs * 3 // 4], gamma=0.3)
    net.train()
    for _ in range(epochs):
        for images, labels in batches(data, random):
            loss = functional.cross_entropy(net(images, method.training(random)), labels) + method.penalty()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    net.eval()


@torch.no_grad()
def measure(net: Digits, weights: Mapping[str, Tensor], data: Data, see: Quantise = as_is) -> float:
    """Return the share of held-out images that are classified correctly."""
    logits = net(data.test.float() / TOP, weights, see)
    return float((logits.argmax(dim=1) == data.test_labels).double().mean())


@torch.no_grad()
def input_scales(net: Digits, weights: Mapping[str, Tensor], data: Data) -> dict[str, Tensor]:
    """Return the step of every crossbar input: its largest value on the training images is 255."""
    scales = {}

    def note(name: str, inputs: Tensor) -> Tensor:
        scales[name] = (inputs.max() / (2**BITS - 1)).reshape(1)
        return inputs

    net(data.train.float() / TOP, weights, note)
    return scales


def quantised(
    net: Digits,
    held: Mapping[str, Tensor],
    head: Quantiser,
    scales: Mapping[str, Tensor],
    data: Data,
) -> float:
    """Return the accuracy with the weights that crossbars hold and integer inputs of every crossbar layer."""

    def see(name: str, inputs: Tensor) -> Tensor:
        return (inputs / scales[name]).round().clamp(0, 2**BITS - 1) * scales[name]

    copy = Digits()
    copy.load_state_dict(net.state_dict())
    copy.eval()
    copy.fc.weight.data = snapped(head, net.fc.weight)
    return measure(copy, held, data, see)


def state(net: Digits, scales: Mapping[str, Tensor]) -> Tensors:
    """Return normalisation, head and input scales by state-dict name."""
    names = [f"bn{index}" for index in range(1, len(CONVS) + 1)]
    kept = {
        name: value.numpy().copy()
        for name, value in net.state_dict().items()
        if name.split(".")[0] in (*names, "fc") and not name.endswith("num_batches_tracked")
    }
    return kept | {f"{name}.input_scale": scale.numpy() for name, scale in scales.items()}


def make_backbone(epochs: int, seed: int) -> Digits:
    """Train on the digits, round the convolution weights, then settle normalisation and head."""
    torch.manual_seed(seed)
    net, data = Digits(), load("digits")
    first = Finetune(net.weights())
    train(net, first, data, epochs, seed)
    rounded = {name: snapped(fit(weight), weight) for name, weight in first.final().items()}
    for name, weight in rounded.items():
        net.get_parameter(f"{name}.weight").data = weight
    train(net, Fixed(rounded), data, max(1, epochs // 4), seed + 1)
    return net


def fresh(backbone: Digits, seed: int) -> Digits:
    """Return the backbone with a new head."""
    torch.manual_seed(seed)
    net = Digits()
    net.load_state_dict(backbone.state_dict())
    net.fc.reset_parameters()
    return net


def adapt(backbone: Digits, method: str, data: Data, epochs: int, seed: int) -> MethodContent:
    """Train one method on one task."""
    frozen = {name: weight.detach() for name, weight in backbone.weights().items()}
    if method == "xma2":
        chosen: Method = Xma2(frozen, most_sensitive(saliency(backbone, frozen, data, epochs, seed)))
    else:
        chosen = METHODS[method](frozen)
    net = fresh(backbone, seed)
    train(net, chosen, data, epochs, seed)
    return settled(net, chosen, data, epochs, seed)


def continued(backbone: Digits, sequence: Sequence, data: Data, epochs: int, seed: int) -> MethodContent:
    """Train the next task of a method whose tasks share their weights: on all that is free, then on its part."""
    net, part = fresh(backbone, seed), sequence.next()
    train(net, part, data, epochs, seed)
    sequence.share(part)
    train(net, part, data, max(1, epochs // 2), seed + 2)
    result = settled(net, part, data, epochs, seed)
    sequence.keep(part)
    return result


def saliency(backbone: Digits, frozen: Mapping[str, Tensor], data: Data, epochs: int, seed: int) -> dict[str, Tensor]:
    """Return ``|weight * gradient|`` of the task's loss, normalisation and head adapted (SNIP, Lee et al. 2019)."""
    net = fresh(backbone, seed)
    train(net, Fixed(frozen), data, max(1, epochs // 4), seed)
    weights = {name: weight.clone().requires_grad_() for name, weight in frozen.items()}
    functional.cross_entropy(net(data.train.float() / TOP, weights), data.train_labels).backward()
    return {name: (weight * weight.grad).abs().detach() for name, weight in weights.items() if weight.grad is not None}


def settled(net: Digits, method: Method, data: Data, epochs: int, seed: int) -> MethodContent:
    """Fix the weights, let normalisation and head settle, and measure."""
    weights, masks = method.final(), method.masks()
    train(net, Fixed(weights), data, max(1, epochs // 2), seed + 1)
    scales = input_scales(net, weights, data)
    head = fit(net.fc.weight)
    accuracy = {
        "float": measure(net, weights, data),
        "quantised": quantised(net, method.held(), head, scales, data),
    }
    kept = {**method.quantisers(), "fc": head}
    return MethodContent(state(net, scales), masks, method.own(), kept, accuracy, method.units())


def content(epochs: int, seed: int) -> BundleContent:
    """Train everything; the same arguments give the same content."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    backbone = make_backbone(2 * epochs, seed)
    weights = backbone.weights()
    tensors = state(backbone, input_scales(backbone, weights, load("digits")))
    tensors |= {f"{name}.weight": weight.detach().numpy() for name, weight in weights.items()}
    frozen = {name: weight.detach() for name, weight in weights.items()}
    sequences = {name: kind(frozen, len(TASKS)) for name, kind in SEQUENCES.items()}
    tasks = {}
    for task, (change, _) in TASKS.items():
        data = load(task)
        methods = {name: adapt(backbone, name, data, epochs, seed + 2) for name in (*METHODS, "xma2")}
        for name, sequence in sequences.items():
            methods[name] = continued(backbone, sequence, data, epochs, seed + 2)
        samples = SampleContent(
            data.test.numpy(),
            data.test_labels.to(torch.uint8).numpy(),
            1 / TOP,
            SPLIT.format(change=change),
        )
        tasks[task] = TaskContent(CLASSES, methods, samples)
    quantisers = {name: fit(weight) for name, weight in weights.items()} | {"fc": fit(backbone.fc.weight)}
    generator = f"benchmarks/make_digits.py --seed {seed} --epochs {epochs}; torch {torch.__version__}"
    shared = {name: sequence.shared() for name, sequence in sequences.items()}
    return BundleContent("digits", generator, graph(), tensors, quantisers, tasks, BITS, BITS, shared)


def report(net: Network) -> None:
    """Print accuracies, and the share of mask values that do not switch off."""
    for task in net.tasks.values():
        for method in task.methods:
            masks = [mask for name in CONVS if (mask := task.mask(method, name))]
            total = sum(mask.values.size for mask in masks)
            density = sum(int(mask.on.sum()) for mask in masks) / total if total else 1.0
            accuracy = task.accuracy(method) or {}
            print(
                f"{task.name:9} {method:17} float {accuracy['float']:.4f} "
                f"quantised {accuracy['quantised']:.4f} on {density:.3f}"
            )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Train and write workloads/digits.xmn.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "workloads/digits.xmn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--overwrite", action="store_true")
    chosen = parser.parse_args()
    report(write_bundle(chosen.out, content(chosen.epochs, chosen.seed), overwrite=chosen.overwrite))


if __name__ == "__main__":
    main()

"""Checkpoints as the public codes write them, on a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from network.small import content
from torch import Tensor, nn

from xbarsim.network import Network
from xbarsim.network.bundle_writer import write_bundle

CLASSES = {"birds": 3, "cars": 5}


class Shared(nn.Module):
    """The small network without its classifier, its modules in the order in which a network would make them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, 2, groups=2, bias=False), nn.BatchNorm2d(6)


class Model(nn.Module):
    """What training saves: the shared part, a classifier per data set, the active one."""

    def __init__(self, *datasets: str) -> None:
        super().__init__()
        self.shared, self.datasets = Shared(), list(datasets)
        self.classifiers = nn.ModuleList(nn.Linear(6, CLASSES[name]) for name in datasets)
        self.classifier: nn.Module | None = None


PLACES = {"conv1": 1, "conv2": 4}
"""Places among ``Shared().modules()``; 0 is the container itself."""

SHAPES = {"conv1": (8, 2, 3, 3), "conv2": (6, 4, 3, 3)}


def backbone(path: Path) -> Network:
    """The small bundle without tasks."""
    made = content()
    return write_bundle(path, type(made)(made.name, made.generator, made.entries, made.backbone, made.quantisers, {}))


def ternary(seed: int, low: int = -1) -> dict[str, Tensor]:
    """Masks of -1, 0 and 1 by layer."""
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randint(low, 2, shape, generator=random).float() for name, shape in SHAPES.items()}


def packed(path: Path, masks: dict[str, dict[str, Tensor]], places: bool = True) -> dict[str, nn.Linear]:
    """Save masks as Piggyback's packing does: bytes by place of the module, classifiers as modules."""
    heads = {task: nn.Linear(6, CLASSES[task]) for task in masks}
    by_place = {
        task: {PLACES[name] if places else name: mask.to(torch.int8).view(torch.uint8) for name, mask in own.items()}
        for task, own in masks.items()
    }
    torch.save({"dataset2masks": by_place, "dataset2classifiers": heads}, path)
    return heads


def owners(seed: int, tasks: int) -> dict[str, Tensor]:
    """An owner for every weight, 0 for nobody."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.randint(0, tasks + 1, shape, generator=random).to(torch.uint8) for name, shape in SHAPES.items()
    }


def array(value: Tensor | None) -> np.ndarray[Any, Any]:
    assert value is not None
    return value.detach().numpy()

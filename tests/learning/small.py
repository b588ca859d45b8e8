"""A small residual network and small tasks: training takes tenths of a second."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.learning.backbone import Backbone
from xbarsim.learning.data import TaskData
from xbarsim.learning.images import image_task
from xbarsim.learning.pretrain import pretrain
from xbarsim.network.graph import Entry, Node, build_graph

TASKS = ("digits", "rotated", "odd_even")
TRAIN, TEST = 480, 240


def nodes(width: int = 8, groups: int = 1) -> tuple[Node, ...]:
    """Three convolutions, the last beside a shortcut, and a head; the second and third fill two row blocks of 72."""

    def conv(name: str, out: int, source: str, **more: object) -> Entry:
        return Entry(name, "conv", (source,), {"out": out, "kernel": 3, "padding": 1, **more})

    def plain(name: str, op: str, *sources: str, **attrs: object) -> Entry:
        return Entry(name, op, sources, attrs)

    return build_graph([
        Entry("input", "input", (), {"shape": (1, 8, 8)}),
        conv("stem.conv", 2 * width, "input"),
        plain("stem.bn", "batch_norm", "stem.conv"),
        plain("relu1", "relu", "stem.bn"),
        plain("pool1", "max_pool", "relu1", kernel=2),
        conv("conv2", 2 * width, "pool1", groups=groups),
        plain("bn2", "batch_norm", "conv2"),
        plain("add2", "add", "bn2", "pool1"),
        plain("relu2", "relu", "add2"),
        conv("conv3", 3 * width, "relu2"),
        plain("bn3", "batch_norm", "conv3"),
        plain("relu3", "relu", "bn3"),
        plain("pool3", "max_pool", "relu3", kernel=2),
        plain("flatten", "flatten", "pool3"),
        plain("fc", "linear", "flatten", out=10),
    ])  # fmt: skip


@cache
def task(name: str) -> TaskData:
    """The first samples of one of the image tasks."""
    whole = image_task(name)
    return TaskData(
        name, whole.classes, whole.train[:TRAIN], whole.train_labels[:TRAIN], whole.test[:TEST],
        whole.test_labels[:TEST], whole.scale, whole.split,
    )  # fmt: skip


@cache
def backbone(groups: int = 1) -> Backbone:
    """The network, trained on the digits and rounded to 8 bits."""
    return pretrain(nodes(groups=groups), image_task("digits"), epochs=8)


def arrays(learned: Any) -> dict[str, NDArray[Any]]:
    """All numbers of a learned task, by name."""
    content, shared = learned.content, learned.shared
    found = {f"state/{name}": value for name, value in content.state.items()}
    found |= {f"weights/{name}": value for name, value in content.weights.items()}
    for role, masks in (
        ("masks", content.masks),
        ("units", content.units),
        ("owners", shared.owners if shared else {}),
    ):
        found |= {f"{role}/{name}": mask.values for name, mask in masks.items()}
    found |= {f"quantisers/{name}": one.scale for name, one in content.quantisers.items()}
    if shared:
        found |= {f"shared/{name}": value for name, value in shared.weights.items()}
    return {name: np.asarray(value) for name, value in found.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two learned tasks agree in every bit."""
    first, second = arrays(one), arrays(other)
    equal = all(first[name].tobytes() == second[name].tobytes() for name in first)
    return first.keys() == second.keys() and equal and one.accuracy == other.accuracy and one.history == other.history

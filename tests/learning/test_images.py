"""Tasks made of images that other packages carry: real, fixed, apart, and without a network."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")
skimage_data = pytest.importorskip("skimage.data")
skimage_io = pytest.importorskip("skimage.io")

from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning import images  # noqa: E402
from xbarsim.learning.images import NAMES, image_task  # noqa: E402

HELD = np.arange(1797) % 5 == 0
Array = NDArray[Any]


@pytest.mark.parametrize("name", NAMES)
def test_all_tasks_fit_one_backbone(name: str) -> None:
    task = image_task(name)
    for part, labels in ((task.train, task.train_labels), (task.test, task.test_labels)):
        assert part.dtype == np.uint8
        assert part.shape == (len(labels), 1, 8, 8)
        assert 12 <= part.max() <= 16
        assert set(np.unique(labels)) == set(range(task.classes))
    assert task.scale == 1 / 16
    assert len(task.train) > 3 * len(task.test) > 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_the_same_every_time(name: str) -> None:
    one, two = image_task(name), image_task(name)
    assert np.array_equal(one.train, two.train)
    assert np.array_equal(one.test, two.test)


def slow_resized(image: Array) -> Array:
    """Every pixel of the 6 x 6 covers 4/3 x 4/3 pixels of the 8 x 8."""
    small = np.zeros((8, 8))
    for row in range(6):
        for column in range(6):
            for y in range(8):
                for x in range(8):
                    high = max(0.0, min(y + 1, (row + 1) * 4 / 3) - max(y, row * 4 / 3))
                    wide = max(0.0, min(x + 1, (column + 1) * 4 / 3) - max(x, column * 4 / 3))
                    small[row + 1, column + 1] += image[y, x] * high * wide * 9 / 16
    return small


CHANGES: dict[str, Callable[[Array], Array]] = {
    "digits": lambda image: image,
    "rotated": lambda image: image.T[::-1],
    "inverted": lambda image: 16 - image,
    "resized": slow_resized,
    "odd_even": lambda image: image,
}


@pytest.mark.parametrize("name", CHANGES)
def test_digits_are_changed_as_the_split_says(name: str) -> None:
    source = datasets.load_digits()
    task = image_task(name)
    wanted = np.stack([CHANGES[name](image) for image in source.images])
    labels = source.target % 2 if name == "odd_even" else source.target
    for held, found, said in ((False, task.train, task.train_labels), (True, task.test, task.test_labels)):
        assert np.abs(found[:, 0] - wanted[held == HELD]).max() <= (0.5 + 1e-9 if name == "resized" else 0)
        assert np.array_equal(said, labels[held == HELD])
    assert "divisible by 5 are held out" in task.split


def test_noise_is_fixed_and_as_strong_as_it_says() -> None:
    source = datasets.load_digits().images
    noise = np.random.RandomState(0).normal(0, 4, source.shape)
    wanted = np.clip(np.rint(source + noise), 0, 16)
    task = image_task("noisy")
    assert np.array_equal(task.test[:, 0], wanted[HELD])
    assert np.array_equal(task.train[:, 0], wanted[~HELD])
    assert "RandomState(0).normal(0, 4" in task.split


def test_tiles_stand_in_the_photograph_and_held_out_ones_on_the_right() -> None:
    """Looked up in the photograph pixel by pixel; both parts are searched in the whole picture."""
    task = image_task("textures")
    for label, name in enumerate(images.PHOTOGRAPHS):
        picture = skimage_io.imread(Path(skimage_data.__file__).parent / f"{name}.png").astype(int)
        if picture.ndim == 3:
            picture = (299 * picture[..., 0] + 587 * picture[..., 1] + 114 * picture[..., 2]) // 1000
        places: dict[bytes, set[int]] = {}
        for y in range(0, 512, 16):
            for x in range(0, 512, 16):
                sums = picture[y : y + 16, x : x + 16].reshape(8, 2, 8, 2).sum(axis=(1, 3))
                tile = np.floor(sums * 16 / 1020 + 0.5).astype(np.uint8)
                places.setdefault(tile.tobytes(), set()).add(x)
        for part, labels, right in ((task.train, task.train_labels, False), (task.test, task.test_labels, True)):
            mine = part[labels == label, 0]
            assert len(mine) == (100 if right else 400)
            assert all(any((x >= 384) == right for x in places[tile.tobytes()]) for tile in mine)
            assert len({tile.tobytes() for tile in mine}) > 0.7 * len(mine)  # flat pieces of brick look alike


def test_first_samples_are_of_all_classes() -> None:
    assert list(image_task("textures").test_labels[:8]) == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> NoReturn:
        raise AssertionError("a task opened a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    image_task(name)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match=r"no image task 'rotate'; known: digits, .*did you mean 'rotated'\?"):
        image_task("rotate")


@pytest.mark.parametrize(("name", "module", "package"), [
    ("inverted", "sklearn.datasets", "scikit-learn"), ("textures", "skimage.data", "scikit-image")
])  # fmt: skip
def test_a_missing_package_is_named(name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"need {package}: pip install 'xbarsim\[learn\]'"):
        image_task(name)


def test_a_photograph_that_the_package_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PHOTOGRAPHS", ("brick", "meadow"))
    with pytest.raises(InputError, match=r"meadow\.png: this scikit-image does not carry the file"):
        image_task("textures")

"""Tasks made of the real images that scikit-learn and scikit-image carry inside their packages: nothing is fetched.

All are 8 x 8 pixels of one channel with values 0 to 16, so one backbone serves them all: the handwritten digits
of scikit-learn as they are and under shifts of domain, and patches of photographs of scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from xbarsim.learning.data import TaskData

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

TOP = 16
"""Largest value of a pixel; the real input is pixel / TOP."""
SIDE = 8
"""Pixels of an image's side."""
NOISE = 4.0
"""Standard deviation of the noise, in values of a pixel."""
PHOTOGRAPHS = ("brick", "grass", "gravel", "ihc")
"""Files of scikit-image: three textures of surfaces, and stained tissue; one class each."""
TILE = 2 * SIDE
"""Pixels of a tile's side in the photograph; squares of 2 x 2 become one pixel."""
TILES = {False: 400, True: 100}
"""Tiles of each class: to learn from, and held out."""


@dataclass(frozen=True)
class _Change:
    """How a task is made of the digits."""

    text: str
    images: Callable[[Pixels], Pixels]
    labels: Callable[[Labels], Labels] = lambda digits: digits
    classes: int = 10


def _noisy(images: Pixels) -> Pixels:
    # RandomState, unlike Generator, promises the same numbers in every version of numpy.
    noise = np.random.RandomState(0).normal(0.0, NOISE, images.shape)
    return np.clip(np.rint(images + noise), 0, TOP).astype(np.uint8)


def _resized(images: Pixels) -> Pixels:
    """Three quarters of the size, by the area of pixels that meet, in a frame of zeros."""
    large = images.astype(np.int64).repeat(3, axis=1).repeat(3, axis=2)
    sums = large.reshape(len(images), 6, 4, 6, 4).sum(axis=(2, 4))
    return np.pad((sums + 8) // 16, ((0, 0), (1, 1), (1, 1))).astype(np.uint8)


DIGITS: Mapping[str, _Change] = {
    "digits": _Change("images as they are", lambda images: images),
    "rotated": _Change("numpy.rot90(image)", lambda images: np.rot90(images, axes=(1, 2))),
    "inverted": _Change("16 - image", lambda images: TOP - images),
    "noisy": _Change(
        f"image + numpy.random.RandomState(0).normal(0, {NOISE:g}, images.shape), rounded, from 0 to 16", _noisy
    ),
    "resized": _Change("shrunk to 6 x 6 by area, a frame of zeros around", _resized),
    "odd_even": _Change("images as they are, label = digit modulo 2", lambda images: images, lambda d: d % 2, 2),
}
"""Tasks made of the digits."""
NAMES = (*DIGITS, "textures")
"""All tasks."""


def image_task(name: str) -> TaskData:
    """Return one of the tasks :data:`NAMES`: ``(n, 1, 8, 8)`` pixels of 0 to 16, and their fixed held-out part.

    Raises :class:`InputError` for an unknown name, and where scikit-learn, scikit-image or PyTorch is missing.
    """
    if name not in NAMES:
        raise InputError(f"no image task {name!r}; known: {', '.join(NAMES)}{did_you_mean(name, NAMES)}")
    return _textures() if name == "textures" else _of_digits(name)


def _of_digits(name: str) -> TaskData:
    """One of :data:`DIGITS`."""
    source = _package("sklearn.datasets", "scikit-learn").load_digits()
    change = DIGITS[name]
    images = np.ascontiguousarray(change.images(source.images.astype(np.uint8)))[:, None]
    labels = change.labels(source.target.astype(np.int64))
    held = np.arange(len(images)) % 5 == 0
    split = f"sklearn.datasets.load_digits(); samples whose index is divisible by 5 are held out; {change.text}"
    return _task(name, change.classes, (images[~held], labels[~held]), (images[held], labels[held]), split)


def _textures() -> TaskData:
    """Tiles of photographs; those held out are of the right quarter, so no photographed pixel is in both parts."""
    folder = Path(str(_package("skimage.data", "scikit-image").__file__)).parent
    parts = [_tiles(_grey(folder / f"{name}.png")) for name in PHOTOGRAPHS]
    train, test = (_interleaved([part[held] for part in parts]) for held in (False, True))
    split = (
        f"skimage/data/{{{','.join(PHOTOGRAPHS)}}}.png, one class each, grey = (299 R + 587 G + 114 B) // 1000; tiles "
        f"of {TILE} x {TILE} pixels, 2 x 2 averaged, 0 to 255 become 0 to 16; tiles of the right quarter are held "
        f"out; of each class {TILES[False]} tiles to learn from and {TILES[True]} held out, evenly spread"
    )
    return _task("textures", len(PHOTOGRAPHS), train, test, split)


def _task(name: str, classes: int, train: tuple[Pixels, Labels], test: tuple[Pixels, Labels], split: str) -> TaskData:
    made: TaskData = _package("xbarsim.learning.data", "PyTorch").TaskData(
        name, classes, *train, *test, scale=1 / TOP, split=split
    )
    return made


def _grey(path: Path) -> NDArray[np.int64]:
    """A photograph as grey integers; only a file inside the package is read."""
    if not path.is_file():
        raise InputError(f"{path}: this scikit-image does not carry the file; pip install 'scikit-image>=0.22'")
    pixels = _package("skimage.io", "scikit-image").imread(path).astype(np.int64)
    if pixels.ndim == 2:
        return np.asarray(pixels)
    return np.asarray((pixels[..., :3] * (299, 587, 114)).sum(axis=-1) // 1000)


def _tiles(grey: NDArray[np.int64]) -> dict[bool, Pixels]:
    """Tiles to learn from (False) and held out (True), ``(tiles, 8, 8)``."""
    high, wide = (length // TILE for length in grey.shape)
    squares = grey[: high * TILE, : wide * TILE].reshape(high, SIDE, 2, wide, SIDE, 2).sum(axis=(2, 5))
    whole = 4 * 255
    pixels = ((squares.transpose(0, 2, 1, 3) * TOP + whole // 2) // whole).astype(np.uint8)
    cut = wide * 3 // 4
    parts = {False: pixels[:, :cut].reshape(-1, SIDE, SIDE), True: pixels[:, cut:].reshape(-1, SIDE, SIDE)}
    return {held: part[np.arange(TILES[held]) * len(part) // TILES[held]] for held, part in parts.items()}


def _interleaved(classes: list[Pixels]) -> tuple[Pixels, Labels]:
    """Images and labels, class after class in turn: any first samples are of all classes."""
    images = np.stack(classes, axis=1).reshape(-1, 1, SIDE, SIDE)
    return images, np.tile(np.arange(len(classes)), len(classes[0]))


def _package(module: str, package: str) -> Any:
    """Import a part of an optional package."""
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"the image tasks need {package}: pip install 'xbarsim[learn]'") from None

"""One task's samples, and the batches that training sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbarsim.errors import InputError
from xbarsim.network.bundle_writer import SampleContent
from xbarsim.network.quantiser import integer_type

Samples = NDArray[Any] | Tensor


@dataclass(frozen=True, eq=False)
class TaskData:
    """The samples of one task; arrays or tensors."""

    name: str
    classes: int
    train: Samples
    """``(n, channels, height, width)`` or ``(n, tokens, width)``, small integers or floats."""
    train_labels: Samples
    """``(n,)``, class numbers from 0."""
    test: Samples
    """Held-out samples, which training never sees."""
    test_labels: Samples
    scale: float = 1.0
    """Real input = stored number x scale."""
    split: str = ""
    """How the held-out samples are found again in their public data set."""

    def __post_init__(self) -> None:
        """Refuse samples that cannot be trained on, with all faults."""
        faults = [message for part in ("train", "test") for message in self._faults(part)]
        if self.classes < 2:
            faults.append(f"classes: {self.classes} is below 2")
        if self.scale <= 0:
            faults.append(f"scale: {self.scale} is not above 0")
        if faults:
            raise InputError(f"task {self.name!r}: {'; '.join(faults)}")

    def _faults(self, part: str) -> Iterator[str]:
        samples, labels = getattr(self, part), np.asarray(getattr(self, f"{part}_labels"))
        if len(samples) != len(labels) or labels.ndim != 1:
            yield f"{part}: {len(samples)} samples and labels of shape {labels.shape}"
        if not len(samples):
            yield f"{part}: no samples"
        elif labels.size and (labels.min() < 0 or labels.max() >= self.classes):
            yield f"{part}: labels from {labels.min()} to {labels.max()}, there are {self.classes} classes"

    def inputs(self, part: str) -> Tensor:
        """Return the real inputs of ``train`` or ``test`` as single precision."""
        stored = torch.as_tensor(np.ascontiguousarray(np.asarray(getattr(self, part))))
        return stored.float() * self.scale

    def labels(self, part: str) -> Tensor:
        """Return the labels of ``train`` or ``test``."""
        return torch.as_tensor(np.asarray(getattr(self, f"{part}_labels")).astype(np.int64))

    def content(self) -> SampleContent | None:
        """Return the held-out samples as a bundle stores them; nothing where they are no small integers."""
        stored, labels = np.asarray(self.test), np.asarray(self.test_labels)
        if stored.dtype.kind not in "iu" or stored.ndim != 4:
            return None
        kind = np.uint8 if labels.max() < 2**8 else integer_type(16)
        return SampleContent(np.ascontiguousarray(stored), labels.astype(kind), self.scale, self.split)

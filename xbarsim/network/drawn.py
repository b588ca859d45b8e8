"""What is drawn for a network without weights: the ``synthetic`` section, and the masks that follow from it.

Every mask is a table of 65,536 values, one per 16-bit random word: a value's share of the table is its
probability.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbarsim.config import Section
from xbarsim.network.masks import OFF, Coding

WORDS = 1 << 16
"""Entries of a table."""

CLIP = 3.0
"""Standard deviations at which normal distributions are clipped."""

Share = Annotated[float, Field(ge=0, le=1)]
Bits = Annotated[int, Field(ge=2, le=16)]
Count = Annotated[int, Field(ge=1, le=4096)]


class Synthetic(Section):
    """What is drawn for a network that has no weights."""

    tasks: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of tasks, named task1, task2 and so on."""
    xbm_on: Share = 0.6
    """Share of columns that an XBM mask leaves on."""
    piggyback_on: Share = 0.8
    """Share of weights that a Piggyback mask keeps."""
    ternary_negative: Share = 0.05
    """Share of weights whose sign a ternary Piggyback mask turns, taken from those that it keeps."""
    finetune_sigma: Annotated[float, Field(ge=0, le=2)] = 0.1
    """Deviation of retrained from backbone weights, in standard deviations of the weights."""
    partial_last: Annotated[int, Field(ge=0)] = 2
    """Crossbar layers before the head that partial fine-tuning retrains; 0: biases and normalisation only."""
    xma_on: Share = 0.6
    """Share of columns that an XMA mask, or tier 2 of XMA2, leaves on; their shifts are equally frequent."""
    xma_bits: Annotated[int, Field(ge=1, le=4)] = 2
    """Bits of a column's shift: off and 2^bits - 1 exponents about 0."""
    xma2_tier1: Literal["crossbar", "pe"] = "crossbar"
    """What XMA2 rewrites as one: a crossbar, or the crossbars of a processing element."""
    xma2_rewritten: Share = 0.15
    """Share of these units that XMA2 rewrites."""
    xma2_tier2: Literal["shift", "scale"] = "shift"
    """What XMA2 does to the columns of the frozen ones."""
    scale_bits: Bits = 8
    """Bits of a column's scale factor."""
    ksm_bits: Bits = 8
    """Bits of a kernel's value."""
    owned: Share = 0.5
    """Share of weights (PackNet, CPG) or columns (XST) that the backbone keeps; tasks own equal parts of the rest."""
    picked: Share = 0.7
    """Share of older weights or columns that a task of CPG or XST uses."""
    lora_rank: Count = 8
    """Channels between the two layers of a LoRA pair."""
    lora_layers: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Layers with pairs or fused modules beside them, as patterns (`*` for anything)."""
    fusion_modules: Count = 8
    """LoRA modules in the frozen pool of LoRAFusion."""
    repnet_after: tuple[str, ...] = ()
    """Nodes to which Rep-Net adds a side module; none: the last of every size of feature map."""
    repnet_channels: Count = 32
    """Channels of a side module's 5x5 convolution."""


def coding_of(drawn: Synthetic, role: str, method: str) -> Coding | None:
    """Return how the masks of a method are coded; ``role`` is ``masks``, ``units`` or ``owners``."""
    shift = Coding("shift", "column", drawn.xma_bits, _levels(drawn.xma_bits))
    scale = Coding("scale", "column", drawn.scale_bits, step=2.0 ** (1 - drawn.scale_bits))
    return {
        ("masks", "xbm"): Coding("binary", "column"),
        ("masks", "piggyback"): Coding("binary", "element"),
        ("masks", "piggyback-ternary"): Coding("ternary", "element"),
        ("masks", "xma"): shift,
        ("masks", "xma2"): shift if drawn.xma2_tier2 == "shift" else scale,
        ("units", "xma2"): Coding("binary", drawn.xma2_tier1),
        ("masks", "ksm"): Coding("soft", "kernel", drawn.ksm_bits, step=2.0 ** (2 - drawn.ksm_bits)),
        ("owners", "packnet"): Coding("owner", "element"),
        ("owners", "cpg"): Coding("owner", "element"),
        ("masks", "cpg"): Coding("pick", "element"),
        ("owners", "xst"): Coding("owner", "column"),
        ("masks", "xst"): Coding("pick", "column"),
    }.get((role, method))


def table_of(drawn: Synthetic, coding: Coding, method: str, tasks: int) -> NDArray[Any]:
    """Return the values of a mask by random word."""
    if coding.kind == "owner":
        owners = [(owner, (1 - drawn.owned) / tasks) for owner in range(1, tasks + 1)]
        return spread([(0, drawn.owned), *owners], np.uint8 if tasks < 256 else np.uint16)
    if coding.kind == "shift":
        levels = [(level, drawn.xma_on / len(coding.levels)) for level in coding.levels]
        return spread([*levels, (OFF, 1 - drawn.xma_on)], np.int8)
    if coding.kind in ("soft", "scale"):
        return _about_one(coding, 1.0 if coding.kind == "soft" else drawn.xma_on)
    if coding.kind == "ternary":
        turned = drawn.piggyback_on * drawn.ternary_negative
        return spread([(1, drawn.piggyback_on - turned), (-1, turned), (0, 1 - drawn.piggyback_on)], np.int8)
    if coding.kind == "pick":
        return spread([(1, drawn.picked), (0, 1 - drawn.picked)], np.uint8)
    on = {"xbm": drawn.xbm_on, "xma2": drawn.xma2_rewritten}.get(method, drawn.piggyback_on)
    return spread([(1, on), (0, 1 - on)], np.uint8)


def spread(shares: list[tuple[int, float]], kind: type[np.integer[Any]]) -> NDArray[Any]:
    """Return a table in which every value has its share; the last one has what is left."""
    ends = np.rint(np.cumsum([share for _, share in shares]) * WORDS).astype(int).clip(0, WORDS)
    ends[-1] = WORDS
    return np.repeat(np.array([value for value, _ in shares], kind), np.diff(ends, prepend=0))


@lru_cache(maxsize=1)
def quantiles() -> NDArray[np.float64]:
    """Return the quantiles of the clipped standard normal distribution, one per random word."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((word + 0.5) / WORDS) for word in range(WORDS // 2, WORDS)])
    upper = np.minimum(upper, CLIP)
    return np.concatenate((-upper[::-1], upper))


def _about_one(coding: Coding, on: float) -> NDArray[Any]:
    """Factors about 1 with a deviation of 0.25, on the grid of the coding; the rest off."""
    bits, step = coding.bits or 8, coding.step or 1.0
    signed = coding.kind == "soft"
    top = (1 << (bits - signed)) - 1
    kept = round(on * WORDS)
    picked = quantiles()[(np.arange(kept) * WORDS // max(1, kept))]
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    values = np.zeros(WORDS, kind)
    values[:kept] = np.rint((1 + 0.25 * picked) / step).clip(1, top)
    return values


def _levels(bits: int) -> tuple[int, ...]:
    """So many exponents about 0 that one more value, off, fills the bits."""
    reach = (1 << (bits - 1)) - 1
    return tuple(range(-reach, reach + 1))

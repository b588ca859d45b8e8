"""Networks that people know, as layer tables: residual networks, VGG and MobileNetV2.

Token networks stand in :mod:`xbarsim.network.builders_tokens`; :data:`BUILDERS` has all of them by name.
The layer tables in ``workloads/`` are what :meth:`xbarsim.network.blueprint.Blueprint.text` makes of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xbarsim.network.blueprint import Blueprint, Draft
from xbarsim.network.builders_tokens import bert_base, flan_t5_large, vit_tiny

DRAWN = {"tasks": 5, "xbm_on": 0.6, "piggyback_on": 0.8, "finetune_sigma": 0.1}
"""Five tasks of masks drawn from the run's seed."""

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of configuration D, by stage."""

VGG8 = ((128, 128), (256, 256), (512, 512))
"""Channels of the six convolutions, by stage."""

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of every stage (table 2 of arXiv 1801.04381)."""


def resnet18() -> Blueprint:
    """ResNet-18 at 224x224: 11,689,512 parameters."""
    return _imagenet(
        "resnet18", "ResNet-18 (He et al. 2016) at 224x224; names as in torchvision.", (2, 2, 2, 2), _basic
    )


def resnet34() -> Blueprint:
    """ResNet-34 at 224x224: 21,797,672 parameters."""
    return _imagenet(
        "resnet34", "ResNet-34 (He et al. 2016) at 224x224; names as in torchvision.", (3, 4, 6, 3), _basic
    )


def resnet50() -> Blueprint:
    """ResNet-50 at 224x224: 25,557,032 parameters."""
    comment = (
        "ResNet-50 (He et al. 2016) at 224x224; the stride stands in the 3x3 convolution, names as in torchvision."
    )
    return _imagenet("resnet50", comment, (3, 4, 6, 3), _bottleneck)


def resnet20() -> Blueprint:
    """ResNet-20 at 32x32 with 10 classes: 0.27 million parameters."""
    return _cifar(20)


def resnet32() -> Blueprint:
    """ResNet-32 at 32x32 with 10 classes: 0.46 million parameters."""
    return _cifar(32)


def vgg16() -> Blueprint:
    """VGG-16 at 224x224: 138,357,544 parameters."""
    comment = "VGG-16 (Simonyan and Zisserman 2015, configuration D) at 224x224, without normalisation."
    draft = Draft()
    _vgg(draft, VGG16, norm=False)
    for number, out in ((6, 4096), (7, 4096)):
        draft.add("linear", f"fc{number}", out=out)
        draft.add("relu", f"relu{number}")
    draft.add("linear", "fc8", out=1000)
    return Blueprint("vgg16", comment, (3, 224, 224), tuple(draft.entries), synthetic=DRAWN)


def vgg8() -> Blueprint:
    """VGG-8 at 32x32, the network that DNN+NeuroSim ships."""
    comment = "VGG-8 at 32x32: six convolutions and two linear layers, with batch normalisation."
    draft = Draft()
    _vgg(draft, VGG8, norm=True)
    draft.add("linear", "fc7", out=1024)
    draft.add("relu", "relu7")
    draft.add("linear", "fc8", out=10)
    return Blueprint("vgg8", comment, (3, 32, 32), tuple(draft.entries), synthetic=DRAWN)


def mobilenet_v2() -> Blueprint:
    """MobileNetV2 of width 1 at 224x224: 3,504,872 parameters."""
    draft, channels, number = Draft(), 32, 1
    _conv(draft, "features.0.0", "features.0.1", out=32, kernel=3, stride=2, padding=1)
    draft.add("relu6", "features.0.2")
    for expansion, out, blocks, first in MOBILENET_V2:
        for block in range(blocks):
            _inverted(draft, f"features.{number}", channels, out, expansion, first if block == 0 else 1)
            channels, number = out, number + 1
    _conv(draft, "features.18.0", "features.18.1", out=1280, kernel=1)
    draft.add("relu6", "features.18.2")
    draft.add("global_avg_pool", "avgpool")
    draft.add("linear", "classifier.1", out=1000)
    comment = (
        "MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) of width 1 at 224x224; names as in torchvision. "
        "Depthwise convolutions are layers of as many groups as channels."
    )
    return Blueprint("mobilenet_v2", comment, (3, 224, 224), tuple(draft.entries), synthetic=DRAWN)


Block = Callable[[Draft, str, int, int, bool], None]
"""Appends a residual block: draft, name, width, stride, whether the shortcut is a convolution."""


def _imagenet(name: str, comment: str, depths: Sequence[int], block: Block) -> Blueprint:
    draft = Draft()
    _conv(draft, "conv1", "bn1", out=64, kernel=7, stride=2, padding=3)
    draft.add("relu", "relu")
    draft.add("max_pool", "maxpool", kernel=3, stride=2, padding=1)
    for stage, depth in enumerate(depths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            shortcut = number == 0 and (stage > 0 or block is _bottleneck)
            block(draft, f"layer{stage + 1}.{number}", 64 << stage, stride, shortcut)
    draft.add("global_avg_pool", "avgpool")
    draft.add("linear", "fc", out=1000)
    return Blueprint(name, comment, (3, 224, 224), tuple(draft.entries), synthetic=DRAWN)


def _basic(draft: Draft, name: str, width: int, stride: int, shortcut: bool) -> None:
    """Two 3x3 convolutions."""
    source = draft.last
    _conv(draft, f"{name}.conv1", f"{name}.bn1", out=width, kernel=3, **_stride(stride), padding=1)
    draft.add("relu", f"{name}.relu1")
    end = _conv(draft, f"{name}.conv2", f"{name}.bn2", out=width, kernel=3, padding=1)
    _join(draft, name, source, end, width, stride, shortcut)


def _bottleneck(draft: Draft, name: str, width: int, stride: int, shortcut: bool) -> None:
    """1x1, 3x3 (with the stride) and 1x1 convolutions."""
    source = draft.last
    _conv(draft, f"{name}.conv1", f"{name}.bn1", out=width, kernel=1)
    draft.add("relu", f"{name}.relu1")
    _conv(draft, f"{name}.conv2", f"{name}.bn2", out=width, kernel=3, **_stride(stride), padding=1)
    draft.add("relu", f"{name}.relu2")
    end = _conv(draft, f"{name}.conv3", f"{name}.bn3", out=4 * width, kernel=1)
    _join(draft, name, source, end, 4 * width, stride, shortcut)


def _join(draft: Draft, name: str, source: str, end: str, out: int, stride: int, shortcut: bool) -> None:
    """Add the block's input, through a 1x1 convolution where its shape differs."""
    if shortcut:
        conv, norm = f"{name}.downsample.0", f"{name}.downsample.1"
        draft.add("conv", conv, source, out=out, kernel=1, **_stride(stride))
        source = draft.add("batch_norm", norm)
    draft.add("add", f"{name}.add", end, source)
    draft.add("relu", name)


def _cifar(depth: int) -> Blueprint:
    """6n + 2 layers for 32x32 images; the shortcut has no parameters (option A of section 4.2)."""
    draft, source = Draft(), ""
    _conv(draft, "conv1", "bn1", out=16, kernel=3, padding=1)
    draft.add("relu", "relu")
    for stage in range(3):
        for number in range((depth - 2) // 6):
            name, width = f"layer{stage + 1}.{number}", 16 << stage
            stride = 2 if stage and not number else 1
            source = draft.last
            _conv(draft, f"{name}.conv1", f"{name}.bn1", out=width, kernel=3, **_stride(stride), padding=1)
            draft.add("relu", f"{name}.relu1")
            end = _conv(draft, f"{name}.conv2", f"{name}.bn2", out=width, kernel=3, padding=1)
            if stride > 1:
                draft.add("avg_pool", f"{name}.subsample", source, kernel=1, stride=2)
                source = draft.add("identity", f"{name}.shortcut", out=width)
            draft.add("add", f"{name}.add", end, source)
            draft.add("relu", name)
    draft.add("global_avg_pool", "avgpool")
    draft.add("linear", "fc", out=10)
    comment = (
        f"ResNet-{depth} (He et al. 2016) at 32x32, with the parameter-free shortcut (option A):\n"
        "subsample, then fill up with channels of zeros."
    )
    return Blueprint(f"resnet{depth}", comment, (3, 32, 32), tuple(draft.entries), synthetic=DRAWN)


def _vgg(draft: Draft, stages: Sequence[Sequence[int]], norm: bool) -> None:
    """Stages of 3x3 convolutions, each closed by a pool that halves height and width."""
    for stage, widths in enumerate(stages, 1):
        for number, width in enumerate(widths, 1):
            here = f"{stage}_{number}"
            draft.add("conv", f"conv{here}", out=width, kernel=3, padding=1, **({} if norm else {"bias": True}))
            if norm:
                draft.add("batch_norm", f"bn{here}")
            draft.add("relu", f"relu{here}")
        draft.add("max_pool", f"pool{stage}", kernel=2)
    draft.add("flatten", "flatten")


def _inverted(draft: Draft, name: str, channels: int, out: int, expansion: int, stride: int) -> None:
    """An inverted residual: expand, filter every channel by itself, project; torchvision numbers the parts."""
    source, wide, part = draft.last, channels * expansion, 0
    if expansion > 1:
        _conv(draft, f"{name}.conv.0.0", f"{name}.conv.0.1", out=wide, kernel=1)
        draft.add("relu6", f"{name}.conv.0.2")
        part = 1
    here = f"{name}.conv.{part}"
    _conv(draft, f"{here}.0", f"{here}.1", out=wide, kernel=3, **_stride(stride), padding=1, groups=wide)
    draft.add("relu6", f"{here}.2")
    end = _conv(draft, f"{name}.conv.{part + 1}", f"{name}.conv.{part + 2}", out=out, kernel=1)
    if stride == 1 and channels == out:
        draft.add("add", name, end, source)


def _conv(draft: Draft, conv: str, norm: str, **attrs: object) -> str:
    """Append a convolution and its normalisation; return the latter's name."""
    draft.add("conv", conv, **attrs)
    return draft.add("batch_norm", norm)


def _stride(stride: int) -> dict[str, int]:
    """A stride of 1 is not written."""
    return {"stride": stride} if stride > 1 else {}


BUILDERS: Mapping[str, Callable[[], Blueprint]] = {
    builder.__name__: builder
    for builder in (
        resnet18, resnet34, resnet50, resnet20, resnet32, vgg8, vgg16, mobilenet_v2, vit_tiny, bert_base, flan_t5_large,
    )
}  # fmt: skip
"""Every network by the name of its layer table."""

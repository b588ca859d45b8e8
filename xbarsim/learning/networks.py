"""Networks that people know, as plain PyTorch modules with random weights.

Names of parameters are torchvision's where it has the network, so that its checkpoints load with
``load_state_dict``. :func:`xbarsim.learning.capture.capture` turns each of them into a graph that chips can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from xbarsim.errors import InputError, did_you_mean


def _conv3(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(c_in, width, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(y + shortcut)
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width, and a shortcut (He et al. 2016; stride as torchvision)."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        out = self.expansion * width
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3(width, width, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(y + shortcut)
        return result


class ResNet(nn.Module):
    """The ImageNet networks of He et al. 2016, table 1."""

    def __init__(self, block: type[Basic] | type[Bottleneck], depths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        c_in = 64
        for number, depth in enumerate(depths, 1):
            width, stride = 32 << number, 1 if number == 1 else 2
            blocks = []
            for index in range(depth):
                out, step = width * block.expansion, stride if index == 0 else 1
                shortcut = None
                if step > 1 or c_in != out:
                    shortcut = nn.Sequential(nn.Conv2d(c_in, out, 1, step, bias=False), nn.BatchNorm2d(out))
                blocks.append(block(c_in, width, step, shortcut))
                c_in = out
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(c_in, classes)
        self.stages = len(depths)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, h, w)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet18(classes: int = 1000) -> nn.Module:
    """Return ResNet-18 (He et al. 2016): 11,689,512 parameters with 1000 classes."""
    return ResNet(Basic, (2, 2, 2, 2), classes)


def resnet34(classes: int = 1000) -> nn.Module:
    """Return ResNet-34 (He et al. 2016): 21,797,672 parameters with 1000 classes."""
    return ResNet(Basic, (3, 4, 6, 3), classes)


def resnet50(classes: int = 1000) -> nn.Module:
    """Return ResNet-50 (He et al. 2016), stride in the 3x3 convolution: 25,557,032 parameters with 1000 classes."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes)


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut drops pixels and adds channels of zeros (option A of He et al. 2016)."""

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3(c_in, width, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = _conv3(width, width), nn.BatchNorm2d(width)
        self.stride, self.more = stride, width - c_in

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.more:
            front = self.more // 2
            kept = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(kept, (0, 0, 0, 0, front, self.more - front))
        result: Tensor = self.relu(y + x)
        return result


class CifarResNet(nn.Module):
    """The CIFAR-10 networks of He et al. 2016, section 4.2: 6 x ``depth`` + 2 layers."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = _conv3(3, 16), nn.BatchNorm2d(16), nn.ReLU()
        for number, (c_in, width) in enumerate(pairwise((16, 16, 32, 64)), 1):
            first = CifarBlock(c_in, width, width // c_in)
            rest = [CifarBlock(width, width, 1) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, h, w)``."""
        x = self.relu(self.bn1(self.conv1(x)))
        for number in (1, 2, 3):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet20(classes: int = 10) -> nn.Module:
    """Return ResNet-20 for CIFAR-10 (He et al. 2016): 269,722 parameters with 10 classes."""
    return CifarResNet(3, classes)


def resnet32(classes: int = 10) -> nn.Module:
    """Return ResNet-32 for CIFAR-10 (He et al. 2016): 464,154 parameters with 10 classes."""
    return CifarResNet(5, classes)


class Vgg8(nn.Module):
    """Six convolutions with batch normalisation and two linear layers, for 32x32 images."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        c_in = 3
        for stage, width in enumerate((128, 256, 512), 1):
            for index in (1, 2):
                self.add_module(f"conv{stage}_{index}", _conv3(c_in, width))
                self.add_module(f"bn{stage}_{index}", nn.BatchNorm2d(width))
                self.add_module(f"relu{stage}_{index}", nn.ReLU())
                c_in = width
            self.add_module(f"pool{stage}", nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.fc7, self.relu7, self.fc8 = nn.Linear(512 * 4 * 4, 1024), nn.ReLU(), nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, 32, 32)``."""
        for module in self.children():
            x = module(x)
        return x


def vgg8(classes: int = 10) -> nn.Module:
    """Return VGG-8 for 32x32 images, parameters named as in ``workloads/vgg8.yaml``."""
    return Vgg8(classes)


class Vgg16(nn.Module):
    """Configuration D of Simonyan and Zisserman 2015, without normalisation."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(c_in, width, 3, padding=1), nn.ReLU()]
                c_in = width
            layers.append(nn.MaxPool2d(2))
        self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d(7)
        first, second = nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096)
        self.classifier = nn.Sequential(
            first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, 224, 224)``."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def vgg16(classes: int = 1000) -> nn.Module:
    """Return VGG-16 (Simonyan and Zisserman 2015): 138,357,544 parameters with 1000 classes."""
    return Vgg16(classes)


def _conv_bn_relu6(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Expand, filter every channel by itself, project (Sandler et al. 2018)."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        expand = [_conv_bn_relu6(c_in, hidden, 1)] if expansion > 1 else []
        project = [nn.Conv2d(hidden, c_out, 1, bias=False), nn.BatchNorm2d(c_out)]
        self.conv = nn.Sequential(*expand, _conv_bn_relu6(hidden, hidden, 3, stride, hidden), *project)
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2, width 1."""

    BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    """Expansion, channels, repetitions, stride of the first."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, 2)]
        c_in = 32
        for expansion, width, depth, stride in self.BLOCKS:
            for index in range(depth):
                layers.append(InvertedResidual(c_in, width, stride if index == 0 else 1, expansion))
                c_in = width
        self.features = nn.Sequential(*layers, _conv_bn_relu6(c_in, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, h, w)``."""
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))
        return logits


def mobilenet_v2(classes: int = 1000) -> nn.Module:
    """Return MobileNetV2 (Sandler et al. 2018): 3,504,872 parameters with 1000 classes."""
    return MobileNetV2(classes)


class EncoderBlock(nn.Module):
    """Attention and a perceptron, normalised first (Dosovitskiy et al. 2021, figure 1)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0), nn.Linear(hidden, width), nn.Dropout(0)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, ``(n, tokens, width)``."""
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class Encoder(nn.Module):
    """Blocks and a last normalisation."""

    def __init__(self, depth: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for index in range(depth):
            self.layers.add_module(f"encoder_layer_{index}", EncoderBlock(width, heads, hidden))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, ``(n, tokens, width)``."""
        result: Tensor = self.ln(self.layers(x))
        return result


class VisionTransformer(nn.Module):
    """A transformer on patches whose places are told by a depthwise convolution, classified by the mean token.

    Both stand in for the added position table and the class token of Dosovitskiy et al. 2021, which are
    constants among the activations (conditional position encoding: Chu et al., arXiv 2102.10882).
    """

    def __init__(self, classes: int, patch: int, depth: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.conv_position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.encoder = Encoder(depth, width, heads, hidden)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(n, classes)`` of images ``(n, 3, h, w)``."""
        x = self.conv_proj(x)
        x = x + self.conv_position(x)
        features = self.encoder(x.flatten(2).transpose(1, 2))
        logits: Tensor = self.heads(features.mean(1))
        return logits


def vit_small(
    classes: int = 10, *, patch: int = 4, depth: int = 4, width: int = 64, heads: int = 4, hidden: int = 128
) -> nn.Module:
    """Return a small vision transformer for 32x32 images, parameters named as torchvision's where it has them."""
    return VisionTransformer(classes, patch, depth, width, heads, hidden)


BUILDERS: dict[str, tuple[Callable[..., nn.Module], tuple[int, int, int]]] = {
    "resnet18": (resnet18, (3, 224, 224)),
    "resnet34": (resnet34, (3, 224, 224)),
    "resnet50": (resnet50, (3, 224, 224)),
    "resnet20": (resnet20, (3, 32, 32)),
    "resnet32": (resnet32, (3, 32, 32)),
    "vgg8": (vgg8, (3, 32, 32)),
    "vgg16": (vgg16, (3, 224, 224)),
    "mobilenet_v2": (mobilenet_v2, (3, 224, 224)),
    "vit_small": (vit_small, (3, 32, 32)),
}
"""Every builder by name, and the image it is made for: channels, height, width."""


def build(name: str, classes: int | None = None) -> nn.Module:
    """Return a network by name, with its own number of classes unless told; raises :class:`InputError`."""
    if name not in BUILDERS:
        raise InputError(f"no network {name!r}; known: {', '.join(BUILDERS)}{did_you_mean(name, BUILDERS)}")
    builder = BUILDERS[name][0]
    return builder() if classes is None else builder(classes)

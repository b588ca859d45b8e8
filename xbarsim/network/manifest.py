"""The two JSON files of a bundle, typed: ``manifest.json`` and ``graph.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbarsim.config import Place, Section, check
from xbarsim.config.tree import Table, from_python
from xbarsim.errors import Fault, InputError
from xbarsim.network.masks import Coding, Mask
from xbarsim.network.quantiser import LEAST_BITS, LEAST_SCALE, MOST_BITS, MOST_SCALE, Quantiser

FORMAT: Literal["xbarsim.bundle"] = "xbarsim.bundle"
VERSION: Literal[1] = 1
"""What a manifest must say of itself."""

Positive = Annotated[float, Field(ge=LEAST_SCALE, le=MOST_SCALE)]
"""A number above zero that single precision holds."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Bits = Annotated[int, Field(ge=LEAST_BITS, le=MOST_BITS)]


class Quantisation(Section):
    """The quantiser of one layer: ``integer = round_half_even(weight / scale)``, clipped."""

    bits: Bits
    """Width of the integers, sign included."""
    scheme: Literal["symmetric"]
    """Zero is zero."""
    rounding: Literal["half_even"]
    """Ties go to the even integer."""
    axis: Literal[0] | None
    """0: one scale per output channel; null: one for the layer."""
    scale: Annotated[list[Positive], Field(min_length=1)]
    """Step per integer, in single precision."""

    def quantiser(self) -> Quantiser:
        """Return the quantiser described."""
        return Quantiser(self.bits, np.array(self.scale, np.float32))

    @classmethod
    def of(cls, quantiser: Quantiser) -> Quantisation:
        """Describe a quantiser."""
        scale = [float(step) for step in quantiser.scale]
        return cls(
            bits=quantiser.bits,
            scheme="symmetric",
            rounding="half_even",
            axis=0 if len(scale) > 1 else None,
            scale=scale,
        )


class MaskInfo(Section):
    """What a mask's tensor means; see :mod:`xbarsim.network.masks`."""

    kind: str
    """Values, such as ``binary``."""
    granularity: str
    """What one value covers: ``column``, ``element``, ``kernel``, ``crossbar`` or ``pe``."""
    rows: Count | None
    """Crossbar height that a mask of columns, crossbars or PEs was learned for."""
    row_order: str
    """Order in which kernels are unrolled."""
    kernel_aligned: bool
    """Row blocks hold whole 2-D kernels only."""
    key: str
    """Name of the tensor in its file."""
    bits: Annotated[int, Field(ge=1, le=16)] | None = None
    """Bits stored per value of a soft, scale or shift mask; of a shift mask null: packed."""
    levels: list[int] = []
    """Exponents that a shift mask may hold, off apart, ascending."""
    step: Positive | None = None
    """What 1 stands for in a soft or scale mask."""
    columns: Count | None = None
    """Logical columns of a crossbar, of a mask of crossbars or PEs."""
    crossbars: Count | None = None
    """Crossbars of one unit, of a mask of crossbars (1) or PEs."""

    @classmethod
    def of(cls, mask: Mask, key: str) -> MaskInfo:
        """Describe a mask whose tensor is called ``key``."""
        return cls(
            kind=mask.kind,
            granularity=mask.granularity,
            rows=mask.rows,
            row_order=mask.row_order,
            kernel_aligned=mask.kernel_aligned,
            key=key,
            bits=mask.bits,
            levels=list(mask.levels),
            step=mask.step,
            columns=mask.columns,
            crossbars=mask.crossbars,
        )

    def mask(self, values: NDArray[Any]) -> Mask:
        """Return the mask that ``values`` are."""
        return Mask(
            self.kind, self.granularity, values, self.rows, self.row_order, self.kernel_aligned,
            self.bits, tuple(self.levels), self.step, self.columns, self.crossbars,
        )  # fmt: skip

    @property
    def coding(self) -> Coding:
        """What the values mean."""
        return Coding(self.kind, self.granularity, self.bits, tuple(self.levels), self.step)


class MethodInfo(Section):
    """What one adaption method stores for one task."""

    masks: dict[str, MaskInfo]
    """By layer."""
    units: dict[str, MaskInfo] = {}
    """By layer: masks of crossbars or PEs whose weights are the task's own."""
    weights: list[str]
    """Layers, the head apart, whose weights differ from the backbone's."""
    quantisers: dict[str, Quantisation]
    """By layer, where the backbone's quantiser does not fit."""
    accuracy: dict[str, Share] | None = None
    """Measured on held-out samples, by kind: ``float``, ``quantised``."""


class SharedInfo(Section):
    """What the tasks of one adaption method share, in ``shared/METHOD.safetensors`` and ``graphs/METHOD.json``."""

    graph: bool = False
    """The method brings a graph of its own: the backbone's with branches beside it."""
    owners: dict[str, MaskInfo] = {}
    """By layer: which task owns each weight or column."""
    weights: list[str] = []
    """Layers whose resident weights are the method's own: those of all owners, or of branches."""
    quantisers: dict[str, Quantisation] = {}
    """By layer: of branches that the tasks share."""


class SamplesInfo(Section):
    """Held-out samples of a task, in ``samples/TASK.safetensors``."""

    scale: Positive
    """Input = stored integer x scale."""
    split: str
    """How the samples are found again in their public data set."""


class TaskInfo(Section):
    """One task."""

    classes: Count
    """Number of classes, the rows of its head."""
    methods: dict[str, MethodInfo]
    """By name."""
    samples: SamplesInfo | None = None
    """Nothing where the bundle brings none."""


class Manifest(Section):
    """``manifest.json``."""

    format: Literal["xbarsim.bundle"]
    """Always ``xbarsim.bundle``."""
    version: Literal[1]
    """Version of the format."""
    generator: str
    """Program that wrote the bundle."""
    name: Annotated[str, Field(min_length=1)]
    """Name in results."""
    fingerprint: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Of the backbone's tensors."""
    weight_bits: Bits
    """Width of the weights."""
    input_bits: Annotated[int, Field(ge=1, le=MOST_BITS)]
    """Width of every crossbar layer's input, unsigned."""
    quantisers: dict[str, Quantisation]
    """By crossbar layer."""
    tasks: dict[str, TaskInfo]
    """By name, in order."""
    shared: dict[str, SharedInfo] = {}
    """By method, where its tasks share more than the backbone."""


class NodeInfo(Section):
    """One node of ``graph.json``."""

    name: str
    """Prefix of its parameters in the state dict."""
    op: str
    """Operation."""
    inputs: list[str]
    """Nodes it reads."""
    attrs: dict[str, Any]
    """Attributes of the operation."""
    parameters: dict[str, list[int]]
    """Shapes of its parameters by role; ``weight`` of node ``conv1`` is the tensor ``conv1.weight``."""
    shape: list[int]
    """Output shape: channels, height, width."""


class GraphFile(Section):
    """``graph.json``."""

    version: Literal[1]
    """Version of the format."""
    nodes: Annotated[list[NodeInfo], Field(min_length=2)]
    """In topological order."""


Model = TypeVar("Model", bound=Section)


def read_json(path: Path, model: type[Model]) -> Model:
    """Read a JSON file as ``model``; raises :class:`InputError` with every fault and its path."""
    tree = from_python(_parse(path), Place(str(path)))
    if not isinstance(tree, Table):
        raise InputError(Fault(str(path), "holds no table of keys and values"))
    return check(tree, model).value


def _parse(path: Path) -> object:
    try:
        text = path.read_text("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
    except json.JSONDecodeError as error:
        raise InputError(Fault(str(path), f"not valid JSON: {error.msg}", "", error.lineno, error.colno)) from None
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeDecodeError:
        reason = "the file is not UTF-8 text"
    except ValueError as error:
        reason = str(error)
    raise InputError(Fault(str(path), reason))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"key {key!r} given twice")
        seen[key] = value
    return seen


def _constant(word: str) -> object:
    raise ValueError(f"{word} is not a finite number")


def check_version(path: Path) -> None:
    """Raise :class:`InputError` if the manifest is not of a format and version known here."""
    raw = _parse(path)
    found = (raw.get("format"), raw.get("version")) if isinstance(raw, dict) else (None, None)
    if found[0] != FORMAT:
        raise InputError(Fault(str(path), f"{found[0]!r} is not {FORMAT!r}", "format"))
    if found[1] != VERSION:
        message = f"version {found[1]!r} is not known; this xbarsim reads version {VERSION}"
        raise InputError(Fault(str(path), message, "version"))

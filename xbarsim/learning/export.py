"""PyTorch models to masked-network bundles, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xbarsim import __version__
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import Fault, InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.bundles import bundle_content
from xbarsim.learning.capture import Captured, capture
from xbarsim.learning.capture_trace import Source
from xbarsim.learning.data import TaskData
from xbarsim.learning.export_tasks import Ground, TaskExport, scales_of, task_content
from xbarsim.learning.learn import LearnedTask, quantisers_of
from xbarsim.network import Network, entries_of, load_network
from xbarsim.network.bundle_writer import (
    BundleContent,
    MethodContent,
    SampleContent,
    TaskContent,
    write_bundle,
)

BITS = 8
"""Width of weights and inputs where nobody says."""

Method: TypeAlias = LearnedTask | TaskExport | nn.Module | Mapping[str, Tensor]
"""What one method learned for a task."""

Task: TypeAlias = Method | Sequence[Method] | Mapping[str, Method]
"""One method, several, or several by name."""


def export_bundle(
    path: str | Path,
    backbone: nn.Module,
    example_input: Tensor | None = None,
    tasks: Mapping[str, Task] | None = None,
    *,
    chip: Chip | str | None = None,
    rows: int | None = None,
    kernel_aligned: bool = False,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    inputs: Tensor | None = None,
    name: str | None = None,
    generator: str | None = None,
    overwrite: bool = False,
) -> Network:
    """Write a backbone and its tasks to the bundle ``path`` and return the bundle as it is read back.

    ``backbone``: a module, captured with ``example_input`` (see :func:`xbarsim.learning.capture.capture`), or a
    :class:`Backbone`. ``tasks`` by name: what :func:`xbarsim.learning.learn.learn` returned, adapted modules, state
    dicts, or :class:`TaskExport`; what is no LearnedTask is held against the backbone to find its method. Crossbars
    that column masks belong to: those of ``chip``, or ``rows`` and ``kernel_aligned``. ``inputs``: samples that the
    backbone's input scales are found from. Bits left out are those that tasks were learned for, the
    :class:`Backbone`'s own, the chip's, or 8; quantisers are fitted by output channel unless the backbone has some.

    Raises :class:`InputError` with the faults of all tasks; nothing is written then.
    """
    target = Path(path)
    machine = load_chip(chip) if isinstance(chip, str) else chip
    captured = captured_of(backbone, example_input)
    frozen = captured.state()
    start = backbone if isinstance(backbone, Backbone) else Backbone(captured.nodes, frozen)
    given = {task: list(_methods(how)) for task, how in (tasks or {}).items()}
    learned = [how for methods in given.values() for _, how in methods if isinstance(how, LearnedTask)]
    bits = _bits(start, machine, learned, weight_bits, input_bits)
    there = _crossbars(machine, learned, rows, kernel_aligned)
    together = _learned(target, start, learned, list(given), bits) if learned else None
    ground = Ground(captured, frozen, *bits, *there)
    state = dict(frozen)
    if inputs is not None:
        state |= scales_of(start, inputs, bits[1])
    content = BundleContent(
        name or target.stem,
        generator or f"xbarsim {__version__} export_bundle; torch {torch.__version__}",
        captured.entries,
        state,
        quantisers_of(start, bits[0]),
        _all_tasks(ground, given, together.tasks if together else {}),
        *bits,
        together.shared if together else {},
    )
    return write_bundle(target, content, overwrite=overwrite)


def load_module(bundle: Network | str | Path, task: str | None = None, method: str | None = None) -> Backbone:
    """Return a bundle as a PyTorch module: the backbone, or with the weights, masks in them, of a task and method."""
    network = bundle if isinstance(bundle, Network) else load_network(bundle)
    return Backbone.of(network, task, method).eval()


def captured_of(module: nn.Module, example_input: Tensor | None) -> Captured:
    """Return a module's graph; a :class:`Backbone` has it already. Raises :class:`InputError` without an example."""
    if isinstance(module, Backbone):
        sources = {name: Source(name) for name in module.names()}
        entries = entries_of(module.nodes)
        return Captured(module.nodes, entries, sources, {}, module.state_dict())
    if example_input is None:
        raise InputError(f"{type(module).__name__}: give an example input; the graph is found by running it once")
    return capture(module, example_input)


def _bits(
    backbone: Backbone, chip: Chip | None, learned: Sequence[LearnedTask], weight: int | None, inputs: int | None
) -> tuple[int, int]:
    """Return the widths of weights and inputs: as told, as learned, the network's own, the chip's."""
    first = (learned[0].weight_bits, learned[0].input_bits) if learned else (None, None)
    there = (chip.file.precision.weight_bits, chip.file.precision.input_bits) if chip else (BITS, BITS)
    return weight or first[0] or backbone.weight_bits or there[0], inputs or first[1] or backbone.input_bits or there[1]


def _crossbars(
    chip: Chip | None, learned: Sequence[LearnedTask], rows: int | None, aligned: bool
) -> tuple[int | None, bool]:
    """Return the crossbars' rows and whether row blocks end with a kernel: the chip's, as told, or as learned."""
    if chip is not None:
        return chip.file.crossbar.rows, chip.file.mapping.kernel_aligned
    if rows is None and learned:
        return learned[0].geometry.rows, learned[0].geometry.kernel_aligned
    return rows, aligned


def _learned(
    target: Path, backbone: Backbone, learned: Sequence[LearnedTask], order: list[str], bits: tuple[int, int]
) -> BundleContent:
    """Put together what :func:`learn` returned; its tasks' numbers as owners must be those of the bundle."""
    found = bundle_content(target.stem, backbone, learned, "")
    if (found.weight_bits, found.input_bits) != bits:
        raise InputError(
            f"was learned for {found.weight_bits}-bit weights and {found.input_bits}-bit inputs, the bundle has "
            f"{bits[0]} and {bits[1]}; leave weight_bits and input_bits out"
        )
    numbered = any(shared.owners for shared in found.shared.values())
    if numbered and list(found.tasks) != order[: len(found.tasks)]:
        raise InputError(f"tasks that own weights come first in a bundle, in the order {', '.join(found.tasks)}")
    return found


def _all_tasks(
    ground: Ground, given: Mapping[str, list[tuple[str, Any]]], learned: Mapping[str, TaskContent]
) -> dict[str, TaskContent]:
    """Return what every task stores; raise :class:`InputError` with the faults of all of them."""
    found, faults = {}, list[Fault]()
    for task, methods in given.items():
        start = learned.get(task)
        parts = [(start.classes, start.methods, start.samples)] if start else []
        for label, how in methods:
            place = f"tasks.{task}" + (f".{label}" if label else "")
            try:
                if not isinstance(how, LearnedTask):
                    parts.append(_part(ground, how))
                elif how.task != task:
                    faults.append(Fault("", f"was learned for the task {how.task!r}", place))
            except InputError as error:
                faults += [replace(fault, path=f"{place}.{fault.path}".rstrip(".")) for fault in error.faults]
        faults += [Fault("", message, f"tasks.{task}") for message in _clashes(parts, bool(methods))]
        if parts:
            contents = {method: content for _, methods, _ in parts for method, content in methods.items()}
            samples = next((samples for _, _, samples in parts if samples is not None), None)
            found[task] = TaskContent(parts[0][0], contents, samples)
    if faults:
        raise InputError(faults)
    return found


Part: TypeAlias = tuple[int, Mapping[str, MethodContent], SampleContent | None]
"""Classes, methods by name, samples."""


def _part(ground: Ground, how: object) -> Part:
    """Return one method of a task."""
    one = TaskExport(how) if isinstance(how, (nn.Module, Mapping)) else how
    if not isinstance(one, TaskExport):
        raise InputError(f"{type(how).__name__} is no LearnedTask, TaskExport, module or state dict")
    method, classes, content = task_content(ground, one)
    samples = one.samples.content() if isinstance(one.samples, TaskData) else one.samples
    return classes, {method: content}, samples


def _clashes(parts: Sequence[Part], asked: bool) -> Iterator[str]:
    """Yield why the methods of a task do not go together."""
    if not asked:
        yield "no method"
    classes = sorted({classes for classes, _, _ in parts})
    if len(classes) > 1:
        yield f"methods have heads of {classes} classes"
    names = [name for _, methods, _ in parts for name in methods]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"method {name!r} is given twice"


def _methods(given: object) -> Iterator[tuple[str, Any]]:
    """Yield the methods of a task with their names or numbers; a name is meant as the method unless it has one."""
    if isinstance(given, Mapping) and not all(isinstance(value, Tensor) for value in given.values()):
        for method, how in given.items():
            if isinstance(how, (nn.Module, Mapping)):
                yield method, TaskExport(how, method)
            elif isinstance(how, TaskExport) and how.method is None:
                yield method, replace(how, method=method)
            else:
                yield method, how
    elif isinstance(given, Sequence):
        yield from ((str(number), how) for number, how in enumerate(given))
    else:
        yield "", given

"""A workload from a spec: the backbone, every method on every task, and the bundle of it all.

What is learned is kept in a folder beside the bundle, a file for every task and method. Its name holds a hash of
all that it depends on, so a run that was killed goes on where it stopped, a changed spec learns anew only what it
changes, and nothing stale is ever read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xbarsim import __version__
from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.config import digest
from xbarsim.errors import InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.bundles import bundle_content
from xbarsim.learning.data import TaskData
from xbarsim.learning.images import image_task
from xbarsim.learning.learn import LearnedTask, learn
from xbarsim.learning.methods import Method, method_named, option_fault, options_of
from xbarsim.learning.pretrain import pretrain
from xbarsim.learning.spec import LearnSpec, Spec
from xbarsim.network import Network
from xbarsim.network.bundle_writer import BundleContent, MethodContent, SampleContent, write_bundle
from xbarsim.network.quantiser import Quantiser, integer_type
from xbarsim.network.tensors import open_tensors, write_tensors
from xbarsim.network.validation import INPUT_SCALE
from xbarsim.studies.pool import each

SEQUENCES = ("packnet", "cpg", "xst")
"""Methods whose tasks share weights: they are learned one after the other."""


@dataclass(frozen=True)
class Chain:
    """Tasks that one method learns, each after the one before it."""

    method: str
    tasks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {', '.join(self.tasks)}"


@dataclass(frozen=True, eq=False)
class _Common:
    """What all chains share."""

    chip: Chip
    spec: LearnSpec
    backbone: Backbone
    key: str
    """What the backbone depends on."""
    folder: Path


def pieces_of(spec: Spec) -> list[str]:
    """Return what :func:`learn_workload` does, piece by piece, as its ``progress`` is told."""
    return ["backbone", *map(str, _chains(spec.value))]


def learn_workload(
    chip: Chip,
    spec: Spec,
    out: Path,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    keep: bool = False,
    progress: Callable[[str], None] = lambda piece: None,
) -> Network:
    """Learn everything that a spec asks for and write it to the bundle ``out``; return it as read back.

    Checkpoints stand in the folder ``NAME.xmn.learning`` beside ``out`` until the bundle is written, or longer with
    ``keep``. The bundle depends neither on ``jobs`` nor on interruptions. Raises :class:`InputError` for a chip,
    network, task and method that do not go together.
    """
    _check(chip, spec)
    folder = out.with_name(f"{out.name}.learning")
    folder.mkdir(parents=True, exist_ok=True)
    progress("backbone")
    key = _hash(spec.network.fingerprint, spec.value.backbone.model_dump(), spec.value.seed, digest(chip.file))
    with _one_thread():
        backbone = _backbone(chip, spec, folder / f"backbone.{key}.safetensors")
    common = _Common(chip, spec.value, backbone, key, folder)
    found = each(_learn_chain, common, _chains(spec.value), jobs, lambda chain: progress(str(chain)))
    learned = {(one.task, one.method): one for chain in found for one in chain}
    content = _content(chip, spec, backbone, learned)
    network = write_bundle(out, content, overwrite=overwrite)
    if not keep:
        shutil.rmtree(folder)
    return network


def accuracies(network: Network) -> list[dict[str, Any]]:
    """Return the accuracies that a bundle notes: task, method, ``float`` and ``quantised``."""
    return [
        {"task": task.name, "method": method, **(task.accuracy(method) or {})}
        for task in network.tasks.values()
        for method in task.methods
    ]


def _check(chip: Chip, spec: Spec) -> None:
    """Refuse what cannot be learned before anything is."""
    faults, reads = [], spec.network.nodes[0].shape
    for method, how in spec.value.methods.items():
        where = f"methods.{method}"
        try:
            method_named(method, {})
        except InputError as error:
            faults.append(spec.fault(str(error), where))
            continue
        faults += [
            spec.fault(fault, f"{where}.options.{name}")
            for name, value in how.options.items()
            if (fault := option_fault(Method.known[method], name, value))
        ]
        if Adaption.named(method).gates and chip.file.gate is None:
            faults.append(spec.fault(f"chip {chip.name!r} has no column gates, which {method!r} needs", where))
    for task in dict.fromkeys([*spec.value.tasks, spec.value.backbone.task or spec.value.tasks[0]]):
        shape = image_task(task).train.shape[1:]
        if tuple(shape) != reads:
            message = f"{spec.network.name!r} reads {reads}, samples of {task!r} are {tuple(shape)}"
            faults.append(spec.fault(message, "backbone.network"))
    if faults:
        raise InputError(faults)


def _chains(spec: LearnSpec) -> list[Chain]:
    """Independent pieces of work, the long ones first."""
    tasks = tuple(spec.tasks)
    long = [Chain(method, tasks) for method in spec.methods if method in SEQUENCES]
    return long + [Chain(method, (task,)) for task in tasks for method in spec.methods if method not in SEQUENCES]


def _learn_chain(common: _Common, chain: Chain) -> list[LearnedTask]:
    """Learn the tasks of a chain; what a checkpoint has already is not trained again."""
    spec, found = common.spec, list[LearnedTask]()
    how = spec.methods[chain.method]
    options = {**options_of(Method.known[chain.method]), **how.options}
    if "tasks" in options and "tasks" not in how.options:
        options["tasks"] = len(chain.tasks)  # of a sequence: so many share what the backbone frees
    for number, task in enumerate(chain.tasks):
        before = chain.tasks[:number]
        key = _hash(common.key, how.model_dump(), spec.epochs_of(chain.method), before, options)
        with _one_thread():
            learned = learn(
                common.backbone,
                chain.method,
                image_task(task),
                common.chip,
                epochs=spec.epochs_of(chain.method),
                seed=spec.seed,
                after=found[-1] if found else None,
                energy_weight=how.energy_weight,
                checkpoint=common.folder / f"{task}.{chain.method}.{key}.pt",
                options=options,
            )
        found.append(learned)
    return found


def _hash(*parts: object) -> str:
    """Return a short name of what something depends on."""
    text = json.dumps([torch.__version__, __version__, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in a fixed order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _backbone(chip: Chip, spec: Spec, kept: Path) -> Backbone:
    """Return the bundle's backbone, or that of a layer table: learned, or from its checkpoint."""
    if not spec.network.synthetic:
        return Backbone.of(spec.network)
    own, precision = spec.network, chip.file.precision
    how, bits = spec.value.backbone, own.weight_bits or precision.weight_bits
    if kept.exists():
        return _read(spec, kept, bits)
    made = pretrain(own.nodes, _first_task(spec), epochs=how.epochs, seed=spec.value.seed, bits=bits)
    scales = {f"{name}.scale": quantiser.scale for name, quantiser in made.quantisers.items()}
    beside = kept.with_name(f".{kept.name}")
    write_tensors(beside, {**made.arrays(), **scales})
    beside.replace(kept)
    return _read(spec, kept, bits)


def _read(spec: Spec, kept: Path, bits: int) -> Backbone:
    """Return a backbone from its checkpoint."""
    file = open_tensors(kept)
    arrays = {name: file.get(name) for name in file.tensors}
    found = Backbone(spec.network.nodes, arrays)
    found.weight_bits, found.input_bits = bits, spec.network.input_bits
    found.quantisers = {name: Quantiser(bits, arrays[f"{name}.scale"]) for name in found.layers}
    return found.eval()


def _first_task(spec: Spec) -> TaskData:
    return image_task(spec.value.backbone.task or spec.value.tasks[0])


def _content(
    chip: Chip, spec: Spec, backbone: Backbone, learned: Mapping[tuple[str, str], LearnedTask]
) -> BundleContent:
    """Put the bundle together, tasks and methods in the order of the spec."""
    value = spec.value
    generator = f"xbarsim {__version__} learn {chip.name} {Path(spec.source).name}, seed {value.seed}"
    in_order = [learned[task, method] for task in value.tasks for method in value.methods]
    data = _first_task(spec) if spec.network.synthetic else None
    content = bundle_content(
        value.name, backbone, in_order, f"{generator}; torch {torch.__version__}", backbone_data=data, chip=chip
    )
    tasks = {}
    for name, task in content.tasks.items():
        methods = {method: _in_integers(one, content.quantisers) for method, one in task.methods.items()}
        tasks[name] = replace(task, methods=methods, samples=_samples(task.samples, value.samples))
    return replace(content, tasks=tasks, backbone={**content.backbone, **_own_scales(spec.network)})


def _in_integers(content: MethodContent, quantisers: Mapping[str, Quantiser]) -> MethodContent:
    """Weights that stand on their grid as integers: a quarter of the bytes, the same values."""
    found = dict(content.weights)
    for layer, weights in content.weights.items():
        quantiser = content.quantisers.get(layer) or quantisers.get(layer)
        if quantiser is None or weights.dtype.kind != "f":
            continue
        integers = quantiser.integers(weights)
        if np.array_equal(quantiser.values(integers), weights):
            found[layer] = integers.astype(integer_type(quantiser.bits))
    return replace(content, weights=found)


def _samples(samples: SampleContent | None, most: int | None) -> SampleContent | None:
    """The first samples, where not all are kept."""
    if samples is None or most is None:
        return samples
    return replace(samples, inputs=samples.inputs[:most], labels=samples.labels[:most])


def _own_scales(network: Network) -> dict[str, NDArray[Any]]:
    """Steps of the inputs that a bundle's backbone brings."""
    if network.synthetic:
        return {}
    return {name: value for name, value in network.store.state("", "").items() if name.endswith(f".{INPUT_SCALE}")}

"""One method learns one task: ``learn(backbone, method, data, chip)``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.adaptions import Adaption
from xbarsim.analog.encode import Drive
from xbarsim.analog.ops import signed_nodes
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import Fault, InputError
from xbarsim.learning import branches, sequences, tiers, tuning  # noqa: F401  (their methods register themselves)
from xbarsim.learning.backbone import Backbone, See, with_classes
from xbarsim.learning.data import TaskData
from xbarsim.learning.masks import Grid, Parametrisation
from xbarsim.learning.methods import Method, Setting, Weights, method_named
from xbarsim.learning.training import BATCH, CHUNK, LEAST_SCALE, InputGrid, Limits, Progress, Row, Run, Update
from xbarsim.network.bundle_writer import MethodContent, SampleContent, SharedContent
from xbarsim.network.masks import Geometry
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.tensors import fingerprint
from xbarsim.network.validation import INPUT_SCALE


@dataclass(frozen=True, eq=False)
class LearnedTask:
    """What one method has learned for one task."""

    task: str
    method: str
    classes: int
    content: MethodContent
    """What a bundle stores for it."""
    shared: SharedContent | None
    """What all tasks of the method share, up to this one; owners are numbered along :attr:`sequence`."""
    samples: SampleContent | None
    """The held-out samples, where they are small integers."""
    accuracy: Mapping[str, float]
    """On the held-out samples, from 0 to 1: ``float``, and ``quantised`` (integer weights and inputs)."""
    history: tuple[Row, ...]
    """One row per epoch."""
    seed: int
    backbone: str
    """Fingerprint of the frozen backbone."""
    weight_bits: int
    input_bits: int
    geometry: Geometry
    """The crossbars that it was learned for."""
    sequence: tuple[str, ...] = ()
    """Names of the tasks that own weights or columns, this one last; empty for methods without owners."""
    owned: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Who owns what by layer, -1 where nobody does; for the next task in a sequence."""


def learn(
    backbone: Backbone | Network | nn.Module,
    method: str,
    data: TaskData,
    chip: Chip | str,
    *,
    epochs: int = 30,
    seed: int = 0,
    after: LearnedTask | None = None,
    energy_weight: float = 0.0,
    checkpoint: Path | str | None = None,
    progress: Progress | None = None,
    update: Update | None = None,
    batch: int = BATCH,
    options: Mapping[str, Any] | None = None,
) -> LearnedTask:
    """Learn a task with a method on a frozen backbone, for the crossbars of ``chip``.

    ``after``: the task learned before it in a sequence (packnet, cpg, xst). ``energy_weight``: factor of the
    expected energy of one inference, over that with everything on, in the loss of column masks. ``checkpoint``: a
    file that is written after every epoch; a run that was cut off goes on from it and gives the same result as one
    that was not. ``progress`` gets a row per epoch, ``update`` the integers in the crossbars after every step, of
    methods that train cells. ``options``: the method's own, see :mod:`xbarsim.learning.methods`.

    The same arguments give the same result on one machine; PyTorch's own random numbers are not touched. Raises
    :class:`InputError` if network, data, chip and method do not go together.
    """
    machine = load_chip(chip) if isinstance(chip, str) else chip
    start = as_backbone(backbone, data)
    kind = method_named(method, options or {})
    _check(start, method, data, machine, epochs, batch)
    with _alone():
        begun = _begin(start, kind, data, machine, seed, after, dict(options or {}))
        run = Run(
            begun.net, begun.method, data.inputs("train"), data.labels("train"), begun.random,
            InputGrid(begun.limits), begun.method.stages(epochs), batch, _energy(machine, begun, energy_weight),
            energy_weight,
        )  # fmt: skip
        key = _key(begun, data, seed, epochs, after, energy_weight, batch, options)
        run.go(key, Path(checkpoint) if checkpoint else None, progress, update)
        return _result(begun, run, data, seed, after)


@dataclass(frozen=True, eq=False)
class _Begun:
    """All that training starts from."""

    net: Backbone
    method: Method
    backbone: str
    raw: Mapping[str, Tensor]
    """Weights of the adapted layers as they were given."""
    random: torch.Generator
    limits: Limits
    weight_bits: int
    input_bits: int


def as_backbone(network: Backbone | Network | nn.Module, data: TaskData | None = None) -> Backbone:
    """Return a network as :class:`Backbone`; modules of PyTorch are captured with one of the task's samples."""
    if isinstance(network, Backbone):
        return network
    if isinstance(network, Network):
        return Backbone.of(network)
    if data is None:
        raise InputError("a module of PyTorch is captured with an example of its input: give the task's data")
    from xbarsim.learning.capture import backbone_of

    found: Backbone = backbone_of(network, data.inputs("train")[:1])
    return found


def quantisers_of(backbone: Backbone, bits: int) -> dict[str, Quantiser]:
    """Return the quantiser of every crossbar layer: the network's own, or fitted by output channel."""
    found = {}
    for name in backbone.layers:
        known = backbone.quantisers.get(name)
        fits = known is not None and known.bits == bits
        found[name] = known if known and fits else Quantiser.fit(backbone.weight(name).detach().numpy(), bits)
    return found


def bits_of(backbone: Backbone, chip: Chip) -> tuple[int, int]:
    """Return the widths of weights and inputs: the network's own, or else the chip's."""
    there = chip.file.precision
    return backbone.weight_bits or there.weight_bits, backbone.input_bits or there.input_bits


def geometry_of(chip: Chip, weight_bits: int) -> Geometry:
    """Return the crossbars of a chip as masks see them; see :func:`xbarsim.adaptions.base.geometry`."""
    file = chip.file
    width = max(1, file.crossbar.cols // (1 if file.crossbar.slices == "arrays" else chip.slices(weight_bits)))
    return Geometry(file.crossbar.rows, file.mapping.kernel_aligned, width, file.pe.crossbars)


def _check(backbone: Backbone, method: str, data: TaskData, chip: Chip, epochs: int, batch: int) -> None:
    """Refuse what cannot be learned, with all faults."""
    faults = []
    shape, wanted = tuple(data.inputs("train").shape[1:]), backbone.nodes[0].shape
    if shape not in (wanted, (wanted[1], wanted[0])):
        faults.append(Fault(f"task {data.name!r}", f"samples have shape {shape}, the network's input is {wanted}"))
    if Adaption.named(method).gates and chip.file.gate is None:
        message = f"chip {chip.name!r} has no column gates, which method {method!r} needs; add a gate section"
        faults.append(Fault(chip.origin, message, "gate"))
    if not backbone.adapted:
        faults.append(Fault("backbone", "has no crossbar layer before its head: there is nothing to adapt"))
    faults += [Fault("learn", f"{name}: {value} is below 1") for name, value in (("epochs", epochs), ("batch", batch))
               if value < 1]  # fmt: skip
    if faults:
        raise InputError(faults)


@contextmanager
def _alone() -> Iterator[None]:
    """Run as PyTorch promises repeatable results, and leave its settings and random numbers as they were."""
    settings, state = torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(settings)
        torch.set_rng_state(state)


def _begin(
    backbone: Backbone,
    kind: type[Method],
    data: TaskData,
    chip: Chip,
    seed: int,
    after: LearnedTask | None,
    options: dict[str, Any],
) -> _Begun:
    """Copy the backbone, give it branches and a new head, and set the method up."""
    weight_bits, input_bits = bits_of(backbone, chip)
    print_of = fingerprint(backbone.arrays())
    sequences.check_sequence(kind, data.name, after, print_of)
    random = torch.Generator().manual_seed(seed)
    quantisers = quantisers_of(backbone, weight_bits)
    raw = {name: backbone.weight(name).detach().float().clone() for name in backbone.adapted}
    grids = {name: Grid(quantisers[name], len(weight)) for name, weight in raw.items()}
    torch.manual_seed(seed)  # branches start from PyTorch's own initialisers; see _alone
    grown = kind.grown(backbone, **options)
    net = fresh(grown, data.classes, random)
    setting = Setting(
        net, {name: grid.snapped(raw[name]) for name, grid in grids.items()}, grids,
        geometry_of(chip, weight_bits), weight_bits, grown.nodes, after,
    )  # fmt: skip
    method = kind(setting, **options)
    for module in method.modules():
        if isinstance(module, Parametrisation):
            module.random = random
    signed = signed_nodes(net.nodes, bool(data.inputs("train").min() < 0))
    reads = {node.name: signed[node.inputs[0]] for node in net.nodes if node.name in net.layers}
    limits = {name: Drive.of(chip, input_bits, negative).range for name, negative in reads.items()}
    return _Begun(net, method, print_of, raw, random, limits, weight_bits, input_bits)


def fresh(backbone: Backbone, classes: int, random: torch.Generator) -> Backbone:
    """Return a copy with a new head of ``classes`` outputs, drawn as PyTorch draws a linear layer."""
    state = {name: torch.from_numpy(value) for name, value in backbone.arrays().items()}
    head = backbone.head
    if head is not None:
        reach = head.c_in**-0.5
        for role in ("weight", "bias") if head.bias else ("weight",):
            shape = (classes, *state[f"{head.name}.{role}"].shape[1:])
            state[f"{head.name}.{role}"] = torch.rand(shape, generator=random) * 2 * reach - reach
    return Backbone(with_classes(backbone.nodes, classes), state)


def _energy(chip: Chip, begun: _Begun, weight: float) -> Callable[[Mapping[str, Tensor]], Tensor] | None:
    if not weight:
        return None
    if begun.method.on() is None:
        raise InputError(f"energy_weight: method {begun.method.name!r} gates no columns, so it saves no energy")
    from xbarsim.learning.energy import EnergyTerm

    term: Callable[[Mapping[str, Tensor]], Tensor] = EnergyTerm.of(
        chip, begun.net.nodes, weight_bits=begun.weight_bits, input_bits=begun.input_bits
    )  # fmt: skip
    return term


def _key(begun: _Begun, data: TaskData, *rest: object) -> str:
    """Return a name of what is learned: two runs of one name are the same run."""
    digest = hashlib.sha256()
    for part in ("train", "test"):
        digest.update(data.inputs(part).numpy().tobytes())
        digest.update(data.labels(part).numpy().tobytes())
    texts = [one.backbone + str(one.sequence) if isinstance(one, LearnedTask) else str(one) for one in rest]
    digest.update(repr((begun.backbone, begun.method.setting.geometry, begun.weight_bits, begun.input_bits,
                        texts)).encode())  # fmt: skip
    return f"{begun.method.name} of {data.name}, {digest.hexdigest()[:16]}"


def _result(begun: _Begun, run: Run, data: TaskData, seed: int, after: LearnedTask | None) -> LearnedTask:
    """Fix everything, find the input scales, measure and pack."""
    net, method = run.net, run.method
    stored = method.stored()
    held, floats = method.final(method.setting.frozen), method.final(begun.raw)
    scales = input_scales(net, held, run.inputs, run.grid.limits)
    quantisers = dict(stored.quantisers)
    head = net.head
    if head is not None:
        quantisers[head.name] = Quantiser.fit(net.weight(head.name).detach().numpy(), begun.weight_bits)
    accuracy = measured(net, floats, held, scales, run.grid.limits, quantisers, data)
    kept = {f"{name}.weight" for name in net.adapted}
    state = {name: value for name, value in net.arrays().items() if name not in kept}
    state |= {f"{name}.{INPUT_SCALE}": scale for name, scale in scales.items()}
    content = MethodContent(state, stored.masks, stored.weights, quantisers, accuracy, stored.units)
    owned = method.owned()
    sequence = (*(after.sequence if after else ()), data.name) if owned else ()
    return LearnedTask(
        data.name, method.name, data.classes, content, method.shared(), data.content(), accuracy, tuple(run.history),
        seed, begun.backbone, begun.weight_bits, begun.input_bits, method.setting.geometry, sequence, owned,
    )  # fmt: skip


@torch.no_grad()
def input_scales(net: Backbone, weights: Weights, inputs: Tensor, limits: Limits) -> dict[str, NDArray[np.float32]]:
    """Return the step of every crossbar input: its largest magnitude on ``inputs`` is the largest integer."""
    tops = dict.fromkeys(net.layers, 0.0)

    def note(name: str, seen: Tensor) -> Tensor:
        tops[name] = max(tops[name], float(seen.abs().amax()))
        return seen

    net.eval()
    for some in torch.split(inputs, CHUNK):
        net(some, weights, note)
    return {name: np.array([max(top, LEAST_SCALE) / limits[name][1]], np.float32) for name, top in tops.items()}


@torch.no_grad()
def measured(
    net: Backbone,
    floats: Weights,
    held: Weights,
    scales: Mapping[str, NDArray[np.float32]],
    limits: Limits,
    quantisers: Mapping[str, Quantiser],
    data: TaskData,
) -> dict[str, float]:
    """Return the accuracy on the held-out samples in floats, and with integer weights and inputs.

    In double precision, so that integers are exact.
    """
    twin = deepcopy(net).double().eval()
    inputs, labels = data.inputs("test").double(), data.labels("test")

    def see(name: str, seen: Tensor) -> Tensor:
        step = float(scales[name][0])
        return (seen / step).round().clamp(*limits[name]) * step

    def share(weights: Weights, how: See) -> float:
        double = {name: weight.double() for name, weight in weights.items()}
        parts = [twin(some, double, how).argmax(1) for some in torch.split(inputs, CHUNK)]
        return float((torch.cat(parts) == labels).double().mean())

    head = net.head
    own = dict(held)
    if head is not None:
        quantiser = quantisers[head.name]
        integers = quantiser.integers(net.weight(head.name).detach().numpy())
        own[head.name] = torch.from_numpy(quantiser.values(integers))
    return {"float": share(floats, lambda name, seen: seen), "quantised": share(own, see)}

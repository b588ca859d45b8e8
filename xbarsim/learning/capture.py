"""A PyTorch module as a graph of xbarsim: operations, shapes and state-dict names, through ``torch.export``.

Normalisation stays by itself; what PyTorch does to dimensions (views, permutations, heads) is followed by
:mod:`xbarsim.learning.capture_layout`, operations stand in ``capture_ops`` and ``capture_products``.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from xbarsim.errors import Fault, InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.capture_layout import Layout, Value, described, image, tokens, vector
from xbarsim.learning.capture_products import HANDLERS, UNNECESSARY, VIEWS
from xbarsim.learning.capture_trace import (
    FollowsError,
    FxNode,
    Param,
    Source,
    Trace,
    UnsupportedError,
    check_shape,
    prefix,
    shared,
    where,
)
from xbarsim.network.graph import Entry, GraphError, Layer, Node, build_graph, derive_layers
from xbarsim.network.ops import Shape

SAMPLES = 3
"""Samples in the traced batch: a number that no module counts on, so that a mixture of samples shows."""

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, eq=False)
class Captured:
    """A module's graph, and where its parameters stand in state dicts of that module."""

    nodes: tuple[Node, ...]
    """In topological order, input first."""
    entries: tuple[Entry, ...]
    """The same as they would be written."""
    sources: Mapping[str, Source]
    """By name in the graph; the same name for most."""
    constants: Mapping[str, NDArray[np.float32]]
    """Parameters that the graph has and the module has not: factors of attention, ones and zeros."""
    tensors: Mapping[str, Tensor]
    """The module's own state dict, not copied."""

    @property
    def layers(self) -> dict[str, Layer]:
        """The crossbar layers by name."""
        return derive_layers(self.nodes)

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the module's state dict that the graph does not need."""
        read = {source.name for source in self.sources.values()}
        return tuple(name for name in self.tensors if name not in read and not name.endswith(_COUNTER))

    def state(self, state_dict: Mapping[str, Tensor] | None = None) -> dict[str, NDArray[np.float32]]:
        """Return every parameter of the graph, from a state dict of the module or of one with another head.

        Raises :class:`InputError` that names what is missing.
        """
        given = self.tensors if state_dict is None else state_dict
        missing = sorted({source.name for source in self.sources.values()} - set(given))
        if missing:
            raise InputError(f"the state dict has no {', '.join(missing)}")
        if any(tensor.is_meta for tensor in given.values()):
            raise InputError("the module stands on the device 'meta': it has shapes, but no weights")
        found = {name: _array(source.read(given[source.name])) for name, source in self.sources.items()}
        return found | {name: value.copy() for name, value in self.constants.items()}

    def state_dict(self, state: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        """Return a state dict of the module from parameters of the graph; what the graph lacks is the module's."""
        result = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        for name, source in self.sources.items():
            source.write(result[source.name], torch.from_numpy(np.array(state[name])))
        return result


def capture(module: nn.Module, example_input: Tensor) -> Captured:
    """Return the graph of a module as it runs in ``eval()`` on inputs like ``example_input``.

    ``example_input``: ``(n, channels, height, width)``, ``(n, tokens, width)`` or ``(n, features)``. Parametrised and
    pruned layers count with their effective weights. Raises :class:`InputError` with every operation that has no
    counterpart, its module, and what to do.
    """
    module = plain(module)
    program = exported(module, example_input)
    tensors = {**dict(program.constants), **module.state_dict()}
    trace = _traced(program, type(module).__name__, example_input)
    try:
        nodes = build_graph(trace.entries)
    except GraphError as error:
        raise InputError([Fault(type(module).__name__, message) for _, _, message in error.faults]) from None
    kept = {node.name for node in nodes}
    sources = {name: source for name, source in trace.sources.items() if name.rpartition(".")[0] in kept}
    constants = {name: value for name, value in trace.constants.items() if name.rpartition(".")[0] in kept}
    names = {source.name for source in sources.values()} | set(module.state_dict())
    used = {name: tensor for name, tensor in tensors.items() if name in names and isinstance(tensor, Tensor)}
    return Captured(nodes, tuple(trace.entries), sources, constants, used)


def backbone_of(module: nn.Module, example_input: Tensor) -> Backbone:
    """Return a module's graph with copies of its weights as a :class:`Backbone`; see :func:`capture`."""
    found = capture(module, example_input)
    return Backbone(found.nodes, found.state())


def plain(module: nn.Module) -> nn.Module:
    """Return the module with effective weights in place of parametrisations and pruning; itself if it has none."""
    pruned = [one for one in module.modules() if prune.is_pruned(one)]
    if not pruned and not any(parametrize.is_parametrized(one) for one in module.modules()):
        return module
    with torch.no_grad(), evaluating(module):
        for one in pruned:
            for hook in one._forward_pre_hooks.values():
                if isinstance(hook, prune.BasePruningMethod):
                    hook(one, None)
        made = copy.deepcopy(module)
        for one in made.modules():
            _settle(one)
    return made


def _settle(module: nn.Module) -> None:
    """Put effective weights in the place of one copied module's parametrisations and pruning."""
    if parametrize.is_parametrized(module):
        names = list(dict(module.parametrizations.named_children()))  # type: ignore[union-attr]
        effective = {name: getattr(module, name).detach().clone() for name in names}
        # not remove_parametrizations: that would change the class, which the copy shares with its original
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module._modules["parametrizations"]
        for name, tensor in effective.items():
            module.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run with the module in ``eval()``; every part gets its own mode back."""
    modes = {one: one.training for one in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for one, mode in modes.items():
            one.training = mode


def exported(module: nn.Module, example_input: Tensor) -> Any:
    """Return the module's exported program for a batch of :data:`SAMPLES`; raise :class:`InputError` if it has none."""
    name = type(module).__name__
    if not isinstance(example_input, Tensor) or example_input.ndim not in (2, 3, 4):
        raise InputError(
            f"{name}: the example input must be a tensor: (n, channels, height, width), (n, tokens, width) or "
            "(n, features)"
        )
    if not example_input.is_floating_point():
        raise InputError(f"{name}: the example input holds {example_input.dtype}, not floating-point numbers")
    batch = torch.cat([example_input[:1]] * SAMPLES)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with evaluating(module), torch.no_grad():
            program = torch.export.export(module, (batch,))
    except Exception as error:
        message = str(error).strip().split("\n")[0]
        raise InputError(f"{name}: torch.export cannot follow it: {type(error).__name__}: {message}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    program.graph.eliminate_dead_code()
    return program


def _traced(program: Any, name: str, example: Tensor) -> Trace:
    """Go through the program and return the graph; raise :class:`InputError` with every fault."""
    specs = program.graph_signature.input_specs
    inputs = [spec for spec in specs if spec.kind.name == "USER_INPUT"]
    if len(inputs) != 1:
        raise InputError(f"{name}: takes {len(inputs)} inputs; a network has one")
    trace = Trace({prefix(spec.target) for spec in specs if spec.target})
    by_name = {spec.arg.name: spec for spec in specs}
    output: FxNode | None = None
    for node in program.graph.nodes:
        if node.op == "placeholder":
            trace.env[node] = _placeholder(trace, node, by_name[node.name], example)
        elif node.op == "output":
            output = node
        else:
            _step(trace, node)
    _finish(trace, output)
    if trace.faults:
        raise InputError([Fault(name, fault.message, fault.path) for fault in dict.fromkeys(trace.faults)])
    return trace


def _placeholder(trace: Trace, node: FxNode, spec: Any, example: Tensor) -> Value | Param:
    if spec.kind.name != "USER_INPUT":
        return Param(Source(spec.target), tuple(node.meta["val"].shape))
    sizes = [int(size) for size in example.shape[1:]]
    makers = {1: vector, 2: tokens, 3: image}
    channels, height, width = (*sizes, 1, 1)[:3] if len(sizes) != 2 else (sizes[1], sizes[0], 1)
    shape: Shape = (channels, height, width)
    layout: Layout = makers[len(sizes)](SAMPLES, shape)
    given = trace.free("input")
    trace.emit(given, "input", [], shape=list(shape))
    return Value(given, shape, layout)


def _step(trace: Trace, node: FxNode) -> None:
    """Capture one operation; note the fault where that is not possible."""
    target: Any = node.target
    schema = getattr(target, "_schema", None)
    word = schema.name.split("::")[-1] if schema else getattr(target, "__name__", str(target))
    mutable = bool(schema and schema.is_mutable)
    word = word.removesuffix("_") if mutable and not word.startswith("__") else word
    if word in UNNECESSARY:
        trace.env[node] = UnsupportedError("computes no tensor")
        return
    try:
        handler = HANDLERS.get(word)
        if handler is None:
            raise UnsupportedError(
                "has no counterpart; replace it by operations that a graph has (docs/formats.md, layer tables) or "
                "leave this part out of the module"
            )
        result = handler(trace, node, _arguments(node, schema))
        if isinstance(result, Value):
            check_shape(node, result.layout)
        trace.env[node] = result
        if mutable:
            trace.in_place(node, trace.value_of(result))
        elif word in VIEWS and isinstance(node.args[0], FxNode):
            trace.roots[node] = trace.roots.get(node.args[0], node.args[0])
    except UnsupportedError as error:
        path, kind = where(node)
        place = f"{path} ({kind.rpartition('.')[2]})" if path else "forward"
        trace.faults.append(Fault("", f"{_aten(target, word)}: {error}", place))
        trace.env[node] = FollowsError()
    except FollowsError as error:
        trace.env[node] = error


def _aten(target: object, word: str) -> str:
    text = str(target)
    return text if text.startswith("aten.") else word


def _arguments(node: FxNode, schema: Any) -> dict[str, Any]:
    """Return the arguments by name, defaults filled in."""
    if schema is None:
        if node.target is not operator.getitem:
            raise UnsupportedError("is no tensor operation")
        return dict(zip(("self", "index"), node.args, strict=True))
    found = {}
    for place, argument in enumerate(schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        given = node.args[place] if place < len(node.args) else node.kwargs.get(argument.name, default)
        found[argument.name] = given
    return found


def _finish(trace: Trace, output: FxNode | None) -> None:
    """Check the output and the use of parameters, and drop what nothing reads."""
    results = list(output.args[0]) if output is not None else []  # type: ignore[arg-type]
    if len(results) == 1 and isinstance(results[0], FxNode):
        try:
            _end(trace, trace.value(results[0]))
        except UnsupportedError as error:
            trace.faults.append(Fault("", f"the output: {error}"))
        except FollowsError:
            pass  # what it follows from has been complained about
    else:
        trace.faults.append(Fault("", f"returns {len(results)} values; return one tensor"))
    users = {name: [use for use in uses if use[1] in trace.shapes] for name, uses in trace.users.items()}
    for parameter, nodes in shared(users):
        message = f"the parameter {parameter!r} is used by {', '.join(nodes)}: a crossbar holds it for one layer only; "
        trace.faults.append(Fault("", message + "copy the module for every use"))


def _end(trace: Trace, last: Value) -> None:
    """Drop what the last value does not need; raise :class:`UnsupportedError` if it is turned."""
    _prune(trace, last.node)
    maker = vector if last.shape[1:] == (1, 1) else tokens if last.shape[2] == 1 else image
    wanted = maker(last.samples, last.shape)
    if [dim for dim in last.layout if dim] != [dim for dim in wanted if dim]:
        raise UnsupportedError(f"is {described(last.layout)}; return {described(wanted)}")


def _prune(trace: Trace, last: str) -> None:
    by_name = {entry.name: entry for entry in trace.entries}
    needed, queue = {trace.entries[0].name}, [last]
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += by_name[name].inputs
    trace.entries = [entry for entry in trace.entries if entry.name in needed]
    trace.shapes = {name: shape for name, shape in trace.shapes.items() if name in needed}


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().cpu().float().numpy())

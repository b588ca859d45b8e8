"""The least that buffers must hold: enough for every network, and where it is known, not one token more."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from mapping.dags import networks
from mapping.nets import chain, network, op, residual

from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.engine import execute
from xbarsim.mapping.buffers import least_tokens, window_tables
from xbarsim.mapping.stages import stages_of
from xbarsim.network import Network

Capacities = Mapping[tuple[str, int], int]


def least(net: Network) -> dict[tuple[str, int], int]:
    stages = stages_of(net)
    return least_tokens(stages, window_tables(stages))


def bare(net: Network, capacities: Capacities, images: int = 2) -> Graph:
    """One actor per stage and one channel per edge: nothing but the buffers holds tokens."""
    stages = stages_of(net)
    tables = window_tables(stages)
    windows = {stage.name: stage.windows for stage in stages}
    channels, names = [], [*windows]
    for stage in stages:
        for at, edge in enumerate(stage.edges):
            need, release = tables.of(edge)
            tokens = edge.sliding.in_hw[0] * edge.sliding.in_hw[1]
            windows.setdefault(edge.source, tokens)
            names += [edge.source] if edge.source not in names else []
            flow = Flow(images, need, release, tokens)
            channels.append(Channel(edge.source, stage.name, capacities[stage.name, at], (flow,)))
    actors = tuple(Actor(name, name, (Work(windows[name] * images, [3], [1]),)) for name in names)
    return Graph(tuple(Unit(name) for name in names), actors, tuple(channels))


def stuck(net: Network, capacities: Capacities) -> bool:
    return bool(execute(bare(net, capacities)).stuck)


@pytest.mark.parametrize(("width", "tokens"), [(56, 115), (8, 19), (28, 59)])
def test_a_skip_holds_what_two_convolutions_need(width: int, tokens: int) -> None:
    """Two 3x3 windows look ahead by 2 rows and 3 pixels, not by two rows."""
    net = residual(width)
    capacities = least(net)
    assert capacities["sum", 1] == tokens == 2 * width + 3
    assert not stuck(net, capacities)
    assert stuck(net, {**capacities, ("sum", 1): tokens - 1})


@settings(max_examples=200)
@given(networks())
def test_the_least_capacities_run_every_network(net: Network) -> None:
    graph = bare(net, least(net))
    times = execute(graph)
    assert times.stuck == (), times.waits
    assert times.firings == graph.firings


@settings(max_examples=150)
@given(networks(most=5))
def test_every_buffer_of_a_chain_is_as_small_as_can_be(net: Network) -> None:
    """Along a single path nothing can be traded: a token less in any one buffer blocks."""
    stages = stages_of(net)
    capacities = least(net)
    readers = [edge.source for stage in stages for edge in stage.edges]
    if len(set(readers)) < len(readers):
        return
    for key, tokens in capacities.items():
        if tokens > 1:
            assert stuck(net, {**capacities, key: tokens - 1}), key


def test_a_kernel_that_is_narrower_than_its_stride_leaves_windows_behind() -> None:
    """Only the first window of ``b`` is read, yet all of them must run: their rows have to fit as well."""
    net = chain(
        (4, 4, 4),
        op("conv", "a", out=4, kernel=1),
        op("conv", "b", out=4, kernel=3, padding=1),
        op("conv", "c", out=4, kernel=1, stride=4),
    )
    capacities = least(net)
    assert capacities["b", 0] == 11
    assert not stuck(net, capacities)
    assert stuck(net, {**capacities, ("b", 0): 10})


def test_a_dilated_pool_looks_as_far_as_its_taps() -> None:
    net = chain((4, 6, 6), op("conv", "a", out=4, kernel=1), op("max_pool", "b", kernel=2, stride=1, dilation=3))
    assert least(net)["b", 0] == 3 * 6 + 3 + 1


def test_a_mean_takes_pixels_as_they_come_and_the_head_waits_for_the_last() -> None:
    net = chain((4, 5, 5), op("conv", "a", out=4, kernel=1), op("global_avg_pool", "mean"), op("linear", "fc", out=3))
    capacities = least(net)
    assert capacities["mean", 0] == 1
    assert capacities["fc", 0] == 25


def test_tokens_of_a_sequence_are_the_pixels_in_the_same_order() -> None:
    """A token sequence made of an image streams: no layer behind it waits for the whole image."""
    net = chain(
        (3, 8, 8),
        op("conv", "patches", out=8, kernel=2, stride=2),
        op("flatten", "tokens", tokens=True),
        op("linear", "embed", out=8),
        op("gelu", "act"),
        op("linear", "mix", out=8),
        op("linear", "out", out=8),
    )
    capacities = least(net)
    assert capacities["embed", 0] == capacities["mix", 0] == capacities["out", 0] == 1


def test_flattening_an_image_to_a_vector_waits_for_all_of_it() -> None:
    net = chain((3, 4, 4), op("conv", "a", out=8, kernel=1), op("flatten", "f"), op("linear", "fc", out=3))
    assert least(net)["fc", 0] == 16


def test_an_output_put_together_from_two_layers_is_a_stage() -> None:
    """Without one, nobody would wait for the slower of the two."""
    net = network(
        (3, 4, 4), op("conv", "a", "input", out=4, kernel=3, padding=1), op("conv", "b", "input", out=4, kernel=1),
        op("concat", "both", "a", "b"),
    )  # fmt: skip
    stages = stages_of(net)
    assert [stage.name for stage in stages] == ["a", "b", "both"]
    assert [edge.source for edge in stages[-1].edges] == ["a", "b"]


def test_a_concatenation_within_the_network_moves_nothing() -> None:
    net = network(
        (3, 4, 4), op("conv", "a", "input", out=4, kernel=1), op("conv", "b", "input", out=4, kernel=1),
        op("concat", "both", "a", "b"), op("conv", "c", "both", out=2, kernel=1),
    )  # fmt: skip
    stages = stages_of(net)
    assert [stage.name for stage in stages] == ["a", "b", "c"]
    assert [edge.channels for edge in stages[-1].edges] == [4, 4]

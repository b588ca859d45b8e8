"""Masks that can be learned: hard values forward, gradients straight through, and what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.utils import parametrize  # noqa: E402

from xbarsim.learning.masks import (  # noqa: E402
    ColumnMask,
    Columns,
    ElementMask,
    Grid,
    KernelMask,
    Parametrisation,
    ScaleMask,
    ShiftMask,
    gumbel_sigmoid,
    logistic_noise,
)
from xbarsim.learning.methods import multipliers  # noqa: E402
from xbarsim.learning.tiers import lamp, largest, snip, unit_sums  # noqa: E402
from xbarsim.network.graph import Entry, Layer, build_graph, derive_layers  # noqa: E402
from xbarsim.network.masks import Geometry, Mask, check_mask, unit_map  # noqa: E402
from xbarsim.network.quantiser import Quantiser  # noqa: E402

SHAPE = (6, 10, 3, 3)


def random(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def layer(c_out: int = 6, c_in: int = 10, kernel: int = 3, groups: int = 1) -> Layer:
    entries = [
        Entry("input", "input", (), {"shape": (c_in, 8, 8)}),
        Entry("conv", "conv", ("input",), {"out": c_out, "kernel": kernel, "groups": groups}),
    ]
    return derive_layers(build_graph(entries))["conv"]


def every() -> list[Parametrisation]:
    return [
        ColumnMask(SHAPE, 32),
        ColumnMask(SHAPE, 32, kernel_aligned=True),
        ShiftMask(SHAPE, 32),
        ShiftMask(SHAPE, 128, levels=(-2, -1, 0, 1, 2), bits=None),
        ScaleMask(SHAPE, 32),
        ElementMask(SHAPE),
        ElementMask(SHAPE, ternary=True),
        KernelMask(SHAPE),
    ]


def scattered(module: Parametrisation) -> Parametrisation:
    """The module with scores all over its range."""
    spread = 0.02 if isinstance(module, ElementMask) else 2.0
    module.scores.data = torch.randn(module.scores.shape, generator=random(1)) * spread
    return module


@pytest.mark.parametrize("module", every(), ids=lambda module: type(module).__name__)
def test_what_is_stored_is_what_is_used(module: Parametrisation) -> None:
    scattered(module).eval()
    weight, mask = torch.randn(SHAPE, generator=random()), module.mask()
    assert check_mask(mask, layer()) == []
    assert 0.05 < mask.density <= 1
    assert torch.equal(module(weight), weight * multipliers(mask, layer()))


@pytest.mark.parametrize("module", every(), ids=lambda module: type(module).__name__)
def test_gradients_reach_every_score(module: Parametrisation) -> None:
    scattered(module).train()
    weight = torch.rand(SHAPE, generator=random()) + 0.5
    (module(weight) ** 2 + module(weight)).sum().backward()
    assert module.scores.grad is not None
    assert (module.scores.grad != 0).float().mean() > 0.95


@pytest.mark.parametrize("module", every(), ids=lambda module: type(module).__name__)
def test_any_module_can_be_parametrised(module: Parametrisation) -> None:
    conv = torch.nn.Conv2d(10, 6, 3, bias=False)
    before = conv.weight.detach().clone()
    conv.weight.requires_grad_(False)
    parametrize.register_parametrization(conv, "weight", scattered(module))
    optimiser = torch.optim.SGD([module.scores], lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        conv(torch.ones(2, 10, 8, 8)).square().mean().backward()
        optimiser.step()
    assert torch.equal(conv.parametrizations.weight.original, before)
    conv.eval()
    assert torch.equal(conv.weight, before * multipliers(module.mask(), layer()))


def test_draws_are_hard_and_as_likely_as_their_scores_say() -> None:
    scores = torch.tensor([-2.0, 0.0, 1.0, 3.0]).repeat(20000, 1)
    for temperature in (0.2, 1.0, 5.0):
        drawn = gumbel_sigmoid(scores, temperature, logistic_noise(scores, random()))
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert torch.allclose(drawn.mean(0), torch.sigmoid(scores[0]), atol=0.02)
    assert gumbel_sigmoid(torch.tensor([-1e-3, 1e-3])).tolist() == [0.0, 1.0]


def test_the_gradient_of_a_draw_is_that_of_the_soft_value() -> None:
    scores = torch.linspace(-3, 3, 13, requires_grad=True)
    noise = logistic_noise(scores.detach(), random())
    wanted = torch.autograd.grad(torch.sigmoid((scores + noise) / 0.7).sum(), scores)[0]
    assert torch.equal(torch.autograd.grad(gumbel_sigmoid(scores, 0.7, noise).sum(), scores)[0], wanted)
    assert (wanted > 0).all()


def test_shifts_are_the_nearest_factors() -> None:
    module = ShiftMask((8, 1, 1, 1), 72)
    module.scores.data = torch.tensor([[-1.0, 0.2, 0.3, 0.7, 0.8, 1.4, 1.6, 9.0]])
    assert module.values().tolist() == [[0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 2.0, 2.0]]
    assert module.mask().values.tolist() == [[-128, -128, -1, -1, 0, 0, 1, 1]]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 7), st.integers(1, 12), st.integers(1, 3), st.integers(1, 40), st.booleans(), st.integers(0, 2**16)
)
def test_columns_lie_as_masks_are_expanded(
    c_out: int, c_in: int, kernel: int, rows: int, aligned: bool, seed: int
) -> None:
    shape = layer(c_out, c_in, kernel)
    there = Columns(shape.weight_shape, rows, aligned)
    assert there.blocks == shape.blocks(rows, aligned)
    values = torch.randint(0, 2, there.values, generator=random(seed)).float()
    weight = torch.randn(shape.weight_shape, generator=random(seed))
    mask = Mask("binary", "column", values.to(torch.uint8).numpy(), rows, kernel_aligned=aligned)
    spread = torch.from_numpy(mask.expand(shape).astype(np.float32)).reshape(shape.weight_shape)
    assert torch.equal(there.spread(values), spread)
    assert torch.equal(there.times(weight, values), weight * spread)
    whole = (weight.double() * there.spread(torch.eye(there.values[0])[0][:, None].expand(there.values))).sum((1, 2, 3))
    assert torch.allclose(there.sum(weight.double())[0], whole)


def test_the_grid_is_the_quantisers() -> None:
    weight = torch.randn(5, 4, 3, 3, generator=random())
    quantiser = Quantiser.fit(weight.numpy(), 4)
    grid = Grid(quantiser, 5)
    moved = (weight * 1.3).requires_grad_()
    rounded = grid(moved)
    assert torch.allclose(rounded, grid.snapped(moved), atol=1e-6)
    assert int(np.abs(grid.integers(moved)).max()) == grid.limit == 7
    rounded.sum().backward()
    inside = (moved.detach() / grid.scale.reshape(-1, 1, 1, 1)).round().abs() <= 7
    assert torch.equal(moved.grad, inside.float())


def test_snip_and_lamp() -> None:
    weights = {"a": torch.tensor([3.0, -1.0, 2.0]), "b": torch.tensor([-0.5, 0.0])}
    grads = {"a": torch.tensor([1.0, 4.0, 0.0]), "b": torch.tensor([2.0, 9.0])}
    found = snip(weights, grads)
    assert torch.allclose(found["a"], torch.tensor([3.0, 4.0, 0.0]) / 8)
    assert torch.allclose(found["b"], torch.tensor([1.0, 0.0]) / 8)
    values = {name: one.tolist() for name, one in lamp(weights).items()}
    for name, weight in weights.items():
        for value, score in zip(weight.tolist(), values[name], strict=True):
            no_smaller = sum(other**2 for other in weight.tolist() if abs(other) >= abs(value))
            assert score == pytest.approx(value**2 / no_smaller)


@pytest.mark.parametrize("groups", [1, 2, 10])
@pytest.mark.parametrize("crossbars", [1, 3])
def test_sums_of_units_count_every_weight_once(groups: int, crossbars: int) -> None:
    shape, there = layer(20, 10, 3, groups), Geometry(rows=20, columns=4, crossbars=crossbars)
    saliency = torch.rand(shape.weight_shape, generator=random(), dtype=torch.float64)
    wanted = np.zeros(int(unit_map(shape, there).max()) + 1)
    flat, units = saliency.numpy().reshape(20, -1), unit_map(shape, there)
    for channel in range(20):
        for row in range(shape.rows):
            wanted[units[row // 20, channel]] += flat[channel, row]
    assert np.allclose(unit_sums(saliency, shape, there), wanted)


def test_the_largest_units_of_all_layers_are_chosen() -> None:
    sums = {"a": np.array([5.0, 1.0, 3.0]), "b": np.array([4.0, 0.5])}
    chosen = largest(sums, 0.4)
    assert {name: one.tolist() for name, one in chosen.items()} == {"a": [1, 0, 0], "b": [1, 0]}
    assert sum(int(one.sum()) for one in largest(sums, 0.0).values()) == 1

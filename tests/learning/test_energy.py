"""The hardware term of a loss says what a run says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from mapping.nets import chain, op, residual, tiny  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from xbarsim import InputError, load_bundle, load_chip, simulate  # noqa: E402
from xbarsim.chip import Chip  # noqa: E402
from xbarsim.learning.energy import EnergyTerm, expected_energy  # noqa: E402
from xbarsim.network import Mask, Network  # noqa: E402
from xbarsim.network.masks import OFF  # noqa: E402

Masks = dict[str, NDArray[Any]]

CHIPS: Mapping[str, tuple[str, ...]] = {
    "xbm_72": (),
    "slices straddle crossbars": ("crossbar.cols=30", "crossbar.rows=24"),
    "a crossbar per slice": ("crossbar.slices=arrays", "crossbar.cols=9", "crossbar.rows=20", "dac.serves=slices"),
    "differential": ("crossbar.encoding=differential", "crossbar.subtract=analog", "crossbar.rows=36"),
    "all converted": ("adc.converts=all", "dac.drives=all", "crossbar.rows=50"),
    "several converters": ("adc.per_crossbar=4", "dac.bits=2", "crossbar.rows=32", "crossbar.unit_column=false"),
}
"""Overrides of xbm_72 under which columns and crossbars cost other things."""


def grouped() -> Network:
    """Groups that share crossbars, and a layer whose groups are taller than one."""
    return chain(
        (8, 6, 6),
        op("conv", "thin", out=16, kernel=3, padding=1, groups=8),
        op("relu", "relu"),
        op("conv", "tall", out=12, kernel=3, padding=1, groups=2),
        op("global_avg_pool", "mean"),
        op("linear", "fc", out=4),
        tasks=1,
    )  # fmt: skip


NETWORKS = {
    "digits": lambda: load_bundle("digits"),
    "tiny": tiny,
    "residual": lambda: residual(5, tasks=1),
    "grouped": grouped,
}


@dataclass(frozen=True)
class Masked:
    """A network's tensors with other column masks."""

    store: Any
    masks: Mapping[str, Mask]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def mask(self, task: str, method: str, layer: Any, rows: int | None, aligned: bool) -> Mask | None:
        return self.masks.get(layer.name)


def masked(network: Network, chip: Chip, masks: Masks, kind: str = "binary") -> Network:
    rows, aligned = chip.file.crossbar.rows, chip.file.mapping.kernel_aligned
    more = {"bits": 2, "levels": (-1, 0, 1)} if kind == "shift" else {}
    made = {
        name: Mask(kind, "column", values, rows=rows, kernel_aligned=aligned, **more) for name, values in masks.items()
    }
    return replace(network, store=Masked(network.store, made), mask_rows=None)


def drawn(term: EnergyTerm, seed: int) -> Masks:
    """Random masks of densities from nothing to everything, whole neighbourhoods off now and then."""
    random = np.random.default_rng(seed)
    masks: Masks = {}
    for name, layer in term.prices.layers.items():
        mask = random.random(layer.column_pj.shape) < random.choice([0.0, 0.05, 0.3, 0.7, 1.0])
        first = random.integers(mask.shape[1])
        mask[random.integers(mask.shape[0]), first : first + 20] = False
        masks[name] = mask.astype(np.uint8)
    return masks


def simulated(chip: Chip, network: Network, masks: Masks, inferences: int) -> tuple[float, float]:
    """Energy of one inference by the event engine, and its leakage, in pJ."""
    task = next(iter(network.task_info))
    run = simulate(chip, masked(network, chip, masks), "xbm", f"{task}:{inferences}")
    standing = sum(run.ledger.energy_pj(phase="inference", action=kind) for kind in ("leakage", "static"))
    return run.inferences[0].energy_pj / inferences, standing / inferences


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), chip_name=st.sampled_from(sorted(CHIPS)), net=st.sampled_from(sorted(NETWORKS)))
def test_the_term_is_the_energy_of_a_run(seed: int, chip_name: str, net: str) -> None:
    chip, network = load_chip("xbm_72", CHIPS[chip_name]), NETWORKS[net]()
    term = EnergyTerm(expected_energy(chip, network, inferences=3))
    masks = drawn(term, seed)
    total, standing = simulated(chip, network, masks, 3)
    predicted = term.energy_pj(masks)
    assert predicted - term.prices.standing_pj == pytest.approx(total - standing, rel=1e-12)
    assert abs(predicted - total) <= 0.002 * total  # leakage is held at the time with everything on


@pytest.mark.parametrize("seed", range(3))
def test_on_digits_leakage_moves_next_to_nothing(seed: int) -> None:
    chip, network = load_chip("xbm_72"), load_bundle("digits")
    term = EnergyTerm.of(chip, network)
    masks = drawn(term, seed)
    total, _ = simulated(chip, network, masks, 100)
    assert term.energy_pj(masks) == pytest.approx(total, rel=2e-6)


def test_what_leakage_there_is_bounds_what_is_neglected() -> None:
    """Unclocked conversions get shorter as columns go off; the term is too high by some of the leakage at most."""
    leaks = ["pipeline.clocked=false", "adc.rate_gsps=0.32", "buffer.leakage_mw=0.5"]
    chip, network = load_chip("xbm_72", leaks), load_bundle("digits")
    term = EnergyTerm.of(chip, network)
    assert 0.02 < term.prices.shares["standing"] < 0.9
    gaps = []
    for seed in range(4):
        masks = drawn(term, seed)
        total, standing = simulated(chip, network, masks, 100)
        predicted = term.energy_pj(masks)
        assert predicted - term.prices.standing_pj == pytest.approx(total - standing, rel=1e-12)
        gaps.append((predicted - total) / term.prices.standing_pj)
    assert 0.01 < max(gaps) < 1
    assert min(gaps) > -1e-9


def test_the_shift_of_xma_is_neglected_and_small() -> None:
    chip, network = load_chip("xbm_72"), load_bundle("digits")
    term = EnergyTerm.of(chip, network)
    random = np.random.default_rng(0)
    shapes = {name: layer.column_pj.shape for name, layer in term.prices.layers.items()}
    masks = {name: random.choice([OFF, -1, 0, 1], shape).astype(np.int8) for name, shape in shapes.items()}
    run = simulate(chip, masked(network, chip, masks, "shift"), "xma", "digits:100")
    total = run.inferences[0].energy_pj / 100
    predicted = term.energy_pj({name: mask != OFF for name, mask in masks.items()})
    assert 0 < total - predicted < 0.001 * total


@pytest.mark.parametrize("name", sorted(CHIPS))
def test_the_parts_add_up(name: str) -> None:
    chip = load_chip("xbm_72", CHIPS[name])
    prices = expected_energy(chip, load_bundle("digits"))
    assert sum(prices.shares.values()) == pytest.approx(1)
    assert min(prices.shares.values()) >= 0
    run = simulate(chip, replace(load_bundle("digits"), mask_rows=None), "xbm", "backbone:100")
    assert prices.full_pj == pytest.approx(run.inferences[0].energy_pj / 100, rel=1e-12)
    term = EnergyTerm(prices)
    assert float(term({})) == pytest.approx(1)
    ones = {layer: torch.ones(one.column_pj.shape, dtype=torch.float64) for layer, one in prices.layers.items()}
    assert float(term(ones)) == pytest.approx(1)
    off = {layer: torch.zeros_like(one) for layer, one in ones.items()}
    assert float(term(off)) == pytest.approx(prices.shares["fixed"] + prices.shares["standing"])


def small_term() -> tuple[EnergyTerm, str]:
    """Five columns in two row blocks, over crossbars of three columns."""
    net = chain((1, 3, 3), op("conv", "a", out=5, kernel=2), op("global_avg_pool", "m"), op("linear", "fc", out=2))
    chip = load_chip("xbm_72", ["crossbar.rows=2", "crossbar.cols=12"])
    return EnergyTerm.of(chip, net), "a"


def test_probabilities_give_the_mean_over_all_masks() -> None:
    term, layer = small_term()
    shape = term.prices.layers[layer].column_pj.shape
    assert shape == (2, 5)
    chance = np.random.default_rng(0).random(shape)
    mean = 0.0
    for bits in product((0, 1), repeat=10):
        mask = np.array(bits).reshape(shape)
        mean += float(np.where(mask, chance, 1 - chance).prod()) * term.energy_pj({layer: mask})
    assert float(term({layer: torch.from_numpy(chance)})) * term.prices.full_pj == pytest.approx(mean, rel=1e-12)


def test_gradients_are_those_of_the_energy() -> None:
    term, layer = small_term()
    shape = term.prices.layers[layer].column_pj.shape
    chance = torch.from_numpy(np.random.default_rng(1).random(shape)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: term({layer: p}), chance)
    hard = torch.zeros(shape, requires_grad=True)
    term({layer: hard}).backward()
    prices = term.prices.layers[layer]
    first = prices.column_pj[0, 0] + prices.crossbar_pj[0]  # the first column to go on brings its crossbar along
    assert float(hard.grad[0, 0]) == pytest.approx(first / term.prices.full_pj, rel=1e-6)
    full = torch.ones(shape, requires_grad=True)
    term({layer: full}).backward()
    assert float(full.grad[0, 0]) == pytest.approx(prices.column_pj[0, 0] / term.prices.full_pj, rel=1e-6)


def test_nodes_alone_are_enough() -> None:
    network = load_bundle("digits")
    ours, theirs = (expected_energy("xbm_72", what) for what in (network, network.nodes))
    assert ours.shares == pytest.approx(theirs.shares, rel=1e-3)  # the heads of three tasks stand elsewhere
    for name, layer in ours.layers.items():
        assert np.array_equal(layer.column_pj, theirs.layers[name].column_pj)
        assert np.array_equal(layer.members, theirs.layers[name].members)
    narrow = expected_energy("xbm_72", network.nodes, weight_bits=4, input_bits=2)
    wide = {name: layer.column_pj for name, layer in theirs.layers.items()}
    for name, layer in narrow.layers.items():  # half the slices, a quarter of the phases
        assert layer.column_pj == pytest.approx(wide[name] / 8)


def test_masks_of_other_columns_are_refused() -> None:
    term, layer = small_term()
    with pytest.raises(InputError, match=r"layer 'conv' has no column gates.*did you mean 'conv\d'"):
        EnergyTerm.of("xbm_72", load_bundle("digits"))({"conv": torch.ones(1, 16)})
    with pytest.raises(
        InputError, match=r"layer 'a': probabilities of shape \(5, 2\), the chip's columns are \(2, 5\)"
    ):
        term({layer: torch.ones(5, 2)})
    with pytest.raises(InputError, match="layer 'fc' has no column gates"):
        term({"fc": torch.ones(1, 2)})


def learned(weight: float) -> tuple[float, float]:
    """Simulated energy of an inference in pJ and accuracy of a short training on the digits."""
    pytest.importorskip("sklearn")
    from xbarsim.learning.images import image_task
    from xbarsim.learning.learn import learn

    network, chip = load_bundle("digits"), load_chip("xbm_72")
    found = learn(
        network, "xbm", image_task("digits"), chip, epochs=8, energy_weight=weight, options={"keep": None, "rate": 0.2}
    )
    masks = {name: mask.values for name, mask in found.content.masks.items()}
    total, _ = simulated(chip, network, masks, 100)
    return total, found.accuracy["quantised"]


def test_the_term_makes_learned_masks_cheaper() -> None:
    dense, as_they_come = learned(0.0)
    sparse, with_term = learned(4.0)
    assert sparse < 0.9 * dense
    assert as_they_come > 0.85
    assert with_term > 0.7

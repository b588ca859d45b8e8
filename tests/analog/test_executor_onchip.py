"""Layers on a chip: lossless converters give the integers bit for bit; cells depend on seeds and nothing else."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from analog.zoo import write_zoo
from network.rich import rich as rich_content
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.analog import executor
from xbarsim.analog.executor import FloatProduct, IntegerProduct, Windows, run
from xbarsim.analog.measure import QUANTISED, measure
from xbarsim.analog.model import Model
from xbarsim.analog.onchip import OnChip, random, uniform, with_ideal_cells
from xbarsim.analog.prepare import prepare
from xbarsim.chip import load_chip
from xbarsim.errors import InputError
from xbarsim.network import Network, load_network
from xbarsim.network.bundle_writer import write_bundle
from xbarsim.network.graph import Entry

Floats = NDArray[np.float64]

METHODS = (
    "xbm", "piggyback", "finetune", "xma", "ksm", "piggyback-ternary", "finetune-partial", "xma2", "packnet", "cpg",
    "xst", "lora", "repnet",
)  # fmt: skip

NOISY = ["device.variation.proportional=0.05", "device.read_noise.proportional=0.02", "device.stuck_at.hrs=0.001"]


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def kept(model: Model, inputs: NDArray[Any], arithmetic: Any) -> dict[str, Floats]:
    """The outputs of every crossbar layer, and those of the network."""
    found: dict[str, list[Floats]] = {}

    def keep(windows: Windows, outputs: Floats) -> None:
        found.setdefault(windows.held.layer.name, []).append(outputs)

    found["output"] = [run(model, inputs, arithmetic, observe=keep)]
    return {name: np.concatenate(parts) for name, parts in found.items()}


def same(left: dict[str, Floats], right: dict[str, Floats]) -> bool:
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in left)


def read_bit_by_bit(on: OnChip, model: Model) -> OnChip:
    """Without the short cut by the integer product: every column sum is really converted."""
    for held in model.held.values():
        on._written[held.layer.name] = [replace(arrays, product=None) for arrays in on.written(held)]
    return on


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_lossless_converters_give_the_integers_bit_for_bit(digits: Network, method: str, shortcut: bool) -> None:
    chip, inputs = load_chip("xbm_72"), digits.task("rotated").samples().inputs[:6]
    model = prepare(chip, digits, method, "rotated", inputs).integers
    on = OnChip.of(chip, model)
    assert all(on.lossless(held) for held in model.held.values())
    arrays = on if shortcut else read_bit_by_bit(on, model)
    assert same(kept(model, inputs, arrays), kept(model, inputs, IntegerProduct()))


CHIPS = {
    "differential": ["crossbar.encoding=differential"],
    "separate slices": ["crossbar.slices=arrays"],
    "four input bits at once": ["dac.bits=4", "adc.bits=12"],
    "signed drivers": ["dac.signed=true", "adc.bits=9"],
    "no unit column": ["crossbar.unit_column=false"],
    "small crossbars": ["crossbar.rows=5", "crossbar.cols=12"],
    "whole kernels": ["crossbar.rows=32", "mapping.kernel_aligned=true"],
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return write_zoo(tmp_path_factory.mktemp("zoo") / "zoo.xmn", count=2)


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("changes", CHIPS.values(), ids=CHIPS)
def test_every_kind_of_layer_and_chip_is_exact(zoo: Network, changes: list[str], shortcut: bool) -> None:
    chip, inputs = load_chip("xbm_72", changes), zoo.task("one").samples().inputs
    model = prepare(chip, zoo, "finetune", "one", inputs).integers
    on = OnChip.of(chip, model)
    assert all(on.lossless(held) for held in model.held.values())
    arrays = on if shortcut else read_bit_by_bit(on, model)
    assert same(kept(model, inputs, arrays), kept(model, inputs, IntegerProduct()))


@pytest.mark.parametrize("fit", ["repack", "phased"])
@pytest.mark.parametrize(("method", "rows"), [("xbm", 128), ("xbm", 50), ("xma", 128), ("xma", 50)])
def test_masks_of_another_height_are_exact_too(digits: Network, fit: str, method: str, rows: int) -> None:
    chip = load_chip("xbm_72", [f"crossbar.rows={rows}", f"mapping.mask_fit={fit}", "adc.bits=9"])
    inputs = digits.task("digits").samples().inputs[:3]
    model = prepare(chip, digits, method, "digits", inputs).integers
    arrays = read_bit_by_bit(OnChip.of(chip, model), model)
    wanted = prepare(load_chip("xbm_72"), digits, method, "digits", inputs).integers
    assert same(kept(model, inputs, arrays), kept(wanted, inputs, IntegerProduct()))
    assert uniform(model.held["conv3"]) == (fit == "repack" and rows == 128)


def test_a_column_that_is_off_adds_neither_offset_nor_flip(digits: Network) -> None:
    """With codes that clip, a column's own reading would differ from 0; a gated one is exactly 0."""
    chip = load_chip("xbm_72", ["adc.bits=4"])
    inputs = digits.task("digits").samples().inputs[:3]
    model = prepare(chip, digits, "xbm", "digits", inputs).integers
    held = model.held["conv3"]
    off = np.flatnonzero(~held.columns.any(axis=0))
    if not off.size:
        held = replace(held, columns=held.columns & (np.arange(held.layer.c_out) > 2))
        off = np.arange(3)
    windows = Windows(held, np.full((1, 1, held.layer.rows), 255, np.uint8), 0)
    sums = OnChip.of(chip, model).sums(windows)[0]
    assert not sums[off].any()
    assert sums[np.setdiff1d(np.arange(held.layer.c_out), off)].any()


def test_factors_act_on_corrected_partial_sums(digits: Network) -> None:
    """Shifts of -1 leave halves: they are not cut off before row blocks are added."""
    chip, inputs = load_chip("xbm_72"), digits.task("digits").samples().inputs[:4]
    model = prepare(chip, digits, "xma", "digits", inputs).integers
    held = model.held["conv3"]
    assert held.shifts.min() == -1
    windows = Windows(held, np.random.default_rng(0).integers(0, 256, (5, 1, 288)).astype(np.uint8), 0)
    wanted = np.zeros((5, held.layer.c_out))
    for piece in held.pieces:
        rows = slice(piece.first, piece.first + piece.rows)
        part = windows.inputs[:, 0, rows].astype(np.int64) @ held.weights[:, rows].T.astype(np.int64)
        wanted += part * held.multiplier(piece.group)
    assert np.array_equal(OnChip.of(chip, model).sums(windows), wanted)
    assert (wanted % 1 == 0.5).any()


def test_scales_act_on_corrected_partial_sums(digits: Network) -> None:
    chip, inputs = load_chip("xbm_72"), digits.task("digits").samples().inputs[:4]
    model = prepare(chip, digits, "xma", "digits", inputs).integers
    scaled = {
        name: held if held.factors is None else replace(held, factors=held.factors * 0.3, shifts=None)
        for name, held in model.held.items()
    }
    model = replace(model, held=scaled)
    assert not uniform(model.held["conv3"])
    arrays = read_bit_by_bit(OnChip.of(chip, model), model)
    assert same(kept(model, inputs, arrays), kept(model, inputs, IntegerProduct()))


def test_one_layer_on_the_chip_and_the_rest_in_integers(digits: Network) -> None:
    chip, samples = load_chip("xbm_72", NOISY), digits.task("digits").samples()
    prepared = prepare(chip, digits, "finetune", "digits", samples.inputs)
    tables = {"one": {"conv3": OnChip.of(chip, prepared.integers)}}
    tally = measure(prepared, samples.inputs[:8], samples.labels[:8], tables)["one"]
    assert tally.snr_db("conv1") is None
    assert tally.snr_db("conv2") is None
    assert 5 < tally.snr_db("conv3") < 40
    assert tally.snr_db("conv4") is not None


def test_results_depend_on_the_seed_and_not_on_how_samples_are_cut(
    digits: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip, inputs = load_chip("xbm_72", NOISY), digits.task("digits").samples().inputs[:7]
    model = prepare(chip, digits, "xbm", "digits", inputs).integers
    once, again, other = (kept(model, inputs, OnChip.of(chip, model, seed)) for seed in (4, 4, 5))
    assert same(once, again)
    assert not np.array_equal(once["conv1"], other["conv1"])
    monkeypatch.setattr(executor, "MOST_NUMBERS", 2 * 64 * 144)
    assert same(once, kept(model, inputs, OnChip.of(chip, model, 4)))


def test_layers_have_cells_of_their_own(digits: Network) -> None:
    chip, inputs = load_chip("xbm_72", NOISY), digits.task("digits").samples().inputs[:2]
    model = prepare(chip, digits, "finetune", "digits", inputs).integers
    on = OnChip.of(chip, model)
    twin = replace(model.held["conv3"], layer=replace(model.held["conv3"].layer, name="conv4"))
    windows = Windows(model.held["conv3"], np.full((1, 1, 288), 200, np.uint8), 0)
    assert not np.array_equal(on.sums(windows), on.sums(replace(windows, held=twin)))


def test_groups_have_cells_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    entries = (
        Entry("input", "input", (), {"shape": (4, 5, 5)}),
        Entry("depth", "conv", ("input",), {"out": 4, "kernel": 3, "groups": 4}),
        Entry("flat", "flatten", ("depth",), {}),
        Entry("fc", "linear", ("flat",), {"out": 3}),
    )
    network = write_zoo(tmp_path_factory.mktemp("groups") / "zoo.xmn", entries)
    chip, inputs = load_chip("xbm_72", NOISY), network.task("one").samples().inputs
    model = prepare(chip, network, "finetune", "one", inputs).integers
    held = replace(model.held["depth"], weights=np.full((4, 9), 90, np.int8))
    sums = OnChip.of(chip, model).sums(Windows(held, np.full((1, 4, 9), 100, np.int8), 0))
    assert len(set(sums[0])) == 4


@pytest.mark.parametrize(
    ("change", "varies"),
    [
        ("adc.bits=5", False),
        ("device.variation.proportional=0.1", True),
        ("device.variation.lognormal=0.1", True),
        ("device.read_noise.sigma_us=0.1", True),
        ("device.stuck_at.lrs=0.01", True),
        ("device.nonlinearity=1.0", False),
        ("adc.errors.gain_sigma=0.01", True),
        ("adc.errors.gain=0.01", False),
    ],
)
def test_what_depends_on_the_seed_is_known(digits: Network, change: str, varies: bool) -> None:
    chip = load_chip("xbm_72", [change])
    assert random(chip) == varies
    assert random(with_ideal_cells(chip)) == (change.startswith("adc.errors.gain_sigma"))
    inputs = digits.task("digits").samples().inputs[:2]
    model = prepare(chip, digits, "finetune", "digits", inputs).integers
    one, two = (kept(model, inputs, OnChip.of(chip, model, seed)) for seed in (1, 2))
    assert same(one, two) == (not varies)


WIRES = "crossbar.wires={{row_segment_ohm: {0}, column_segment_ohm: {0}, driver_ohm: {0}}}"


def test_wires_without_resistance_change_nothing(digits: Network) -> None:
    chip, inputs = load_chip("xbm_72", [WIRES.format(0)]), digits.task("digits").samples().inputs[:2]
    model = prepare(chip, digits, "xbm", "digits", inputs).integers
    on = OnChip.of(chip, model)
    assert not any(on.lossless(held) for held in model.held.values())  # nothing is proved: every sum is converted
    assert same(kept(model, inputs, on), kept(model, inputs, IntegerProduct()))


def test_wires_take_their_share_and_gates_differ(digits: Network) -> None:
    samples = digits.task("digits").samples()
    inputs, ratios = samples.inputs[:4], {}
    for name, changes in {
        "short": [WIRES.format(0.5)],
        "long": [WIRES.format(5)],
        "float": [WIRES.format(5), "gate.kind=float"],
    }.items():
        chip = load_chip("xbm_72", changes)
        assert not random(chip)
        prepared = prepare(chip, digits, "xbm", "digits", inputs)
        tables = {"on": dict.fromkeys(prepared.integers.held, OnChip.of(chip, prepared.integers))}
        ratios[name] = measure(prepared, inputs, samples.labels[:4], tables)["on"].snr_db("conv4")
    assert ratios["short"] > ratios["long"] + 5
    assert ratios["float"] != ratios["long"]


def test_ideal_cells_leave_the_converters_as_they_are() -> None:
    changes = [*NOISY, WIRES.format(1), "device.nonlinearity=2.0", "crossbar.off_current=kept"]
    chip = with_ideal_cells(load_chip("xbm_72", [*changes, "adc.bits=6"]))
    assert chip.file.adc.bits == 6
    assert chip.file.device.stuck_at.hrs == chip.file.device.nonlinearity == 0
    assert chip.file == load_chip("xbm_72", ["adc.bits=6"]).file


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([1, 2]), "for 3 samples: give one whole number per sample"),
        (np.array([1.0, 2.0, 3.0]), "type float64"),
        (np.array([1, 2, 10]), "label 10, but task 'digits' has the classes 0 to 9"),
        (np.array([-1, 2, 3]), "label -1"),
    ],
)
def test_labels_must_belong_to_the_samples(digits: Network, labels: NDArray[Any], message: str) -> None:
    inputs = digits.task("digits").samples().inputs[:3]
    prepared = prepare(load_chip("xbm_72"), digits, "xbm", "digits", inputs)
    with pytest.raises(InputError, match=message):
        measure(prepared, inputs, labels, {})


def test_a_tally_counts_what_is_right(digits: Network) -> None:
    samples = digits.task("inverted").samples()
    prepared = prepare(load_chip("xbm_72"), digits, "finetune", "inverted", samples.inputs)
    tallies = measure(prepared, samples.inputs, samples.labels, {})
    outputs = run(prepared.integers, samples.inputs, IntegerProduct())
    right = int((outputs.reshape(360, -1).argmax(axis=1) == samples.labels).sum())
    assert (tallies[QUANTISED].right, tallies[QUANTISED].seen) == (right, 360)


def test_no_method_of_the_bundle_is_left_out(digits: Network) -> None:
    assert set(digits.task("rotated").methods) <= set(METHODS) <= set(Adaption.known())


RICH = ["crossbar.rows=9", "crossbar.cols=16", "scaler={energy_pj: 0.1}", "pe.crossbars=1"]
BRANCHED = ("lora", "repnet", "lorafusion")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A bundle with tensors of every method there is, branches and scales too."""
    return write_bundle(tmp_path_factory.mktemp("rich") / "rich.xmn", rich_content())


@pytest.mark.parametrize("method", [*METHODS, *BRANCHED])
def test_every_method_is_exact(rich: Network, method: str) -> None:
    chip, inputs = load_chip("xbm_72", RICH), rich.task("blue").samples().inputs
    model = prepare(chip, rich, method, "blue", inputs).integers
    arrays = read_bit_by_bit(OnChip.of(chip, model), model)
    assert same(kept(model, inputs, arrays), kept(model, inputs, IntegerProduct()))


@pytest.mark.parametrize("method", BRANCHED)
def test_branches_are_those_of_pytorch(rich: Network, method: str) -> None:
    pytest.importorskip("torch")
    twin = importlib.import_module("analog.torch_twin")
    chip, inputs = load_chip("xbm_72", RICH), rich.task("red").samples().inputs
    model = prepare(chip, rich, method, "red", inputs).floats
    assert set(model.held) > set(rich.layers)
    files = [rich.store.backbone, *([rich.store.together[method]] if method in rich.store.together else [])]
    state = {name.removeprefix("weights/"): file.get(name) for file in files for name in file.tensors}
    own = rich.store.tasks["red"].tensors
    for name in own.tensors:
        if name.startswith(f"{method}/"):
            state[name.removeprefix(f"{method}/").removeprefix("state/").removeprefix("weights/")] = own.get(name)
    state |= {f"{name}.weight": weights for name, weights in state.items() if name in model.held}
    wanted = twin.outputs(model.nodes, state, inputs)
    assert np.allclose(run(model, inputs, FloatProduct()), wanted, rtol=1e-9, atol=1e-9)


def test_values_inside_a_branch_carry_a_sign(rich: Network) -> None:
    chip, inputs = load_chip("xbm_72", RICH), rich.task("red").samples().inputs
    model = prepare(chip, rich, "lora", "red", inputs).integers
    assert not model.held["conv1.lora_a"].drive.signed
    assert model.held["conv1.lora_b"].drive.signed

"""The executor: floats as PyTorch, integers exactly, methods as they say, bad samples refused."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analog.zoo import ZOO, write_zoo
from numpy.typing import NDArray

from xbarsim.analog import executor
from xbarsim.analog.encode import Drive
from xbarsim.analog.executor import FloatProduct, IntegerProduct, Windows, run, unroll
from xbarsim.analog.model import Model, build
from xbarsim.analog.ops import signed_nodes
from xbarsim.analog.prepare import prepare
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError
from xbarsim.network import Layer, Network, load_network
from xbarsim.network.graph import Entry, build_graph
from xbarsim.network.ops import OPS

TASKS = ("digits", "rotated", "inverted")
ALL = (
    "xbm", "piggyback", "finetune", "xma", "ksm", "piggyback-ternary", "finetune-partial", "xma2", "packnet", "cpg",
    "xst",
)  # fmt: skip
METHODS = ("xbm", "piggyback", "finetune")
"""Methods whose float weights are put together by hand."""


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("xbm_72")


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return write_zoo(tmp_path_factory.mktemp("zoo") / "zoo.xmn")


@pytest.fixture
def twin() -> Any:
    pytest.importorskip("torch")
    return importlib.import_module("analog.torch_twin")


def classes(outputs: NDArray[Any]) -> NDArray[np.int64]:
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def float_state(network: Network, task: str, method: str) -> dict[str, NDArray[Any]]:
    """Every parameter as the bundle's files hold it, masks applied; nothing rounded."""
    files = network.store.tasks[task].tensors
    state = {name: network.store.backbone.get(name) for name in network.store.backbone.tensors}
    for name in files.tensors:
        kind, _, key = name.removeprefix(f"{method}/").partition("/")
        if name.startswith(f"{method}/") and kind in ("state", "weights"):
            state[key if kind == "state" else f"{key}.weight"] = files.get(name)
            if kind == "weights" and files.get(name).dtype.kind == "i":
                scale = network.task(task).quantiser(method, key).scale.astype(np.float64)
                state[f"{key}.weight"] = files.get(name) * scale.reshape(-1, *[1] * (files.get(name).ndim - 1))
    for name, layer in network.layers.items():
        mask = network.task(task).mask(method, name)
        if mask is not None:
            state[f"{name}.weight"] = state[f"{name}.weight"] * mask.expand(layer).reshape(layer.weight_shape)
    return state


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("name", TASKS)
def test_accuracy_is_what_training_measured(chip: Chip, digits: Network, name: str, method: str) -> None:
    task, samples = digits.task(name), digits.task(name).samples()
    prepared = prepare(chip, digits, method, name, samples.inputs)
    found = {
        "float": classes(run(prepared.floats, samples.inputs, FloatProduct())),
        "quantised": classes(run(prepared.integers, samples.inputs, IntegerProduct())),
    }
    accuracy = {kind: float((seen == samples.labels).mean()) for kind, seen in found.items()}
    # One image in 360 may fall to the other side where single and double precision round apart.
    assert accuracy == pytest.approx(dict(task.accuracy(method)), abs=1.01 / len(samples.labels))
    if method != "ksm":  # its products are clipped to the width of the weights, floats are not
        assert abs(accuracy["float"] - accuracy["quantised"]) <= 0.01
    assert prepared.integers.notes == ()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TASKS)
def test_floats_are_those_of_pytorch_on_digits(chip: Chip, digits: Network, twin: Any, name: str, method: str) -> None:
    inputs = digits.task(name).samples().inputs
    model = build(chip, digits, method, name, rounded=False)
    wanted = twin.outputs(digits.nodes, float_state(digits, name, method), inputs)
    assert np.abs(run(model, inputs, FloatProduct()) - wanted).max() < 1e-5


def test_floats_are_those_of_pytorch_for_every_operation(chip: Chip, zoo: Network, twin: Any) -> None:
    assert {entry.op for entry in ZOO} == set(OPS) - {"relu"}
    inputs = zoo.task("one").samples().inputs
    model = build(chip, zoo, "finetune", "one", rounded=False)
    wanted = twin.outputs(zoo.nodes, float_state(zoo, "one", "finetune"), inputs)
    assert np.allclose(run(model, inputs, FloatProduct()), wanted, rtol=0, atol=1e-9)


SHAPES = [
    {"kernel": 3, "padding": 1},
    {"kernel": [2, 3], "stride": [2, 1], "padding": [0, 2]},
    {"kernel": 3, "dilation": [2, 1], "padding": 2, "groups": 2},
    {"kernel": 2, "stride": 3, "groups": 4},
    {"kernel": 1},
    {"kernel": 1, "stride": 2},
    {"kernel": 1, "groups": 2},
]


def convolved(layer: Layer, images: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Seven loops."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = layer.kernel, layer.stride, layer.padding, layer.dilation
    padded = np.pad(images, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    kernels = weights.reshape(layer.c_out, -1, kh, kw)
    out = np.zeros((len(images), layer.c_out, *layer.out_hw), np.int64)
    per_in, per_out = layer.c_in // layer.groups, layer.c_out // layer.groups
    for n, o, y, x in np.ndindex(out.shape):
        for c, i, j in np.ndindex(per_in, kh, kw):
            pixel = padded[n, o // per_out * per_in + c, y * sh + i * dh, x * sw + j * dw]
            out[n, o, y, x] += pixel * kernels[o, c, i, j]
    return out


@pytest.mark.parametrize("attrs", SHAPES, ids=str)
def test_integers_are_exact(chip: Chip, tmp_path: Path, attrs: dict[str, Any]) -> None:
    entries = (
        Entry("input", "input", (), {"shape": (4, 7, 6)}),
        Entry("first", "conv", ("input",), {"out": 8, **attrs}),
        Entry("flat", "flatten", ("first",), {}),
        Entry("fc", "linear", ("flat",), {"out": 3}),
    )
    network = write_zoo(tmp_path / "one.xmn", entries, count=2)
    inputs = network.task("one").samples().inputs
    model = prepare(chip, network, "finetune", "one", inputs).integers
    seen = {}

    def keep(windows: Windows, outputs: NDArray[np.float64]) -> None:
        seen[windows.held.layer.name] = outputs

    run(model, inputs, IntegerProduct(), observe=keep)
    held, layer = model.held["first"], network.layers["first"]
    assert held.drive.signed
    assert held.limits == (-128, 127)
    wanted = convolved(layer, held.quantised(inputs).astype(np.int64), network.integers("first").astype(np.int64))
    rows = wanted.reshape(2, layer.c_out, -1).swapaxes(1, 2).reshape(-1, layer.c_out)
    assert np.array_equal(seen["first"], rows * (held.scale * held.step))


def test_results_do_not_depend_on_how_samples_are_cut(
    chip: Chip, digits: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = digits.task("rotated").samples().inputs[:40]
    model = prepare(chip, digits, "xbm", "rotated", inputs).integers
    whole = run(model, inputs, IntegerProduct())
    monkeypatch.setattr(executor, "MOST_NUMBERS", 3 * 64 * 144)
    assert len(list(executor.chunks_of(model, inputs))) == 14
    assert np.array_equal(run(model, inputs, IntegerProduct()), whole)


def test_a_column_that_is_off_gives_its_normalisation_bias(chip: Chip, digits: Network) -> None:
    task = digits.task("inverted")
    model = build(chip, digits, "xbm", "inverted")
    held = model.held["conv3"]
    mask = task.mask("xbm", "conv3")
    assert [piece.rows for piece in held.pieces] == [72, 72, 72, 72]
    assert np.array_equal(held.effective, digits.integers("conv3") * mask.expand(held.layer))
    off = np.flatnonzero(~held.effective.any(axis=1))
    windows = Windows(held, np.full((1, 1, 288), 255, np.uint8), 0)
    assert not IntegerProduct().outputs(windows)[0, off].any()


def test_single_precision_is_used_only_where_it_is_exact(chip: Chip, digits: Network) -> None:
    held = build(chip, digits, "finetune", "digits").held["conv2"]
    assert held.effective.dtype == np.float32
    assert np.abs(held.effective).sum(axis=1).max() * 255 < 2**24
    wide = replace(held, drive=Drive.of(chip, 16, signed=False))
    assert wide.effective.dtype == np.float64
    assert np.array_equal(wide.effective, held.effective)


def test_only_operations_decide_which_inputs_are_signed() -> None:
    nodes = build_graph(ZOO)
    signed = signed_nodes(nodes, inputs=False)
    unsigned = {name for name, negative in signed.items() if not negative}
    assert unsigned == {"image", "act", "gate", "wide", "shares"}
    assert signed_nodes(nodes, inputs=True)["image"]


def test_input_scales_come_from_the_bundle_or_from_data(chip: Chip, zoo: Network, digits: Network) -> None:
    inputs = zoo.task("one").samples().inputs
    prepared = prepare(chip, zoo, "finetune", "one", inputs)
    held = prepared.integers.held["stem"]
    assert held.step == pytest.approx(np.abs(inputs).max() / 127)
    assert prepared.integers.held["depth"].step * 255 <= 6
    assert prepared.integers.notes[0].startswith("input scales of stem, depth, thin, q, k, v, hidden, fc: not in")
    state = digits.task("digits").state("xbm")
    assert build(chip, digits, "xbm", "digits").held["conv1"].step == float(state["conv1.input_scale"][0])


def test_a_layer_without_a_scale_is_not_guessed(chip: Chip, zoo: Network) -> None:
    inputs = zoo.task("one").samples().inputs
    with pytest.raises(InputError, match="'stem' has no input scale"):
        run(build(chip, zoo, "finetune", "one"), inputs, IntegerProduct())


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 1, 8, 9), (2, 8, 8), (1, 3, 8, 8)])
def test_samples_of_the_wrong_shape_are_refused(chip: Chip, digits: Network, shape: tuple[int, ...]) -> None:
    model = build(chip, digits, "xbm", "digits")
    with pytest.raises(InputError, match="the input of 'digits' is 1x8x8: give"):
        run(model, np.zeros(shape), IntegerProduct())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_must_be_finite(chip: Chip, digits: Network, value: float) -> None:
    inputs = np.zeros((3, 1, 8, 8))
    inputs[1, 0, 2, 2] = value
    with pytest.raises(InputError, match="sample 1 holds a number that is not finite"):
        run(build(chip, digits, "xbm", "digits"), inputs, FloatProduct())


def test_a_chip_without_gates_refuses_column_masks(digits: Network) -> None:
    with pytest.raises(InputError, match="has no column gates"):
        build(load_chip("isaac", ["crossbar.rows=72"]), digits, "xbm", "digits")


def test_masks_of_another_height_are_refused_unless_there_is_a_way(digits: Network) -> None:
    with pytest.raises(InputError, match="learned for columns of 72 rows"):
        build(load_chip("xbm_72", ["crossbar.rows=128"]), digits, "xbm", "digits")
    with pytest.raises(InputError, match="nobody has learned them"):
        build(load_chip("xbm_72", ["crossbar.rows=128", "mapping.mask_fit=resample"]), digits, "xbm", "digits")


@pytest.mark.parametrize(("fit", "rows"), [("repack", [72, 72, 72, 72]), ("phased", [72, 56, 16, 72, 40, 32])])
def test_masks_of_another_height_can_be_repacked_or_read_in_phases(
    chip: Chip, digits: Network, fit: str, rows: list[int]
) -> None:
    other = load_chip("xbm_72", ["crossbar.rows=128", f"mapping.mask_fit={fit}"])
    model: Model = build(other, digits, "xbm", "digits")
    assert [piece.rows for piece in model.held["conv3"].pieces] == rows
    inputs = digits.task("digits").samples().inputs[:20]
    wanted = run(build(chip, digits, "xbm", "digits"), inputs, IntegerProduct())
    assert np.array_equal(run(model, inputs, IntegerProduct()), wanted)


@pytest.mark.parametrize("layer", ["conv1", "fc"])
def test_unrolling_keeps_the_row_order(digits: Network, layer: str, rng: np.random.Generator) -> None:
    known = digits.layers[layer]
    images = rng.integers(0, 9, (2, known.c_in, *known.in_hw))
    windows = unroll(known, images)
    assert windows.shape == (2 * known.windows, 1, known.rows)
    if layer == "fc":
        assert np.array_equal(windows[:, 0], images[:, :, 0, 0])
    else:
        assert np.array_equal(windows[9, 0], images[0, 0, :3, :3].ravel())

"""The real bundle: what switches write, recounted cell for cell from the integers in its files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from adaptions.naive import Board, Files, Ints, Written, polarity
from mapping.nets import chip

import xbarsim
from xbarsim.chip import Chip
from xbarsim.network import Network, load_network
from xbarsim.studies.simulate import simulate

FOLDER = Path(xbarsim.__file__).parent.parent / "workloads" / "digits.xmn"
CHIPS = {
    "xbm_72": {},  # 8-bit converters take every sum of 72 rows
    "clipping": {"adc.bits": 7},  # 7-bit converters do not: columns flip
    "isaac": {"adc.bits": 7},  # nor of 128 rows
}
CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")


@cache
def chip_of(name: str) -> Chip:
    return chip("isaac" if name == "isaac" else "xbm_72", CHIPS[name])


@cache
def digits() -> Network:
    return load_network("digits")


@cache
def board(name: str, layer: str) -> Board:
    return Board(digits().layers[layer], chip_of(name), 8)


@cache
def held(name: str, method: str, task: str | None, layer: str) -> tuple[Ints, int]:
    """The levels of all cells of a copy, and how many columns are stored another way than the backbone's."""
    files, made = Files(FOLDER), chip_of(name)
    base = polarity(files.backbone(layer), digits().layers[layer], made, 8)
    own = files.contents(method, task, layer)
    flips = base if task is None else polarity(own, digits().layers[layer], made, 8, base)
    return board(name, layer).levels(own, flips), sum(flips[column] != base[column] for column in base)


def rewrite(name: str, method: str, old: str | None, new: str | None, layer: str) -> Written:
    return board(name, layer).rewrite(held(name, method, old, layer)[0], held(name, method, new, layer)[0])


ORDER = ("digits", "rotated", "inverted", "backbone", "digits")
SCENARIO = ",".join(ORDER)


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("method", ["piggyback", "finetune"])
def test_switches_write_what_the_bundles_integers_say(name: str, method: str) -> None:
    """Cells, pulses, codes and wear over a scenario that ends where it began; replicas included."""
    run = simulate(chip_of(name), digits(), method, SCENARIO)
    result = run.to_json()
    copies = {layer: run.placement.sites[layer].copies for layer in CONVOLUTIONS}
    wear = {layer: [board(name, layer).rewrite(None, held(name, method, None, layer)[0])] for layer in CONVOLUTIONS}
    before: str | None = None
    assert [(row["from"], row["to"]) for row in result["switches"]] == list(
        zip(("backbone", *ORDER), ORDER, strict=False)
    )
    for row, task in zip(result["switches"], ORDER, strict=True):
        after = None if task == "backbone" else task
        written = {layer: rewrite(name, method, before, after, layer) for layer in CONVOLUTIONS}
        assert row["cells_written"] == sum(written[layer].cells * copies[layer] for layer in CONVOLUTIONS)
        assert row["pulses"] == sum(written[layer].trains * copies[layer] for layer in CONVOLUTIONS)
        for layer in CONVOLUTIONS:
            wear[layer].append(written[layer])
        before = after
    assert result["switches"][0]["cells_written"] == result["switches"][4]["cells_written"]
    heads = _heads(name, method)
    everything = [sum(w.writes for w in wear[layer]) for layer in CONVOLUTIONS] + [w.writes for w in heads]
    trains = [sum(w.pulses for w in wear[layer]) for layer in CONVOLUTIONS] + [w.pulses for w in heads]
    many = [*copies.values()] + [1] * len(heads)
    cells = sum(len(writes) * times for writes, times in zip(everything, many, strict=True))
    assert result["wear"]["cells"] == cells
    assert result["wear"]["writes_max"] == max(writes.max() for writes in everything)
    assert result["wear"]["pulses_max"] == max(count.max() for count in trains)
    total = sum(int(writes.sum()) * times for writes, times in zip(everything, many, strict=True))
    assert result["wear"]["writes_mean"] == pytest.approx(total / cells, rel=1e-12)
    pulses = sum(int(count.sum()) * times for count, times in zip(trains, many, strict=True))
    assert result["wear"]["pulses_mean"] == pytest.approx(pulses / cells, rel=1e-12)
    installed = sum(wear[layer][0].cells * copies[layer] for layer in CONVOLUTIONS) + sum(w.cells for w in heads)
    assert result["install"]["cells_written"] == installed


def _heads(name: str, method: str) -> list[Written]:
    """The resident heads: the backbone's and one per task, programmed at installation."""
    files, made = Files(FOLDER), chip_of(name)
    found = []
    for task in (None, *digits().task_info):
        weights = files.backbone("fc") if task is None else files.head(method, task, "fc")
        layer = replace(digits().layers["fc"], c_out=len(weights))  # tasks have classes of their own
        here = Board(layer, made, 8)
        found.append(here.rewrite(None, here.levels(weights, polarity(weights, layer, made, 8))))
    return found


def test_columns_do_flip_where_the_converter_is_narrow() -> None:
    """Otherwise the tests above would not cover polarity; and tasks do break the backbone's."""
    for name, flips in (("xbm_72", False), ("clipping", True), ("isaac", True)):
        files, made = Files(FOLDER), chip_of(name)
        stored = polarity(files.backbone("conv4"), digits().layers["conv4"], made, 8)
        assert any(stored.values()) == flips
    for method in ("piggyback", "finetune"):
        assert sum(held("clipping", method, task, "conv4")[1] for task in digits().task_info) > 0


def test_gating_writes_nothing() -> None:
    result = simulate(chip_of("xbm_72"), digits(), "xbm", SCENARIO).to_json()
    assert [row["cells_written"] for row in result["switches"]] == [0] * 5
    assert [row["pulses"] for row in result["switches"]] == [0] * 5
    assert result["wear"]["writes_max"] == 1
    heads = [sum(w.cells for w in _heads("xbm_72", method)) for method in ("xbm", "finetune")]
    tuned = simulate(chip_of("xbm_72"), digits(), "finetune", "backbone:1").to_json()
    assert result["install"]["cells_written"] - heads[0] == tuned["install"]["cells_written"] - heads[1]


def test_replicas_are_written_too() -> None:
    one, eight = (
        simulate(chip("xbm_72", mapping__max_copies=most), digits(), "finetune", "digits:1") for most in (1, 8)
    )
    assert {site.copies for site in one.placement.sites.values()} == {1}
    layers = {c.site.name: c for c in one.switches[0].moment.change.layers}
    wanted = sum(layers[name].cells_written * eight.placement.sites[name].copies for name in CONVOLUTIONS)
    assert eight.to_json()["switches"][0]["cells_written"] == wanted > one.to_json()["switches"][0]["cells_written"]
    assert one.to_json()["switches"][0]["codes_changed"] == eight.to_json()["switches"][0]["codes_changed"]

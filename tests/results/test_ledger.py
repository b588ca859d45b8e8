"""Counts times prices: every energy is the sum of its parts, and nothing is in two places."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from mapping.nets import chain, chip, op, tiny
from mapping.nets import network as build

from xbarsim.chip.prices import prices, standing
from xbarsim.results import Run
from xbarsim.studies.simulate import simulate

METHODS = ("xbm", "piggyback", "finetune")
SCENARIO = "task1:2,task2:3,task2:1,backbone:2,task1:1"


def run(method: str = "xbm", scenario: str | None = SCENARIO, **overrides: object) -> Run:
    return simulate(chip(**overrides), tiny(), method, scenario)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "overrides", [{}, {"offchip__inputs": True}, {"offchip__energy": "static", "offchip__static_mw": 10}]
)
def test_energies_are_the_sums_of_their_parts(method: str, overrides: dict[str, object]) -> None:
    found = run(method, **overrides)
    result = found.to_json()
    total = result["energy_pj"]
    tasks = sum(row["energy_per_inference_pj"] * row["inferences"] for row in result["tasks"])
    switches = sum(row["energy_pj"] for row in result["switches"])
    assert tasks + switches == pytest.approx(total, rel=1e-12)
    assert sum(row["energy_pj"] for row in result["components"]) == pytest.approx(total, rel=1e-12)
    layers = sum(row["inference_energy_pj"] + row["switch_energy_pj"] for row in result["layers"])
    power = sum(row.energy_pj for row in found.ledger.rows if row.action in ("leakage", "static"))
    assert layers + power == pytest.approx(total, rel=1e-12)
    everything = found.ledger.energy_pj()
    assert everything == pytest.approx(total + result["install"]["energy_pj"], rel=1e-12)
    assert found.energy.energy_pj.sum() == pytest.approx(everything, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_every_row_is_count_times_price(method: str) -> None:
    made = chip()
    table = prices(made)
    for row in run(method).ledger.rows:
        if row.action in ("leakage", "static"):
            continue
        assert row.energy_pj == row.count * (table[row.component, row.action] or 0.0)
        assert row.count > 0
        assert isinstance(row.count, int)


def test_installation_stands_apart() -> None:
    found = run("finetune")
    assert {row.phase for row in found.ledger.rows} == {"install", "switch", "inference"}
    installed = found.to_json()["install"]
    assert installed["energy_pj"] == found.ledger.energy_pj(phase="install") > 0
    assert {row.component for row in found.ledger.rows if row.phase == "install"} == {"cell"}
    idle = run("finetune", "backbone:1").to_json()
    assert idle["install"] == installed
    assert all(row["component"] != "cell" for row in idle["components"])


@pytest.mark.parametrize("method", METHODS)
def test_counts_grow_with_inferences_and_nothing_else(method: str) -> None:
    def counts(n: int) -> dict[tuple[object, ...], int]:
        found = run(method, f"task1:{n},backbone:{2 * n}")
        keys = ("phase", "entry", "layer", "component", "action")
        return {k: c for k, c, _ in found.ledger.totals(*keys) if k[-1] not in ("leakage", "static")}

    one, seven = counts(1), counts(7)
    assert one.keys() == seven.keys()
    for key, count in one.items():
        assert seven[key] == (7 * count if key[0] == "inference" else count)


def test_standing_power_is_milliwatts_times_time() -> None:
    found = run(offchip__energy="static", offchip__static_mw=10, buffer__leakage_mw=0.5)
    last = max(found.makespan_ps, 0)
    assert found.ledger.count(component="offchip", action="static") == last * found.placement.chips
    energy = found.ledger.energy_pj(component="offchip", action="static")
    assert energy == pytest.approx(10 * last / 1000, rel=1e-12)  # mW x ns = pJ
    tiles = found.placement.chip.file.chip.tiles
    assert found.ledger.count(component="buffer", action="leakage") == last * tiles
    assert found.ledger.energy_pj(component="buffer", action="leakage") == pytest.approx(0.5 * tiles * last / 1000)


def test_standing_power_belongs_to_the_time_it_flows_in() -> None:
    found = run("finetune", "task1:2,task2:2")
    for at, switched in enumerate(found.switches):
        row = found.ledger.count(phase="switch", entry=at, component="mask_store", action="leakage")
        assert row == switched.latency_ps
    total = found.ledger.count(component="mask_store", action="leakage")
    assert total == found.makespan_ps


def test_what_is_not_published_counts_nothing_and_is_named() -> None:
    made = chip()
    part = made.file.shift_add.model_copy(update={"energy_pj": None})
    unpriced = replace(made, file=made.file.model_copy(update={"shift_add": part}))
    found = simulate(unpriced, tiny(), "xbm", SCENARIO)
    assert found.ledger.energy_pj(component="shift_add", action="add") == 0
    assert found.ledger.count(component="shift_add", action="add") > 0
    assert "energy of shift_add.add is not published: it counts zero" in found.assumptions
    assert "leakage of shift_add is not published: it counts zero" in found.assumptions
    priced = run(shift_add__leakage_mw=0.1)
    assert "leakage of shift_add is not published: it counts zero" not in priced.assumptions
    assert "energy of shift_add.add is not published: it counts zero" not in priced.assumptions


def test_what_is_not_used_is_not_missing() -> None:
    assert not [line for line in run("xbm").assumptions if "vector" in line]
    assert not [line for line in run("xbm").assumptions if "cell.write" in line]


def test_a_price_changes_energies_and_nothing_else() -> None:
    """Every count and every instant stays; so a schedule can be priced again."""
    cheap = run("piggyback", adc__energy_pj=1.0)
    dear = run("piggyback", adc__energy_pj=3.0, noc__energy_pj=0.0, buffer__leakage_mw=7)
    keys = ("phase", "entry", "layer", "component", "action")

    def counts(found: Run) -> dict[tuple[object, ...], int]:
        return {k: c for k, c, _ in found.ledger.totals(*keys) if k[-1] != "leakage"}

    assert counts(cheap) == counts(dear)
    assert cheap.makespan_ps == dear.makespan_ps
    assert [e.first_latency_ps for e in cheap.inferences] == [e.first_latency_ps for e in dear.inferences]
    assert [s.latency_ps for s in cheap.switches] == [s.latency_ps for s in dear.switches]
    conversions = cheap.ledger.count(component="adc", action="convert")
    assert dear.ledger.energy_pj(component="adc", action="convert") == pytest.approx(3 * conversions)


def test_off_chip_bytes_are_paid_once() -> None:
    """Either power all the time, or energy per byte; never both."""
    static = run(offchip__energy="static", offchip__static_mw=10, offchip__inputs=True)
    per_byte = run(offchip__energy="per_byte", offchip__inputs=True)
    assert static.ledger.count(component="offchip", action="byte") == per_byte.ledger.count(
        component="offchip", action="byte"
    )
    assert static.ledger.energy_pj(component="offchip", action="byte") == 0
    assert per_byte.ledger.energy_pj(component="offchip", action="static") == 0
    price = per_byte.placement.chip.file.offchip.energy_pj
    assert price is not None
    bytes_moved = per_byte.ledger.count(component="offchip", action="byte")
    assert per_byte.ledger.energy_pj(component="offchip", action="byte") == pytest.approx(bytes_moved * price)


def test_writes_are_priced_by_the_law_of_pulses() -> None:
    """p V^2 t over the mean resistance of both levels; a full range takes 128 pulses and 29.789 pJ."""
    made = chip()
    table, levels = prices(made), made.cell_levels
    g = [Fraction(1) + Fraction(9) * level / (levels - 1) for level in range(levels)]
    for old in range(levels):
        for new in range(levels):
            pulses = ceil(abs(g[new] - g[old]) / (Fraction(9) / 128))
            resistance = (1 / g[old] + 1 / g[new]) / 2
            energy = pulses * Fraction(16, 10) ** 2 * 50 / resistance / 1000
            assert table["cell", f"write {old}>{new}"] == pytest.approx(float(energy), rel=1e-12)
    assert table["cell", f"write 0>{levels - 1}"] == pytest.approx(29.789, rel=1e-4)


def test_every_part_that_leaks_is_there_as_often_as_on_the_chip() -> None:
    made = chip()
    file = made.file
    crossbars = file.chip.tiles * file.tile.pes * file.pe.crossbars
    rows = {(row.component, row.kind): row.instances for row in standing(made)}
    assert rows["crossbar", "leakage"] == crossbars == 168 * 12 * 8
    assert rows["dac", "leakage"] == crossbars * 72
    assert rows["sample_hold", "leakage"] == crossbars * 73
    assert rows["gate", "leakage"] == crossbars * 72
    assert rows["registers", "leakage"] == 168 * 12
    assert rows["buffer", "leakage"] == rows["bus", "leakage"] == rows["activation", "leakage"] == 168
    assert rows["noc", "leakage"] == 42
    assert rows["mask_store", "leakage"] == rows["offchip", "leakage"] == 1
    assert ("vector", "leakage") not in rows


def test_digital_operations_are_paid_where_they_are_done() -> None:
    net = build(
        (4, 6, 6), op("conv", "a", "input", out=8, kernel=3, padding=1), op("relu", "r", "a"),
        op("max_pool", "p", "r", kernel=2), op("conv", "b", "p", out=8, kernel=1), op("add", "s", "b", "p"),
    )  # fmt: skip
    found = simulate(chip(), net, "xbm", "backbone:3")
    by_layer: dict[str, set[str]] = defaultdict(set)
    for row in found.ledger.rows:
        if row.phase == "inference" and row.layer:
            by_layer[row.layer].add(row.component)
    assert set(by_layer) == {"a", "p", "b", "s"}  # the activation function belongs to ``a``
    assert found.ledger.count(layer="p", component="pool", action="cycle") == 3 * 9
    assert found.ledger.count(layer="s", component="shift_add", action="tile") == 3 * 9
    assert found.ledger.count(layer="a", component="activation", action="cycle") == 3 * 36
    assert found.ledger.count(layer="a", component="requantise", action="element") == 3 * 36 * 8


def test_a_head_converts_the_columns_of_its_tasks_classes() -> None:
    net = chain(
        (2, 3, 3),
        op("conv", "conv", out=8, kernel=3),
        op("linear", "fc", out=4),
        tasks={"narrow": 2, "wide": 9},
    )
    found = simulate(chip(), net, "xbm", "backbone:3,narrow:3,wide:3")
    counts = [found.ledger.count(layer="fc", component="adc", action="convert", entry=at) for at in range(3)]
    assert counts == [3 * 8 * (classes * 4 + 1) for classes in (4, 2, 9)]  # inferences, phases, slices, unit column
    assert found.placement.sites["fc"].residents == 3
    assert [row["head_bits"] for row in found.to_json()["switches"]] == [8 * c * 8 + 32 * c for c in (2, 9)]

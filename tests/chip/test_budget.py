"""Power, area, throughput and density at full activity; what task hardware takes of it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from xbarsim.chip import load_chip
from xbarsim.chip.budget import LEVELS, budget_of
from xbarsim.chip.overheads import overheads, share
from xbarsim.config import known
from xbarsim.studies.bench import bench
from xbarsim.studies.describe import describe


def test_isaac_as_table_i_has_it() -> None:
    budget = budget_of(load_chip("isaac"))
    assert budget.power_mw("pe") == pytest.approx(24.08)
    assert budget.area_um2("pe") == pytest.approx(13120, rel=1e-4)
    assert budget.power_mw("tile") == pytest.approx(329.81)
    assert budget.area_um2("tile") == pytest.approx(372290, rel=1e-4)
    assert budget.power_mw() == pytest.approx(65808, rel=1e-5)
    assert budget.area_um2() == pytest.approx(85.425e6, rel=1e-4)
    assert budget.tops == pytest.approx(41.28768)
    assert budget.gops_per_mm2 == pytest.approx(483.3, rel=1e-3)
    assert budget.mib_per_mm2 == pytest.approx(0.7377, rel=1e-3)


def test_levels_and_components_add_up() -> None:
    for name in known("arch_configs"):
        budget = budget_of(load_chip(name))
        whole = sum((item.power_mw or 0) * budget.per[item.level] for item in budget.items)
        area = sum(item.total_um2 * budget.per[item.level] for item in budget.items)
        assert budget.power_mw() == pytest.approx(whole), name
        assert budget.area_um2() == pytest.approx(area), name
        assert all(budget.power_mw(low) <= budget.power_mw(high) + 1e-9 for low, high in pairwise(LEVELS))


@pytest.mark.parametrize("chip", ["isaac", "isaac adc.rate_gsps=0.64", "isaac crossbar.cell_bits=4 adc.bits=10"])
def test_the_peak_is_what_a_run_on_all_arrays_reaches(chip: str) -> None:
    name, *overrides = chip.split()
    machine = load_chip(name, [*overrides, "crossbar.unit_column=false", "chip.count=1"])
    busy = bench(machine, "full_isaac", 20)
    used = sum(site.crossbars for site in busy.placement.sites.values()) / machine.crossbars_per_chip
    budget = budget_of(machine)
    assert busy.gops == pytest.approx(budget.peak_gops * used)
    dynamic = busy.energy_pj("crossbar", "dac", "sample_hold", "adc") / busy.interval_ns
    assert dynamic == pytest.approx(budget.power_mw("chip", "crossbar", "dac", "sample_hold", "adc") * used)


def test_unit_columns_are_reported_beside() -> None:
    with_unit, without = (budget_of(load_chip("isaac", [f"crossbar.unit_column={on}"])) for on in ("true", "false"))
    assert with_unit.power_mw() == without.power_mw()
    assert without.unit_power_mw == 0
    assert with_unit.unit_power_mw == pytest.approx(16128 * 1.8398 / 100, rel=1e-3)  # pJ per array and 100 ns


def test_published_peak_power_takes_the_place_of_actions() -> None:
    chip = load_chip("isaac", ["buffer.peak_power_mw=null"])
    item = next(item for item in budget_of(chip).items if item.component == "buffer")
    assert (item.basis, item.power_mw) == ("busy", pytest.approx(20.45))


def test_a_published_peak_power_belongs_to_the_published_size() -> None:
    half = next(
        item for item in budget_of(load_chip("isaac", ["buffer.bytes=32768"])).items if item.component == "buffer"
    )
    assert (half.basis, half.power_mw) == ("busy", pytest.approx(20.45 * 10.7 / 14.8))


def test_the_array_grows_with_its_cells() -> None:
    small, large = (load_chip("isaac", [f"crossbar.rows={n}", f"crossbar.cols={n}"]).file.crossbar for n in (64, 256))
    assert (small.footprint_um2, large.footprint_um2) == (6.25, 100)


def test_task_hardware_has_a_range_and_the_file_lies_in_it() -> None:
    chip = load_chip("xbm_72")
    low, stated, high = (share(chip, which) for which in ("low", "stated", "high"))
    assert 0 < low < 0.01 < stated <= high < 0.2
    assert [one.part for one in overheads(chip)] == ["gate", "mask_buffer", "shifter"]
    assert all(one.low_um2 <= one.high_um2 for one in overheads(chip))
    assert overheads(load_chip("isaac")) == []


@pytest.mark.parametrize("name", known("arch_configs"))
def test_every_chip_can_be_described(name: str) -> None:
    shown = describe(load_chip(name))
    assert shown["summary"]["peak_tops"] > 0
    assert {row["level"] for row in shown["levels"]} == {"pe", "tile", "chip"}
    shares = [row["chip_area_share"] for row in shown["components"] if row["chip_area_share"] is not None]
    assert not shares or sum(shares) == pytest.approx(1)

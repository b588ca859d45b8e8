"""Laws: exact at what was published, the published proportions elsewhere, and honest beyond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.chip import load_chip
from xbarsim.chip.laws import digital_area, digital_energy, interpolate, numbers, sar_pj, sar_um2, survey_pj, survey_um2
from xbarsim.chip.memories import memory
from xbarsim.chip.prices import prices
from xbarsim.studies.bench import bench

# Murmann-survey regression recomputed independently at 32 nm: bits, GS/s, pJ, um2
SURVEY = [(4, 1.0, 0.92, 4963), (6, 0.1, 1.06, 3416), (8, 1.0, 1.71, 5969), (8, 1.28, 1.93, 6467),
          (9, 1.28, 5.52, 8861), (10, 0.01, 3.30, 3162), (12, 1.0, 133, 21947)]  # fmt: skip


def convert_pj(*overrides: str) -> float:
    return prices(load_chip("isaac", overrides))["adc", "convert"] or 0.0


def test_the_sar_law_meets_the_seven_published_points() -> None:
    bits = [int(each) for each in numbers("accelergy_library.sar_bits")]
    assert [sar_pj(n) for n in bits] == pytest.approx(numbers("accelergy_library.sar_energy"), abs=0.006)
    assert [sar_um2(n) for n in bits] == pytest.approx(numbers("accelergy_library.sar_area"), abs=1)


@pytest.mark.parametrize(("bits", "rate", "energy", "area"), SURVEY)
def test_the_survey_law_meets_its_table(bits: int, rate: float, energy: float, area: float) -> None:
    assert survey_pj(bits, rate, 32) == pytest.approx(energy, rel=0.01)
    assert survey_um2(bits, rate, 32) == pytest.approx(area, rel=0.01)


def test_the_survey_law_never_falls_with_bits() -> None:
    energies = [survey_pj(bits, 1.0, 32) for bits in range(1, 13)]
    assert energies == sorted(energies)
    assert survey_pj(3, 1.0, 32) == survey_pj(4, 1.0, 32)


def test_the_published_resolution_costs_what_was_published() -> None:
    assert convert_pj() == 1.5625
    assert load_chip("isaac").file.adc.footprint_um2 == 1200
    assert load_chip("isaac").remarks == []


@pytest.mark.parametrize("bits", [4, 6, 7, 9, 10])
def test_another_resolution_moves_in_the_laws_proportion(bits: int) -> None:
    chip = load_chip("isaac", [f"adc.bits={bits}"])
    assert convert_pj(f"adc.bits={bits}") == pytest.approx(1.5625 * sar_pj(bits) / sar_pj(8))
    assert chip.file.adc.footprint_um2 == pytest.approx(1200 * sar_um2(bits) / sar_um2(8))
    assert any("scaled from 8" in line for line in chip.remarks)


def test_a_sweep_of_bits_changes_the_energy_of_a_run() -> None:
    energies = [bench(load_chip(name, [f"adc.bits={bits}"]), "one_window").energy_pj("adc")
                for name in ("isaac", "xbm_72", "puma") for bits in (6, 8)]  # fmt: skip
    for six, eight in zip(energies[::2], energies[1::2], strict=True):
        assert six == pytest.approx(eight * sar_pj(6) / sar_pj(8))


def test_a_stated_energy_overrides_the_law() -> None:
    assert convert_pj("adc.bits=6", "adc.energy_pj=3") == 3
    assert convert_pj("adc.bits=6", "adc.law.energy_pj=2") == pytest.approx(2 * sar_pj(6) / sar_pj(8))


def test_without_law_and_figure_the_energy_is_unpublished() -> None:
    assert prices(load_chip("isaac", ["adc.law=null"]))["adc", "convert"] is None


def test_a_law_without_an_anchor_gives_its_own_figures() -> None:
    assert convert_pj("adc.law={kind: sar}") == sar_pj(8)
    assert convert_pj("adc.law={kind: survey, tech_nm: 32}") == survey_pj(8, 1.28, 32)
    anchored = "adc.law={kind: survey, tech_nm: 32, bits: 8, rate_gsps: 1.28, energy_pj: 1.5625}"
    assert convert_pj(anchored) == pytest.approx(1.5625)
    assert convert_pj(anchored, "adc.bits=10") == pytest.approx(
        1.5625 * survey_pj(10, 1.28, 32) / survey_pj(8, 1.28, 32)
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [("adc.bits=12", "adc: law sar: 12 bits are outside the law's 4 to 10 bits"),
     ("adc.rate_gsps=5", "adc: law sar: 5 GS/s is above the law's 1.28 GS/s"),
     ("dac.bits=8", "dac: law doubling: 8 bits are outside the law's 1 to 6 bits"),
     ("buffer.bytes=1024", "buffer: law cacti: 1024 bytes are outside the law's 32768 to 262144 bytes")],
)  # fmt: skip
def test_beyond_its_validity_a_law_says_so(override: str, said: str) -> None:
    chip = load_chip("isaac", [override])
    assert said in chip.warnings
    run = bench(chip, "one_window").run.to_json()
    assert said in run["assumptions"]


def test_drivers_double_with_every_bit() -> None:
    energies = [load_chip("isaac", [f"dac.bits={bits}"]).file.dac.drive_pj for bits in (1, 2, 3, 4)]
    assert energies == [0.390625 * 2**n for n in range(4)]
    power, area = numbers("mnsim.dac_power"), numbers("mnsim.dac_area")
    bits = numbers("mnsim.dac_bits")
    assert power == pytest.approx([power[0] * 2 ** (n - 1) for n in bits], rel=0.01)
    assert area == pytest.approx([area[0] * 2 ** (n - 1) for n in bits])


def test_memories_meet_cacti_at_its_sizes() -> None:
    assert memory("sram_32nm_lstp", "read", 65536, 256) == pytest.approx(25.4)
    assert memory("sram_22nm_hp", "leakage", 1024, 32) == pytest.approx(0.177)
    assert memory("edram_32nm", "read", 65536, 256) == pytest.approx(14.8)
    assert memory("sram_32nm_lstp", "read", 65536, 128) == pytest.approx(12.7)


@given(st.integers(256, 2**20))
def test_memories_between_two_sizes_lie_between_them(size: int) -> None:
    sizes = numbers("cacti7.sram_bytes")
    upper = min(each for each in sizes if each >= size)
    lower = max(each for each in sizes if each <= size)
    low, here, high = (memory("sram_32nm_lstp", "area", int(each), 256) for each in (lower, size, upper))
    assert low * 0.999 <= here <= high * 1.001


def test_a_buffer_of_another_size_moves_in_cactis_proportion() -> None:
    half = load_chip("isaac", ["buffer.bytes=32768"]).file.buffer
    assert half.read_pj == pytest.approx(20.45 * 10.7 / 14.8)
    assert half.write_pj == pytest.approx(20.45 * 10.7 / 14.8)  # eDRAM writes move as reads do
    assert half.footprint_um2 == pytest.approx(83000 * 29660 / 44840)
    whole = load_chip("isaac").file.buffer
    assert (whole.read_pj, whole.footprint_um2) == (20.45, 83000)


def test_a_mask_store_by_law() -> None:
    chip = load_chip("xbm_72", ["mask_store.energy_pj=null", "mask_store.law={kind: cacti, table: sram_32nm_lstp}"])
    assert prices(chip)["mask_store", "read"] == pytest.approx(75.7)


def test_digital_logic_scales_by_node() -> None:
    assert digital_area(32, 65) == pytest.approx(3.3)
    assert digital_area(65, 65) == 1
    assert digital_energy(32, 32) == 1
    assert digital_energy(65, 32) == pytest.approx(0.45692 / 0.85980, rel=1e-3)
    assert 1 < digital_area(32, 40) < 2.2
    gate = load_chip("xbm_72").file.gate
    assert gate is not None
    assert gate.footprint_um2 == pytest.approx(17.28 / 3.3)
    assert gate.action_pj == 0.0013  # stated in the chip file, whatever the law says


def test_any_digital_part_may_be_published_at_another_node() -> None:
    law = "{kind: node, from_nm: 65, to_nm: 32, energy_pj: 2, area_um2: 330}"
    chip = load_chip("isaac", [f"scaler.law={law}", f"requantise.law={law}"])
    for part, action in (("scaler", "scale"), ("requantise", "element")):
        assert prices(chip)[part, action] == pytest.approx(2 * digital_energy(65, 32))
        assert getattr(chip.file, part).footprint_um2 == pytest.approx(100)
    assert "scaler: law node: scaled from 65 to 32 nm as digital logic" in chip.remarks


def test_interpolation_is_straight_on_logarithmic_axes() -> None:
    assert interpolate(10, (1, 100), (1, 10000)) == pytest.approx(100)
    assert interpolate(1000, (1, 100), (1, 10000)) == pytest.approx(1e6)
    assert interpolate(0.1, (1, 100), (1, 10000)) == pytest.approx(0.01)

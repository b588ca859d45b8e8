"""Devices: what their publications print, through the law and through the real path of a switch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from mapping.nets import network, op

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip, load_chip
from xbarsim.config import known
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.errors import InputError
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.studies.simulate import simulate

DEVICES = ("milo_hfo2", "neurosim_rram", "neurram_hfox", "prime_tio2", "puma_serial", "taox_hfox")


def device(name: str, **overrides: object) -> Any:
    settings = {f"device.{key.replace('__', '.')}": value for key, value in overrides.items()}
    return load_chip("isaac", {"device": name, **settings}).file.device


def test_all_of_them_are_there() -> None:
    assert set(DEVICES) <= set(known("devices"))


@pytest.mark.parametrize("chip", ["isaac", "xbm_72"])
@pytest.mark.parametrize("name", DEVICES)
def test_every_figure_has_a_source_on_every_chip(name: str, chip: str) -> None:
    """A fact with publication and place, or an assumption with a reason."""
    figures = [traced for traced in load_chip(chip, {"device": name}).traced if traced.path.startswith("device.")]
    assert len(figures) >= 6
    for traced in figures:
        if traced.how == "assumed":
            assert traced.note != "no source stated", traced.path
        else:
            assert traced.publication, traced.path
            assert traced.place, traced.path


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("levels", [2, 4, 16])
def test_tables_of_a_law(name: str, levels: int) -> None:
    made = device(name)
    pulses, energies = made.write_pulses(levels), made.write_energy_pj(levels)
    off = ~np.eye(levels, dtype=bool)
    assert pulses.dtype == np.int64
    assert (pulses[~off] == 0).all()
    assert (energies[~off] == 0).all()
    assert (pulses[off] >= 1).all()
    assert (energies[off] > 0).all()
    assert np.allclose(energies, energies.T)


def test_taox_hfox_over_the_full_range() -> None:
    """128 pulses, 29.789 pJ, 6.4 us (NeuroSim V2.1's rule on MELISO's device file)."""
    made = device("taox_hfox")
    assert made.write_pulses(4)[0, 3] == 128
    assert made.write_energy_pj(4)[0, 3] == pytest.approx(29.789, abs=5e-4)
    assert 128 * made.pulse_ns == 6400


def test_single_pulses_at_mean_conductance() -> None:
    """PRIME's cell in 40 ns: 84 pJ; NeuroSim V1.3's in 50 ns: 16.8 pJ, 33.3 pJ on the side of R_on alone."""
    assert device("prime_tio2", write__pulse_ns=40).write_energy_pj(2)[0, 1] == pytest.approx(84)
    assert device("neurosim_rram").write_energy_pj(2)[0, 1] == pytest.approx(16.8, abs=0.03)
    made = device("neurosim_rram")
    assert 4 * 50 * float(made.g_max_us) / 1000 == pytest.approx(33.3, abs=0.04)


def test_neurram_at_20_us() -> None:
    """Some 522 pJ and 8.52 us per cell; a 128x128 array 8.55 uJ and, row by row, 1.09 ms."""
    made = device("neurram_hfox", g_min_us=20, g_max_us=20.0001)
    cell_pj, cell_ns = made.write_energy_pj(2)[0, 1], int(made.write_pulses(2)[0, 1]) * made.pulse_ns
    assert cell_pj == pytest.approx(522, abs=0.5)
    assert cell_ns == 8520
    assert 128**2 * cell_pj / 1e6 == pytest.approx(8.55, abs=0.01)
    assert 128 * float(cell_ns) / 1e6 == pytest.approx(1.09, abs=0.005)


def test_published_write_energies_span_a_factor_of_400() -> None:
    dearest = device("neurram_hfox", g_min_us=20, g_max_us=20.0001).write_energy_pj(2)[0, 1]
    cheapest = device("puma_serial").write_energy_pj(2)[0, 1]
    assert dearest / cheapest == pytest.approx(405, abs=1)


@dataclass(frozen=True)
class Digits:
    """A store of one layer whose 2-bit digits are the same in all of a channel: 0 or 1, before and after."""

    store: Any
    before: np.ndarray
    after: np.ndarray

    def integers(self, layer: Any, bits: int) -> np.ndarray:
        return self._filled(self.before, layer)

    def weights(self, task: str, method: str, layer: Any, bits: int) -> np.ndarray:
        return self._filled(self.after, layer)

    def _filled(self, digit: np.ndarray, layer: Any) -> np.ndarray:
        codes = np.where(digit == 1, 0x5555, 0) - 2**15
        return np.repeat(codes[:, None], layer.rows, axis=1).astype(np.int16)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def reprogrammed(chip: Chip, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Energy in nJ and programming time in us of rewriting one array, cells alone, through the real path.

    128 inputs and 16 outputs of 16 bits are, on ISAAC, one array of 128x128 cells.
    """
    net = network((128, 1, 1), op("linear", "fc", "input", out=16, bias=False), tasks=1, weight_bits=16, input_bits=16)
    net = replace(net, store=Digits(net.store, before, after))
    run = simulate(chip, net, "finetune", "task1:1")
    dataflow = plan(place(chip, net), Adaption.named("finetune")(), parse_scenario("task1:1", net))
    program = next(actor for actor in dataflow.graph.actors if actor.name == "fc.program")
    assert run.to_json()["switches"][0]["cells_written"] == 128 * 128
    assert place(chip, net).sites["fc"].crossbars == 1
    spent = run.ledger.energy_pj(phase="switch", component="cell") / 1000
    return spent, sum(work.periods * int(work.service_ps.sum()) for work in program.work) / 1e6


ZEROS, ONES = np.zeros(16, int), np.ones(16, int)
HALVES = np.arange(16) < 8


def test_puma_writes_an_array_row_by_row() -> None:
    """PUMA's simulator: 21.1 nJ and 10.97 us for 128x128 cells."""
    for before, after in ((ZEROS, ONES), (ONES, ZEROS)):
        energy_nj, time_us = reprogrammed(load_chip("isaac", {"device": "puma_serial"}), before, after)
        assert energy_nj == pytest.approx(21.1, rel=0.01)
        assert time_us == pytest.approx(10.97, rel=0.01)


@pytest.mark.parametrize(("name", "phases"), [("puma_serial", 1), ("taox_hfox", 2), ("prime_tio2", 2)])
def test_sets_and_resets_of_a_row(name: str, phases: int) -> None:
    """One half of the columns goes up, the other down: a SET and a RESET train in every row."""
    chip = load_chip("isaac", {"device": name})
    made = chip.file.device
    train_us = int(made.write_pulses(4)[0, 1]) * float(made.pulse_ns) / 1000
    assert reprogrammed(chip, HALVES * ONES, ~HALVES * ONES)[1] == pytest.approx(phases * 128 * train_us, rel=1e-4)


def test_an_array_of_taox_hfox() -> None:
    """A step of one level of four takes 43 of 128 pulses; the worst case of 128 rows is 0.82 ms in one phase."""
    energy_nj, time_us = reprogrammed(load_chip("isaac"), ZEROS, ONES)
    assert time_us == pytest.approx(128 * 43 * 0.05)
    assert time_us < 128 * 128 * 0.05 == pytest.approx(819.2)
    assert energy_nj == pytest.approx(128 * 128 * 8.8064 / 1000)


def test_a_chip_with_more_levels_than_published_says_so() -> None:
    run = simulate(load_chip("xbm_72", {"device": "neurosim_rram", "crossbar.cell_bits": 4}), one_array_of_8_bits())
    assert any("published with 4 levels, the chip uses 16" in line for line in run.assumptions)
    run = simulate(load_chip("xbm_72", {"device": "neurosim_rram"}), one_array_of_8_bits())
    assert not any("published with" in line for line in run.assumptions)


def one_array_of_8_bits() -> Network:
    return network((16, 1, 1), op("linear", "fc", "input", out=4, bias=False), tasks=1)


def test_faults_of_a_write_law_are_told_apart_by_kind() -> None:
    with pytest.raises(InputError, match=r"device\.write\.kind.*'linaer' is not one of.*did you mean 'linear'"):
        load_chip("isaac", ["device.write.kind=linaer"])
    with pytest.raises(InputError, match=r"device\.write\.row_ns: required key is missing"):
        load_chip("isaac", ["device.write={kind: fixed, cell_energy_pj: 1}"])
    with pytest.raises(InputError, match=r"device\.write\.mean_pulses"):
        load_chip("isaac", ["device=neurram_hfox", "device.write.mean_pulses=0"])

"""Every shipped chip runs from mapping to ledger; what is published of each comes out of it."""

from __future__ import annotations

import pytest

from xbarsim.chip import load_chip
from xbarsim.config import known
from xbarsim.errors import InputError
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.studies.bench import bench
from xbarsim.studies.simulate import simulate

MACROS = ("macro", "xue_isscc19", "chen_isscc18", "yin_ted20", "liu_isscc20")
CHIPS = [name for name in known("arch_configs") if name not in MACROS]


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_runs_a_network(name: str) -> None:
    run = bench(load_chip(name), "lenet5", 2).run.to_json()
    assert run["latency_ns"] > 0
    assert run["energy_pj"] > 0
    assert run["install"]["cells_written"] > 0


@pytest.mark.parametrize("name", CHIPS)
def test_both_engines_agree(name: str) -> None:
    chip, network = load_chip(name), load_network("one_mvm")
    runs = [simulate(chip, network, "finetune", "backbone:3", engine=engine) for engine in ("compiled", "reference")]
    assert runs[0].makespan_ps == runs[1].makespan_ps


@pytest.mark.parametrize("name", MACROS)
def test_a_macro_runs_one_kernel(name: str) -> None:
    one = bench(load_chip(name), "one_kernel", 3)
    assert one.interval_ns > 0


@pytest.mark.parametrize("name", [name for name in CHIPS if load_chip(name).file.gate])
def test_chips_with_gates_switch_tasks(name: str) -> None:
    run = simulate(load_chip(name), load_network("digits"), "xbm", "rotated:2,inverted:2")
    assert [switch.moment.change.cells_written for switch in run.switches] == [0, 0]


@pytest.mark.parametrize("device", known("devices"))
@pytest.mark.parametrize("name", ["isaac", "puma", "xbm_72_rram"])
def test_any_device_goes_with_any_chip(name: str, device: str) -> None:
    chip = load_chip(name, [f"device={device}"])
    assert chip.file.device.name == device
    assert simulate(chip, load_network("one_window"), "finetune", "backbone:1").installed["energy_pj"] > 0


def test_puma_has_stages_of_128_ns() -> None:
    one = bench(load_chip("puma"), "one_mvm", 20)
    assert one.interval_ns == 2048
    assert bench(load_chip("puma"), "one_mvm").from_to_ns("fc.read", "fc.accumulate") == 2304


def test_prime_converts_four_times_per_column_and_product() -> None:
    chip = load_chip("prime")
    one = bench(chip, "one_row_of_mats")
    assert one.count("adc", "convert") / one.macs == 4 / 256
    digital = bench(load_chip("prime", ["crossbar.subtract=digital"]), "one_row_of_mats")
    assert digital.count("adc", "convert") == 2 * one.count("adc", "convert")


def test_pipelayer_maps_its_example_to_18_groups_of_arrays() -> None:
    chip = load_chip("pipelayer")
    grid = place(chip, load_network("kernel_1152x256")).sites["conv"].grid
    assert grid.crossbars // grid.slices == 18
    run = bench(chip, "kernel_1152x256", 2)
    assert run.energy_pj("adc") == 0
    assert run.count("dac", "drive") == 16 * 16 * 128 * grid.crossbars  # windows, slots, rows
    assert any("859 W" in note for note in chip.file.notes)


def test_neurram_applies_bits_as_pulses() -> None:
    chip = load_chip("neurram", ["precision.input_bits=8", "adc.bits=10"])
    reads = chip.reads(8)
    assert [(read.bits, read.pulses, read.steps) for read in reads] == [(4, 15, 10), (3, 7, 6)]
    assert [chip.read_ns(read) for read in reads] == [15 * 270, 7 * 270]
    assert [chip.convert_ns(read, 1) for read in reads] == [300 + 10 * 300, 300 + 6 * 300]
    one = bench(chip, "full_neurram", 4)
    assert one.count("sample_hold", "pulse") == 4 * 48 * 256 * 22
    assert one.count("adc", "step") == 4 * 48 * 256 * 16
    assert one.count("adc", "convert") == 4 * 48 * 256 * 2
    assert one.count("dac", "drive") == 4 * 48 * 256 * 7


def test_serial_bits_are_converted_once() -> None:
    for bits in (1, 2):
        one = bench(load_chip("xue_isscc19", [f"precision.input_bits={bits}"]), "one_mac")
        assert one.count("adc", "convert") == 64 * 6
        assert one.count("crossbar", "read") == bits * 128 * 64 * 6


def test_variants_state_only_what_differs() -> None:
    xbm, rram = load_chip("xbm_72").file, load_chip("xbm_72_rram").file
    assert xbm.model_dump(exclude={"name", "notes"}) == rram.model_dump(exclude={"name", "notes"})
    first, later = load_chip("neurosim_22nm"), load_chip("neurosim_v14_22nm")
    assert (first.slices(8), later.slices(8)) == (4, 8)
    assert later.file.device.name == "neurosim_v14_rram"


@pytest.mark.parametrize(
    ("override", "fault"),
    [("adc.rate_gsps=null", "adc.rate_gsps: missing, but adc.kind is sar"),
     ("adc.kind=step", "adc.step_ns: missing, but adc.kind is step"),
     ("dac.serves=slices", "dac.serves: slices share drivers where they stand in arrays"),
     ("crossbar.subtract=analog", "crossbar.subtract: analog subtraction needs crossbar.encoding: differential"),
     ("crossbar.read.volts=0.5", "crossbar.read: volts and pulse_ns go together"),
     ("crossbar.read={energy_pj: 1, volts: 0.5, pulse_ns: 10}", "crossbar.read: read energy comes from a figure or")],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_refused(override: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault.replace("^", r"\^")):
        load_chip("isaac", [override])

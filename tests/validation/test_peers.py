"""Other simulators' arithmetic: counts exactly, times by formula. Their absolute times are no targets."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest

from xbarsim.chip import load_chip
from xbarsim.studies.bench import Bench, bench

MNSIM = str(Path(__file__).with_name("mnsim_like.yaml"))
WINDOWS, ROWS, COLUMNS = 784, 75, 6
INPUT_BITS, DRIVE_NS, READ_NS, CONVERT_NS, LOGIC_NS = 9, 3, 3.16, 8, 2


def first_layer(*overrides: str) -> Bench:
    return bench(load_chip(MNSIM, overrides), "lenet5")


def busy(unit: str, *overrides: str) -> float:
    return first_layer(*overrides).busy_ns(f"conv1.{unit}")


def test_the_layer_is_the_one_of_the_closed_form() -> None:
    layer = first_layer().placement.sites["conv1"].grid.layer
    assert (layer.windows, layer.rows, layer.c_out) == (WINDOWS, ROWS, COLUMNS)


def test_mnsims_closed_form_term_by_term() -> None:
    reads = INPUT_BITS * ceil(ROWS / 128) * ceil(COLUMNS / 128)
    drive = busy("crossbars") - busy("crossbars", "dac.settle_ns=0")
    read = busy("crossbars", "dac.settle_ns=0")
    registers = busy("bus", "registers.output_ns=0") - busy("bus", "registers.output_ns=0", "registers.input_ns=0")
    output = busy("bus", "registers.input_ns=0") - busy("bus", "registers.output_ns=0", "registers.input_ns=0")
    terms = (drive, read, busy("converters"), busy("shift_add"), registers, output)
    paper = (
        WINDOWS * reads * DRIVE_NS,
        WINDOWS * reads * READ_NS,
        WINDOWS * reads * CONVERT_NS,
        WINDOWS * reads * LOGIC_NS,
        WINDOWS * (1 + reads) * LOGIC_NS,
        WINDOWS * ceil(COLUMNS / 128) * LOGIC_NS,
    )
    assert terms == pytest.approx(paper, rel=1e-9)
    assert [round(term) for term in terms] == [21168, 22297, 56448, 14112, 15680, 1568]


@pytest.mark.parametrize(("converters", "columns"), [(128, 1), (64, 2), (16, 8)])
def test_converters_that_are_shared_take_their_columns_in_turn(converters: int, columns: int) -> None:
    assert busy("converters", f"adc.per_crossbar={converters}") == WINDOWS * INPUT_BITS * columns * CONVERT_NS
    output = [busy("bus", f"adc.per_crossbar={converters}", f"registers.output_ns={ns}") for ns in (2, 0)]
    assert output[0] - output[1] == pytest.approx(WINDOWS * columns * LOGIC_NS)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_wider_drivers_take_fewer_reads(bits: int) -> None:
    assert busy("converters", f"dac.bits={bits}") == WINDOWS * ceil(INPUT_BITS / bits) * CONVERT_NS


def test_pumas_perceptron_counts_as_its_simulator_does() -> None:
    one = bench(load_chip("puma"), "mlp_l4")
    assert one.count("crossbar", "array") == 98 * 8 * 16 == 12544
    assert one.count("adc", "convert") == 12544 * 128 == 1605632
    assert one.count("dac", "drive") == 98 * 16 * 128 == 200704


def test_pumas_perceptron_without_its_habits_counts_what_is_used() -> None:
    used = bench(load_chip("puma", ["adc.converts=used", "dac.drives=used"]), "mlp_l4")
    layers = [(784, 1024), (1024, 512), (512, 200), (200, 10)]
    assert used.count("adc", "convert") == 16 * 8 * sum(ceil(rows / 128) * columns for rows, columns in layers)
    assert used.count("dac", "drive") == 16 * sum(rows * ceil(columns / 128) for rows, columns in layers)

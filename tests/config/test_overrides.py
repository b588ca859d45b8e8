from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from config.models import BODY, Chip, chip
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.config import read, read_document
from xbarsim.errors import InputError

LISTED = BODY + "grid: [1, 2]\nnames: [ab]\n"


@pytest.fixture(autouse=True)
def files(write) -> None:
    write("devices/hfox.yaml", "name: HfOx\nlevels: 8\n")
    write("devices/taox.yaml", "name: TaOx\nlevels: 16\n")
    write("chip.yaml", LISTED + "device: hfox\n")


def said(*overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        chip("chip.yaml", *overrides)
    return [str(fault) for fault in caught.value.faults]


def test_a_value_is_read_by_the_rules_of_the_file() -> None:
    value = chip(
        "chip.yaml", "adc.bits=6", "adc.rate_gsps=1.28e-3", "gate=true", "grid=[3, 4]", "parts={a: {rows: 2}}"
    ).value
    assert (value.adc.bits, value.adc.rate_gsps, value.gate, value.grid) == (
        6,
        Fraction(4, 3125),
        True,
        (3, 4),
    )
    assert value.parts["a"].rows == 2


def test_the_later_wins() -> None:
    assert chip("chip.yaml", "adc.bits=6", "adc.bits=7").value.adc.bits == 7
    assert chip("chip.yaml", "adc={bits: 6, kind: flash}", "adc.bits=7").value.adc.kind == "flash"
    assert chip("chip.yaml", "adc.kind=flash", "adc={bits: 6}").value.adc.kind == "sar"


def test_faults_are_those_of_the_file() -> None:
    assert said("adc.bits=0") == ["--set adc.bits=0: adc.bits: 0 is below the minimum 1"]
    assert said("adc.bitz=3") == ["--set adc.bitz=3: adc.bitz: unknown key; did you mean 'bits'?"]
    assert said("acd.bits=3") == ["--set acd.bits=3: acd: unknown key; did you mean 'adc'?"]
    assert said("gate=on") == ["--set gate=on: gate: 'on' could be text or a switch; write true, or quote it for text"]
    assert said("adc=8") == ["--set adc=8: adc: expected keys and values, found 8"]
    assert said("adc.bits=") == ["--set adc.bits=: adc.bits: expected a whole number, found nothing"]


def test_all_faults_of_all_overrides_come_at_once() -> None:
    assert said("adc.bits=0", "nonsense", "name.first=1", "grid=[1", "crossbar={rows: 0, columns: 0}") == [
        "--set nonsense: write KEY=VALUE, as in adc.bits=6",
        "--set name.first=1: name.first: text 'tiny' has no key 'first'",
        "--set grid=[1: grid: not valid YAML: expected ',' or ']', but got '<stream end>'",
        "--set crossbar={rows: 0, columns: 0}: crossbar.rows: 0 is below the minimum 1",
        "--set crossbar={rows: 0, columns: 0}: crossbar.columns: 0 is below the minimum 1",
        "--set adc.bits=0: adc.bits: 0 is below the minimum 1",
    ]


@pytest.mark.parametrize("text", ["nonsense", "=3", "", " = 3"])
def test_key_and_value_are_asked_for(text: str) -> None:
    assert said(text) == [f"--set {text}: write KEY=VALUE, as in adc.bits=6"]


def test_one_override_need_not_stand_in_a_list() -> None:
    assert read("chip.yaml", Chip, overrides="adc.bits=6", expand={"device": _device}).adc.bits == 6


def test_a_mapping_of_python_values() -> None:
    overrides = {
        "adc.bits": np.int64(6),
        "adc.rate_gsps": 0.1,
        "adc.energy_pj": np.float64(2.5),
        "grid": np.array([3, 4]),
        "gate": np.True_,
        "parts": {"a": {"rows": 2}},
        "device.g_us": Fraction(1, 3),
    }
    document = read_document("chip.yaml", Chip, overrides=overrides, expand={"device": _device})
    value = document.value
    assert (value.adc.bits, value.adc.rate_gsps, value.adc.energy_pj) == (6, Fraction(1, 10), 2.5)
    assert (value.grid, value.gate, value.parts["a"].rows) == ((3, 4), True, 2)
    assert value.device is not None
    assert value.device.g_us == Fraction(1, 3)
    assert document.resolved["device"]["g_us"] == "1/3"
    assert type(document.resolved["adc"]["bits"]) is int


def test_faults_of_a_mapping() -> None:
    with pytest.raises(InputError) as caught:
        read(
            "chip.yaml",
            Chip,
            overrides={"adc.bits": "6", "adc.rate_gsps": float("nan")},
            expand={"device": _device},
        )
    assert [str(fault) for fault in caught.value.faults] == [
        "--set adc.bits=6: adc.bits: expected a whole number, found text '6'",
        "--set adc.rate_gsps=nan: adc.rate_gsps: expected a number, found nan",
    ]


def test_lists_are_reached_by_number() -> None:
    assert chip("chip.yaml", "grid.1=9").value.grid == (1, 9)
    assert said("grid.2=9") == ["--set grid.2=9: grid.2: a list has no key '2'"]


def test_a_section_the_file_does_not_have() -> None:
    assert chip("chip.yaml", "law.law=linear", "law.slope=2").value.law is not None
    assert chip("chip.yaml", "law=", "law.law=linear", "law.slope=2").value.law is not None


def test_below_a_section_given_by_name() -> None:
    device = chip("chip.yaml", "device.levels=4").value.device
    assert device is not None
    assert (device.name, device.levels) == ("HfOx", 4)


def test_a_section_is_replaced_by_name() -> None:
    for overrides, levels in ((["device=taox"], 16), (["device=taox", "device.levels=4"], 4)):
        device = chip("chip.yaml", *overrides).value.device
        assert device is not None
        assert (device.name, device.levels) == ("TaOx", levels)
    device = chip("chip.yaml", "device.levels=4", "device=taox").value.device
    assert device is not None
    assert device.levels == 16, "the later wins"
    assert said("device=toax") == ["--set device=toax: device: no file 'devices/toax.yaml'"]


def test_where_each_part_came_from() -> None:
    places = chip("chip.yaml", "adc.bits=6", "device=taox").places
    assert (places["adc.bits"].file, places["adc.bits"].overridden) == ("--set adc.bits=6", True)
    assert str(places["crossbar.rows"]) == "chip.yaml:3:9"
    assert not places["crossbar.rows"].overridden
    assert str(places["grid.1"]) == "chip.yaml:4:11"
    assert str(places["device.levels"]) == "devices/taox.yaml:2:9"
    assert "adc.kind" not in places, "a default was written nowhere"


def test_the_digest_is_that_of_the_content(write) -> None:
    first = chip("chip.yaml")
    write("other.yaml", "# the same\ndevice: {levels: 8, name: HfOx}\n" + LISTED + "adc: {bits: 8}\n")
    assert chip("other.yaml").digest == first.digest
    assert len(first.digest) == 64
    assert chip("chip.yaml", "adc.bits=7").digest != first.digest


@given(st.integers(1, 10**9), st.floats(1e-9, 1e9))
def test_any_number_can_be_set(bits: int, rate: float) -> None:
    adc = chip("chip.yaml", f"adc.bits={bits}", f"adc.rate_gsps={rate!r}").value.adc
    assert (adc.bits, adc.rate_gsps) == (bits, Fraction(repr(rate)))


def _device(name: str):
    from pathlib import Path

    return Path("devices") / f"{name}.yaml"

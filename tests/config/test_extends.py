from __future__ import annotations

from pathlib import Path

import pytest
from config.models import BODY, Chip, chip

from xbarsim.config import read
from xbarsim.errors import InputError


def said(*overrides: str, path: str = "kid.yaml", **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        chip(path, *overrides, **options)
    return [str(fault) for fault in caught.value.faults]


def test_mappings_merge_and_other_values_replace(write) -> None:
    write("base.yaml", BODY + "adc: {bits: 6, kind: flash}\ngrid: [1, 2]\n")
    write("kid.yaml", "extends: base\nname: kid\nadc: {bits: 7}\ngrid: [3]\n")
    value = chip("kid.yaml").value
    assert value.name == "kid"
    assert (value.adc.bits, value.adc.kind, value.crossbar.rows, value.grid) == (7, "flash", 64, (3,))


def test_nothing_takes_a_section_away(write) -> None:
    write("base.yaml", BODY + "law: {law: linear, slope: 1}\n")
    write("kid.yaml", "extends: base\nlaw:\n")
    assert chip("kid.yaml").value.law is None


def test_chains(write) -> None:
    write("a.yaml", BODY + "adc: {bits: 1, kind: flash}\n")
    write("b.yaml", "extends: a\nadc: {bits: 2}\n")
    write("c.yaml", "extends: b\nname: third\n")
    value = chip("c.yaml").value
    assert (value.name, value.adc.bits, value.adc.kind) == ("third", 2, "flash")


def test_parents_are_found_by_the_caller(write) -> None:
    write("elsewhere/base.yaml", BODY)
    write("kid.yaml", "extends: base\n")
    assert read("kid.yaml", Chip, parents=lambda name: Path("elsewhere") / f"{name}.yaml").name == "tiny"


def test_loops_are_refused(write) -> None:
    write("a.yaml", "extends: b\n")
    write("b.yaml", "extends: a\n")
    assert said(path="a.yaml") == ["b.yaml:1:10: extends: parents go round in a circle: a -> b -> a"]
    write("self.yaml", "extends: self\n")
    assert said(path="self.yaml") == ["self.yaml:1:10: extends: parents go round in a circle: self -> self"]


def test_a_fault_in_the_parent_is_reported_there(write) -> None:
    write("base.yaml", BODY + "adc: {bits: 0, knid: sar}\n")
    write("kid.yaml", "extends: base\ngrid: x\n")
    assert said() == [
        "base.yaml:4:13: adc.bits: 0 is below the minimum 1",
        "base.yaml:4:16: adc.knid: unknown key; did you mean 'kind'?",
        "kid.yaml:2:7: grid: expected a list, found text 'x'",
    ]


def test_a_name_without_a_file(write) -> None:
    write("kid.yaml", "extends: base\ngate: on\n")
    assert said() == [
        "kid.yaml:2:7: gate: 'on' could be text or a switch; write true, or quote it for text",
        "kid.yaml:1:10: extends: no file 'base.yaml'",
    ]


def test_what_the_finder_says_is_said_at_the_name(write) -> None:
    def nobody(name: str) -> Path:
        raise InputError(f"no chip {name!r}; known: none")

    write("kid.yaml", "extends: base\n")
    assert said(parents=nobody) == ["kid.yaml:1:10: extends: no chip 'base'; known: none"]


@pytest.mark.parametrize("value", ["3", "[a, b]", "{a: b}"])
def test_a_parent_is_named_by_text(write, value: str) -> None:
    write("kid.yaml", f"extends: {value}\n")
    (fault,) = said()
    assert fault.startswith("kid.yaml:1:10: extends: expected a name, found ")


def test_a_section_given_by_name(write) -> None:
    write("devices/hfox.yaml", "name: HfOx\nlevels: 8\n")
    write("chip.yaml", BODY + "device: hfox\n")
    document = chip("chip.yaml")
    assert document.value.device is not None
    assert (document.value.device.name, document.value.device.levels) == ("HfOx", 8)
    assert str(document.places["device.levels"]) == "devices/hfox.yaml:2:9"
    assert document.resolved["device"] == {"name": "HfOx", "levels": 8}


def test_a_fault_in_a_named_section_is_reported_in_its_file(write) -> None:
    write("devices/hfox.yaml", "name: HfOx\nlevels: many\n")
    write("kid.yaml", BODY + "device: hfox\n")
    assert said() == ["devices/hfox.yaml:2:9: device.levels: expected a whole number, found text 'many'"]


def test_an_unknown_name_does_not_hide_the_other_faults(write) -> None:
    write("kid.yaml", BODY + "device: hfxo\ngrid: 3\n")
    assert said("device.levels=3") == [
        "kid.yaml:4:9: device: no file 'devices/hfxo.yaml'",
        "kid.yaml:5:7: grid: expected a list, found 3",
    ]


def test_a_child_changes_a_part_of_the_parents_named_section(write) -> None:
    write("devices/hfox.yaml", "name: HfOx\nlevels: 8\ng_us: 3\n")
    write("base.yaml", BODY + "device: hfox\n")
    write("kid.yaml", "extends: base\ndevice: {levels: 2}\n")
    device = chip("kid.yaml").value.device
    assert device is not None
    assert (device.name, device.levels, device.g_us) == ("HfOx", 2, 3)


def test_another_name_replaces_the_parents_section(write) -> None:
    write("devices/hfox.yaml", "name: HfOx\nendurance: {cycles: 1000}\nlevels: 8\n")
    write("devices/taox.yaml", "name: TaOx\nendurance: {pulses: 5}\n")
    write("base.yaml", BODY + "device: hfox\n")
    write("kid.yaml", "extends: base\ndevice: taox\n")
    device = chip("kid.yaml").value.device
    assert device is not None
    assert (device.name, device.levels, device.endurance) == ("TaOx", 4, {"pulses": 5.0})


def test_an_inline_section_may_start_from_a_named_one(write) -> None:
    write("devices/oxide.yaml", "name: oxide\nlevels: 8\n")
    write("devices/hfox.yaml", "extends: oxide\nname: HfOx\n")
    write("chip.yaml", BODY + "device: {extends: hfox, g_us: 2.5}\n")
    device = chip("chip.yaml").value.device
    assert device is not None
    assert (device.name, device.levels, device.g_us) == ("HfOx", 8, 2.5)
    write("devices/oxide.yaml", "extends: hfox\n")
    (fault,) = said(path="chip.yaml")
    assert fault == "devices/oxide.yaml:1:10: device: parents go round in a circle: hfox -> oxide -> hfox"

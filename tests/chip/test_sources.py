"""Every number of a shipped chip or device can be traced; every fact says where it stands."""

from __future__ import annotations

from fractions import Fraction

import pytest

from xbarsim.chip import Device, load_chip
from xbarsim.config import find, known, read_document
from xbarsim.facts import FOLDER, Traced, load_facts, trace

UNTOLD = "no source stated"
DEFAULT = "the default of the model"


def untold(traced: list[Traced] | tuple[Traced, ...]) -> list[str]:
    return [one.path for one in traced if one.note == UNTOLD]


@pytest.mark.parametrize("name", known("arch_configs"))
def test_every_number_of_a_chip_has_a_source_or_a_reason(name: str) -> None:
    chip = load_chip(name)
    assert untold(chip.traced) == []
    assumed = [one for one in chip.traced if one.how == "assumed" and one.note != DEFAULT]
    assert all(len(one.note) > 10 for one in assumed)


@pytest.mark.parametrize("name", known("devices"))
def test_every_number_of_a_device_has_a_source_or_a_reason(name: str) -> None:
    assert untold(trace(read_document(find("devices", name), Device))) == []


def test_a_number_without_a_source_is_found(write) -> None:
    write("bare.yaml", "schema: 1\nname: bare\nextends: isaac\nregisters: {input_ns: 1}\n")
    assert untold(load_chip("bare.yaml").traced) == ["registers.input_ns"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_facts_file_is_one_publication_with_places(path) -> None:
    facts = {key: fact for key, fact in load_facts().items() if key.startswith(f"{path.stem}.")}
    assert facts
    assert len({fact.publication for fact in facts.values()}) == 1
    for fact in facts.values():
        assert fact.place
        assert fact.how != "assumed", f"{fact.key}: what nobody published is no fact"
        assert fact.how != "derived" or fact.note or not fact.place.endswith("?")


def test_tables_of_one_law_have_equal_lengths() -> None:
    facts = load_facts()
    families = (
        ["accelergy_library.sar_bits", "accelergy_library.sar_energy", "accelergy_library.sar_area"],
        ["mnsim.dac_bits", "mnsim.dac_power", "mnsim.dac_area"],
        [f"accelergy_library.node_energy_{part}" for part in ("nm", "square", "linear", "constant")],
        ["accelergy_library.node_area_nm", "accelergy_library.node_area"],
        [key for key in facts if key.startswith("cacti7.sram_") and "256k" not in key],
        [key for key in facts if key.startswith("cacti7.edram_")],
    )
    for family in families:
        lengths = {len(facts[key].value) for key in family if not isinstance(facts[key].value, Fraction)}
        assert len(lengths) == 1, family

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from xbarsim.config import Document, Exact, Section, read_document
from xbarsim.errors import InputError
from xbarsim.facts import Fact, Sources, Traced, load_facts, trace

ISAAC = """
publication: "A. Shafiee et al., ISAAC, ISCA 2016"
doi: 10.1109/ISCA.2016.12
facts:
  adc_energy: {value: 1.5625, unit: pJ, place: "Table I", how: derived, note: "2 mW / 1.28 GS/s"}
  adc_bits: {value: 8, unit: bit, place: "Table I", how: published}
  levels: {value: [1.5, 2.5], unit: uS, place: "Fig. 2", how: measured}
"""


class Adc(Section):
    bits: int
    energy_pj: Annotated[Exact, Field(ge=0)]
    area_um2: float = 0.0


class Device(Section):
    g_us: tuple[float, ...]
    sources: Sources = {}


class Chip(Section):
    version: int = Field(default=1, alias="schema")
    name: str = "tiny"
    gated: bool = True
    adc: Adc
    device: Device | None = None
    sources: Sources = {}


@pytest.fixture
def facts(write) -> dict[str, Fact]:
    write("facts/isaac.yaml", ISAAC)
    return dict(load_facts(Path("facts").resolve()))


def document(write, text: str, *overrides: str) -> Document[Chip]:
    write("chip.yaml", text)
    return read_document("chip.yaml", Chip, overrides=overrides, expand={"device": lambda name: Path(f"{name}.yaml")})


def said(write, facts, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        trace(document(write, text), facts)
    return [str(fault) for fault in caught.value.faults]


ADC = "schema: 1\nadc:\n  bits: 8\n  energy_pj: 1.5625\n"


def test_a_fact_says_everything_about_its_number(facts) -> None:
    assert facts["isaac.adc_energy"] == Fact(
        key="isaac.adc_energy",
        value=Fraction(25, 16),
        unit="pJ",
        publication="A. Shafiee et al., ISAAC, ISCA 2016, doi 10.1109/ISCA.2016.12",
        place="Table I",
        how="derived",
        note="2 mW / 1.28 GS/s",
    )
    assert facts["isaac.levels"].value == (Fraction(3, 2), Fraction(5, 2))


def test_faults_of_all_files_come_at_once(write) -> None:
    write("broken/a.yaml", "publication: A\nfacts:\n  x: {value: one, unit: pJ, place: p, how: guessed}\n")
    write("broken/b.yaml", "facts: {}\n")
    with pytest.raises(InputError) as caught:
        load_facts(Path("broken"))
    assert [str(fault) for fault in caught.value.faults] == [
        "broken/a.yaml:3:14: facts.x.value: expected a number or a list, found text 'one'",
        "broken/a.yaml:3:44: facts.x.how: 'guessed' is not one of measured, published, simulated, derived, assumed",
        "broken/b.yaml:1:1: publication: required key is missing",
    ]


def test_every_number_has_an_answer(write, facts) -> None:
    text = ADC + "sources:\n  adc.energy_pj: isaac.adc_energy\n  adc: {assumed: as drawn}\n"
    assert trace(document(write, text), facts) == [
        Traced("adc.bits", Fraction(8), "", "", "", "assumed", "as drawn"),
        Traced(
            "adc.energy_pj",
            Fraction(25, 16),
            "pJ",
            "A. Shafiee et al., ISAAC, ISCA 2016, doi 10.1109/ISCA.2016.12",
            "Table I",
            "derived",
            "2 mW / 1.28 GS/s",
        ),
        Traced("adc.area_um2", Fraction(0), "", "", "", "assumed", "the default of the model"),
    ]


def notes(write, facts, text: str, *overrides: str) -> dict[str, tuple[str, str]]:
    return {one.path: (one.how, one.note) for one in trace(document(write, text, *overrides), facts)}


def test_no_source(write, facts) -> None:
    assert notes(write, facts, ADC)["adc.bits"] == ("assumed", "no source stated")


def test_set_by_the_user(write, facts) -> None:
    text = ADC + "sources: {adc.bits: isaac.adc_bits}\n"
    assert notes(write, facts, text)["adc.bits"] == ("published", "")
    assert notes(write, facts, text, "adc.bits=6")["adc.bits"] == ("assumed", "set by the user")


def test_a_source_in_words(write, facts) -> None:
    (bits, *_) = trace(document(write, ADC + "sources: {adc: {source: a phone call}}\n"), facts)
    assert (bits.publication, bits.how) == ("a phone call", "published")


def test_the_number_must_be_the_fact(write, facts) -> None:
    text = ADC.replace("1.5625", "2") + "sources: {adc.energy_pj: isaac.adc_energy}\n"
    assert said(write, facts, text) == [
        "chip.yaml:4:14: adc.energy_pj: 2 is not what isaac.adc_energy says: 1.5625 pJ "
        "(A. Shafiee et al., ISAAC, ISCA 2016, doi 10.1109/ISCA.2016.12, Table I)"
    ]


def test_the_unit_must_be_that_of_the_key(write, facts) -> None:
    text = ADC.replace("1.5625", "8") + "sources: {adc.energy_pj: isaac.adc_bits}\n"
    assert said(write, facts, text) == ["chip.yaml:4:14: adc.energy_pj: the unit of isaac.adc_bits is bit"]


def test_sources_name_keys_and_facts(write, facts) -> None:
    text = ADC + (
        "sources:\n  adc.enrgy_pj: isaac.adc_energy\n  adc.bits: isaac.adc_bit\n  adc: isaac.adc_bits\n"
        "  zzz: {assumed: why not}\n"
    )
    assert said(write, facts, text) == [
        "chip.yaml:6:17: sources.adc.enrgy_pj: names no key; did you mean 'adc.energy_pj'?",
        "chip.yaml:7:13: sources.adc.bits: no fact 'isaac.adc_bit'; did you mean 'isaac.adc_bits'?",
        "chip.yaml:8:8: sources.adc: one fact is behind one number; name it, or say {assumed: …} of the section",
        "chip.yaml:9:8: sources.zzz: names no key",
    ]


def test_an_assumption_is_one_of_two(write, facts) -> None:
    with pytest.raises(InputError, match="say either assumed or source"):
        document(write, ADC + "sources: {adc: {assumed: a, source: b}}\n")


def test_sources_of_a_loose_type_are_checked_here(write, facts) -> None:
    class Loose(Section):
        bits: int
        sources: dict[str, object] = {}

    write("loose.yaml", "bits: 3\nsources: {bits: 4}\n")
    with pytest.raises(InputError, match=r"^loose\.yaml:2:17: sources\.bits: expected PUBLICATION\.FACT"):
        trace(read_document("loose.yaml", Loose), facts)


def test_a_section_given_by_name_brings_its_sources(write, facts) -> None:
    write("oxide.yaml", "g_us: [1.5, 2.5]\nsources: {g_us: isaac.levels}\n")
    text = ADC + "device: oxide\n"
    assert notes(write, facts, text)["device.g_us.1"] == ("measured", "")
    write("oxide.yaml", "g_us: [1.5, 2.6, 3]\nsources: {g_us: isaac.levels}\n")
    assert [fault.split(" (")[0] for fault in said(write, facts, text)] == [
        "oxide.yaml:1:13: device.g_us.1: 2.6 is not what isaac.levels says: 2.5 uS",
        "oxide.yaml:1:18: device.g_us.2: 3 is not what isaac.levels says: no such number",
    ]


def test_a_child_that_changes_a_number_owes_a_source(write, facts) -> None:
    write("base.yaml", ADC + "sources: {adc.bits: isaac.adc_bits}\n")
    assert "is not what isaac.adc_bits says" in said(write, facts, "extends: base\nadc: {bits: 6}\n")[0]
    text = "extends: base\nadc: {bits: 6}\nsources: {adc.bits: {assumed: cheaper}}\n"
    assert notes(write, facts, text)["adc.bits"] == ("assumed", "cheaper")


def test_the_shipped_facts_can_be_read() -> None:
    facts = load_facts()
    assert facts
    assert all(fact.place and fact.unit for fact in facts.values())

"""Wrong values in plain words, at the place that caused them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from config.models import BODY, Chip, Crossbar, Kind, Linear, chip
from pydantic import ValidationError

from xbarsim.config import Document
from xbarsim.errors import InputError


def fault(write, line: str, head: str = BODY) -> str:
    write("chip.yaml", head + line + "\n")
    with pytest.raises(InputError) as caught:
        chip("chip.yaml")
    (one,) = caught.value.faults
    return str(one).removeprefix("chip.yaml:")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("adc: {bits: '8'}", "4:13: adc.bits: expected a whole number, found text '8'"),
        ("adc: {bits: 8 bit}", "4:13: adc.bits: expected a whole number, found text '8 bit'"),
        ("adc: {bits: true}", "4:13: adc.bits: expected a whole number, found true"),
        ("adc: {bits: 8.5}", "4:13: adc.bits: expected a whole number, found 8.5"),
        ("adc: {bits: 1e4}", "4:13: adc.bits: expected a whole number, found 1e4; write 10000"),
        ("adc: {bits: }", "4:12: adc.bits: expected a whole number, found nothing"),
        ("adc: {bits: [8]}", "4:13: adc.bits: expected a whole number, found a list"),
        (
            "adc: {bits: {a: 8}}",
            "4:13: adc.bits: expected a whole number, found a mapping of keys and values",
        ),
        ("adc: {bits: 0}", "4:13: adc.bits: 0 is below the minimum 1"),
        ("adc: {rate_gsps: 0}", "4:18: adc.rate_gsps: 0 is not greater than 0"),
        ("adc: {rate_gsps: true}", "4:18: adc.rate_gsps: expected a number, found true"),
        ("adc: {rate_gsps: fast}", "4:18: adc.rate_gsps: expected a number, found text 'fast'"),
        ("adc: {energy_pj: 'x'}", "4:18: adc.energy_pj: expected a number, found text 'x'"),
        ("adc: {energy_pj: '1'}", "4:18: adc.energy_pj: expected a number, found text '1'"),
        ("adc: {energy_pj: 1e6}", "4:18: adc.energy_pj: 1e6 is not less than 1000000.0"),
        ("adc: {kind: sra}", "4:13: adc.kind: 'sra' is not one of sar, flash; did you mean 'sar'?"),
        ("adc: {kind: 3}", "4:13: adc.kind: 3 is not one of sar, flash"),
        ("adc: {bitz: 3}", "4:7: adc.bitz: unknown key; did you mean 'bits'?"),
        ("adc: {zzz: 3}", "4:7: adc.zzz: unknown key"),
        ("adc: 8", "4:6: adc: expected keys and values, found 8"),
        ("acd: {bits: 3}", "4:1: acd: unknown key; did you mean 'adc'?"),
        ("converter: flush", "4:12: converter: 'flush' is not one of sar, flash; did you mean 'flash'?"),
        ("gate: 'true'", "4:7: gate: expected true or false, found text 'true'"),
        ("gate: 1", "4:7: gate: expected true or false, found 1"),
        ("grid: 3", "4:7: grid: expected a list, found 3"),
        ("grid: [1, 2, x]", "4:14: grid.2: expected a whole number, found text 'x'"),
        ("names: [ab, c]", "4:13: names.1: text 'c' is shorter than 2 characters"),
        ("names: [abcdef]", "4:9: names.0: text 'abcdef' is longer than 5 characters"),
        ("names: [ab, ab, ab, ab]", "4:8: names: 4 entries; at most 3 are allowed"),
        ("count: 0", "4:8: count: 0 is below the minimum 1"),
        (
            "count: atuo",
            "4:8: count: expected a whole number or auto, found text 'atuo'; did you mean 'auto'?",
        ),
        ("count: [1]", "4:8: count: expected a whole number or auto, found a list"),
        (
            "law: {law: linaer, slope: 1}",
            "4:12: law.law: 'linaer' is not one of linear, table; did you mean 'linear'?",
        ),
        ("law: {slope: 1}", "4:6: law: the key 'law' is missing; it says which kind"),
        ("law: {law: linear}", "4:6: law.slope: required key is missing"),
        ("law: {law: table, points: [1, a]}", "4:31: law.points.1: expected a number, found text 'a'"),
        ("law: {law: table, points: [], slope: 1}", "4:31: law.slope: unknown key"),
        ("parts: {a: {rows: 0}}", "4:19: parts.a.rows: 0 is below the minimum 1"),
        ("parts: {a: {rwos: 1, rows: 1}}", "4:13: parts.a.rwos: unknown key; did you mean 'rows'?"),
        ("source: 3", "4:9: source: expected text or keys and values, found 3"),
        ("source: {name: a, levles: 3}", "4:19: source.levles: unknown key; did you mean 'levels'?"),
        ("source: {name: 3}", "4:16: source.name: expected text, found 3"),
        ("multiple: 3", "4:11: multiple: 3 is not a multiple of 2"),
        ("word: A", "4:7: word: text 'A' does not match the pattern ^[a-z]+$"),
        ("schema: 2", "4:9: schema: 2 is not one of 1"),
        ("shcema: 1", "4:1: shcema: unknown key; did you mean 'schema'?"),
        ("parts: {a: {rows: 1, cell_bits: 9}}", "4:33: parts.a.cell_bits: no cell holds 9 bits"),
        ("parts: {a: {rows: 1, extra_bits: 3}}", "4:12: parts.a: more extra bits than bits"),
        ("shape: [1, 2, 3]", "4:8: shape: 3 entries; at most 2 are allowed"),
    ],
)
def test_in_plain_words(write, line: str, said: str) -> None:
    assert fault(write, line) == said


def test_a_missing_key_points_at_its_section(write) -> None:
    assert fault(write, "crossbar:\n  columns: 3", "name: tiny\n") == "3:3: crossbar.rows: required key is missing"
    assert fault(write, "name: tiny", "") == "1:1: crossbar: required key is missing"


def test_a_validator_names_the_key_even_where_it_has_its_default(write) -> None:
    assert fault(write, "crossbar: {rows: 1, extra_bits: 3}", "name: tiny\n") == (
        "2:11: crossbar: more extra bits than bits"
    )


def test_a_correct_file(write) -> None:
    write(
        "chip.yaml",
        BODY
        + """\
adc: {rate_gsps: 1.28, energy_pj: 2}
count: 3
gate: true
converter: flash
grid: [1, 2]
names: [ab]
shape: [3, 4]
law: {law: linear, slope: 1e4}
parts: {a: {rows: 1}}
source: {name: here}
schema: 1
""",
    )
    document = chip("chip.yaml")
    value = document.value
    assert isinstance(document, Document)
    assert value.adc.rate_gsps == Fraction(32, 25)
    assert value.adc.energy_pj == 2.0
    assert type(value.adc.energy_pj) is float
    assert (value.count, value.gate, value.converter) == (3, True, Kind.FLASH)
    assert (value.grid, value.names, value.shape) == ((1, 2), ["ab"], (3, 4))
    assert value.law == Linear(law="linear", slope=10000.0)
    assert value.parts == {"a": Crossbar(rows=1)}
    assert not isinstance(value.source, str)
    assert value.source.name == "here"
    assert value.source.g_us == Fraction(1)
    assert type(value.source.g_us) is Fraction, "defaults are validated too"


def test_a_section_is_frozen_and_strict_in_python_too() -> None:
    crossbar = Crossbar(rows=3)
    with pytest.raises(ValidationError, match="frozen"):
        crossbar.rows = 4  # type: ignore[misc]
    for wrong in ("3", True, 3.0, None):
        with pytest.raises(ValidationError):
            Crossbar(rows=wrong)  # type: ignore[arg-type]


def test_the_text_under_a_field_is_its_manual() -> None:
    assert Crossbar.model_fields["rows"].description == "Word lines."


def test_a_dump_prints_the_decimal_again(write) -> None:
    write("chip.yaml", BODY + "adc: {rate_gsps: 1.28}\n")
    value = chip("chip.yaml").value
    dumped = value.model_dump(mode="json", by_alias=True)
    assert dumped["adc"]["rate_gsps"] == 1.28
    assert Chip.model_validate(dumped) == value
    assert Chip.model_validate_json(value.model_dump_json(by_alias=True)) == value

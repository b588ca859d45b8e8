"""What YAML lets pass and we do not; every fault at its line and column."""

from __future__ import annotations

import pytest
from config.models import BODY, chip

from xbarsim.config.parse import parse
from xbarsim.errors import InputError


def faults(write, text: str | bytes) -> list[str]:
    write("chip.yaml", text)
    with pytest.raises(InputError) as caught:
        chip("chip.yaml")
    assert caught.value.exit_code == 2
    return [str(fault) for fault in caught.value.faults]


def test_a_key_given_twice_names_both_places(write) -> None:
    text = "name: tiny\ncrossbar:\n  rows: 64\n  rows: 128\n"
    assert faults(write, text) == ["chip.yaml:4:3: crossbar.rows: key given twice; first at line 3, column 3"]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no"])
def test_switches(write, word: str) -> None:
    (fault,) = faults(write, BODY + f"gate: {word}\n")
    assert fault.startswith(f"chip.yaml:4:7: gate: '{word}' could be text or a switch; write ")


def test_a_quoted_switch_is_text(write) -> None:
    write("chip.yaml", BODY.replace("tiny", "'no'"))
    assert chip("chip.yaml").value.name == "no"


def test_octal(write) -> None:
    (fault,) = faults(write, "name: tiny\ncrossbar: {rows: 012}\n")
    assert fault == (
        "chip.yaml:2:18: crossbar.rows: '012' could be octal or decimal; drop the leading zero, or quote it for text"
    )


@pytest.mark.parametrize("word", ["1:30", "2016-06-18", "190:20:30"])
def test_times_and_dates_are_text(write, word: str) -> None:
    (fault,) = faults(write, BODY + f"adc: {{bits: {word}}}\n")
    assert fault == f"chip.yaml:4:13: adc.bits: expected a whole number, found text '{word}'"
    write("named.yaml", BODY.replace("tiny", word))
    assert chip("named.yaml").value.name == word


@pytest.mark.parametrize("word", [".inf", "-.inf", ".nan", "1e999"])
def test_numbers_are_finite(write, word: str) -> None:
    (fault,) = faults(write, BODY + f"adc: {{rate_gsps: {word}}}\n")
    assert fault.startswith(f"chip.yaml:4:18: adc.rate_gsps: '{word}' is ")


def test_tabs(write) -> None:
    assert faults(write, "name: tiny\ncrossbar:\n\trows: 64\n") == [
        "chip.yaml:3:1: not valid YAML: tab character; indent with spaces"
    ]


def test_anchors_and_aliases(write) -> None:
    text = "name: tiny\ncrossbar: &c\n  rows: 64\nparts: {a: *c}\n"
    found = faults(write, text)
    assert found == [
        "chip.yaml:2:11: anchor &c: not allowed; write the value out, or use extends",
        "chip.yaml:4:12: alias *c: not allowed; write the value out, or use extends",
    ]


def test_merge_keys(write) -> None:
    found = faults(write, BODY + "adc:\n  <<: {bits: 4}\n")
    assert found == ["chip.yaml:5:3: adc: merge key <<: not allowed; write the keys out, or use extends"]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!mine", "!!int", "!!binary"])
def test_tags(write, tag: str) -> None:
    (fault,) = faults(write, BODY + f"count: {tag} 1\n")
    assert fault == f"chip.yaml:4:8: tag {tag}: not allowed; write the plain value"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_an_empty_file(write, text: str) -> None:
    assert faults(write, text) == ["chip.yaml:1:1: the file is empty"]


@pytest.mark.parametrize(
    ("text", "found"), [("- a\n", "a list"), ("word\n", "text 'word'"), ("---\n", "nothing"), ("3", "3")]
)
def test_not_a_mapping(write, text: str, found: str) -> None:
    (fault,) = faults(write, text)
    assert fault.endswith(f": expected keys and values at the top, found {found}")


def test_not_utf_8(write) -> None:
    assert faults(write, b"name: tiny\ncross\xff: 1\n") == ["chip.yaml:2:6: the file is not UTF-8 text"]
    assert "not UTF-8" in faults(write, BODY.encode("utf-16"))[0]


def test_a_byte_order_mark_is_harmless(write) -> None:
    write("chip.yaml", b"\xef\xbb\xbf" + BODY.encode())
    assert chip("chip.yaml").value.name == "tiny"


def test_several_documents(write) -> None:
    assert faults(write, BODY + "---\nname: other\n") == [
        "chip.yaml:4:1: a second document starts here; one file holds one document"
    ]


def test_control_characters(write) -> None:
    assert faults(write, b"name: ti\x00ny\n") == ["chip.yaml:1:9: character #x0000 is not allowed in YAML"]


def test_not_yaml_at_all(write) -> None:
    (fault,) = faults(write, "name: [tiny\ncrossbar: 3\n")
    assert fault.startswith("chip.yaml:2:9: not valid YAML: ")


def test_a_key_is_a_word(write) -> None:
    (fault,) = faults(write, BODY + "? [a, b]\n: 1\n")
    assert fault == "chip.yaml:4:3: a key must be a plain word"


def test_nesting_without_end(write) -> None:
    assert faults(write, "name: " + "[" * 5000) == ["chip.yaml: nested too deeply"]


def test_no_such_file(write) -> None:
    with pytest.raises(InputError, match=r"^nowhere\.yaml: cannot be read: no such file or directory$"):
        chip("nowhere.yaml")
    write("folder/chip.yaml", BODY)
    with pytest.raises(InputError, match=r"^folder: cannot be read: is a directory$"):
        chip("folder")


def test_files_elsewhere_are_shown_in_full(tmp_path) -> None:
    path = tmp_path / "chip.yaml"
    path.write_text("")
    with pytest.raises(InputError, match=f"^{path}:1:1: the file is empty$"):
        chip(path)


def test_all_faults_of_a_file_come_at_once(write) -> None:
    text = """
        name: tiny
        crossbar:
          colums: 72
          cell_bits: 012
        adc:
          bits: 0
          bits: 1
          kind: on
        gate: &g true
    """
    assert faults(write, text) == [
        "chip.yaml:3:3: crossbar.rows: required key is missing",
        "chip.yaml:3:3: crossbar.colums: unknown key; did you mean 'columns'?",
        "chip.yaml:4:14: crossbar.cell_bits: '012' could be octal or decimal; drop the leading zero, or quote it for text",
        "chip.yaml:6:9: adc.bits: 0 is below the minimum 1",
        "chip.yaml:7:3: adc.bits: key given twice; first at line 6, column 3",
        "chip.yaml:8:9: adc.kind: 'on' could be text or a switch; write true, or quote it for text",
        "chip.yaml:9:7: anchor &g: not allowed; write the value out, or use extends",
    ]


def test_a_parsed_text_is_not_parsed_again() -> None:
    assert parse("a: 1", "x") is parse("a: 1", "x")

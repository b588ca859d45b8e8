"""What the pages say is so: tables of keys, examples, keys of results, the README's commands and figures."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Xbarsim

from docs import keys

ROOT = Path(__file__).parents[2]
FORMATS, README = (ROOT / "docs/formats.md").read_text("utf-8"), (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREFIXES = {"f": -3, "p": 0, "n": 3, "u": 6, "µ": 6, "m": 9, "": 12}


def blocks(text: str, language: str) -> list[str]:
    return [found[3] for found in BLOCK.finditer(text) if found[1] == language]


def commands(text: str) -> Iterator[list[str]]:
    """The xbarsim commands of the shell blocks, comments and redirections left out."""
    for block in blocks(text, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["xbarsim"]:
                yield words[1:]


def test_the_tables_of_keys_are_those_of_the_classes() -> None:
    assert keys.page(FORMATS) == FORMATS, "run: python docs/keys.py"


def test_every_table_stands_on_the_page_once() -> None:
    for name in keys.TABLES:
        assert FORMATS.count(f"<!-- {name} -->") == FORMATS.count(f"<!-- end of {name} -->") == 1
    assert set(re.findall(r"<!-- (?!end of)(.*?) -->", FORMATS)) == set(keys.TABLES)


def test_links_within_the_pages_lead_somewhere() -> None:
    for text, home in ((FORMATS, ROOT / "docs"), (README, ROOT)):
        anchors = {
            re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", text, re.M)
        }
        for link in re.findall(r"\]\(([^)]+)\)", text):
            if link.startswith("#"):
                assert link[1:] in anchors
            elif "://" not in link:
                assert (home / link.partition("#")[0]).exists(), link


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page's examples."""
    monkeypatch.chdir(tmp_path)
    for found in BLOCK.finditer(FORMATS):
        if found[2]:
            path = tmp_path / found[2]
            path.parent.mkdir(exist_ok=True)
            path.write_text(found[3])
    return tmp_path


def test_the_commands_of_the_page_work_on_its_examples(xbarsim: Xbarsim, examples: Path) -> None:
    ran = list(commands(FORMATS))
    assert len(ran) > 8
    for args in ran:
        answer = xbarsim(*args)
        assert answer.code == 0, f"{args}: {answer.err}"


@pytest.mark.parametrize("page", [FORMATS, README], ids=["formats", "readme"])
def test_the_python_of_the_pages_runs(examples: Path, page: str) -> None:
    """In a process of its own: a page may register a method."""
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def found_in(value: Any, free: tuple[str, ...]) -> Iterator[str]:
    """Every key of a result; under the keys ``free`` stand names, not keys."""
    if isinstance(value, list):
        for item in value:
            yield from found_in(item, free)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in free:
                yield from found_in(item, free)


RESULTS = {
    "run": ("run", "xbm_72", "digits", "--scenario", "2*(rotated:2,inverted)", "--set", "chip.switch=rolling"),
    "run of a trace": ("run", "xbm_72", "digits", "--method", "piggyback", "--scenario", "trace.csv"),
    "compare": ("compare", "xbm_72", "digits", "--methods", "xbm,finetune"),
    "show": ("show", "xbm_72", "digits"),
    "show a chip": ("show", "isaac", "--facts"),
    "validate": ("validate", "isaac"),
    "check": ("check", "digits", "nothing"),
    "list": ("list",),
    "plan": ("plan", "xbm_72", "digits"),
    "time": ("time", "graph.json"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_key_of_a_result_is_explained(xbarsim: Xbarsim, examples: Path, name: str) -> None:
    result = xbarsim(*RESULTS[name], "--format", "json").json
    said = set(re.findall(r"`(\w+)(?:\[j\])?`", FORMATS[FORMATS.index("## Graphs and times") :]))
    assert (
        sorted(
            {*found_in(result, ("replication", "endurance", *(["mask_bits", "branches"] if name == "show" else [])))}
            - said
        )
        == []
    )
    assert result["schema"] in FORMATS


def test_the_commands_of_the_readme_work(xbarsim: Xbarsim, examples: Path) -> None:
    for args in commands(README):
        if args != ["validate"] and not any("my_" in arg for arg in args):  # all targets: tests/studies
            redirected = args[: args.index(">")] if ">" in args else args
            answer = xbarsim(*redirected)
            assert answer.code == 0, f"{args}: {answer.err}"
            if redirected != args:
                Path(args[-1]).write_text(answer.out)


def rounded(text: str, value: float) -> tuple[float, float]:
    """A figure of the README, such as ``6.3 ms``, ``5,590 pJ`` or ``464``, and ``value`` in its unit and digits."""
    number, _, unit = text.strip().replace(",", "").partition(" ")
    exponent = PREFIXES[unit[:-1]] - (3 if unit.endswith("s") else 0) if unit else 0
    digits = len(number.replace(".", "").lstrip("0")) or 1
    return float(number), float(f"{value / 10.0**exponent:.{digits - 1}e}")


def test_the_figures_of_the_readme_are_those_of_its_command(asked: Xbarsim) -> None:
    rows = asked("compare", "xbm_72", "digits", "--methods", "xbm,piggyback,finetune", "--format", "json").json["rows"]
    keys_of = "switch_latency_ns switch_energy_pj cells_written mask_bits energy_per_inference_pj".split()
    for row in rows:
        line = re.search(rf"^\| {row['method']} \|(.*)\|$", README, re.MULTILINE)
        assert line, f"the README has no line for {row['method']}"
        pairs = [rounded(cell, row[key]) for cell, key in zip(line[1].split("|"), keys_of, strict=True)]
        assert [shown for shown, _ in pairs] == [value for _, value in pairs]

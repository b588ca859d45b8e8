"""Published against simulated: what must hold holds, and every row about behaviour can fail."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from xbarsim.cli.validate_ import command
from xbarsim.config import known
from xbarsim.errors import CheckFailed, InputError
from xbarsim.studies import targets as registry
from xbarsim.studies.targets import Target, targets
from xbarsim.studies.validate import chosen, row_of, validate

TARGETS = targets()
BEHAVIOUR = [one for one in TARGETS if one.how in ("engine", "arrays", "statistics", "calibrated")]
KEYS = "id source quantity published simulated difference tolerance tier holds evidence".split()


def name_of(target: Target) -> str:
    return target.name


@pytest.mark.parametrize("target", TARGETS, ids=name_of)
def test_it_holds(target: Target) -> None:
    row = row_of(target)
    assert row["holds"], f"published {row['published']:g}, simulated {row['simulated']:g}"


@pytest.mark.parametrize("target", [one for one in TARGETS if one.breaks], ids=name_of)
def test_a_changed_key_makes_it_fail(target: Target) -> None:
    assert not target.holds(target.broken())


@pytest.mark.parametrize("target", BEHAVIOUR, ids=name_of)
def test_a_row_about_behaviour_names_one_key(target: Target) -> None:
    assert len(target.breaks.split()) == 1
    assert target.breaks.count("=") == 1


def test_tier_one_is_complete() -> None:
    """What must hold in CI: power, area, efficiency, breakdown, timing, counts, converter, node, ratios, writing."""
    held = {one.name for one in TARGETS if one.tier == 1}
    isaac = "latency interval ima-power tile-power chip-power tile-area chip-area efficiency density storage lossless"
    isaac += " adc-power-share adc-area-share edram-bus-area-share next-power-share adc-law adc-dominates"
    isaac += " conversions conversions-8b conversions-unit"
    puma = "mvm-time mvm-energy mvm-events node-power node-area node-weights isaac-efficiency isaac-density"
    puma += " write-energy write-time read-energy read-time mlp-reads mlp-conversions mlp-drives"
    assert held == {f"isaac-{name}" for name in isaac.split()} | {f"puma-{name}" for name in puma.split()}


def test_every_target_is_about_a_chip_there_is() -> None:
    assert {one.chip for one in TARGETS} <= set(known("arch_configs"))


def test_exact_rows_have_no_tolerance_to_hide_in() -> None:
    exact = {one.name for one in TARGETS if one.tolerance == 0 and one.measure == "relative"}
    assert {"isaac-latency", "isaac-interval", "isaac-conversions", "puma-mvm-time", "puma-mlp-reads"} <= exact


def test_rows_carry_what_the_schema_says() -> None:
    row = row_of(next(iter(chosen("isaac"))))
    assert set(KEYS) <= set(row)
    assert row["published"] == 2200
    assert row["simulated"] == 2200


@pytest.mark.parametrize(
    ("measure", "tolerance", "simulated", "holds"),
    [("relative", 0.1, 11, True), ("relative", 0.1, 11.1, False), ("absolute", 1, 10.9, True),
     ("absolute", 1, 11.1, False), ("at_least", 0, 10, True), ("at_least", 0, 9.9, False), ("at_most", 0, 10, True),
     ("at_most", 0, 10.1, False), ("more_than", 1, 1.1, True), ("more_than", 1, 1, False)],
)  # fmt: skip
def test_measures(measure: str, tolerance: float, simulated: float, holds: bool) -> None:
    target = Target("x", "isaac", TARGETS[0].fact, 10, "", 1, "sum", tolerance, measure, "", lambda load: 0)  # type: ignore[arg-type]
    assert target.holds(simulated) is holds


def test_one_chip_can_be_chosen_and_another_is_refused() -> None:
    assert {row["chip"] for row in validate("chen_isscc18")} == {"chen_isscc18"}
    with pytest.raises(InputError, match="no published figures for chip 'isac'.*did you mean 'isaac'"):
        validate("isac")


def test_the_command_prints_rows_and_fails_if_tier_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(command, ["chen_isscc18", "--format", "json"])
    assert result.exit_code == 0
    answer = json.loads(result.output)
    assert answer["schema"] == "xbarsim.validate/1"
    assert [row["holds"] for row in answer["rows"]] == [True, True]
    one = next(target for target in TARGETS if target.name == "isaac-storage")
    wrong = Target(**{**one.__dict__, "simulate": lambda load: 0.1})
    monkeypatch.setattr("xbarsim.studies.validate.targets", lambda: (wrong,))
    result = CliRunner().invoke(command, ["isaac"])
    assert isinstance(result.exception, CheckFailed)
    assert "isaac-storage" in str(result.exception)


def test_a_file_of_targets_is_found_by_its_name() -> None:
    assert registry.targets() is TARGETS
    assert len({one.name for one in TARGETS}) == len(TARGETS)


def test_the_page_of_the_docs_has_every_row() -> None:
    page = (Path(__file__).parents[2] / "docs" / "validation.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \| [^|]+ \| [^|]+ \| [^|]+ \| [^|]* \|$", page, re.MULTILINE)
    assert [name for name, _ in listed] == [one.name for one in TARGETS]
    assert [published for _, published in listed] == [f"{one.published:.6g}" for one in TARGETS]

"""Accelergy's tables in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from xbarsim.chip import load_chip
from xbarsim.chip.accelergy import art, ert
from xbarsim.chip.budget import budget_of
from xbarsim.chip.prices import prices
from xbarsim.cli.show_ import command
from xbarsim.errors import InputError
from xbarsim.studies.bench import bench

CHIP = "schema: 1\nname: priced\nextends: isaac\naccelergy: {ert: ERT.yaml, art: ART.yaml, names: {ADC.convert_one: adc.convert, Xbar: crossbar}}\n"
ERT = """
ERT:
  version: 0.4
  tables:
    - name: system.chip.tile[1..168].ADC[1..96]
      actions:
        - {name: convert_one, arguments: {}, energy: 7.5}
        - {name: leak, arguments: {global_cycle_seconds: 1.0e-9}, energy: 0.1}
    - name: system.Xbar
      actions: [{name: read, energy: 0.25}]
    - name: system.unheard_of
      actions: [{name: read, energy: 3}]
"""
ART = "ART: {version: 0.4, tables: [{name: system.chip.adc, area: 1234}, {name: system.Xbar, area: 50}]}\n"


@pytest.fixture
def priced(write) -> Path:
    write("ERT.yaml", ERT)
    write("ART.yaml", ART)
    return write("priced.yaml", CHIP)


def test_tables_lie_over_the_chips_prices(priced: Path) -> None:
    mine, base = prices(load_chip(str(priced))), prices(load_chip("isaac"))
    changed = {key: mine[key] for key in mine if mine[key] != base[key]}
    assert changed == {("adc", "convert"): 7.5, ("crossbar", "read"): 0.25}


def test_areas_come_from_the_tables(priced: Path) -> None:
    items = {item.component: item for item in budget_of(load_chip(str(priced))).items}
    assert (items["adc"].area_um2, items["crossbar"].area_um2) == (1234, 50)
    assert items["dac"].area_um2 == 0.166


def test_a_run_is_priced_by_them_and_says_so(priced: Path) -> None:
    one = bench(load_chip(str(priced)), "one_window")
    assert one.energy_pj("adc") == 7.5 * one.count("adc", "convert")
    assert "energies or areas come from Accelergy tables" in one.run.to_json()["assumptions"]


def test_what_is_written_reads_back_to_the_same_prices(write) -> None:
    chip = load_chip("isaac")
    areas = {item.component: item.area_um2 for item in budget_of(chip).items}
    write("ERT.yaml", yaml.safe_dump(ert(prices(chip))))
    write("ART.yaml", yaml.safe_dump(art(areas)))
    write("same.yaml", "schema: 1\nname: same\nextends: isaac\naccelergy: {ert: ERT.yaml, art: ART.yaml}\n")
    same = load_chip("same.yaml")
    assert prices(same) == prices(chip)
    assert budget_of(same).area_um2() == budget_of(chip).area_um2()
    assert len(same.tables.areas) == len([area for area in areas.values() if area is not None])


def test_the_command_writes_both(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    result = CliRunner().invoke(command, ["isaac", "--accelergy", str(folder), "--format", "csv"])
    assert result.exit_code == 0, result.output
    tables = yaml.safe_load((folder / "ERT.yaml").read_text())["ERT"]["tables"]
    assert {"name": "convert", "arguments": {}, "energy": 1.5625} in next(t for t in tables if t["name"] == "adc")[
        "actions"
    ]
    assert (folder / "ART.yaml").is_file()


@pytest.mark.parametrize(
    ("ert_text", "names", "fault"),
    [("ERT: []", "{}", "is no ERT of Accelergy"),
     ("ERT: {tables: [{name: adc, actions: [{name: convert, energy: much}]}]}", "{}", "'much' is not a number"),
     ("ERT: {tables: []}", "{ADC: adcc}", "no component or action 'adcc'; did you mean 'adc'"),
     (": :", "{}", "cannot be read")],
)  # fmt: skip
def test_faults_name_file_and_place(write, ert_text: str, names: str, fault: str) -> None:
    write("ERT.yaml", ert_text)
    write("bad.yaml", f"schema: 1\nname: bad\nextends: isaac\naccelergy: {{ert: ERT.yaml, names: {names}}}\n")
    with pytest.raises(InputError, match=fault):
        load_chip("bad.yaml")

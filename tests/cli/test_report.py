"""``xbarsim report`` as a user gives it."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Xbarsim, files, refused
from results.folders import folder_of, write_folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_page_figures_and_tables(xbarsim: Xbarsim, here: Path) -> None:
    write_folder(here, "run")
    extra = ("--figures", "figures", "--figure-format", "svg,png", "--latex", "tables")
    answer = xbarsim("report", "run", "-o", "page.html", *extra)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    names = {path.stem for path in Path("figures").iterdir()}
    assert {"chip", "mapping", "energy-components", "use-over-time", "wear"} <= names
    assert {path.suffix for path in Path("figures").iterdir()} == {".svg", ".png"}
    assert names == {name for name in names if f'id="figure-{name}"' in text}
    assert {"switches.tex", "components.tex"} <= {path.name for path in Path("tables").iterdir()}


def test_the_page_lands_in_the_folder_and_is_made_again(xbarsim: Xbarsim, here: Path) -> None:
    write_folder(here, "one")
    assert xbarsim("report", "one").code == 0
    first = Path("one/report.html").read_bytes()
    assert xbarsim("report", "one", "--latex", "all.tex").code == 0
    assert Path("one/report.html").read_bytes() == first
    assert r"\begin{tabular}" in Path("all.tex").read_text(encoding="utf-8")


def test_a_sweep_of_the_command_line_gets_a_page(xbarsim: Xbarsim, here: Path) -> None:
    sweep = ("sweep", "xbm_72", "digits", "--grid", "adc.bits=6,8", "--methods", "xbm", "--out", "swept")
    assert xbarsim(*sweep).code == 0
    assert xbarsim("report", "swept").code == 0
    text = Path("swept/report.html").read_text(encoding="utf-8")
    assert "sweep over adc.bits" in text
    assert "Pareto front" in text


def test_a_comparison_over_devices_gets_a_page(xbarsim: Xbarsim, here: Path) -> None:
    devices = ("--methods", "xbm,finetune", "--devices", "taox_hfox,puma_serial", "--scenario", "rotated:1")
    assert xbarsim("compare", "xbm_72", "digits", *devices, "--out", "compared").code == 0
    assert xbarsim("report", "compared").code == 0
    text = Path("compared/report.html").read_text(encoding="utf-8")
    assert "On 2 devices: taox_hfox, puma_serial" in text
    assert "Range over devices" in text


def test_bad_requests_are_refused_and_leave_nothing(xbarsim: Xbarsim, here: Path) -> None:
    run = folder_of("run")
    before = files(run)
    refused(xbarsim("report", "nothing"), r"nothing: there is no such folder; name one that run, compare, sweep")
    refused(xbarsim("report", run, "--figure-format", "svgg,doc"), r"no format 'svgg'; .*did you mean 'svg'", "'doc'")
    refused(xbarsim("report", run, "-o", "missing/page.html"), "there is no folder")
    refused(xbarsim("report", run, "-o", here), "is a folder; name a file")
    Path("there").mkdir()
    refused(xbarsim("report", run, "-o", "page.html", "--figures", "there"), "there: exists already")
    refused(xbarsim("report", run, "-o", "page.html", "--latex", "there"), "there: exists already")
    refused(xbarsim("report", run, "-o", "page.html", "--figure-format", ","), "names an empty one")
    assert files(here) == {"there"}
    assert files(run) == before


def test_a_damaged_folder_is_refused_by_file(xbarsim: Xbarsim, here: Path) -> None:
    run = write_folder(here, "run")
    (run / "ledger.csv").unlink()
    (run / "placement.json").write_text("{")
    answer = xbarsim("report", "run", "-o", "page.html")
    refused(answer, r"ledger\.csv: is missing", r"placement\.json: is damaged")
    assert not Path("page.html").exists()


DOCS = Path(__file__).parents[2] / "docs"


def keys_in(value: Any) -> set[str]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {*(value if isinstance(value, dict) else ()), *(key for item in inside for key in keys_in(item))}


def test_the_formats_explain_what_pages_are_made_of() -> None:
    said = set(re.findall(r"`(\w+)`", (DOCS / "formats.md").read_text("utf-8")))
    placed = json.loads((folder_of("run") / "placement.json").read_text())
    assert keys_in(placed) - said == set()
    columns = (folder_of("run") / "usage.csv").read_text().partition("\n")[0].split(",")
    assert set(columns) - said == set()


def test_the_page_on_reports_does_what_it_says(xbarsim: Xbarsim, here: Path) -> None:
    text = (DOCS / "report.md").read_text("utf-8")
    (shell,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in shell.splitlines():
        answer = xbarsim(*shlex.split(line, comments=True)[1:])
        assert answer.code == 0, answer.err
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    Path("program.py").write_text(program, encoding="utf-8")
    runpy.run_path("program.py")
    assert Path("again.html").read_bytes() == Path("run/report.html").read_bytes() == Path("page.html").read_bytes()

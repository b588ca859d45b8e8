"""Pages of results: whole without anything else, the same bytes again, honest about masks, safe with any text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from results.folders import folder_of, write_folder

from xbarsim.errors import InputError
from xbarsim.results.report import Page, page_html, page_of, read_folder
from xbarsim.results.report.page import number, table

KINDS = ("run", "compare", "one", "two", "three", "search")
VOID = {"meta", "link", "br", "img", "hr", "input"}
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


class Reader(HTMLParser):
    """Reads a page as a browser does, and remembers what matters."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: list[tuple[str, str]] = []
        self.unnamed: list[str] = []
        self.crossed: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids[str(given["id"])] += 1
        self.links += [
            (tag, str(given[key])) for key in ("src", "href", "xlink:href", "srcset", "data") if key in given
        ]
        if given.get("role") == "img" or tag == "img":
            named = given.get("aria-label") or given.get("alt")
            self.unnamed += [] if named and len(str(named)) > 20 else [str(given)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def page_at(folder: Path) -> Page:
    return page_of(read_folder(folder))


@lru_cache
def page(kind: str) -> Page:
    return page_at(folder_of(kind))


@lru_cache
def html_of(kind: str) -> str:
    return page_html(page(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_stands_alone_and_is_well_formed(kind: str) -> None:
    text = html_of(kind)
    found = read(text)
    assert found.crossed == []
    assert found.open == []
    assert [name for name, count in found.ids.items() if count > 1] == []
    assert found.tags["script"] == 0
    for tag, target in found.links:
        inside = target.startswith("#") and target[1:] in found.ids
        assert inside or target.startswith("data:"), (tag, target[:80])
    assert "http://" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert not re.findall(r"url\((?!#)", text.replace("url(&quot;", ""))
    for reference in re.findall(r"url\(#([^)]+)\)", text):
        assert reference in found.ids


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_tables_have_texts_for_all(kind: str) -> None:
    text = html_of(kind)
    found = read(text)
    assert found.unnamed == []
    assert found.tags["figure"] == found.tags["figcaption"] == len(list(page(kind).plates())) > 0
    assert found.tags["svg"] == text.count("<svg ") == text.count('aria-hidden="true" focusable="false"')
    assert text.count('role="img"') == found.tags["svg"]
    assert found.tags["table"] == len(list(page(kind).tables()))
    assert text.count("<title>") == 1
    assert '<html lang="en">' in text


def plates(kind: str) -> set[str]:
    return {plate.name for plate in page(kind).plates()}


def test_every_kind_of_folder_gets_its_pictures() -> None:
    assert plates("run") == {
        "chip", "mapping", "energy-components", "energy-layers", "work", "busy-time", "use-over-time", "use-by-layer",
        "wear",
    }  # fmt: skip
    assert plates("compare") == {
        "switches", "kept", "break-even", "inference", "method-components", "chip", "mapping",
    }  # fmt: skip
    heat = {f"heat-{key}" for key in ("energy_per_inference_pj", "latency_per_inference_ns", "switch_energy_pj",
                                      "switch_latency_ns")}  # fmt: skip
    assert plates("one") == {"lines", "pareto"}
    assert plates("two") == {*heat, "pareto"}
    assert plates("three") == {*heat, "effects", "pareto"}
    assert plates("search") == {"pareto"}


@pytest.mark.parametrize("kind", ["run", "two"])
def test_the_same_folder_gives_the_same_bytes_wherever_it_lies(kind: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder_of(kind), moved)
    script = (
        "import sys; from pathlib import Path; from xbarsim.results.report import *; "
        "sys.stdout.buffer.write(page_html(page_of(read_folder(Path(sys.argv[1])))).encode())"
    )
    done = subprocess.run([sys.executable, "-c", script, moved], capture_output=True, check=True,
                          env={"PYTHONHASHSEED": "7", "PATH": "", "SOURCE_DATE_EPOCH": "99"})  # fmt: skip
    assert done.stdout.decode() == html_of(kind)
    assert html_of(kind) == page_html(page_at(folder_of(kind)))  # drawn anew


def test_what_is_shown_is_what_the_folder_says() -> None:
    summary = json.loads((folder_of("run") / "summary.json").read_text())
    text = " ".join(read(html_of("run")).text)
    for row in summary["switches"]:
        assert row["to"] in text
    for layer in summary["layers"]:
        assert layer["layer"] in text
    for line in summary["assumptions"]:
        assert line in text
    tables = {one.name: one for one in page("run").tables()}
    energy = next(column for column in tables["components"].columns if column.heading == "energy")
    shown = [float(cell.replace(",", "")) for cell in energy.cells]
    expected = sorted((row["energy_pj"] for row in summary["components"] if row["energy_pj"] > 0), reverse=True)
    factor = {"pJ": 1.0, "nJ": 1e-3, "µJ": 1e-6}[energy.unit]
    assert shown == pytest.approx([value * factor for value in expected], rel=1e-3)
    facts = tables["facts"]
    assert [column.heading for column in facts.columns][:5] == ["key", "value", "unit", "publication", "place"]


def test_masks_that_nobody_learned_are_named_before_all_else() -> None:
    warnings = page("two").warnings
    assert any("resampled" in line for line in warnings)
    assert any("2 of 12 points failed" in line for line in warnings)
    text = html_of("two")
    assert text.index("Mind:") < text.index("<figure")
    columns = {column.heading: column for one in page("two").tables() if one.name == "points" for column in one.columns}
    assert set(columns["masks"].cells) == {"resampled", "none", "learned", "–"}
    assert set(columns["mask fit"].cells) == {"resample"}
    assert set(columns["failed"].cells) == {"yes", "no"}
    assert "Letters in a cell: r resampled masks (synthetic)" in text
    assert "was learned for 72 rows" in text
    assert page("one").warnings == ()


def test_a_search_shows_its_front_and_what_broke_a_bound() -> None:
    found = page("search")
    assert "to be small: energy and latency; to be large: area. Bounds: latency<=17000." in found.about
    assert dict(found.headline) == {"trials": "12", "on the front": "3", "failed": "2", "break a bound": "1"}
    tables = {one.name: one for one in found.tables()}
    numbers, trials = (column.cells for column in tables["front"].columns[:2])
    assert (len(numbers), len(trials)) == (3, 3)
    assert {"energy per inference", "latency per inference", "area"} <= {c.heading for c in tables["front"].columns}
    (plate,) = found.plates()
    said = {text.get_text() for text in plate.figure.legends[0].get_texts()}
    assert said == {"Pareto front", "xbm", "finetune", "xbm, breaks a bound"}
    assert plate.figure.axes[1].get_ylabel() == "area (mm²), to be large"
    assert any("resampled" in line for line in found.warnings)


def test_a_synthetic_network_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "run")
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["synthetic"], summary["mask_fit"]["masks"] = True, "synthetic"
    path.write_text(json.dumps(summary))
    assert page_at(folder).warnings == ("Weights or masks are synthetic: drawn from the seed, not learned. Energies and times are "
                             "those of such a network; nothing is said about accuracy.",)  # fmt: skip


NASTY = "<script>alert('x')</script>&\"--><img src=http://a.invalid/b.png onerror=alert(1)>{{ 7*7 }}"


def test_text_from_outside_is_text(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "run")
    summary = json.loads((folder / "summary.json").read_text())
    summary["bundle"] = summary["tasks"][0]["task"] = NASTY
    summary["assumptions"].append(NASTY)
    (folder / "summary.json").write_text(json.dumps(summary))
    placed = json.loads((folder / "placement.json").read_text())
    placed["layers"][0]["layer"] = NASTY[:30]
    (folder / "placement.json").write_text(json.dumps(placed))
    usage = (folder / "usage.csv").read_text()
    (folder / "usage.csv").write_text(usage.replace(",conv1,", ",<b>conv1</b>,"))
    (folder / "chip.yaml").write_text(NASTY)
    text = page_html(page_at(folder))
    found = read(text)
    assert found.tags["script"] == found.tags["img"] == found.tags["b"] == 0
    assert found.crossed == []
    assert NASTY in "".join(found.text)
    assert "49" not in re.findall(r"<h1>.*</h1>", text)[0]


def test_a_folder_of_an_earlier_version_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "run")
    (folder / "placement.json").unlink()
    (folder / "usage.csv").unlink()
    older = page_at(folder)
    assert {plate.name for plate in older.plates()} == {"energy-components", "energy-layers"}
    text = page_html(older)
    assert "placement.json is missing" in text
    assert "usage.csv is missing" in text


def broken(folder: Path, name: str, content: str | None) -> None:
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ledger.csv", None, r"ledger\.csv: is missing"),
        ("ledger.csv", "a,b\n1,2\n", r"ledger\.csv: lacks the column phase, layer"),
        ("ledger.csv", 'phase,layer\n"x', r"ledger\.csv: (is damaged|lacks)"),
        ("placement.json", "{", r"placement\.json: is damaged: it is not JSON text"),
        ("placement.json", '{"schema": "xbarsim.placement/9"}', r"is of schema 'xbarsim.placement/9'; this version"),
        ("summary.json", '{"schema": "xbarsim.run/2"}', r"summary\.json: schema: is of schema 'xbarsim.run/2'"),
        ("summary.json", "[]", r"summary\.json: schema: is of schema None"),
        ("provenance.json", "", None),
    ],
)
def test_damaged_folders_are_refused_naming_the_file(
    tmp_path: Path, name: str, content: str | None, message: str | None
) -> None:
    folder = write_folder(tmp_path, "run")
    broken(folder, name, content)
    with pytest.raises(InputError, match=message or r"provenance\.json"):
        read_folder(folder)


def test_all_faults_of_a_folder_come_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "run")
    for name in ("ledger.csv", "facts.csv", "provenance.json"):
        (folder / name).unlink()
    with pytest.raises(InputError) as refused:
        read_folder(folder)
    assert len(refused.value.faults) == 3


def test_what_is_no_folder_of_results_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder; name one that run, compare, sweep or search wrote"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no results: there is neither summary.json nor manifest.json"):
        read_folder(tmp_path)
    write_folder(tmp_path, "run")
    with pytest.raises(InputError, match=r"did you mean '.*/run'\?"):
        read_folder(tmp_path)
    sweep = write_folder(tmp_path, "one")
    (sweep / "sweep.json").unlink()
    with pytest.raises(InputError, match="the sweep is not finished"):
        read_folder(sweep)
    (sweep / "manifest.json").write_text('{"schema": "xbarsim.store/1", "kind": "cooking"}')
    with pytest.raises(InputError, match="is of kind 'cooking'"):
        read_folder(sweep)


def test_columns_have_units_that_fit() -> None:
    rows: list[dict[str, Any]] = [
        {"what": "a", "energy_pj": 2.5e6, "time_ns": 226.4, "mask_bits": 464, "busy_share": 0.5, "on": True},
        {"what": "b", "energy_pj": 1e6, "time_ns": 7.3e6, "mask_bits": None, "busy_share": 0.25, "on": False},
    ]
    made = table("t", "caption", rows)
    assert made is not None
    shown = {column.title: column.cells for column in made.columns}
    assert shown == {
        "what": ("a", "b"), "energy (µJ)": ("2.5", "1"), "time (ns)": ("226.4", "7,300,000"),
        "mask (bit)": ("464", "–"), "busy share (%)": ("50", "25"), "on": ("yes", "no"),
    }  # fmt: skip
    assert table("t", "caption", []) is None
    assert [number(value) for value in (0, 3.0, 1234567, 0.00012345, 12345.6)] == [
        "0", "3", "1,234,567", "0.0001234", "12,346",
    ]  # fmt: skip


# ---- a real browser ------------------------------------------------------------------------------

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--enable-logging=stderr", "--v=0", "--net-log-capture-mode=Everything",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def opened(page: Path, scratch: Path) -> tuple[list[str], list[str], str]:
    """(console lines, addresses that the page asked for, the page's tree as the browser has it)."""
    log = scratch / "net.json"
    done = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}", "--dump-dom",
         page.as_uri()], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    text = log.read_text().rstrip().rstrip(",")
    events = json.loads(text if text.endswith("}") else text + "]}")["events"]
    # The browser's own errands have no origin; what a page from a file asks for has the origin "null".
    asked = [
        event["params"] for event in events if event.get("params", {}).get("initiator") not in (None, "not an origin")
    ]
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return console, [str(one.get("url")) for one in asked if "url" in one], done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_browser_opens_pages_without_errors_and_without_the_network(tmp_path: Path) -> None:
    for kind in ("run", "compare", "two"):
        path = tmp_path / f"{kind}.html"
        path.write_text(html_of(kind), encoding="utf-8")
        console, asked, tree = opened(path, tmp_path)
        assert console == []
        assert asked == []
        assert tree.count("<svg") == html_of(kind).count("<svg")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_the_browser_would_show_errors_and_requests(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<img src="http://a.invalid/x.png"><script>throw new Error("loud")</script>')
    console, asked, _ = opened(path, tmp_path)
    assert any("loud" in line for line in console)
    assert asked == ["http://a.invalid/x.png"]

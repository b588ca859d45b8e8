"""Tables for papers: every character printable, every brace closed, units in the headings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results.folders import folder_of

from xbarsim.results.report import latex, page_of, read_folder
from xbarsim.results.report.latex import document, escaped
from xbarsim.results.report.page import Page, Section, Table, items, table

KINDS = ("run", "compare", "one", "three")


def tables(kind: str) -> dict[str, str]:
    return latex(page_of(read_folder(folder_of(kind))))


def page_with(rows: list[dict[str, object]] | pd.DataFrame) -> Page:
    return Page("t", "a", (), (), (Section("s", "s", items(table("some table", "A caption, 50 % & more", rows))),))


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_complete(kind: str) -> None:
    found = tables(kind)
    assert found
    for text in found.values():
        begun, ended = re.findall(r"\\begin\{(\w+)\}", text), re.findall(r"\\end\{(\w+)\}", text)
        assert sorted(begun) == sorted(ended)
        assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        columns = len(re.search(r"\\begin\{(?:tabular|longtable)\}\{([lr]+)\}", text)[1])  # type: ignore[index]
        rows = [line for line in text.splitlines() if line.endswith(r"\\") and "caption" not in line]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
        bare = re.sub(r"\\[\\{}%&$#_]", "", text)
        assert bare.count("{") == bare.count("}")
        assert text.startswith("% needs ")


def test_main_tables_are_there_and_long_lists_are_not() -> None:
    assert {"inferences", "switches", "components", "layers", "wear"} <= set(tables("run"))
    assert not {"facts", "provenance"} & set(tables("run"))
    assert {"methods", "kept", "wear"} <= set(tables("compare"))
    assert {"points", "front-inference"} <= set(tables("one"))


def test_units_stand_in_the_headings() -> None:
    heading = next(line for line in tables("compare")["methods"].splitlines() if line.startswith("method"))
    assert re.search(r"switch latency \((ns|\\textmu\{\}s)\)", heading)
    assert r"energy per inference (\textmu{}J)" in heading


def test_the_caption_and_the_label_are_there() -> None:
    text = latex(page_with([{"a_b": "50 %", "energy_pj": 2e6}]))["some table"]
    assert r"\caption{A caption, 50 \% \& more}\label{tab:some-table}" in text.replace("\n", "")
    assert r"a b & energy (\textmu{}J) \\" in text
    assert r"50 \% & 2 \\" in text


def test_long_tables_break_over_pages() -> None:
    text = latex(page_with(pd.DataFrame({"row": range(60)})))["some table"]
    assert r"\begin{longtable}{r}" in text
    assert r"\midrule\endhead" in text
    assert "longtable}" in text.splitlines()[0]


def test_a_row_that_begins_with_a_bracket_is_no_option() -> None:
    text = latex(page_with([{"mark": "[1]"}, {"mark": "*"}]))["some table"]
    assert "{}[1]" in text
    assert "{}*" in text


@given(st.text())
def test_any_text_is_printable(text: str) -> None:
    said = escaped(text)
    left = re.sub(r"\\textbackslash\{\}|\\text\w+\{2?\}|\\ldots\{\}|\$\\\w+\$|\\[&%$#_{}]", "", said)
    assert not set(left) & set("\\&%$#_{}~^<>")
    assert "\n" not in said


def test_one_file_holds_all_tables() -> None:
    found = tables("compare")
    text = document(found)
    assert text.count(r"\begin{tabular}") == len(found)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX")
@pytest.mark.parametrize("kind", KINDS)
def test_latex_accepts_the_tables(kind: str, tmp_path: Path) -> None:
    body = document(tables(kind))
    packages = r"\usepackage[utf8]{inputenc}\usepackage{booktabs,textcomp,longtable}"
    (tmp_path / "t.tex").write_text(rf"\documentclass{{article}}{packages}\begin{{document}}{body}\end{{document}}")
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t"], cwd=tmp_path, check=True,
                   capture_output=True)  # fmt: skip


def test_tables_have_a_type() -> None:
    assert all(isinstance(one, Table) for one in page_with([{"a": 1}]).tables())

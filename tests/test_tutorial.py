"""The tutorial does what it says: every block runs, in order, in one session; also as a notebook."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from xbarsim.cli import main

PAGE = Path(__file__).parent.parent / "docs/tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def blocks() -> Iterator[tuple[str, str]]:
    for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        yield found[1], found[2]


def script() -> str:
    """All blocks as one program; shell blocks are calls of the command line."""
    lines = []
    for kind, text in blocks():
        if kind == "python":
            lines.append(text)
            continue
        assert kind == "sh"
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "xbarsim", line
            lines.append(f"command({words[1:]!r})\n")
    return "".join(lines)


def command(args: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(args)
    assert not left.value.code, args


def test_every_block_runs_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [kind for kind, _ in blocks()]
    assert kinds.count("python") > 8
    assert kinds.count("sh") >= 1
    Path("program.py").write_text(script(), encoding="utf-8")
    session = runpy.run_path("program.py", {"command": command})
    assert capsys.readouterr().out.count("\n") > 40
    assert session["run"]._repr_html_().startswith("<div")
    assert session["drawn"].synthetic
    assert list(session["heights"]["masks"]) == ["resampled", "learned"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "compared", "compared.html", "figures", "tables.tex", "swept", "small.yaml", "program.py",
    }  # fmt: skip


def test_the_page_becomes_a_notebook() -> None:
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(PAGE)
    code = [cell.source.strip() for cell in notebook.cells if cell.cell_type == "code"]
    assert [text.strip() for kind, text in blocks() if kind == "python"] == [
        text for text in code if not text.startswith("%%")
    ]
    assert len(code) == len(list(blocks()))


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    jupytext, client = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.read(PAGE)
    done = client.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("text/html" in output.get("data", {}) for output in outputs)

"""``xbarsim report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xbarsim.cli import common
from xbarsim.errors import Fault, InputError, did_you_mean

if TYPE_CHECKING:
    from xbarsim.results.report import Page

FORMATS = ("svg", "pdf", "png")


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The page; default: report.html in FOLDER.")
@click.option("--figures", type=click.Path(path_type=Path), help="Also write every figure into this new folder.")
@click.option(
    "--figure-format", "formats", default="pdf,svg", show_default=True, metavar="A,B,…", help="Of svg, pdf and png."
)
@click.option(
    "--latex", "tex", type=click.Path(path_type=Path),
    help="Also write the main tables: one file if it ends in .tex, else a new folder with a file each.",
)  # fmt: skip
def command(folder: Path, out: Path | None, figures: Path | None, formats: str, tex: Path | None) -> None:
    """One page about FOLDER, which run, compare, sweep or search wrote; it opens in any browser, offline.

    The page is made of what the folder holds; nothing is simulated. The same folder gives the same bytes.
    """
    forms = _formats(formats)
    from xbarsim.results.report import page_html, page_of, read_folder
    from xbarsim.results.store import write_text

    found = read_folder(folder)
    page_path = out if out is not None else folder / "report.html"
    _check(page_path, figures, tex)
    with common.progress(1, "report") as step:
        step("figures")
        page = page_of(found)
        text = page_html(page)
        if figures is not None:
            _figures(page, figures, forms)
        if tex is not None:
            _latex(page, tex)
        write_text(page_path, text)


def _formats(text: str) -> list[str]:
    """File formats between commas; every unknown one is a fault."""
    names = list(dict.fromkeys(common.split_names(text, "figure-format")))
    known = ", ".join(FORMATS)
    faults = [
        Fault("--figure-format", f"no format {name!r}; known: {known}{did_you_mean(name, FORMATS)}")
        for name in names
        if name not in FORMATS
    ]
    if faults:
        raise InputError(faults)
    return names


def _check(page: Path, figures: Path | None, tex: Path | None) -> None:
    """Refuse what cannot be written before anything is drawn."""
    if page.is_dir():
        raise InputError(f"--out {page}: is a folder; name a file, as in -o report.html")
    common.check_writable(page)
    common.check_new(figures)
    if tex is not None and tex.suffix == ".tex":
        common.check_writable(tex)
    else:
        common.check_new(tex)


def _figures(page: Page, path: Path, formats: Sequence[str]) -> None:
    from xbarsim.results.figures import save
    from xbarsim.results.store import new_folder

    with new_folder(path) as folder:
        for plate in page.plates():
            save(plate.figure, folder, plate.name, formats)


def _latex(page: Page, path: Path) -> None:
    from xbarsim.results.report.latex import document, latex
    from xbarsim.results.store import new_folder, write_text

    tables = latex(page)
    if path.suffix == ".tex":
        write_text(path, document(tables))
        return
    with new_folder(path) as folder:
        for name, text in tables.items():
            (folder / f"{name}.tex").write_text(text, encoding="utf-8")

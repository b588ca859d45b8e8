"""A page as one HTML file that needs nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

from xbarsim.results.figures.style import inline_svg
from xbarsim.results.report.page import Lines, Page, Plate, Table, Text


def page_html(page: Page) -> str:
    """The page as text; the same page gives the same text. Everything that is not ours is escaped."""
    text: str = _template("report.html").render(page=page, kind_of=_kind_of, svg=_svg)
    return text


def _kind_of(item: object) -> str:
    return {Plate: "plate", Table: "table", Lines: "lines", Text: "text"}[type(item)]


def _svg(plate: Plate) -> Any:
    """The figure as markup of the page."""
    from markupsafe import Markup

    return Markup(inline_svg(plate.figure, plate.name))  # drawn by matplotlib, which escapes texts


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xbarsim.results", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(name)

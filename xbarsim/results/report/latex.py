"""Tables for papers: LaTeX with booktabs."""

from __future__ import annotations

import re

from xbarsim.results.report.page import Page, Table

MOST_LINES = 45
"""Rows of a table that does not break over pages."""

MARKS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}", "²": r"\textsuperscript{2}",
    "×": r"$\times$", "–": "--", "…": r"\ldots{}", "<": r"\textless{}", ">": r"\textgreater{}", "≥": r"$\geq$",
    "≤": r"$\leq$", "→": r"$\to$",
}  # fmt: skip
"""Characters that LaTeX reads otherwise, or may not know."""

NEEDS = "% needs \\usepackage{booktabs,textcomp}"


def latex(page: Page) -> dict[str, str]:
    """The main tables of a page as LaTeX text, by name."""
    return {table.name: _table(table) for table in page.tables() if table.main and table.columns}


def document(tables: dict[str, str]) -> str:
    """All tables in one file, for ``input``."""
    return "\n".join(tables.values())


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return re.sub("|".join(map(re.escape, MARKS)), lambda found: MARKS[found[0]], " ".join(text.split()))


def _table(table: Table) -> str:
    long = len(table.columns[0].cells) > MOST_LINES
    caption = rf"\caption{{{escaped(table.caption)}}}"
    label = rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', table.name.lower())}}}"
    spec = "".join("r" if column.number else "l" for column in table.columns)
    head = " & ".join(escaped(column.title) for column in table.columns) + r" \\"
    lines = [" & ".join(escaped(text) for text, _ in row) + r" \\" for row in table.rows]
    body = [r"\midrule", *(_protected(line) for line in lines), r"\bottomrule"]
    if long:
        opening = [rf"\begin{{longtable}}{{{spec}}}", rf"{caption}{label}\\", r"\toprule", head]
        framed = [*opening, r"\midrule\endhead", *body[1:], r"\end{longtable}"]
        return "\n".join([NEEDS.replace("}", ",longtable}"), *framed, ""])
    opening = [r"\begin{table}", r"\centering", caption, label, rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head]
    return "\n".join([NEEDS, *opening, *body, r"\end{tabular}", r"\end{table}", ""])


def _protected(line: str) -> str:
    """A row that begins with a bracket would be read as an option of the line break before it."""
    return "{}" + line if line.startswith(("[", "*")) else line

"""Which page a folder of results gets."""

from __future__ import annotations

from xbarsim.results.report.compare_page import compare_page
from xbarsim.results.report.folder import CompareFolder, Folder, RunFolder
from xbarsim.results.report.page import Page
from xbarsim.results.report.run_page import run_page
from xbarsim.results.report.study_page import study_page


def page_of(folder: Folder) -> Page:
    """Draw all figures and fill all tables of a folder."""
    if isinstance(folder, RunFolder):
        return run_page(folder)
    return compare_page(folder) if isinstance(folder, CompareFolder) else study_page(folder)

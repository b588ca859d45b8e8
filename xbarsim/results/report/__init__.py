"""One page about a run, a comparison, a sweep or a search, made from its folder alone."""

from xbarsim.results.report.folder import Folder, read_folder
from xbarsim.results.report.html import page_html
from xbarsim.results.report.latex import latex
from xbarsim.results.report.page import Page, Plate, Table
from xbarsim.results.report.pages import page_of

__all__ = ["Folder", "Page", "Plate", "Table", "latex", "page_html", "page_of", "read_folder"]

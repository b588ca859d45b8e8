"""``python -m xbarsim``."""

from xbarsim.cli import main

main()

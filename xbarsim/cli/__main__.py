"""``python -m xbarsim.cli``."""

from xbarsim.cli import main

main()

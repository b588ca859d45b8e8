"""What did it cost? Ledger (counts x prices), wear, tables."""

from xbarsim.results.ledger import Ledger, keep_ledger
from xbarsim.results.run import Run, gather
from xbarsim.results.wear import Wear, wear_of

__all__ = ["Ledger", "Run", "Wear", "gather", "keep_ledger", "wear_of"]

"""Where do masks come from, and what are they worth? The bridge to PyTorch, which nothing else here needs.

It stands as ``xs.torch`` at the top of the package.
"""

from xbarsim.learning.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]

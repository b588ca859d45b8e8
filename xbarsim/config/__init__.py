"""Configuration: strict YAML to typed objects, every fault at its file, line and column.

* :class:`Section`, :data:`Exact`, :class:`Wrong`: how the rooms below declare what a file may say.
* :func:`read`, :func:`read_document`: a file with its parents, names and overrides as such an object.
* :func:`find`, :func:`known`: names of chips, workloads and devices.
"""

from xbarsim.config.decimals import decimal, exact
from xbarsim.config.document import Document, check, digest, read, read_document
from xbarsim.config.names import find, folder, known
from xbarsim.config.schema import Exact, Section, Wrong
from xbarsim.config.tree import Place

__all__ = [
    "Document",
    "Exact",
    "Place",
    "Section",
    "Wrong",
    "check",
    "decimal",
    "digest",
    "exact",
    "find",
    "folder",
    "known",
    "read",
    "read_document",
]

"""What can go wrong, as types. Every message names the place, the value, the rule and the way out.

One root, :class:`XbarsimError`, so that a caller can catch the library; each class knows the
process exit code that the command line answers with (0 done, 1 failed, 2 bad input, 3 a check did
not hold, 130 interrupted).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class XbarsimError(Exception):
    """Root of everything xbarsim raises on purpose."""

    exit_code = 1


@dataclass(frozen=True)
class Fault:
    """One thing wrong in the input: where it stands, which key, what is wrong.

    ``line`` and ``column`` count from 1 and are 0 where the input has no lines (a tensor file, an
    override given on the command line).
    """

    file: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class InputError(XbarsimError):
    """The user's input cannot be used; carries every fault that was found, one line each."""

    exit_code = 2

    def __init__(self, faults: Iterable[Fault | str] | Fault | str) -> None:
        if isinstance(faults, (Fault, str)):
            faults = [faults]
        self.faults = tuple(one if isinstance(one, Fault) else Fault("", one) for one in faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class DoesNotFit(InputError):
    """The network needs more hardware than the chip has; the message says need and have."""


class Deadlock(XbarsimError):
    """The dataflow graph stopped before its end; the message says who waits for what."""


class CheckFailed(XbarsimError):
    """A check that was asked for does not hold."""

    exit_code = 3


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of ``known``, or ``""`` if none is near."""
    near = difflib.get_close_matches(str(wrong), [str(name) for name in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""

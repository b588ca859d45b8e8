"""Doing independent pieces of a study in several processes. Results come back in the order of the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from xbarsim.errors import XbarsimError

Shared = TypeVar("Shared")
Piece = TypeVar("Piece")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What keeps the libraries of a process to one thread."""


def cores() -> int:
    """Cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def each(
    function: Callable[[Shared, Piece], Result],
    shared: Shared,
    work: Sequence[Piece],
    jobs: int = 1,
    begun: Callable[[Piece], None] = lambda piece: None,
) -> list[Result]:
    """Return ``function(shared, piece)`` for every piece of ``work``, ``jobs`` of them at a time.

    Processes are started afresh, with one thread each: forks do not go together with compiled loops.
    ``function`` is importable, and ``shared`` travels once per process. ``begun`` is called before a piece is
    done or, with several processes, waited for.
    """
    results = []
    if jobs == 1 or len(work) <= 1:
        for piece in work:
            begun(piece)
            results.append(function(shared, piece))
        return results
    with _single_threads(), _pool(min(jobs, len(work)), (function, shared)) as pool:
        futures = [pool.submit(_do, piece) for piece in work]
        for piece, future in zip(work, futures, strict=True):
            begun(piece)
            try:
                results.append(future.result())
            except BrokenProcessPool:
                raise XbarsimError("a process ended before its work was done; is there enough memory?") from None
    return results


@contextmanager
def _pool(processes: int, shared: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    """Processes that know what they share; when nobody waits for their work any more, they end."""
    others = set(active_children())
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, shared)
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Children inherit the environment; ours is as before afterwards."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_task: list[tuple[Callable[[Any, Any], Any], Any]] = []
"""In a process of the pool: the function and what is shared."""


def _begin(function: Callable[[Any, Any], Any], shared: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt from the keyboard ends the process without a word
    _task[:] = [(function, shared)]


def _do(piece: Any) -> Any:
    function, shared = _task[0]
    return function(shared, piece)

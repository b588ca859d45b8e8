"""Doing independent pieces of a study in several processes.

:func:`each` gives results back in the order of the work; a :class:`Crew` as they come, and goes on where a process
dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, connection, get_context, parent_process
from threading import Thread
from typing import Any, Generic, Self, TypeVar

from xbarsim.errors import XbarsimError

Shared = TypeVar("Shared")
Piece = TypeVar("Piece")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What keeps the libraries of a process to one thread."""

ENDED = "a process ended before its work was done; is there enough memory?"


@dataclass(frozen=True)
class Lost:
    """Stands for the result of a piece that this machine could not do; says nothing about the piece itself."""

    reason: str


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
        try:
            for piece, future in zip(work, _submitted(pool, _do, work), strict=True):
                begun(piece)
                results.append(future.result())
        except BrokenProcessPool:
            raise XbarsimError(ENDED) from None
    return results


class Crew(Generic[Shared, Piece, Result]):
    """Processes that stay between one lot of work and the next; use it as a context.

    Where a process runs out of memory or is killed, the others go on, and what it may have been doing is tried again
    in a process of its own. What fails there too comes with :class:`Lost`. With one job all is done in this process.
    """

    def __init__(self, function: Callable[[Shared, Piece], Result], shared: Shared, jobs: int = 1) -> None:
        self.function, self.shared, self.jobs = function, shared, jobs
        self._open = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Processes start when there is work."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End the processes, at once where an error is the reason."""
        self._open.__exit__(*error)

    def as_done(self, work: Sequence[Piece]) -> Generator[tuple[Piece, Result | Lost]]:
        """Yield every piece of ``work`` with its result, in the order in which they are done."""
        if self.jobs == 1:
            for piece in work:
                yield piece, attempt(self.function, self.shared, piece)
            return
        left, suspects = list(range(len(work))), []
        while left:
            done = set()
            for at, result in self._round({at: work[at] for at in left}):
                done.add(at)
                if isinstance(result, Lost):
                    suspects.append(at)
                else:
                    yield work[at], result
            broken = [at for at in left if at not in done]
            in_hand = 2 * self.jobs + 1  # running, or handed over already
            suspects += broken[:in_hand]
            left = broken[in_hand:]
        for at in suspects:
            yield work[at], self._alone(work[at])

    def _round(self, work: Mapping[int, Piece]) -> Generator[tuple[int, Result | Lost]]:
        """Results, until a process is killed: then all others end too, and what is not done stays so."""
        if self._pool is None:
            self._open.enter_context(_single_threads())
            self._pool = self._open.enter_context(_pool(self.jobs, (self.function, self.shared)))
        futures: dict[Future[Result | Lost], int] = {}
        try:
            futures = dict(zip(_submitted(self._pool, _attempt, work.values()), work, strict=True))
        except BrokenProcessPool:
            self._end()
        for future in as_completed(futures):
            try:
                result = future.result()
            except BrokenProcessPool:
                self._end()
            else:
                yield futures[future], result

    def _end(self) -> None:
        self._pool = None
        self._open.close()

    def _alone(self, piece: Piece) -> Result | Lost:
        """The result of a piece in a process of its own, or in a second one should somebody kill the first."""
        for _ in range(2):
            with Crew(self.function, self.shared, 2) as other:
                found = [result for _, result in other._round({0: piece})]
            if found:
                return found[0]
        return Lost(ENDED)


def _submitted(pool: ProcessPoolExecutor, do: Callable[[Any], Any], work: Iterable[Any]) -> list[Future[Any]]:
    """Hand work over. Processes start on the way; interrupts from the keyboard are left to us, who end them."""
    masks = getattr(signal, "pthread_sigmask", None)
    before = masks(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
    try:
        return [pool.submit(do, piece) for piece in work]
    finally:
        if masks:
            masks(signal.SIG_SETMASK, before)


@contextmanager
def _pool(processes: int, shared: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    """Processes that know what they share; when nobody waits for their work any more, they end."""
    others = set(active_children())
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (*shared, os.getcwd()))
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


def _begin(function: Callable[[Any, Any], Any], shared: Any, folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # where interrupts are not held back, one ends us without a word
    Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder)
    _task[:] = [(function, shared)]


def _end_with_parent() -> None:
    """A parent that was killed cannot end its processes: they would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _do(piece: Any) -> Any:
    function, shared = _task[0]
    return function(shared, piece)


def _attempt(piece: Any) -> Any:
    return attempt(*_task[0], piece)


def attempt(function: Callable[[Shared, Piece], Result], shared: Shared, piece: Piece) -> Result | Lost:
    """The result of a piece; :class:`Lost` where there is too little memory."""
    try:
        return function(shared, piece)
    except MemoryError as reason:
        return Lost(f"not enough memory: {reason}".rstrip(": "))

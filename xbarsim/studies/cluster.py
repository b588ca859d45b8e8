"""Pieces of a study on a Dask cluster: the same contract as :class:`xbarsim.studies.pool.Crew`.

Imported only where a cluster is asked for. Function and shared data go to every worker once, also to those that come
later; a worker that dies is replaced by another one for the pieces it had.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Generic, Self, TypeVar

import distributed
from distributed import CancelledError, KilledWorker, Worker, WorkerPlugin

from xbarsim.errors import InputError, XbarsimError
from xbarsim.studies.points import code
from xbarsim.studies.pool import Lost, _single_threads, attempt

dask: Any = distributed
"""Half of its functions carry no types."""

LOCAL = "local"
TIMEOUT_S = 10
"""How long the scheduler may take to answer, and the first worker to be there."""

Shared = TypeVar("Shared")
Piece = TypeVar("Piece")
Result = TypeVar("Result")

_held: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {}
"""In a worker: the function and what is shared, by study."""


class Warm(WorkerPlugin):
    """Gives a worker what all pieces share, and imports what they run on, before the first of them comes."""

    def __init__(self, study: str, function: Callable[[Any, Any], Any], shared: Any, folder: str) -> None:
        self.name, self.held, self.folder, self.code = study, (function, shared), folder, code()

    def setup(self, worker: Worker) -> None:
        """On every worker, when it starts or when the study does."""
        if self.code != code():
            raise XbarsimError(f"worker {worker.address} has xbarsim {code()}, and this is {self.code}")
        if os.path.isdir(self.folder):
            os.chdir(self.folder)  # files with relative names
        _held[self.name] = self.held

    def teardown(self, worker: Worker) -> None:
        """When the study is over."""
        _held.pop(self.name, None)


class Cluster(Generic[Shared, Piece, Result]):
    """The workers of a Dask cluster; use it as a context.

    ``address``: of the scheduler, such as ``tcp://host:8786``; or ``local`` for a cluster of ``workers`` processes
    on this machine, which ends with the context. Raise :class:`XbarsimError` if nobody answers there.
    """

    def __init__(self, function: Callable[[Shared, Piece], Result], shared: Shared, address: str, workers: int) -> None:
        self.held, self.address, self.workers = (function, shared), address, workers
        self.study = f"xbarsim-{uuid.uuid4().hex}"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Connect, and prepare every worker."""
        with ExitStack() as opening:
            self.client = opening.enter_context(_client(self.address, self.workers))
            self.client.register_plugin(Warm(self.study, *self.held, os.getcwd()))
            opening.callback(self._forget)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave; a local cluster ends."""
        self._open.__exit__(*error)

    def _forget(self) -> None:
        with suppress(Exception):  # the cluster may be gone
            self.client.unregister_worker_plugin(self.study)

    def as_done(self, work: Sequence[Piece]) -> Generator[tuple[Piece, Result | Lost]]:
        """Yield every piece of ``work`` with its result, in the order in which they are done."""
        keys = [f"{self.study}-{uuid.uuid4().hex}" for _ in work]
        futures = self.client.map(_piece, [self.study] * len(work), work, key=keys, retries=1, pure=False)
        pieces = dict(zip(keys, work, strict=True))
        try:
            for future in dask.as_completed(futures):
                yield pieces[future.key], _result(future)
        finally:
            with suppress(Exception):  # the cluster may be gone
                self.client.cancel(futures)


def _piece(study: str, piece: Any) -> Any:
    return attempt(*_held[study], piece)


def _result(future: Any) -> Any:
    """What a piece has given; a piece that killed its workers is lost, a cluster that is gone is an error."""
    try:
        return future.result()
    except KilledWorker:
        return Lost("the workers that did it were killed; is there enough memory?")
    except CancelledError:
        raise XbarsimError("the connection to the cluster was lost") from None


@contextmanager
def _client(address: str, workers: int) -> Iterator[Any]:
    if address == LOCAL:
        with (
            _single_threads(),
            dask.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            dask.Client(cluster) as client,
        ):
            yield client
        return
    with _connected(address) as client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT_S)
        except TimeoutError:
            message = f"--cluster {address}: the scheduler has no workers after {TIMEOUT_S} s; start some"
            raise XbarsimError(message) from None
        yield client


def _connected(address: str) -> Any:
    try:
        return dask.Client(address, timeout=TIMEOUT_S)
    except (OSError, TimeoutError) as reason:
        message = f"--cluster {address}: no scheduler answers within {TIMEOUT_S} s; start one with: dask scheduler"
        raise XbarsimError(message) from reason
    except ValueError as reason:
        message = f"--cluster {address}: {reason}; write local, or an address such as tcp://host:8786"
        raise InputError(message) from reason

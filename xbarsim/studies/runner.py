"""Carrying out jobs: in this process, in several, or on a cluster, into a store. The results are the same."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from xbarsim.errors import XbarsimError
from xbarsim.network import Network
from xbarsim.studies.points import Row
from xbarsim.studies.pool import Crew, Lost, cores
from xbarsim.studies.store import Store

MOST_NAMED = 5
"""So many of the points that could not be done are named."""


class Task(Protocol):
    """A point to be done; plain data that can travel."""

    @property
    def key(self) -> str:
        """What its result is stored under."""

    @property
    def method(self) -> str:
        """Adaption method."""

    @property
    def label(self) -> str:
        """What people see of it."""

    def do(self, network: Network) -> Row:
        """Its result; failures of its own are results too."""


AsDone = Callable[[Sequence[Task]], Generator[tuple[Task, Row | Lost]]]


def do(network: Network, task: Task) -> Row:
    """The result of a task; here, in another process or on another machine."""
    return task.do(network)


@contextmanager
def crew(network: Network, jobs: int = 1, cluster: str | None = None) -> Iterator[AsDone]:
    """Those who do the work, as long as there is some: ``jobs`` processes, or a cluster.

    ``cluster``: address of a Dask scheduler, or ``local``. Raise :class:`XbarsimError` if nobody answers there.
    """
    if cluster is None:
        with Crew[Network, Task, Row](do, network, jobs) as processes:
            yield processes.as_done
        return
    try:
        from xbarsim.studies.cluster import Cluster
    except ModuleNotFoundError as missing:
        message = f"--cluster needs Dask, and {missing.name} is not installed: pip install 'xbarsim[dask]'"
        raise XbarsimError(message) from None
    with Cluster[Network, Task, Row](do, network, cluster, jobs if jobs > 1 else cores()) as workers:
        yield workers.as_done


def carry_out(
    work: Sequence[Task], store: Store, as_done: AsDone, progress: Callable[[str], None] = lambda label: None
) -> None:
    """Do what is not in the store yet, and put each result there as soon as it is known.

    A task that fails for its own reasons is a result; one that this machine could not do (too little memory, a
    killed process) is none: the others are done first, then :class:`XbarsimError` says so.
    """
    lost: list[tuple[Task, Lost]] = []
    left = list({task.key: task for task in work if store.get(task.key) is None}.values())
    with closing(as_done(left)) as results:
        for task, result in results:
            progress(task.label)
            if isinstance(result, Lost):
                lost.append((task, result))
            else:
                store.put(task.key, result, {"method": task.method, "point": task.label})
    if lost:
        named = [f"{task.label}: {result.reason}" for task, result in lost[:MOST_NAMED]]
        more = [f"… and {len(lost) - MOST_NAMED} more"] if len(lost) > MOST_NAMED else []
        raise XbarsimError("\n".join([f"{len(lost)} points could not be done on this machine:", *named, *more]))

"""Policies: who comes next, how often they switch, what they refuse, and plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies.test_serve import NAMES, cases

from xbarsim.errors import InputError
from xbarsim.studies.arrivals import Requests
from xbarsim.studies.policies import Policy, Request, parse_policy
from xbarsim.studies.serve_queue import ServiceTimes, serve_requests

Case = tuple[Requests, ServiceTimes]


def switches(case: Case, policy: str) -> int:
    return len(serve_requests(*case, parse_policy(policy, NAMES)).switches)


@given(case=cases(), limit=st.none() | st.integers(0, 12))
@settings(max_examples=150)
def test_batches_never_switch_more_often_than_first_come_first_served(case: Case, limit: int | None) -> None:
    batched = "batch-by-task" if limit is None else f"batch-by-task:limit={limit}"
    assert switches(case, batched) <= switches(case, "fifo")


@given(case=cases())
@settings(max_examples=60)
def test_fifo_switches_where_neighbours_differ(case: Case) -> None:
    tasks = [0, *case[0].tasks.tolist()]
    assert switches(case, "fifo") == sum(old != new for old, new in pairwise(tasks))


@given(case=cases())
@settings(max_examples=60)
def test_a_limit_of_nothing_and_equal_deadlines_are_first_come_first_served(case: Case) -> None:
    expected = serve_requests(*case, parse_policy("fifo", NAMES))
    for policy in ("batch-by-task:limit=0", "deadline:others=1us"):
        served = serve_requests(*case, parse_policy(policy, NAMES))
        assert served.order.tolist() == expected.order.tolist()
        assert served.answers_ps.tolist() == expected.answers_ps.tolist()


def order(tasks: str, policy: str) -> str:
    """Tasks in order of service when all requests are there at once."""
    requests = Requests(np.zeros(len(tasks), np.int64), np.array([NAMES.index(one) for one in tasks]), NAMES)
    pairs = {(i, j): 5 for i in range(3) for j in range(3) if i != j}
    served = serve_requests(requests, ServiceTimes((9,) * 3, (4,) * 3, pairs), parse_policy(policy, NAMES))
    return "".join(tasks[number] for number in served.order)


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("fifo", "abacabcc"),
        ("batch-by-task", "aaabbccc"),
        ("batch-by-task:limit=1", "aabbccac"),
        ("deadline:a=9us,b=5us,c=1us", "cccbbaaa"),
    ],
)
def test_the_order_of_service(policy: str, served: str) -> None:
    assert order("abacabcc", policy) == served


def test_nobody_is_overtaken_more_often_than_the_limit() -> None:
    """One request of b among many of a: it comes after as many of a as may overtake it."""
    assert order("ab" + "a" * 20, "batch-by-task:limit=7") == "a" + "a" * 7 + "b" + "a" * 13


def test_late_answers_are_counted() -> None:
    requests = Requests(np.array([0, 0]), np.array([0, 0]), ("a",))
    served = serve_requests(requests, ServiceTimes((9,), (4,), {}), parse_policy("deadline:a=10ps", ["a"]))
    assert served.deadlines_ps is not None
    assert (served.answers_ps > served.deadlines_ps).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fifi", r"no policy 'fifi'; known: batch-by-task, deadline, fifo.*did you mean 'fifo'"),
        ("fifo:limit=3", r"'fifo' has no option 'limit'; it has none"),
        ("batch-by-task:limt=3", r"no option 'limt'.*did you mean 'limit'"),
        ("batch-by-task:limit=-1", r"limit '-1' is not a whole number"),
        ("batch-by-task:limit", r"'limit' is no option"),
        ("batch-by-task:limit=1,limit=2", r"'limit' stands there twice"),
        ("deadline", r"no deadline of a, b, c; write for example deadline:a=5ms,others=20ms"),
        ("deadline:a=1s,b=1s", r"no deadline of c"),
        ("deadline:a=1,others=1s", r"--policy deadline:a: '1' has no unit"),
        ("deadline:d=1s,others=1s", r"no option 'd'"),
    ],
)
def test_what_a_policy_refuses(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text, NAMES)


@pytest.fixture
def newest() -> Iterator[str]:
    """A policy of somebody else: last come, first served."""

    class Newest(Policy, name="newest"):
        def __init__(self, tasks: tuple[str, ...], options: dict[str, str]) -> None:
            super().__init__(tasks, options)
            self.stack: list[Request] = []

        def add(self, request: Request) -> None:
            self.stack.append(request)

        def take(self, installed: int, now_ps: int) -> Request:
            return self.stack.pop()

        def __len__(self) -> int:
            return len(self.stack)

    yield "newest"
    del Policy._members["newest"]


def test_a_policy_of_somebody_else_is_found_by_its_name(newest: str) -> None:
    assert newest in Policy.known()
    assert order("abc", newest) == "cba"
